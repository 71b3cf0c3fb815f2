//! Assessments that are kept current: after a change, only the topologies that it concerns are assessed again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::changes::Concern;
use super::{Assessor, Changes, Kept, TopologyAssessment};
use crate::election::MetalLbVersion;
use crate::snapshot::{Inventory, MetalLbSettings, Snapshot, Source};

/// The assessments of every topology, as of the last update.
#[derive(Debug, Default)]
pub struct CurrentAssessments {
    basis: Option<Basis>,
    kept: Kept,
    topologies: BTreeMap<Arc<str>, Arc<TopologyAssessment>>,
}

/// The parts of a state that every assessment depends on.
#[derive(Debug, PartialEq, Eq)]
struct Basis {
    version: MetalLbVersion,
    settings: MetalLbSettings,
    read: BTreeSet<Source>,
    pending: BTreeSet<String>,
    lacks_metallb: bool,
}

impl CurrentAssessments {
    /// Assesses the topologies that `changes` concern, and drops those that are gone. The snapshot must be of the same
    /// inventory, as far as rules read it. Returns the names of the assessed topologies.
    ///
    /// The result is the same as that of [`Assessment::of`](super::Assessment::of), if `changes` has everything that
    /// differs from the inventory of the last update.
    pub fn update(
        &mut self,
        inventory: &Inventory,
        snapshot: &Snapshot,
        version: MetalLbVersion,
        changes: &Changes,
    ) -> Vec<Arc<str>> {
        let basis = Basis {
            version,
            settings: inventory.metallb,
            read: inventory.read.clone(),
            pending: inventory.pending.clone(),
            lacks_metallb: inventory.lacks_metallb,
        };
        let is_same = self.basis.as_ref() == Some(&basis);
        self.basis = Some(basis);
        if !is_same || changes.concern_configurations() {
            self.kept.configurations.clear();
        }
        if !is_same || changes.concern_speakers() {
            self.kept.speakers.clear();
        }
        let assessor = Assessor::with_kept(inventory, snapshot, version, &mut self.kept);
        let concern = Concern::new(&assessor.0, changes);
        let mut before = std::mem::take(&mut self.topologies);
        let mut assessed = Vec::new();
        for topology in snapshot.topologies() {
            let held = before.remove(&topology.name).filter(|_| is_same);
            let kept = held.filter(|_| !concern.is_about(topology));
            let current = kept.unwrap_or_else(|| {
                assessed.push(Arc::clone(&topology.name));
                Arc::new(assessor.0.assess(topology, None))
            });
            self.topologies.insert(Arc::clone(&topology.name), current);
        }
        assessed
    }

    /// The assessments, by the names of topologies.
    #[must_use]
    pub const fn topologies(&self) -> &BTreeMap<Arc<str>, Arc<TopologyAssessment>> {
        &self.topologies
    }
}
