//! The condition `Guarded`, compared with the stored status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::verdicts::Verdict;
use crate::topology::{GUARDED, GatewayTopologyStatus};

/// Returns the status to write for `verdict`; `None` if the stored status is the same.
///
/// `lastTransitionTime` is `now` only if the condition's `status` changes, as the API conventions require.
pub(super) fn due_status(verdict: &Verdict<'_>, now: Timestamp) -> Option<GatewayTopologyStatus> {
    let Verdict { topology, guarded, .. } = verdict;
    let stored = topology.status.condition(GUARDED);
    let mut condition = Condition {
        type_: GUARDED.to_owned(),
        status: if guarded.is_guarded() { "True" } else { "False" }.to_owned(),
        reason: guarded.reason.as_str().to_owned(),
        message: guarded.message.clone(),
        observed_generation: Some(topology.generation),
        last_transition_time: Time(now),
    };
    if let Some(stored) = stored.filter(|stored| stored.status == condition.status) {
        condition.last_transition_time = stored.last_transition_time.clone();
    }
    let observed = Some(topology.generation);
    let is_stored = stored == Some(&condition) && topology.status.observed_generation == observed;
    (!is_stored).then(|| GatewayTopologyStatus { observed_generation: observed, conditions: vec![condition] })
}

#[cfg(test)]
mod tests {
    use super::super::verdicts::StoredTopology;
    use super::*;
    use crate::coverage::{Guarded, GuardedReason};
    use crate::topology::GatewayTopologySpec;

    const THEN: Timestamp = Timestamp::UNIX_EPOCH;

    fn later() -> Timestamp {
        Timestamp::from_second(60).unwrap()
    }

    fn guarded(reason: GuardedReason, message: &str) -> Guarded {
        Guarded { reason, message: message.to_owned() }
    }

    fn topology(status: GatewayTopologyStatus) -> StoredTopology {
        StoredTopology {
            uid: "1".to_owned(),
            resource_version: "7".to_owned(),
            generation: 3,
            spec: Ok(GatewayTopologySpec::default()),
            status,
        }
    }

    fn write(topology: &StoredTopology, guarded: Guarded, now: Timestamp) -> Option<GatewayTopologyStatus> {
        due_status(&Verdict { name: "one", topology, guarded }, now)
    }

    fn first() -> GatewayTopologyStatus {
        let none = topology(GatewayTopologyStatus::default());
        write(&none, guarded(GuardedReason::Covered, "all"), THEN).unwrap()
    }

    #[test]
    fn the_first_status_has_every_field() {
        let status = first();
        let condition = status.condition(GUARDED).unwrap();
        assert_eq!((status.observed_generation, condition.observed_generation), (Some(3), Some(3)));
        assert_eq!(condition.status, "True");
        assert_eq!((condition.reason.as_str(), condition.message.as_str()), ("Covered", "all"));
        assert_eq!(condition.last_transition_time, Time(THEN));
    }

    #[test]
    fn a_stored_status_is_not_written_again() {
        assert_eq!(write(&topology(first()), guarded(GuardedReason::Covered, "all"), later()), None);
    }

    #[test]
    fn every_difference_is_written_and_only_a_transition_changes_its_time() {
        let message = write(&topology(first()), guarded(GuardedReason::Covered, "other"), later()).unwrap();
        assert_eq!(message.conditions[0].last_transition_time, Time(THEN));
        let flipped = write(&topology(first()), guarded(GuardedReason::FailsOpen, "all"), later()).unwrap();
        assert_eq!(flipped.conditions[0].status, "False");
        assert_eq!(flipped.conditions[0].last_transition_time, Time(later()));
        let reason = write(&topology(flipped), guarded(GuardedReason::NoCaBundle, "all"), THEN).unwrap();
        assert_eq!(reason.conditions[0].last_transition_time, Time(later()));

        let newer = StoredTopology { generation: 4, ..topology(first()) };
        let observed = write(&newer, guarded(GuardedReason::Covered, "all"), later()).unwrap();
        assert_eq!(observed.conditions[0].observed_generation, Some(4));
        assert_eq!(observed.conditions[0].last_transition_time, Time(THEN));
        let stale = GatewayTopologyStatus { observed_generation: Some(2), ..first() };
        assert!(write(&topology(stale), guarded(GuardedReason::Covered, "all"), later()).is_some());
    }
}
