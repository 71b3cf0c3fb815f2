//! What is to be watched, as a pure function of the topologies.

use std::collections::BTreeSet;

use super::Watched;
use crate::labels::Labels;
use crate::topology::GatewayTopologySpec;

/// One run of a watch. Never used twice, so that a late report of a stopped watch finds no place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WatchId(pub(super) u64);

/// What one watch is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    /// The kind.
    pub(super) kind: Watched,
    /// `None` for kinds without namespaces.
    pub(super) namespace: Option<String>,
    /// `None` for all of the kind; else the one of this name.
    pub(super) name: Option<String>,
    /// Pods only: the labels that they carry.
    pub(super) labels: Labels,
}

impl Target {
    pub(super) fn everywhere(kind: Watched) -> Self {
        Self { kind, namespace: None, name: None, labels: Labels::new() }
    }

    pub(super) fn one(kind: Watched, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::everywhere(kind) }
    }

    fn within(namespace: &str, kind: Watched) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..Self::everywhere(kind) }
    }

    /// The field selector as a query parameter. An account that may see no other name must ask like this.
    pub(super) fn named(&self) -> Option<String> {
        self.name.as_ref().map(|name| format!("metadata.name={name}"))
    }

    /// The label selector as a query parameter. Keys and values are valid ones, so nothing needs quotes.
    pub(super) fn selector(&self) -> Option<String> {
        let pairs: Vec<_> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join(","))
    }
}

/// Everything that `topologies` need. Whatever two of them share is watched once; only the pods are not,
/// where their labels differ.
pub(super) fn targets<'t>(topologies: impl Iterator<Item = &'t GatewayTopologySpec>) -> BTreeSet<Target> {
    let mut targets = BTreeSet::from([Watched::Node, Watched::GatewayTopology].map(Target::everywhere));
    for topology in topologies {
        let gateway = &topology.gateway;
        targets.extend([
            Target::within(&gateway.namespace, Watched::Service),
            Target { labels: gateway.pod_labels.clone(), ..Target::within(&gateway.namespace, Watched::Pod) },
            Target::within(&topology.metallb_namespace, Watched::IPAddressPool),
            Target::within(&topology.metallb_namespace, Watched::L2Advertisement),
        ]);
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_topology_needs_no_namespace() {
        let targets = targets(std::iter::empty());
        assert_eq!(targets.len(), 2);
        assert!(targets.iter().all(|target| target.namespace.is_none()));
    }

    #[test]
    fn topologies_share_all_watches_but_those_of_their_pods() {
        let one = GatewayTopologySpec::default();
        let mut other = one.clone();
        other.gateway.pod_labels = Labels::from([("app".into(), "other".into())]);
        assert_eq!(targets([&one].into_iter()).len(), 6);
        assert_eq!(targets([&one, &one].into_iter()).len(), 6);
        assert_eq!(targets([&one, &other].into_iter()).len(), 7);
    }

    #[test]
    fn pods_are_selected_by_the_gateways_labels() {
        let targets = targets([&GatewayTopologySpec::default()].into_iter());
        let selectors: Vec<_> = targets.iter().filter_map(Target::selector).collect();
        assert_eq!(selectors, ["app=istio-ingressgateway,istio=ingressgateway"]);
    }
}
