//! An exhaustive search of a finite state space, breadth first, so that each trace is a shortest one.
//!
//! It decides whether no reachable state is wrong, and whether from every reachable state an end can be reached. `stateright` has
//! no property of the second form: its `eventually` ignores paths that return to a state, and it brings an HTTP server.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash, RandomState};

/// A system of states and steps.
pub(super) trait System {
    type State: Clone + Debug + Hash;
    type Act: Debug;

    fn initial(&self) -> Vec<Self::State>;

    /// The steps from a state, always in the same order.
    fn steps(&mut self, state: &Self::State) -> Vec<(Self::Act, Self::State)>;

    /// The rule that a state breaks.
    fn violation(&self, state: &Self::State) -> Option<String>;

    /// Whether a state is an end that everything must be able to reach.
    fn is_end(&self, state: &Self::State) -> bool;
}

/// The result of a search.
#[derive(Debug, Default)]
pub(super) struct Explored {
    pub(super) states: usize,
    pub(super) steps: usize,
    pub(super) ends: usize,
    /// The length of the longest shortest path.
    pub(super) depth: usize,
    /// The broken rule, and the steps that lead there.
    pub(super) violation: Option<(String, Vec<String>)>,
}

/// Visits every reachable state, until one is wrong.
///
/// # Panics
/// If there are more than `limit` states: then nothing is known about the rest.
pub(super) fn explore<S: System>(system: &mut S, limit: usize) -> Explored {
    let (mut explored, mut graph) = (Explored::default(), Graph::default());
    let mut queue = VecDeque::new();
    for (index, state) in system.initial().into_iter().enumerate() {
        if let (id, true) = graph.visit(&state, None, index) {
            queue.push_back((id, 0, state));
        }
    }
    while let Some((id, depth, state)) = queue.pop_front() {
        explored.depth = depth;
        if let Some(violation) = system.violation(&state) {
            explored.violation = Some((violation, graph.trace(system, id)));
            break;
        }
        if system.is_end(&state) {
            graph.ends.push(id);
        }
        for (index, (_, next)) in system.steps(&state).into_iter().enumerate() {
            let (next_id, is_new) = graph.visit(&next, Some(id), index);
            graph.edges.push((next_id, id));
            if is_new {
                assert!(graph.parents.len() <= limit, "more than {limit} states: {state:?}");
                queue.push_back((next_id, depth + 1, next));
            }
        }
    }
    (explored.states, explored.steps, explored.ends) =
        (graph.parents.len(), graph.edges.len(), graph.ends.len());
    if explored.violation.is_none()
        && let Some(stuck) = graph.first_without_end()
    {
        explored.violation = Some(("no end can be reached".to_owned(), graph.trace(system, stuck)));
    }
    explored
}

/// The record of each visited state: a fingerprint of 128 bits, and the step that led there first.
#[derive(Default)]
struct Graph {
    hashers: [RandomState; 2],
    ids: HashMap<[u64; 2], u32>,
    parents: Vec<(Option<u32>, usize)>,
    /// Pairs of a state and one from which a step leads to it.
    edges: Vec<(u32, u32)>,
    ends: Vec<u32>,
}

impl Graph {
    /// The number of a state, and whether it is new.
    fn visit<T: Hash>(&mut self, state: &T, parent: Option<u32>, index: usize) -> (u32, bool) {
        let next = u32::try_from(self.parents.len()).unwrap();
        match self.ids.entry(self.hashers.each_ref().map(|hasher| hasher.hash_one(state))) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(place) => {
                place.insert(next);
                self.parents.push((parent, index));
                (next, true)
            }
        }
    }

    /// The steps that lead to a state, each with the state after it.
    fn trace<S: System>(&self, system: &mut S, id: u32) -> Vec<String> {
        let (mut path, mut at) = (Vec::new(), Some(id));
        while let Some((parent, index)) = at.map(|id| self.parents[id as usize]) {
            path.push(index);
            at = parent;
        }
        let mut state = system.initial().swap_remove(path.pop().unwrap());
        let mut trace = vec![format!("start: {state:?}")];
        while let Some(index) = path.pop() {
            let (act, next) = system.steps(&state).swap_remove(index);
            trace.push(format!("{act:?}: {next:?}"));
            state = next;
        }
        trace
    }

    /// The first state from which no end can be reached.
    fn first_without_end(&mut self) -> Option<u32> {
        self.edges.sort_unstable();
        let mut has_end = vec![false; self.parents.len()];
        let mut queue = std::mem::take(&mut self.ends);
        queue.iter().for_each(|id| has_end[*id as usize] = true);
        while let Some(id) = queue.pop() {
            let first = self.edges.partition_point(|(to, _)| *to < id);
            for (_, from) in self.edges[first..].iter().take_while(|(to, _)| *to == id) {
                if !std::mem::replace(&mut has_end[*from as usize], true) {
                    queue.push(*from);
                }
            }
        }
        has_end.iter().position(|has| !has).map(|id| u32::try_from(id).unwrap())
    }
}
