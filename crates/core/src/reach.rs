//! Reach: which objects of a state a topology applies to, and which it misses although they look as if it should.
//!
//! A topology with a wrong name in it applies to nothing, and nothing is rejected. Only the objects beside it show that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::election::{MetalLbVersion, may_share, sharing_key};
use crate::escape::excerpt;
use crate::labels::{LabelSelector, Labels, carries};
use crate::objects::{AdvertisementSpec, Service, ServiceSpec};
use crate::snapshot::{Inventory, ObjectKey, ResolvedTopology, Snapshot, Source, in_namespace};
use crate::topology::GatewayTopologySpec;

/// The objects that a topology applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The topology's name.
    pub topology: Arc<str>,
    /// The number of Services that send traffic to the gateway's pods.
    pub services: usize,
    /// The number of gateway pods; a workload that creates such pods counts as one.
    pub pods: usize,
    /// The number of the topology's pools that exist.
    pub pools: usize,
    /// The number of pools that the topology names.
    pub named_pools: usize,
    /// The number of `L2Advertisement`s that announce a pool of the topology, or name one.
    pub advertisements: usize,
    /// The number of `BGPAdvertisement`s that announce a pool of the topology, or name one.
    pub bgp_advertisements: usize,
}

impl Reach {
    /// Whether the topology applies to no object.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.services == 0 && self.pods == 0 && self.advertisements == 0 && self.bgp_advertisements == 0
    }
}

/// The code of a miss, which programs can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MissCode {
    /// A Service looks like that of a gateway, and no topology applies to it.
    UnguardedGateway,
    /// A Service of a topology selects pods that are not gateway pods by the topology's labels.
    NotClaimed,
    /// A pool of a topology does not exist in `MetalLB`'s namespace, and others do.
    PoolNotFound,
    /// `MetalLB`'s objects are in a namespace that no topology names.
    OtherNamespace,
    /// A Service would lose the address that it shares once its policy is `Local`.
    SharingEnds,
}

impl MissCode {
    /// Every code.
    pub const ALL: [Self; 5] = [
        Self::UnguardedGateway,
        Self::NotClaimed,
        Self::PoolNotFound,
        Self::OtherNamespace,
        Self::SharingEnds,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnguardedGateway => "UNGUARDED_GATEWAY",
            Self::NotClaimed => "NOT_CLAIMED",
            Self::PoolNotFound => "POOL_NOT_FOUND",
            Self::OtherNamespace => "OTHER_NAMESPACE",
            Self::SharingEnds => "SHARING_ENDS",
        }
    }
}

/// An object that no topology applies to, although it looks as if one should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The code.
    pub code: MissCode,
    /// The kind of the object.
    pub kind: String,
    /// The object; for [`MissCode::PoolNotFound`] the topology itself, without a namespace.
    pub object: ObjectKey,
    /// The problem: one lowercase sentence without a full stop, with names in backticks.
    pub message: String,
    /// The change to make, in the same form.
    pub help: String,
    /// The manifest of a topology that would apply; empty if none is proposed.
    pub proposal: String,
}

/// Returns what each topology applies to, in the order of names.
#[must_use]
pub fn reach(inventory: &Inventory, snapshot: &Snapshot) -> Vec<Reach> {
    let of = |topology: &ResolvedTopology| {
        let namespace = &topology.spec.gateway.namespace;
        let mut advertisements: BTreeSet<&ObjectKey> =
            topology.pools.iter().flat_map(|pool| &pool.advertisements).collect();
        // An invalid advertisement announces nothing, and is meant for the topology all the same.
        let names_a_pool = |(key, spec): &(&'_ ObjectKey, &AdvertisementSpec)| {
            key.namespace == topology.spec.metallb_namespace
                && topology.pools.iter().any(|pool| spec.pools.contains(&pool.name))
        };
        advertisements.extend(inventory.advertisements.iter().filter(names_a_pool).map(|(key, _)| key));
        Reach {
            topology: Arc::clone(&topology.name),
            services: services(inventory, topology).count(),
            pods: in_namespace(&inventory.pods, namespace)
                .filter(|(_, labels)| topology.claims(labels))
                .count(),
            pools: topology.pools.iter().filter(|pool| pool.labels.is_some()).count(),
            named_pools: topology.pools.len(),
            advertisements: advertisements.len(),
            bgp_advertisements: in_namespace(&inventory.bgp_advertisements, &topology.spec.metallb_namespace)
                .filter(|(_, spec)| announces_any(inventory, &spec.advertised(), &topology.spec))
                .count(),
        }
    };
    snapshot.topologies().iter().map(of).collect()
}

/// Whether an advertisement announces a pool of a topology, or names one that does not exist.
pub(crate) fn announces_any(
    inventory: &Inventory,
    advertisement: &AdvertisementSpec,
    spec: &GatewayTopologySpec,
) -> bool {
    let AdvertisementSpec { pools, pool_selectors, .. } = advertisement;
    pools.is_empty() && pool_selectors.is_empty()
        || spec.address_pools.iter().any(|name| {
            let key = ObjectKey { namespace: spec.metallb_namespace.clone(), name: name.clone() };
            let labels = inventory.pools.get(&key);
            let is_selected = |selector: &LabelSelector| {
                labels.is_some_and(|labels| selector.parse().is_ok_and(|parsed| parsed.matches(labels)))
            };
            pools.contains(name) || pool_selectors.iter().any(is_selected)
        })
}

/// Returns what topologies miss, ordered by code and object.
#[must_use]
pub fn misses(inventory: &Inventory, snapshot: &Snapshot) -> Vec<Miss> {
    let mut misses = Vec::new();
    unguarded_gateways(inventory, snapshot, &mut misses);
    for topology in snapshot.topologies() {
        not_claimed(inventory, topology, &mut misses);
        other_pools(inventory, topology, &mut misses);
        shared_addresses(inventory, topology, &mut misses);
    }
    other_namespaces(inventory, snapshot, &mut misses);
    misses.sort_by(|one, other| (one.code, &one.object).cmp(&(other.code, &other.object)));
    misses.dedup_by(|one, other| one.code == other.code && one.object == other.object);
    misses
}

/// The Services of a topology.
fn services<'i>(
    inventory: &'i Inventory,
    topology: &'i ResolvedTopology,
) -> impl Iterator<Item = (&'i ObjectKey, &'i Service, &'i ServiceSpec)> {
    in_namespace(&inventory.services, &topology.spec.gateway.namespace).filter_map(|(key, service)| {
        let spec = service.spec.as_ref()?;
        topology.is_behind(spec).then_some((key, service, spec))
    })
}

/// The Services that look like those of gateways and that no topology covers.
pub(crate) fn unguarded_services<'i>(
    inventory: &'i Inventory,
    snapshot: &'i Snapshot,
) -> impl Iterator<Item = (&'i ObjectKey, &'i ServiceSpec)> {
    let specs = inventory.services.iter().filter_map(|(key, service)| Some((key, service.spec.as_ref()?)));
    specs.filter(|(key, spec)| {
        spec.kind == "LoadBalancer"
            && spec.load_balancer_class.is_empty()
            && !spec.selector.is_empty()
            && looks_like_a_gateway(&key.name, &spec.selector)
            && !snapshot.gateways_in(&key.namespace).any(|topology| topology.is_behind(spec))
    })
}

fn unguarded_gateways(inventory: &Inventory, snapshot: &Snapshot, misses: &mut Vec<Miss>) {
    for (key, spec) in unguarded_services(inventory, snapshot) {
        misses.push(Miss {
            code: MissCode::UnguardedGateway,
            kind: "Service".to_owned(),
            object: key.clone(),
            message: format!(
                "Service `{}` selects {}: no topology covers it, so nothing of this gateway is guarded",
                shown(key),
                pairs(&spec.selector)
            ),
            help: "add a GatewayTopology for it, or correct `spec.gateway` of the one that is meant for it"
                .to_owned(),
            proposal: proposal(inventory, key, &spec.selector),
        });
    }
}

/// Whether a Service is most likely that of a gateway: by the words of its name and selector.
fn looks_like_a_gateway(name: &str, selector: &Labels) -> bool {
    const WORDS: [&str; 14] = [
        "gateway",
        "ingress",
        "istio",
        "traefik",
        "envoy",
        "contour",
        "kong",
        "haproxy",
        "nginx",
        "ambassador",
        "emissary",
        "gloo",
        "apisix",
        "skipper",
    ];
    let is_such = |text: &str| WORDS.iter().any(|word| text.to_ascii_lowercase().contains(word));
    is_such(name) || selector.iter().any(|(key, value)| is_such(key) || is_such(value))
}

fn not_claimed(inventory: &Inventory, topology: &ResolvedTopology, misses: &mut Vec<Miss>) {
    let own = &topology.spec.gateway.pod_labels;
    for (service, _, spec) in services(inventory, topology) {
        let mut others = in_namespace(&inventory.pods, &topology.spec.gateway.namespace)
            .filter(|(_, labels)| carries(labels, &spec.selector) && !topology.claims(labels));
        let Some((pod, labels)) = others.next() else { continue };
        let (kind, name) = pod.name.split_once('/').unwrap_or(("Pod", &pod.name));
        let object = ObjectKey { name: name.to_owned(), ..pod.clone() };
        let lacking: Labels = own
            .iter()
            .filter(|(key, value)| labels.get(*key) != Some(*value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let (more, is, lacks, its) = match others.count() {
            0 => (String::new(), "is", "lacks", "its"),
            more => (format!(" and {more} more"), "are", "lack", "their"),
        };
        misses.push(Miss {
            code: MissCode::NotClaimed,
            kind: kind.to_owned(),
            message: format!(
                "{kind} `{}`{more} {is} behind Service `{}` and {lacks} {} of `spec.gateway.podLabels` in topology `{}`: \
                 {its} pods are not placed, and with `Local` those off the announcing nodes get no traffic",
                shown(&object),
                excerpt(&service.name),
                pairs(&lacking),
                excerpt(&topology.name)
            ),
            help: "add the labels to the pod template, or remove them from `spec.gateway.podLabels`".to_owned(),
            object,
            proposal: String::new(),
        });
    }
}

fn other_pools(inventory: &Inventory, topology: &ResolvedTopology, misses: &mut Vec<Miss>) {
    let namespace = &topology.spec.metallb_namespace;
    if !inventory.read.contains(&Source::AddressPools) {
        return;
    }
    let existing: Vec<&str> =
        in_namespace(&inventory.pools, namespace).map(|(key, _)| key.name.as_str()).collect();
    for pool in topology.pools.iter().filter(|pool| pool.labels.is_none()) {
        // A legacy AddressPool has a name in the same space.
        let legacy = ObjectKey { namespace: namespace.clone(), name: pool.name.clone() };
        if existing.is_empty() || inventory.legacy_pools.contains_key(&legacy) {
            continue;
        }
        let (others, name) = (names(&existing), excerpt(&pool.name));
        misses.push(Miss {
            code: MissCode::PoolNotFound,
            kind: "GatewayTopology".to_owned(),
            object: ObjectKey { namespace: String::new(), name: topology.name.to_string() },
            message: format!(
                "topology `{}` names pool `{name}`, which does not exist in namespace `{}`; there are {others}: \
                 no advertisement of theirs is guarded",
                excerpt(&topology.name),
                excerpt(namespace)
            ),
            help: format!("set `spec.addressPools` of the topology to the pools of the gateway, or create pool `{name}`"),
            proposal: String::new(),
        });
    }
}

fn other_namespaces(inventory: &Inventory, snapshot: &Snapshot, misses: &mut Vec<Miss>) {
    let own: BTreeSet<&str> =
        snapshot.topologies().iter().map(|topology| topology.spec.metallb_namespace.as_str()).collect();
    let mut others: BTreeMap<&str, Vec<(&'static str, &ObjectKey)>> = BTreeMap::new();
    let all = inventory
        .advertisements
        .keys()
        .map(|key| ("L2Advertisement", key))
        .chain(inventory.bgp_advertisements.keys().map(|key| ("BGPAdvertisement", key)))
        .chain(inventory.pools.keys().map(|key| ("IPAddressPool", key)));
    for (kind, key) in all.filter(|(_, key)| !own.contains(key.namespace.as_str())) {
        others.entry(&key.namespace).or_default().push((kind, key));
    }
    for (namespace, objects) in others {
        let Some((kind, first)) = objects.first() else { continue };
        let (more, are) = match objects.len() {
            0 | 1 => (String::new(), "is"),
            many => (format!(" and {} more of MetalLB's objects", many.saturating_sub(1)), "are"),
        };
        let asked = names(&own.iter().copied().collect::<Vec<_>>());
        misses.push(Miss {
            code: MissCode::OtherNamespace,
            kind: (*kind).to_owned(),
            object: (*first).clone(),
            message: format!(
                "{kind} `{}`{more} {are} in namespace `{}`, and `spec.metallbNamespace` is {asked}: nothing there is guarded",
                excerpt(&first.name),
                excerpt(namespace),
            ),
            help: format!(
                "if MetalLB runs in `{0}`, set `spec.metallbNamespace: {0}` in the topology; otherwise set the namespace of the \
                 object, because MetalLB reads its own namespace only",
                excerpt(namespace)
            ),
            proposal: String::new(),
        });
    }
}

/// The Services that share an address with others, and could not once their policy is `Local`.
fn shared_addresses(inventory: &Inventory, topology: &ResolvedTopology, misses: &mut Vec<Miss>) {
    let old_only = !MetalLbVersion::default().reads_new_annotations();
    for (key, service, _) in services(inventory, topology) {
        let Some(balancer) = inventory.load_balancers.get(key) else { continue };
        let Some(sharing) = sharing_key(balancer, old_only) else { continue };
        let as_local = local(service);
        let mut others = inventory.load_balancers.iter().filter_map(|(other, other_balancer)| {
            if other == key || sharing_key(other_balancer, old_only) != Some(sharing) {
                return None;
            }
            let other_service = inventory.services.get(other)?;
            // A Service behind the same gateway becomes `Local`, too.
            let is_own = other.namespace == topology.spec.gateway.namespace
                && other_service.spec.as_ref().is_some_and(|spec| topology.is_behind(spec));
            let then = if is_own { local(other_service) } else { other_service.clone() };
            (!may_share((&as_local, balancer), (&then, other_balancer), old_only)).then_some(other)
        });
        let Some(other) = others.next() else { continue };
        misses.push(Miss {
            code: MissCode::SharingEnds,
            kind: "Service".to_owned(),
            object: key.clone(),
            message: format!(
                "Service `{}` shares the key `{}` for its address with Service `{}`, and MetalLB lets Services with \
                 `externalTrafficPolicy: Local` share an address only if both are `Local` and have the same selector: \
                 one of them would lose the address",
                shown(key),
                excerpt(sharing),
                shown(other)
            ),
            help: "give the gateway's Service an address of its own: remove the annotation `allow-shared-ip`".to_owned(),
            proposal: String::new(),
        });
    }
}

/// The Service with `externalTrafficPolicy: Local`.
fn local(service: &Service) -> Service {
    let mut service = service.clone();
    if let Some(spec) = &mut service.spec {
        "Local".clone_into(&mut spec.external_traffic_policy);
    }
    service
}

/// The manifest of a topology for the gateway behind a Service.
fn proposal(inventory: &Inventory, service: &ObjectKey, selector: &Labels) -> String {
    let labels: Vec<String> =
        selector.iter().map(|(key, value)| format!("{}: {}", scalar(key), scalar(value))).collect();
    let mut lines = vec![
        "apiVersion: lockstep.dev/v1alpha1".to_owned(),
        "kind: GatewayTopology".to_owned(),
        format!("metadata: {{name: {}}}", scalar(&service.name)),
        "spec:".to_owned(),
        format!(
            "  gateway: {{namespace: {}, podLabels: {{{}}}}}",
            scalar(&service.namespace),
            labels.join(", ")
        ),
    ];
    let balancer = inventory.load_balancers.get(service);
    let asked = balancer.and_then(|balancer| balancer.annotation("address-pool", false));
    let namespaces: BTreeSet<&String> = inventory.pools.keys().map(|key| &key.namespace).collect();
    let every: Vec<&str> = inventory.pools.keys().map(|key| key.name.as_str()).collect();
    let namespace = match namespaces.into_iter().collect::<Vec<_>>().as_slice() {
        [namespace] => Some(*namespace),
        _ => None,
    };
    let pools = match (asked, namespace) {
        (Some(pool), _) => vec![pool],
        (None, Some(_)) => every,
        (None, None) => Vec::new(),
    };
    if !pools.is_empty() {
        let pools: Vec<String> = pools.into_iter().map(scalar).collect();
        lines.push(format!("  addressPools: [{}]", pools.join(", ")));
    }
    if let Some(namespace) = namespace {
        lines.push(format!("  metallbNamespace: {}", scalar(namespace)));
    }
    lines.join("\n")
}

/// A string as YAML, in quotes where it could be read as something else.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn shown(key: &ObjectKey) -> String {
    excerpt(&format!("{}/{}", key.namespace, key.name))
}

fn pairs(labels: &Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("`{}`", excerpt(&format!("{key}={value}")))).collect();
    pairs.join(", ")
}

fn names(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", excerpt(name))).collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::snapshot::from_objects::inventory_of;

    fn service(namespace: &str, selector: &Value) -> Value {
        json!({
            "kind": "Service", "apiVersion": "v1", "metadata": {"name": "edge", "namespace": namespace},
            "spec": {"type": "LoadBalancer", "selector": selector},
        })
    }

    fn found(objects: &[Value]) -> (Vec<Reach>, Vec<Miss>) {
        let inventory = inventory_of(objects).or_built_in();
        let snapshot = Snapshot::new(&inventory);
        (reach(&inventory, &snapshot), misses(&inventory, &snapshot))
    }

    #[test]
    fn a_gateway_of_another_release_is_missed_and_a_topology_for_it_is_proposed() {
        let (reach, misses) = found(&[
            service("istio-ingress", &json!({"istio": "ingress", "on": "yes"})),
            json!({"kind": "IPAddressPool", "metadata": {"name": "edge-pool", "namespace": "lb"}}),
        ]);
        assert!(reach[0].is_empty());
        let [gateway, namespace] = misses.as_slice() else { panic!("{misses:?}") };
        assert_eq!(gateway.code, MissCode::UnguardedGateway);
        assert!(
            gateway.message.contains("`istio-ingress/edge` selects `istio=ingress`"),
            "{}",
            gateway.message
        );
        let expected = "apiVersion: lockstep.dev/v1alpha1\nkind: GatewayTopology\nmetadata: {name: edge}\nspec:\n  \
            gateway: {namespace: istio-ingress, podLabels: {istio: ingress, \"on\": \"yes\"}}\n  \
            addressPools: [edge-pool]\n  metallbNamespace: lb";
        assert_eq!(gateway.proposal, expected);
        assert_eq!(namespace.code, MissCode::OtherNamespace);
        assert!(namespace.help.contains("`spec.metallbNamespace: lb`"), "{}", namespace.help);
    }

    #[test]
    fn other_load_balancers_are_not_missed() {
        let (_, misses) = found(&[service("databases", &json!({"app": "postgres"}))]);
        assert_eq!(misses, []);
    }

    #[test]
    fn pods_behind_the_service_without_the_labels_are_missed() {
        let (reach, misses) = found(&[
            service("istio-system", &json!({"istio": "ingressgateway"})),
            json!({"kind": "Pod", "metadata": {"name": "a", "labels": {"istio": "ingressgateway"}}}),
        ]);
        assert_eq!((reach[0].services, reach[0].pods), (1, 0));
        assert_eq!(misses[0].code, MissCode::NotClaimed);
        assert!(misses[0].message.contains("lacks `app=istio-ingressgateway`"), "{}", misses[0].message);
    }

    #[test]
    fn services_that_could_no_longer_share_their_address_are_named() {
        let shared = |name: &str, selector: Value, policy: &str| {
            json!({
                "kind": "Service",
                "metadata": {"name": name, "annotations": {"metallb.io/allow-shared-ip": "front"}},
                "spec": {"type": "LoadBalancer", "selector": selector, "externalTrafficPolicy": policy},
            })
        };
        let own = json!({"app": "istio-ingressgateway", "istio": "ingressgateway"});
        let gateway = shared("gateway", own.clone(), "Cluster");
        let (_, with_other) = found(&[gateway.clone(), shared("dns", json!({"app": "resolver"}), "Cluster")]);
        assert_eq!(with_other[0].code, MissCode::SharingEnds);
        let (_, with_own) = found(&[gateway, shared("udp", own, "Cluster")]);
        assert_eq!(with_own, []);
    }
}
