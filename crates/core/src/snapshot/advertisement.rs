//! Parsed advertisements.

use std::collections::BTreeSet;

use crate::field::FieldPath;
use crate::labels::{Labels, Problem, Selector, SelectorError, first_duplicate, parse_list};
use crate::objects::AdvertisementSpec;

/// A parsed advertisement: the pools and Services that it announces, and its announcing nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    pools: BTreeSet<String>,
    pool_selectors: BTreeSet<Selector>,
    service_selectors: BTreeSet<Selector>,
    node_selectors: Vec<Selector>,
    preferred_nodes: Vec<(Selector, i64)>,
    limits_interfaces: bool,
}

/// Whether an advertisement announces a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// The advertisement announces the pool.
    Yes,
    /// The advertisement does not announce the pool.
    No,
    /// The advertisement selects pools by labels, and the pool's labels are unknown.
    Unknown,
}

impl Advertisement {
    /// Parses the spec of an advertisement.
    ///
    /// # Errors
    /// [`SelectorError`] with a path from the object's root for what `MetalLB`'s own parser rejects
    /// (`l2AdvertisementFromCR`, internal/config/config.go, 0.16.2).
    pub fn parse(spec: &AdvertisementSpec) -> Result<Self, SelectorError> {
        let at = |name| FieldPath::fields(["spec"]).field(name);
        let list = |selectors, name| parse_list(selectors).map_err(|error| error.below(at(name)));
        if let Some(duplicate) = first_duplicate(&spec.pools) {
            let field = at("ipAddressPools").index(duplicate);
            return Err(SelectorError { field, problem: Problem::Duplicate("pool") });
        }
        let preferences = spec.preferred_node_selectors.iter().enumerate().map(|(index, preferred)| {
            let field = || at("preferredNodeSelectors").index(index).field("preference");
            let nodes = preferred.preference.parse().map_err(|error| error.below(field()))?;
            Ok((nodes, preferred.weight))
        });
        let preferred_nodes = preferences.collect::<Result<_, _>>()?;
        Ok(Self {
            pools: spec.pools.iter().cloned().collect(),
            pool_selectors: list(&spec.pool_selectors, "ipAddressPoolSelectors")?.into_iter().collect(),
            service_selectors: list(&spec.service_selectors, "serviceSelectors")?.into_iter().collect(),
            node_selectors: list(&spec.node_selectors, "nodeSelectors")?,
            preferred_nodes,
            limits_interfaces: !spec.interfaces.is_empty(),
        })
    }

    /// The selectors of the announcing nodes, of which any may match. The list is never empty: without `nodeSelectors`
    /// it has one selector for every node.
    #[must_use]
    pub fn nodes(&self) -> &[Selector] {
        static EVERY_NODE: std::sync::LazyLock<[Selector; 1]> =
            std::sync::LazyLock::new(|| [Selector::default()]);
        if self.node_selectors.is_empty() { EVERY_NODE.as_slice() } else { &self.node_selectors }
    }

    /// Whether the advertisement selects a node with these labels.
    #[must_use]
    pub fn announces_from(&self, node: &Labels) -> bool {
        self.nodes().iter().any(|selector| selector.matches(node))
    }

    /// The weight of the preference for a node with these labels; 0 without a preference.
    #[must_use]
    pub fn preference_for(&self, node: &Labels) -> i64 {
        let matching = self.preferred_nodes.iter().filter(|(nodes, _)| nodes.matches(node));
        matching.map(|(_, weight)| weight).fold(0, |sum, weight| sum.saturating_add(*weight))
    }

    /// Whether the advertisement has preferences among nodes.
    #[must_use]
    pub fn has_preferences(&self) -> bool {
        !self.preferred_nodes.is_empty()
    }

    /// Whether the advertisement is limited to some Services.
    #[must_use]
    pub fn selects_services(&self) -> bool {
        !self.service_selectors.is_empty()
    }

    /// Whether the advertisement announces the pool. `labels` are the pool's labels, if they are known.
    ///
    /// An advertisement announces every pool only if both of its lists are empty. A name or a selector that matches no pool announces
    /// nothing (`setL2AdvertisementsToPools`).
    #[must_use]
    pub fn announces(&self, pool: &str, labels: Option<&Labels>) -> Attachment {
        let every_pool = self.pools.is_empty() && self.pool_selectors.is_empty();
        if every_pool || self.pools.contains(pool) || self.pool_selectors.iter().any(Selector::is_everything)
        {
            return Attachment::Yes;
        }
        match labels {
            Some(labels) if self.pool_selectors.iter().any(|selector| selector.matches(labels)) => {
                Attachment::Yes
            }
            None if !self.pool_selectors.is_empty() => Attachment::Unknown,
            _ => Attachment::No,
        }
    }

    /// The number of selectors that a question about a Service or a pool examines at most.
    pub(crate) fn service_and_pool_selectors(&self) -> usize {
        self.service_selectors.len().saturating_add(self.pool_selectors.len()).saturating_add(1)
    }

    /// Whether the advertisement applies to Services with these labels.
    #[must_use]
    pub fn applies_to(&self, service: &Labels) -> bool {
        self.service_selectors.is_empty()
            || self.service_selectors.iter().any(|selector| selector.matches(service))
    }

    /// The labels that a Service lacks so that the advertisement applies to it; `None` if labels alone do not do it.
    #[must_use]
    pub fn labels_to_apply_to(&self, service: &Labels) -> Option<Labels> {
        self.service_selectors.iter().find_map(|selector| {
            let mut missing = selector.witness()?.labels;
            missing.retain(|key, value| service.get(key) != Some(value));
            let mut labels = service.clone();
            labels.extend(missing.clone());
            selector.matches(&labels).then_some(missing)
        })
    }

    /// The pools that the advertisement names.
    #[must_use]
    pub fn named_pools(&self) -> &BTreeSet<String> {
        &self.pools
    }

    /// Whether the advertisement selects pools by name only.
    pub(crate) fn names_pools_only(&self) -> bool {
        !self.pools.is_empty() && self.pool_selectors.is_empty()
    }

    /// Whether the advertisement is limited to some network interfaces.
    #[must_use]
    pub fn limits_interfaces(&self) -> bool {
        self.limits_interfaces
    }

    /// Whether both advertisements announce the same from the same nodes. The order of their lists does not matter.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let set = |selectors: &[Selector]| selectors.iter().cloned().collect::<BTreeSet<_>>();
        set(&self.node_selectors) == set(&other.node_selectors)
            && (&self.pools, &self.pool_selectors, &self.service_selectors, self.limits_interfaces)
                == (&other.pools, &other.pool_selectors, &other.service_selectors, other.limits_interfaces)
    }
}
