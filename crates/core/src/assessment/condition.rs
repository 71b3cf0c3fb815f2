//! The conditions of a topology that follow from its assessment.

use super::{Cause, CauseCode, Outcome, TopologyAssessment};

/// A condition of a topology, as its status contains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `SourceIPPreserved`, `Resilient` or `Aligned`.
    pub kind: &'static str,
    /// Whether the condition holds; `None` for Unknown.
    pub status: Option<bool>,
    /// The reason as a code.
    pub reason: &'static str,
    /// The reason in a sentence.
    pub message: String,
}

impl Condition {
    /// The status as Kubernetes writes it: `True`, `False` or `Unknown`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }
}

impl TopologyAssessment {
    /// The conflict with an older topology, for which the topology is not enforced on a pool.
    #[must_use]
    pub fn pool_conflict(&self) -> Option<&Cause> {
        self.findings.iter().find(|finding| finding.code == CauseCode::PoolConflict)
    }

    /// The conditions of this topology. A condition that could not be judged is Unknown.
    #[must_use]
    pub fn conditions(&self) -> [Condition; 3] {
        let outcomes =
            || self.services.iter().flat_map(|service| &service.addresses).map(|address| &address.outcome);
        let first = |is_such: fn(&Outcome) -> bool| {
            outcomes().find(|outcome| is_such(outcome)).and_then(Outcome::cause)
        };
        let is_unknown: fn(&Outcome) -> bool = |outcome| matches!(outcome, Outcome::Unknown(_));
        let of = |kind, broken: Option<&Cause>, unknown: Option<&Cause>, holds: &str| match (broken, unknown)
        {
            (Some(cause), _) => Condition {
                kind,
                status: Some(false),
                reason: cause.code.code(),
                message: cause.message.clone(),
            },
            (None, Some(cause)) => {
                Condition { kind, status: None, reason: cause.code.code(), message: cause.message.clone() }
            }
            (None, None) => Condition { kind, status: Some(true), reason: "OK", message: holds.to_owned() },
        };
        // Without a Service there is no address to preserve.
        let nothing = || self.findings.iter().find(|finding| finding.code == CauseCode::NoService);
        let unknown = || self.unread.as_ref().or_else(|| first(is_unknown)).or_else(nothing);
        let misaligned = self.findings.iter().find(|finding| {
            use CauseCode::{
                Disjoint, Narrower, NoGatewayNode, NoPool, NotAdvertised, PoolConflict, TooComplex, Wider,
            };
            matches!(
                finding.code,
                PoolConflict
                    | Wider
                    | Narrower
                    | Disjoint
                    | NoGatewayNode
                    | NoPool
                    | NotAdvertised
                    | TooComplex
            )
        });
        let unannounced = first(|outcome| {
            let is_such = |cause: &Cause| {
                matches!(cause.code, CauseCode::NotAdvertised | CauseCode::ServiceNotSelected)
            };
            outcome.cause().is_some_and(is_such)
        });
        let is_lost: fn(&Outcome) -> bool =
            |outcome| matches!(outcome, Outcome::Lost(_) | Outcome::Silent(_));
        let is_not_resilient: fn(&Outcome) -> bool =
            |outcome| matches!(outcome, Outcome::Lost(_) | Outcome::Silent(_) | Outcome::Fragile(_));
        // One drain, rollout or crash stops every pod, although another node may announce now.
        let stoppable = self.findings.iter().find(|finding| {
            use CauseCode::{NotSpread, OneReplica, RolloutStopsAll};
            !self.services.is_empty() && matches!(finding.code, OneReplica | NotSpread | RolloutStopsAll)
        });
        // A configuration that MetalLB rejects cannot be compared.
        let rejected = first(|outcome| {
            outcome.cause().is_some_and(|cause| cause.code == CauseCode::ConfigurationRejected)
        });
        [
            of(
                "SourceIPPreserved",
                first(is_lost),
                unknown(),
                "the client's source IP survives at every address",
            ),
            of(
                "Resilient",
                first(is_not_resilient).or(stoppable),
                unknown(),
                "every address has a second node to announce it",
            ),
            of(
                "Aligned",
                misaligned.or(unannounced),
                self.unread_for_alignment.as_ref().or(rejected),
                "the announcing nodes are the gateway nodes",
            ),
        ]
    }
}
