//! The last assessments, for the tasks that write down what they say.
//!
//! An assessment counts until the state has been unknown for a while: a restart of the API server changes nothing that is
//! written.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::assessor::{Assessments, AssessmentsReceiver};
use super::wake::next_value;
use crate::assessment::TopologyAssessment;

/// The time after which the last assessments no longer count, if the state has been unknown since. A restart of the API
/// server is shorter.
const UNKNOWN_AFTER: Duration = Duration::from_secs(60);

/// The newest assessments, and since when there have been none.
#[derive(Debug)]
pub(super) struct LastAssessments {
    newest: AssessmentsReceiver,
    /// Since when there has been no assessment; `None` if there is one.
    unknown_since: Option<Instant>,
}

/// The state of the cluster, as far as it was assessed.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// The first assessments are awaited, or the state has become unknown a moment ago; until this time, what was written
    /// remains.
    NotYet(Option<Instant>),
    /// The state has been unknown for so long that the last assessments no longer count.
    Unknown,
    Known(Arc<Assessments>),
}

/// What is known of the state of a topology.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Assessed {
    /// The topology of this generation was not assessed yet, so what was written about it remains.
    NotYet,
    /// The topology is invalid and was left out.
    Unusable(String),
    /// The state of the cluster is not known.
    Unknown,
    /// The assessment.
    Known(Arc<TopologyAssessment>),
}

impl LastAssessments {
    pub(super) fn new(newest: AssessmentsReceiver) -> Self {
        Self { newest, unknown_since: Some(Instant::now()) }
    }

    /// Waits for the next assessments.
    pub(super) async fn next(&mut self) {
        next_value(&mut self.newest).await;
    }

    /// The state at the time `now`.
    pub(super) fn state(&mut self, now: Instant) -> State {
        let newest = self.newest.borrow_and_update().clone();
        if let Some(assessments) = newest {
            self.unknown_since = None;
            return State::Known(assessments);
        }
        match self.unknown_since.get_or_insert(now).checked_add(UNKNOWN_AFTER) {
            Some(end) if end <= now => State::Unknown,
            end => State::NotYet(end),
        }
    }
}

impl State {
    /// When the last assessments will no longer count, if there are none until then.
    pub(super) fn becomes_unknown(&self) -> Option<Instant> {
        match self {
            Self::NotYet(end) => *end,
            Self::Unknown | Self::Known(_) => None,
        }
    }

    /// What the assessments say of a topology as it is stored; `problem` is why its spec cannot be used.
    pub(super) fn of(&self, name: &str, generation: i64, problem: Option<&String>) -> Assessed {
        if let Some(problem) = problem {
            return Assessed::Unusable(problem.clone());
        }
        match self {
            Self::NotYet(_) => Assessed::NotYet,
            Self::Unknown => Assessed::Unknown,
            Self::Known(assessments) => match assessments.topologies.get(name) {
                Some((assessed, assessment)) if *assessed == generation => {
                    Assessed::Known(Arc::clone(assessment))
                }
                _ => Assessed::NotYet,
            },
        }
    }
}

impl Assessed {
    /// Whether both are made of the same assessment, without a look into it.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known(one), Self::Known(other)) => Arc::ptr_eq(one, other),
            (Self::Known(_), _) | (_, Self::Known(_)) => false,
            (one, other) => one == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::sync::watch;

    use super::*;

    fn assessments(generation: i64) -> Arc<Assessments> {
        let one = TopologyAssessment { name: "one".into(), ..TopologyAssessment::default() };
        Arc::new(Assessments { topologies: BTreeMap::from([("one".into(), (generation, Arc::new(one)))]) })
    }

    #[test]
    fn the_last_assessments_count_until_the_state_was_unknown_for_a_minute() {
        let (publish, newest) = watch::channel(None);
        let mut last = LastAssessments::new(newest);
        let start = Instant::now();
        assert_eq!(last.state(start).of("one", 1, None), Assessed::NotYet);

        publish.send_replace(Some(assessments(1)));
        let later = start + UNKNOWN_AFTER * 2;
        assert!(matches!(last.state(later).of("one", 1, None), Assessed::Known(_)));

        publish.send_replace(None);
        let end = last.state(later).becomes_unknown().unwrap();
        assert_eq!(end, later + UNKNOWN_AFTER);
        let just_before = end.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(last.state(just_before).of("one", 1, None), Assessed::NotYet);
        assert_eq!(last.state(end).of("one", 1, None), Assessed::Unknown);
        assert_eq!(last.state(end).becomes_unknown(), None);
    }

    #[test]
    fn an_assessment_of_another_generation_says_nothing_of_a_topology() {
        let (_publish, newest) = watch::channel(Some(assessments(1)));
        let state = LastAssessments::new(newest).state(Instant::now());
        assert_eq!(state.of("one", 2, None), Assessed::NotYet);
        assert_eq!(state.of("two", 1, None), Assessed::NotYet);
        let problem = "spec.addressPools: it is empty".to_owned();
        assert_eq!(state.of("one", 1, Some(&problem)), Assessed::Unusable(problem));
    }
}
