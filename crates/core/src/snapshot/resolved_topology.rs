//! Topologies resolved in a snapshot, each with its pools, advertisements, Services and pods.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::pool_conflicts::YieldedPools;
use super::{Advertisement, Attachment, Declared, Inventory, ObjectKey, in_namespace};
use crate::labels::{Labels, Selector, carries};
use crate::objects::ServiceSpec;
use crate::topology::{Enforcement, GatewayTopologySpec, ServiceType};
use crate::verdict::{Rule, Severity};

/// A topology with its objects in the cluster.
#[derive(Debug)]
pub struct ResolvedTopology {
    /// The topology's name.
    pub name: Arc<str>,
    /// The topology's `metadata.generation`.
    pub generation: i64,
    /// The topology's spec.
    pub spec: GatewayTopologySpec,
    /// The selector of the gateway nodes.
    pub placement: Selector,
    /// The address pools that carry the gateway's Services, without those that the topology yields.
    pub pools: Vec<Pool>,
    /// The pools of the topology that an older topology keeps, because no advertisement can suit both: each with the name of
    /// the older one. The topology is not enforced for them.
    pub yielded_pools: BTreeMap<String, Arc<str>>,
    /// The labels of the gateway's Services. Without a Service, the expected labels: in Istio's charts they are those
    /// of the pods.
    pub services: BTreeSet<Labels>,
    /// The distinct label sets of live gateway pods.
    pods: BTreeSet<Labels>,
    /// The Services of the namespace that would have to be `Local` if they selected a gateway pod, and are not: the name
    /// and the selector of each.
    exposed: Vec<(String, Labels)>,
}

/// One address pool of a topology.
#[derive(Debug)]
pub struct Pool {
    /// The pool's name.
    pub name: String,
    /// The pool's labels; `None` if the pool does not exist yet.
    pub labels: Option<Labels>,
    /// The advertisements that announce the pool.
    pub advertisements: BTreeSet<ObjectKey>,
}

impl ResolvedTopology {
    pub(super) fn new(
        name: &str,
        declared: &Declared,
        yielded: Option<&YieldedPools<'_>>,
        inventory: &Inventory,
        advertisements: &AdvertisementsByPool<'_>,
    ) -> Self {
        let spec = declared.spec.clone();
        let is_kept = |pool: &&String| !yielded.is_some_and(|yielded| yielded.contains_key(pool.as_str()));
        let pools = spec.address_pools.iter().filter(is_kept).map(|pool| {
            let key = ObjectKey { namespace: spec.metallb_namespace.clone(), name: pool.clone() };
            Pool::new(&key, inventory.pools.get(&key), advertisements)
        });
        let mut topology = Self {
            name: Arc::from(name),
            generation: declared.generation,
            placement: Selector::from_labels(&spec.placement.node_selector),
            pools: pools.collect(),
            yielded_pools: yielded
                .into_iter()
                .flatten()
                .map(|(pool, older)| ((*pool).to_owned(), Arc::from(*older)))
                .collect(),
            services: BTreeSet::new(),
            pods: BTreeSet::new(),
            exposed: Vec::new(),
            spec,
        };
        topology.pods = in_namespace(&inventory.pods, &topology.spec.gateway.namespace)
            .map(|(_, labels)| labels)
            .filter(|labels| topology.claims(labels))
            .cloned()
            .collect();
        topology.services = in_namespace(&inventory.services, &topology.spec.gateway.namespace)
            .map(|(_, service)| service)
            .filter(|service| {
                service
                    .spec
                    .as_ref()
                    .is_some_and(|spec| topology.is_behind(spec) && topology.is_announced(spec))
            })
            .map(|service| service.metadata.labels.clone())
            .collect();
        topology.exposed = in_namespace(&inventory.services, &topology.spec.gateway.namespace)
            .filter_map(|(key, service)| Some((key, service.spec.as_ref()?)))
            .filter(|(_, spec)| {
                spec.external_traffic_policy != "Local"
                    && !spec.selector.is_empty()
                    && topology.requires_local(spec)
                    && !topology.is_behind(spec)
            })
            .map(|(key, spec)| (key.name.clone(), spec.selector.clone()))
            .collect();
        if topology.services.is_empty() {
            topology.services.insert(topology.spec.gateway.pod_labels.clone());
        }
        topology
    }

    /// Whether a pod with these labels, in the gateway's namespace, is a gateway pod.
    #[must_use]
    pub fn claims(&self, labels: &Labels) -> bool {
        carries(labels, &self.spec.gateway.pod_labels)
    }

    /// Whether a Service in the gateway's namespace sends traffic to gateway pods.
    ///
    /// The Service's labels and name do not matter. A selector that is a subset of the gateway's labels selects every
    /// gateway pod; one that contains them selects gateway pods only; any other is compared with the current gateway
    /// pods.
    #[must_use]
    pub fn is_behind(&self, service: &ServiceSpec) -> bool {
        let selector = &service.selector;
        let gateway = &self.spec.gateway.pod_labels;
        service.kind != "ExternalName"
            && !selector.is_empty()
            && (carries(gateway, selector)
                || carries(selector, gateway)
                || self.pods.iter().any(|labels| carries(labels, selector)))
    }

    /// Whether a Service of this type must have `externalTrafficPolicy: Local`, if it is behind the gateway.
    #[must_use]
    pub fn requires_local(&self, service: &ServiceSpec) -> bool {
        let types = &self.spec.service.types;
        match service.kind.as_str() {
            "LoadBalancer" => types.contains(&ServiceType::LoadBalancer) && self.is_announced(service),
            "NodePort" => types.contains(&ServiceType::NodePort),
            "" | "ClusterIP" => types.contains(&ServiceType::ClusterIP) && !service.external_ips.is_empty(),
            _ => false,
        }
    }

    /// The name of a Service that selects a pod with these labels, does not lead to the gateway yet, and would have to be
    /// `Local`.
    pub(crate) fn exposing(&self, pod: &Labels) -> Option<&str> {
        self.exposed.iter().find(|(_, selector)| carries(pod, selector)).map(|(name, _)| name.as_str())
    }

    /// Whether MetalLB assigns addresses to the Service: it serves Services of type `LoadBalancer` with its own class
    /// (`filterByLoadBalancerClass`, `internal/k8s/controllers/service_controller.go`, 0.16.2).
    #[must_use]
    pub fn is_announced(&self, service: &ServiceSpec) -> bool {
        service.kind == "LoadBalancer"
            && self.spec.service.load_balancer_classes.contains(&service.load_balancer_class)
    }

    /// Whether the topology enforces the rule: admission edits or denies.
    #[must_use]
    pub fn enforces(&self, rule: Rule) -> bool {
        self.severity(rule) == Severity::Deny
    }

    /// The severity of a finding that denies if the rule is enforced.
    #[must_use]
    pub fn severity(&self, rule: Rule) -> Severity {
        match self.spec.enforcement_of(rule) {
            Enforcement::Enforce => Severity::Deny,
            Enforcement::Warn => Severity::Warn,
            Enforcement::Audit => Severity::Audit,
        }
    }
}

impl Pool {
    fn new(key: &ObjectKey, labels: Option<&Labels>, advertisements: &AdvertisementsByPool<'_>) -> Self {
        Self {
            name: key.name.clone(),
            labels: labels.cloned(),
            advertisements: advertisements.announcing(key, labels),
        }
    }
}

/// Advertisements by the pools that they name: with a thousand of both, a search through all would take a million steps.
pub(super) struct AdvertisementsByPool<'a> {
    /// Those that select pools by name only, by namespace and pool.
    named: HashMap<(&'a str, &'a str), Vec<&'a ObjectKey>>,
    others: Vec<(&'a ObjectKey, &'a Advertisement)>,
}

impl<'a> AdvertisementsByPool<'a> {
    pub(super) fn new(advertisements: &'a BTreeMap<ObjectKey, Advertisement>) -> Self {
        let (mut named, mut others): (HashMap<_, Vec<_>>, _) = (HashMap::new(), Vec::new());
        for (key, advertisement) in advertisements {
            if advertisement.names_pools_only() {
                for pool in advertisement.named_pools() {
                    named.entry((key.namespace.as_str(), pool.as_str())).or_default().push(key);
                }
            } else {
                others.push((key, advertisement));
            }
        }
        Self { named, others }
    }

    /// The advertisements that announce a pool with these labels.
    fn announcing(&self, pool: &ObjectKey, labels: Option<&Labels>) -> BTreeSet<ObjectKey> {
        let named = self.named.get(&(pool.namespace.as_str(), pool.name.as_str()));
        let announces = |(key, advertisement): &&(&'a ObjectKey, &'a Advertisement)| {
            key.namespace == pool.namespace && advertisement.announces(&pool.name, labels) == Attachment::Yes
        };
        let others = self.others.iter().filter(announces).map(|(key, _)| *key);
        named.into_iter().flatten().copied().chain(others).cloned().collect()
    }
}
