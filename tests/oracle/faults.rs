//! Planted faults, each of which a run must find: in what the product decides, in how a world is read, and in the frequencies by which
//! worlds are made.

use lockstep::election::MetalLbVersion;
use lockstep::labels::{LabelSelector, Requirement};
use lockstep::snapshot::Inventory;

use crate::comparison::{Decide, MetalLb, difference, product};
use crate::decisions::{Decisions, inventory, ours};
use crate::metallb::oracle;
use crate::tally::Tally;
use crate::world::{Weights, World};

const NEWEST: MetalLbVersion = MetalLbVersion::V0_16_2;

/// The number of worlds within which a fault must be found.
const WORLDS: u64 = 100_000;

/// The number of worlds that are asked about at once.
const BATCH: u64 = 100;

/// The product, with a fault in what it makes of an inventory.
fn in_product(fault: fn(&mut Inventory)) -> Box<Decide> {
    Box::new(move |world, version| {
        let mut inventory = inventory(world);
        fault(&mut inventory);
        ours(&inventory, version)
    })
}

/// The product, which is given another world than MetalLB.
fn in_reading(fault: fn(&mut World)) -> Box<Decide> {
    Box::new(move |world, version| {
        let mut world = world.clone();
        fault(&mut world);
        product(&world, version)
    })
}

fn node_selectors(inventory: &mut Inventory) -> impl Iterator<Item = &mut LabelSelector> {
    inventory.advertisements.values_mut().flat_map(|spec| &mut spec.node_selectors)
}

fn nothing() -> Requirement {
    Requirement { key: "nothing".to_owned(), operator: "In".to_owned(), values: vec!["x".to_owned()] }
}

fn faults_of_the_product() -> Vec<(&'static str, Box<Decide>)> {
    let of_another_version: fn(&World, MetalLbVersion) -> Decisions =
        |world, _| product(world, MetalLbVersion::V0_15_2);
    vec![
        (
            "only the first advertisement of a pool counts",
            in_product(|inventory| {
                while inventory.advertisements.len() > 1 {
                    inventory.advertisements.pop_last();
                }
            }),
        ),
        (
            "an empty selector selects no node",
            in_product(|inventory| {
                for selector in node_selectors(inventory) {
                    if *selector == LabelSelector::default() {
                        selector.match_expressions.push(nothing());
                    }
                }
            }),
        ),
        (
            "NotIn selects no node without the key",
            in_product(|inventory| {
                for selector in node_selectors(inventory) {
                    let keys: Vec<String> = selector
                        .match_expressions
                        .iter()
                        .filter(|requirement| requirement.operator == "NotIn")
                        .map(|requirement| requirement.key.clone())
                        .collect();
                    for key in keys {
                        let exists = Requirement { key, operator: "Exists".to_owned(), values: Vec::new() };
                        if !selector.match_expressions.contains(&exists) {
                            selector.match_expressions.push(exists);
                        }
                    }
                }
            }),
        ),
        (
            "an endpoint that only serves does not count",
            in_product(|inventory| {
                let slices = inventory.endpoint_slices.values_mut();
                slices
                    .flat_map(|slice| &mut slice.endpoints)
                    .for_each(|endpoint| endpoint.conditions.serving = None);
            }),
        ),
        (
            "a pool that does not exist stands for all pools",
            in_product(|inventory| {
                let known: Vec<String> = inventory.pools.keys().map(|key| key.name.clone()).collect();
                for spec in inventory.advertisements.values_mut() {
                    if spec.pool_selectors.is_empty() && !spec.pools.iter().any(|pool| known.contains(pool)) {
                        spec.pools.clear();
                    }
                }
            }),
        ),
        (
            "an empty annotation does not count",
            in_product(|inventory| {
                for balancer in inventory.load_balancers.values_mut() {
                    balancer.annotations.retain(|_, value| !value.is_empty());
                }
            }),
        ),
        ("the newest release decides as the one before", Box::new(of_another_version)),
    ]
}

fn faults_of_reading() -> Vec<(&'static str, Box<Decide>)> {
    vec![
        (
            "the conditions of nodes are not read",
            in_reading(|world| {
                world.nodes.iter_mut().for_each(|node| node["status"]["conditions"] = serde_json::json!([]));
            }),
        ),
        (
            "every node has a speaker",
            in_reading(|world| {
                world.speakers = world.node_names().map(str::to_owned).collect();
            }),
        ),
        (
            "the labels of namespaces are not read",
            in_reading(|world| {
                world
                    .namespaces
                    .iter_mut()
                    .for_each(|namespace| namespace["metadata"]["labels"] = serde_json::json!({}));
            }),
        ),
        ("only the first EndpointSlice is read", in_reading(|world| world.slices.truncate(1))),
        (
            "only the first address of the Service is read",
            in_reading(|world| {
                if let Some(ingress) = world.service["status"]["loadBalancer"]["ingress"].as_array_mut() {
                    ingress.truncate(1);
                }
            }),
        ),
    ]
}

/// The number of worlds until the first one in which something differs.
fn found_within(metallb: &mut MetalLb, decide: &Decide) -> Option<u64> {
    let weights = Weights::default();
    (0..WORLDS).step_by(BATCH as usize).find_map(|from| {
        let answered = metallb.answered(from..from + BATCH, &weights).into_iter();
        answered
            .filter(|(_, world, speaker, controller)| {
                difference(world, NEWEST, decide, speaker, controller).is_some()
            })
            .map(|(number, ..)| number + 1)
            .next()
    })
}

#[test]
fn every_planted_fault_is_found_within_a_hundred_thousand_worlds() {
    let mut metallb = oracle(NEWEST);
    let (mut faults, mut slowest) = (0, 0);
    for (fault, decide) in faults_of_the_product().into_iter().chain(faults_of_reading()) {
        let found = found_within(&mut metallb, &*decide).unwrap_or_else(|| panic!("{fault}: not found"));
        println!("{fault}: found after {found} worlds");
        faults += 1;
        slowest = slowest.max(found);
    }
    println!("evidence: {faults} planted faults, each found within {slowest} worlds");
}

/// A frequency that is wrong.
type WrongWeight = (&'static str, fn(&mut Weights));

#[test]
fn a_generator_that_stops_making_something_is_found() {
    let faults: [WrongWeight; 6] = [
        ("NotIn", |weights| weights.selectors.operator_not_in = 0),
        ("an endpoint that only serves", |weights| weights.serving = 0),
        ("both families", |weights| weights.dual_stack = 0),
        ("an excluded node", |weights| weights.excluded_node = 0),
        ("preferences", |weights| weights.preferences = 0),
        ("accepted", |weights| weights.selectors.invalid = 100),
    ];
    for (lacking, fault) in faults {
        let (mut weights, mut tally) = (Weights::default(), Tally::default());
        fault(&mut weights);
        for seed in 0..2_000 {
            let world = World::new(seed, &weights);
            tally.add(&world, &product(&world, NEWEST));
        }
        let found = tally.lacking();
        assert!(found.iter().any(|text| text.starts_with(&format!("{lacking}:"))), "{lacking}: {found:?}");
    }
}
