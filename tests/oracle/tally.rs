//! The contents of the worlds of a run. A generator that stops making something compares nothing there, and no difference shows it.

use std::collections::BTreeMap;

use lockstep::objects::Endpoint;
use serde_json::Value;

use crate::decisions::{Decisions, Pools};
use crate::world::World;

/// The share of the worlds, in thousandths, that must have each thing at least.
const LEAST: &[(&str, usize)] = &[
    ("accepted", 400),
    ("rejected", 20),
    ("elected", 100),
    ("runner-up", 20),
    ("nobody elected", 100),
    ("announced by BGP", 20),
    ("a pool", 200),
    ("no pool", 50),
    ("several pools", 30),
    ("a reserved pool", 20),
    ("In", 100),
    ("NotIn", 50),
    ("Exists", 30),
    ("DoesNotExist", 50),
    ("an empty selector", 20),
    ("labels and expressions", 30),
    ("an excluded node", 50),
    ("an unavailable network", 30),
    ("a node without a speaker", 50),
    ("no memberlist", 20),
    ("an endpoint that only serves", 30),
    ("both families", 50),
    ("Local", 100),
    ("Cluster", 100),
    ("selectors of Services", 50),
    ("preferences", 50),
];

/// The number of worlds with each thing.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    worlds: usize,
    counts: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn add(&mut self, world: &World, decisions: &Decisions) {
        self.worlds += 1;
        let mut count = |what, is_there: bool| *self.counts.entry(what).or_default() += usize::from(is_there);
        let accepted = decisions.accepted.as_ref();
        count("rejected", decisions.rejected.contains(&true));
        // What is in a world that is rejected is compared with nothing.
        let Some(accepted) = accepted else { return };
        count("accepted", true);
        count("elected", accepted.winner.is_some());
        count("runner-up", accepted.runner_up.is_some());
        count("nobody elected", accepted.winner.is_none());
        count("announced by BGP", !accepted.bgp.is_empty());
        match &accepted.origin {
            Pools::None => count("no pool", true),
            Pools::Ranked { ranks, all } => {
                count("a pool", true);
                count("several pools", ranks.iter().any(|rank| rank.len() > 1));
                count("a reserved pool", !all);
            }
        }
        let text = |value: &Value| value.to_string();
        let configuration: String =
            world.layer2.iter().chain(&world.bgp).chain(&world.pools).map(text).collect();
        for operator in ["In", "NotIn", "Exists", "DoesNotExist"] {
            count(operator, configuration.contains(&format!("\"operator\":\"{operator}\"")));
        }
        count("an empty selector", configuration.contains("Selectors\":[{}"));
        count(
            "selectors of Services",
            world.layer2.iter().any(|object| has_items(object, "/spec/serviceSelectors")),
        );
        count(
            "preferences",
            world.layer2.iter().any(|object| has_items(object, "/spec/preferredNodeSelectors")),
        );
        count(
            "labels and expressions",
            world.layer2.iter().any(|object| {
                let selectors = object.pointer("/spec/nodeSelectors").and_then(Value::as_array);
                selectors.into_iter().flatten().any(|selector| {
                    has_items(selector, "/matchExpressions") && selector.pointer("/matchLabels").is_some()
                })
            }),
        );
        let nodes: String = world.nodes.iter().map(text).collect();
        count("an excluded node", nodes.contains("exclude-from-external-load-balancers"));
        count("an unavailable network", nodes.contains(r#""status":"True","type":"NetworkUnavailable""#));
        count(
            "a node without a speaker",
            world.node_names().any(|node| !world.speakers.iter().any(|name| name == node)),
        );
        count("no memberlist", world.lacks_memberlist);
        let endpoints =
            world.slices.iter().flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
        let mut endpoints =
            endpoints.filter_map(|endpoint| serde_json::from_value::<Endpoint>(endpoint.clone()).ok());
        count(
            "an endpoint that only serves",
            endpoints.any(|endpoint| !endpoint.conditions.is_ready() && endpoint.conditions.can_serve()),
        );
        count(
            "both families",
            world.service["spec"]["clusterIPs"].as_array().is_some_and(|ips| ips.len() == 2),
        );
        count("Local", world.service["spec"]["externalTrafficPolicy"] == "Local");
        count("Cluster", world.service["spec"]["externalTrafficPolicy"] == "Cluster");
    }

    pub fn absorb(&mut self, other: &Self) {
        self.worlds += other.worlds;
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    /// The contents that are rarer than they must be.
    pub fn lacking(&self) -> Vec<String> {
        let rare = LEAST.iter().filter_map(|(what, least)| {
            let count = self.counts.get(what).copied().unwrap_or(0);
            (count * 1000 < least * self.worlds).then(|| format!("{what}: {count} of {}", self.worlds))
        });
        rare.collect()
    }
}

fn has_items(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_array).is_some_and(|items| !items.is_empty())
}
