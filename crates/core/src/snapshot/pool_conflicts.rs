//! Pool conflicts: topologies that name the same pool and ask for announcing nodes that no advertisement can satisfy together.
//!
//! Every change of the pool's advertisements would break one of the topologies. So the oldest one keeps the pool, and a younger
//! one yields it: it is not enforced for the pool until the conflict ends.

use std::collections::BTreeMap;

use super::Declared;
use crate::labels::{Labels, Selector};
use crate::topology::Match;

/// The pools that a topology yields, each with the older topology that keeps it.
pub(super) type YieldedPools<'i> = BTreeMap<&'i str, &'i str>;

/// The demand of a topology on the announcing nodes of a pool that it keeps.
struct Claim<'i> {
    topology: &'i str,
    placement: &'i Labels,
    may_be_wider: bool,
}

impl Claim<'_> {
    /// Whether no advertisement satisfies both claims. Each asks for its own gateway nodes, and one that may not be wider
    /// excludes all others.
    fn contradicts(&self, other: &Self) -> bool {
        let excludes = |one: &Self, other: &Self| {
            !one.may_be_wider
                && !Selector::from_labels(other.placement).is_within(&Selector::from_labels(one.placement))
        };
        excludes(self, other) || excludes(other, self)
    }

    fn is_same_as(&self, other: &Self) -> bool {
        (self.placement, self.may_be_wider) == (other.placement, other.may_be_wider)
    }
}

/// The pools that topologies yield, by the names of the topologies. The older topology keeps a pool, by `creationTimestamp` and
/// then by name; one without a `creationTimestamp` is the youngest.
pub(super) fn yielded_pools(topologies: &BTreeMap<String, Declared>) -> BTreeMap<&str, YieldedPools<'_>> {
    let mut by_age: Vec<(&String, &Declared)> = topologies.iter().collect();
    by_age.sort_by_key(|(name, declared)| (declared.created.is_none(), declared.created, *name));
    let mut kept: BTreeMap<(&str, &str), Vec<Claim<'_>>> = BTreeMap::new();
    let mut yielded: BTreeMap<&str, YieldedPools<'_>> = BTreeMap::new();
    for (name, Declared { spec, .. }) in by_age {
        for pool in &spec.address_pools {
            let claim = Claim {
                topology: name,
                placement: &spec.placement.node_selector,
                may_be_wider: spec.announcements.relation == Match::Covering,
            };
            let claims = kept.entry((&spec.metallb_namespace, pool)).or_default();
            if let Some(older) = claims.iter().find(|older| older.contradicts(&claim)) {
                yielded.entry(name).or_default().insert(pool, older.topology);
            } else if !claims.iter().any(|older| older.is_same_as(&claim)) {
                claims.push(claim);
            }
        }
    }
    yielded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(created: Option<i64>, label: &str, relation: Match) -> Declared {
        let mut declared = Declared {
            created: created.map(|second| k8s_openapi::jiff::Timestamp::from_second(second).unwrap()),
            ..Declared::default()
        };
        declared.spec.placement.node_selector =
            label.split_terminator(',').map(|key| (key.into(), "x".into())).collect();
        declared.spec.announcements.relation = relation;
        declared
    }

    fn yields<const N: usize>(topologies: [(&str, Declared); N]) -> Vec<(String, String)> {
        let topologies = topologies.map(|(name, declared)| (name.to_owned(), declared)).into();
        let found = yielded_pools(&topologies);
        let pairs = found.into_iter().flat_map(|(name, pools)| {
            pools.into_values().map(move |older| (name.to_owned(), older.to_owned()))
        });
        pairs.collect()
    }

    fn one(name: &str, older: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), older.to_owned())]
    }

    #[test]
    fn the_older_topology_keeps_a_pool_and_the_name_decides_between_equals() {
        let of = |created, label| topology(created, label, Match::Exact);
        assert_eq!(yields([("a", of(Some(2), "n")), ("b", of(Some(1), "m"))]), one("a", "b"));
        assert_eq!(yields([("a", of(Some(1), "n")), ("b", of(Some(1), "m"))]), one("b", "a"));
        assert_eq!(yields([("a", of(None, "n")), ("b", of(Some(1), "m"))]), one("a", "b"));
        assert_eq!(yields([("a", of(None, "n")), ("b", of(None, "m"))]), one("b", "a"));
    }

    #[test]
    fn topologies_of_one_placement_of_other_pools_or_of_another_metallb_share_nothing_that_conflicts() {
        let of = |label| topology(None, label, Match::Exact);
        assert_eq!(yields([("a", of("n")), ("b", of("n"))]), []);
        let mut other_pool = of("m");
        other_pool.spec.address_pools = vec!["other".to_owned()];
        assert_eq!(yields([("a", of("n")), ("b", other_pool)]), []);
        let mut other_namespace = of("m");
        other_namespace.spec.metallb_namespace = "lb".to_owned();
        assert_eq!(yields([("a", of("n")), ("b", other_namespace)]), []);
    }

    #[test]
    fn covering_topologies_share_a_pool_and_the_placement_of_others_must_include_theirs() {
        let covering = |label| topology(None, label, Match::Covering);
        assert_eq!(yields([("a", covering("n")), ("b", covering("m"))]), []);
        for relation in [Match::Exact, Match::Contained, Match::LiveNodes] {
            let other = || topology(None, "n", relation);
            assert_eq!(yields([("a", other()), ("b", covering("n,m"))]), []);
            assert_eq!(yields([("a", other()), ("b", covering("m"))]), one("b", "a"));
            assert_eq!(yields([("a", covering("")), ("b", other())]), one("b", "a"));
        }
    }

    #[test]
    fn a_topology_that_yields_a_pool_keeps_no_other_from_it() {
        let of = |created, label| topology(Some(created), label, Match::Exact);
        let found = yields([("a", of(1, "n")), ("b", of(2, "m")), ("c", of(3, "m")), ("d", of(4, "n"))]);
        assert_eq!(found, [one("b", "a"), one("c", "a")].concat());
    }
}
