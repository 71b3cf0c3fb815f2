//! Choices: the pools that MetalLB may give a Service its next address from, although the Service's topology does not name them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::election::{AddressPool, Configuration, MetalLb, Origin};
use crate::snapshot::{ObjectKey, ResolvedTopology};

use super::State;

impl<'i> State<'i> {
    /// Whether a Service of the topology has a choice.
    pub(super) fn has_choice(&self, topology: &'i ResolvedTopology) -> bool {
        let Some(configuration) = self.configuration_of(topology) else { return false };
        self.choosers(topology)
            .any(|(_, origin)| first_other(origin.first_choice(), topology, configuration).is_some())
    }

    /// A Service of the topology, and the name of a pool that it may choose here but not in the state `before`.
    pub(super) fn new_choice(
        &self,
        before: &State<'_>,
        topology: &'i ResolvedTopology,
        gained: &mut GainedPools,
    ) -> Option<(ObjectKey, String)> {
        let configuration = self.configuration_of(topology)?;
        let known: HashMap<&ObjectKey, Origin> = before
            .snapshot
            .topology(&topology.name)
            .into_iter()
            .flat_map(|topology| before.choosers(topology))
            .collect();
        self.choosers(topology).find_map(|(service, origin)| {
            let known = known.get(service).zip(before.configuration_of(topology));
            let new = gained.between(known, (&origin, configuration));
            let pool = first_other(&new, topology, configuration)?;
            Some((service.clone(), pool.name.clone()))
        })
    }

    fn configuration_of(&self, topology: &ResolvedTopology) -> Option<&Configuration> {
        let metallb = self.metallb.get(topology.spec.metallb_namespace.as_str())?;
        metallb.as_ref().ok().map(MetalLb::configuration)
    }

    /// The Services of a topology that ask for no address and no pool, with the pools that MetalLB chooses from.
    fn choosers(&self, topology: &'i ResolvedTopology) -> impl Iterator<Item = (&'i ObjectKey, Origin)> {
        let metallb =
            self.metallb.get(topology.spec.metallb_namespace.as_str()).and_then(|read| read.as_ref().ok());
        metallb.into_iter().flat_map(move |metallb| {
            self.services_of(topology).filter_map(|entry| match metallb.origin(self.balanced(entry)) {
                Ok(origin @ (Origin::Reserved(_) | Origin::Any(_))) => Some((entry.0, origin)),
                _ => None,
            })
        })
    }
}

/// The first of these pools that the topology does not name.
fn first_other<'c>(
    pools: &[usize],
    topology: &ResolvedTopology,
    configuration: &'c Configuration,
) -> Option<&'c AddressPool> {
    let mut pools = pools.iter().filter_map(|pool| configuration.pool(*pool));
    pools.find(|pool| !topology.spec.address_pools.contains(&pool.name))
}

/// The pools that a state has in a list and an earlier state has not, for each pair of lists that was compared. Most Services share one
/// list, so that thousands of Services with a thousand pools cost one comparison.
#[derive(Debug, Default)]
pub(crate) struct GainedPools(Vec<Gained>);

/// The comparison of two lists of unreserved pools.
#[derive(Debug)]
struct Gained {
    known: Arc<[usize]>,
    possible: Arc<[usize]>,
    new: Arc<[usize]>,
}

impl GainedPools {
    /// The pools of `possible` that `known` does not have by name, by position in the configuration of `possible`.
    fn between(
        &mut self,
        known: Option<(&Origin, &Configuration)>,
        (possible, configuration): (&Origin, &Configuration),
    ) -> Arc<[usize]> {
        let find = || {
            let names: BTreeSet<&str> = known
                .into_iter()
                .flat_map(|(origin, of)| origin.first_choice().iter().filter_map(|pool| of.pool(*pool)))
                .map(|pool| pool.name.as_str())
                .collect();
            let is_new = |pool: &usize| {
                configuration.pool(*pool).is_some_and(|pool| !names.contains(pool.name.as_str()))
            };
            possible.first_choice().iter().copied().filter(is_new).collect::<Arc<[usize]>>()
        };
        let (Some((Origin::Any(known), _)), Origin::Any(possible)) = (known, possible) else { return find() };
        let is_same =
            |held: &&Gained| Arc::ptr_eq(&held.known, known) && Arc::ptr_eq(&held.possible, possible);
        if let Some(held) = self.0.iter().find(is_same) {
            return Arc::clone(&held.new);
        }
        let new = find();
        let (known, possible) = (Arc::clone(known), Arc::clone(possible));
        self.0.push(Gained { known, possible, new: Arc::clone(&new) });
        new
    }
}
