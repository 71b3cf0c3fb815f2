//! Every case at every level: the rules by themselves, `check`, the running server, and a real API server.

mod support;

use support::case::{self, Case, Outcome};
use support::control_plane::MetalLb;
use support::levels::{api_server, check, difference, https, rules, settle};

fn run(level: &str, cases: &[Case], judge: impl Fn(&Case) -> Outcome) {
    let differences: Vec<String> =
        cases.iter().filter_map(|case| difference(case, &case.expected, &judge(case))).collect();
    settle(level, cases.len(), &differences);
}

#[test]
fn by_the_rules() {
    run("rules", &case::all(), rules::judge);
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

#[tokio::test]
async fn over_https() {
    let cases = case::all();
    let mut differences = Vec::new();
    for case in &cases {
        differences.extend(difference(case, &case.expected, &https::judge(case).await));
    }
    settle("https", cases.len(), &differences);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_api_server_with_metallb_0_16_2() {
    by_the_api_server(MetalLb::V0_16_2, |case| &case.expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_api_server_with_metallb_0_13_5() {
    by_the_api_server(MetalLb::V0_13_5, |case| &case.expected_on_0_13_5).await;
}

async fn by_the_api_server(metallb: MetalLb, expected: impl Fn(&Case) -> &Outcome) {
    let cases = case::all();
    let outcomes = api_server::judge_all(&cases, metallb).await;
    let pairs = cases.iter().zip(&outcomes);
    let differences: Vec<String> =
        pairs.filter_map(|(case, outcome)| difference(case, expected(case), outcome)).collect();
    settle("API server", cases.len(), &differences);
}
