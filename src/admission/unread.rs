//! Removal of the lists that no rule reads, before the body of a review is decoded.
//!
//! Such lists are most of what the API server sends about a pod. A JSON parser would examine every byte to skip them,
//! while the end of a list can be found from its brackets, and for each bracket whether it is inside a string.
//!
//! No library is as fast. Decoding the recorded review of a pod (17 KB, `benches/reviews/pod.json`), built for
//! baseline x86-64 like the image, takes this many instructions (valgrind) and microseconds:
//!
//! | decoder | instructions | time |
//! | --- | --- | --- |
//! | `serde_json` on the whole body (`IgnoredAny`) | 290,000 | 53 |
//! | `sonic-rs` 0.5 on the whole body | 238,000 | 39 |
//! | `serde_json` that finds the uid alone, as the benchmark's no-op webhook does | 256,000 | 38 |
//! | this module, then `serde_json` | 99,000 | 26 |
//!
//! The rest of a patched review takes 26,000 instructions. So with this module a review costs about half of what the
//! no-op webhook spends on parsing, which pays for the patch and the log. With either library, parsing alone costs at
//! least about as much as in the no-op webhook, and the target of 0.90 of its rate is out of reach.
//!
//! The bytes come from users, so the property tests below, `tests/offline/decoding.rs` and the fuzz target `review`
//! check that a request is decoded alike with and without this module.

use memchr::{memchr_iter, memchr2_iter};

/// The lists that no rule reads, at any place.
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

/// The body of a review. Decoded requests borrow from it.
#[derive(Debug)]
pub struct Body<'b> {
    received: &'b [u8],
    without_unread: Option<String>,
}

impl<'b> Body<'b> {
    /// The body as received.
    #[must_use]
    pub fn new(received: &'b [u8]) -> Self {
        Self { received, without_unread: str::from_utf8(received).ok().and_then(without_unread) }
    }

    /// The body as received, which is decoded with all of its lists. For tests: the result must be the same.
    #[must_use]
    pub const fn whole(received: &'b [u8]) -> Self {
        Self { received, without_unread: None }
    }

    pub(super) const fn received(&self) -> &'b [u8] {
        self.received
    }

    /// The body with empty [`UNREAD`] lists; `None` if it has none of them.
    pub(super) fn without_unread(&self) -> Option<&str> {
        self.without_unread.as_deref()
    }
}

/// Returns the text with empty [`UNREAD`] lists; `None` if it has none of them. For JSON the result is the same JSON
/// except for these lists. Text that is not JSON becomes other text that is not JSON, or JSON that differs in these
/// lists only.
fn without_unread(text: &str) -> Option<String> {
    let (mut short, mut kept) = (String::new(), 0);
    for open in memchr_iter(b'[', text.as_bytes()) {
        // A bracket inside a removed list is skipped.
        if open < kept || !is_unread(text.get(..open)?) {
            continue;
        }
        // A list without an end is kept, so that the JSON decoder reports it.
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

/// Whether `before` ends with a key in [`UNREAD`]. Inside a string, its quotes would be escaped.
fn is_unread(before: &str) -> bool {
    before.strip_suffix("\":").is_some_and(|key| {
        let is = |name: &&str| key.strip_suffix(*name).and_then(|rest| rest.strip_suffix('"'));
        UNREAD.iter().find_map(is).is_some_and(|rest| !rest.ends_with('\\'))
    })
}

/// Returns the distance from the opening bracket of `list` to the closing one.
fn length_of_list(list: &[u8]) -> Option<usize> {
    let (mut last, mut depth, mut in_string) = (0, 0_usize, false);
    for bracket in memchr2_iter(b'[', b']', list) {
        in_string ^= has_odd_quotes(list.get(last..bracket)?);
        last = bracket;
        if !in_string {
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

/// Whether the number of unescaped quotes is odd. `bytes` begin with a bracket, so not within an escape.
fn has_odd_quotes(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    // There are no branches, so that the compiler processes sixteen bytes at a time.
    let (is_odd, has_backslashes) =
        pairs.fold((false, false), |(is_odd, has_backslashes), (before, byte)| {
            let is_escaped = *before == b'\\';
            (is_odd ^ ((*byte == b'"') & !is_escaped), has_backslashes | ((*byte == b'\\') & is_escaped))
        });
    if has_backslashes { has_odd_quotes_after_backslashes(bytes) } else { is_odd }
}

/// The slower variant of [`has_odd_quotes`] for bytes with escaped backslashes.
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

    /// Returns the text without its unread lists.
    fn short(json: &str) -> String {
        Body::new(json.as_bytes()).without_unread.unwrap_or_else(|| json.to_owned())
    }

    #[test]
    fn lists_that_no_rule_reads_are_emptied() {
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

    /// Generates JSON full of brackets, quotes, backslashes and unread keys.
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

    fn with_unread_empty(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(with_unread_empty).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| match value {
                    Value::Array(_) if UNREAD.contains(&&*key) => (key, json!([])),
                    value => (key, with_unread_empty(value)),
                })
                .collect(),
            other => other,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn any_json_stays_the_same_but_for_lists_that_no_rule_reads(value in any_json()) {
            let left: Value = serde_json::from_str(&short(&value.to_string())).unwrap();
            prop_assert_eq!(left, with_unread_empty(value));
        }

        #[test]
        fn text_that_is_not_json_never_grows_or_panics(text in "(\"volumes\":\\[|[\\[\\]\"\\\\ü]){0,12}") {
            prop_assert!(short(&text).len() <= text.len());
        }
    }
}
