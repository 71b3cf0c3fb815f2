//! Coverage: whether the cluster's webhook configurations send every request that a topology depends on.
//!
//! A webhook that is never called rejects nothing, and nothing reports it. So the live configurations are compared with
//! what each topology needs, and every gap becomes a sentence that says how to close it.
//!
//! Invariant: the verdict depends only on the input, so all replicas write the same condition.

mod ca_bundle;
mod call;
mod configuration;
mod gap;
mod match_condition;
mod needs;
mod selectors;
#[cfg(test)]
mod tests;
mod webhooks;

pub use call::{CallFault, CallTarget, Calls};
pub use configuration::{
    Configuration, MatchCondition, RuleWithOperations, ServiceReference, Webhook, WebhookClientConfig,
};
pub use gap::GuardedReason;

use crate::change::Phase;
use crate::escape::cut;
use crate::topology::GatewayTopologySpec;
use gap::Gap;
use needs::needs;

/// The longest message of a condition, in bytes: the limit of `metav1.Condition`, which counts characters.
const MAX_MESSAGE: usize = 32_768;

/// The two webhook configurations with one name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Configurations<'c> {
    /// The name of both configurations.
    pub name: &'c str,
    /// The `MutatingWebhookConfiguration`; `None` if it does not exist.
    pub mutating: Option<&'c Configuration>,
    /// The `ValidatingWebhookConfiguration`; `None` if it does not exist.
    pub validating: Option<&'c Configuration>,
    /// The CA certificates in PEM that the API server must trust to call this replica; `None` if they are unknown.
    pub trust_anchors: Option<&'c str>,
    /// The calls that were tried. A target that is not among them is not judged.
    pub calls: &'c Calls,
}

impl<'c> Configurations<'c> {
    /// The configuration whose webhooks are called in `phase`.
    const fn of(&self, phase: Phase) -> Option<&'c Configuration> {
        match phase {
            Phase::Mutate => self.mutating,
            Phase::Validate => self.validating,
        }
    }
}

/// The verdict of [`judge`]: whether a topology is guarded, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    /// The reason as one word; the gravest of several.
    pub reason: GuardedReason,
    /// One sentence per gap, with what closes it.
    pub message: String,
}

impl Guarded {
    /// The verdict on a topology that was left out of the snapshot, with the reason.
    #[must_use]
    pub fn unusable(problem: &str) -> Self {
        let message = format!("the topology is invalid and ignored: {problem}");
        Self { reason: GuardedReason::Unusable, message: cut(&message, MAX_MESSAGE).to_owned() }
    }

    /// Whether there is no gap.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.reason == GuardedReason::Covered
    }

    /// The status of the condition. A reason that only says what is not known makes it `Unknown`.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        match self.reason {
            GuardedReason::Covered => "True",
            GuardedReason::Unread => "Unknown",
            _ => "False",
        }
    }

    fn with_gaps(gaps: &[Gap], topology: &GatewayTopologySpec, configuration: &str) -> Self {
        let Some(reason) = gaps.iter().map(Gap::reason).min() else {
            return Self { reason: GuardedReason::Covered, message: covered(topology) };
        };
        let sentences: Vec<String> = gaps.iter().map(|gap| gap.sentence(configuration)).collect();
        Self { reason, message: cut(&sentences.join("; "), MAX_MESSAGE).to_owned() }
    }
}

/// Compares what `topology` needs with the live configurations.
#[must_use]
pub fn judge(topology: &GatewayTopologySpec, live: Configurations<'_>) -> Guarded {
    let mut gaps: Vec<Gap> = Vec::new();
    for phase in Phase::ALL {
        let found = match live.of(phase) {
            Some(configuration) => webhooks::gaps(needs(topology, phase), configuration, live),
            None => vec![Gap::NoConfiguration(phase)],
        };
        gaps.extend(found);
    }
    Guarded::with_gaps(&gaps, topology, live.name)
}

fn covered(topology: &GatewayTopologySpec) -> String {
    format!(
        "every new or changed pod, Service and DaemonSet of the gateway in namespace `{}`, and every new, changed or deleted pool and advertisement of namespace `{}` is sent to Lockstep, and rejected if the call fails",
        topology.gateway.namespace, topology.metallb_namespace
    )
}
