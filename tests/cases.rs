//! Every case at every level: the rules by themselves, `check`, the running server, and a real API server.

mod support;

use futures::StreamExt;
use support::case::{self, Case, Outcome};
use support::control_plane::MetalLb;
use support::findings;
use support::levels::{api_server, check, difference, https, rules, settle};

/// How many servers run at once.
const AT_ONCE: usize = 4;

fn run(level: &str, cases: &[Case], judge: impl Fn(&Case) -> Outcome) {
    let expected = |case: &Case| case.expected.with_texts(findings::whole(&case.findings));
    let differences: Vec<String> =
        cases.iter().filter_map(|case| difference(case, &expected(case), &judge(case))).collect();
    settle(level, cases.len(), &differences);
}

/// Compares codes with `case.yaml`, which people write, and texts with `findings.yaml`, which `LOCKSTEP_BLESS=1` writes.
#[test]
fn by_the_rules() {
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
fn by_check_as_recorded_requests() {
    run("check", &case::all(), check::judge_review);
}

#[test]
fn by_check_as_manifests() {
    let creations: Vec<Case> = case::all().into_iter().filter(|case| case.operation == "CREATE").collect();
    run("check", &creations, check::judge_manifest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_https() {
    let cases = case::all();
    let judged = futures::stream::iter(&cases).map(https::judge).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let expected = |case: &Case| case.expected.with_texts(https::texts(&case.findings));
    let pairs = cases.iter().zip(&judged);
    let differences: Vec<String> =
        pairs.filter_map(|(case, outcome)| difference(case, &expected(case), outcome)).collect();
    settle("https", cases.len(), &differences);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_api_server_with_metallb_0_16_2() {
    by_the_api_server(MetalLb::V0_16_2, Case::clone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_api_server_with_metallb_0_13_5() {
    // The objects stay as they are: here the CRDs prune them.
    let expected_on_0_13_5 = |case: &Case| Case {
        expected: case.expected_on_0_13_5.clone(),
        findings: case.findings_on_0_13_5.clone(),
        ..case.clone()
    };
    by_the_api_server(MetalLb::V0_13_5, expected_on_0_13_5).await;
}

async fn by_the_api_server(metallb: MetalLb, expecting: impl Fn(&Case) -> Case) {
    let cases: Vec<Case> = case::all().iter().map(expecting).collect();
    let outcomes = api_server::judge_all(&cases, metallb).await;
    let pairs = cases.iter().zip(&outcomes);
    let differences: Vec<String> =
        pairs.filter_map(|(case, (expected, outcome))| difference(case, expected, outcome)).collect();
    settle("API server", cases.len(), &differences);
}
