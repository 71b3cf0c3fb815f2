//! Words that messages of several rules share.

use crate::labels::Labels;

/// Labels as a person would write them: `` `a=b`, `c=d` ``.
pub(super) fn labels(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("`{key}={value}`")).collect::<Vec<_>>().join(", ")
}
