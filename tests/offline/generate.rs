//! `lockstep generate` as a process, on manifests.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn generate(arguments: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.arg("generate").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_seed_gets_the_built_in_topology_and_what_it_lacks_with_commands() {
    let yaml = generate(&["-f", "examples/seed"], "");
    assert_eq!(yaml.status.code(), Some(1), "{}", text(&yaml.stderr));
    let out = text(&yaml.stdout);
    for line in [
        "# The gateway behind Service istio-system/istio-ingressgateway\n",
        "# * Service `istio-ingressgateway` does not keep the client's source IP: set `externalTrafficPolicy: Local`\n",
        "#     kubectl -n istio-system patch deployment istio-ingressgateway --type merge -p ",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let json = generate(&["-f", "examples/seed", "-o", "json"], "");
    let document: Value = serde_json::from_slice(&json.stdout).unwrap();
    let topology = &document["topologies"][0];
    // The comments of the YAML are the rest of it.
    assert_eq!(serde_saphyr::from_str::<Value>(out).unwrap(), topology["manifest"]);
    let selector = json!({"loadbalancerIPs.metallb.io": "arp"});
    assert_eq!(topology["manifest"]["spec"]["placement"]["nodeSelector"], selector);
    let shell = generate(&["-f", "examples/seed", "-o", "shell"], "");
    for gap in topology["missing"].as_array().unwrap() {
        for command in gap["commands"].as_array().unwrap() {
            assert!(text(&shell.stdout).lines().any(|line| line == command.as_str().unwrap()), "{command}");
        }
    }
}

#[test]
fn a_state_in_which_nothing_is_missing_exits_with_0() {
    let state = "tests/cases/state/the-gateway-survives-drains-and-rollouts.yaml";
    let document = |stdin: &str| {
        let output = generate(&["-f", "-", "-o", "json"], stdin);
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let right = std::fs::read_to_string(state).unwrap();
    let (code, found) = document(&right);
    let topology = &found["topologies"][0];
    assert_eq!(
        (code, &topology["exists"], &topology["missing"]),
        (Some(0), &json!(true), &json!([])),
        "{found}"
    );
    // Each of these is all that is missing then.
    for (from, to, message) in [
        (
            "externalTrafficPolicy: Local",
            "externalTrafficPolicy: Cluster",
            "Service `istio-ingressgateway` does not keep",
        ),
        (
            "labels: {loadbalancerIPs.metallb.io: arp}",
            "labels: {}",
            "no node is labelled `loadbalancerIPs.metallb.io=arp`",
        ),
        (
            ", nodeSelectors: [{matchLabels: {loadbalancerIPs.metallb.io: arp}}]",
            "",
            "L2Advertisement `arp`: a node without",
        ),
        (
            "nodeSelector: {loadbalancerIPs.metallb.io: arp}",
            "nodeSelector: {}",
            "Deployment `istio-ingressgateway` does not place",
        ),
    ] {
        let wrong = right.replace(from, to);
        assert_ne!(wrong, right, "{from}");
        let (code, found) = document(&wrong);
        let missing = found["topologies"][0]["missing"].as_array().unwrap();
        let [gap] = missing.as_slice() else { panic!("{from}: {missing:?}") };
        assert_eq!(code, Some(1), "{from}");
        assert!(gap["message"].as_str().unwrap().starts_with(message), "{from}: {gap}");
        assert_eq!(gap["commands"].as_array().unwrap().len(), 1, "{gap}");
    }
}

#[test]
fn what_cannot_be_read_or_is_not_there_is_said() {
    let nothing = generate(&["-f", "-"], "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    assert_eq!(nothing.status.code(), Some(1));
    let said = text(&nothing.stderr);
    assert!(said.contains("no gateway found") && said.contains("no node in the input"), "{said}");
    let broken = generate(&["-f", "-"], "a: [");
    assert_eq!(broken.status.code(), Some(2));
    assert!(text(&broken.stderr).contains("this is not valid YAML"), "{}", text(&broken.stderr));
    let unreachable = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["generate", "--kubeconfig", "/nonexistent"])
        .output()
        .unwrap();
    assert_eq!(unreachable.status.code(), Some(2));
    assert!(text(&unreachable.stderr).contains("/nonexistent"), "{}", text(&unreachable.stderr));
}
