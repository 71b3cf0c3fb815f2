//! The verdict on every stored topology: whether the webhook configurations cover it, and what its assessment says.

use std::collections::BTreeMap;

use super::super::decode::ReceivedObject;
use super::super::kinds::WatchedKind;
use super::super::last_assessments::{Assessed, State};
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

impl StoredTopology {
    pub(super) fn decode(_: WatchedKind, mut object: ReceivedObject) -> Self {
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            resource_version: object.metadata.resource_version.clone().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            status: object.take_status(),
            spec: object.topology().map(|(declared, _)| declared.spec),
        }
    }
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
        Verdict {
            name: &key.name,
            topology,
            guarded,
            assessed: state.of(&key.name, topology.generation, topology.spec.as_ref().err()),
        }
    };
    topologies.iter().map(verdict).collect()
}
