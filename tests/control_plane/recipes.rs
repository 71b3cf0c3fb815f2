//! The recipes of `lockstep --help` in a shell, with kubectl and a real API server: they read everything that the answer takes.

use std::process::{Command, Output};

use lockstep_test_support::control_plane::MetalLb;
use lockstep_test_support::objects;
use lockstep_test_support::root;
use lockstep_test_support::shell::{Shell, said};
use lockstep_test_support::state::{put, stored_objects};

use super::states::start;

/// The scripts of the examples, by their titles.
fn recipes() -> Vec<(String, String)> {
    let help = Command::new(env!("CARGO_BIN_EXE_lockstep")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, examples) = help.split_once("\nExamples:\n").unwrap();
    let (examples, _) = examples.split_once("\nExit codes:\n").unwrap();
    let recipe = |part: &str| {
        let (title, script) = part.split_once('\n').unwrap();
        (title.trim().to_owned(), script.to_owned())
    };
    examples.split("\n\n").filter(|part| !part.trim().is_empty()).map(recipe).collect()
}

/// The outcomes, without where they were read from.
fn picture(output: &Output) -> Vec<String> {
    let is_source = |line: &&str| line.starts_with("not in the input") || line.starts_with("as MetalLB");
    said(output).lines().filter(|line| !is_source(line)).map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipes_of_the_help_give_the_verdicts_and_outcomes_of_the_cluster() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let state = root().join("tests/cases/state/the-gateway-survives-drains-and-rollouts.yaml");
    put(&client, &stored_objects(&state)).await;
    let shell = Shell::on(&control_plane);
    std::fs::create_dir(shell.folder().join("manifests")).unwrap();
    let wide = objects::wide_advertisement("everywhere").to_string();
    std::fs::write(shell.folder().join("manifests/wide.json"), wide).unwrap();

    let live = shell.run("lockstep explain");
    assert_eq!(live.status.code(), Some(0), "{}", said(&live));
    let (mut judged, mut checked, mut explained, mut installed) = (0, 0, 0, 0);
    for (title, script) in recipes() {
        if script.contains("--enforce") {
            let output = shell.run(&script);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(0), "{title}: {said}");
            assert!(said.contains("topology `edge`: SourceIPPreserved True"), "{title}: {said}");
            assert!(said.contains(" judged: 0 denied"), "{title}: {said}");
            judged += 1;
        } else if script.contains("lockstep check") && !script.contains("helm") {
            let output = shell.run(&script);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(1), "{title}: {said}");
            assert!(said.contains("announcement-placement/WIDER"), "{title}: {said}");
            // The topology is that of the cluster, and the state is known.
            assert!(said.contains("topology `edge`: SourceIPPreserved True"), "{title}: {said}");
            checked += 1;
        } else if script.contains("lockstep explain") && !script.contains("--fail-node") {
            let output = shell.run(&script);
            assert_eq!(picture(&output), picture(&live), "{title}");
            // MetalLB does not serve this kind in every release, and no outcome takes it.
            let is_complete = |line: &str| line.ends_with("input: servicel2statuses.metallb.io");
            let said = said(&output);
            let mut missing = said.lines().filter(|line| line.starts_with("not in the input"));
            assert!(missing.all(is_complete), "{title}: {said}");
            explained += 1;
        } else if script.contains("lockstep crd") {
            let output = shell.run(&script);
            assert!(output.status.success(), "{title}: {}", said(&output));
            installed += 1;
        }
    }
    assert_eq!((judged, checked, explained, installed), (1, 2, 2, 1));
    // A node of the help's example does not exist here.
    let output = shell.run("lockstep explain --fail-node n1");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
