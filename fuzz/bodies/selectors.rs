//! The algebra of selectors against brute force: every label set of a small universe is tried.

use std::sync::LazyLock;

use lockstep::labels::{Labels, Selector, Values, uncovered};

const KEYS: [&str; 3] = ["a", "b", "c"];
const VALUES: [&str; 3] = ["x", "y", "z"];

/// The most requirements of a selector, and the most selectors of a union.
const MOST: usize = 6;

/// Every label set over the keys: each key is absent, or has one of the values or one that no selector names.
static UNIVERSE: LazyLock<Vec<Labels>> = LazyLock::new(|| {
    let choices: Vec<Option<&str>> = [None, Some("unnamed")].into_iter().chain(VALUES.map(Some)).collect();
    let count = choices.len().pow(3);
    let set = |number: usize| {
        let places = KEYS.iter().enumerate().filter_map(|(place, key)| {
            let value =
                choices[number / choices.len().pow(u32::try_from(place).expect("3 places")) % choices.len()];
            Some(((*key).into(), value?.into()))
        });
        places.collect()
    };
    (0..count).map(set).collect()
});

/// A selector of each run of bytes up to a zero: a requirement is a byte.
fn selector(bytes: &[u8]) -> Selector {
    let mut selector = Selector::default();
    for byte in bytes.iter().take(MOST) {
        let key = KEYS[usize::from(byte >> 6) % KEYS.len()];
        let named =
            VALUES.iter().enumerate().filter(|(index, _)| byte >> index & 1 == 1).map(|(_, value)| *value);
        let values = match (byte >> 3) & 7 {
            0 => Values::present(),
            1 => Values::absent(),
            2 | 3 => Values::none_of(named),
            _ => Values::one_of(named),
        };
        selector.require(key, values);
    }
    selector
}

/// The label sets that a selector matches: bit `n` is set `n` of the universe.
fn matched(selector: &Selector) -> u128 {
    let bits = UNIVERSE.iter().enumerate().map(|(place, set)| u128::from(selector.matches(set)) << place);
    bits.fold(0, |all, bit| all | bit)
}

pub(super) fn body(bytes: &[u8]) {
    let mut selectors = super::parts(bytes).take(MOST + 1).map(selector);
    let left = selectors.next().unwrap_or_default();
    let others: Vec<Selector> = selectors.collect();
    let in_left = matched(&left);
    assert_eq!(left.is_empty(), in_left == 0);
    assert_eq!(left.is_everything(), in_left == (1 << UNIVERSE.len()) - 1);
    let mut in_others = 0;
    for right in &others {
        let in_right = matched(right);
        in_others |= in_right;
        assert_eq!(left.is_within(right), in_left & !in_right == 0, "{left} / {right}");
        assert_eq!(left.overlaps(right), in_left & in_right != 0, "{left} / {right}");
        assert_eq!(matched(&left.intersect(right)), in_left & in_right, "{left} / {right}");
        match left.outside(right) {
            Some(witness) => {
                assert!(left.matches(&witness.labels) && !right.matches(&witness.labels), "{left} / {right}");
                assert!(
                    witness.without.iter().all(|key| !witness.labels.contains_key(key)),
                    "{left} / {right}"
                );
            }
            None => assert!(left.is_within(right), "{left} / {right}"),
        }
    }
    let is_covered = |set: &Labels| others.iter().any(|selector| selector.matches(set));
    match uncovered(&left, &others).expect("small selectors stay within the work limit") {
        Some(rest) => {
            let witness = rest.witness().expect("the remainder is not empty");
            assert!(left.matches(&witness.labels) && !is_covered(&witness.labels), "{witness}");
        }
        None => assert_eq!(in_left & !in_others, 0, "{left}"),
    }
}
