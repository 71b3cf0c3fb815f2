//! The conditions of a topology, as the JSON documents of `check` and `explain` have them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::assessment::Condition;

/// A condition of a topology.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct TopologyCondition {
    /// The type.
    #[serde(rename = "type")]
    kind: String,
    /// Whether it holds.
    status: Status,
    /// The reason, as a code.
    reason: String,
    /// The reason, in a sentence.
    message: String,
}

/// Whether a condition holds.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) enum Status {
    True,
    False,
    Unknown,
}

impl From<Condition> for TopologyCondition {
    fn from(condition: Condition) -> Self {
        Self {
            kind: condition.kind.to_owned(),
            status: match condition.status {
                Some(true) => Status::True,
                Some(false) => Status::False,
                None => Status::Unknown,
            },
            reason: condition.reason.to_owned(),
            message: condition.message,
        }
    }
}
