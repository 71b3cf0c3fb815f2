//! The comparison of what is decided in a world, and the smallest world in which it differs.

use std::fmt::Write;
use std::ops::Range;

use lockstep::election::MetalLbVersion;
use serde_json::{Map, Value};

use crate::decisions::{
    self, ControllerAnswer, Decisions, SpeakerAnswer, agree, have_panicked, inventory, theirs,
};
use crate::process::Oracle;
use crate::world::{Weights, World};

/// MetalLB as an oracle: its speakers and its controller.
#[derive(Debug)]
pub struct MetalLb {
    pub speaker: Oracle,
    pub controller: Oracle,
}

/// Decides a world: the product, or one with a fault.
pub type Decide = dyn Fn(&World, MetalLbVersion) -> Decisions + Sync;

/// The decisions of the product.
pub fn product(world: &World, version: MetalLbVersion) -> Decisions {
    decisions::ours(&inventory(world), version)
}

/// A difference, by the name of the decision, with both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub what: &'static str,
    pub text: String,
}

impl MetalLb {
    /// MetalLB's answers on worlds.
    fn answers(&mut self, worlds: &[World]) -> Vec<(SpeakerAnswer, ControllerAnswer)> {
        let questions: Vec<String> =
            worlds.iter().map(|world| serde_json::to_string(world).expect("JSON")).collect();
        let Self { speaker, controller } = self;
        let (speaker, controller) = std::thread::scope(|scope| {
            let speaker = scope.spawn(|| speaker.ask(&questions));
            let controller = controller.ask(&questions);
            (speaker.join().expect("the speaker answers"), controller)
        });
        speaker.into_iter().zip(controller).collect()
    }

    /// The worlds of these seeds with MetalLB's answers, but for those in which it panics.
    pub fn answered(
        &mut self,
        seeds: Range<u64>,
        weights: &Weights,
    ) -> Vec<(u64, World, SpeakerAnswer, ControllerAnswer)> {
        let worlds: Vec<World> = seeds.clone().map(|seed| World::new(seed, weights)).collect();
        let answers = self.answers(&worlds);
        let answered = seeds.zip(worlds).zip(answers);
        answered
            .filter(|(_, (speaker, controller))| !have_panicked(speaker, controller))
            .map(|((seed, world), (speaker, controller))| (seed, world, speaker, controller))
            .collect()
    }

    /// The first difference in a world.
    pub fn difference(
        &mut self,
        world: &World,
        version: MetalLbVersion,
        decide: &Decide,
    ) -> Option<Difference> {
        let (speaker, controller) = self.answers(std::slice::from_ref(world)).remove(0);
        difference(world, version, decide, &speaker, &controller)
    }

    /// The smallest world found in which the same decision differs.
    pub fn shrunk(&mut self, world: &World, version: MetalLbVersion, decide: &Decide, what: &str) -> World {
        let mut smallest = world.clone();
        loop {
            let smaller = smaller(&smallest);
            let found = smaller.into_iter().find(|world| {
                self.difference(world, version, decide).is_some_and(|difference| difference.what == what)
            });
            match found {
                Some(found) => smallest = found,
                None => return smallest,
            }
        }
    }
}

/// The first difference between MetalLB's answers and what is decided.
pub fn difference(
    world: &World,
    version: MetalLbVersion,
    decide: &Decide,
    speaker: &SpeakerAnswer,
    controller: &ControllerAnswer,
) -> Option<Difference> {
    let ours = decide(world, version);
    let theirs = match theirs(world, speaker) {
        Ok(theirs) => theirs,
        Err(text) => return Some(Difference { what: "oracle", text }),
    };
    let differs = |what, ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
        let text = format!("ours {ours:?}, MetalLB's {theirs:?} ({speaker:?}, {controller:?})");
        Some(Difference { what, text })
    };
    if ours.rejected != theirs.rejected {
        return differs("rejected", &ours.rejected, &theirs.rejected);
    }
    let (Some(ours), Some(theirs)) = (ours.accepted, theirs.accepted) else {
        return None;
    };
    macro_rules! compare {
        ($($field:ident),*) => {
            $(if ours.$field != theirs.$field {
                return differs(stringify!($field), &ours.$field, &theirs.$field);
            })*
        };
    }
    compare!(pools, winner, candidates, runner_up, next, bgp, bgp_obstacles);
    if !controller.rejected.is_empty() {
        return differs("rejected pools", &false, &true);
    }
    (!agree(&ours.origin, &controller.pools))
        .then(|| differs("origin", &ours.origin, &controller.pools))
        .flatten()
}

/// Fields without which an object would be another one, or none.
const REQUIRED: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "type",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ports",
    "key",
    "operator",
    "addresses",
    "protocol",
    "weight",
    "preference",
    "kubernetes.io/service-name",
    "status",
    "externalTrafficPolicy",
    "ipFamilyPolicy",
    "addressType",
    "endpoints",
    "selector",
    "spec",
    "ip",
    "labels",
];

/// Fields that belong together.
const WHOLE: &[&str] = &["clusterIPs", "ipFamilies"];

/// Lists that are never empty.
const FILLED: &[&str] = &["ports", "addresses"];

/// Worlds that lack one thing of this one.
fn smaller(world: &World) -> Vec<World> {
    let whole = serde_json::to_value(world).expect("JSON");
    let mut found = Vec::new();
    without_one(&whole, &mut |smaller| found.push(smaller), true);
    found.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect()
}

/// Calls `found` with each value that lacks one element or one field of `value`, the largest first.
fn without_one(value: &Value, found: &mut dyn FnMut(Value), is_root: bool) {
    match value {
        Value::Array(items) => {
            for position in 0..items.len() {
                let mut fewer = items.clone();
                fewer.remove(position);
                found(Value::Array(fewer));
            }
            for (position, item) in items.iter().enumerate() {
                without_one(
                    item,
                    &mut |smaller| {
                        let mut changed = items.clone();
                        changed[position] = smaller;
                        found(Value::Array(changed));
                    },
                    false,
                );
            }
        }
        Value::Object(fields) => {
            for name in fields.keys().filter(|name| !is_root && !REQUIRED.contains(&name.as_str())) {
                let mut fewer = fields.clone();
                fewer.remove(name);
                found(Value::Object(fewer));
            }
            for (name, field) in fields.iter().filter(|(name, _)| !WHOLE.contains(&name.as_str())) {
                let put = &mut |smaller: Value| {
                    if FILLED.contains(&name.as_str()) && smaller.as_array().is_some_and(Vec::is_empty) {
                        return;
                    }
                    let mut changed: Map<String, Value> = fields.clone();
                    changed.insert(name.clone(), smaller);
                    found(Value::Object(changed));
                };
                without_one(field, put, false);
            }
        }
        Value::Bool(true) => found(Value::Bool(false)),
        _ => {}
    }
}

/// A world as a case: its objects as YAML, after what differs.
pub fn as_case(world: &World, version: MetalLbVersion, difference: &Difference) -> String {
    let mut text = format!("# MetalLB {version}, {}: {}\n", difference.what, difference.text);
    text.push_str(
        "---\napiVersion: lockstep.dev/v1alpha1\nkind: GatewayTopology\nmetadata: {name: edge}\nspec: {}\n",
    );
    for object in world.objects() {
        write!(text, "---\n{}", serde_saphyr::to_string(&object).expect("YAML")).expect("text");
    }
    text
}
