//! Label selectors, by `k8s.io/apimachinery`.

use fastrand::Rng;
use lockstep::labels::{LabelSelector, Labels};
use serde_json::{Value, json};

use super::{Answer, in_batches, oracle};
use crate::random::{SelectorWeights, Vocabulary, label_selector, labels};

const WORDS: Vocabulary = &[
    ("loadbalancerIPs.metallb.io", &["arp", "ndp", "", "ARP"]),
    ("topology.kubernetes.io/zone", &["a", "b", "c"]),
    ("rack", &["r1", "r2"]),
];

#[test]
fn label_selectors_select_what_kubernetes_selects() {
    // More of what is invalid than in worlds, because an invalid selector makes only itself invalid.
    let weights = SelectorWeights { invalid: 15, ..SelectorWeights::default() };
    let (mut oracle, mut valid, mut matching) = (oracle(), 0_usize, 0_usize);
    let count = in_batches("selectors", |seeds| {
        let asked: Vec<(Value, Vec<Value>)> = seeds
            .map(|seed| {
                let mut random = Rng::with_seed(seed);
                let selector = label_selector(&mut random, WORDS, &weights);
                (selector, (0..8).map(|_| Value::Object(labels(&mut random, WORDS))).collect())
            })
            .collect();
        let questions: Vec<String> = asked
            .iter()
            .map(|(selector, labels)| json!({"selector": selector, "labels": labels}).to_string())
            .collect();
        for ((selector, sets), theirs) in asked.iter().zip(oracle.ask::<Answer>(&questions)) {
            let written: LabelSelector = serde_json::from_value(selector.clone()).expect("a selector");
            let ours = written.parse().ok().map(|parsed| {
                let matches = |set: &Value| {
                    let labels: Labels = serde_json::from_value(set.clone()).expect("labels");
                    parsed.matches(&labels)
                };
                sets.iter().map(matches).collect::<Vec<bool>>()
            });
            valid += usize::from(theirs.error.is_empty());
            matching += theirs.matches.iter().filter(|matches| **matches).count();
            let theirs = theirs.error.is_empty().then_some(theirs.matches);
            assert_eq!(ours, theirs, "{selector} on {sets:?}");
        }
    });
    assert!(valid * 2 > count && valid < count, "{valid} of {count} are valid");
    assert!(matching > valid && matching < valid * 7, "{matching} matches of {valid} selectors");
}
