//! The algebra of selectors against brute force: every label set of a small universe is tried.
//!
//! Selectors use values out of `VALUES`. One more value represents all others, because no requirement can distinguish
//! two values that it does not name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use lockstep::labels::{Labels, Selector, TooComplex, Values, uncovered};
use proptest::prelude::*;

const KEYS: [&str; 3] = ["a", "b", "c"];
const VALUES: [&str; 3] = ["x", "y", "z"];
const UNNAMED: &str = "unnamed";

fn values() -> impl Strategy<Value = Values> {
    let some = proptest::sample::subsequence(VALUES.to_vec(), 1..=VALUES.len());
    prop_oneof![
        3 => some.clone().prop_map(Values::one_of),
        3 => some.prop_map(Values::none_of),
        1 => Just(Values::present()),
        1 => Just(Values::absent()),
    ]
}

/// Generates up to five requirements, so that some keys are named twice and may contradict each other.
fn selector() -> impl Strategy<Value = Selector> {
    prop::collection::vec((prop::sample::select(KEYS.to_vec()), values()), 0..=5).prop_map(|requirements| {
        let mut selector = Selector::default();
        for (key, values) in requirements {
            selector.require(key, values);
        }
        selector
    })
}

/// Every label set over the keys: each key is absent, or has one of the values or one that no selector names.
static UNIVERSE: LazyLock<Vec<Labels>> = LazyLock::new(universe);

fn universe() -> Vec<Labels> {
    let mut sets = vec![BTreeMap::new()];
    for key in KEYS {
        let with_key = sets.iter().flat_map(|set: &Labels| {
            VALUES.iter().chain([&UNNAMED]).map(move |value| {
                let mut set = set.clone();
                set.insert(key.into(), (*value).into());
                set
            })
        });
        sets = sets.iter().cloned().chain(with_key).collect();
    }
    sets
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(100_000))]

    #[test]
    fn containment_and_overlap_agree_with_brute_force(left in selector(), right in selector()) {
        let universe = &*UNIVERSE;
        let within = universe.iter().all(|labels| !left.matches(labels) || right.matches(labels));
        let overlap = universe.iter().any(|labels| left.matches(labels) && right.matches(labels));
        prop_assert_eq!(left.is_within(&right), within);
        prop_assert_eq!(left.overlaps(&right), overlap);
        prop_assert_eq!(left.is_empty(), !universe.iter().any(|labels| left.matches(labels)));
        prop_assert_eq!(left.is_everything(), universe.iter().all(|labels| left.matches(labels)));
    }

    #[test]
    fn a_witness_is_in_one_set_and_outside_the_other(left in selector(), right in selector()) {
        match left.outside(&right) {
            Some(witness) => {
                prop_assert!(left.matches(&witness.labels), "{witness} is not in {left}");
                prop_assert!(!right.matches(&witness.labels), "{witness} is in {right}");
                prop_assert!(witness.without.iter().all(|key| !witness.labels.contains_key(key)));
            }
            None => prop_assert!(left.is_within(&right)),
        }
    }

    #[test]
    fn coverage_by_a_union_agrees_with_brute_force(space in selector(), cover in prop::collection::vec(selector(), 0..=5)) {
        let covered = |labels: &Labels| cover.iter().any(|selector| selector.matches(labels));
        let gap = UNIVERSE.iter().find(|labels| space.matches(labels) && !covered(labels));
        match uncovered(&space, &cover).expect("small selectors stay within the work limit") {
            Some(rest) => {
                let witness = rest.witness().expect("the remainder is not empty");
                prop_assert!(space.matches(&witness.labels) && !covered(&witness.labels), "{witness}");
            }
            None => prop_assert_eq!(gap, None),
        }
    }
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn an_intersection_selects_what_both_select(left in selector(), right in selector()) {
        let both = left.intersect(&right);
        for labels in UNIVERSE.iter() {
            prop_assert_eq!(both.matches(labels), left.matches(labels) && right.matches(labels));
        }
    }
}

/// The colourings of a complete graph with one colour too few. Each selector of the cover excludes one way in which
/// two vertices have the same colour, so nothing is uncovered, and the proof is that of the pigeonhole principle.
#[test]
fn a_comparison_that_is_too_complex_is_reported_in_bounded_time() {
    const VERTICES: usize = 12;
    let colours: Vec<String> = (1..VERTICES).map(|colour| format!("c{colour}")).collect();
    let vertex = |n: usize| format!("v{n}");
    let mut space = Selector::default();
    for n in 0..VERTICES {
        space.require(&vertex(n), Values::one_of(colours.iter().map(String::as_str)));
    }
    let mut cover = Vec::new();
    for (left, right) in (0..VERTICES).flat_map(|left| (0..left).map(move |right| (left, right))) {
        for colour in &colours {
            let mut clash = Selector::default();
            clash.require(&vertex(left), Values::one_of([colour.as_str()]));
            clash.require(&vertex(right), Values::one_of([colour.as_str()]));
            cover.push(clash);
        }
    }
    assert_eq!(uncovered(&space, &cover), Err(TooComplex));
}

#[test]
fn a_long_list_of_disjoint_selectors_is_decided() {
    let cover: Vec<Selector> = (0..500)
        .map(|n| {
            let mut selector = Selector::default();
            selector.require("kubernetes.io/hostname", Values::one_of([format!("n{n}")]));
            selector
        })
        .collect();
    let gap = uncovered(&Selector::default(), &cover)
        .expect("a list of host names is simple")
        .expect("other names exist");
    assert!(gap.witness().is_some());
}
