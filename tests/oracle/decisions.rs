//! The decisions in a world: of the product, and of MetalLB.

use std::collections::{BTreeMap, BTreeSet};

use lockstep::election::{
    AllocationError, BalancedService, Layer2, MetalLb, MetalLbVersion, NobodyElected, Obstacle, Origin,
};
use lockstep::manifests;
use lockstep::objects::EndpointSlice;
use lockstep::snapshot::{Inventory, ObjectKey, Source};
use serde::Deserialize;

use crate::world::{GATEWAY, METALLB, SERVICE, World};

/// The nodes of an L2 advertisement, each with its preference.
pub type Announcing = BTreeMap<String, i64>;

/// The decisions in a world. `None` where every speaker rejects the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decisions {
    /// Whether the speaker of each node rejects the configuration.
    pub rejected: Vec<bool>,
    pub accepted: Option<Accepted>,
}

/// The decisions with a configuration that a speaker accepts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accepted {
    /// The L2 advertisements of each pool. Those that announce the same are one.
    pub pools: BTreeMap<String, BTreeSet<Announcing>>,
    /// The nodes that may announce the Service by layer 2.
    pub candidates: BTreeSet<String>,
    pub winner: Option<String>,
    pub next: Option<String>,
    pub runner_up: Option<String>,
    /// The nodes that announce the Service by BGP.
    pub bgp: Vec<String>,
    /// The obstacle to the speaker of each node that does not announce by BGP; nothing if the Service has no address of a pool.
    pub bgp_obstacles: Option<Vec<Option<Obstacle>>>,
    pub origin: Pools,
}

/// The pools that a Service gets addresses of.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Pools {
    /// No pool, or an unknown one.
    #[default]
    None,
    /// The first pools, those of one rank in any order. `all` tells that no other pool follows.
    Ranked { ranks: Vec<BTreeSet<String>>, all: bool },
}

/// The inventory that the product reads of a world.
pub fn inventory(world: &World) -> Inventory {
    let mut inventory = Inventory::default();
    for object in world.objects() {
        manifests::add_state(&mut inventory, &object, "default").expect("a valid object");
    }
    // Worlds are whole: a kind without an object has none.
    inventory.read.extend(Source::ALL);
    inventory.infer_settings();
    // Speakers tell their settings, and a world may have none.
    inventory.metallb.lacks_memberlist = world.lacks_memberlist;
    inventory.metallb.ignores_exclude_label = world.ignores_exclude_label;
    inventory
}

/// The decisions of the product.
pub fn ours(inventory: &Inventory, version: MetalLbVersion) -> Decisions {
    let Ok(metallb) = MetalLb::new(METALLB, inventory, version) else {
        return Decisions { rejected: vec![true; inventory.nodes.len()], accepted: None };
    };
    let nodes = 0..metallb.node_count();
    let rejected: Vec<bool> = nodes.map(|node| metallb.rejection_on(node).is_some()).collect();
    let key = ObjectKey { namespace: GATEWAY.to_owned(), name: SERVICE.to_owned() };
    let slices: Vec<&EndpointSlice> =
        inventory.endpoint_slices.values().filter(|slice| slice.service() == Some(SERVICE)).collect();
    let service = BalancedService {
        key: &key,
        service: &inventory.services[&key],
        balancer: &inventory.load_balancers[&key],
        slices: &slices,
    };
    let mut accepted = Accepted {
        pools: our_pools(&metallb),
        origin: ranked(&metallb, metallb.origin(service), service.balancer.prefers_dual_stack),
        ..Accepted::default()
    };
    if let Ok(election) = metallb.elect(service) {
        let name = |position: usize| metallb.node_name(position).to_owned();
        let nodes = 0..metallb.node_count();
        if matches!(election.layer2, Layer2::Elected { .. } | Layer2::Nobody(NobodyElected::NoCandidate)) {
            accepted.candidates = nodes
                .clone()
                .filter(|node| metallb.obstacle(service, election.pool, *node).is_none())
                .map(name)
                .collect();
        }
        if let Layer2::Elected { winner, next, runner_up, candidates } = election.layer2 {
            assert_eq!(candidates, accepted.candidates.len(), "the number of candidates is theirs");
            accepted.winner = Some(name(winner));
            accepted.next = next.map(name);
            accepted.runner_up = runner_up.map(name);
        }
        accepted.bgp_obstacles =
            Some(nodes.map(|node| metallb.bgp_obstacle(service, election.pool, node)).collect());
        accepted.bgp = election.bgp.into_iter().map(name).collect();
    }
    Decisions { rejected, accepted: Some(accepted) }
}

fn our_pools(metallb: &MetalLb<'_>) -> BTreeMap<String, BTreeSet<Announcing>> {
    let configuration = metallb.configuration();
    let announcing = |advertisement: &lockstep::snapshot::Advertisement| {
        (0..metallb.node_count())
            .filter_map(|node| Some((node, metallb.node_labels(node)?)))
            .filter(|(_, labels)| advertisement.announces_from(labels))
            .map(|(node, labels)| (metallb.node_name(node).to_owned(), advertisement.preference_for(labels)))
            .collect()
    };
    let pools = configuration.pools.iter();
    pools
        .map(|pool| {
            let layer2 = configuration.layer2_of(pool);
            (pool.name.clone(), layer2.map(|(_, layer2)| announcing(&layer2.advertisement)).collect())
        })
        .collect()
}

fn ranked(metallb: &MetalLb<'_>, origin: Result<Origin, AllocationError>, prefers_dual_stack: bool) -> Pools {
    let name = |pool: &usize| metallb.configuration().pools[*pool].name.clone();
    let rank = |pools: &[usize]| pools.iter().map(name).collect();
    match origin {
        Err(_) => Pools::None,
        Ok(Origin::Address(pool) | Origin::Requested(pool)) => {
            Pools::Ranked { ranks: vec![rank(&[pool])], all: true }
        }
        // With a preference, pools of fewer families follow.
        Ok(Origin::Any(pools)) => Pools::Ranked { ranks: vec![rank(&pools)], all: !prefers_dual_stack },
        // Pools that are not reserved follow.
        Ok(Origin::Reserved(ranks)) => {
            Pools::Ranked { ranks: ranks.iter().map(|pools| rank(pools)).collect(), all: false }
        }
    }
}

/// The answer of MetalLB's speakers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerAnswer {
    #[serde(deserialize_with = "or_default")]
    pub rejected: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pools: BTreeMap<String, Vec<Nodes>>,
    #[serde(deserialize_with = "or_default")]
    layer2: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    ranking: Vec<String>,
    next: String,
    runner_up: String,
    #[serde(deserialize_with = "or_default")]
    bgp: Vec<String>,
    /// The reason why each node does not announce, by layer 2 and by BGP.
    #[serde(deserialize_with = "or_default")]
    reasons: Vec<[String; 2]>,
}

#[derive(Debug, Clone, Deserialize)]
struct Nodes {
    #[serde(deserialize_with = "or_default")]
    nodes: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    preferred: BTreeMap<String, i64>,
}

/// The answer of MetalLB's controller.
#[derive(Debug, Clone, Deserialize)]
pub struct ControllerAnswer {
    /// The reason why it rejects the pools; empty if it accepts them.
    pub rejected: String,
    /// The pools that the Service gets addresses of, each after those before it are gone.
    #[serde(deserialize_with = "or_default")]
    pub pools: Vec<String>,
}

/// Go writes an empty list as null.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether MetalLB ends in a panic instead of an answer.
pub fn have_panicked(speaker: &SpeakerAnswer, controller: &ControllerAnswer) -> bool {
    let mut reasons = speaker.rejected.iter().chain([&controller.rejected]);
    reasons.any(|reason| reason.starts_with("panic: "))
}

/// The decisions of MetalLB, apart from the pools of the Service.
pub fn theirs(world: &World, answer: &SpeakerAnswer) -> Result<Decisions, String> {
    let rejected: Vec<bool> = answer.rejected.iter().map(|reason| !reason.is_empty()).collect();
    if rejected.iter().all(|rejected| *rejected) {
        return Ok(Decisions { rejected, accepted: None });
    }
    let runs = |node: &str| world.speakers.iter().any(|speaker| speaker == node);
    let some = |name: &String| (!name.is_empty()).then(|| name.clone());
    let winner = answer.ranking.first().cloned();
    // All speakers must agree, or the oracle asks them wrongly. One that rejects the configuration announces nothing.
    let mut announcers = world.node_names().zip(&rejected).filter(|(_, rejected)| !**rejected);
    let expected: Vec<&str> = winner
        .iter()
        .map(String::as_str)
        .filter(|winner| announcers.any(|(node, _)| node == *winner))
        .collect();
    if answer.layer2 != expected {
        return Err(format!("{:?} announce, and {expected:?} should", answer.layer2));
    }
    let has_pool = answer.reasons.iter().any(|reasons| reasons[1] != "rejected" && !reasons[1].is_empty());
    let is_announced = |node: &str| answer.bgp.iter().any(|announcer| announcer == node);
    let obstacles = world.node_names().zip(&answer.reasons).map(|(node, reasons)| {
        if runs(node) { obstacle(&reasons[1]) } else { Ok(Some(Obstacle::NoSpeaker)) }
    });
    let obstacles = obstacles.collect::<Result<Vec<_>, String>>()?;
    Ok(Decisions {
        rejected,
        accepted: Some(Accepted {
            pools: answer
                .pools
                .iter()
                .map(|(pool, advertisements)| {
                    let nodes = |advertisement: &Nodes| {
                        let preferred =
                            |node: &String| advertisement.preferred.get(node).copied().unwrap_or(0);
                        advertisement.nodes.iter().map(|node| (node.clone(), preferred(node))).collect()
                    };
                    (pool.clone(), advertisements.iter().map(nodes).collect())
                })
                .collect(),
            candidates: answer.ranking.iter().cloned().collect(),
            winner,
            next: some(&answer.next),
            runner_up: some(&answer.runner_up),
            bgp: answer.bgp.iter().filter(|node| runs(node)).cloned().collect(),
            bgp_obstacles: (has_pool || world.node_names().any(is_announced)).then_some(obstacles),
            origin: Pools::None,
        }),
    })
}

/// MetalLB's word for an obstacle.
fn obstacle(reason: &str) -> Result<Option<Obstacle>, String> {
    Ok(match reason {
        // `noEndpoints`: no node announces, whatever it is.
        "" | "noEndpoints" => None,
        "rejected" => Some(Obstacle::Rejected),
        "notOwner" | "noMatchingAdvertisement" => Some(Obstacle::NotSelected),
        "conflictingAdvertisements" => Some(Obstacle::Contradiction),
        "nodeNetworkUnavailable" => Some(Obstacle::NetworkUnavailable),
        "nodeLabeledExcludeBalancers" => Some(Obstacle::Excluded),
        "noLocalEndpoints" => Some(Obstacle::NoLocalEndpoint),
        other => return Err(format!("`{other}` is no reason")),
    })
}

/// Whether MetalLB may take the pools in the order in which it did. They come one after the other, each after those before it are gone.
pub fn agree(expected: &Pools, taken: &[String]) -> bool {
    let Pools::Ranked { ranks, all } = expected else {
        return taken.is_empty();
    };
    let mut rest = taken;
    for rank in ranks {
        let Some((of_rank, after)) = rest.split_at_checked(rank.len()) else {
            return false;
        };
        if of_rank.iter().collect::<BTreeSet<_>>() != rank.iter().collect() {
            return false;
        }
        rest = after;
    }
    rest.is_empty() || !all
}
