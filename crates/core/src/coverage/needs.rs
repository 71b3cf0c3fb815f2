//! The requests that must reach Lockstep for a topology to be guarded.

use crate::change::{Operation, Phase};
use crate::objects::{Kind, Resource};
use crate::topology::GatewayTopologySpec;

/// Requests for one resource in one namespace that must reach Lockstep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need<'t> {
    pub(super) phase: Phase,
    pub(super) resource: Resource,
    pub(super) operations: &'static [Operation],
    pub(super) namespace: &'t str,
    /// The topology that needs it.
    pub(super) topology: &'t GatewayTopologySpec,
}

/// The needs of `topology` in one phase.
pub(super) fn needs(topology: &GatewayTopologySpec, phase: Phase) -> impl Iterator<Item = Need<'_>> {
    Kind::ALL.into_iter().filter(move |kind| !kind.operations(phase).is_empty()).map(move |kind| Need {
        phase,
        topology,
        resource: kind.resource(),
        operations: kind.operations(phase),
        namespace: if kind.is_metallb() { &topology.metallb_namespace } else { &topology.gateway.namespace },
    })
}
