//! `docs/tutorial.md`: every command in it, one after the other, in a cluster with MetalLB.

use std::os::unix::fs::symlink;
use std::sync::Arc;

use lockstep_test_support::control_plane::{MetalLb, Options, helm, metallb_chart};
use lockstep_test_support::objects;
use lockstep_test_support::release::Cluster;
use lockstep_test_support::root;
use lockstep_test_support::shell::Shell;
use lockstep_test_support::{api, documents};

use crate::nodes::{CONTROLLERS, METALLB_VALUES, join, run, run_pods};
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
    let text = documents::text("docs/tutorial.md");
    let mut steps: Vec<Step> = Vec::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (language, content) = block.split_once('\n').unwrap();
        match language {
            "console" => steps.push(Step { commands: content.to_owned(), expected: Vec::new() }),
            "text" => {
                let lines = content.lines().filter(|line| !line.is_empty() && *line != "...");
                steps.last_mut().unwrap().expected.extend(lines.map(ToOwned::to_owned));
            }
            other => panic!("a block of `{other}`"),
        }
    }
    steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_tutorial_does_what_the_tutorial_says() {
    let options = Options::default()
        .api_server_arg("--enable-aggregator-routing=true")
        // Nothing would take the taints of new nodes away.
        .api_server_arg("--disable-admission-plugins=TaintNodesByCondition");
    let cluster = Cluster::start(options).await;
    let admin = cluster.client().await;
    for name in ["n1", "n2", "n3"] {
        join(&admin, name, false).await;
    }
    api::create(&admin, &objects::namespace("metallb-system")).await;
    let mut controllers = vec![cluster.control_plane.start_controllers(&CONTROLLERS).await.unwrap()];
    tokio::spawn(run_pods(admin.clone()));
    let shell = Shell::on(&cluster.control_plane)
        .with("helm", &helm().unwrap())
        .with_variable("METALLB", metallb_chart(MetalLb::V0_15_2).unwrap());
    for folder in ["charts", "examples"] {
        symlink(root().join(folder), shell.folder().join(folder)).unwrap();
    }
    let shell = Arc::new(shell);
    let metallb = format!("helm install metallb $METALLB -n metallb-system {METALLB_VALUES}
        kubectl wait --for=condition=Established crd/l2advertisements.metallb.io crd/ipaddresspools.metallb.io --timeout=60s");
    run(&shell, &metallb).await.unwrap();
    controllers.extend(cluster.control_plane.start_scheduler_and_metallb().await.unwrap());

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
