//! Tests of the election against MetalLB's own results, and properties of every election.

#![allow(clippy::needless_pass_by_value, reason = "JSON literals read best in place")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::node_table::EXCLUDE_LABEL;
use super::*;
use crate::snapshot::from_objects::inventory_of;
use crate::snapshot::in_namespace;

const NAMESPACE: &str = "metallb-system";
const KEY: &str = "loadbalancerIPs.metallb.io";

/// Addresses, as they may be in a status, and the winner among n1 and n2: `printf 'n1#10.6.229.180' | sha256sum`, and
/// so on.
const HASHES: [(&str, &str); 5] = [
    ("10.6.229.180", "n2"),
    ("10.6.229.181", "n1"),
    ("::ffff:10.6.229.181", "n1"),
    ("2001:db8::1", "n2"),
    ("2001:DB8:0::1", "n2"),
];

fn object(kind: &str, name: &str, rest: Value) -> Value {
    let version =
        if kind.ends_with("Advertisement") || kind.ends_with("Pool") { "metallb.io/v1beta1" } else { "v1" };
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    for (key, value) in rest.as_object().cloned().unwrap_or_default() {
        match (key.as_str(), value) {
            ("labels" | "annotations", value) => object["metadata"][key] = value,
            (_, value) => object[key] = value,
        }
    }
    object
}

fn node(name: &str, labels: Value) -> Value {
    object("Node", name, json!({"labels": labels}))
}

fn speaker(node: &str) -> Value {
    object(
        "Pod",
        &format!("speaker-{node}"),
        json!({"labels": {"app": "metallb"}, "spec": {"nodeName": node}}),
    )
    .as_object()
    .map(|pod| {
        let mut pod = pod.clone();
        pod["metadata"]["namespace"] = json!(NAMESPACE);
        Value::Object(pod)
    })
    .unwrap()
}

fn pool(name: &str, addresses: &[&str]) -> Value {
    object("IPAddressPool", name, json!({"spec": {"addresses": addresses}}))
}

fn layer2(name: &str, spec: Value) -> Value {
    object("L2Advertisement", name, json!({"spec": spec}))
}

fn bgp(name: &str, spec: Value) -> Value {
    object("BGPAdvertisement", name, json!({"spec": spec}))
}

fn service(policy: &str, addresses: &[&str]) -> Value {
    let ingress: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    object(
        "Service",
        "gateway",
        json!({
            "labels": {"app": "istio-ingressgateway", "istio": "ingressgateway"},
            "spec": {"type": "LoadBalancer", "selector": {"istio": "ingressgateway"}, "externalTrafficPolicy": policy},
            "status": {"loadBalancer": {"ingress": ingress}},
        }),
    )
}

fn slice(name: &str, endpoints: Value) -> Value {
    object(
        "EndpointSlice",
        name,
        json!({"labels": {"kubernetes.io/service-name": "gateway"}, "endpoints": endpoints}),
    )
}

fn ready_on(nodes: &[&str]) -> Value {
    let endpoints = nodes.iter().enumerate().map(|(index, node)| {
        json!({"addresses": [format!("10.0.0.{index}")], "nodeName": node, "conditions": {"ready": true}})
    });
    slice("ready", endpoints.collect())
}

/// The result of an election, by names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    winner: Result<String, String>,
    next: Option<String>,
    runner_up: Option<String>,
    candidates: usize,
    bgp: Vec<String>,
}

fn elect_with(inventory: &Inventory, version: MetalLbVersion) -> Result<Outcome, String> {
    let metallb = MetalLb::new(NAMESPACE, inventory, version).map_err(|rejection| rejection.to_string())?;
    let (key, service) = inventory.services.first_key_value().unwrap();
    let slices: Vec<&EndpointSlice> =
        in_namespace(&inventory.endpoint_slices, &key.namespace).map(|(_, slice)| slice).collect();
    let balancer = &inventory.load_balancers[key];
    let service = BalancedService { key, service, balancer, slices: &slices };
    let election = metallb.elect(service).map_err(|ineligible| format!("{ineligible:?}"))?;
    let name = |position: usize| metallb.node_name(position).to_owned();
    let (winner, next, runner_up, candidates) = match election.layer2 {
        Layer2::Nobody(why) => (Err(format!("{why:?}")), None, None, 0),
        Layer2::Elected { winner, next, runner_up, candidates } => {
            (Ok(name(winner)), next.map(name), runner_up.map(name), candidates)
        }
    };
    Ok(Outcome { winner, next, runner_up, candidates, bgp: election.bgp.into_iter().map(name).collect() })
}

fn elect(objects: &[Value], version: MetalLbVersion) -> Result<Outcome, String> {
    elect_with(&inventory_of(objects), version)
}

fn winner(objects: &[Value], version: MetalLbVersion) -> Result<String, String> {
    elect(objects, version)?.winner
}

fn world() -> Vec<Value> {
    let mut objects: Vec<Value> = ["n1", "n2", "n3"]
        .into_iter()
        .flat_map(|name| [node(name, json!({KEY: if name == "n3" { "ndp" } else { "arp" }})), speaker(name)])
        .collect();
    objects.push(pool("default-pool", &["10.6.229.180-10.6.229.190", "2001:db8::/124"]));
    objects.push(layer2(
        "arp",
        json!({"ipAddressPools": ["default-pool"], "nodeSelectors": [{"matchLabels": {KEY: "arp"}}]}),
    ));
    objects.push(ready_on(&["n1", "n2", "n3"]));
    objects
}

/// Returns the world with some objects replaced or added, by kind and name.
fn with(changes: &[Value]) -> Vec<Value> {
    let mut objects = world();
    for change in changes {
        let id = |object: &Value| (object["kind"].clone(), object["metadata"]["name"].clone());
        objects.retain(|object| id(object) != id(change));
        objects.push(change.clone());
    }
    objects
}

#[test]
fn the_lowest_sha256_of_node_and_address_wins() {
    for (address, expected) in HASHES {
        let objects = with(&[service("Local", &[address])]);
        for version in MetalLbVersion::ALL {
            assert_eq!(winner(&objects, version).unwrap(), expected, "{address}");
        }
    }
}

#[test]
fn the_first_address_decides_for_all_and_all_must_be_in_one_pool() {
    let decided =
        |addresses: &[&str]| winner(&with(&[service("Local", addresses)]), MetalLbVersion::default());
    for (address, expected) in HASHES {
        for other in ["10.6.229.181", "2001:db8::2", "2001:db8::3"] {
            assert_eq!(decided(&[address, other]).unwrap(), expected);
        }
    }
    assert_eq!(decided(&["10.6.229.180", "192.0.2.1"]), Err("NoPool(192.0.2.1)".to_owned()));
    assert_eq!(decided(&[]), Err("NoAddress".to_owned()));
    let hostname = with(&[{
        let mut service = service("Local", &["10.6.229.180"]);
        service["status"]["loadBalancer"]["ingress"] =
            json!([{"ip": "10.6.229.180"}, {"hostname": "a.example.com"}]);
        service
    }]);
    assert_eq!(
        winner(&hostname, MetalLbVersion::default()),
        Err("NotAnAddress(\"a.example.com\")".to_owned())
    );
    let two = with(&[service("Local", &["10.6.229.180", "192.0.2.1"]), pool("other", &["192.0.2.0/24"])]);
    assert_eq!(
        winner(&two, MetalLbVersion::default()),
        Err("SeveralPools { one: \"default-pool\", other: \"other\" }".to_owned())
    );
}

#[test]
fn each_node_reports_the_first_obstacle_in_the_speakers_order() {
    use MetalLbVersion::{V0_13_5, V0_15_2, V0_16_2};
    let excluded = json!({KEY: "arp", EXCLUDE_LABEL: ""});
    let unavailable = |labels: Value| {
        let conditions = json!([{"type": "NetworkUnavailable", "status": "True"}]);
        object("Node", "n1", json!({"labels": labels, "status": {"conditions": conditions}}))
    };
    let not_ready = |name: &str| {
        let mut pod = speaker(name);
        pod["ready"] = json!(false);
        pod
    };
    type Case = (Vec<Value>, MetalLbVersion, Option<Obstacle>);
    let cases: Vec<Case> = vec![
        (vec![], V0_16_2, None),
        (vec![not_ready("n1"), unavailable(excluded.clone())], V0_16_2, Some(Obstacle::NoSpeaker)),
        (vec![not_ready("n1")], V0_13_5, Some(Obstacle::NoSpeaker)),
        (vec![unavailable(excluded.clone())], V0_16_2, Some(Obstacle::NetworkUnavailable)),
        (vec![unavailable(json!({KEY: "arp"}))], V0_15_2, Some(Obstacle::NetworkUnavailable)),
        (vec![unavailable(json!({KEY: "arp"}))], V0_13_5, None),
        (vec![node("n1", json!({EXCLUDE_LABEL: "false"}))], V0_15_2, Some(Obstacle::Excluded)),
        (vec![node("n1", excluded)], V0_13_5, None),
        (vec![node("n1", json!({KEY: "ndp"})), ready_on(&["n2"])], V0_16_2, Some(Obstacle::NotSelected)),
        (vec![ready_on(&["n2"])], V0_16_2, Some(Obstacle::NoLocalEndpoint)),
    ];
    for (changes, version, expected) in cases {
        let objects = with(&[changes.clone(), vec![service("Local", &["10.6.229.180"])]].concat());
        let inventory = inventory_of(&objects);
        let metallb = MetalLb::new(NAMESPACE, &inventory, version).unwrap();
        let (key, service) = inventory.services.first_key_value().unwrap();
        let slices: Vec<&EndpointSlice> = inventory.endpoint_slices.values().collect();
        let service =
            BalancedService { key, service, balancer: &inventory.load_balancers[key], slices: &slices };
        assert_eq!(metallb.obstacle(service, 0, 0), expected, "{version}: {changes:?}");
        let Layer2::Elected { winner, next, .. } = metallb.elect(service).unwrap().layer2 else {
            panic!("{changes:?}")
        };
        assert_eq!([Some(winner), next].contains(&Some(0)), expected.is_none(), "{version}: {changes:?}");
    }
}

#[test]
fn the_reason_is_given_if_no_node_is_elected() {
    use MetalLbVersion::{V0_13_5, V0_15_2, V0_16_2};
    let selecting = |name: &str, labels: Value| {
        let spec = json!({
            "ipAddressPools": ["default-pool"],
            "serviceSelectors": [{"matchLabels": labels}],
        });
        layer2(name, spec)
    };
    let shared = |key: &str| {
        let mut service = service("Cluster", &["10.6.229.180"]);
        service["metadata"]["annotations"] = json!({key: "k"});
        service
    };
    let local = || service("Local", &["10.6.229.180"]);
    let terminating = slice(
        "ready",
        json!([{"addresses": ["10.0.0.1"], "nodeName": "n1", "conditions": {"ready": false, "serving": true}}]),
    );
    let nowhere = slice("ready", json!([{"addresses": ["10.0.0.1"]}]));
    let cases = [
        (vec![local(), slice("ready", json!([]))], V0_16_2, Err("NoEndpoint")),
        (vec![local(), terminating.clone()], V0_13_5, Err("NoEndpoint")),
        (vec![local(), terminating], V0_15_2, Ok("n1")),
        (vec![local(), nowhere.clone()], V0_16_2, Err("NoCandidate")),
        (vec![service("Cluster", &["10.6.229.180"]), nowhere], V0_16_2, Ok(HASHES[0].1)),
        (vec![local(), layer2("arp", json!({"ipAddressPools": ["missing"]}))], V0_16_2, Err("NotAdvertised")),
        (
            vec![local(), layer2("arp", json!({"ipAddressPoolSelectors": [{"matchLabels": {"a": "b"}}]}))],
            V0_16_2,
            Err("NotAdvertised"),
        ),
        (vec![local(), selecting("arp", json!({"app": "other"}))], V0_16_2, Err("ServiceNotSelected")),
        (vec![local(), selecting("arp", json!({"app": "other"}))], V0_15_2, Ok("n2")),
        (
            vec![shared("metallb.io/allow-shared-ip"), selecting("more", json!({"istio": "ingressgateway"}))],
            V0_16_2,
            Err("SharedAddress"),
        ),
        (
            vec![
                shared("metallb.universe.tf/allow-shared-ip"),
                selecting("more", json!({"istio": "ingressgateway"})),
            ],
            V0_16_2,
            Err("SharedAddress"),
        ),
        (
            vec![shared("metallb.io/allow-shared-ip"), selecting("more", json!({"istio": "other"}))],
            V0_16_2,
            Ok(HASHES[0].1),
        ),
        (
            vec![local(), layer2("arp", json!({"nodeSelectors": [{"matchLabels": {KEY: "none"}}]}))],
            V0_16_2,
            Err("NoCandidate"),
        ),
        (vec![local(), ready_on(&["n3"])], V0_16_2, Err("NoCandidate")),
    ];
    for (changes, version, expected) in cases {
        let decided = winner(&with(&changes), version);
        assert_eq!(decided.as_deref().map_err(String::as_str), expected, "{version}: {changes:?}");
    }
    let mut inventory = inventory_of(&with(&[local()]));
    inventory.metallb.lacks_memberlist = true;
    assert_eq!(elect_with(&inventory, V0_13_5).unwrap().winner, Err("NoMemberlist".to_owned()));
    inventory.speakers.clear();
    let local = elect_with(&inventory, V0_15_2).unwrap();
    assert_eq!(
        (local.winner.as_deref(), local.runner_up),
        (Ok(HASHES[0].1), None),
        "no speaker knows that another stopped"
    );
    assert!(local.next.is_some(), "the endpoints of a node that fails are gone");
    let mut cluster = inventory_of(&with(&[service("Cluster", &[HASHES[0].0])]));
    cluster.metallb.lacks_memberlist = true;
    let cluster = elect_with(&cluster, V0_15_2).unwrap();
    assert_eq!((cluster.winner.as_deref(), cluster.next), (Ok(HASHES[0].1), None), "the node stays elected");
}

#[test]
fn preferences_order_the_candidates_of_advertisements_that_select_them() {
    let preferring = |selector: Value, value: &str| {
        layer2(
            "more",
            json!({
                "ipAddressPools": ["default-pool"],
                "nodeSelectors": [selector],
                "preferredNodeSelectors": [{"weight": 10, "preference": {"matchLabels": {"name": value}}}],
            }),
        )
    };
    let named = ["n1", "n2", "n3"]
        .map(|name| node(name, json!({KEY: if name == "n3" { "ndp" } else { "arp" }, "name": name})));
    let decided = |preferring: Value, version| {
        winner(
            &with(&[named.to_vec(), vec![service("Local", &["10.6.229.180"]), preferring]].concat()),
            version,
        )
        .unwrap()
    };
    for name in ["n1", "n2", "n3"] {
        assert_eq!(decided(preferring(json!({}), name), MetalLbVersion::V0_16_2), name);
    }
    // 0.15.2 has no preferences, and those of an advertisement do not count for nodes that it does not select.
    let without = decided(preferring(json!({}), "none"), MetalLbVersion::V0_15_2);
    for name in ["n1", "n2", "n3"] {
        assert_eq!(decided(preferring(json!({}), name), MetalLbVersion::V0_15_2), without);
    }
    let only_n2 = json!({"matchLabels": {"name": "n2"}});
    assert_eq!(decided(preferring(only_n2.clone(), "n2"), MetalLbVersion::V0_16_2), "n2");
    assert_eq!(decided(preferring(only_n2, "n1"), MetalLbVersion::V0_16_2), HASHES[0].1);
}

#[test]
fn bgp_announces_from_every_selected_node_with_an_endpoint() {
    use MetalLbVersion::{V0_13_5, V0_15_2, V0_16_2};
    let every = || bgp("every", json!({}));
    let on = |value: &str, more: Value| {
        let mut spec = json!({"nodeSelectors": [{"matchLabels": {KEY: value}}]});
        spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        spec
    };
    let local = || service("Local", &["10.6.229.180"]);
    let excluded = node("n1", json!({KEY: "arp", EXCLUDE_LABEL: ""}));
    // One pod with two ports, of which one is not ready.
    let half = [
        slice("ready", json!([{"addresses": ["10.0.0.1"], "nodeName": "n1", "conditions": {"ready": true}}])),
        slice(
            "unready",
            json!([{"addresses": ["10.0.0.1"], "nodeName": "n1", "conditions": {"ready": false}}]),
        ),
    ];
    let cases: Vec<(Vec<Value>, MetalLbVersion, &[&str])> = vec![
        (vec![local(), every()], V0_16_2, &["n1", "n2", "n3"]),
        (vec![local(), every(), ready_on(&["n2"])], V0_16_2, &["n2"]),
        (
            vec![service("Cluster", &["10.6.229.180"]), every(), ready_on(&["n2"])],
            V0_16_2,
            &["n1", "n2", "n3"],
        ),
        (vec![service("Cluster", &["10.6.229.180"]), every(), slice("ready", json!([]))], V0_16_2, &[]),
        (vec![local(), bgp("arp", on("arp", json!({})))], V0_15_2, &["n1", "n2"]),
        (vec![local(), every(), excluded.clone()], V0_15_2, &["n2", "n3"]),
        (vec![local(), every(), excluded], V0_13_5, &["n1", "n2", "n3"]),
        (
            vec![local(), bgp("a", json!({"serviceSelectors": [{"matchLabels": {"app": "other"}}]}))],
            V0_16_2,
            &[],
        ),
        (
            vec![local(), bgp("a", json!({"serviceSelectors": [{"matchLabels": {"app": "other"}}]}))],
            V0_15_2,
            &["n1", "n2", "n3"],
        ),
        ([half.to_vec(), vec![local(), every()]].concat(), V0_15_2, &[]),
        ([half.to_vec(), vec![local(), every()]].concat(), V0_16_2, &["n1"]),
        // Nodes of both advertisements would send contradicting updates. The parser does not see it, because Services
        // are selected.
        (
            vec![
                local(),
                bgp(
                    "a",
                    json!({"localPref": 1, "serviceSelectors": [{"matchLabels": {"istio": "ingressgateway"}}]}),
                ),
                bgp("b", on("arp", json!({"localPref": 2}))),
            ],
            V0_16_2,
            &["n3"],
        ),
        // The parser sees this one: only the speakers that read both advertisements reject their configuration.
        (
            vec![local(), bgp("a", json!({"localPref": 1})), bgp("b", on("arp", json!({"localPref": 2})))],
            V0_16_2,
            &["n3"],
        ),
        (vec![local(), bgp("a", json!({"peers": ["p", "p"]})), bgp("b", on("ndp", json!({})))], V0_16_2, &[]),
        (
            vec![local(), bgp("a", on("arp", json!({"peers": ["p", "p"]}))), bgp("b", json!({}))],
            V0_16_2,
            &["n3"],
        ),
    ];
    for (changes, version, expected) in cases {
        let outcome = elect(&with(&changes), version).unwrap();
        assert_eq!(outcome.bgp, expected, "{version}: {changes:?}");
    }
}

#[test]
fn a_configuration_is_rejected_as_metallb_rejects_it() {
    use MetalLbVersion::{V0_13_5, V0_15_2, V0_16_2};
    let arp = json!({"matchLabels": {KEY: "arp"}});
    let operator = |operator: &str, values: &[&str]| json!({"nodeSelectors": [{"matchExpressions": [{"key": KEY, "operator": operator, "values": values}]}]});
    let conflict = || vec![bgp("a", json!({"localPref": 1})), bgp("b", json!({"localPref": 2}))];
    let pref = |selector: Value| json!({"preferredNodeSelectors": [{"weight": 1, "preference": selector}]});
    let broken = json!({"matchExpressions": [{"key": KEY, "operator": "Gt", "values": ["1"]}]});
    let allocation = |allocation: Value| {
        object(
            "IPAddressPool",
            "more",
            json!({"spec": {"addresses": ["192.0.2.0/24"], "serviceAllocation": allocation}}),
        )
    };
    let legacy = |name: &str, spec: Value| object("AddressPool", name, json!({"spec": spec}));
    let cases: Vec<(Vec<Value>, MetalLbVersion, Option<&str>)> = vec![
        (vec![], V0_16_2, None),
        (
            vec![layer2("more", operator("Gt", &["1"]))],
            V0_13_5,
            Some(
                "L2Advertisement `more`: spec.nodeSelectors[0].matchExpressions[0].operator: `Gt` is not a label selector operator: use In, NotIn, Exists or DoesNotExist",
            ),
        ),
        (
            vec![layer2("more", json!({"nodeSelectors": [arp, arp]}))],
            V0_16_2,
            Some(
                "L2Advertisement `more`: spec.nodeSelectors[1]: duplicate selector: remove one, because MetalLB rejects duplicates",
            ),
        ),
        (
            vec![layer2("more", json!({"nodeSelectors": [{}, {"matchLabels": {}}]}))],
            V0_15_2,
            Some(
                "L2Advertisement `more`: spec.nodeSelectors[1]: duplicate selector: remove one, because MetalLB rejects duplicates",
            ),
        ),
        (
            vec![layer2("more", json!({"ipAddressPools": ["a", "a"]}))],
            V0_15_2,
            Some(
                "L2Advertisement `more`: spec.ipAddressPools[1]: duplicate pool: remove one, because MetalLB rejects duplicates",
            ),
        ),
        (vec![layer2("more", json!({"serviceSelectors": [broken]}))], V0_15_2, None),
        (
            vec![layer2("more", json!({"serviceSelectors": [broken]}))],
            V0_16_2,
            Some(
                "L2Advertisement `more`: spec.serviceSelectors[0].matchExpressions[0].operator: `Gt` is not a label selector operator: use In, NotIn, Exists or DoesNotExist",
            ),
        ),
        (vec![layer2("more", pref(broken.clone()))], V0_15_2, None),
        (
            vec![layer2("more", pref(broken))],
            V0_16_2,
            Some(
                "L2Advertisement `more`: spec.preferredNodeSelectors[0].preference.matchExpressions[0].operator: `Gt` is not a label selector operator: use In, NotIn, Exists or DoesNotExist",
            ),
        ),
        (
            vec![pool("more", &[])],
            V0_16_2,
            Some("IPAddressPool `more`: spec.addresses: it is empty: list at least one prefix or range"),
        ),
        (
            vec![pool("more", &["192.0.2.0"])],
            V0_16_2,
            Some(
                "IPAddressPool `more`: spec.addresses[0]: `192.0.2.0`: it is no CIDR prefix such as `192.0.2.0/24` and no range such as `192.0.2.1-192.0.2.9`",
            ),
        ),
        (
            vec![pool("more", &["10.6.229.190-10.6.229.200"])],
            V0_16_2,
            Some(
                "IPAddressPool `more`: spec.addresses: the addresses 10.6.229.190-10.6.229.200 overlap 10.6.229.180-10.6.229.190 of pool `default-pool`: give each address to one pool",
            ),
        ),
        (
            vec![pool("more", &["192.0.2.0/24", "192.0.2.7/32"])],
            V0_13_5,
            Some(
                "IPAddressPool `more`: spec.addresses: the addresses 192.0.2.7-192.0.2.7 overlap 192.0.2.0-192.0.2.255 of pool `more`: give each address to one pool",
            ),
        ),
        (vec![pool("more", &["192.0.2.1-2001:db8:1::1"])], V0_15_2, None),
        (
            vec![pool("more", &["192.0.2.1-2001:db8:1::1"])],
            V0_16_2,
            Some(
                "IPAddressPool `more`: spec.addresses[0]: `192.0.2.1-2001:db8:1::1`: the range starts in one address family and ends in the other",
            ),
        ),
        (vec![allocation(json!({"namespaces": ["a", "a"]}))], V0_13_5, None),
        (
            vec![allocation(json!({"namespaces": ["a", "a"]}))],
            V0_15_2,
            Some(
                "IPAddressPool `more`: spec.serviceAllocation.namespaces[1]: duplicate namespace: remove one",
            ),
        ),
        (
            vec![bgp("a", json!({"aggregationLength": 24}))],
            V0_15_2,
            Some(
                "BGPAdvertisement `a`: spec.aggregationLength: `24` is shorter than the prefix /30 of the addresses 10.6.229.180-10.6.229.190 in pool `default-pool`",
            ),
        ),
        (vec![bgp("a", json!({"aggregationLength": 30}))], V0_15_2, None),
        (
            vec![bgp("a", json!({"aggregationLengthV6": 129}))],
            V0_13_5,
            Some("BGPAdvertisement `a`: spec.aggregationLengthV6: `129` is more than 128"),
        ),
        (
            vec![bgp("a", json!({"communities": ["1:1", "1:1"]}))],
            V0_13_5,
            Some("BGPAdvertisement `a`: spec.communities[1]: duplicate name: remove one"),
        ),
        (conflict(), V0_13_5, None),
        (
            conflict(),
            V0_15_2,
            Some(
                "BGPAdvertisement `b`: spec.localPref: `a` announces pool `default-pool` with another value: set the same value in both",
            ),
        ),
        (conflict(), V0_16_2, None),
        (vec![legacy("old", json!({"protocol": "layer2", "addresses": ["192.0.2.0/24"]}))], V0_13_5, None),
        (
            vec![legacy("default-pool", json!({"protocol": "layer2", "addresses": ["192.0.2.0/24"]}))],
            V0_13_5,
            Some("AddressPool `default-pool`: an IPAddressPool of the same name exists: rename one of them"),
        ),
        (
            vec![legacy("old", json!({"addresses": ["192.0.2.0/24"]}))],
            V0_13_5,
            Some("AddressPool `old`: spec.protocol: set `layer2` or `bgp`"),
        ),
        (vec![legacy("old", json!({"addresses": ["192.0.2.0/24"]}))], V0_15_2, None),
        // Only written advertisements are compared with the ranges.
        (
            vec![legacy("old", json!({"protocol": "bgp", "addresses": ["::ffff:192.0.2.0/124"]}))],
            V0_13_5,
            None,
        ),
        (
            vec![legacy(
                "old",
                json!({"protocol": "bgp", "addresses": ["::ffff:192.0.2.0/124"], "bgpAdvertisements": [{}]}),
            )],
            V0_13_5,
            Some(
                "BGPAdvertisement `old`: spec.aggregationLength: `32` is shorter than the prefix /124 of the addresses 192.0.2.0-192.0.2.15 in pool `old`",
            ),
        ),
    ];
    for (changes, version, expected) in cases {
        let decided =
            winner(&with(&[changes.clone(), vec![service("Local", &["10.6.229.180"])]].concat()), version);
        assert_eq!(decided.err().as_deref(), expected, "{version}: {changes:?}");
    }
}

#[test]
fn a_legacy_pool_is_announced_from_every_node_by_0_13_5_only() {
    let legacy = |protocol: &str| {
        object("AddressPool", "old", json!({"spec": {"protocol": protocol, "addresses": ["192.0.2.0/24"]}}))
    };
    let objects = |protocol| with(&[service("Local", &["192.0.2.1"]), legacy(protocol), ready_on(&["n3"])]);
    assert_eq!(winner(&objects("layer2"), MetalLbVersion::V0_13_5), Ok("n3".to_owned()));
    let outcome = elect(&objects("bgp"), MetalLbVersion::V0_13_5).unwrap();
    assert_eq!((outcome.winner, outcome.bgp), (Err("NotAdvertised".to_owned()), vec!["n3".to_owned()]));
    assert_eq!(winner(&objects("layer2"), MetalLbVersion::V0_15_2), Err("NoPool(192.0.2.1)".to_owned()));
}

#[test]
fn a_node_failure_removes_its_pods_and_may_leave_no_announcer() {
    let outcome = |policy, nodes: &[&str]| {
        elect(&with(&[service(policy, &["10.6.229.180"]), ready_on(nodes)]), MetalLbVersion::default())
            .unwrap()
    };
    let first = HASHES[0].1;
    let other = if first == "n1" { "n2" } else { "n1" };
    let both = outcome("Local", &["n1", "n2"]);
    assert_eq!(
        (both.winner, both.next, both.runner_up),
        (Ok(first.into()), Some(other.into()), Some(other.into()))
    );
    let one = outcome("Local", &["n1"]);
    assert_eq!((one.next, one.runner_up, one.candidates), (None, None, 1));
    let last = outcome("Cluster", &[first]);
    assert_eq!((last.winner, last.next, last.runner_up), (Ok(first.into()), None, Some(other.into())));
    assert_eq!(outcome("Cluster", &[other]).next, Some(other.into()));
}

#[test]
fn an_address_is_allocated_from_the_pool_that_metallb_chooses() {
    use MetalLbVersion::{V0_13_5, V0_15_2, V0_16_2};
    let reserved = |name: &str, third: u8, allocation: Value| {
        let addresses = [format!("192.0.{third}.0/24")];
        object(
            "IPAddressPool",
            name,
            json!({"spec": {"addresses": addresses, "serviceAllocation": allocation}}),
        )
    };
    let asking = |annotations: Value, address: &str| {
        let mut service = service("Local", &[]);
        service["metadata"]["annotations"] = annotations;
        service["spec"]["loadBalancerIP"] = json!(address);
        service
    };
    let plain = || asking(json!({}), "");
    let manual = object(
        "IPAddressPool",
        "manual",
        json!({"spec": {"addresses": ["198.51.100.0/24"], "autoAssign": false}}),
    );
    let namespace = |labels: Value| object("Namespace", "istio-system", json!({"labels": labels}));
    let v4 = || {
        let mut service = plain();
        service["spec"]["clusterIPs"] = json!(["10.96.0.1"]);
        service
    };
    let of_families = |cluster_ips: &[&str], policy: &str, address: &str| {
        let mut service = asking(json!({}), address);
        service["spec"]["clusterIPs"] = json!(cluster_ips);
        service["spec"]["ipFamilyPolicy"] = json!(policy);
        service
    };
    let avoiding = |range: &str| {
        let spec = json!({"addresses": [range], "avoidBuggyIPs": true});
        object("IPAddressPool", "avoiding", json!({"spec": spec}))
    };
    const OTHER_FAMILIES: &str = "the requested addresses are not one of each IP family of the Service";
    let cases: Vec<(Vec<Value>, MetalLbVersion, &str)> = vec![
        (vec![plain()], V0_16_2, "any of default-pool"),
        (vec![plain(), pool("more", &["192.0.2.0/24"])], V0_16_2, "any of default-pool, more"),
        (vec![plain(), pool("more", &["2001:db8:1::/64"])], V0_16_2, "any of default-pool, more"),
        (vec![v4(), pool("more", &["2001:db8:1::/64"])], V0_16_2, "any of default-pool"),
        (vec![plain(), manual.clone()], V0_16_2, "any of default-pool"),
        (
            vec![asking(json!({"metallb.io/address-pool": "manual"}), ""), manual.clone()],
            V0_16_2,
            "asks for manual",
        ),
        (
            vec![asking(json!({"metallb.io/address-pool": "manual"}), ""), manual.clone()],
            V0_13_5,
            "any of default-pool",
        ),
        (
            vec![asking(json!({"metallb.universe.tf/address-pool": "manual"}), ""), manual.clone()],
            V0_13_5,
            "asks for manual",
        ),
        (
            vec![
                asking(
                    json!({"metallb.io/address-pool": "", "metallb.universe.tf/address-pool": "manual"}),
                    "",
                ),
                manual.clone(),
            ],
            V0_15_2,
            "any of default-pool",
        ),
        (vec![asking(json!({"metallb.io/address-pool": "none"}), "")], V0_16_2, "there is no pool `none`"),
        (vec![asking(json!({}), "198.51.100.7"), manual.clone()], V0_16_2, "address in manual"),
        (
            vec![
                asking(json!({"metallb.io/loadBalancerIPs": "198.51.100.7, 2001:db8::1"}), ""),
                manual.clone(),
            ],
            V0_16_2,
            "the requested addresses are in different pools",
        ),
        (
            vec![asking(json!({"metallb.io/loadBalancerIPs": "10.6.229.180, 2001:db8::1"}), "")],
            V0_16_2,
            "address in default-pool",
        ),
        (
            vec![asking(json!({"metallb.io/loadBalancerIPs": "10.6.229.180"}), "10.6.229.180")],
            V0_16_2,
            "the annotation `loadBalancerIPs` and `spec.loadBalancerIP` are both set: remove one",
        ),
        (
            vec![asking(json!({"metallb.io/address-pool": "default-pool"}), "198.51.100.7"), manual.clone()],
            V0_16_2,
            "the requested address is in pool `manual`, not in the requested pool `default-pool`",
        ),
        (
            vec![asking(json!({"metallb.universe.tf/address-pool": "default-pool"}), "198.51.100.7"), manual],
            V0_13_5,
            "address in manual",
        ),
        (
            vec![asking(json!({"metallb.io/loadBalancerIPs": "10.6.229.180,10.6.229.181"}), "")],
            V0_16_2,
            OTHER_FAMILIES,
        ),
        (vec![of_families(&["fd00::1"], "SingleStack", "10.6.229.180")], V0_16_2, OTHER_FAMILIES),
        (
            vec![of_families(&["10.96.0.1", "fd00::1"], "PreferDualStack", "10.6.229.180")],
            V0_16_2,
            OTHER_FAMILIES,
        ),
        (
            vec![asking(json!({}), "192.0.2.0"), avoiding("192.0.2.0/24")],
            V0_16_2,
            "no pool has the address 192.0.2.0",
        ),
        (vec![asking(json!({}), "192.0.2.1"), avoiding("192.0.2.0/24")], V0_16_2, "address in avoiding"),
        (
            vec![of_families(&["10.96.0.1"], "SingleStack", ""), avoiding("192.0.2.255-192.0.3.0")],
            V0_16_2,
            "any of default-pool",
        ),
        (
            vec![of_families(&["10.96.0.1"], "SingleStack", ""), avoiding("192.0.2.254-192.0.3.0")],
            V0_16_2,
            "any of avoiding, default-pool",
        ),
        (
            vec![
                of_families(&["10.96.0.1", "fd00::1"], "PreferDualStack", ""),
                pool("more", &["192.0.2.0/24"]),
            ],
            V0_16_2,
            "any of default-pool",
        ),
        (
            vec![
                of_families(&["fd00::1", "10.96.0.1"], "PreferDualStack", ""),
                pool("default-pool", &["192.0.2.0/24"]),
                pool("more", &["2001:db8:1::/64"]),
            ],
            V0_16_2,
            "any of more",
        ),
        (vec![asking(json!({}), "203.0.113.1")], V0_16_2, "no pool has the address 203.0.113.1"),
        (vec![asking(json!({}), "here")], V0_16_2, "`here` is not an IP address"),
        (vec![plain(), reserved("a", 1, json!({}))], V0_16_2, "a"),
        (vec![plain(), reserved("a", 1, json!({}))], V0_13_5, "any of a, default-pool"),
        (vec![plain(), reserved("a", 1, json!({"namespaces": ["other"]}))], V0_16_2, "any of default-pool"),
        (
            vec![
                plain(),
                reserved("a", 1, json!({"priority": 2, "namespaces": ["istio-system"]})),
                reserved("b", 2, json!({"priority": 1})),
                reserved("c", 3, json!({})),
                reserved("d", 4, json!({"priority": 2})),
            ],
            V0_16_2,
            "b then a, d then c",
        ),
        (
            vec![
                plain(),
                reserved(
                    "a",
                    1,
                    json!({"namespaces": ["istio-system"], "serviceSelectors": [{"matchLabels": {"app": "other"}}]}),
                ),
            ],
            V0_16_2,
            "any of default-pool",
        ),
        (
            vec![
                plain(),
                namespace(json!({"team": "edge"})),
                reserved("a", 1, json!({"namespaceSelectors": [{"matchLabels": {"team": "edge"}}]})),
            ],
            V0_16_2,
            "a",
        ),
        (
            vec![
                plain(),
                namespace(json!({})),
                reserved("a", 1, json!({"namespaceSelectors": [{"matchLabels": {"team": "edge"}}]})),
            ],
            V0_16_2,
            "any of default-pool",
        ),
        (
            vec![
                asking(json!({"metallb.io/address-pool": "a"}), ""),
                reserved("a", 1, json!({"namespaces": ["other"]})),
            ],
            V0_16_2,
            "pool `a` is reserved for other Services by its `serviceAllocation`",
        ),
    ];
    for (changes, version, expected) in cases {
        let objects = with(&changes);
        let inventory = inventory_of(&objects);
        let metallb = MetalLb::new(NAMESPACE, &inventory, version).unwrap();
        let (key, service) = inventory.services.first_key_value().unwrap();
        let service = BalancedService { key, service, balancer: &inventory.load_balancers[key], slices: &[] };
        let names = |pools: &[usize]| {
            pools
                .iter()
                .map(|pool| metallb.configuration().pools[*pool].name.clone())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let told = match metallb.origin(service) {
            Err(error) => error.to_string(),
            Ok(Origin::Address(pool)) => format!("address in {}", names(&[pool])),
            Ok(Origin::Requested(pool)) => format!("asks for {}", names(&[pool])),
            Ok(Origin::Reserved(ranks)) => {
                ranks.iter().map(|rank| names(rank)).collect::<Vec<_>>().join(" then ")
            }
            Ok(Origin::Any(pools)) => format!("any of {}", names(&pools)),
        };
        assert_eq!(told, expected, "{version}: {changes:?}");
    }
}

/// A cluster may have thousands of Services and thousands of pools. A list of pools for each Service would take gigabytes.
#[test]
fn services_that_ask_for_no_address_share_the_list_of_pools() {
    let objects = with(&[service("Local", &[]), pool("other", &["198.51.100.0/24"])]);
    let inventory = inventory_of(&objects);
    let metallb = MetalLb::new(NAMESPACE, &inventory, MetalLbVersion::default()).unwrap();
    let (key, service) = inventory.services.first_key_value().unwrap();
    let balancer = &inventory.load_balancers[key];
    let another = ObjectKey { name: "another".to_owned(), ..key.clone() };
    let lists = [key, &another].map(|key| {
        match metallb.origin(BalancedService { key, service, balancer, slices: &[] }) {
            Ok(Origin::Any(pools)) => pools,
            other => panic!("{other:?}"),
        }
    });
    assert!(lists[0].len() > 1 && Arc::ptr_eq(&lists[0], &lists[1]), "{lists:?}");
}

/// The announcing nodes of each advertisement vector, as MetalLB 0.16.2's own parser returns them; `None` if it
/// rejects the configuration. Of the nodes, n1 and n2 have the placement label, n3 has another value, n4 no label, and
/// n5 an empty value.
#[test]
fn advertisements_announce_from_the_nodes_that_metallb_names() {
    const HOST: &str = "kubernetes.io/hostname";
    const ZONE: &str = "topology.kubernetes.io/zone";
    let nodes = [
        ("n1", "a", Some("arp")),
        ("n2", "b", Some("arp")),
        ("n3", "a", Some("ndp")),
        ("n4", "b", None),
        ("n5", "b", Some("")),
    ];
    let is = |value: &str| json!({"matchLabels": {KEY: value}});
    let expression = |key: &str, operator: &str, values: &[&str]| json!({"key": key, "operator": operator, "values": values});
    let on = |selectors: Value| json!({"ipAddressPools": ["default-pool"], "nodeSelectors": selectors});
    let arp = || on(json!([is("arp")]));
    let every = || json!({"ipAddressPools": ["default-pool"]});
    type Vector = (&'static str, Value, Option<Value>, Option<&'static [&'static str]>);
    const BOTH: Option<&[&str]> = Some(&["n1", "n2"]);
    const ALL: Option<&[&str]> = Some(&["n1", "n2", "n3", "n4", "n5"]);
    let vectors: Vec<Vector> = vec![
        ("V01", arp(), None, BOTH),
        ("V02", every(), None, ALL),
        ("V04", on(json!([{}])), None, ALL),
        ("V05", on(json!([{"matchExpressions": [expression(KEY, "In", &["arp"])]}])), None, BOTH),
        (
            "V06",
            on(json!([{"matchExpressions": [expression(KEY, "In", &["arp", "ndp"])]}])),
            None,
            Some(&["n1", "n2", "n3"]),
        ),
        ("V08", on(json!([is("arp"), is("ndp")])), None, Some(&["n1", "n2", "n3"])),
        (
            "V10",
            on(
                json!([{"matchLabels": {KEY: "arp", ZONE: "a"}}, {"matchLabels": {KEY: "arp"}, "matchExpressions": [expression(ZONE, "NotIn", &["a"])]}]),
            ),
            None,
            BOTH,
        ),
        ("V12", on(json!([is("ARP")])), None, Some(&[])),
        ("V16", on(json!([{"matchExpressions": [expression(HOST, "In", &["n1", "n2"])]}])), None, BOTH),
        (
            "V19",
            on(
                json!([{"matchLabels": {KEY: "arp"}, "matchExpressions": [expression(KEY, "NotIn", &["arp"])]}]),
            ),
            None,
            Some(&[]),
        ),
        ("V22", on(json!([{"matchExpressions": [expression(KEY, "Gt", &["1"])]}])), None, None),
        ("V25", json!({"nodeSelectors": [is("arp")]}), None, BOTH),
        ("V26", json!({}), None, ALL),
        ("V27", json!({"ipAddressPools": ["other-pool"]}), None, Some(&[])),
        ("V28", json!({"ipAddressPoolSelectors": [{"matchLabels": {"tier": "ingress"}}]}), None, ALL),
        ("V31", json!({"ipAddressPools": ["missing"]}), None, Some(&[])),
        ("V35", every(), Some(arp()), ALL),
        ("V36", on(json!([{"matchLabels": {KEY: "arp", ZONE: "a"}}])), Some(arp()), BOTH),
        (
            "V39",
            json!({"ipAddressPools": ["default-pool"], "serviceSelectors": [{"matchLabels": {"istio": "ingressgateway"}}]}),
            None,
            ALL,
        ),
        (
            "V40",
            json!({"ipAddressPools": ["default-pool"], "nodeSelectors": [is("arp")], "preferredNodeSelectors": [{"weight": 100, "preference": {"matchLabels": {HOST: "n4"}}}]}),
            None,
            BOTH,
        ),
        ("V42", on(json!([is("arp"), is("arp")])), None, None),
        (
            "V46",
            on(json!([is("arp"), {"matchExpressions": [expression(KEY, "DoesNotExist", &[])]}])),
            None,
            Some(&["n1", "n2", "n4"]),
        ),
    ];
    for (id, spec, existing, expected) in vectors {
        let mut objects: Vec<Value> = nodes
            .iter()
            .map(|(name, zone, value)| {
                let mut labels = json!({HOST: name, ZONE: zone});
                if let Some(value) = value {
                    labels[KEY] = json!(value);
                }
                node(name, labels)
            })
            .collect();
        objects.extend(nodes.iter().map(|(name, ..)| speaker(name)));
        objects.push(object(
            "IPAddressPool",
            "default-pool",
            json!({"labels": {"tier": "ingress"}, "spec": {"addresses": ["192.0.2.0/28"]}}),
        ));
        objects.push(object(
            "IPAddressPool",
            "other-pool",
            json!({"labels": {"tier": "internal"}, "spec": {"addresses": ["198.51.100.0/28"]}}),
        ));
        objects.push(layer2("new", spec));
        objects.extend(existing.map(|spec| layer2("existing", spec)));
        objects.push(service("Local", &["192.0.2.1"]));
        objects.push(ready_on(&["n1", "n2", "n3", "n4", "n5"]));
        let inventory = inventory_of(&objects);
        let announcing = MetalLb::new(NAMESPACE, &inventory, MetalLbVersion::V0_16_2).ok().map(|metallb| {
            let (key, service) = inventory.services.first_key_value().unwrap();
            let slices: Vec<&EndpointSlice> = inventory.endpoint_slices.values().collect();
            let service =
                BalancedService { key, service, balancer: &inventory.load_balancers[key], slices: &slices };
            let pool = metallb.elect(service).unwrap().pool;
            (0..5)
                .filter(|node| metallb.obstacle(service, pool, *node).is_none())
                .map(|node| metallb.node_name(node).to_owned())
                .collect::<Vec<_>>()
        });
        assert_eq!(
            announcing,
            expected.map(|nodes| nodes.iter().map(|&node| node.to_owned()).collect()),
            "{id}"
        );
    }
}

/// A small cluster of random nodes, advertisements and endpoints.
#[derive(Debug, Clone)]
struct World {
    nodes: Vec<(usize, bool, bool)>,
    advertisements: Vec<Value>,
    endpoints: Vec<(usize, Option<bool>, Option<bool>)>,
    is_local: bool,
    is_shared: bool,
    version: MetalLbVersion,
    address: u8,
}

const VALUES: [&str; 4] = ["arp", "ndp", "", "other"];

impl World {
    fn objects(&self) -> Vec<Value> {
        let mut objects = vec![pool("default-pool", &["10.6.229.0/24"])];
        for (position, (value, is_excluded, has_speaker)) in self.nodes.iter().enumerate() {
            let name = format!("n{position}");
            let mut labels = json!({KEY: VALUES[*value], "name": name});
            if *is_excluded {
                labels[EXCLUDE_LABEL] = json!("");
            }
            objects.push(node(&name, labels));
            objects.extend(has_speaker.then(|| speaker(&name)));
        }
        let advertisements = self.advertisements.iter().enumerate();
        objects.extend(advertisements.map(|(position, spec)| layer2(&format!("a{position}"), spec.clone())));
        let endpoints = self.endpoints.iter().enumerate().map(|(position, (node, ready, serving))| {
            let mut conditions = json!({});
            if let Some(ready) = ready {
                conditions["ready"] = json!(ready);
            }
            if let Some(serving) = serving {
                conditions["serving"] = json!(serving);
            }
            json!({"addresses": [format!("10.0.0.{position}")], "nodeName": format!("n{node}"), "conditions": conditions})
        });
        objects.push(slice("endpoints", endpoints.collect()));
        let policy = if self.is_local { "Local" } else { "Cluster" };
        let mut service = service(policy, &[&format!("10.6.229.{}", self.address)]);
        if self.is_shared {
            service["metadata"]["annotations"] = json!({"metallb.io/allow-shared-ip": "k"});
        }
        objects.push(service);
        objects
    }

    /// Returns the winner and all candidates by name; `None` if no speaker elects a node.
    fn decide(&self, objects: &[Value]) -> (Option<String>, Vec<String>) {
        let inventory = inventory_of(objects);
        let metallb = MetalLb::new(NAMESPACE, &inventory, self.version).unwrap();
        let (key, service) = inventory.services.first_key_value().unwrap();
        let slices: Vec<&EndpointSlice> = inventory.endpoint_slices.values().collect();
        let service =
            BalancedService { key, service, balancer: &inventory.load_balancers[key], slices: &slices };
        let Layer2::Elected { winner, candidates, .. } = metallb.elect(service).unwrap().layer2 else {
            return (None, Vec::new());
        };
        let eligible = (0..self.nodes.len()).filter(|node| metallb.obstacle(service, 0, *node).is_none());
        let names: Vec<String> = eligible.map(|node| metallb.node_name(node).to_owned()).collect();
        assert_eq!(names.len(), candidates);
        (Some(metallb.node_name(winner).to_owned()), names)
    }
}

impl World {
    /// Returns the nodes that announce by BGP with these advertisements; `None` if MetalLB rejects them.
    fn announce_by_bgp(&self, advertisements: &[Value]) -> Option<Vec<String>> {
        let mut objects = self.objects();
        let advertisements = advertisements.iter().enumerate();
        objects.extend(advertisements.map(|(position, spec)| bgp(&format!("b{position}"), spec.clone())));
        let inventory = inventory_of(&objects);
        let metallb = MetalLb::new(NAMESPACE, &inventory, self.version).ok()?;
        let (key, service) = inventory.services.first_key_value().unwrap();
        let slices: Vec<&EndpointSlice> = inventory.endpoint_slices.values().collect();
        let service =
            BalancedService { key, service, balancer: &inventory.load_balancers[key], slices: &slices };
        let announcing =
            (0..self.nodes.len()).filter(|node| metallb.bgp_obstacle(service, 0, *node).is_none());
        Some(announcing.map(|node| metallb.node_name(node).to_owned()).collect())
    }
}

fn random_advertisement() -> impl Strategy<Value = Value> {
    let selector = prop_oneof![
        3 => (0..VALUES.len()).prop_map(|value| json!({"matchLabels": {KEY: VALUES[value]}})),
        1 => Just(json!({})),
        1 => (0..6_usize).prop_map(|name| json!({"matchExpressions": [{"key": "name", "operator": "NotIn", "values": [format!("n{name}")]}]})),
    ];
    let service = prop_oneof![Just(None), Just(Some("istio-ingressgateway")), Just(Some("other"))];
    let preferred = prop::option::of((1..100_i64, 0..6_usize));
    let pool = prop_oneof![4 => Just(Some("default-pool")), 1 => Just(None), 1 => Just(Some("missing"))];
    (prop::option::of(selector), service, preferred, pool).prop_map(|(selector, service, preferred, pool)| {
        let mut spec = json!({});
        if let Some(pool) = pool {
            spec["ipAddressPools"] = json!([pool]);
        }
        if let Some(selector) = selector {
            spec["nodeSelectors"] = json!([selector]);
        }
        if let Some(app) = service {
            spec["serviceSelectors"] = json!([{"matchLabels": {"app": app}}]);
        }
        if let Some((weight, name)) = preferred {
            spec["preferredNodeSelectors"] =
                json!([{"weight": weight, "preference": {"matchLabels": {"name": format!("n{name}")}}}]);
        }
        spec
    })
}

fn random_bgp_advertisement() -> impl Strategy<Value = Value> {
    let preference = prop::option::weighted(0.3, prop::sample::select(vec![100, 200]));
    (random_advertisement(), preference).prop_map(|(mut spec, preference)| {
        spec.as_object_mut().unwrap().remove("preferredNodeSelectors");
        if let Some(preference) = preference {
            spec["localPref"] = json!(preference);
        }
        spec
    })
}

fn random_world() -> impl Strategy<Value = World> {
    let nodes = prop::collection::vec(
        (0..VALUES.len(), prop::bool::weighted(0.15), prop::bool::weighted(0.85)),
        1..7,
    );
    let conditions = prop::option::of(any::<bool>());
    let endpoints = prop::collection::vec((0..7_usize, conditions.clone(), conditions), 0..7);
    let version = prop::sample::select(MetalLbVersion::ALL.to_vec());
    let advertisements = prop::collection::vec(random_advertisement(), 0..4);
    (nodes, advertisements, endpoints, any::<bool>(), prop::bool::weighted(0.2), version, any::<u8>())
        .prop_map(|(nodes, advertisements, endpoints, is_local, is_shared, version, address)| World {
            nodes,
            advertisements,
            endpoints,
            is_local,
            is_shared,
            version,
            address,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_winner_is_a_candidate(world in random_world()) {
        let (winner, candidates) = world.decide(&world.objects());
        prop_assert_eq!(winner.is_none(), candidates.is_empty());
        prop_assert!(winner.is_none_or(|winner| candidates.contains(&winner)));
    }

    #[test]
    fn the_order_of_objects_changes_nothing(world in random_world()) {
        let mut turned = world.clone();
        // Objects are stored in the order of names, so reversing the names changes the place of every object.
        turned.advertisements.reverse();
        turned.endpoints.reverse();
        prop_assert_eq!(world.decide(&world.objects()), turned.decide(&turned.objects()));
    }

    #[test]
    fn adding_an_advertisement_removes_no_candidate(world in random_world(), more in random_advertisement()) {
        let (_, before) = world.decide(&world.objects());
        let mut wider = world.clone();
        wider.advertisements.push(more.clone());
        let (_, after) = wider.decide(&wider.objects());
        // MetalLB's own exception: from 0.16 on, no node announces a Service that may share its address if an
        // advertisement selects it by labels.
        let is_exception = world.is_shared && world.version.selects_services() && more.get("serviceSelectors").is_some();
        if !is_exception {
            prop_assert!(before.iter().all(|node| after.contains(node)), "{before:?} {after:?}");
        }
    }

    #[test]
    fn adding_a_bgp_advertisement_removes_no_announcing_node(
        world in random_world(),
        present in prop::collection::vec(random_bgp_advertisement(), 0..4),
        more in random_bgp_advertisement(),
    ) {
        let before = world.announce_by_bgp(&present);
        let all = [present.as_slice(), std::slice::from_ref(&more)].concat();
        let after = world.announce_by_bgp(&all);
        match (&before, &after) {
            (Some(before), Some(after)) => {
                // MetalLB's own exception: advertisements of one prefix with different attributes contradict each other.
                let contradict = present.iter().any(|present| present.get("localPref") != more.get("localPref"));
                prop_assert!(contradict || before.iter().all(|node| after.contains(node)), "{before:?} {after:?}");
            }
            // The same exception, where the speakers reject such advertisements at once.
            (Some(_), None) => {
                prop_assert!(present.iter().any(|present| present.get("localPref") != more.get("localPref")));
            }
            (None, after) => prop_assert!(after.is_none()),
        }
        let turned: Vec<Value> = all.iter().rev().cloned().collect();
        prop_assert_eq!(after, world.announce_by_bgp(&turned));
    }

    #[test]
    fn removing_a_node_that_does_not_announce_moves_no_address(world in random_world(), gone in any::<prop::sample::Index>()) {
        let objects = world.objects();
        let (winner, _) = world.decide(&objects);
        let gone = format!("n{}", gone.index(world.nodes.len()));
        if winner.as_ref() != Some(&gone) {
            let is_gone = |object: &Value| {
                object["kind"] == "Node" && object["metadata"]["name"] == gone.as_str() || object["spec"]["nodeName"] == gone.as_str()
            };
            let rest: Vec<Value> = objects.into_iter().filter(|object| !is_gone(object)).collect();
            let smaller = inventory_of(&rest);
            let outcome = elect_with(&smaller, world.version).unwrap();
            prop_assert_eq!(outcome.winner.ok(), winner);
        }
    }
}
