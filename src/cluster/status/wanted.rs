//! The status that a topology should have, compared with the stored one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use lockstep_core::escape::cut;

use super::super::last_assessments::Assessed;
use super::verdicts::Verdict;
use crate::assessment::{self, TopologyAssessment};
use crate::topology::{ENFORCED, Enforcement, GUARDED, GatewayTopologySpec, GatewayTopologyStatus, STALLED};
use crate::verdict::Rule;

/// The conditions that an assessment decides, in the order in which a status has them.
const ASSESSED: [&str; 3] = ["Aligned", "SourceIPPreserved", "Resilient"];

/// The maximum length of a message, in bytes. `Guarded` has its own, larger one.
const MAX_MESSAGE: usize = 2048;

/// The reason of a condition that could not be judged, because its objects were not read.
const UNREAD: &str = "UNREAD";

/// The reason of the condition on enforcement, if a rule is not enforced.
const NOT_ENFORCED: &str = "NotEnforced";

/// The reason of conditions of an invalid topology.
const INVALID: &str = "Unusable";

/// Returns the status that the verdict asks for.
///
/// `lastTransitionTime` is `now` only if the condition's `status` changes, as the API conventions require, and that of the
/// stored condition otherwise.
pub(super) fn wanted_status(verdict: &Verdict<'_>, now: Timestamp) -> GatewayTopologyStatus {
    let Verdict { topology, guarded, assessed, .. } = verdict;
    let stored = &topology.status;
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        let before = stored.condition(kind).filter(|stored| stored.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(topology.generation),
            last_transition_time: before.map_or(Time(now), |stored| stored.last_transition_time.clone()),
        }
    };
    let mut conditions =
        vec![condition(GUARDED, guarded.status(), guarded.reason.as_str(), &guarded.message)];
    let judged = |found: &assessment::Condition| {
        condition(found.kind, found.word(), found.reason, cut(&found.message, MAX_MESSAGE))
    };
    let enforced = match topology.spec.as_ref().map(|spec| not_enforced(spec, now)) {
        Err(problem) => condition(ENFORCED, "False", INVALID, cut(&invalid(problem), MAX_MESSAGE)),
        Ok(Some(message)) => condition(ENFORCED, "False", NOT_ENFORCED, cut(&message, MAX_MESSAGE)),
        Ok(None) => condition(ENFORCED, "True", "OK", "every rule is enforced"),
    };
    let unknown = |reason, message: &str| ASSESSED.map(|kind| condition(kind, "Unknown", reason, message));
    match assessed {
        Assessed::NotYet => {
            conditions.extend(ASSESSED.iter().filter_map(|kind| stored.condition(kind)).cloned());
            conditions.extend(stored.condition(STALLED).cloned());
            conditions.push(enforced);
            return GatewayTopologyStatus {
                observed_generation: Some(topology.generation),
                conditions,
                ..stored.clone()
            };
        }
        Assessed::Unusable(problem) => {
            let message = invalid(problem);
            conditions.extend(unknown(INVALID, &message));
            conditions.push(condition(STALLED, "True", INVALID, &message));
        }
        Assessed::Unknown => {
            let message = "the cluster's nodes or topologies could not be read, so its state is not known";
            conditions.extend(unknown(UNREAD, message));
            conditions.push(condition(STALLED, "True", UNREAD, message));
        }
        Assessed::Known(assessment) => {
            let found = assessment.conditions();
            let of = |kind: &&'static str| found.iter().find(|condition| condition.kind == *kind);
            conditions.extend(ASSESSED.iter().filter_map(of).map(judged));
            conditions.push(match (assessment.pool_conflict(), unread(assessment)) {
                (Some(conflict), _) => {
                    let message = format!("{}; {}", conflict.message, conflict.mend);
                    condition(STALLED, "True", conflict.code.code(), cut(&message, MAX_MESSAGE))
                }
                (None, Some(message)) => condition(STALLED, "True", UNREAD, cut(message, MAX_MESSAGE)),
                (None, None) => {
                    condition(STALLED, "False", "OK", "everything that the state depends on was read")
                }
            });
        }
    }
    conditions.push(enforced);
    let assessment = match assessed {
        Assessed::Known(assessment) => Some(assessment),
        _ => None,
    };
    GatewayTopologyStatus {
        observed_generation: Some(topology.generation),
        conditions,
        summary: assessment.and_then(|assessment| assessment.summary()),
        services: assessment.map_or_else(Vec::new, |assessment| assessment.service_statuses()),
        findings: assessment.map_or_else(Vec::new, |assessment| assessment.finding_statuses()),
    }
}

fn invalid(problem: &str) -> String {
    format!("the topology is invalid and ignored: {}", cut(problem, MAX_MESSAGE))
}

/// The rules that do not deny, and the exceptions that have not ended, in a sentence; `None` if all rules deny.
fn not_enforced(spec: &GatewayTopologySpec, now: Timestamp) -> Option<String> {
    let ids = |wanted| {
        let rules = Rule::ALL.into_iter().filter(move |rule| spec.enforcement_of(*rule) == wanted);
        rules.map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ")
    };
    let parts =
        [(Enforcement::Warn, "these rules only warn"), (Enforcement::Audit, "these rules only record")];
    let parts = parts.map(|(effect, what)| (ids(effect), what)).into_iter();
    let rules = parts.filter(|(ids, _)| !ids.is_empty()).map(|(ids, what)| format!("{what}: {ids}"));
    let exceptions = spec.exceptions.iter().filter(|exception| !exception.has_ended(now));
    let parts: Vec<String> =
        rules.chain(exceptions.map(|exception| format!("an exception lifts {exception}"))).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What was not read of the objects that outcomes depend on, in a sentence.
fn unread(assessment: &TopologyAssessment) -> Option<&String> {
    assessment.unread.as_ref().or(assessment.unread_for_alignment.as_ref()).map(|cause| &cause.message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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

    fn wanted(
        topology: &StoredTopology,
        guarded: Guarded,
        assessed: Assessed,
        now: Timestamp,
    ) -> GatewayTopologyStatus {
        wanted_status(&Verdict { name: "one", topology, guarded, assessed }, now)
    }

    fn write(topology: &StoredTopology, guarded: Guarded, now: Timestamp) -> GatewayTopologyStatus {
        wanted(topology, guarded, Assessed::NotYet, now)
    }

    fn first() -> GatewayTopologyStatus {
        let none = topology(GatewayTopologyStatus::default());
        write(&none, guarded(GuardedReason::Covered, "all"), THEN)
    }

    fn assessment() -> Assessed {
        Assessed::Known(Arc::new(TopologyAssessment { name: "one".into(), ..TopologyAssessment::default() }))
    }

    fn words(status: &GatewayTopologyStatus) -> Vec<String> {
        let conditions = status.conditions.iter();
        conditions.map(|it| format!("{}={} {}", it.type_, it.status, it.reason)).collect()
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
    fn a_stored_status_is_wanted_as_it_is() {
        assert_eq!(write(&topology(first()), guarded(GuardedReason::Covered, "all"), later()), first());
        let assessed = || {
            let stored = topology(first());
            wanted(&stored, guarded(GuardedReason::Covered, "all"), assessment(), THEN)
        };
        let again =
            wanted(&topology(assessed()), guarded(GuardedReason::Covered, "all"), assessment(), later());
        assert_eq!(again, assessed());
    }

    #[test]
    fn only_a_transition_changes_the_time_of_a_condition() {
        let message = write(&topology(first()), guarded(GuardedReason::Covered, "other"), later());
        assert_eq!(message.conditions[0].message, "other");
        assert_eq!(message.conditions[0].last_transition_time, Time(THEN));
        let flipped = write(&topology(first()), guarded(GuardedReason::FailsOpen, "all"), later());
        assert_eq!(flipped.conditions[0].status, "False");
        assert_eq!(flipped.conditions[0].last_transition_time, Time(later()));
        let reason = write(&topology(flipped), guarded(GuardedReason::NoCaBundle, "all"), THEN);
        assert_eq!(reason.conditions[0].last_transition_time, Time(later()));

        let newer = StoredTopology { generation: 4, ..topology(first()) };
        let observed = write(&newer, guarded(GuardedReason::Covered, "all"), later());
        assert_eq!(observed.conditions[0].observed_generation, Some(4));
        assert_eq!(observed.conditions[0].last_transition_time, Time(THEN));
        let stale = GatewayTopologyStatus { observed_generation: Some(2), ..first() };
        let seen = write(&topology(stale), guarded(GuardedReason::Covered, "all"), later());
        assert_eq!(seen.observed_generation, Some(3));
    }

    #[test]
    fn what_was_assessed_before_stays_until_the_next_assessment() {
        let stored = topology(first());
        let assessed = wanted(&stored, guarded(GuardedReason::Covered, "all"), assessment(), THEN);
        let restarted = wanted(
            &topology(assessed.clone()),
            guarded(GuardedReason::Covered, "all"),
            Assessed::NotYet,
            later(),
        );
        assert_eq!(restarted, assessed);
    }

    #[test]
    fn a_state_that_is_not_known_and_an_invalid_topology_stall() {
        let stored = topology(first());
        let covered = || guarded(GuardedReason::Covered, "all");
        let unknown = words(&wanted(&stored, covered(), Assessed::Unknown, THEN));
        let expected = [
            "Guarded=True Covered",
            "Aligned=Unknown UNREAD",
            "SourceIPPreserved=Unknown UNREAD",
            "Resilient=Unknown UNREAD",
            "Stalled=True UNREAD",
            "Enforced=True OK",
        ];
        assert_eq!(unknown, expected);
        let problem = Assessed::Unusable("spec.addressPools: it is empty".to_owned());
        let invalid = words(&wanted(&stored, covered(), problem, THEN));
        assert_eq!(
            invalid[1..5],
            expected[1..5].iter().map(|it| it.replace("UNREAD", "Unusable")).collect::<Vec<_>>()
        );
        let known = words(&wanted(&stored, covered(), assessment(), THEN));
        assert_eq!(known[4], "Stalled=False OK");
    }

    #[test]
    fn rules_and_exceptions_that_are_not_enforced_are_named_until_they_end() {
        let enforced = |spec: serde_json::Value, now| {
            let spec = serde_json::from_value(spec).unwrap();
            let stored = StoredTopology { spec: Ok(spec), ..topology(first()) };
            let status = wanted(&stored, guarded(GuardedReason::Covered, "all"), assessment(), now);
            let condition = status.condition(ENFORCED).unwrap();
            (condition.status.clone(), condition.reason.clone(), condition.message.clone())
        };
        let of = |status: &str, reason: &str, message: &str| {
            (status.to_owned(), reason.to_owned(), message.to_owned())
        };
        let enforce = of("True", "OK", "every rule is enforced");
        assert_eq!(enforced(serde_json::json!({}), THEN), enforce);
        let warn =
            serde_json::json!({"enforcement": "Audit", "enforcementByRule": {"gateway-placement": "Warn"}});
        let expected = "these rules only warn: `gateway-placement`; these rules only record: `external-traffic-policy`, \
                        `announcement-placement`, `address-preservation`";
        assert_eq!(enforced(warn, THEN), of("False", NOT_ENFORCED, expected));
        let exception = serde_json::json!({"exceptions": [{"rule": "gateway-placement", "kind": "Pod", "namespace": "edge",
            "name": "a-*", "reason": "a move", "until": "1970-01-01T00:01:00Z"}]});
        let expected = "an exception lifts rule `gateway-placement` for Pod `edge/a-*` until 1970-01-01T00:01:00Z (a move)";
        assert_eq!(enforced(exception.clone(), THEN), of("False", NOT_ENFORCED, expected));
        assert_eq!(enforced(exception, later()), enforce);
    }

    #[test]
    fn a_topology_that_yields_a_pool_stalls() {
        let assessment = TopologyAssessment {
            findings: vec![assessment::Cause {
                code: assessment::CauseCode::PoolConflict,
                message: "an older topology keeps the pool".to_owned(),
                mend: "use another one".to_owned(),
                commands: Vec::new(),
            }],
            ..TopologyAssessment::default()
        };
        let known = Assessed::Known(Arc::new(assessment));
        let status = wanted(&topology(first()), guarded(GuardedReason::Covered, "all"), known, THEN);
        let stalled = status.condition(STALLED).unwrap();
        assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "POOL_CONFLICT"));
        assert_eq!(stalled.message, "an older topology keeps the pool; use another one");
        assert_eq!(status.condition("Aligned").unwrap().reason, "POOL_CONFLICT");
    }
}
