//! Coverage gaps, each with a code for programs and a sentence for people.

use super::call::{CallFault, CallTarget};
use crate::change::{Operation, Phase};
use crate::escape::excerpt;
use crate::objects::Resource;

/// The `reason` of the condition `Guarded`. The order is by gravity, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuardedReason {
    /// The topology is invalid.
    Unusable,
    /// The webhook configuration does not exist.
    NoConfiguration,
    /// The API server does not send some requests to Lockstep.
    NotCovered,
    /// The API server stores objects when a call fails.
    FailsOpen,
    /// Every call fails, because the API server has no CA bundle to verify the certificate with.
    NoCaBundle,
    /// Every call fails, because the API server trusts another CA.
    OtherCaBundle,
    /// Every call fails, because the webhook's Service does not lead to a replica.
    Unreachable,
    /// Every call fails, because Lockstep does not answer calls of this form.
    CallsFail,
    /// Whether calls arrive is not known.
    Unread,
    /// The API server sends every request that the topology depends on, and rejects it if the call fails.
    Covered,
}

impl GuardedReason {
    /// Every reason, the gravest first.
    pub const ALL: [Self; 10] = [
        Self::Unusable,
        Self::NoConfiguration,
        Self::NotCovered,
        Self::FailsOpen,
        Self::NoCaBundle,
        Self::OtherCaBundle,
        Self::Unreachable,
        Self::CallsFail,
        Self::Unread,
        Self::Covered,
    ];

    /// The code in the condition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unusable => "Unusable",
            Self::NoConfiguration => "NoConfiguration",
            Self::NotCovered => "NotCovered",
            Self::FailsOpen => "FailsOpen",
            Self::NoCaBundle => "NoCaBundle",
            Self::OtherCaBundle => "OtherCaBundle",
            Self::Unreachable => "Unreachable",
            Self::CallsFail => "CallsFail",
            Self::Unread => "Unread",
            Self::Covered => "Covered",
        }
    }
}

/// One coverage gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gap {
    /// The configuration does not exist.
    NoConfiguration(Phase),
    /// No webhook has a rule for these operations on the resource.
    NotCalled { phase: Phase, resource: Resource, operations: Vec<Operation> },
    /// A webhook has the rule, and a flaw.
    Flawed { phase: Phase, webhook: String, flaw: Flaw },
}

/// A reason why a webhook does not cover the requests that its rules name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    Path { found: String, wanted: &'static str },
    MatchPolicy(String),
    Namespace { name: String, witness: Option<String> },
    Objects { witness: String },
    InvalidSelector { field: &'static str, path: String, problem: String },
    MatchConditions,
    OtherGateways,
    FailsOpen(String),
    NoCaBundle,
    OtherCaBundle,
    Call(CallTarget, CallFault),
    ReviewVersions,
    SideEffects(String),
}

impl Gap {
    pub(super) const fn reason(&self) -> GuardedReason {
        match self {
            Self::NoConfiguration(_) => GuardedReason::NoConfiguration,
            Self::NotCalled { .. } => GuardedReason::NotCovered,
            Self::Flawed { flaw, .. } => flaw.reason(),
        }
    }

    /// The sentence of the gap: what is wrong and what closes it. `configuration` is the name of the webhook
    /// configurations.
    pub(super) fn sentence(&self, configuration: &str) -> String {
        let the = |phase: &Phase| format!("{} `{}`", kind(*phase), excerpt(configuration));
        match self {
            Self::NoConfiguration(phase) => {
                format!("{} does not exist: install the chart again", the(phase))
            }
            Self::NotCalled { phase, resource, operations } => format!(
                "{} has no webhook for {} of {}: install the chart again",
                the(phase),
                in_words(operations),
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

/// The resource in messages: `daemonsets.apps/v1`, or `pods/v1` for the core group.
fn name(resource: &Resource) -> String {
    format!("`{resource}/{}`", resource.version)
}

impl Flaw {
    const fn reason(&self) -> GuardedReason {
        match self {
            Self::Path { .. }
            | Self::MatchPolicy(_)
            | Self::Namespace { .. }
            | Self::Objects { .. }
            | Self::InvalidSelector { .. }
            | Self::MatchConditions
            | Self::OtherGateways => GuardedReason::NotCovered,
            Self::FailsOpen(_) => GuardedReason::FailsOpen,
            Self::NoCaBundle => GuardedReason::NoCaBundle,
            Self::OtherCaBundle => GuardedReason::OtherCaBundle,
            Self::Call(_, CallFault::Unread(_)) => GuardedReason::Unread,
            Self::Call(..) => GuardedReason::Unreachable,
            Self::ReviewVersions | Self::SideEffects(_) => GuardedReason::CallsFail,
        }
    }

    /// The predicate of a sentence about the webhook.
    fn predicate(&self) -> String {
        match self {
            Self::Path { found, wanted } => {
                format!("calls `{}` instead of `{wanted}`: install the chart again", excerpt(found))
            }
            Self::MatchPolicy(policy) => format!(
                "has `matchPolicy` `{}`, so requests in other API versions are not sent to it: set it to `Equivalent`",
                excerpt(policy)
            ),
            Self::Namespace { name, witness } => {
                let witness = witness.as_ref().map(|witness| format!(" {witness}")).unwrap_or_default();
                format!(
                    "does not select namespace `{name}`{witness}: add the topology to the chart's values and upgrade the release, or change `namespaceSelector`"
                )
            }
            Self::Objects { witness } => {
                format!("does not select objects {witness}: remove its `objectSelector`")
            }
            Self::InvalidSelector { field, path, problem } => {
                format!("has an invalid `{field}` at `{path}`: {problem}")
            }
            Self::MatchConditions => {
                "has `matchConditions` that the chart did not make, which may exclude requests: remove them, and upgrade the release"
                    .to_owned()
            }
            Self::OtherGateways => {
                "is called for the pods and Services of the gateways in the chart's values only: add the topology to the values, or its gateway's namespace to `webhooks.gatewayNamespaces`, and upgrade the release"
                    .to_owned()
            }
            Self::FailsOpen(policy) => format!(
                "has `failurePolicy` `{}`, so the API server stores objects when the call fails: set it to `Fail`",
                excerpt(policy)
            ),
            Self::NoCaBundle => {
                "has no `caBundle`, so every call fails: set it to the CA of the serving certificate"
                    .to_owned()
            }
            Self::OtherCaBundle => {
                "has a `caBundle` without the CA of the serving certificate, so calls fail: add the CA"
                    .to_owned()
            }
            Self::Call(target, fault) => fault.predicate(target),
            Self::ReviewVersions => {
                "does not list `v1` in `admissionReviewVersions`, so every call fails: set it to `[v1]`"
                    .to_owned()
            }
            Self::SideEffects(effects) => {
                format!("has `sideEffects` `{}`, so dry runs fail: set it to `None`", excerpt(effects))
            }
        }
    }
}

/// The operations as in a sentence: `CREATE, UPDATE and DELETE`.
fn in_words(operations: &[Operation]) -> String {
    let words: Vec<&str> = operations.iter().map(|operation| operation.word()).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
