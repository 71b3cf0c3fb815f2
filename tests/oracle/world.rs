//! Worlds: a cluster with one Service, as MetalLB sees it.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::random::{SelectorWeights, Vocabulary, chance, labels, pick, selectors, subset, weighted};

/// A cluster with one Service. Its objects are as the API server stores them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct World {
    pub nodes: Vec<Value>,
    pub namespaces: Vec<Value>,
    pub pools: Vec<Value>,
    pub layer2: Vec<Value>,
    pub bgp: Vec<Value>,
    /// `AddressPool`s, which only 0.13.5 reads.
    pub legacy_pools: Vec<Value>,
    pub service: Value,
    /// The `EndpointSlice`s of the Service.
    pub slices: Vec<Value>,
    /// The nodes with a live speaker.
    pub speakers: Vec<String>,
    pub lacks_memberlist: bool,
    pub ignores_exclude_label: bool,
}

/// The frequencies of what worlds are made of, in percent unless said otherwise.
#[derive(Debug, Clone)]
pub struct Weights {
    pub selectors: SelectorWeights,
    /// Nodes with the label that excludes them.
    pub excluded_node: u32,
    /// Nodes with the condition `NetworkUnavailable`.
    pub network_condition: u32,
    /// Worlds in which every node has a live speaker.
    pub every_speaker: u32,
    /// Worlds without a memberlist.
    pub without_memberlist: u32,
    /// Endpoints that are not ready but serve, among those that are not ready.
    pub serving: u32,
    /// Services of both address families.
    pub dual_stack: u32,
    /// Services with `externalTrafficPolicy: Local`.
    pub local: u32,
    /// Pools with `serviceAllocation`.
    pub reserved_pool: u32,
    /// Objects that MetalLB rejects for another reason than a selector.
    pub invalid: u32,
    /// Advertisements with selectors of Services.
    pub service_selectors: u32,
    /// Advertisements with preferences among nodes.
    pub preferences: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            selectors: SelectorWeights::default(),
            excluded_node: 10,
            network_condition: 12,
            every_speaker: 60,
            without_memberlist: 8,
            serving: 40,
            dual_stack: 20,
            local: 60,
            reserved_pool: 25,
            invalid: 3,
            service_selectors: 25,
            preferences: 25,
        }
    }
}

pub const METALLB: &str = "metallb-system";
pub const GATEWAY: &str = "istio-system";
pub const SERVICE: &str = "istio-ingressgateway";
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

const NODE_WORDS: Vocabulary = &[
    ("loadbalancerIPs.metallb.io", &["arp", "ndp", "", "ARP"]),
    ("topology.kubernetes.io/zone", &["a", "b", "c"]),
    ("example.com/rack", &["r1", "r2"]),
    ("kubernetes.io/hostname", &["n1", "n2", "n3"]),
];
const POOL_WORDS: Vocabulary = &[("tier", &["ingress", "internal", ""]), ("team", &["a", "b"])];
const SERVICE_WORDS: Vocabulary =
    &[("app", &[SERVICE, "other"]), ("istio", &["ingressgateway", "egressgateway"])];
const NAMESPACE_WORDS: Vocabulary = &[("team", &["a", "b"]), ("env", &["prod", ""])];

/// Ranges that do not overlap, as pools write them, each with addresses in it, as statuses and requests write them.
const RANGES: &[(&str, &[&str])] = &[
    ("192.0.2.0/28", &["192.0.2.0", "192.0.2.7", "192.0.2.15", "::ffff:192.0.2.7"]),
    ("192.0.2.16-192.0.2.31", &["192.0.2.16", "192.0.2.31"]),
    ("192.0.2.32/32", &["192.0.2.32"]),
    ("192.0.2.33 - 192.0.2.34", &["192.0.2.33", "192.0.2.34"]),
    ("192.0.2.77/26", &["192.0.2.64", "192.0.2.127"]),
    ("198.51.100.0/24", &["198.51.100.0", "198.51.100.255", "198.51.100.7"]),
    ("203.0.113.5-203.0.113.9", &["203.0.113.5", "203.0.113.9"]),
    ("10.0.0.254-10.0.1.1", &["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"]),
    ("10.0.2.255/32", &["10.0.2.255"]),
    ("::ffff:203.0.113.64/124", &["203.0.113.64", "203.0.113.79"]),
    ("2001:db8::/120", &["2001:db8::", "2001:DB8::5", "2001:0db8:0:0:0::ff"]),
    ("2001:db8:1::1-2001:db8:1::9", &["2001:db8:1::1", "2001:db8:1:0:0:0:0:9"]),
    ("2001:db8:2::/64", &["2001:db8:2::1", "2001:db8:2::ffff"]),
];
const OUTSIDE: &[&str] = &["192.0.2.48", "192.0.3.0", "2001:db8:3::1"];
const INVALID_ADDRESSES: &[&str] =
    &["", "192.0.2.01", "192.0.2", "a.example.com", "fe80::1%eth0", " 192.0.2.1"];
const INVALID_RANGES: &[&str] = &[
    "",
    "192.0.2.1",
    "192.0.2.0/33",
    "192.0.2.0/+8",
    "192.0.2.0/08",
    "192.0.2.9-192.0.2.1",
    "192.0.2.1-2001:db8::1",
    "2001:db8::1-192.0.2.1",
    "a-b",
    "-",
    "192.0.2.1-192.0.2.2-192.0.2.3",
    "192.0.2.0/",
    "::/129",
    "192.0.2.0 /24",
    "::ffff:192.0.2.0/95",
    "192.0.02.0/24",
];

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, weights: &Weights) -> Self {
        let mut random = Rng::with_seed(seed);
        Maker { random: &mut random, weights }.world()
    }

    /// All objects, and the speakers as pods.
    pub fn objects(&self) -> impl Iterator<Item = Value> {
        let speakers = self.speakers.iter().map(|node| self.speaker(node));
        let lists = [&self.nodes, &self.namespaces, &self.pools, &self.layer2, &self.bgp, &self.legacy_pools];
        let lists = lists.into_iter().flatten().cloned();
        lists.chain(speakers).chain([self.service.clone()]).chain(self.slices.iter().cloned())
    }

    fn speaker(&self, node: &str) -> Value {
        let mut args = Vec::new();
        if self.ignores_exclude_label {
            args.push("--ignore-exclude-lb");
        }
        if !self.lacks_memberlist {
            args.extend(["--ml-bindaddr=0.0.0.0", "--ml-labels=component=speaker"]);
        }
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("speaker-{node}"), "namespace": METALLB,
                "labels": {"app": "metallb", "component": "speaker"},
            },
            "spec": {"nodeName": node, "containers": [{"name": "speaker", "args": args}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        })
    }

    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node["metadata"]["name"].as_str().unwrap_or_default())
    }
}

/// The weights and the numbers that a world is made with.
struct Maker<'r> {
    random: &'r mut Rng,
    weights: &'r Weights,
}

impl Maker<'_> {
    fn chance(&mut self, percent: u32) -> bool {
        chance(self.random, percent)
    }

    fn world(&mut self) -> World {
        let nodes = self.nodes();
        let names: Vec<String> = nodes
            .iter()
            .map(|node| node["metadata"]["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        let mut ranges: Vec<usize> = (0..RANGES.len()).collect();
        self.random.shuffle(&mut ranges);
        let pools = self.pools(&mut ranges);
        let pool_names: Vec<String> = (0..pools.len()).map(|n| pool_name(n).to_owned()).collect();
        let layer2 = (0..weighted(self.random, &[(10, 0), (40, 1), (30, 2), (15, 3), (5, 4)]))
            .map(|n| self.layer2(n, &pool_names))
            .collect();
        let bgp = (0..weighted(self.random, &[(50, 0), (25, 1), (15, 2), (10, 3)]))
            .map(|n| self.bgp(n, &pool_names))
            .collect();
        let legacy_pools = (0..weighted(self.random, &[(70, 0), (20, 1), (10, 2)]))
            .map(|n| self.legacy_pool(n, &mut ranges))
            .collect();
        let every_speaker = self.chance(self.weights.every_speaker);
        let mut speakers: Vec<String> =
            names.iter().filter(|_| every_speaker || self.random.bool()).cloned().collect();
        if self.chance(5) {
            speakers.push("gone".to_owned());
        }
        let lacks_memberlist = self.chance(self.weights.without_memberlist);
        let ignores_exclude_label = self.chance(10);
        World {
            service: self.service(&pools, &pool_names),
            slices: self.slices(&names),
            namespaces: self.namespaces(),
            nodes,
            pools,
            layer2,
            bgp,
            legacy_pools,
            speakers,
            lacks_memberlist,
            ignores_exclude_label,
        }
    }

    fn nodes(&mut self) -> Vec<Value> {
        // Names differ between worlds, so that hashes do, and are in the order in which the product has them.
        let first = self.random.u32(0..200);
        let count = self.random.u32(1..=5);
        (first..first + count)
            .map(|n| {
                let mut labels = labels(self.random, NODE_WORDS);
                if self.chance(self.weights.excluded_node) {
                    labels.insert(EXCLUDE.to_owned(), json!(pick(self.random, &["", "true", "false"])));
                }
                let mut conditions = vec![json!({"type": "Ready", "status": "True"})];
                if self.chance(self.weights.network_condition) {
                    for _ in 0..weighted(self.random, &[(8, 1), (1, 2)]) {
                        let status = weighted(self.random, &[(6, "True"), (2, "False"), (1, "Unknown")]);
                        conditions.push(json!({"type": "NetworkUnavailable", "status": status}));
                    }
                }
                let mut spec = Map::new();
                if self.chance(10) {
                    spec.insert("unschedulable".to_owned(), json!(true));
                }
                if self.chance(10) {
                    spec.insert("taints".to_owned(), json!([{"key": "dedicated", "effect": "NoSchedule"}]));
                }
                json!({
                    "apiVersion": "v1", "kind": "Node",
                    "metadata": {"name": format!("node-{n:03}"), "labels": labels},
                    "spec": spec, "status": {"conditions": conditions},
                })
            })
            .collect()
    }

    fn namespaces(&mut self) -> Vec<Value> {
        [GATEWAY, METALLB, "other"]
            .map(|name| {
                let labels = labels(self.random, NAMESPACE_WORDS);
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
            })
            .to_vec()
    }

    fn addresses(&mut self, ranges: &mut Vec<usize>) -> Vec<&'static str> {
        let mut addresses: Vec<&str> = Vec::new();
        for _ in 0..weighted(self.random, &[(60, 1), (35, 2), (5, 3)]) {
            if self.chance(self.weights.invalid) {
                match self.random.u32(0..4) {
                    0 => {}
                    1 => addresses.push(RANGES[self.random.usize(0..RANGES.len())].0),
                    2 => addresses.push(pick(self.random, &["0.0.0.0/0", "::/0", "192.0.2.8/30"])),
                    _ => addresses.push(pick(self.random, INVALID_RANGES)),
                }
            } else if let Some(range) = ranges.pop() {
                addresses.push(RANGES[range].0);
            }
        }
        addresses
    }

    fn pools(&mut self, ranges: &mut Vec<usize>) -> Vec<Value> {
        (0..weighted(self.random, &[(2, 0), (40, 1), (35, 2), (15, 3), (8, 4)]))
            .map(|n| {
                let mut spec = json!({"addresses": self.addresses(ranges)});
                if self.chance(25) {
                    spec["autoAssign"] = json!(self.random.bool());
                }
                if self.chance(15) {
                    spec["avoidBuggyIPs"] = json!(self.random.bool());
                }
                if self.chance(self.weights.reserved_pool) {
                    spec["serviceAllocation"] = self.reservation();
                }
                let labels = labels(self.random, POOL_WORDS);
                json!({
                    "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
                    "metadata": {"name": pool_name(n), "namespace": METALLB, "labels": labels}, "spec": spec,
                })
            })
            .collect()
    }

    fn reservation(&mut self) -> Value {
        let mut reservation = Map::new();
        if self.chance(60) {
            reservation.insert("priority".to_owned(), json!(self.random.u32(0..4)));
        }
        if self.chance(40) {
            let mut namespaces = subset(self.random, &[GATEWAY, "other", "gone"]);
            if self.chance(self.weights.invalid) {
                namespaces.push(namespaces[0]);
            }
            reservation.insert("namespaces".to_owned(), json!(namespaces));
        }
        for (field, words, missing) in
            [("namespaceSelectors", NAMESPACE_WORDS, 75), ("serviceSelectors", SERVICE_WORDS, 60)]
        {
            if let Some(list) = selectors(self.random, words, &self.weights.selectors, missing) {
                reservation.insert(field.to_owned(), list);
            }
        }
        Value::Object(reservation)
    }

    /// The pools of an advertisement.
    fn pool_choice(&mut self, spec: &mut Map<String, Value>, pools: &[String]) {
        if self.chance(40) {
            let mut names: Vec<&str> = vec!["missing"];
            names.extend(pools.iter().map(String::as_str));
            let mut chosen = if self.chance(10) { Vec::new() } else { subset(self.random, &names) };
            if self.chance(self.weights.invalid) && !chosen.is_empty() {
                chosen.push(chosen[0]);
            }
            spec.insert("ipAddressPools".to_owned(), json!(chosen));
        }
        if let Some(list) = selectors(self.random, POOL_WORDS, &self.weights.selectors, 70) {
            spec.insert("ipAddressPoolSelectors".to_owned(), list);
        }
    }

    fn advertisement(&mut self, kind: &str, name: &str, spec: Map<String, Value>) -> Value {
        let mut object = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": kind,
            "metadata": {"name": name, "namespace": METALLB},
        });
        // The spec is optional.
        if !spec.is_empty() || self.random.bool() {
            object["spec"] = Value::Object(spec);
        }
        object
    }

    /// The pools, nodes and Services that an advertisement of either kind selects.
    fn selections(&mut self, spec: &mut Map<String, Value>, pools: &[String]) {
        self.pool_choice(spec, pools);
        let lists = [
            ("nodeSelectors", NODE_WORDS, 35),
            ("serviceSelectors", SERVICE_WORDS, 100 - self.weights.service_selectors),
        ];
        for (field, words, missing) in lists {
            if let Some(list) = selectors(self.random, words, &self.weights.selectors, missing) {
                spec.insert(field.to_owned(), list);
            }
        }
    }

    fn layer2(&mut self, n: usize, pools: &[String]) -> Value {
        let mut spec = Map::new();
        if !self.chance(4) {
            self.selections(&mut spec, pools);
            if self.chance(self.weights.preferences) {
                let preferred: Vec<Value> = (0..self.random.u32(1..=2))
                    .map(|_| {
                        let weight = pick(self.random, &[1, 1, 50, 100]);
                        let preference =
                            crate::random::label_selector(self.random, NODE_WORDS, &self.weights.selectors);
                        json!({"weight": weight, "preference": preference})
                    })
                    .collect();
                spec.insert("preferredNodeSelectors".to_owned(), json!(preferred));
            }
            if self.chance(15) {
                spec.insert(
                    "interfaces".to_owned(),
                    json!(pick(self.random, &[&["eth0"][..], &[][..], &["eth1", "eth0"][..]])),
                );
            }
        }
        self.advertisement("L2Advertisement", &format!("l2-{n}"), spec)
    }

    /// The fields of a BGP advertisement that are not selections.
    fn attributes(&mut self, spec: &mut Map<String, Value>) {
        if self.chance(20) {
            let length = weighted(self.random, &[(20, 32), (20, 24), (10, 28), (10, 30), (5, 8), (2, 33)]);
            spec.insert("aggregationLength".to_owned(), json!(length));
        }
        if self.chance(20) {
            let length = weighted(self.random, &[(20, 128), (20, 64), (20, 120), (5, 126), (2, 129)]);
            spec.insert("aggregationLengthV6".to_owned(), json!(length));
        }
        if self.chance(25) {
            spec.insert("localPref".to_owned(), json!(pick(self.random, &[0, 100, 200])));
        }
    }

    fn bgp(&mut self, n: usize, pools: &[String]) -> Value {
        let mut spec = Map::new();
        if !self.chance(4) {
            self.selections(&mut spec, pools);
            self.attributes(&mut spec);
            if self.chance(20) {
                spec.insert("asPathPrepend".to_owned(), json!(self.random.u32(0..3)));
            }
            if self.chance(25) {
                let mut peers = subset(self.random, &["peer-a", "peer-b", "peer-c"]);
                if self.chance(self.weights.invalid) {
                    peers.push(peers[0]);
                }
                spec.insert("peers".to_owned(), json!(peers));
            }
        }
        self.advertisement("BGPAdvertisement", &format!("bgp-{n}"), spec)
    }

    fn legacy_pool(&mut self, n: usize, ranges: &mut Vec<usize>) -> Value {
        let protocol = weighted(self.random, &[(50, "layer2"), (45, "bgp"), (2, ""), (2, "arp")]);
        let mut spec = json!({"protocol": protocol, "addresses": self.addresses(ranges)});
        if self.chance(25) {
            spec["autoAssign"] = json!(self.random.bool());
        }
        if if protocol == "bgp" { self.random.bool() } else { self.chance(3) } {
            let advertisements: Vec<Value> = (0..self.random.u32(0..=2))
                .map(|_| {
                    let mut spec = Map::new();
                    self.attributes(&mut spec);
                    Value::Object(spec)
                })
                .collect();
            spec["bgpAdvertisements"] = json!(advertisements);
        }
        // Now and then the name of an `IPAddressPool`, and never that of another legacy pool: no API server stores two.
        let name = if self.chance(3) { pool_name(n).to_owned() } else { format!("legacy-{n}") };
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "AddressPool",
            "metadata": {"name": name, "namespace": METALLB}, "spec": spec,
        })
    }

    /// An address that is in a pool, if `pools` have any.
    fn address_of(&mut self, pools: &[Value]) -> &'static str {
        let written: Vec<&str> = pools
            .iter()
            .flat_map(|pool| pool["spec"]["addresses"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        let known: Vec<_> = RANGES.iter().filter(|(range, _)| written.contains(range)).collect();
        if known.is_empty() || self.chance(4) {
            let others = if self.random.bool() { OUTSIDE } else { INVALID_ADDRESSES };
            return pick(self.random, others);
        }
        let (_, addresses) = pick(self.random, &known);
        pick(self.random, addresses)
    }

    fn service(&mut self, pools: &[Value], names: &[String]) -> Value {
        let mut spec = json!({
            "type": "LoadBalancer",
            "externalTrafficPolicy": if self.chance(self.weights.local) { "Local" } else { "Cluster" },
            "selector": {"app": SERVICE},
            "ports": [{"name": "https", "port": 443, "protocol": "TCP"}],
        });
        self.families(&mut spec);
        let mut annotations = Map::new();
        if self.chance(25) {
            self.requests(&mut spec, &mut annotations, pools, names);
        }
        if self.chance(12) {
            let key =
                pick(self.random, &["metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"]);
            annotations.insert(key.to_owned(), json!(pick(self.random, &["key", ""])));
        }
        let mut ingress = Vec::new();
        for _ in 0..weighted(self.random, &[(3, 0), (82, 1), (13, 2), (2, 3)]) {
            ingress.push(if self.chance(2) {
                json!({"hostname": "gateway.example.com"})
            } else {
                json!({"ip": self.address_of(pools)})
            });
        }
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": SERVICE, "namespace": GATEWAY,
                "labels": labels(self.random, SERVICE_WORDS), "annotations": annotations,
            },
            "spec": spec, "status": {"loadBalancer": {"ingress": ingress}},
        })
    }

    fn families(&mut self, spec: &mut Value) {
        let (v4, v6) = ("10.96.0.10", "fd00::10");
        let v6_first = self.chance(30);
        let dual = self.chance(self.weights.dual_stack);
        let (ips, families) = match (dual, v6_first) {
            (false, false) => (json!([v4]), json!(["IPv4"])),
            (false, true) => (json!([v6]), json!(["IPv6"])),
            (true, false) => (json!([v4, v6]), json!(["IPv4", "IPv6"])),
            (true, true) => (json!([v6, v4]), json!(["IPv6", "IPv4"])),
        };
        let policy = match dual {
            true => pick(self.random, &["PreferDualStack", "RequireDualStack"]),
            false => weighted(self.random, &[(9, "SingleStack"), (1, "PreferDualStack")]),
        };
        spec["clusterIP"] = ips[0].clone();
        spec["clusterIPs"] = ips;
        spec["ipFamilies"] = families;
        spec["ipFamilyPolicy"] = json!(policy);
    }

    /// The requests of the Service to MetalLB.
    fn requests(
        &mut self,
        spec: &mut Value,
        annotations: &mut Map<String, Value>,
        pools: &[Value],
        names: &[String],
    ) {
        for prefix in ["metallb.io/", "metallb.universe.tf/"] {
            if self.chance(35) {
                let name = match names {
                    [_, ..] if self.chance(80) => names[self.random.usize(0..names.len())].as_str(),
                    _ if self.random.bool() => "missing",
                    _ => "",
                };
                annotations.insert(format!("{prefix}address-pool"), json!(name));
            }
            if self.chance(30) {
                let count = weighted(self.random, &[(5, 0), (60, 1), (30, 2), (5, 3)]);
                let list: Vec<&str> = (0..count).map(|_| self.address_of(pools)).collect();
                let separator = pick(self.random, &[",", ", "]);
                annotations.insert(format!("{prefix}loadBalancerIPs"), json!(list.join(separator)));
            }
        }
        if self.chance(20) {
            spec["loadBalancerIP"] = json!(self.address_of(pools));
        }
    }

    fn slices(&mut self, nodes: &[String]) -> Vec<Value> {
        (0..weighted(self.random, &[(4, 0), (60, 1), (30, 2), (6, 3)]))
            .map(|n| {
                let endpoints: Vec<Value> =
                    (0..weighted(self.random, &[(8, 0), (32, 1), (30, 2), (20, 3), (10, 4)]))
                        .map(|_| self.endpoint(nodes))
                        .collect();
                json!({
                    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                    "metadata": {
                        "name": format!("slice-{n}"), "namespace": GATEWAY,
                        "labels": {"kubernetes.io/service-name": SERVICE},
                    },
                    "endpoints": endpoints,
                })
            })
            .collect()
    }

    fn endpoint(&mut self, nodes: &[String]) -> Value {
        // Few addresses, so that one is often in several slices.
        let addresses: Vec<String> = (0..weighted(self.random, &[(1, 0), (30, 1), (1, 2)]))
            .map(|_| format!("10.244.0.{}", self.random.u32(1..6)))
            .collect();
        let mut conditions = Map::new();
        let is_ready = weighted(self.random, &[(15, None), (60, Some(true)), (25, Some(false))]);
        if let Some(is_ready) = is_ready {
            conditions.insert("ready".to_owned(), json!(is_ready));
        }
        if is_ready == Some(false) {
            let serves = [(self.weights.serving, Some(true)), (40, Some(false)), (20, None)];
            if let Some(serves) = weighted(self.random, &serves) {
                conditions.insert("serving".to_owned(), json!(serves));
            }
        } else if self.chance(50) {
            conditions.insert("serving".to_owned(), json!(self.chance(90)));
        }
        let mut endpoint = json!({"addresses": addresses});
        if !conditions.is_empty() || self.random.bool() {
            endpoint["conditions"] = Value::Object(conditions);
        }
        match self.random.u32(0..20) {
            0 => {}
            1 => endpoint["nodeName"] = json!("gone"),
            _ => endpoint["nodeName"] = json!(nodes[self.random.usize(0..nodes.len())]),
        }
        endpoint
    }
}

/// Names out of the order of creation.
fn pool_name(n: usize) -> &'static str {
    ["default-pool", "zebra", "alpha", "other-pool"][n]
}

/// Seed 3,337,974 had two legacy pools of one name, which MetalLB rejects and no API server stores.
#[test]
fn a_world_has_each_object_once() {
    for seed in (0..2_000).chain([3_337_974]) {
        let mut seen = BTreeSet::new();
        for object in World::new(seed, &Weights::default()).objects() {
            let key = [&object["kind"], &object["metadata"]["namespace"], &object["metadata"]["name"]]
                .map(Value::to_string);
            assert!(seen.insert(key.clone()), "seed {seed} has {key:?} twice");
        }
    }
}
