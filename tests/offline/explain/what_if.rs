//! `lockstep explain` with changes that nobody has made: the outcome before and after, and the exit code.

use std::fs;

use serde_json::Value;

use lockstep_test_support::root;

use super::{addresses, document, explain, states, text};

const PRESERVED: &str = "tests/cases/state/a-nodeport-that-is-not-local.yaml";

fn first_line(arguments: &[&str]) -> (String, Option<i32>) {
    let mut all = vec!["-f", PRESERVED];
    all.extend(arguments);
    let output = explain(&all);
    (text(&output.stdout).lines().next().unwrap_or_default().to_owned(), output.status.code())
}

#[test]
fn each_change_says_the_outcome_before_and_after_and_decides_the_exit_code() {
    for (arguments, line, code) in [
        (
            &["--label-node", "n2:loadbalancerIPs.metallb.io-"][..],
            "10.6.229.180 PRESERVED -> FRAGILE: only `n1` can announce the address, so that nobody takes over when the node \
             goes: `n2` runs a ready gateway pod, but no advertisement of pool `default-pool` selects it",
            0,
        ),
        (
            &["--without", "l2advertisement/arp"],
            "10.6.229.180 PRESERVED -> SILENT: no L2Advertisement and no BGPAdvertisement announces pool `default-pool`",
            1,
        ),
        (
            &["--fail-node", "n1", "--fail-node", "n2"],
            "10.6.229.180 PRESERVED -> SILENT: the Service has no ready endpoint, and MetalLB announces no Service without one",
            1,
        ),
        (
            &["--without", "svc/istio-ingressgateway"],
            "10.6.229.180 PRESERVED -> GONE: no Service of the topology has it any more",
            1,
        ),
        (
            &["10.6.229.180", "--without", "svc/istio-ingressgateway"],
            "10.6.229.180 PRESERVED -> GONE: no Service of the topology has it any more",
            1,
        ),
        (
            &["--label-node", "n3:loadbalancerIPs.metallb.io=arp"],
            "10.6.229.180 PRESERVED -> PRESERVED: `n2` announces it, then `n1`",
            0,
        ),
    ] {
        assert_eq!(first_line(arguments), (line.to_owned(), Some(code)), "{arguments:?}");
    }
}

#[test]
fn applied_files_are_added_to_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("change.yaml");
    let file = file.to_str().unwrap();
    let advertisement = |spec: &str| {
        format!(
            "{{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {{name: arp, namespace: metallb-system}}, spec: {spec}}}"
        )
    };
    let other = advertisement("{ipAddressPools: [default-pool], nodeSelectors: [{matchLabels: {zone: a}}]}");
    let refused = advertisement("{ipAddressPools: [default-pool, default-pool]}");
    let silent = "10.6.229.180 PRESERVED -> SILENT: ";
    for (content, start, code) in [
        (other.as_str(), format!("{silent}`n1` runs a ready gateway pod, but no advertisement"), 1),
        (
            &refused,
            format!(
                "{silent}a speaker that starts announces nothing, and one that runs keeps its last valid configuration"
            ),
            1,
        ),
        // The file has no status, and the Service keeps its address.
        (
            "{apiVersion: v1, kind: Service, metadata: {name: istio-ingressgateway, namespace: istio-system}, spec: \
             {type: LoadBalancer, selector: {istio: ingressgateway, app: istio-ingressgateway}}}",
            "10.6.229.180 PRESERVED -> LOST: externalTrafficPolicy is `Cluster`".to_owned(),
            1,
        ),
    ] {
        fs::write(file, content).unwrap();
        let (line, exit) = first_line(&["--with", file]);
        assert!(line.starts_with(&start), "{line}");
        assert_eq!(exit, Some(code));
    }
    for (content, error) in [
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}",
            "has no object that an outcome depends on",
        ),
        ("{apiVersion: v1, kind: Node, metadata: {labels: 1}}", "labels"),
        ("a: [", "not valid YAML"),
    ] {
        fs::write(file, content).unwrap();
        let output = explain(&["-f", PRESERVED, "--with", file]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{content}");
        assert!(text(&output.stderr).contains(error), "{}", text(&output.stderr));
    }
}

#[test]
fn what_is_not_there_is_an_error_with_a_near_miss() {
    let output = explain(&["-f", PRESERVED, "--fail-node", "n9", "--without", "service/istio-ingres"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "lockstep: what if Service `istio-ingres` deleted: there is no Service `istio-ingres`; there is `istio-ingressgateway`\n\
         lockstep: what if node `n9` down: there is no node `n9`; there is `n1`, `n2` and `n3`\n"
    );
}

#[test]
fn the_json_document_is_of_the_state_after_and_has_the_one_before() {
    for state in states() {
        let path = state.to_str().unwrap();
        let before = document(&["-f", path]);
        let after = document(&["-f", path, "--label-node", "n1:zone=a"]);
        assert_eq!(before["whatIf"], Value::Null);
        assert_eq!(after["whatIf"][0], "node `n1` with the label `zone=a`");
        for field in ["topologies", "unread", "metallb"] {
            assert_eq!(after["before"][field], before[field], "{path}");
        }
    }
}

#[test]
fn when_the_announcer_s_node_fails_the_node_that_explain_named_next_announces() {
    let mut failed = 0;
    for state in states() {
        let path = state.to_str().unwrap();
        for version in ["0.13.5", "0.15.2", "0.16.2"] {
            let before = document(&["-f", path, "--metallb", version]);
            for (service, address) in addresses(&before) {
                let Some(announcer) = address["announcer"].as_str() else { continue };
                // Why nobody else announces is not known while speakers keep an older configuration.
                if address["reason"] == "CONFIGURATION_REJECTED" {
                    continue;
                }
                let after = document(&["-f", path, "--metallb", version, "--fail-node", announcer]);
                let found = addresses(&after)
                    .into_iter()
                    .find(|(held, found)| *held == service && found["address"] == address["address"]);
                assert_eq!(found.unwrap().1["announcer"], address["next"], "{path} {version}");
                failed += 1;
            }
        }
    }
    assert!(failed > 40, "only {failed} nodes failed");
}

#[test]
fn speakers_of_another_release_decide_after_the_change() {
    let old = "tests/cases/state/the-speakers-have-no-memberlist.yaml";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("speakers.yaml");
    let speakers = fs::read_to_string(root().join(old)).unwrap();
    let speakers: Vec<&str> = speakers.split("---\n").filter(|object| object.contains("image:")).collect();
    fs::write(&file, speakers.join("---\n").replace(":v0.13.", ":v0.15.")).unwrap();
    let output = explain(&["-f", old, "--with", file.to_str().unwrap()]);
    let text = text(&output.stdout);
    assert!(!text.contains("memberlist") && text.contains("NODE_EXCLUDED"), "{text}");
    assert!(text.contains("as MetalLB 0.15.2 decides: detected from the speaker's image"), "{text}");
}
