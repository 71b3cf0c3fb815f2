//! `docs/tutorial.md`: every command in it, one after the other, in a cluster with MetalLB.

use std::os::unix::fs::symlink;
use std::sync::Arc;

use lockstep_test_support::documents::{self, Block};
use lockstep_test_support::root;

use crate::nodes::{self, run};
use crate::replica::Replica;

/// The command that waits for Lockstep's pods, which do not run here. Its replica is a process of the test.
const WAITS_FOR_PODS: &str = "kubectl -n lockstep-system rollout status deployment/lockstep";

/// A block of commands, and the lines that they print.
struct Step {
    commands: String,
    expected: Vec<String>,
}

/// The steps of the tutorial. A block of text below a block of commands is what they print; `...` stands for lines that are left out.
fn steps() -> Vec<Step> {
    let page = documents::document("docs/tutorial.md");
    let blocks = page.blocks(&["console", "text"]);
    assert_eq!(
        page.text.matches("\n```").count(),
        2 * blocks.len(),
        "a block of another language is not run"
    );
    let mut steps: Vec<Step> = Vec::new();
    for Block { language, text } in blocks {
        if language == "console" {
            steps.push(Step { commands: text, expected: Vec::new() });
        } else {
            let lines = text.lines().filter(|line| !line.is_empty() && *line != "...");
            steps.last_mut().unwrap().expected.extend(lines.map(ToOwned::to_owned));
        }
    }
    steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_tutorial_does_what_the_tutorial_says() {
    let nodes = [("n1", false), ("n2", false), ("n3", false)];
    let (cluster, admin, _controllers) = nodes::start(&nodes).await;
    let shell = nodes::shell(&cluster);
    for folder in ["charts", "examples"] {
        symlink(root().join(folder), shell.folder().join(folder)).unwrap();
    }
    let shell = Arc::new(shell);
    nodes::install_metallb(&shell).await;
    let _metallb = cluster.control_plane.start_scheduler_and_metallb().await.unwrap();

    let mut replica = None;
    for Step { commands, expected } in steps() {
        let mut printed = String::new();
        for command in commands.lines() {
            if command.starts_with(WAITS_FOR_PODS) {
                replica = Some(Replica::start(&cluster, &admin).await);
                continue;
            }
            let output = run(&shell, command).await;
            println!("$ {command}\n{}", output.as_ref().unwrap_or_else(|error| error));
            printed.push_str(&output.unwrap_or_else(|error| panic!("{command}:\n{error}")));
        }
        let mut lines = printed.lines();
        for line in expected {
            assert!(
                lines.any(|printed| printed.trim_end() == line),
                "not printed, or not in this order: {line}\n{printed}"
            );
        }
    }
    assert!(replica.is_some(), "the tutorial starts no replica");
}
