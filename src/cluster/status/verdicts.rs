//! The verdict on every stored topology: whether the webhook configurations cover it.

use std::collections::BTreeMap;

use super::super::Watched;
use super::super::item::{self, Raw};
use super::super::reported::status;
use crate::coverage::{Configurations, Guarded, judge};
use crate::snapshot::{Declared, ObjectKey};
use crate::topology::{GatewayTopologySpec, GatewayTopologyStatus};

/// A topology as the API server stores it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredTopology {
    pub(super) uid: String,
    /// Changes with every write, also of the status.
    pub(super) resource_version: String,
    /// Changes with the spec.
    pub(super) generation: i64,
    /// The spec, or why it cannot be used.
    pub(super) spec: Result<GatewayTopologySpec, String>,
    pub(super) status: GatewayTopologyStatus,
}

/// A topology and the verdict on it.
#[derive(Debug)]
pub(super) struct Verdict<'t> {
    pub(super) name: &'t str,
    pub(super) topology: &'t StoredTopology,
    pub(super) guarded: Guarded,
}

impl StoredTopology {
    pub(super) fn read(_: Watched, mut raw: Raw) -> (ObjectKey, Self) {
        let key = raw.key();
        let status = status(&mut raw.rest);
        let declared = item::topology(&raw.metadata, raw.rest);
        let topology = Self {
            uid: raw.metadata.uid.unwrap_or_default(),
            resource_version: raw.metadata.resource_version.unwrap_or_default(),
            generation: raw.metadata.generation.unwrap_or_default(),
            spec: declared.map(|Declared { spec, .. }| spec),
            status,
        };
        (key, topology)
    }
}

/// Compares every topology with the configurations.
pub(super) fn verdicts<'t>(
    topologies: &'t BTreeMap<String, StoredTopology>,
    configurations: Configurations<'_>,
) -> Vec<Verdict<'t>> {
    let verdict = |(name, topology): (&'t String, &'t StoredTopology)| {
        let guarded = match &topology.spec {
            Ok(spec) => judge(spec, configurations),
            Err(problem) => Guarded::unusable(problem),
        };
        Verdict { name, topology, guarded }
    };
    topologies.iter().map(verdict).collect()
}
