//! The steps of docs/faq.md, "How do I roll it out?", as a user runs them: with real Helm, kubectl and API server. No kubelet runs, so the
//! replica's decision log comes from its process and not from `kubectl logs`.

use std::fs::File;
use std::path::Path;

use lockstep_test_support::api;
use lockstep_test_support::control_plane::{MetalLb, Options, helm};
use lockstep_test_support::documents::{Block, Document, text};
use lockstep_test_support::objects;
use lockstep_test_support::release::Cluster;
use lockstep_test_support::root;
use lockstep_test_support::shell::{Shell, said};
use lockstep_test_support::state::{put, stored_objects};
use lockstep_test_support::wait;

use crate::replica::Replica;

/// The blocks of the section.
fn steps() -> Vec<Block> {
    let page = text("docs/faq.md");
    let (_, section) = page.split_once("\n## How do I roll it out?\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    Document { path: "docs/faq.md".into(), text: section.to_owned() }.blocks(&["console", "yaml"])
}

/// The only command of a page that begins like this.
fn command_of(page: &str, start: &str) -> String {
    let text = text(page);
    let mut lines = text.lines().filter(|line| line.starts_with(start));
    let command = lines.next().unwrap().to_owned();
    assert_eq!(lines.next(), None, "{page}");
    command
}

/// Runs a command. What `explain` and `generate` find is wrong at first, and `status` needs the first assessment.
async fn run(shell: &Shell, command: &str) {
    let mut last = String::new();
    let has_run = wait::until_so(async || {
        let output = shell.run(command);
        last = said(&output);
        let is_finding =
            ["lockstep explain", "lockstep generate"].iter().any(|name| command.starts_with(name));
        match output.status.code() {
            Some(0) => true,
            Some(1) if is_finding => true,
            _ => !command.starts_with("lockstep status"),
        }
    });
    assert!(has_run.await, "{command}: {last}");
}

/// Whether an advertisement from every node would be stored, and the output of kubectl.
fn wide_advertisement(shell: &Shell) -> (bool, String) {
    let output = shell.run("kubectl create --dry-run=server -f wide.json");
    (output.status.success(), said(&output))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_steps_of_a_rollout_record_then_warn_then_reject() {
    let cluster = Cluster::start(Options::default().api_server_arg("--enable-aggregator-routing=true")).await;
    let admin = cluster.client().await;
    cluster.control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    for name in ["istio-system", "metallb-system"] {
        api::create(&admin, &objects::namespace(name)).await;
    }
    let mut state = stored_objects(&root().join("tests/cases/state/the-policy-is-cluster.yaml"));
    state.retain(|object| object["kind"] != "GatewayTopology");
    // The name in docs/quick-start.md.
    let advertisement = state.iter_mut().find(|object| object["kind"] == "L2Advertisement").unwrap();
    advertisement["metadata"]["name"] = "default-l2advertisement".into();
    let gateway = stored_objects(&root().join("examples/seed/gateway.yaml"));
    state.extend(gateway.into_iter().filter(|object| object["kind"] == "Deployment"));
    put(&admin, &state).await;

    let shell = Shell::on(&cluster.control_plane).with("helm", &helm().unwrap());
    std::os::unix::fs::symlink(root().join("charts"), shell.folder().join("charts")).unwrap();
    let wide = objects::wide_advertisement("everywhere").to_string();
    std::fs::write(shell.folder().join("wide.json"), wide).unwrap();
    let log = shell.folder().join("audit.log");

    let mut replica = None;
    let mut stages = Vec::new();
    for block in steps() {
        if block.language == "yaml" {
            std::fs::write(shell.folder().join("rollout.yaml"), &block.text).unwrap();
            continue;
        }
        for command in block.text.lines().filter(|line| !line.contains("kubectl -n lockstep-system logs")) {
            // The log of the stage before has what the stage found.
            if command.starts_with("lockstep audit") {
                assert_recorded(&log).await;
            }
            run(&shell, command).await;
            if command.starts_with("helm install") {
                let log = File::create(&log).unwrap();
                replica = Some(Replica::start_into(&cluster, &admin, log.into()).await);
                let replica = replica.as_ref().unwrap();
                wait::until_enforced(&replica.serve.admin, 1).await;
            }
            if command.starts_with("helm") {
                let enforcement = ["Audit", "Warn", "Enforce"][stages.len()];
                let is_so = wait::until_so(async || {
                    let (is_stored, said) = wide_advertisement(&shell);
                    let warns = said.contains("Warning: ") && said.contains("WIDER");
                    match enforcement {
                        "Audit" => is_stored && !said.contains("Warning: "),
                        "Warn" => is_stored && warns,
                        _ => !is_stored && said.contains("WIDER"),
                    }
                });
                assert!(is_so.await, "{enforcement}: {:?}", wide_advertisement(&shell));
                stages.push(enforcement);
            }
        }
    }
    assert_eq!(stages, ["Audit", "Warn", "Enforce"]);

    let refused =
        shell.run(&command_of("docs/quick-start.md", "kubectl -n metallb-system patch l2advertisement"));
    assert!(!refused.status.success() && said(&refused).contains("WIDER"), "{}", said(&refused));
    run(&shell, &command_of("docs/faq.md", "kubectl delete validatingwebhookconfiguration/lockstep")).await;
    assert!(wait::until_so(async || wide_advertisement(&shell).0).await, "{}", wide_advertisement(&shell).1);
    drop(replica);
}

/// Waits until the decision log has the finding.
async fn assert_recorded(log: &Path) {
    let is_recorded = wait::until_so(async || std::fs::read_to_string(log).unwrap().contains("\"WIDER\""));
    assert!(is_recorded.await, "{}", std::fs::read_to_string(log).unwrap());
}
