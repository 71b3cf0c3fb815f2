//! Overlaps: topologies that claim the same pods.

use std::collections::BTreeSet;

use tracing::warn;

use crate::labels::carries;
use crate::snapshot::Declared;

/// The overlapping pairs of topologies that were logged.
#[derive(Debug, Default)]
pub(super) struct Overlaps {
    known: BTreeSet<(String, String)>,
}

impl Overlaps {
    /// Logs every new pair. Their pods are rejected one by one, and only this line names the common cause.
    pub(super) fn warn<'t>(&mut self, topologies: impl Iterator<Item = (&'t str, &'t Declared)>) {
        let overlaps = overlaps(&topologies.collect::<Vec<_>>());
        for (one, other) in overlaps.difference(&self.known) {
            warn!(
                one,
                other,
                "two topologies claim the same pods, so these pods are rejected: change `podLabels` of one topology"
            );
        }
        self.known = overlaps;
    }
}

/// Returns the pairs in which every pod of one topology is a pod of the other. Labels that one pod could have together
/// are not an overlap yet.
fn overlaps(topologies: &[(&str, &Declared)]) -> BTreeSet<(String, String)> {
    let mut rest = topologies;
    let mut found = BTreeSet::new();
    while let Some(((name, declared), others)) = rest.split_first() {
        let gateway = &declared.spec.gateway;
        for (other, declared) in others {
            let other_gateway = &declared.spec.gateway;
            let (labels, other_labels) = (&gateway.pod_labels, &other_gateway.pod_labels);
            if gateway.namespace == other_gateway.namespace
                && (carries(labels, other_labels) || carries(other_labels, labels))
            {
                found.insert(((*name).to_owned(), (*other).to_owned()));
            }
        }
        rest = others;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;

    fn topology(namespace: &str, labels: &[(&str, &str)]) -> Declared {
        let mut declared = Declared::default();
        declared.spec.gateway.namespace = namespace.to_owned();
        declared.spec.gateway.pod_labels =
            labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect::<Labels>();
        declared
    }

    #[test]
    fn topologies_overlap_if_the_labels_of_one_contain_the_others_in_one_namespace() {
        let wide = topology("one", &[("app", "gateway")]);
        let narrow = topology("one", &[("app", "gateway"), ("tier", "edge")]);
        let beside = topology("one", &[("istio", "ingress")]);
        let elsewhere = topology("two", &[("app", "gateway")]);
        let found =
            overlaps(&[("beside", &beside), ("elsewhere", &elsewhere), ("narrow", &narrow), ("wide", &wide)]);
        assert_eq!(found, BTreeSet::from([("narrow".to_owned(), "wide".to_owned())]));
    }
}
