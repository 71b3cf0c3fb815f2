//! What a rule says: a verdict made of findings and edits, as values that others carry out.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::field::FieldPath;
use crate::labels::Witness;

/// A rule, by its stable id. Ids stand in messages, metrics, logs and topologies; they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Gateway pods carry the topology's node selector.
    GatewayPlacement,
    /// Gateway Services have `externalTrafficPolicy: Local`.
    ExternalTrafficPolicy,
    /// Announcements of gateway pools come from the gateway's nodes.
    AnnouncementPlacement,
}

impl Rule {
    /// Every rule, in the order in which documents list them.
    pub const ALL: [Self; 3] =
        [Self::GatewayPlacement, Self::ExternalTrafficPolicy, Self::AnnouncementPlacement];

    /// The stable id.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::GatewayPlacement => "gateway-placement",
            Self::ExternalTrafficPolicy => "external-traffic-policy",
            Self::AnnouncementPlacement => "announcement-placement",
        }
    }

    /// One sentence on what the rule holds, for catalogues such as SARIF's.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::GatewayPlacement => "gateway pods run only on the nodes of their topology's placement",
            Self::ExternalTrafficPolicy => "gateway Services have externalTrafficPolicy Local",
            Self::AnnouncementPlacement => {
                "gateway address pools are announced exactly from the gateway's nodes"
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Why a finding was made, as a code that programs can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Nodes would announce that may not run the gateway.
    Wider,
    /// Gateway nodes exist from which nothing announces.
    Narrower,
    /// No announcing node may run the gateway: the address would be silent.
    Disjoint,
    /// Kubernetes or MetalLB refuses the object's selectors or names.
    Invalid,
    /// The selectors are too complex to decide within the work limit.
    TooComplex,
    /// No node carries the placement today (`LiveNodes`).
    NoGatewayNode,
    /// The pod asks for another value of a placement label.
    Conflict,
    /// The pod's required affinity and the placement contradict each other.
    Unsatisfiable,
    /// The pod is bound to a node outside the placement.
    PinnedOutside,
    /// A gateway pod lacks the placement.
    NotPlaced,
    /// Several topologies claim the same pod.
    Ambiguous,
    /// The Service's policy is not `Local`.
    NotLocal,
    /// A static pod, which admission cannot change or stop.
    MirrorPod,
    /// The announcement refers to a pool that is not known.
    UnknownPool,
    /// The announcement is limited to some network interfaces.
    Interfaces,
    /// The placement label was added to the object.
    Placed,
    /// The policy was set to `Local`.
    MadeLocal,
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Wider => "WIDER",
            Self::Narrower => "NARROWER",
            Self::Disjoint => "DISJOINT",
            Self::Invalid => "INVALID",
            Self::TooComplex => "TOO_COMPLEX",
            Self::NoGatewayNode => "NO_GATEWAY_NODE",
            Self::Conflict => "CONFLICT",
            Self::Unsatisfiable => "UNSATISFIABLE",
            Self::PinnedOutside => "PINNED_OUTSIDE",
            Self::NotPlaced => "NOT_PLACED",
            Self::Ambiguous => "AMBIGUOUS",
            Self::NotLocal => "NOT_LOCAL",
            Self::MirrorPod => "MIRROR_POD",
            Self::UnknownPool => "UNKNOWN_POOL",
            Self::Interfaces => "INTERFACES",
            Self::Placed => "PLACED",
            Self::MadeLocal => "MADE_LOCAL",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What a finding does to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// It is recorded, and the user is not told.
    Audit,
    /// The user is warned.
    Warn,
    /// The request is refused.
    Deny,
}

impl Severity {
    /// The word that programs read.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// One thing that a rule saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule that saw it.
    pub rule: Rule,
    /// The topology on whose behalf.
    pub topology: Arc<str>,
    /// Why, as a code.
    pub reason: Reason,
    /// What it does to the request.
    pub severity: Severity,
    /// The field that it is about.
    pub field: FieldPath,
    /// What is wrong: one lowercase sentence without a full stop, the user's input in backticks.
    pub message: String,
    /// What to do about it, in the same form; empty where there is nothing to do.
    pub help: String,
    /// A label set that proves it.
    pub witness: Option<Witness>,
    /// Some of today's nodes that it concerns, by name; the witness holds for nodes to come.
    pub nodes: Vec<String>,
}

/// One field that a rule sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The rule that sets it.
    pub rule: Rule,
    /// The topology on whose behalf.
    pub topology: Arc<str>,
    /// Why, as a code.
    pub reason: Reason,
    /// The field; parents that are missing come into being as empty objects.
    pub field: FieldPath,
    /// What it shall hold.
    pub value: Value,
}

/// The one thing of a verdict that is told where there is room for one.
#[derive(Debug, Clone, Copy)]
pub struct Headline<'v> {
    /// The rule that spoke.
    pub rule: Rule,
    /// Why.
    pub reason: Reason,
    /// The topology on whose behalf.
    pub topology: &'v str,
    /// The finding; `None` where the object was only edited.
    pub finding: Option<&'v Finding>,
}

/// What the rules say about one change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// What was seen, in the order in which it was seen.
    pub findings: Vec<Finding>,
    /// What shall be changed before the object is stored. Meaningless where the change is denied.
    pub edits: Vec<Edit>,
}

impl Verdict {
    /// The findings for which the change is refused.
    pub fn denials(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Deny)
    }

    /// Whether the change is refused.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.denials().next().is_some()
    }

    /// What logs and audit annotations tell of it: the most severe finding, or an edit where there is none.
    /// `None` if the rules had nothing to say.
    #[must_use]
    pub fn headline(&self) -> Option<Headline<'_>> {
        // Of several, the first: `max_by_key` takes the last.
        if let Some(finding) = self.findings.iter().rev().max_by_key(|finding| finding.severity) {
            let Finding { rule, reason, topology, .. } = finding;
            return Some(Headline { rule: *rule, reason: *reason, topology, finding: Some(finding) });
        }
        let Edit { rule, reason, topology, .. } = self.edits.first()?;
        Some(Headline { rule: *rule, reason: *reason, topology, finding: None })
    }

    /// The verdict in one word: `allow`, `edit` or `deny`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.is_denied(), self.edits.is_empty()) {
            (true, _) => "deny",
            (false, false) => "edit",
            (false, true) => "allow",
        }
    }
}
