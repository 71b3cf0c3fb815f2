//! Sources and forms of the input.

use super::*;

#[test]
fn objects_of_facts_are_used_and_not_judged() {
    let (code, report) = as_json(&["--facts", "examples/seed", "-"], ADVERTISEMENT);
    assert_eq!(code, 1);
    assert_eq!(report["summary"]["judged"], 1);
    assert_eq!(report["objects"][0]["file"], "<stdin>");
    assert_eq!(report["objects"][0]["findings"][0]["nodes"][0], "demo-dev-master-01");
}

#[test]
fn output_of_helm_and_lists_of_kubectl_are_read() {
    let helm = format!("---\n# Source: a.yaml\n---\n# Source: b.yaml{ADVERTISEMENT}---\n");
    let list = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{}]}}",
        json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "L2Advertisement",
            "metadata": {"name": "ad", "namespace": "metallb-system"},
            "spec": {"ipAddressPools": ["default-pool"]},
        })
    );
    for text in [helm, list] {
        let (code, report) = as_json(&["-"], &text);
        assert_eq!(code, 1, "{report}");
        assert_eq!(reasons(&report["objects"][0]), ["WIDER"]);
    }
}

#[test]
fn objects_without_a_namespace_belong_to_that_of_the_flag() {
    let text = ADVERTISEMENT.replace(", namespace: metallb-system", "");
    assert_eq!(as_json(&["-"], &text).0, 0);
    let (code, report) = as_json(&["-n", "metallb-system", "-"], &text);
    assert_eq!(code, 1);
    assert_eq!(report["objects"][0]["namespace"], "metallb-system");
}

#[test]
fn a_topology_of_the_input_replaces_the_built_in_one() {
    let text = format!(
        "{ADVERTISEMENT}  nodeSelectors: [{{matchLabels: {{edge: \"true\"}}}}]
---
apiVersion: lockstep.dev/v1alpha1
kind: GatewayTopology
metadata: {{name: edge}}
spec: {{placement: {{nodeSelector: {{edge: \"true\"}}}}}}
"
    );
    let (code, report) = as_json(&["-"], &text);
    assert_eq!(code, 0, "{report}");
    let topology = &report["topologies"][0];
    assert_eq!((&topology["name"], &topology["builtIn"]), (&json!("edge"), &json!(false)));
    assert!(!run_with(&["check", "-"], &text).out.contains("built-in"));
}

#[test]
fn the_state_of_each_topology_is_reported_after_the_verdicts() {
    let path = "tests/cases/state/the-last-advertisement-is-gone.yaml";
    let text = run(&["check", path]);
    assert_eq!(text.code, 0, "{}", text.out);
    let line = text.out.lines().find(|line| line.starts_with("topology `")).unwrap();
    let expected = "topology `edge`: SourceIPPreserved False, Resilient False, Aligned False: ";
    assert!(line.starts_with(expected), "{line}");

    let (_, report) = as_json(&[path], "");
    let condition = &report["topologies"][0]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("SourceIPPreserved"), &json!("False")));
    assert_eq!(line.strip_prefix(expected).unwrap(), condition["message"]);
}

#[test]
fn a_topology_that_cannot_be_used_prevents_every_verdict() {
    let text = format!(
        "{ADVERTISEMENT}---\napiVersion: lockstep.dev/v1alpha1\nkind: GatewayTopology\nmetadata: {{name: t}}\nspec: {{placemnt: {{}}}}\n"
    );
    let (code, report) = as_json(&["-"], &text);
    assert_eq!((code, &report["objects"]), (2, &json!([])));
    assert_eq!(report["problems"][0]["line"], 11);
    assert!(run_with(&["check", "-"], &text).out.contains("nothing was judged"));
}

#[test]
fn files_that_cannot_be_read_are_reported_and_the_others_are_judged() {
    let (code, report) = as_json(&["no-such-file.yaml", "Cargo.toml", "-"], ADVERTISEMENT);
    assert_eq!(code, 2);
    assert_eq!(report["objects"][0]["verdict"], "deny");
    let files: Vec<_> =
        report["problems"].as_array().unwrap().iter().map(|problem| &problem["file"]).collect();
    assert_eq!(files, ["no-such-file.yaml", "Cargo.toml"]);
}

#[test]
fn an_object_that_the_api_server_would_reject_is_reported_once_at_its_place() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n    arp: yes\n";
    let run = run_with(&["check", "-"], text);
    assert_eq!(run.code, 2);
    assert_eq!(run.out.matches("error:").count(), 1, "{}", run.out);
    assert!(run.out.contains("<stdin>:6:10\n") && run.out.contains("put it in quotes"), "{}", run.out);
}

#[test]
fn a_recorded_request_is_judged_as_recorded() {
    let object = |labels: Value| {
        json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "L2Advertisement",
            "metadata": {"name": "ad", "namespace": "metallb-system", "labels": labels},
            "spec": {"ipAddressPools": ["default-pool"]},
        })
    };
    let group = json!({"group": "metallb.io", "version": "v1beta1", "kind": "L2Advertisement"});
    let resource = json!({"group": "metallb.io", "version": "v1beta1", "resource": "l2advertisements"});
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": group, "resource": resource, "operation": "UPDATE",
            "name": "ad", "namespace": "metallb-system",
            "object": object(json!({"a": "b"})), "oldObject": object(json!({})),
        },
    });
    // Only a label changes: the violation existed before, and must not block other changes.
    let (code, report) = as_json(&["-"], &review.to_string());
    assert_eq!((code, &report["objects"][0]["verdict"]), (0, &json!("allow")));
    assert_eq!(report["objects"][0]["findings"][0]["severity"], "warn");
    assert_eq!(report["objects"][0]["findings"][0]["field"], "spec.nodeSelectors");

    let created = review.to_string().replace("UPDATE", "CREATE");
    let (code, report) = as_json(&["-"], &created);
    assert_eq!((code, reasons(&report["objects"][0])), (1, vec!["WIDER"]));
    let (code, report) = as_json(&["-"], &review.to_string().replace("\"uid\":\"1\"", "\"uid\":\"\""));
    assert_eq!((code, report["problems"].as_array().unwrap().len()), (2, 1));
}

#[test]
fn documents_around_one_that_is_not_yaml_are_judged() {
    let text = format!("{ADVERTISEMENT}---\na: b: c\n---\n{ADVERTISEMENT}");
    let (code, report) = as_json(&["-"], &text);
    assert_eq!(code, 2);
    assert_eq!(report["problems"].as_array().unwrap().len(), 1);
    assert_eq!(report["problems"][0]["line"], 8);
    let verdicts: Vec<_> =
        report["objects"].as_array().unwrap().iter().map(|object| &object["verdict"]).collect();
    assert_eq!(verdicts, ["deny", "deny"]);
}

#[test]
fn invalid_yaml_after_a_wide_character_is_reported_at_its_line() {
    let run = run_with(&["check", "-"], &format!("kind: \"a\"（注）\n---{ADVERTISEMENT}"));
    assert_eq!(run.code, 2);
    assert!(run.out.contains("not valid YAML") && run.out.contains("--> <stdin>:1:10\n"), "{}", run.out);
    assert!(run.out.contains("announcement-placement/WIDER"), "{}", run.out);
}

#[test]
fn utf_16_with_a_byte_order_mark_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("powershell.yaml");
    let text = format!("\u{feff}{ADVERTISEMENT}");
    std::fs::write(&file, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let (code, report) = as_json(&[file.to_str().unwrap()], "");
    assert_eq!((code, reasons(&report["objects"][0])), (1, vec!["WIDER"]));
}

#[test]
fn the_pod_template_of_every_workload_is_judged() {
    let template = json!({
        "metadata": {"labels": {"app": "istio-ingressgateway", "istio": "ingressgateway"}},
        "spec": {
            "containers": [{"name": "istio-proxy", "image": "auto"}],
            "nodeSelector": {"loadbalancerIPs.metallb.io": "ndp"},
        },
    });
    for (api_version, kind) in [
        ("apps/v1", "Deployment"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
    ] {
        let spec = match kind {
            "CronJob" => json!({"jobTemplate": {"spec": {"template": template}}}),
            _ => json!({"template": template}),
        };
        let object = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {"name": "gateway", "namespace": "istio-system"}, "spec": spec,
        });
        let (code, report) = as_json(&["-"], &object.to_string());
        assert_eq!((code, reasons(&report["objects"][0])), (1, vec!["CONFLICT"]), "{kind}");
    }
}

#[cfg(unix)]
#[test]
fn a_fifo_in_a_folder_is_skipped_with_a_note_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), ADVERTISEMENT).unwrap();
    let made = Command::new("mkfifo").arg(folder.path().join("b.yaml")).status().unwrap();
    assert!(made.success());
    let (code, report) = as_json(&[folder.path().to_str().unwrap()], "");
    assert_eq!((code, reasons(&report["objects"][0])), (1, vec!["WIDER"]));
    assert_eq!(report["remarks"][0]["code"], "SPECIAL_FILE");
}
