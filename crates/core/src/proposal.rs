//! Proposals: the topology that fits each gateway of a state, and what is missing for it to hold.
//!
//! A Service is taken for that of a gateway by its words, as in [`reach`]. The placement is what the advertisements of its
//! pools select already, else the labels of the nodes that exactly the gateway's pods run on, else the built-in one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::assessment::{Assessment, command};
use crate::change::Change;
use crate::election::MetalLbVersion;
use crate::escape::excerpt;
use crate::labels::{Labels, carries};
use crate::objects::{AdvertisementSpec, BgpAdvertisement, L2Advertisement, Metadata, Object};
use crate::reach::{self, MissCode, announces_any, unguarded_services};
use crate::rules;
use crate::snapshot::{Declared, Inventory, ObjectKey, ResolvedTopology, Snapshot, Source, in_namespace};
use crate::topology::{Gateway, GatewayTopologySpec, Placement};
use crate::verdict::Rule;

/// Labels that every node has, with a prefix that Kubernetes reserves: none of them marks gateway nodes on purpose.
const RESERVED: [&str; 2] = ["kubernetes.io", "k8s.io"];

/// A topology for a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The name of the topology.
    pub name: String,
    /// The spec.
    pub spec: GatewayTopologySpec,
    /// Whether the state has the topology already.
    pub exists: bool,
    /// The Services of the gateway.
    pub services: Vec<ObjectKey>,
    /// The gaps, in the order in which they are to be mended.
    pub gaps: Vec<Gap>,
}

/// A change that a topology still needs to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The problem and the change to make: one lowercase sentence without a full stop, with names in backticks.
    pub message: String,
    /// `kubectl` commands that make the change; empty if a person has to decide.
    pub commands: Vec<String>,
}

/// Returns a topology for each gateway that no topology covers, then the topologies of the state, each with what is missing.
#[must_use]
pub fn proposals(inventory: &Inventory) -> Vec<Proposal> {
    let mut with = inventory.clone();
    let mut added: Vec<String> = Vec::new();
    for (namespace, pod_labels, services) in gateways(inventory) {
        let name = free_name(&with.topologies, services.first().map_or("gateway", |key| key.name.as_str()));
        let spec = GatewayTopologySpec {
            gateway: Gateway { namespace, pod_labels },
            metallb_namespace: metallb_namespace(inventory),
            ..GatewayTopologySpec::default()
        };
        let spec = placed(inventory, with_pools(inventory, &name, spec));
        with.topologies.insert(name.clone(), Declared { generation: 0, created: None, spec });
        added.push(name);
    }
    let snapshot = Snapshot::new(&with);
    let mut proposals: Vec<Proposal> =
        snapshot.topologies().iter().map(|topology| proposal(&with, &snapshot, topology, &added)).collect();
    proposals.sort_by_key(|proposal| proposal.exists);
    proposals
}

/// A gateway: its namespace, the labels of its pods, and its Services.
type FoundGateway = (String, Labels, Vec<ObjectKey>);

/// The gateways that no topology covers. Services of one namespace whose selectors contain one another are of one gateway.
fn gateways(inventory: &Inventory) -> Vec<FoundGateway> {
    let snapshot = Snapshot::new(inventory);
    let mut found: Vec<FoundGateway> = Vec::new();
    for (key, spec) in unguarded_services(inventory, &snapshot) {
        let same = found.iter_mut().find(|(namespace, labels, _)| {
            *namespace == key.namespace
                && (carries(labels, &spec.selector) || carries(&spec.selector, labels))
        });
        match same {
            Some((_, labels, services)) => {
                if carries(&spec.selector, labels) {
                    labels.clone_from(&spec.selector);
                }
                services.push(key.clone());
            }
            None => found.push((key.namespace.clone(), spec.selector.clone(), vec![key.clone()])),
        }
    }
    found
}

/// Returns a name that no topology has: `first`, or `first` with a number.
fn free_name(topologies: &BTreeMap<String, Declared>, first: &str) -> String {
    let numbered = (2_u32..).map(|number| format!("{first}-{number}"));
    std::iter::once(first.to_owned())
        .chain(numbered)
        .find(|name| !topologies.contains_key(name))
        .unwrap_or_default()
}

/// The namespace of most of MetalLB's objects, or the usual one.
fn metallb_namespace(inventory: &Inventory) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let keys = inventory
        .pools
        .keys()
        .chain(inventory.advertisements.keys())
        .chain(inventory.bgp_advertisements.keys())
        .chain(inventory.speakers.keys());
    for key in keys {
        let count = counts.entry(key.namespace.as_str()).or_default();
        *count = count.saturating_add(1);
    }
    let most = counts.into_iter().max_by_key(|(namespace, count)| (*count, std::cmp::Reverse(*namespace)));
    most.map_or_else(
        || GatewayTopologySpec::default().metallb_namespace,
        |(namespace, _)| namespace.to_owned(),
    )
}

/// The spec with the pools that have the addresses of the gateway's Services, or that these ask for; otherwise with every pool.
fn with_pools(inventory: &Inventory, name: &str, mut spec: GatewayTopologySpec) -> GatewayTopologySpec {
    let every: Vec<String> =
        in_namespace(&inventory.pools, &spec.metallb_namespace).map(|(key, _)| key.name.clone()).collect();
    if every.is_empty() {
        return spec;
    }
    spec.address_pools.clone_from(&every);
    let mut alone = inventory.clone();
    alone.topologies =
        [(name.to_owned(), Declared { generation: 0, created: None, spec: spec.clone() })].into();
    let assessment = Assessment::of(&alone, MetalLbVersion::default());
    let services = assessment.topologies.iter().flat_map(|topology| &topology.services);
    let mut pools: BTreeSet<String> = BTreeSet::new();
    for service in services {
        pools.extend(service.addresses.iter().filter_map(|address| address.pool.clone()));
        let balancer = inventory.load_balancers.get(&service.key);
        let asked = balancer.and_then(|balancer| balancer.annotation("address-pool", false));
        pools.extend(asked.filter(|pool| every.iter().any(|known| known == pool)).map(ToOwned::to_owned));
    }
    if !pools.is_empty() {
        spec.address_pools = pools.into_iter().collect();
    }
    spec
}

/// The spec with the placement that the state already has.
fn placed(inventory: &Inventory, mut spec: GatewayTopologySpec) -> GatewayTopologySpec {
    let of_advertisements = advertised_placement(inventory, &spec);
    if let Some(labels) = of_advertisements.or_else(|| placement_of_pods(inventory, &spec)) {
        spec.placement = Placement { node_selector: labels, ..Placement::default() };
    }
    spec
}

/// The advertisements of the topology's pools, of both protocols.
fn advertisements(inventory: &Inventory, spec: &GatewayTopologySpec) -> Vec<AdvertisementSpec> {
    let namespace = &spec.metallb_namespace;
    let layer_2 = in_namespace(&inventory.advertisements, namespace).map(|(_, spec)| spec.clone());
    let bgp = in_namespace(&inventory.bgp_advertisements, namespace).map(|(_, spec)| spec.advertised());
    layer_2.chain(bgp).filter(|advertisement| announces_any(inventory, advertisement, spec)).collect()
}

/// The labels that every advertisement of the pools selects nodes by, if it is one set of labels.
fn advertised_placement(inventory: &Inventory, spec: &GatewayTopologySpec) -> Option<Labels> {
    let advertisements = advertisements(inventory, spec);
    let mut selected =
        advertisements.iter().map(|advertisement| match advertisement.node_selectors.as_slice() {
            [one] if one.match_expressions.is_empty() && !one.match_labels.is_empty() => {
                Some(&one.match_labels)
            }
            _ => None,
        });
    let first = selected.next()??;
    selected.all(|other| other == Some(first)).then(|| first.clone())
}

/// A label that exactly the nodes of the gateway's pods have.
fn placement_of_pods(inventory: &Inventory, spec: &GatewayTopologySpec) -> Option<Labels> {
    let built_in = Placement::default().node_selector;
    let nodes = nodes_of_pods(inventory, spec);
    let of_first = inventory.nodes.get(*nodes.first()?)?;
    let is_reserved = |key: &str| {
        let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
        RESERVED.iter().any(|reserved| prefix == *reserved || prefix.ends_with(&format!(".{reserved}")))
    };
    let marks = |(key, value): &(&smol_str::SmolStr, &smol_str::SmolStr)| {
        let carriers = inventory.nodes.iter().filter(|(_, labels)| labels.get(*key) == Some(*value));
        carriers.map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>() == nodes
    };
    let mut candidates = of_first.iter().filter(|(key, _)| !is_reserved(key)).filter(marks);
    let found = candidates.next().map(|(key, value)| Labels::from([(key.clone(), value.clone())]));
    let has_built_in = |labels: &Arc<Labels>| carries(labels, &built_in);
    // The usual label is right where any node has it.
    found.filter(|_| !inventory.nodes.values().any(has_built_in))
}

/// The nodes that the gateway's pods run on.
fn nodes_of_pods<'i>(inventory: &'i Inventory, spec: &GatewayTopologySpec) -> BTreeSet<&'i str> {
    in_namespace(&inventory.pods, &spec.gateway.namespace)
        .filter(|(_, labels)| carries(labels, &spec.gateway.pod_labels))
        .filter_map(|(key, _)| inventory.pod_nodes.get(key))
        .filter(|node| !node.is_empty())
        .map(String::as_str)
        .collect()
}

fn proposal(
    inventory: &Inventory,
    snapshot: &Snapshot,
    topology: &ResolvedTopology,
    added: &[String],
) -> Proposal {
    let mut gaps = Vec::new();
    nodes_without_label(inventory, topology, &mut gaps);
    unplaced_workloads(inventory, topology, &mut gaps);
    let missed = reach::misses(inventory, snapshot);
    let services: Vec<ObjectKey> = in_namespace(&inventory.services, &topology.spec.gateway.namespace)
        .filter(|(_, service)| service.spec.as_ref().is_some_and(|spec| topology.is_behind(spec)))
        .map(|(key, _)| key.clone())
        .collect();
    let is_own = |object: &ObjectKey| object.namespace == topology.spec.gateway.namespace;
    for miss in &missed {
        let concerns = match miss.code {
            // Those are topologies of their own.
            MissCode::UnguardedGateway => false,
            MissCode::PoolNotFound => miss.object.name == *topology.name,
            MissCode::NotClaimed | MissCode::SharingEnds => is_own(&miss.object),
            MissCode::OtherNamespace => true,
        };
        if concerns {
            gaps.push(Gap { message: format!("{}; {}", miss.message, miss.help), commands: Vec::new() });
        }
    }
    let loses_address =
        |key: &ObjectKey| missed.iter().any(|miss| miss.code == MissCode::SharingEnds && miss.object == *key);
    for key in services.iter().filter(|key| !loses_address(key)) {
        let spec = inventory.services.get(key).and_then(|service| service.spec.as_ref());
        if spec.is_some_and(|spec| topology.requires_local(spec) && !spec.is_local()) {
            let fields = serde_json::json!({"spec": {"externalTrafficPolicy": "Local"}});
            gaps.push(Gap {
                message: format!(
                    "Service `{}` does not keep the client's source IP: set `externalTrafficPolicy: Local`",
                    excerpt(&key.name)
                ),
                commands: vec![command::patch("Service", Some(&key.namespace), &key.name, &fields)],
            });
        }
    }
    announcements(inventory, snapshot, topology, &mut gaps);
    Proposal {
        name: topology.name.to_string(),
        spec: topology.spec.clone(),
        exists: !added.iter().any(|name| **name == *topology.name),
        services,
        gaps,
    }
}

fn pairs(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    excerpt(&pairs.join(","))
}

/// No node has the labels of the placement.
fn nodes_without_label(inventory: &Inventory, topology: &ResolvedTopology, gaps: &mut Vec<Gap>) {
    let placement = &topology.spec.placement.node_selector;
    if !inventory.read.contains(&Source::Nodes)
        || inventory.nodes.values().any(|labels| carries(labels, placement))
    {
        return;
    }
    let nodes: Vec<&str> = nodes_of_pods(inventory, &topology.spec)
        .into_iter()
        .filter(|node| inventory.nodes.contains_key(*node))
        .collect();
    let (of, commands) = if nodes.is_empty() {
        ("the nodes that may run the gateway", Vec::new())
    } else {
        ("the nodes that the gateway's pods run on", vec![command::label_nodes(&nodes, placement)])
    };
    gaps.push(Gap { message: format!("no node is labelled `{}`: label {of}", pairs(placement)), commands });
}

/// Workloads whose pods are not placed on the gateway nodes.
fn unplaced_workloads(inventory: &Inventory, topology: &ResolvedTopology, gaps: &mut Vec<Gap>) {
    let placement = &topology.spec.placement.node_selector;
    for (kind, workloads) in &inventory.workloads {
        for (key, workload) in in_namespace(workloads, &topology.spec.gateway.namespace) {
            if !topology.claims(&workload.template_labels) || carries(&workload.node_selector, placement) {
                continue;
            }
            let kind = kind.name();
            let fields = serde_json::json!({"spec": {"template": {"spec": {"nodeSelector": placement}}}});
            gaps.push(Gap {
                message: format!(
                    "{kind} `{}` does not place the gateway's pods: set `{}` in `spec.template.spec.nodeSelector`",
                    excerpt(&key.name),
                    pairs(placement)
                ),
                commands: vec![command::patch(kind, Some(&key.namespace), &key.name, &fields)],
            });
        }
    }
}

/// Advertisements that announce from other nodes than the gateway's, and pools without one.
fn announcements(
    inventory: &Inventory,
    snapshot: &Snapshot,
    topology: &ResolvedTopology,
    gaps: &mut Vec<Gap>,
) {
    let spec = &topology.spec;
    let namespace = &spec.metallb_namespace;
    let metadata = |key: &ObjectKey| Metadata {
        name: key.name.clone(),
        namespace: key.namespace.clone(),
        ..Metadata::default()
    };
    let layer_2 = in_namespace(&inventory.advertisements, namespace).map(|(key, own)| {
        let object = L2Advertisement { metadata: metadata(key), spec: own.clone() };
        ("L2Advertisement", key, own.clone(), Object::L2Advertisement(object))
    });
    let bgp = in_namespace(&inventory.bgp_advertisements, namespace).map(|(key, own)| {
        let object = BgpAdvertisement { metadata: metadata(key), spec: own.clone() };
        ("BGPAdvertisement", key, own.advertised(), Object::BgpAdvertisement(object))
    });
    for (kind, key, own, object) in layer_2.chain(bgp) {
        let change = Change::create(key.namespace.as_str(), key.name.as_str(), object);
        let verdict = rules::validate(&change, snapshot);
        let finding = verdict
            .findings
            .iter()
            .find(|finding| finding.rule == Rule::AnnouncementPlacement && finding.topology == topology.name);
        let Some(finding) = finding.filter(|_| announces_any(inventory, &own, spec)) else { continue };
        let fields = serde_json::json!({
            "spec": {"nodeSelectors": command::node_selectors(&spec.placement.node_selector)},
        });
        gaps.push(Gap {
            message: format!("{kind} `{}`: {}", excerpt(&key.name), finding.message),
            commands: vec![command::patch(kind, Some(&key.namespace), &key.name, &fields)],
        });
    }
    let is_read = inventory.read.contains(&Source::AddressPools);
    for pool in &topology.pools {
        let alone = GatewayTopologySpec { address_pools: vec![pool.name.clone()], ..spec.clone() };
        if !advertisements(inventory, &alone).is_empty() {
            continue;
        }
        if is_read && pool.labels.is_none() {
            gaps.push(Gap {
                message: format!(
                    "there is no IPAddressPool `{}` in namespace `{}`: create it with the gateway's addresses",
                    excerpt(&pool.name),
                    excerpt(namespace)
                ),
                commands: Vec::new(),
            });
        }
        let name = command::free_name(&inventory.advertisements, namespace, &pool.name);
        let created = serde_json::json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "L2Advertisement",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "ipAddressPools": [pool.name],
                "nodeSelectors": command::node_selectors(&spec.placement.node_selector),
            },
        });
        gaps.push(Gap {
            message: format!(
                "no advertisement announces pool `{}`: create an L2Advertisement, or a BGPAdvertisement if routers peer with MetalLB",
                excerpt(&pool.name)
            ),
            commands: vec![command::create(&created)],
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::snapshot::from_objects::inventory_of;

    fn service(namespace: &str, name: &str, selector: &Value) -> Value {
        json!({
            "kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace},
            "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "selector": selector},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        })
    }

    fn pool(name: &str, addresses: &str) -> Value {
        json!({"kind": "IPAddressPool", "metadata": {"name": name, "namespace": "lb"}, "spec": {"addresses": [addresses]}})
    }

    fn advertisement(name: &str, spec: &Value) -> Value {
        json!({"kind": "L2Advertisement", "metadata": {"name": name, "namespace": "lb"}, "spec": spec})
    }

    fn node(name: &str, labels: &Value) -> Value {
        json!({"kind": "Node", "metadata": {"name": name, "labels": labels}})
    }

    fn of(objects: &[Value]) -> Vec<Proposal> {
        proposals(&inventory_of(objects))
    }

    fn labels(pairs: &Value) -> Labels {
        serde_json::from_value(pairs.clone()).unwrap()
    }

    #[test]
    fn the_pool_of_the_address_and_the_placement_of_its_advertisement_are_taken() {
        let edge = json!([{"matchLabels": {"zone": "edge"}}]);
        let found = of(&[
            service("web", "edge-gateway", &json!({"app": "edge-gateway"})),
            pool("front", "192.0.2.0/28"),
            pool("back", "198.51.100.0/28"),
            advertisement("front", &json!({"ipAddressPools": ["front"], "nodeSelectors": edge})),
            advertisement("back", &json!({"ipAddressPools": ["back"]})),
            node("n1", &json!({"zone": "edge"})),
        ]);
        let [proposal] = found.as_slice() else { panic!("{found:?}") };
        let GatewayTopologySpec { gateway, placement, address_pools, metallb_namespace, .. } = &proposal.spec;
        assert_eq!((gateway.namespace.as_str(), metallb_namespace.as_str()), ("web", "lb"));
        assert_eq!(placement.node_selector, labels(&json!({"zone": "edge"})));
        assert_eq!(address_pools, &["front"]);
        assert_eq!((proposal.exists, proposal.gaps.as_slice()), (false, &[][..]));
    }

    #[test]
    fn a_label_that_exactly_the_nodes_of_the_pods_have_is_the_placement() {
        let pod = |name: &str, node: &str| {
            json!({
                "kind": "Pod", "metadata": {"name": name, "namespace": "web", "labels": {"app": "edge-gateway"}},
                "spec": {"nodeName": node},
            })
        };
        let mut objects = vec![
            service("web", "edge-gateway", &json!({"app": "edge-gateway"})),
            pod("a", "n1"),
            pod("b", "n2"),
            node("n1", &json!({"kubernetes.io/os": "linux", "tier": "edge", "rack": "1"})),
            node("n2", &json!({"kubernetes.io/os": "linux", "tier": "edge", "rack": "2"})),
            node("n3", &json!({"kubernetes.io/os": "linux", "rack": "2"})),
        ];
        assert_eq!(of(&objects)[0].spec.placement.node_selector, labels(&json!({"tier": "edge"})));
        // Nothing tells them from others: the usual label, and the command that sets it.
        objects.push(node("n4", &json!({"tier": "edge"})));
        let proposal = &of(&objects)[0];
        assert_eq!(proposal.spec.placement, Placement::default());
        assert_eq!(
            proposal.gaps[0].commands,
            ["kubectl label node n1 n2 --overwrite loadbalancerIPs.metallb.io=arp"]
        );
    }

    #[test]
    fn an_advertisement_of_every_node_is_restricted_and_a_missing_one_is_created() {
        let gateway = service("web", "edge-gateway", &json!({"app": "edge-gateway"}));
        let front = pool("front", "192.0.2.0/28");
        let labelled = node("n1", &json!({"loadbalancerIPs.metallb.io": "arp"}));
        let found = of(&[gateway.clone(), front.clone(), labelled.clone(), advertisement("all", &json!({}))]);
        let [gap] = found[0].gaps.as_slice() else { panic!("{found:?}") };
        assert!(gap.message.starts_with("L2Advertisement `all`: a node without the label"), "{gap:?}");
        assert!(
            gap.commands[0].starts_with("kubectl -n lb patch l2advertisement all --type merge -p "),
            "{gap:?}"
        );
        let found = of(&[gateway, front, labelled]);
        let [gap] = found[0].gaps.as_slice() else { panic!("{found:?}") };
        assert!(gap.message.starts_with("no advertisement announces pool `front`"), "{gap:?}");
        assert!(gap.commands[0].contains("\"kind\":\"L2Advertisement\""), "{gap:?}");
    }

    #[test]
    fn services_of_one_gateway_have_one_topology_and_a_covered_gateway_has_its_own() {
        let inner = json!({"app": "edge-gateway"});
        let outer = json!({"app": "edge-gateway", "tier": "front"});
        let found = of(&[
            service("web", "edge-gateway", &inner),
            service("web", "edge-gateway-tls", &outer),
            service("other", "edge-gateway", &inner),
            service("web", "database", &json!({"app": "db"})),
        ]);
        let names: Vec<&str> = found.iter().map(|proposal| proposal.name.as_str()).collect();
        assert_eq!(names, ["edge-gateway", "edge-gateway-2"]);
        let of_web = found.iter().find(|proposal| proposal.spec.gateway.namespace == "web").unwrap();
        assert_eq!(of_web.spec.gateway.pod_labels, labels(&outer));
        assert_eq!(of_web.services.len(), 2);
        let declared = json!({
            "kind": "GatewayTopology", "metadata": {"name": "mine"},
            "spec": {"gateway": {"namespace": "web", "podLabels": inner}, "metallbNamespace": "lb", "addressPools": ["front"]},
        });
        let found = of(&[service("web", "edge-gateway", &inner), declared]);
        let [proposal] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((proposal.name.as_str(), proposal.exists), ("mine", true));
    }
}
