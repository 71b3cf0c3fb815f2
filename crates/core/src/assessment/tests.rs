//! Tests of assessments: one case for each cause, and kinds that were not read.

#![allow(clippy::needless_pass_by_value, reason = "JSON literals read best in place")]

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Assessment, Assessor, Cause, CauseCode, Outcome};
use crate::election::MetalLbVersion;
use crate::snapshot::from_objects::inventory_of;
use crate::snapshot::{Inventory, Snapshot, Source};

const KEY: &str = "loadbalancerIPs.metallb.io";
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Returns the built-in topology on two gateway nodes and one other node, without any fault.
fn world() -> Vec<Value> {
    let mut objects = vec![topology(json!({}))];
    for name in ["n1", "n2", "n3"] {
        objects.push(node(name, if name == "n3" { json!({}) } else { json!({KEY: "arp"}) }));
        objects.push(speaker(name));
    }
    objects.push(pool("default-pool", &["10.6.229.180-10.6.229.190"]));
    objects.push(layer2(
        "arp",
        json!({"ipAddressPools": ["default-pool"], "nodeSelectors": [{"matchLabels": {KEY: "arp"}}]}),
    ));
    objects.push(service(json!({}), json!({})));
    objects.push(ready_on(&["n1", "n2"]));
    objects.extend([pod("gateway-1", "n1"), pod("gateway-2", "n2")]);
    objects
}

fn object(version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}})
}

fn topology(spec: Value) -> Value {
    let mut topology = object("lockstep.dev/v1alpha1", "GatewayTopology", "edge");
    topology["spec"] = spec;
    topology
}

fn node(name: &str, labels: Value) -> Value {
    let mut node = object("v1", "Node", name);
    node["metadata"]["labels"] = labels;
    node
}

fn tainted(name: &str, labels: Value, key: &str) -> Value {
    let mut node = node(name, labels);
    node["spec"] = json!({"taints": [{"key": key, "value": "ingress", "effect": "NoSchedule"}]});
    node
}

fn unavailable(name: &str) -> Value {
    let mut node = node(name, json!({KEY: "arp"}));
    node["status"] = json!({"conditions": [{"type": "NetworkUnavailable", "status": "True"}]});
    node
}

fn speaker(node: &str) -> Value {
    let mut pod = object("v1", "Pod", &format!("speaker-{node}"));
    pod["metadata"]["namespace"] = json!("metallb-system");
    pod["metadata"]["labels"] = json!({"app": "metallb", "component": "speaker"});
    pod["spec"] = json!({"nodeName": node});
    pod
}

fn dead_speaker(node: &str) -> Value {
    let mut pod = speaker(node);
    pod["ready"] = json!(false);
    pod
}

fn pod(name: &str, node: &str) -> Value {
    let mut pod = object("v1", "Pod", name);
    pod["metadata"]["labels"] = json!({"app": "istio-ingressgateway", "istio": "ingressgateway"});
    pod["spec"] = json!({"nodeName": node});
    pod
}

fn pool(name: &str, addresses: &[&str]) -> Value {
    let mut pool = object("metallb.io/v1beta1", "IPAddressPool", name);
    pool["spec"] = json!({"addresses": addresses});
    pool
}

fn layer2(name: &str, spec: Value) -> Value {
    let mut advertisement = object("metallb.io/v1beta1", "L2Advertisement", name);
    advertisement["spec"] = spec;
    advertisement
}

fn bgp(name: &str, spec: Value) -> Value {
    let mut advertisement = object("metallb.io/v1beta1", "BGPAdvertisement", name);
    advertisement["spec"] = spec;
    advertisement
}

/// Returns the gateway's Service, with some fields of its spec and some annotations replaced.
fn service(spec: Value, annotations: Value) -> Value {
    let mut service = object("v1", "Service", "istio-ingressgateway");
    service["metadata"]["labels"] = json!({"app": "istio-ingressgateway", "istio": "ingressgateway"});
    service["metadata"]["annotations"] = annotations;
    service["spec"] = json!({
        "type": "LoadBalancer",
        "selector": {"app": "istio-ingressgateway", "istio": "ingressgateway"},
        "externalTrafficPolicy": "Local",
    });
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.6.229.180"}]}});
    service["spec"].as_object_mut().unwrap().extend(spec.as_object().cloned().unwrap());
    service
}

fn with_status(addresses: Value) -> Value {
    let mut service = service(json!({}), json!({}));
    service["status"]["loadBalancer"]["ingress"] = addresses;
    service
}

fn endpoints(endpoints: Value) -> Value {
    let mut slice = object("discovery.k8s.io/v1", "EndpointSlice", "gateway");
    slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": "istio-ingressgateway"});
    slice["endpoints"] = endpoints;
    slice
}

fn ready_on(nodes: &[&str]) -> Value {
    endpoints(nodes.iter().map(|node| json!({"addresses": ["10.0.0.1"], "nodeName": node})).collect())
}

/// Returns the world with some objects replaced or added, by kind and name. An object of kind `-Kind` is removed.
fn with(changes: &[Value]) -> Vec<Value> {
    let id = |object: &Value| {
        let kind = object["kind"].as_str().unwrap().trim_start_matches('-').to_owned();
        (kind, object["metadata"]["name"].clone())
    };
    let mut objects = world();
    for change in changes {
        objects.retain(|object| id(object) != id(change));
        if !change["kind"].as_str().unwrap().starts_with('-') {
            objects.push(change.clone());
        }
    }
    objects
}

fn without(kind: &str, name: &str) -> Value {
    object("", &format!("-{kind}"), name)
}

fn assess(inventory: &Inventory) -> Assessment {
    Assessment::of(inventory, MetalLbVersion::default())
}

/// Returns the texts of the first address's outcome and of the findings.
fn told(assessment: &Assessment) -> (String, Vec<String>) {
    let topology = &assessment.topologies[0];
    let cause = |cause: &Cause| format!("{}: {}; {}", cause.code, cause.message, cause.mend);
    let outcome = topology.services.first().map(|service| &service.addresses[0].outcome);
    let outcome = outcome.map_or_else(String::new, |outcome| match outcome.cause() {
        None => outcome.word().to_owned(),
        Some(why) => format!("{} {}", outcome.word(), cause(why)),
    });
    (outcome, topology.findings.iter().map(cause).collect())
}

#[test]
fn a_healthy_gateway_is_preserved_without_findings() {
    let assessment = assess(&inventory_of(&world()));
    assert_eq!(told(&assessment), ("Preserved".to_owned(), vec![]));
    let topology = &assessment.topologies[0];
    let address = &topology.services[0].addresses[0];
    assert_eq!((&*topology.name, &*topology.services[0].policy), ("edge", "Local"));
    assert_eq!(address.address.as_deref(), Some("10.6.229.180"));
    assert_eq!(address.pool.as_deref(), Some("default-pool"));
    assert_eq!((address.announcer.as_deref(), address.next.as_deref()), (Some("n2"), Some("n1")));
    assert!(address.bgp_announcers.is_empty() && assessment.unread.is_empty());
}

#[test]
fn a_pool_that_nothing_announces_is_not_aligned_and_is_reported_once() {
    let aligned = |objects: &[Value]| {
        let assessment = assess(&inventory_of(objects));
        let codes: Vec<_> = assessment.topologies[0].findings.iter().map(|finding| finding.code).collect();
        let [.., aligned] = assessment.topologies[0].conditions();
        ((aligned.status, aligned.reason), codes)
    };
    let unannounced = (Some(false), "NOT_ADVERTISED");
    assert_eq!(aligned(&with(&[without("L2Advertisement", "arp")])), (unannounced, vec![]));
    let idle = with(&[without("L2Advertisement", "arp"), with_status(json!([]))]);
    assert_eq!(aligned(&idle), (unannounced, vec![CauseCode::NotAdvertised]));
}

#[test]
fn a_prefix_of_the_second_address_is_reported_too() {
    let objects = with(&[
        pool("default-pool", &["10.6.229.180-10.6.229.190", "2001:db8::/120"]),
        bgp(
            "wide",
            json!({"ipAddressPools": ["default-pool"], "aggregationLengthV6": 124, "nodeSelectors": [{"matchLabels": {KEY: "arp"}}]}),
        ),
        with_status(json!([{"ip": "10.6.229.180"}, {"ip": "2001:db8::1"}])),
    ]);
    let (outcome, _) = told(&assess(&inventory_of(&objects)));
    assert!(
        outcome.starts_with("Fragile AGGREGATED: BGPAdvertisement `wide` announces 2001:db8::"),
        "{outcome}"
    );
}

/// Returns states by name, as changes of the world.
fn states() -> Vec<(&'static str, Vec<Value>)> {
    let case = |what, changes| (what, changes);
    let named = |labels: Value| json!({"ipAddressPools": ["default-pool"], "nodeSelectors": [{"matchLabels": labels}]});
    let every = || json!({"ipAddressPools": ["default-pool"]});
    let sharing = || {
        let mut other =
            service(json!({"selector": {"app": "other"}}), json!({"metallb.io/allow-shared-ip": "k"}));
        other["metadata"]["name"] = json!("other");
        other
    };
    let node_port = || {
        let mut other = service(json!({"type": "NodePort", "externalTrafficPolicy": "Cluster"}), json!({}));
        other["metadata"]["name"] = json!("by-port");
        other["status"] = json!({});
        other
    };
    let reported = |node: &str| {
        let mut status = object("metallb.io/v1beta1", "ServiceL2Status", "l2-x");
        status["status"] =
            json!({"node": node, "serviceName": "istio-ingressgateway", "serviceNamespace": "istio-system"});
        status
    };
    vec![
        case("the last advertisement is gone", vec![without("L2Advertisement", "arp")]),
        case("no gateway node carries the label", vec![node("n1", json!({})), node("n2", json!({}))]),
        case(
            "the pod runs on a node that nothing selects",
            vec![ready_on(&["n3"]), pod("gateway-1", "n3"), without("Pod", "gateway-2")],
        ),
        case("the advertisement selects by another label", vec![layer2("arp", named(json!({"zone": "a"})))]),
        case(
            "the gateway node is excluded",
            vec![node("n1", json!({KEY: "arp", EXCLUDE: ""})), ready_on(&["n1"])],
        ),
        case("the gateway node's network is unavailable", vec![unavailable("n1"), ready_on(&["n1"])]),
        case(
            "the gateway node is tainted and has no speaker",
            vec![
                tainted("n1", json!({KEY: "arp"}), "dedicated"),
                without("Pod", "speaker-n1"),
                ready_on(&["n1"]),
            ],
        ),
        case("the speaker is not ready", vec![dead_speaker("n1"), dead_speaker("n2")]),
        case("the endpoints name no node", vec![endpoints(json!([{"addresses": ["10.0.0.1"]}]))]),
        case("the endpoints name an unknown node", vec![ready_on(&["n9"])]),
        case(
            "no endpoint is ready",
            vec![endpoints(
                json!([{"addresses": ["10.0.0.1"], "nodeName": "n1", "conditions": {"ready": false}}]),
            )],
        ),
        case("the policy is Cluster", vec![service(json!({"externalTrafficPolicy": "Cluster"}), json!({}))]),
        case(
            "the policy is Cluster and the address is shared",
            vec![
                service(json!({"externalTrafficPolicy": ""}), json!({"metallb.io/allow-shared-ip": "k"})),
                sharing(),
            ],
        ),
        case(
            "the address is shared and an advertisement selects Services",
            vec![
                service(json!({}), json!({"metallb.io/allow-shared-ip": "k"})),
                layer2(
                    "more",
                    json!({"ipAddressPools": ["default-pool"], "nodeSelectors": [{"matchLabels": {KEY: "arp"}}], "serviceSelectors": [{"matchLabels": {"istio": "ingressgateway"}}]}),
                ),
            ],
        ),
        case(
            "no advertisement selects the Service",
            vec![layer2(
                "arp",
                json!({"ipAddressPools": ["default-pool"], "serviceSelectors": [{"matchLabels": {"app": "other"}}]}),
            )],
        ),
        case("one candidate only", vec![ready_on(&["n1"]), without("Pod", "gateway-2")]),
        case(
            "one gateway node only",
            vec![ready_on(&["n1"]), without("Pod", "gateway-2"), node("n2", json!({}))],
        ),
        case("no address, any pool", vec![with_status(json!([])), pool("more", &["192.0.2.0/24"])]),
        case(
            "no address, and none to be had",
            vec![{
                let mut service = service(json!({}), json!({"metallb.io/address-pool": "gone"}));
                service["status"] = json!({});
                service
            }],
        ),
        case(
            "a host name in the status",
            vec![with_status(json!([{"ip": "10.6.229.180"}, {"hostname": "lb.example.com"}]))],
        ),
        case("an address of no pool", vec![pool("default-pool", &["192.0.2.0/24"])]),
        case(
            "addresses of two pools",
            vec![
                with_status(json!([{"ip": "10.6.229.180"}, {"ip": "2001:DB8::1"}])),
                pool("six", &["2001:db8::/64"]),
            ],
        ),
        case("an advertisement that MetalLB rejects", vec![layer2("broken", named(json!({"a b": "c"})))]),
        case(
            "a rejected configuration, and a speaker that still announces",
            vec![layer2("broken", json!({"ipAddressPools": ["a", "a"]})), reported("n1")],
        ),
        case(
            "the pool was taken by another one",
            vec![pool("default-pool", &["192.0.2.0/24"]), pool("second", &["10.6.229.0/24"])],
        ),
        case(
            "a Service pinned to another pool",
            vec![
                service(json!({}), json!({"metallb.io/address-pool": "second"})),
                pool("second", &["192.0.2.0/24"]),
                layer2("second", json!({"ipAddressPools": ["second"]})),
            ],
        ),
        case("a second advertisement widens the first", vec![layer2("wide", every())]),
        case(
            "an advertisement from some gateway nodes only",
            vec![
                layer2("arp", named(json!({KEY: "arp", "zone": "a"}))),
                node("n1", json!({KEY: "arp", "zone": "a"})),
                ready_on(&["n1", "n2"]),
            ],
        ),
        case(
            "contained, and not covered",
            vec![
                topology(json!({"announcements": {"match": "Contained"}})),
                layer2("arp", named(json!({KEY: "arp", "zone": "a"}))),
                node("n1", json!({KEY: "arp", "zone": "a"})),
            ],
        ),
        case(
            "live, and not covered",
            vec![
                topology(json!({"announcements": {"match": "LiveNodes"}})),
                layer2("arp", named(json!({"zone": "a"}))),
                node("n1", json!({KEY: "arp", "zone": "a"})),
            ],
        ),
        case("announced from elsewhere only", vec![layer2("arp", named(json!({KEY: "ndp"})))]),
        case(
            "selectors that contradict themselves",
            vec![layer2(
                "arp",
                json!({"ipAddressPools": ["default-pool"], "nodeSelectors": [{"matchLabels": {KEY: "arp"}, "matchExpressions": [{"key": KEY, "operator": "DoesNotExist"}]}]}),
            )],
        ),
        case(
            "announced by BGP alone",
            vec![without("L2Advertisement", "arp"), bgp("arp", named(json!({KEY: "arp"})))],
        ),
        case(
            "announced by BGP alone, from one node",
            vec![
                without("L2Advertisement", "arp"),
                bgp("arp", named(json!({KEY: "arp"}))),
                ready_on(&["n1"]),
            ],
        ),
        case(
            "announced by BGP alone, from nodes without pods",
            vec![without("L2Advertisement", "arp"), bgp("arp", named(json!({KEY: "ndp"})))],
        ),
        case(
            "BGP advertisements that contradict each other",
            vec![
                without("L2Advertisement", "arp"),
                bgp(
                    "a",
                    json!({"localPref": 100, "serviceSelectors": [{"matchLabels": {"istio": "ingressgateway"}}]}),
                ),
                bgp("b", json!({"localPref": 200})),
            ],
        ),
        case(
            "a BGP advertisement that the node's speaker rejects",
            vec![
                without("L2Advertisement", "arp"),
                bgp("a", json!({"peers": ["p", "p"]})),
                bgp("b", json!({})),
            ],
        ),
        case(
            "announced as a part of a prefix",
            vec![
                pool("default-pool", &["10.6.229.0/24"]),
                bgp(
                    "wide",
                    json!({"ipAddressPools": ["default-pool"], "aggregationLength": 24, "nodeSelectors": [{"matchLabels": {KEY: "arp"}}]}),
                ),
            ],
        ),
        case(
            "no pod, no Service, no pool",
            vec![topology(json!({"gateway": {"podLabels": {"app": "typo"}}, "addressPools": ["typo"]}))],
        ),
        case("a pod outside the placement", vec![pod("gateway-2", "n3"), pod("gateway-3", "n3")]),
        case("a NodePort that is not Local", vec![node_port()]),
        case(
            "a tainted gateway node that may have a speaker",
            vec![tainted("n1", json!({KEY: "arp"}), "dedicated")],
        ),
        case("MetalLB reports another node", vec![reported("n1")]),
    ]
}

/// The texts of each state: the outcome of its address, and the findings.
const TOLD: &[(&str, &str, &[&str])] = &[
    (
        "the last advertisement is gone",
        "Silent NOT_ADVERTISED: no L2Advertisement and no BGPAdvertisement announces pool `default-pool`; create an L2Advertisement in namespace `metallb-system` that announces the pool from the gateway nodes",
        &[],
    ),
    (
        "no gateway node carries the label",
        "Silent NODE_NOT_SELECTED: `n1` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it; label `n1` as a gateway node",
        &[
            "POD_OFF_PLACEMENT: 2 gateway pods run on nodes that lack the placement's labels, such as `gateway-1` on `n1`; label `n1` and `n2` as the placement asks",
            "NO_GATEWAY_NODE: no node carries the placement's labels `loadbalancerIPs.metallb.io=arp`, so that no new gateway pod can be scheduled; label the nodes that the gateway is to run on",
        ],
    ),
    (
        "the pod runs on a node that nothing selects",
        "Silent NODE_NOT_SELECTED: `n3` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it; label `n3` as a gateway node",
        &[
            "POD_OFF_PLACEMENT: gateway pod `gateway-1` runs on `n3`, which lacks the placement's labels; label `n3` as the placement asks, or delete the pods there, so that their successors run on gateway nodes",
            "NO_READY_POD: these gateway nodes run no ready gateway pod, so that they cannot take over: `n1` and `n2`; raise the gateway's replicas and spread them over the gateway nodes",
        ],
    ),
    (
        "the advertisement selects by another label",
        "Silent NODE_NOT_SELECTED: `n1` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it; let `nodeSelectors` of `arp` select `n1`, or move the gateway to a node that they select",
        &[
            "WIDER: L2Advertisement `arp` announces pool `default-pool` from nodes that are no gateway nodes, such as a node labelled `zone=a` and without the label `loadbalancerIPs.metallb.io`; restrict `spec.nodeSelectors` of L2Advertisement `arp` to the topology's placement",
            "NARROWER: no advertisement announces pool `default-pool` from a gateway node labelled `loadbalancerIPs.metallb.io=arp` and without the label `zone`; widen `spec.nodeSelectors` of L2Advertisement `arp` to the topology's placement",
        ],
    ),
    (
        "the gateway node is excluded",
        "Silent NODE_EXCLUDED: `n1` runs a ready gateway pod, but the label `node.kubernetes.io/exclude-from-external-load-balancers` keeps MetalLB from announcing from it; remove the label, or run MetalLB's speakers with `--ignore-exclude-lb`",
        &[
            "NODE_EXCLUDED: MetalLB does not announce from these gateway nodes, because of the label `node.kubernetes.io/exclude-from-external-load-balancers`: `n1`; remove the label, or run MetalLB's speakers with `--ignore-exclude-lb`",
            "NO_READY_POD: these gateway nodes run no ready gateway pod, so that they cannot take over: `n2`; raise the gateway's replicas and spread them over the gateway nodes",
        ],
    ),
    (
        "the gateway node's network is unavailable",
        "Silent NETWORK_UNAVAILABLE: `n1` runs a ready gateway pod, but its condition `NetworkUnavailable` is true, and MetalLB does not announce from it; repair the node's network: `kubectl describe node n1` shows the condition",
        &[
            "NETWORK_UNAVAILABLE: MetalLB does not announce from these gateway nodes, because their network is unavailable: `n1`; repair the node's network: `kubectl describe node n1` shows the condition",
            "NO_READY_POD: these gateway nodes run no ready gateway pod, so that they cannot take over: `n2`; raise the gateway's replicas and spread them over the gateway nodes",
        ],
    ),
    (
        "the gateway node is tainted and has no speaker",
        "Silent NO_SPEAKER: `n1` runs a ready gateway pod, but no MetalLB speaker is ready on it; add tolerations for the node's taints to the speaker DaemonSet: `dedicated=ingress:NoSchedule`",
        &[
            "NO_SPEAKER: no MetalLB speaker is ready on these gateway nodes: `n1`; add tolerations for the node's taints to the speaker DaemonSet: `dedicated=ingress:NoSchedule`",
            "NO_READY_POD: these gateway nodes run no ready gateway pod, so that they cannot take over: `n2`; raise the gateway's replicas and spread them over the gateway nodes",
        ],
    ),
    (
        "the speaker is not ready",
        "Silent NO_SPEAKER: `n1` runs a ready gateway pod, but no MetalLB speaker is ready on it; start the speaker on `n1`: `kubectl -n metallb-system get pods -o wide` shows where speakers run",
        &[
            "NO_SPEAKER: no MetalLB speaker is ready on these gateway nodes: `n1` and `n2`; start the speaker on `n1`: `kubectl -n metallb-system get pods -o wide` shows where speakers run",
        ],
    ),
    (
        "the endpoints name no node",
        "Silent ENDPOINT_WITHOUT_NODE: the ready endpoints of the Service name no node, and with `Local` MetalLB counts only endpoints on a node; let the Service select pods, so that its endpoints name their nodes",
        &[],
    ),
    (
        "the endpoints name an unknown node",
        "Silent ENDPOINT_WITHOUT_NODE: the ready endpoints of the Service are on `n9`, which is no node of the cluster; let the Service select pods, so that its endpoints name their nodes",
        &[],
    ),
    (
        "no endpoint is ready",
        "Silent NO_ENDPOINT: the Service has no ready endpoint, and MetalLB announces no Service without one; start a gateway pod, and make it ready: `kubectl get endpointslices` and `kubectl describe pod` show what is missing",
        &[],
    ),
    (
        "the policy is Cluster",
        "Lost NOT_LOCAL: externalTrafficPolicy is `Cluster`: kube-proxy replaces the client's source IP by a node's; set `spec.externalTrafficPolicy: Local`",
        &[],
    ),
    (
        "the policy is Cluster and the address is shared",
        "Lost NOT_LOCAL: externalTrafficPolicy is `Cluster`: kube-proxy replaces the client's source IP by a node's; give the Service an address of its own first: it shares its address with `istio-system/other`, and MetalLB takes the address away from a Service that alone turns to `Local`; then set `spec.externalTrafficPolicy: Local`",
        &[],
    ),
    (
        "the address is shared and an advertisement selects Services",
        "Silent SHARED_ADDRESS: the Service has the annotation `allow-shared-ip`, and MetalLB announces no such Service while an advertisement of pool `default-pool` with `serviceSelectors` selects it; remove the annotation, or the `serviceSelectors`",
        &[],
    ),
    (
        "no advertisement selects the Service",
        "Silent SERVICE_NOT_SELECTED: none of the advertisements of pool `default-pool` selects the Service: `arp`; label the Service as one of them asks, or add the Service's labels to its `serviceSelectors`",
        &[],
    ),
    (
        "one candidate only",
        "Fragile ONE_NODE: only `n1` can announce the address, so that nobody takes over when the node goes; run a ready gateway pod on a second gateway node, such as `n2`",
        &[
            "NO_READY_POD: these gateway nodes run no ready gateway pod, so that they cannot take over: `n2`; raise the gateway's replicas and spread them over the gateway nodes",
        ],
    ),
    (
        "one gateway node only",
        "Fragile ONE_NODE: only `n1` can announce the address, so that nobody takes over when the node goes; label a second node as a gateway node, and run a ready gateway pod on it",
        &[],
    ),
    (
        "no address, any pool",
        "Silent NO_ADDRESS: the Service has no address; MetalLB would take one from any of `default-pool` and `more`; check that MetalLB's controller runs and that the pool has free addresses: `kubectl describe service` shows its events",
        &[],
    ),
    (
        "no address, and none to be had",
        "Silent NO_ADDRESS: MetalLB gives the Service no address: there is no pool `gone`; correct the Service's annotations and `spec.loadBalancerIP`, or add a pool that serves it",
        &[],
    ),
    (
        "a host name in the status",
        "Silent NOT_AN_ADDRESS: the status has `lb.example.com`, which is not an IP address, so MetalLB announces none of the Service's addresses; remove the entry: another controller than MetalLB wrote it, so let only one of them serve the Service",
        &[],
    ),
    (
        "an address of no pool",
        "Silent ADDRESS_IN_NO_POOL: no address pool has 10.6.229.180, so MetalLB announces none of the Service's addresses; add 10.6.229.180 to `spec.addresses` of an IPAddressPool, or let MetalLB give the Service another address",
        &[],
    ),
    (
        "addresses of two pools",
        "Silent SEVERAL_POOLS: the addresses are in the pools `default-pool` and `six`, and MetalLB announces a Service only if one pool has them all; put the ranges of `default-pool` and `six` into one pool, or ask for addresses of one pool",
        &[],
    ),
    (
        "an advertisement that MetalLB rejects",
        "Silent CONFIGURATION_REJECTED: a speaker that starts announces nothing, and one that runs keeps its last valid configuration, because MetalLB rejects the configuration: L2Advertisement `broken`: spec.nodeSelectors[0].matchLabels[a b]: `a b` is not a label key: write `name` or `dns.prefix/name`, at most 63 characters after the slash; correct or delete L2Advertisement `broken`",
        &[],
    ),
    (
        "a rejected configuration, and a speaker that still announces",
        "Fragile CONFIGURATION_REJECTED: `n1` still announces by an older configuration, and a speaker that restarts will announce nothing, because MetalLB rejects the configuration: L2Advertisement `broken`: spec.ipAddressPools[1]: duplicate pool: remove one, because MetalLB rejects duplicates; correct or delete L2Advertisement `broken`",
        &[],
    ),
    (
        "the pool was taken by another one",
        "Silent NOT_ADVERTISED: no L2Advertisement and no BGPAdvertisement announces pool `second`; create an L2Advertisement in namespace `metallb-system` that announces the pool from the gateway nodes",
        &[
            "OTHER_POOL: the addresses of Service `istio-ingressgateway` come from pool `second`, and the topology names `default-pool`; add `second` to `spec.addressPools` of the topology, or let the Service ask for `default-pool`",
        ],
    ),
    (
        "a Service pinned to another pool",
        "Preserved",
        &[
            "OTHER_POOL: the addresses of Service `istio-ingressgateway` come from pool `second`, and the topology names `default-pool`; add `second` to `spec.addressPools` of the topology, or let the Service ask for `default-pool`",
        ],
    ),
    (
        "a second advertisement widens the first",
        "Preserved",
        &[
            "WIDER: L2Advertisement `wide` announces pool `default-pool` from nodes that are no gateway nodes, such as a node without the label `loadbalancerIPs.metallb.io`, which undoes the restriction by L2Advertisement `arp`; restrict `spec.nodeSelectors` of L2Advertisement `wide` to the topology's placement",
        ],
    ),
    (
        "an advertisement from some gateway nodes only",
        "Fragile ONE_NODE: only `n1` can announce the address, so that nobody takes over when the node goes: `n2` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it; let `nodeSelectors` of `arp` select `n2`, or move the gateway to a node that they select",
        &[
            "NARROWER: no advertisement announces pool `default-pool` from a gateway node labelled `loadbalancerIPs.metallb.io=arp` and without the label `zone`; widen `spec.nodeSelectors` of L2Advertisement `arp` to the topology's placement",
        ],
    ),
    (
        "contained, and not covered",
        "Fragile ONE_NODE: only `n1` can announce the address, so that nobody takes over when the node goes: `n2` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it; let `nodeSelectors` of `arp` select `n2`, or move the gateway to a node that they select",
        &[
            "NARROWER: no advertisement announces pool `default-pool` from a gateway node labelled `loadbalancerIPs.metallb.io=arp` and without the label `zone`; widen `spec.nodeSelectors` of L2Advertisement `arp` to the topology's placement",
        ],
    ),
    (
        "live, and not covered",
        "Fragile ONE_NODE: only `n1` can announce the address, so that nobody takes over when the node goes: `n2` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it; let `nodeSelectors` of `arp` select `n2`, or move the gateway to a node that they select",
        &[
            "NARROWER: no advertisement announces pool `default-pool` from a gateway node `n2`; widen `spec.nodeSelectors` of L2Advertisement `arp` to the topology's placement",
        ],
    ),
    (
        "announced from elsewhere only",
        "Silent NODE_NOT_SELECTED: `n1` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it; let `nodeSelectors` of `arp` select `n1`, or move the gateway to a node that they select",
        &[
            "DISJOINT: L2Advertisement `arp` announces pool `default-pool` from nodes that are no gateway nodes, such as a node labelled `loadbalancerIPs.metallb.io=ndp`; restrict `spec.nodeSelectors` of L2Advertisement `arp` to the topology's placement",
        ],
    ),
    (
        "selectors that contradict themselves",
        "Silent NODE_NOT_SELECTED: `n1` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it; let `nodeSelectors` of `arp` select `n1`, or move the gateway to a node that they select",
        &[
            "NARROWER: the selectors of L2Advertisement `arp` contradict themselves and select no node; set them to the topology's placement",
        ],
    ),
    ("announced by BGP alone", "Preserved", &[]),
    (
        "announced by BGP alone, from one node",
        "Fragile ONE_NODE: only `n1` can announce the address, so that nobody takes over when the node goes; run a ready gateway pod on a second gateway node, such as `n2`",
        &[
            "NO_READY_POD: these gateway nodes run no ready gateway pod, so that they cannot take over: `n2`; raise the gateway's replicas and spread them over the gateway nodes",
        ],
    ),
    (
        "announced by BGP alone, from nodes without pods",
        "Silent NODE_NOT_SELECTED: `n1` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it; let `nodeSelectors` of `arp` select `n1`, or move the gateway to a node that they select",
        &[
            "DISJOINT: BGPAdvertisement `arp` announces pool `default-pool` from nodes that are no gateway nodes, such as a node labelled `loadbalancerIPs.metallb.io=ndp`; restrict `spec.nodeSelectors` of BGPAdvertisement `arp` to the topology's placement",
        ],
    ),
    (
        "BGP advertisements that contradict each other",
        "Silent CONTRADICTION: `n1` runs a ready gateway pod, but the BGPAdvertisements of pool `default-pool` that select it contradict each other in `spec.localPref` or `spec.asPathPrepend`; set the same values in `a` and `b`",
        &[
            "WIDER: BGPAdvertisement `a` announces pool `default-pool` from nodes that are no gateway nodes, such as a node without the label `loadbalancerIPs.metallb.io`; restrict `spec.nodeSelectors` of BGPAdvertisement `a` to the topology's placement",
        ],
    ),
    (
        "a BGP advertisement that the node's speaker rejects",
        "Silent CONFIGURATION_REJECTED: `n1` runs a ready gateway pod, but its speaker announces nothing, because MetalLB rejects the configuration: BGPAdvertisement `a`: spec.peers[1]: duplicate name: remove one; correct or delete BGPAdvertisement `a`",
        &[
            "WIDER: BGPAdvertisement `b` announces pool `default-pool` from nodes that are no gateway nodes, such as a node without the label `loadbalancerIPs.metallb.io`; restrict `spec.nodeSelectors` of BGPAdvertisement `b` to the topology's placement",
        ],
    ),
    (
        "announced as a part of a prefix",
        "Fragile AGGREGATED: BGPAdvertisement `wide` announces 10.6.229.0-10.6.229.255 as one prefix: a node with a pod of another Service in the prefix draws this address's traffic and drops it; remove `spec.aggregationLength` from BGPAdvertisement `wide`",
        &[],
    ),
    (
        "no pod, no Service, no pool",
        "",
        &[
            "NO_SERVICE: no Service of type LoadBalancer in namespace `istio-system` sends traffic to the gateway's pods; correct `spec.gateway` of the topology, or create the Service",
            "NO_POD: no pod in namespace `istio-system` carries the gateway's labels `app=typo`; correct `spec.gateway` of the topology, or start the gateway",
            "NO_POOL: the topology's pool `typo` does not exist in namespace `metallb-system`; create the IPAddressPool, or correct `spec.addressPools` of the topology",
        ],
    ),
    (
        "a pod outside the placement",
        "Preserved",
        &[
            "POD_OFF_PLACEMENT: 2 gateway pods run on nodes that lack the placement's labels, such as `gateway-2` on `n3`; label `n3` as the placement asks, or delete the pods there, so that their successors run on gateway nodes",
        ],
    ),
    (
        "a NodePort that is not Local",
        "Preserved",
        &[
            "NOT_LOCAL: Service `by-port` also leads to the gateway, and its externalTrafficPolicy is not `Local`: kube-proxy replaces the client's source IP; set `spec.externalTrafficPolicy: Local`",
        ],
    ),
    ("a tainted gateway node that may have a speaker", "Preserved", &[]),
    (
        "MetalLB reports another node",
        "Preserved",
        &[
            "REPORTED_ELSEWHERE: MetalLB reports that `n1` announces Service `istio-ingressgateway`, and should elect `n2`; wait for the next election; if it stays so, check the speakers' logs and whether the node has the advertisement's interfaces",
        ],
    ),
];

#[test]
fn every_cause_has_a_message_and_a_mend() {
    let states = states();
    assert_eq!(states.len(), TOLD.len());
    for ((what, changes), (name, outcome, findings)) in states.iter().zip(TOLD) {
        assert_eq!(what, name);
        let (told, others) = told(&assess(&inventory_of(&with(changes))));
        assert_eq!(told, *outcome, "{what}");
        assert_eq!(others, *findings, "{what}");
    }
}

#[test]
fn a_kind_that_was_not_read_is_unknown_and_named() {
    let inventory = inventory_of(&world());
    let without = |sources: &[Source], version| {
        let mut inventory = inventory.clone();
        inventory.read.retain(|source| !sources.contains(source));
        Assessment::of(&inventory, version)
    };
    let outcome = |assessment: &Assessment| assessment.topologies[0].services[0].addresses[0].outcome.clone();
    use MetalLbVersion::{V0_13_5, V0_16_2};
    for (source, version, is_needed) in [
        (Source::Nodes, V0_16_2, true),
        (Source::Services, V0_16_2, true),
        (Source::EndpointSlices, V0_16_2, true),
        (Source::AddressPools, V0_16_2, true),
        (Source::Deployments, V0_16_2, false),
        (Source::StatefulSets, V0_16_2, false),
        (Source::DaemonSets, V0_16_2, false),
        (Source::DisruptionBudgets, V0_16_2, false),
        (Source::L2Advertisements, V0_16_2, true),
        (Source::BgpAdvertisements, V0_16_2, true),
        (Source::LegacyAddressPools, V0_13_5, true),
        (Source::LegacyAddressPools, V0_16_2, false),
        (Source::Pods, V0_16_2, false),
        (Source::Namespaces, V0_16_2, false),
        (Source::Speakers, V0_16_2, false),
        (Source::L2Statuses, V0_16_2, false),
    ] {
        let assessment = without(&[source], version);
        assert_eq!(assessment.unread, [source]);
        assert_eq!(matches!(outcome(&assessment), Outcome::Unknown(_)), is_needed, "{source}");
        assert_eq!(outcome(&assessment) == Outcome::Preserved, !is_needed, "{source}");
    }
    let (told, findings) = told(&without(&[Source::EndpointSlices, Source::Nodes], V0_16_2));
    assert_eq!(
        told,
        "Unknown UNREAD: `endpointslices.discovery.k8s.io` and `nodes` were not read; \
         grant `get`, `list` and `watch` on `endpointslices.discovery.k8s.io` and `nodes`, or add the objects to the input"
    );
    assert!(findings.is_empty(), "{findings:?}");
    assert!(matches!(
        outcome(&Assessment::of(&Inventory { read: Default::default(), ..inventory.clone() }, V0_16_2)),
        Outcome::Unknown(_)
    ));
    for pending in ["istio-system", "metallb-system"] {
        let pending = Inventory { pending: [pending.to_owned()].into(), ..inventory.clone() };
        assert!(matches!(outcome(&assess(&pending)), Outcome::Unknown(_)));
    }
    assert!(matches!(
        outcome(&assess(&Inventory { lacks_metallb: true, ..inventory.clone() })),
        Outcome::Unknown(_)
    ));
}

/// Returns a workload of the gateway.
fn workload(kind: &str, name: &str, spec: Value) -> Value {
    let mut workload = object("apps/v1", kind, name);
    let labels = json!({"app": "istio-ingressgateway", "istio": "ingressgateway", "version": name});
    workload["spec"] = json!({"template": {"metadata": {"labels": labels}}});
    workload["spec"].as_object_mut().unwrap().extend(spec.as_object().cloned().unwrap());
    workload
}

fn budget(name: &str, spec: Value) -> Value {
    let mut budget = object("policy/v1", "PodDisruptionBudget", name);
    budget["spec"] = spec;
    budget
}

/// Returns the codes of the findings, and the condition `Resilient`.
fn resilience(inventory: &Inventory) -> (Vec<&'static str>, (&'static str, &'static str)) {
    let assessment = assess(inventory);
    let topology = &assessment.topologies[0];
    let codes = topology.findings.iter().map(|finding| finding.code.code()).collect();
    let [_, resilient, _] = topology.conditions();
    assert_eq!(resilient.kind, "Resilient");
    (codes, (resilient.word(), resilient.reason))
}

#[test]
fn an_address_is_resilient_only_if_no_drain_rollout_or_crash_stops_every_pod() {
    let resilience = |changes: &[Value]| resilience(&inventory_of(&with(changes)));
    let covered = budget("all", json!({"selector": {}, "maxUnavailable": 1}));
    let held = ("True", "OK");
    let two = || workload("Deployment", "a", json!({"replicas": 2}));
    assert_eq!(resilience(&[two(), covered.clone()]), (vec![], held));
    let rolling = json!({"rollingUpdate": {"maxUnavailable": "100%"}});
    let mut stateful = workload("StatefulSet", "a", json!({"replicas": 2, "updateStrategy": rolling}));
    stateful["metadata"]["generation"] = json!(1);
    for (code, changes) in [
        ("ONE_REPLICA", vec![workload("Deployment", "a", json!({"replicas": 1}))]),
        ("ONE_REPLICA", vec![workload("StatefulSet", "a", json!({"replicas": 0}))]),
        (
            "ROLLOUT_STOPS_ALL",
            vec![
                workload("Deployment", "a", json!({"replicas": 2, "strategy": {"type": "Recreate"}})),
                covered.clone(),
            ],
        ),
        ("ROLLOUT_STOPS_ALL", vec![stateful, covered.clone()]),
        (
            "ROLLOUT_STOPS_ALL",
            // Both gateway nodes, without a status.
            vec![workload(
                "DaemonSet",
                "a",
                json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}),
            )],
        ),
    ] {
        assert_eq!(resilience(&changes), (vec![code], ("False", code)), "{changes:?}");
    }
    // A drain of one node leaves the pods of the others.
    assert_eq!(resilience(&[two()]), (vec!["NO_DISRUPTION_BUDGET"], held));
    // The reason of the address comes first.
    let one = ready_on(&["n1", "n1"]);
    assert_eq!(resilience(&[two(), covered, one]), (vec!["NOT_SPREAD"], ("False", "ONE_NODE")));
}

#[test]
fn workloads_that_run_the_gateway_together_are_judged_together() {
    let codes = |changes: &[Value]| resilience(&inventory_of(&with(changes))).0;
    let one = |name| workload("Deployment", name, json!({"replicas": 1, "strategy": {"type": "Recreate"}}));
    let none = workload("Deployment", "b", json!({"replicas": 0}));
    let of = |name: &str, limit: Value| {
        let mut spec = json!({"selector": {"matchLabels": {"version": name}}});
        spec.as_object_mut().unwrap().extend(limit.as_object().cloned().unwrap());
        budget(name, spec)
    };
    let all = |limit: Value| {
        let mut spec = json!({"selector": {"matchLabels": {"app": "istio-ingressgateway"}}});
        spec.as_object_mut().unwrap().extend(limit.as_object().cloned().unwrap());
        budget("all", spec)
    };
    let limit = || json!({"minAvailable": 1});
    assert_eq!(codes(&[one("a"), one("b"), all(limit())]), [""; 0]);
    assert_eq!(codes(&[one("a"), none, all(limit())]), ["ONE_REPLICA", "ROLLOUT_STOPS_ALL"]);
    // A budget of its own for each single pod lets none be evicted.
    let blocked = "DISRUPTION_BUDGET_ALLOWS_NONE";
    assert_eq!(codes(&[one("a"), one("b"), of("a", limit()), of("b", limit())]), [blocked; 2]);
    assert_eq!(
        codes(&[one("a"), one("b"), all(json!({"minAvailable": 0}))]),
        ["DISRUPTION_BUDGET_ALLOWS_ALL"]
    );
    // Others that the budget covers count as available.
    let mut other = workload("Deployment", "other", json!({"replicas": 3}));
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let wide = |least: u32| budget("wide", json!({"selector": {}, "minAvailable": least}));
    assert_eq!(codes(&[one("a"), one("b"), other.clone(), wide(1)]), ["DISRUPTION_BUDGET_ALLOWS_ALL"]);
    assert_eq!(codes(&[one("a"), one("b"), other, wide(4)]), [""; 0]);
    // A gateway that somebody else runs has no findings.
    let mut foreign = workload("Deployment", "foreign", json!({"replicas": 1}));
    foreign["metadata"]["namespace"] = json!("elsewhere");
    assert_eq!(codes(&[foreign]), [""; 0]);
}

#[test]
fn a_manifest_that_leaves_the_number_of_replicas_to_an_autoscaler_has_no_finding_that_takes_it() {
    let codes = |changes: &[Value]| resilience(&inventory_of(&with(changes))).0;
    let scaled = |spec| workload("Deployment", "a", spec);
    assert_eq!(codes(&[scaled(json!({}))]), [""; 0]);
    assert_eq!(
        codes(&[scaled(json!({})), budget("all", json!({"selector": {}, "minAvailable": 9}))]),
        [""; 0]
    );
    assert_eq!(codes(&[scaled(json!({"strategy": {"type": "Recreate"}}))]), ["ROLLOUT_STOPS_ALL"]);
    assert_eq!(codes(&[scaled(json!({})), ready_on(&["n1", "n1"])]), ["NOT_SPREAD"]);
}

#[test]
fn a_disruption_budget_is_proposed_only_where_no_pod_would_have_two() {
    let commands = |changes: &[Value]| {
        let assessment = assess(&inventory_of(&with(changes)));
        let findings = &assessment.topologies[0].findings;
        let finding = findings.iter().find(|finding| finding.code == CauseCode::NoDisruptionBudget).unwrap();
        finding.commands.clone()
    };
    let two = |name| workload("Deployment", name, json!({"replicas": 2}));
    let of = |name, version: &str| {
        budget(name, json!({"selector": {"matchLabels": {"version": version}}, "maxUnavailable": 1}))
    };
    let create = |name: &str| {
        format!(
            "kubectl -n istio-system create poddisruptionbudget {name} \
             --selector=app=istio-ingressgateway,istio=ingressgateway --max-unavailable=1"
        )
    };
    assert_eq!(commands(&[two("a")]), [create("a")]);
    assert_eq!(commands(&[two("a"), of("a", "other")]), [create("a-2")], "the name is taken");
    assert_eq!(commands(&[two("a"), two("b"), of("b", "b")]), [""; 0]);
}

#[test]
fn workloads_that_were_not_read_lead_to_no_finding_and_to_nothing_unknown() {
    let held = (vec![], ("True", "OK"));
    let two = workload("Deployment", "a", json!({"replicas": 2}));
    let mut inventory = inventory_of(&with(&[two]));
    inventory.read.remove(&Source::DisruptionBudgets);
    assert_eq!(resilience(&inventory), held);
    // A StatefulSet may run more pods of the gateway.
    let mut inventory = inventory_of(&with(&[workload("Deployment", "a", json!({"replicas": 1}))]));
    inventory.read.remove(&Source::StatefulSets);
    assert_eq!(resilience(&inventory), held);
}

#[test]
fn a_taint_is_reported_if_speakers_were_not_read() {
    let mut inventory = inventory_of(&with(&[tainted("n1", json!({KEY: "arp"}), "dedicated")]));
    inventory.read.remove(&Source::Speakers);
    let (outcome, findings) = told(&assess(&inventory));
    assert_eq!(outcome, "Preserved");
    assert_eq!(
        findings,
        [
            "NODE_TAINTED: a taint may keep MetalLB's speaker off these gateway nodes, and the speaker pods could not be read: `n1`; \
          check that the speaker DaemonSet tolerates `dedicated=ingress:NoSchedule`"
        ]
    );
    // Speakers tolerate the taints of control-plane nodes, and every DaemonSet those of the node's lifecycle.
    for key in ["node-role.kubernetes.io/control-plane", "node.kubernetes.io/not-ready"] {
        let mut tolerated = inventory_of(&with(&[tainted("n1", json!({KEY: "arp"}), key)]));
        tolerated.read.remove(&Source::Speakers);
        assert_eq!(told(&assess(&tolerated)).1, Vec::<String>::new());
    }
}

#[test]
fn a_taint_of_the_nodes_lifecycle_needs_no_toleration() {
    let node = tainted("n1", json!({KEY: "arp"}), "node.kubernetes.io/not-ready");
    let inventory = inventory_of(&with(&[node, dead_speaker("n1"), ready_on(&["n1"])]));
    let (outcome, _) = told(&assess(&inventory));
    assert!(outcome.contains("NO_SPEAKER") && outcome.contains("start the speaker on `n1`"), "{outcome}");
}

#[test]
fn a_winner_that_does_not_announce_leaves_the_address_silent() {
    let mut inventory = inventory_of(&with(&[without("Pod", "speaker-n2")]));
    inventory.metallb.lacks_memberlist = true;
    let (outcome, _) = told(&assess(&inventory));
    assert_eq!(
        outcome,
        "Silent NO_SPEAKER: `n2` is elected, but no speaker is ready on it, and without a memberlist no other speaker knows; \
         start the speaker on `n2`, or run the speakers with a memberlist"
    );
    // n2's speaker rejects its configuration; n1's does not read the invalid advertisement.
    let only_n2 = json!({"peers": ["p", "p"], "ipAddressPools": ["none"], "nodeSelectors": [{"matchLabels": {"name": "n2"}}]});
    let rejected = with(&[node("n2", json!({KEY: "arp", "name": "n2"})), bgp("broken", only_n2)]);
    let (outcome, _) = told(&assess(&inventory_of(&rejected)));
    assert_eq!(
        outcome,
        "Silent CONFIGURATION_REJECTED: `n2` is elected, but its speaker cannot use the configuration, and no other node steps in, \
         because MetalLB rejects the configuration: BGPAdvertisement `broken`: spec.peers[1]: duplicate name: remove one; \
         correct or delete BGPAdvertisement `broken`"
    );
}

#[test]
fn a_pool_that_the_topology_does_not_name_is_a_choice_unless_the_service_asks_for_another() {
    let has_choices = |changes: &[Value]| {
        let inventory = Arc::new(inventory_of(&with(changes)));
        let snapshot = Snapshot::new(&inventory);
        Assessor::new(&inventory, &snapshot, MetalLbVersion::default()).has_choices()
    };
    let second = || pool("second", &["10.6.232.0/24"]);
    assert!(!has_choices(&[]));
    assert!(has_choices(&[second()]));
    assert!(!has_choices(&[second(), topology(json!({"addressPools": ["default-pool", "second"]}))]));
    let asks = service(json!({}), json!({"metallb.io/address-pool": "default-pool"}));
    assert!(!has_choices(&[second(), asks]));
}

#[test]
fn many_gateways_in_one_cluster_are_assessed_each_by_its_own_objects() {
    let mut objects = Vec::new();
    for number in 0..1_000 {
        let labels = json!({
            "kubernetes.io/hostname": format!("node-{number:05}"),
            "kubernetes.io/os": "linux",
            "topology.kubernetes.io/zone": format!("z{}", number % 3),
            "gateway": format!("g{}", number / 20),
        });
        objects.extend([node(&format!("node-{number:05}"), labels), speaker(&format!("node-{number:05}"))]);
    }
    for number in 0..100 {
        let (name, address) =
            (format!("pool-{number:04}"), format!("10.{}.{}.0/24", number / 250, number % 250));
        objects.push(pool(&name, &[&address]));
        let selector = json!([{"matchLabels": {"gateway": format!("g{}", number / 2)}}]);
        objects.push(layer2(
            &format!("ad-{number:04}"),
            json!({"ipAddressPools": [name], "nodeSelectors": selector}),
        ));
    }
    for number in 0..50 {
        let labels = json!({"app": format!("gateway-{number}")});
        let mut topology = topology(json!({
            "gateway": {"namespace": format!("edge-{}", number % 50), "podLabels": labels},
            "placement": {"nodeSelector": {"gateway": format!("g{number}")}},
            "addressPools": [format!("pool-{:04}", number * 2), format!("pool-{:04}", number * 2 + 1)],
        }));
        topology["metadata"]["name"] = json!(format!("topology-{number:03}"));
        objects.push(topology);
        for service_number in 0..4 {
            // One Service in eight has the policy `Cluster`, so that all of its candidates are ranked.
            let policy = if (number * 4 + service_number) % 8 == 0 { "Cluster" } else { "Local" };
            let mut service =
                service(json!({"selector": labels, "externalTrafficPolicy": policy}), json!({}));
            let pool = number * 2 + service_number % 2;
            let address = format!("10.{}.{}.{}", pool / 250, pool % 250, service_number + 1);
            let name = format!("gateway-{number}-{service_number}");
            service["metadata"]["name"] = json!(name);
            service["metadata"]["namespace"] = json!(format!("edge-{}", number % 50));
            service["status"]["loadBalancer"]["ingress"] = json!([{"ip": address}]);
            let mut slice =
                ready_on(&[&format!("node-{:05}", number * 20), &format!("node-{:05}", number * 20 + 1)]);
            slice["metadata"]["name"] = json!(name);
            slice["metadata"]["namespace"] = json!(format!("edge-{}", number % 50));
            slice["metadata"]["labels"]["kubernetes.io/service-name"] = json!(name);
            objects.extend([service, slice]);
        }
    }
    let assessment = assess(&inventory_of(&objects));
    let outcomes: Vec<&Outcome> = assessment
        .topologies
        .iter()
        .flat_map(|topology| &topology.services)
        .flat_map(|service| &service.addresses)
        .map(|address| &address.outcome)
        .collect();
    let preserved = outcomes.iter().filter(|outcome| ***outcome == Outcome::Preserved).count();
    let lost = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Lost(_))).count();
    assert_eq!((outcomes.len(), preserved, lost), (200, 175, 25));
}
