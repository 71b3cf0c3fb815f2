//! What is missing, in a word and in a sentence.

use crate::change::{Operation, Phase};
use crate::escape::excerpt;
use crate::objects::Resource;

/// Why a topology is guarded or not: the `reason` of the condition. In this order, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The topology itself cannot be used.
    Unusable,
    /// There is no webhook configuration of the name.
    NoConfiguration,
    /// Some requests are not sent to Lockstep.
    NotCovered,
    /// What cannot be reviewed is stored.
    FailsOpen,
    /// No call can succeed, because the API server does not know whom to trust.
    NoCaBundle,
    /// No call can succeed, because the API server trusts somebody else.
    OtherCaBundle,
    /// Calls are not made in the way that Lockstep answers.
    CallsFail,
    /// Everything that the topology needs is sent to Lockstep, and refused if that fails.
    Covered,
}

impl Reason {
    /// The reason as the condition has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unusable => "Unusable",
            Self::NoConfiguration => "NoConfiguration",
            Self::NotCovered => "NotCovered",
            Self::FailsOpen => "FailsOpen",
            Self::NoCaBundle => "NoCaBundle",
            Self::OtherCaBundle => "OtherCaBundle",
            Self::CallsFail => "CallsFail",
            Self::Covered => "Covered",
        }
    }
}

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gap {
    /// The whole configuration.
    NoConfiguration(Phase),
    /// A webhook with a rule for this.
    NotCalled { phase: Phase, resource: Resource, operations: Vec<Operation> },
    /// There is a webhook for it, but with a flaw.
    Flawed { phase: Phase, webhook: String, flaw: Flaw },
}

/// What keeps a webhook from covering what its rules name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    Path { found: String, wanted: &'static str },
    MatchPolicy(String),
    Namespace { name: String, witness: Option<String> },
    Objects { witness: String },
    Unreadable { field: &'static str, problem: String },
    MatchConditions,
    FailsOpen(String),
    NoCaBundle,
    OtherCaBundle,
    ReviewVersions,
    SideEffects(String),
}

impl Gap {
    pub(super) const fn reason(&self) -> Reason {
        match self {
            Self::NoConfiguration(_) => Reason::NoConfiguration,
            Self::NotCalled { .. } => Reason::NotCovered,
            Self::Flawed { flaw, .. } => flaw.reason(),
        }
    }

    /// What is wrong and what to do. `configuration` is the name of the webhook configurations.
    pub(super) fn sentence(&self, configuration: &str) -> String {
        let the = |phase: &Phase| format!("{} `{}`", kind(*phase), excerpt(configuration));
        match self {
            Self::NoConfiguration(phase) => {
                format!("there is no {}: install the chart again", the(phase))
            }
            Self::NotCalled { phase, resource, operations } => format!(
                "{} has no webhook for {} of {}: install the chart again",
                the(phase),
                operations.iter().map(|operation| operation.word()).collect::<Vec<_>>().join(" and "),
                name(resource)
            ),
            Self::Flawed { phase, webhook, flaw } => {
                format!("webhook `{}` of {} {}", excerpt(webhook), the(phase), flaw.predicate())
            }
        }
    }
}

/// The kind of the configuration whose webhooks are called in `phase`.
const fn kind(phase: Phase) -> &'static str {
    match phase {
        Phase::Mutate => "MutatingWebhookConfiguration",
        Phase::Validate => "ValidatingWebhookConfiguration",
    }
}

/// `daemonsets.apps/v1`, or for the core group `pods/v1`.
fn name(resource: &Resource) -> String {
    let Resource { group, version, plural } = resource;
    let dot = if group.is_empty() { "" } else { "." };
    format!("`{plural}{dot}{group}/{version}`")
}

impl Flaw {
    const fn reason(&self) -> Reason {
        match self {
            Self::Path { .. }
            | Self::MatchPolicy(_)
            | Self::Namespace { .. }
            | Self::Objects { .. }
            | Self::Unreadable { .. }
            | Self::MatchConditions => Reason::NotCovered,
            Self::FailsOpen(_) => Reason::FailsOpen,
            Self::NoCaBundle => Reason::NoCaBundle,
            Self::OtherCaBundle => Reason::OtherCaBundle,
            Self::ReviewVersions | Self::SideEffects(_) => Reason::CallsFail,
        }
    }

    /// What a sentence says about the webhook.
    fn predicate(&self) -> String {
        match self {
            Self::Path { found, wanted } => {
                format!("calls `{}` instead of `{wanted}`: install the chart again", excerpt(found))
            }
            Self::MatchPolicy(policy) => format!(
                "has `matchPolicy` `{}`, so that requests in other API versions pass by: set it to `Equivalent`",
                excerpt(policy)
            ),
            Self::Namespace { name, witness } => {
                let witness = witness.as_ref().map(|witness| format!(" {witness}")).unwrap_or_default();
                format!(
                    "leaves out namespace `{name}`{witness}: add the topology to the chart's values and install it again, or correct `namespaceSelector`"
                )
            }
            Self::Objects { witness } => {
                format!("leaves out objects {witness}: remove its `objectSelector`")
            }
            Self::Unreadable { field, problem } => {
                format!("has a `{field}` that cannot be read: {problem}")
            }
            Self::MatchConditions => {
                "has `matchConditions`, which may leave requests out: remove them".to_owned()
            }
            Self::FailsOpen(policy) => format!(
                "has `failurePolicy` `{}`, so that what cannot be reviewed is stored: set it to `Fail`",
                excerpt(policy)
            ),
            Self::NoCaBundle => {
                "has no `caBundle`, so that every call fails: set it to the authority of the certificate that Lockstep serves"
                    .to_owned()
            }
            Self::OtherCaBundle => {
                "has a `caBundle` without the authority of the certificate that Lockstep serves, so that calls fail: add it"
                    .to_owned()
            }
            Self::ReviewVersions => {
                "does not take `AdmissionReview` in version `v1`, so that every call fails: set `admissionReviewVersions` to `[v1]`"
                    .to_owned()
            }
            Self::SideEffects(effects) => format!(
                "has `sideEffects` `{}`, so that dry runs fail: set it to `None`",
                excerpt(effects)
            ),
        }
    }
}
