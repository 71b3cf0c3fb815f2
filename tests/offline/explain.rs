//! `lockstep explain` on the states in tests/cases/state: the text, the JSON document and the exit code.

mod formats;
mod html;
mod mends;
mod what_if;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lockstep_test_support::golden_file::assert_file_holds;
use serde_json::Value;

fn explain(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .arg("explain")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn states() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/state");
    let mut states: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    states.sort();
    assert!(states.len() >= 40, "only {} states were found", states.len());
    states
}

fn document(arguments: &[&str]) -> Value {
    let mut all = vec!["-o", "json"];
    all.extend(arguments);
    serde_json::from_slice(&explain(&all).stdout).unwrap()
}

/// The addresses of a document, as pairs of a Service and an address of it.
fn addresses(document: &Value) -> Vec<(&str, &Value)> {
    let topologies = document["topologies"].as_array().unwrap();
    let services = topologies.iter().flat_map(|topology| topology["services"].as_array().unwrap());
    let pairs = services.flat_map(|service| {
        let name = service["name"].as_str().unwrap();
        service["addresses"].as_array().unwrap().iter().map(move |address| (name, address))
    });
    pairs.collect()
}

#[test]
fn each_state_has_the_expected_explanation() {
    for state in states() {
        let output = explain(&["-f", state.to_str().unwrap()]);
        assert_eq!(text(&output.stderr), "", "{}", state.display());
        let explained = format!("{}exit code {}\n", text(&output.stdout), output.status.code().unwrap());
        assert_file_holds(&state.with_extension("txt"), &explained);
    }
}

#[test]
fn the_json_document_agrees_with_the_text() {
    for state in states() {
        let path = state.to_str().unwrap();
        let (text, document) = (text(&explain(&["-f", path]).stdout), document(&["-f", path]));
        for service in document["topologies"][0]["services"].as_array().unwrap() {
            for address in service["addresses"].as_array().unwrap() {
                let outcome = address["outcome"].as_str().unwrap();
                assert_eq!(address["reason"].is_null(), outcome == "Preserved", "{path}");
                let said = address["message"].as_str().unwrap_or("announce");
                assert!(text.contains(&outcome.to_uppercase()) && text.contains(said), "{path}: {text}");
                let announcer = address["nodes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|node| node["name"] == address["announcer"]);
                let is_candidate =
                    announcer.is_none_or(|node| node["candidate"] == true && node["reason"].is_null());
                assert!(is_candidate, "{path}: {address}");
            }
        }
    }
}

#[test]
fn a_target_selects_a_topology_a_service_or_an_address() {
    let file = "tests/cases/state/announced-by-bgp-alone.yaml";
    for target in [
        "edge",
        "istio-ingressgateway",
        "istio-system/istio-ingressgateway",
        "10.6.229.180",
        "::ffff:10.6.229.180",
    ] {
        let document = document(&[target, "-f", file]);
        let address = &document["topologies"][0]["services"][0]["addresses"][0];
        assert_eq!(
            (address["address"].as_str(), address["bgpAnnouncers"][0].as_str()),
            (Some("10.6.229.180"), Some("n1"))
        );
    }
    let none = explain(&["10.6.229.181", "-f", file]);
    assert_eq!(none.status.code(), Some(2));
    assert_eq!(text(&none.stderr), "lockstep: no topology, Service or address `10.6.229.181` in the input\n");
}

#[test]
fn a_kind_that_is_not_in_the_input_is_unknown() {
    let empty = explain(&["-f", "/dev/null"]);
    assert_eq!(empty.status.code(), Some(2), "{}", text(&empty.stdout));
    let broken = explain(&["-f", "/no/such/file"]);
    assert_eq!(broken.status.code(), Some(2));
    let file = "tests/cases/state/announced-by-bgp-alone.yaml";
    let all = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (kind, code, outcome) in
        [("Node", 2, "Unknown"), ("EndpointSlice", 2, "Unknown"), ("Pod", 0, "Preserved")]
    {
        let rest: Vec<&str> =
            all.split("---\n").filter(|object| !object.contains(&format!("kind: {kind}\n"))).collect();
        let path = folder.path().join("rest.yaml");
        fs::write(&path, rest.join("---\n")).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(explain(&["-f", path]).status.code(), Some(code), "{kind}");
        assert_eq!(
            document(&["-f", path])["topologies"][0]["services"][0]["addresses"][0]["outcome"],
            outcome,
            "{kind}"
        );
    }
}

#[test]
fn each_metallb_version_has_its_own_election() {
    let file = "tests/cases/state/the-gateway-node-is-excluded.yaml";
    let outcome = |version: &str| {
        document(&["-f", file, "--metallb", version])["topologies"][0]["services"][0]["addresses"][0]["outcome"].clone()
    };
    assert_eq!([outcome("0.13.5"), outcome("0.15.2"), outcome("0.16.2")], ["Fragile", "Silent", "Silent"]);
}
