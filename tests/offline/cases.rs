//! Every case is judged by the rules alone, and by `check`.

mod check;
mod rules;

use lockstep_test_support::case::{self, Case, Outcome};
use lockstep_test_support::findings;
use lockstep_test_support::levels::{difference, settle};

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
    let creations: Vec<Case> = case::all().into_iter().filter(|case| case.operation == "CREATE").collect();
    run("check", &creations, check::judge_manifest);
}
