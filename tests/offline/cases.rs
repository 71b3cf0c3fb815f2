//! Every case is judged by the rules alone, and by `check`.

mod check;
mod rules;

use lockstep::objects::Kind;
use lockstep_test_support::case::{self, Case, Outcome};
use lockstep_test_support::findings;
use lockstep_test_support::levels::{difference, settle};
use serde_json::{Value, json};

fn is_workload(object: &Value) -> bool {
    Kind::WORKLOADS.iter().any(|kind| object["kind"] == kind.name())
}

fn run(level: &str, cases: &[Case], judge: impl Fn(&Case) -> Outcome) {
    let expected = |case: &Case| case.expected.with_texts(findings::whole(&case.findings));
    let differences: Vec<String> =
        cases.iter().filter_map(|case| difference(case, &expected(case), &judge(case))).collect();
    settle(level, cases.len(), &differences);
}

/// `case.yaml` has the expected codes and is written by hand; `findings.yaml` has the expected texts and is written by
/// `LOCKSTEP_BLESS=1`.
#[test]
fn every_case_by_the_rules() {
    let cases = case::all();
    let (mut seen, mut differences) = (Vec::new(), Vec::new());
    for case in &cases {
        let old = case.on_0_13_5();
        let ((outcome, findings), (outcome_of_old, of_old)) = (rules::judge(case), rules::judge(&old));
        // The texts are compared below, file by file.
        let codes = |outcome: &Outcome| outcome.with_texts(Default::default());
        differences.extend(difference(case, &case.expected, &codes(&outcome)));
        differences.extend(difference(&old, &old.expected, &codes(&outcome_of_old)));
        let between = case.on_0_15_2();
        differences.extend(difference(&between, &between.expected, &codes(&rules::judge(&between).0)));
        seen.push(findings::Seen {
            folder: &case.folder,
            mode: case.mode,
            findings,
            on_metallb_0_13_5: of_old,
        });
    }
    settle("rules", cases.len(), &differences);
    findings::assert_files_hold(&seen);
}

#[test]
fn every_case_by_check_as_a_recorded_request() {
    run("check", &case::all(), check::judge_review);
}

#[test]
fn every_case_by_check_as_a_manifest() {
    // Of a workload, `check` judges the pods: it denies what the webhook warns of.
    let is_judged = |case: &Case| case.operation == "CREATE" && !is_workload(&case.object);
    let creations: Vec<Case> = case::all().into_iter().filter(is_judged).collect();
    run("check", &creations, check::judge_manifest);
}

/// The workload of a kind whose pods are this pod.
fn workload(kind: Kind, pod: &Value) -> Value {
    let mut template = pod.clone();
    let template = template.as_object_mut().unwrap();
    template.retain(|field, _| ["metadata", "spec"].contains(&field.as_str()));
    json!({
        "apiVersion": kind.resource().api_version(), "kind": kind.name(),
        "metadata": {"name": "workload", "namespace": pod["metadata"]["namespace"]},
        "spec": {"template": template},
    })
}

#[test]
fn a_workload_of_every_kind_warns_of_what_its_pods_are_denied_for_and_is_neither_denied_nor_edited() {
    let is_new_pod = |case: &Case| case.operation == "CREATE" && case.object["kind"] == "Pod";
    let cases: Vec<Case> = case::all().into_iter().filter(is_new_pod).collect();
    let (mut denied, mut admitted) = (0, 0);
    for case in &cases {
        for kind in Kind::WORKLOADS {
            let mut of_workload = Case { object: workload(kind, &case.object), ..case.clone() };
            // The pods of a workload have names that the API server generates.
            of_workload.topologies.retain(|topology| topology["spec"]["exceptions"].is_null());
            if of_workload.topologies.len() < case.topologies.len() {
                continue;
            }
            let (outcome, findings) = rules::judge(&of_workload);
            let about = format!("`{}` as {}: {findings:?}", case.name, kind.name());
            assert_eq!(outcome.verdict, "allow", "{about}");
            assert!(outcome.edits.is_empty() && outcome.denials.is_empty(), "{about}");
            assert!(outcome.warnings.is_superset(&case.expected.denials), "{about}");
            let says_denied = findings.iter().any(|it| it.message.starts_with("its pods would be denied: "));
            assert_eq!(says_denied, case.expected.verdict == "deny", "{about}");
            assert!(findings.iter().all(|it| it.field.starts_with("spec.template.")), "{about}");
            if says_denied { denied += 1 } else { admitted += 1 }
        }
    }
    assert!(denied > 40 && admitted > 40, "{denied} and {admitted}");
}
