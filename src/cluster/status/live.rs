//! What the watches hold that verdicts are made of, and the verdicts.

use tracing::warn;

use super::super::Watched;
use super::super::item::{self, Raw};
use super::super::latest::Latest;
use super::super::reported::status;
use super::super::target::WatchId;
use crate::coverage::{Configuration, Configurations, Guarded, judge};
use crate::snapshot::{Declared, ObjectKey};
use crate::topology::{GatewayTopologySpec, GatewayTopologyStatus};

pub(super) const TOPOLOGIES: WatchId = WatchId(0);
pub(super) const MUTATING: WatchId = WatchId(1);
pub(super) const VALIDATING: WatchId = WatchId(2);

/// A topology as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Topology {
    pub(super) uid: String,
    /// Changes with every write, also of the status.
    pub(super) resource_version: String,
    /// Changes with the spec.
    pub(super) generation: i64,
    /// What it says, or why it cannot be used.
    pub(super) spec: Result<GatewayTopologySpec, String>,
    pub(super) status: GatewayTopologyStatus,
}

/// A topology and the verdict on it.
#[derive(Debug)]
pub(super) struct Verdict<'l> {
    pub(super) name: &'l str,
    pub(super) topology: &'l Topology,
    pub(super) guarded: Guarded,
}

/// What the watches hold.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) topologies: Latest<Topology>,
    mutating: Latest<Configuration>,
    validating: Latest<Configuration>,
}

impl Topology {
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

/// Reads a webhook configuration.
pub(super) fn configuration(kind: Watched, raw: Raw) -> (ObjectKey, Configuration) {
    let key = raw.key();
    let configuration = serde_json::from_value(raw.rest).unwrap_or_else(|error| {
        // One without webhooks guards nothing, which is what the verdict says then.
        warn!(?kind, name = key.name, %error, "the webhook configuration cannot be read");
        Configuration::default()
    });
    (key, configuration)
}

impl Live {
    /// The configurations that this watch is about.
    pub(super) fn configurations(&mut self, watch: WatchId) -> &mut Latest<Configuration> {
        if watch == MUTATING { &mut self.mutating } else { &mut self.validating }
    }

    /// The verdict on every topology; `None` while not everything is known that they depend on.
    pub(super) fn verdicts(&self, name: &str, relied_on: Option<&str>) -> Option<Vec<Verdict<'_>>> {
        let mutating = self.mutating.items()?.get(name);
        let validating = self.validating.items()?.get(name);
        self.verdicts_by(Configurations { name, mutating, validating, relied_on })
    }

    /// The same by other configurations than those that the watches hold.
    pub(super) fn verdicts_by(&self, configurations: Configurations<'_>) -> Option<Vec<Verdict<'_>>> {
        let verdicts = self.topologies.items()?.iter().map(|(name, topology)| {
            let guarded = match &topology.spec {
                Ok(spec) => judge(spec, configurations),
                Err(problem) => Guarded::unusable(problem),
            };
            Verdict { name, topology, guarded }
        });
        Some(verdicts.collect())
    }
}
