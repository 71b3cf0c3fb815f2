//! Whether the cluster's webhook configurations bring everything to Lockstep that a topology depends on.
//!
//! A webhook that is never called rejects nothing, and nothing reports it. So the live configurations are compared with
//! what each topology needs, and every gap becomes a sentence that says how to close it.
//!
//! Invariant: the verdict depends on its input alone, to the letter, so that all replicas come to the same one.

mod authority;
mod configuration;
mod gap;
mod need;
mod selection;
#[cfg(test)]
mod tests;
mod webhooks;

pub use configuration::{ClientConfig, Configuration, Rule, Service, Webhook};
pub use gap::Reason;

use crate::change::Phase;
use crate::escape::cut;
use crate::topology::GatewayTopologySpec;
use gap::Gap;
use need::needs;

/// The longest message of a condition, in bytes: the limit of `metav1.Condition`, which counts characters.
const MAX_MESSAGE: usize = 32_768;

/// The two webhook configurations of one name, as the cluster holds them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Configurations<'c> {
    /// The name that they share.
    pub name: &'c str,
    /// The `MutatingWebhookConfiguration`; `None` where there is none of the name.
    pub mutating: Option<&'c Configuration>,
    /// The `ValidatingWebhookConfiguration`; `None` where there is none of the name.
    pub validating: Option<&'c Configuration>,
    /// The certificates, as PEM, that a client must trust to call this replica; `None` where that is not known.
    pub relied_on: Option<&'c str>,
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

/// Whether a topology is guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    /// In one word. Of several reasons, the gravest.
    pub reason: Reason,
    /// Every gap in a sentence, and how to mend it.
    pub message: String,
}

impl Guarded {
    /// The verdict on a topology that is left out, and why.
    #[must_use]
    pub fn unusable(problem: &str) -> Self {
        let message = format!("the topology cannot be used and is left out: {problem}");
        Self { reason: Reason::Unusable, message: cut(&message, MAX_MESSAGE).to_owned() }
    }

    /// Whether there is no gap.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.reason == Reason::Covered
    }

    fn with_gaps(gaps: &[Gap], topology: &GatewayTopologySpec, configuration: &str) -> Self {
        let Some(reason) = gaps.iter().map(Gap::reason).min() else {
            return Self { reason: Reason::Covered, message: covered(topology) };
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
            Some(configuration) => webhooks::gaps(needs(topology, phase), configuration, live.relied_on),
            None => vec![Gap::NoConfiguration(phase)],
        };
        gaps.extend(found);
    }
    Guarded::with_gaps(&gaps, topology, live.name)
}

fn covered(topology: &GatewayTopologySpec) -> String {
    format!(
        "every new or changed pod, Service and DaemonSet of namespace `{}` and L2Advertisement of namespace `{}` is reviewed, or else refused",
        topology.gateway.namespace, topology.metallb_namespace
    )
}
