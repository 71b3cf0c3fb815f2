//! `lockstep check` as people and programs use it: the built binary, its output and its exit code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test that finds something else than it expects shall fail"
)]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// What a run left behind.
struct Run {
    code: i32,
    out: String,
    err: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("NO_COLOR");
    command
}

fn run_with(arguments: &[&str], stdin: &str) -> Run {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(arguments: &[&str]) -> Run {
    run_with(arguments, "")
}

fn as_json(arguments: &[&str], stdin: &str) -> (i32, Value) {
    let mut all = vec!["check", "--format", "json"];
    all.extend(arguments);
    let run = run_with(&all, stdin);
    let report = serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.err));
    (run.code, report)
}

/// The object of a report, by kind and name.
#[track_caller]
fn object<'r>(report: &'r Value, kind: &str, name: &str) -> &'r Value {
    let objects = report["objects"].as_array().unwrap();
    objects.iter().find(|object| object["kind"] == kind && object["name"] == name).unwrap()
}

fn reasons(object: &Value) -> Vec<&str> {
    object["findings"].as_array().unwrap().iter().map(|finding| finding["reason"].as_str().unwrap()).collect()
}

/// The line of the file that a finding, an edit or an object points at.
fn line_at(file: &str, place: &Value) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let line = usize::try_from(place["line"].as_u64().unwrap()).unwrap();
    let column = usize::try_from(place["column"].as_u64().unwrap()).unwrap();
    text.lines().nth(line - 1).unwrap().chars().skip(column - 1).collect()
}

const ADVERTISEMENT: &str = "
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: ad, namespace: metallb-system}
spec:
  ipAddressPools: [default-pool]
";

mod examples {
    use super::*;

    #[test]
    fn the_seed_is_admitted_and_completed() {
        let (code, report) = as_json(&["examples/seed"], "");
        assert_eq!(code, 0);
        assert_eq!(report["topologies"], json!([{"name": "istio-ingressgateway", "builtIn": true}]));
        assert_eq!(report["problems"], json!([]));
        assert_eq!(report["summary"]["judged"], 3);
        assert_eq!(report["summary"]["edited"], 2);

        let advertisement = object(&report, "L2Advertisement", "default-l2advertisement");
        assert_eq!(advertisement["verdict"], "allow");
        assert!(reasons(advertisement).is_empty());
        assert!(line_at("examples/seed/advertisement.yaml", advertisement).starts_with("apiVersion:"));

        let deployment = object(&report, "Deployment", "istio-ingressgateway");
        let edit = &deployment["edits"][0];
        assert_eq!(deployment["verdict"], "edit");
        assert_eq!(edit["rule"], "gateway-placement");
        assert_eq!(edit["reason"], "PLACED");
        assert_eq!(edit["field"], "spec.template.spec.nodeSelector[loadbalancerIPs.metallb.io]");
        assert_eq!(edit["pointer"], "/spec/template/spec/nodeSelector/loadbalancerIPs.metallb.io");
        assert_eq!(edit["value"], "arp");
        assert_eq!(line_at("examples/seed/gateway.yaml", edit), "spec:");

        let service = object(&report, "Service", "istio-ingressgateway");
        assert_eq!(service["verdict"], "edit");
        assert_eq!(service["edits"][0]["reason"], "MADE_LOCAL");
        assert_eq!(service["edits"][0]["pointer"], "/spec/externalTrafficPolicy");
        assert_eq!(service["edits"][0]["value"], "Local");
    }

    #[test]
    fn a_person_sees_what_was_judged_and_how() {
        let run = run(&["check", "examples/seed"]);
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        let listed = "allow  L2Advertisement metallb-system/default-l2advertisement  examples/seed/advertisement.yaml:";
        assert!(run.out.contains(listed), "{}", run.out);
        assert!(run.out.contains("`spec.externalTrafficPolicy` would be set to `Local`"), "{}", run.out);
        assert!(run.out.contains("no topology in the input: using the built-in `istio-ingressgateway`\n"));
        let sum = run.out.lines().last().unwrap();
        assert!(sum.starts_with("3 objects judged: 0 denied, 2 would be changed, "), "{sum}");
        assert!(!run.out.contains('\u{1b}'));
    }

    #[test]
    fn strictly_what_would_be_changed_is_refused() {
        let run = run(&["check", "--strict", "examples/seed"]);
        assert_eq!(run.code, 1);
        assert!(run.out.contains("error[gateway-placement/PLACED]"), "{}", run.out);
        assert!(!run.out.contains("warning["), "{}", run.out);
    }

    #[test]
    fn the_mistakes_are_refused_where_they_stand() {
        let (code, report) = as_json(&["examples/broken"], "");
        assert_eq!(code, 1);
        let wider = object(&report, "L2Advertisement", "default-l2advertisement");
        let disjoint = object(&report, "L2Advertisement", "istio-l2advertisement");
        let conflict = object(&report, "Deployment", "istio-ingressgateway");
        for (object, reason, file, line) in [
            (wider, "WIDER", "advertisements", "spec:"),
            (disjoint, "DISJOINT", "advertisements", "matchLabels:"),
            (conflict, "CONFLICT", "gateway", "ndp"),
        ] {
            assert_eq!(object["verdict"], "deny");
            assert_eq!(object["edits"], json!([]));
            assert_eq!(reasons(object), [reason]);
            assert_eq!(line_at(&format!("examples/broken/{file}.yaml"), &object["findings"][0]), line);
            assert!(!object["findings"][0]["help"].as_str().unwrap().is_empty());
        }
        assert_eq!(wider["findings"][0]["witness"]["without"], json!(["loadbalancerIPs.metallb.io"]));
        assert_eq!(wider["findings"][0]["nodes"][0], "demo-dev-master-01");
    }

    #[test]
    fn a_person_sees_the_line_and_the_way_out() {
        let run = run(&["check", "examples/broken"]);
        assert_eq!(run.code, 1);
        assert!(run.out.contains("error[gateway-placement/CONFLICT]: "), "{}", run.out);
        assert!(run.out.contains(" |         loadbalancerIPs.metallb.io: ndp\n"), "{}", run.out);
        assert!(run.out.contains("= object: Deployment istio-system/istio-ingressgateway\n"), "{}", run.out);
        assert!(run.out.contains("= help: "), "{}", run.out);
        assert!(run.out.contains("`spec.nodeSelectors` is not set"), "{}", run.out);
        assert!(
            run.out.ends_with("3 objects judged: 3 denied, 0 would be changed, 0 warnings\n"),
            "{}",
            run.out
        );
    }

    #[test]
    fn quietly_only_refusals_are_told() {
        assert_eq!(run(&["check", "-q", "examples/seed"]).out, "");
        let run = run(&["check", "-q", "examples/seed", "examples/broken"]);
        assert_eq!(run.code, 1);
        assert_eq!(run.out.matches("error[").count(), 3, "{}", run.out);
        assert!(!run.out.contains("warning[") && !run.out.contains("help[") && !run.out.contains("judged"));
    }
}

mod input {
    use super::*;

    #[test]
    fn what_is_given_as_facts_is_not_judged() {
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
    fn objects_without_a_namespace_belong_to_the_one_that_is_given() {
        let text = ADVERTISEMENT.replace(", namespace: metallb-system", "");
        assert_eq!(as_json(&["-"], &text).0, 0);
        let (code, report) = as_json(&["-n", "metallb-system", "-"], &text);
        assert_eq!(code, 1);
        assert_eq!(report["objects"][0]["namespace"], "metallb-system");
    }

    #[test]
    fn a_topology_of_the_input_takes_the_place_of_the_built_in_one() {
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
        assert_eq!(report["topologies"], json!([{"name": "edge", "builtIn": false}]));
        assert!(!run_with(&["check", "-"], &text).out.contains("built-in"));
    }

    #[test]
    fn a_topology_that_cannot_be_used_stops_every_verdict() {
        let text = format!(
            "{ADVERTISEMENT}---\napiVersion: lockstep.dev/v1alpha1\nkind: GatewayTopology\nmetadata: {{name: t}}\nspec: {{placemnt: {{}}}}\n"
        );
        let (code, report) = as_json(&["-"], &text);
        assert_eq!((code, &report["objects"]), (2, &json!([])));
        assert_eq!(report["problems"][0]["line"], 11);
        assert!(run_with(&["check", "-"], &text).out.contains("nothing was judged"));
    }

    #[test]
    fn what_cannot_be_read_is_told_and_the_rest_is_judged() {
        let (code, report) = as_json(&["no-such-file.yaml", "Cargo.toml", "-"], ADVERTISEMENT);
        assert_eq!(code, 2);
        assert_eq!(report["objects"][0]["verdict"], "deny");
        let files: Vec<_> =
            report["problems"].as_array().unwrap().iter().map(|problem| &problem["file"]).collect();
        assert_eq!(files, ["no-such-file.yaml", "Cargo.toml"]);
    }

    #[test]
    fn what_the_api_server_would_refuse_is_told_once_and_with_its_place() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n    arp: yes\n";
        let run = run_with(&["check", "-"], text);
        assert_eq!(run.code, 2);
        assert_eq!(run.out.matches("error:").count(), 1, "{}", run.out);
        assert!(run.out.contains("<stdin>:6:10\n") && run.out.contains("put it in quotes"), "{}", run.out);
    }

    #[test]
    fn a_recorded_request_is_answered_as_it_was_asked() {
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
        // Only a label changes: what was wrong before does not lock the object.
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
}

mod formats {
    use super::*;

    #[test]
    fn sarif_names_rules_and_places() {
        let run = run(&["check", "--format", "sarif", "examples/broken", "examples/seed"]);
        assert_eq!(run.code, 1);
        let log: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(log["version"], "2.1.0");
        let driver = &log["runs"][0]["tool"]["driver"];
        assert_eq!(driver["name"], "lockstep");
        let results = log["runs"][0]["results"].as_array().unwrap();
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
            let place = &result["locations"][0]["physicalLocation"];
            assert!(place["artifactLocation"]["uri"].as_str().unwrap().starts_with("examples/"));
            assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
        }
        let levels: Vec<_> = results.iter().map(|result| result["level"].as_str().unwrap()).collect();
        assert_eq!(levels.iter().filter(|level| **level == "error").count(), 3);
        assert!(levels.contains(&"note"), "the edits: {levels:?}");
        assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], true);
    }

    #[test]
    fn junit_has_a_case_for_each_object() {
        let run = run(&["check", "--format", "junit", "examples/broken", "examples/seed", "no-such-file"]);
        assert_eq!(run.code, 2);
        assert!(run.out.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
        assert!(
            run.out.contains("<testsuites name=\"lockstep\" tests=\"7\" failures=\"3\" errors=\"1\">"),
            "{}",
            run.out
        );
        assert!(run.out.contains("<failure type=\"announcement-placement/WIDER\""));
        assert_eq!(run.out.matches("<testsuite ").count(), run.out.matches("</testsuite>").count());
        assert_eq!(run.err, "lockstep: no-such-file: the file cannot be read: no such file or directory\n");
    }

    #[test]
    fn names_of_strangers_break_nothing() {
        let name = "\u{1b}]0;title\u{7}<&\"'\u{202e}";
        let object = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "L2Advertisement",
            "metadata": {"name": name, "namespace": "metallb-system"},
            "spec": {"ipAddressPools": ["default-pool", name], "nodeSelectors": [{"matchLabels": {name: name}}]},
        });
        let human = run_with(&["check", "-"], &object.to_string());
        assert_eq!(human.code, 1);
        let is_safe = |text: &str| !text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}');
        assert!(is_safe(&human.out), "{:?}", human.out);
        let (_, report) = as_json(&["-"], &object.to_string());
        assert_eq!(report["objects"][0]["name"], name);
        let junit = run_with(&["check", "--format", "junit", "-"], &object.to_string());
        assert!(junit.out.contains("]0;title&lt;&amp;&quot;&apos;"), "{}", junit.out);
        assert!(!junit.out.contains('\u{1b}') && !junit.out.contains('\u{7}'));
    }

    #[test]
    fn lines_that_no_one_reads_are_not_repeated() {
        let object = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "L2Advertisement",
            "metadata": {"name": "ad", "namespace": "metallb-system", "annotations": {"a": "x".repeat(10_000)}},
            "spec": {"ipAddressPools": ["default-pool"]},
        });
        let run = run_with(&["check", "-"], &object.to_string());
        assert_eq!(run.code, 1);
        assert!(run.out.contains("--> <stdin>:1:1") && !run.out.contains("xxxx"), "{}", run.out);
    }

    #[test]
    fn colours_are_for_terminals() {
        let colored = |arguments: &[&str]| run(arguments).out.contains("\u{1b}[");
        assert!(!colored(&["check", "examples/seed"]));
        assert!(colored(&["check", "--color", "always", "examples/seed"]));
        assert!(!colored(&["check", "--color", "never", "examples/seed"]));
        assert!(!colored(&["check", "--color", "always", "--format", "json", "examples/seed"]));
    }
}

mod process {
    use super::*;

    #[test]
    fn usage_errors_end_with_2_and_help_with_0() {
        for arguments in [&["check"][..], &[], &["no-such-command"], &["check", "--format", "xml", "-"]] {
            let run = run(arguments);
            assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments:?}");
            assert!(run.err.contains("--help"), "{}", run.err);
        }
        for arguments in [["--help"], ["--version"]] {
            let run = run(&arguments);
            assert_eq!((run.code, run.err.as_str()), (0, ""));
        }
        assert!(run(&["--help"]).out.contains("helm template"));
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        for (arguments, code) in [(vec!["crd"], 0), (vec!["check", "examples/broken"], 1)] {
            let mut child =
                command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            let mut err = String::new();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(code), ""), "{arguments:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_plugin_of_kubectl_shows_itself_as_one() {
        use std::os::unix::process::CommandExt;
        let output = command(&["check", "--help"]).arg0("/usr/bin/kubectl-lockstep").output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: kubectl lockstep check"));
    }

    #[test]
    fn the_kind_the_completions_and_the_manual_are_printed() {
        assert!(run(&["crd"]).out.contains("name: gatewaytopologies.lockstep.dev\n"));
        assert!(run(&["completions", "bash"]).out.contains("complete -F _lockstep"));
        assert!(run(&["man", "check"]).out.contains(".SH SYNOPSIS"));
    }
}
