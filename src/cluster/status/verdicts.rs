//! The verdict on every stored topology: whether the webhook configurations cover it, and what its assessment says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::assessor::Assessments;
use super::super::decode::ReceivedObject;
use super::super::kinds::WatchedKind;
use crate::assessment::TopologyAssessment;
use crate::coverage::{Configurations, Guarded, judge};
use crate::snapshot::ObjectKey;
use crate::topology::{GatewayTopologySpec, GatewayTopologyStatus};

/// A topology as the API server stores it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredTopology {
    pub(super) uid: String,
    /// `metadata.resourceVersion`, which changes with every write, including those of the status.
    pub(super) resource_version: String,
    /// `metadata.generation`, which changes with the spec.
    pub(super) generation: i64,
    /// The spec, or the reason why it cannot be used.
    pub(super) spec: Result<GatewayTopologySpec, String>,
    pub(super) status: GatewayTopologyStatus,
}

/// A topology and the verdict on it.
#[derive(Debug)]
pub(super) struct Verdict<'t> {
    pub(super) name: &'t str,
    pub(super) topology: &'t StoredTopology,
    pub(super) guarded: Guarded,
    pub(super) assessed: Assessed,
}

/// What is known of the state of a topology.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Assessed {
    /// The topology of this generation was not assessed yet, so what its status says remains.
    NotYet,
    /// The topology is invalid and was left out.
    Unusable(String),
    /// The state of the cluster is not known.
    Unknown,
    /// The assessment.
    Known(Arc<TopologyAssessment>),
}

impl StoredTopology {
    pub(super) fn decode(_: WatchedKind, mut object: ReceivedObject) -> Self {
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            resource_version: object.metadata.resource_version.clone().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            status: object.take_status(),
            spec: object.topology().map(|declared| declared.spec),
        }
    }

    /// What the assessments say of the topology `name`.
    fn assessed(&self, name: &str, state: &State) -> Assessed {
        if let Err(problem) = &self.spec {
            return Assessed::Unusable(problem.clone());
        }
        match state {
            State::NotYet => Assessed::NotYet,
            State::Unknown => Assessed::Unknown,
            State::Known(assessments) => match assessments.topologies.get(name) {
                Some((generation, assessment)) if *generation == self.generation => {
                    Assessed::Known(Arc::clone(assessment))
                }
                _ => Assessed::NotYet,
            },
        }
    }
}

/// The state of the cluster, as far as it was assessed.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// The first assessment is awaited, or the state has become unknown a moment ago.
    NotYet,
    /// The state has been unknown for so long that its last assessment no longer counts.
    Unknown,
    Known(Arc<Assessments>),
}

/// Compares every topology with the configurations, and adds its assessment.
pub(super) fn verdicts<'t>(
    topologies: &'t BTreeMap<ObjectKey, StoredTopology>,
    configurations: Configurations<'_>,
    state: &State,
) -> Vec<Verdict<'t>> {
    let verdict = |(key, topology): (&'t ObjectKey, &'t StoredTopology)| {
        let guarded = match &topology.spec {
            Ok(spec) => judge(spec, configurations),
            Err(problem) => Guarded::unusable(problem),
        };
        Verdict { name: &key.name, topology, guarded, assessed: topology.assessed(&key.name, state) }
    };
    topologies.iter().map(verdict).collect()
}
