//! Random choices.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Whether something happens that does so in `percent` of a hundred cases.
pub fn chance(random: &mut Rng, percent: u32) -> bool {
    random.u32(0..100) < percent
}

/// One of several.
pub fn pick<T: Copy>(random: &mut Rng, from: &[T]) -> T {
    from[random.usize(0..from.len())]
}

/// One of several, each with its weight.
pub fn weighted<T: Copy>(random: &mut Rng, from: &[(u32, T)]) -> T {
    let mut left = random.u32(0..from.iter().map(|(weight, _)| weight).sum());
    for (weight, item) in from.iter().copied() {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return item,
        }
    }
    unreachable!("a weight is left")
}

/// Label keys, each with values that are likely to meet.
pub type Vocabulary = &'static [(&'static str, &'static [&'static str])];

/// The frequencies of what selectors are made of, each as a weight among its kind or in percent.
#[derive(Debug, Clone)]
pub struct SelectorWeights {
    pub operator_in: u32,
    pub operator_not_in: u32,
    pub operator_exists: u32,
    pub operator_does_not_exist: u32,
    /// Selectors without any requirement.
    pub empty: u32,
    /// Selectors with labels and expressions together.
    pub both: u32,
    /// Mistakes that Kubernetes rejects: operators, numbers of values, keys and values.
    pub invalid: u32,
    /// Mistakes that MetalLB alone rejects: a value, an expression or a selector twice.
    pub repeated: u32,
}

impl Default for SelectorWeights {
    fn default() -> Self {
        Self {
            operator_in: 35,
            operator_not_in: 30,
            operator_exists: 15,
            operator_does_not_exist: 20,
            empty: 8,
            both: 20,
            invalid: 2,
            repeated: 2,
        }
    }
}

/// A label selector as it is stored.
pub fn label_selector(random: &mut Rng, words: Vocabulary, weights: &SelectorWeights) -> Value {
    let mut selector = Map::new();
    if chance(random, weights.empty) {
        return match random.u32(0..3) {
            0 => json!({}),
            1 => json!({"matchLabels": {}}),
            _ => json!({"matchExpressions": []}),
        };
    }
    let both = chance(random, weights.both);
    let by_labels = random.bool();
    if both || by_labels {
        let mut labels = Map::new();
        for _ in 0..random.u32(1..=2) {
            let (key, values) = pick(random, words);
            let (key, value) = match random.u32(0..200) < weights.invalid {
                false => (key, pick(random, values)),
                true if random.bool() => (pick(random, INVALID_KEYS), ""),
                true => (key, pick(random, INVALID_VALUES)),
            };
            labels.insert(key.to_owned(), json!(value));
        }
        selector.insert("matchLabels".to_owned(), Value::Object(labels));
    }
    if both || !by_labels {
        let mut expressions: Vec<Value> =
            (0..random.u32(1..=3)).map(|_| expression(random, words, weights)).collect();
        if chance(random, weights.repeated) {
            let mut again = expressions[random.usize(0..expressions.len())].clone();
            if let Some(values) = again.get_mut("values").and_then(Value::as_array_mut) {
                values.reverse();
            }
            expressions.push(again);
        }
        selector.insert("matchExpressions".to_owned(), Value::Array(expressions));
    }
    Value::Object(selector)
}

const INVALID_KEYS: &[&str] = &["", "a b", "/a", "a/", "a/b/c", "-a", "A.example/x", "example.com/-"];
const INVALID_VALUES: &[&str] = &["a b", "-", "a/", ".", "ä"];
const INVALID_OPERATORS: &[&str] = &["", "Gt", "Lt", "in", "Equals"];

fn expression(random: &mut Rng, words: Vocabulary, weights: &SelectorWeights) -> Value {
    let (mut key, values) = pick(random, words);
    let operators = [
        (weights.operator_in, "In"),
        (weights.operator_not_in, "NotIn"),
        (weights.operator_exists, "Exists"),
        (weights.operator_does_not_exist, "DoesNotExist"),
    ];
    let mut operator = weighted(random, &operators);
    let mut listed: Vec<&str> = if operator.ends_with("In") { subset(random, values) } else { Vec::new() };
    if chance(random, weights.invalid) {
        match random.u32(0..5) {
            0 => operator = pick(random, INVALID_OPERATORS),
            1 if listed.is_empty() => listed.push("x"),
            1 => listed.clear(),
            2 => key = pick(random, INVALID_KEYS),
            _ => listed.push(pick(random, INVALID_VALUES)),
        }
    }
    if chance(random, weights.repeated) && !listed.is_empty() {
        listed.push(listed[0]);
    }
    let mut expression = json!({"key": key, "operator": operator});
    // An empty list is stored as it is written.
    if !listed.is_empty() || chance(random, 5) {
        expression["values"] = json!(listed);
    }
    expression
}

/// Some of the values, at least one, each once, in any order.
pub fn subset<T: Copy>(random: &mut Rng, values: &[T]) -> Vec<T> {
    let mut some = values.to_vec();
    random.shuffle(&mut some);
    some.truncate(random.usize(1..=values.len().min(3)));
    some
}

/// A list of selectors as it is stored: missing, empty, or of up to three.
pub fn selectors(
    random: &mut Rng,
    words: Vocabulary,
    weights: &SelectorWeights,
    missing: u32,
) -> Option<Value> {
    if chance(random, missing) {
        return chance(random, 20).then(|| json!([]));
    }
    let mut list: Vec<Value> = (0..weighted(random, &[(60, 1), (30, 2), (10, 3)]))
        .map(|_| label_selector(random, words, weights))
        .collect();
    if chance(random, weights.repeated) {
        list.push(list[0].clone());
    }
    Some(Value::Array(list))
}

/// The labels of an object: of each key a value that selectors name, or one that they do not, or none.
pub fn labels(random: &mut Rng, words: Vocabulary) -> Map<String, Value> {
    let mut labels = Map::new();
    for (key, values) in words {
        match random.u32(0..10) {
            0..4 => {}
            4 => drop(labels.insert((*key).to_owned(), json!("unnamed"))),
            _ => drop(labels.insert((*key).to_owned(), json!(pick(random, values)))),
        }
    }
    labels
}
