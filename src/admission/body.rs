//! A review's bytes, and the part of them that is worth reading.
//!
//! Most of what the API server writes about a pod stands in lists that no rule reads. To go through them as JSON, byte by
//! byte, costs more than all the rest of a review. To find the end of a list takes no more than its brackets, and for each
//! of them whether it stands in a text.

use memchr::{memchr_iter, memchr2_iter};

/// Lists that no rule reads, wherever they are.
pub const UNREAD: [&str; 8] = [
    "managedFields",
    "containers",
    "initContainers",
    "volumes",
    "ownerReferences",
    "tolerations",
    "topologySpreadConstraints",
    "preferredDuringSchedulingIgnoredDuringExecution",
];

/// The bytes of a review.
#[derive(Debug)]
pub struct Body<'b> {
    /// As they came.
    pub(super) whole: &'b [u8],
    /// The same without what is in [`UNREAD`] lists; `None` where there is nothing to leave out.
    pub(super) short: Option<String>,
}

impl<'b> Body<'b> {
    /// The body of a call.
    #[must_use]
    pub fn new(whole: &'b [u8]) -> Self {
        Self { whole, short: str::from_utf8(whole).ok().and_then(shortened) }
    }
}

/// The text with the lists that are not read left empty; `None` if there are none. Exact for JSON; what it makes of
/// other texts is no JSON either, or differs from JSON in those lists alone.
fn shortened(text: &str) -> Option<String> {
    let (mut short, mut kept) = (String::new(), 0);
    for open in memchr_iter(b'[', text.as_bytes()) {
        // What is left out may hold others.
        if open < kept || !is_unread(text.get(..open)?) {
            continue;
        }
        // A list without an end is left for the JSON reader to complain about.
        let Some(length) = length_of_list(text.as_bytes().get(open..)?) else { break };
        short.push_str(text.get(kept..=open)?);
        kept = open.checked_add(length)?;
    }
    if kept == 0 {
        return None;
    }
    short.push_str(text.get(kept..)?);
    Some(short)
}

/// Whether what follows is the value of a key in [`UNREAD`]. In a text the quotes would be escaped.
fn is_unread(before: &str) -> bool {
    before.strip_suffix("\":").is_some_and(|key| {
        let is = |name: &&str| key.strip_suffix(*name).and_then(|rest| rest.strip_suffix('"'));
        UNREAD.iter().find_map(is).is_some_and(|rest| !rest.ends_with('\\'))
    })
}

/// How far it is from the bracket that `list` begins with to the one that ends it.
fn length_of_list(list: &[u8]) -> Option<usize> {
    let (mut last, mut depth, mut in_text) = (0, 0_usize, false);
    for bracket in memchr2_iter(b'[', b']', list) {
        in_text ^= has_odd_quotes(list.get(last..bracket)?);
        last = bracket;
        if !in_text {
            depth = if list.get(bracket) == Some(&b'[') {
                depth.checked_add(1)?
            } else {
                depth.checked_sub(1)?
            };
        }
        if depth == 0 {
            return Some(bracket);
        }
    }
    None
}

/// Whether the number of quotes that are not escaped is odd. `bytes` begin with a bracket, and not in the middle of an
/// escape.
fn has_odd_quotes(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    // Without branches, so that the compiler takes sixteen bytes at a time.
    let (odd, backslashes) = pairs.fold((0, 0), |(odd, backslashes), (before, byte)| {
        let is_escaped = u8::from(*before == b'\\');
        let is_quote = u8::from(*byte == b'"') & !is_escaped;
        (odd ^ is_quote, backslashes | (u8::from(*byte == b'\\') & is_escaped))
    });
    if backslashes == 0 { odd == 1 } else { has_odd_quotes_after_backslashes(bytes) }
}

/// The same where backslashes are escaped, too.
fn has_odd_quotes_after_backslashes(bytes: &[u8]) -> bool {
    let (mut bytes, mut is_odd) = (bytes.iter(), false);
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_odd = !is_odd,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    is_odd
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::{Body, UNREAD};

    /// What is left, or all of it.
    fn short(json: &str) -> String {
        Body::new(json.as_bytes()).short.unwrap_or_else(|| json.to_owned())
    }

    #[test]
    fn lists_that_no_rule_reads_are_left_out() {
        for (whole, left) in [
            (r#"{"a":[1],"volumes":[{"b":[2]}],"c":[3]}"#, r#"{"a":[1],"volumes":[],"c":[3]}"#),
            (
                r#"{"containers":["]\"]","[\\"],"initContainers":[]}"#,
                r#"{"containers":[],"initContainers":[]}"#,
            ),
            (r#"{"volumes":["\\a\\"],"c":[3]}"#, r#"{"volumes":[],"c":[3]}"#),
            (r#"{"managedFields":[{"k:{\"a\":\"[\"}":{}}]}"#, r#"{"managedFields":[]}"#),
        ] {
            assert_eq!(short(whole), left);
        }
        for untouched in [
            "{}",
            r#"{"volumes":{"a":[1]}}"#,
            r#"{"myvolumes":[1]}"#,
            r#"{"my\"volumes":[1]}"#,
            r#"{"text":"\"volumes\":[1]"}"#,
            r#"{"volumes" : [1]}"#,
            r#"{"volumes":[1"#,
            r#"{"volumes":["]"#,
        ] {
            assert_eq!(short(untouched), untouched);
        }
    }

    /// JSON with much of what could mislead.
    fn any_json() -> impl Strategy<Value = Value> {
        let text = || {
            prop_oneof![
                proptest::sample::select(&UNREAD[..]).prop_map(str::to_owned),
                "[\\[\\]{}\"\\\\:a]{0,8}".prop_map(|text| text.replace('a', "\"volumes\":[")),
            ]
        };
        let leaf = prop_oneof![text().prop_map(Value::from), Just(json!(1)), Just(Value::Null)];
        leaf.prop_recursive(5, 64, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((text(), inner), 0..5)
                    .prop_map(|fields| Value::Object(Map::from_iter(fields))),
            ]
        })
    }

    fn without_unread(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(without_unread).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| match value {
                    Value::Array(_) if UNREAD.contains(&&*key) => (key, json!([])),
                    value => (key, without_unread(value)),
                })
                .collect(),
            other => other,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_is_left_is_the_same_but_for_lists_that_no_rule_reads(value in any_json()) {
            let left: Value = serde_json::from_str(&short(&value.to_string())).unwrap();
            prop_assert_eq!(left, without_unread(value));
        }

        #[test]
        fn texts_that_are_no_json_harm_nothing(text in "(\"volumes\":\\[|[\\[\\]\"\\\\ü]){0,12}") {
            prop_assert!(short(&text).len() <= text.len());
        }
    }
}
