//! The nodes that a pod may run on, by `k8s.io/component-helpers`, and the patches of pods.

use fastrand::Rng;
use lockstep::admission::edited;
use lockstep::change::Phase;
use lockstep::snapshot::Snapshot;
use lockstep::verdict::{Reason, Verdict};
use serde_json::{Map, Value, json};

use super::{Answer, in_batches, judge, oracle, snapshot};
use crate::random::{Vocabulary, chance, pick, subset, weighted};

/// The keys of placements and of pods. `rank` has numbers, for `Gt` and `Lt`.
const PLACES: Vocabulary = &[
    ("loadbalancerIPs.metallb.io", &["arp", "ndp"]),
    ("topology.kubernetes.io/zone", &["a", "b"]),
    ("example.com/rank", &["1", "3", "4", "6", "x"]),
];
const UNNAMED: &str = "unnamed";
const BOUNDS: &[&str] = &["2", "3", "4", "5"];

/// A node for each label set over the keys: each is absent, or has one of the values or one that nobody names.
fn universe() -> Vec<Value> {
    let mut sets = vec![Map::from_iter([("kubernetes.io/os".to_owned(), json!("linux"))])];
    for (key, values) in PLACES {
        let with_key = sets.iter().flat_map(|set| {
            values.iter().chain([&UNNAMED]).map(move |value| {
                let mut set: Map<String, Value> = set.clone();
                set.insert((*key).to_owned(), json!(value));
                set
            })
        });
        sets = sets.iter().cloned().chain(with_key).collect();
    }
    let node = |(n, labels)| json!({"metadata": {"name": format!("node-{n}"), "labels": labels}});
    sets.into_iter().enumerate().map(node).collect()
}

fn requirement(random: &mut Rng) -> Value {
    let (key, values) = pick(random, PLACES);
    let operators = [(35, "In"), (25, "NotIn"), (15, "Exists"), (15, "DoesNotExist"), (12, "Gt"), (12, "Lt")];
    match weighted(random, &operators) {
        operator @ ("In" | "NotIn") => {
            json!({"key": key, "operator": operator, "values": subset(random, values)})
        }
        operator @ ("Gt" | "Lt") => {
            json!({"key": "example.com/rank", "operator": operator, "values": [pick(random, BOUNDS)]})
        }
        operator => json!({"key": key, "operator": operator}),
    }
}

fn term(random: &mut Rng) -> Value {
    let mut term = Map::new();
    if !chance(random, 8) {
        let expressions: Vec<Value> = (0..random.u32(1..=3)).map(|_| requirement(random)).collect();
        term.insert("matchExpressions".to_owned(), json!(expressions));
    }
    if chance(random, 5) {
        let other = json!([{"key": "metadata.name", "operator": "NotIn", "values": ["gone"]}]);
        term.insert("matchFields".to_owned(), other);
    }
    Value::Object(term)
}

fn node_selector(random: &mut Rng, percent: u32) -> Map<String, Value> {
    let mut selector = Map::new();
    for (key, values) in PLACES {
        if chance(random, percent) {
            selector.insert((*key).to_owned(), json!(pick(random, values)));
        }
    }
    selector
}

/// A placement, and a pod of its gateway.
fn placed(seed: u64) -> (Map<String, Value>, Value) {
    let mut random = Rng::with_seed(seed);
    let random = &mut random;
    let mut placement = node_selector(random, 45);
    if placement.is_empty() {
        placement.insert("loadbalancerIPs.metallb.io".to_owned(), json!("arp"));
    }
    let mut spec = json!({"containers": [{"name": "proxy", "image": "auto", "env": [{"name": "A~1/b", "value": "ü\u{1}<"}]}]});
    match random.u32(0..10) {
        0..3 => {}
        3 => spec["nodeSelector"] = Value::Null,
        4 => spec["nodeSelector"] = json!({}),
        5..7 => spec["nodeSelector"] = Value::Object(placement.clone()),
        _ => {
            let mut selector = node_selector(random, 25);
            selector.insert("kubernetes.io/os".to_owned(), json!("linux"));
            spec["nodeSelector"] = Value::Object(selector);
        }
    }
    if chance(random, 65) {
        let terms: Vec<Value> = (0..random.u32(1..=3)).map(|_| term(random)).collect();
        spec["affinity"] = json!({"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
        }});
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "gateway", "namespace": "istio-system",
            "labels": {"app": "istio-ingressgateway", "istio": "ingressgateway"},
            "annotations": {"number": "1e400", "quoted": "\"\\/"},
        },
        "spec": spec,
    });
    (placement, pod)
}

fn placed_in(placement: &Map<String, Value>) -> Snapshot {
    snapshot(&json!({"placement": {"nodeSelector": placement}}))
}

fn denies(verdict: &Verdict, reasons: &[Reason]) -> bool {
    verdict.denials().any(|finding| reasons.contains(&finding.reason))
}

/// One pod, and what was decided about it.
struct Placed {
    placement: Map<String, Value>,
    pod: Value,
    mutated: Verdict,
    patch: Option<Value>,
    validated: Verdict,
}

#[test]
fn pods_are_denied_exactly_if_kubernetes_can_run_them_elsewhere_or_nowhere() {
    let (mut oracle, universe) = (oracle(), universe());
    let (mut outside, mut nowhere, mut patched) = (0_usize, 0_usize, 0_usize);
    // The nodes stay the same for all questions.
    oracle.ask::<Answer>(&[json!({"pod": {"spec": {}}, "nodes": universe}).to_string()]);
    let count = in_batches("pods", |seeds| {
        let pods: Vec<Placed> = seeds
            .map(|seed| {
                let (placement, pod) = placed(seed);
                let snapshot = placed_in(&placement);
                let (mutated, patch) = judge(&pod, Phase::Mutate, &snapshot);
                let (validated, _) = judge(&pod, Phase::Validate, &snapshot);
                Placed { placement, pod, mutated, patch, validated }
            })
            .collect();
        // Where the pod may run as it is, and where its affinity alone lets it run.
        let whole: Vec<String> = pods.iter().map(|placed| json!({"pod": placed.pod}).to_string()).collect();
        let affinity: Vec<String> = pods
            .iter()
            .map(|placed| json!({"pod": {"spec": {"affinity": placed.pod["spec"]["affinity"]}}}).to_string())
            .collect();
        let patches: Vec<String> = pods
            .iter()
            .map(|placed| {
                let patch = placed.patch.clone().unwrap_or_else(|| json!([]));
                json!({"document": placed.pod, "patch": patch}).to_string()
            })
            .collect();
        let whole = oracle.ask::<Answer>(&whole);
        let affinity = oracle.ask::<Answer>(&affinity);
        let documents = oracle.ask::<Answer>(&patches);
        for (((placed, whole), affinity), document) in pods.iter().zip(whole).zip(affinity).zip(documents) {
            let Placed { placement, pod, mutated, patch, validated } = placed;
            let in_placement: Vec<bool> = universe
                .iter()
                .map(|node| placement.iter().all(|(key, value)| &node["metadata"]["labels"][key] == value))
                .collect();
            let runs = |matches: &[bool], inside: bool| {
                matches.iter().zip(&in_placement).any(|(fits, placed)| *fits && *placed == inside)
            };
            let runs_outside = runs(&whole.matches, false);
            let says_outside = denies(validated, &[Reason::NotPlaced, Reason::Conflict]);
            // `Gt` and `Lt` are not read here, and they only exclude nodes.
            let has_bound = pod.to_string().contains("\"Gt\"") || pod.to_string().contains("\"Lt\"");
            assert!(
                says_outside == runs_outside || says_outside && has_bound,
                "it runs outside {placement:?}: {runs_outside}, and the verdict is {validated:?}: {pod}"
            );
            let runs_nowhere = !runs(&affinity.matches, true);
            let says_nowhere = denies(validated, &[Reason::Unsatisfiable]);
            assert!(
                says_nowhere == runs_nowhere || runs_nowhere && has_bound,
                "it runs nowhere in {placement:?}: {runs_nowhere}, and the verdict is {validated:?}: {pod}"
            );
            outside += usize::from(runs_outside);
            nowhere += usize::from(runs_nowhere);
            // What the API server makes of the patch is what the edits ask for.
            assert_eq!(document.error, "", "{patch:?} of {pod}");
            let ours =
                if patch.is_some() { edited(pod, &mutated.edits).expect("edits") } else { pod.clone() };
            assert_eq!(document.document, ours, "{patch:?} of {pod}");
            patched += usize::from(patch.is_some());
            if !mutated.is_denied() {
                let (again, _) = judge(&document.document, Phase::Validate, &placed_in(placement));
                assert!(!again.is_denied(), "{again:?}: {}", document.document);
            }
        }
    });
    for (what, number) in [("outside", outside), ("nowhere", nowhere), ("patched", patched)] {
        assert!(number * 20 > count && number < count, "{number} of {count} {what}");
    }
}
