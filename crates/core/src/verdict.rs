//! Verdicts: findings and edits as values, which other modules turn into responses, patches, logs and metrics.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::field::FieldPath;
use crate::labels::Witness;

/// A rule, with a stable id. Ids never change, because messages, metrics, logs and topologies contain them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Gateway pods have the topology's node selector.
    GatewayPlacement,
    /// Gateway Services have `externalTrafficPolicy: Local`.
    ExternalTrafficPolicy,
    /// Gateway pools are announced from the gateway nodes.
    AnnouncementPlacement,
    /// No change makes the assessment of a gateway's address worse.
    AddressPreservation,
}

impl Rule {
    /// Every rule, in the order of the docs.
    pub const ALL: [Self; 4] = [
        Self::GatewayPlacement,
        Self::ExternalTrafficPolicy,
        Self::AnnouncementPlacement,
        Self::AddressPreservation,
    ];

    /// The stable id.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::GatewayPlacement => "gateway-placement",
            Self::ExternalTrafficPolicy => "external-traffic-policy",
            Self::AnnouncementPlacement => "announcement-placement",
            Self::AddressPreservation => "address-preservation",
        }
    }

    /// The rule in one sentence, for catalogues such as SARIF's.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::GatewayPlacement => "gateway pods run only on the nodes of their topology's placement",
            Self::ExternalTrafficPolicy => "gateway Services have externalTrafficPolicy Local",
            Self::AnnouncementPlacement => {
                "gateway address pools are announced exactly from the gateway's nodes"
            }
            Self::AddressPreservation => {
                "no change makes a gateway's address silent, or loses the client's source IP at it"
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The reason of a finding, as a stable code for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A node that may not run the gateway would announce.
    Wider,
    /// A gateway node would not announce.
    Narrower,
    /// No announcing node may run the gateway, so the address would be silent.
    Disjoint,
    /// Kubernetes or MetalLB rejects the object's selectors or names.
    Invalid,
    /// The comparison of the selectors exceeds the work limit.
    TooComplex,
    /// No current node has the placement labels (`LiveNodes`).
    NoGatewayNode,
    /// The pod requires another value of a placement label.
    Conflict,
    /// The pod's required affinity and the placement contradict each other.
    Unsatisfiable,
    /// The pod is bound to a node outside the placement.
    PinnedOutside,
    /// A gateway pod has no placement.
    NotPlaced,
    /// Several topologies claim the same pod.
    Ambiguous,
    /// The Service's policy is not `Local`.
    NotLocal,
    /// The pod is a static pod, which admission can neither place nor stop.
    MirrorPod,
    /// The advertisement refers to a pool that does not exist.
    UnknownPool,
    /// The advertisement is limited to some network interfaces.
    Interfaces,
    /// Admission adds the placement to the object.
    Placed,
    /// Admission sets the policy to `Local`.
    MadeLocal,
    /// The gateway would no longer see the client's address.
    Lost,
    /// No node would announce an address any longer.
    Silent,
    /// An address would depend on one more step.
    Fragile,
    /// The outcome after the change is not known.
    Unknown,
    /// A Service would get its addresses from a pool that the topology does not name.
    OtherPool,
    /// A load balancer that the topology does not name would serve the Service.
    OtherClass,
    /// Admission does not set the policy to `Local`, because the Service would lose the address that it shares.
    SharedAddress,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 24] = [
        Self::Wider,
        Self::Narrower,
        Self::Disjoint,
        Self::Invalid,
        Self::TooComplex,
        Self::NoGatewayNode,
        Self::Conflict,
        Self::Unsatisfiable,
        Self::PinnedOutside,
        Self::NotPlaced,
        Self::Ambiguous,
        Self::NotLocal,
        Self::MirrorPod,
        Self::UnknownPool,
        Self::Interfaces,
        Self::Placed,
        Self::MadeLocal,
        Self::Lost,
        Self::Silent,
        Self::Fragile,
        Self::Unknown,
        Self::OtherPool,
        Self::OtherClass,
        Self::SharedAddress,
    ];

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
            Self::Lost => "LOST",
            Self::Silent => "SILENT",
            Self::Fragile => "FRAGILE",
            Self::Unknown => "UNKNOWN",
            Self::OtherPool => "OTHER_POOL",
            Self::OtherClass => "OTHER_CLASS",
            Self::SharedAddress => "SHARED_ADDRESS",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The effect of a finding on the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The finding is recorded. The user does not see it.
    Audit,
    /// The user sees a warning.
    Warn,
    /// The request is denied.
    Deny,
}

impl Severity {
    /// The word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// A finding of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The name of the topology that the rule was applied for.
    pub topology: Arc<str>,
    /// The reason.
    pub reason: Reason,
    /// The effect on the request.
    pub severity: Severity,
    /// The field in question.
    pub field: FieldPath,
    /// The mistake: one lowercase sentence without a full stop, the user's input in backticks.
    pub message: String,
    /// The remedy, in the same form; empty if there is nothing to do.
    pub help: String,
    /// A label set that proves the finding.
    pub witness: Option<Witness>,
    /// The names of some current nodes that the finding applies to. The witness covers future nodes, too.
    pub nodes: Vec<String>,
    /// The end of the message that names current nodes; empty if it names none. Who is not known to be the API server does
    /// not learn them.
    pub today: String,
    /// The exception of the topology for which the finding warns instead of denying, in a sentence.
    pub exception: Option<String>,
}

impl Finding {
    /// The message without its end that names current nodes.
    #[must_use]
    pub fn message_without_nodes(&self) -> &str {
        self.message.strip_suffix(self.today.as_str()).unwrap_or(&self.message)
    }
}

/// An edit: one field that a rule sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The rule.
    pub rule: Rule,
    /// The name of the topology that the rule was applied for.
    pub topology: Arc<str>,
    /// The reason.
    pub reason: Reason,
    /// The field. Missing parents are created as empty objects.
    pub field: FieldPath,
    /// The new value.
    pub value: Value,
}

/// The finding or edit to show if there is room for only one.
#[derive(Debug, Clone, Copy)]
pub struct Headline<'v> {
    /// The rule.
    pub rule: Rule,
    /// The reason.
    pub reason: Reason,
    /// The name of the topology that the rule was applied for.
    pub topology: &'v str,
    /// The finding; `None` if the verdict has edits only.
    pub finding: Option<&'v Finding>,
}

/// The verdict of the rules on one change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// The findings, in the order in which the rules added them.
    pub findings: Vec<Finding>,
    /// The edits to make before the object is stored; empty if the change is denied.
    pub edits: Vec<Edit>,
}

impl Verdict {
    /// The findings that deny the change.
    pub fn denials(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Deny)
    }

    /// Whether the change is denied.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.denials().next().is_some()
    }

    /// The most severe finding, for logs and audit annotations; an edit if there is no finding; `None` for an empty
    /// verdict.
    #[must_use]
    pub fn headline(&self) -> Option<Headline<'_>> {
        // The first of the most severe findings: on the reversed list, `max_by_key` returns it, because it returns the
        // last maximum.
        if let Some(finding) = self.findings.iter().rev().max_by_key(|finding| finding.severity) {
            let Finding { rule, reason, topology, .. } = finding;
            return Some(Headline { rule: *rule, reason: *reason, topology, finding: Some(finding) });
        }
        let Edit { rule, reason, topology, .. } = self.edits.first()?;
        Some(Headline { rule: *rule, reason: *reason, topology, finding: None })
    }

    /// The verdict as one word: `allow`, `edit` or `deny`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.is_denied(), self.edits.is_empty()) {
            (true, _) => "deny",
            (false, false) => "edit",
            (false, true) => "allow",
        }
    }
}
