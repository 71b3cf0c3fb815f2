//! examples/gateways: other gateways than Istio's `istio-ingressgateway`. Each is right as its settings make it, and found wrong
//! without them.

use std::collections::BTreeSet;
use std::fs;

use lockstep_test_support::documents::document;
use lockstep_test_support::root;
use serde_json::{Value, json};

use crate::check::{Run, run_with};

const FOLDER: &str = "examples/gateways";
const HEAD: [&str; 6] = ["folder", "placement", "`Local`", "pod labels", "what to know", "read in"];
const KEY: &str = "loadbalancerIPs.metallb.io";

/// The names of the folders.
fn gateways() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(FOLDER)).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// The rows of the table of examples/gateways/README.md, each with the folder that it links to.
fn rows() -> Vec<(String, Vec<String>)> {
    let rows = document(&format!("{FOLDER}/README.md")).table(&HEAD);
    let folder = |row: &Vec<String>| row[0].trim_start_matches('[').split(']').next().unwrap().to_owned();
    rows.into_iter().map(|row| (folder(&row), row)).collect()
}

/// The objects of a folder.
fn objects(gateway: &str) -> Vec<Value> {
    let read = |file: &str| -> Vec<Value> {
        let text = fs::read_to_string(root().join(FOLDER).join(gateway).join(file)).unwrap();
        serde_saphyr::from_multiple(&text).unwrap()
    };
    ["topology.yaml", "metallb.yaml", "cluster.yaml", "gateway.yaml"].into_iter().flat_map(read).collect()
}

/// The exit code of a command on these objects, and its JSON document.
fn judged(arguments: &[&str], objects: &[Value]) -> (i32, Value) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let Run { code, out, err } = run_with(arguments, &list);
    let document = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {err}"));
    (code, document)
}

fn check(objects: &[Value]) -> (i32, Value) {
    judged(&["check", "-o", "json", "-"], objects)
}

/// Asserts that every address is preserved and that every topology is right.
fn assert_preserved(gateway: &str, explained: &Value) {
    let mut addresses = 0;
    for topology in explained["topologies"].as_array().unwrap() {
        for kind in ["SourceIPPreserved", "Resilient", "Aligned"] {
            let conditions = topology["conditions"].as_array().unwrap();
            let condition = conditions.iter().find(|condition| condition["type"] == kind).unwrap();
            assert_eq!(condition["status"], "True", "{gateway}: {condition}");
        }
        for service in topology["services"].as_array().unwrap() {
            for address in service["addresses"].as_array().unwrap() {
                assert_eq!(address["outcome"], "Preserved", "{gateway}: {address}");
                addresses += 1;
            }
        }
    }
    assert!(addresses > 0, "{gateway}: {explained}");
}

#[test]
fn every_gateway_is_accepted_by_strict_checks_and_keeps_the_clients_address() {
    let gateways = gateways();
    assert!(gateways.len() >= 12, "{gateways:?}");
    for gateway in gateways {
        let folder = format!("{FOLDER}/{gateway}");
        let (code, report) = judged(&["check", "--strict", "--require-match", "-o", "json", &folder], &[]);
        assert_eq!(code, 0, "{gateway}: {report}");
        let sum = &report["summary"];
        assert_eq!((&sum["denied"], &sum["warnings"]), (&json!(0), &json!(0)), "{gateway}: {report}");
        let (code, explained) = judged(&["explain", "-o", "json", "-f", &folder], &[]);
        assert_eq!(code, 0, "{gateway}: {explained}");
        assert_preserved(&gateway, &explained);
    }
}

#[test]
fn the_table_has_every_gateway_with_the_labels_of_its_topology() {
    let rows = rows();
    let listed: BTreeSet<String> = rows.iter().map(|(folder, _)| folder.clone()).collect();
    assert_eq!(listed, gateways());
    assert_eq!(listed.len(), rows.len(), "a folder has two rows");
    for (folder, row) in rows {
        assert!(row.iter().all(|cell| !cell.is_empty()), "{folder}: {row:?}");
        for topology in objects(&folder).iter().filter(|object| object["kind"] == "GatewayTopology") {
            for (name, value) in topology["spec"]["gateway"]["podLabels"].as_object().unwrap() {
                let label = format!("`{name}: {}`", value.as_str().unwrap());
                assert!(row[3].contains(&label), "{folder}: the table does not name {label}");
            }
        }
    }
}

#[test]
fn every_gateway_has_the_settings_that_place_it_and_make_it_local() {
    for gateway in gateways() {
        let entries = fs::read_dir(root().join(FOLDER).join(&gateway)).unwrap();
        let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        // A gateway that Istio injects is written by hand, in gateway.yaml.
        let by_hand = gateway == "istio-injection";
        let is_settings = |file: &String| {
            if by_hand {
                file == "gateway.yaml"
            } else {
                file.starts_with("values") || file == "parameters.yaml"
            }
        };
        let settings: Vec<String> = files.filter(is_settings).collect();
        assert!(!settings.is_empty(), "{gateway}");
        for file in settings {
            let text = fs::read_to_string(root().join(FOLDER).join(&gateway).join(&file)).unwrap();
            let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            assert!(read.iter().all(Value::is_object), "{gateway}/{file}");
            for line in ["nodeSelector:\n", &format!("{KEY}: "), "externalTrafficPolicy: Local\n"] {
                assert!(text.contains(line), "{gateway}/{file} has no `{line}`");
            }
        }
    }
}

/// The spec of the pods that an object is or creates.
fn pod_spec(object: &mut Value) -> Option<&mut Value> {
    match object["kind"].as_str().unwrap() {
        "Pod" => object.get_mut("spec"),
        _ => object.pointer_mut("/spec/template/spec"),
    }
}

fn is_placed(object: &Value) -> bool {
    let spec = if object["kind"] == "Pod" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
    spec["nodeSelector"].get(KEY).is_some()
}

/// Takes the placement from pods and workloads, and `Local` from Services. Returns the objects with what admission does to each.
fn without_settings(objects: &mut [Value]) -> Vec<(String, String, &'static str)> {
    let mut edited = Vec::new();
    for object in objects {
        let [kind, name] = [&object["kind"], &object["metadata"]["name"]].map(|text| text.as_str().unwrap());
        let (kind, name) = (kind.to_owned(), name.to_owned());
        if is_placed(object) {
            let selector = pod_spec(object).unwrap()["nodeSelector"].as_object_mut().unwrap();
            selector.remove(KEY).unwrap();
            edited.push((kind, name, "PLACED"));
        } else if kind == "Service" {
            object["spec"].as_object_mut().unwrap().remove("externalTrafficPolicy").unwrap();
            edited.push((kind, name, "MADE_LOCAL"));
        }
    }
    edited
}

#[test]
fn without_its_settings_every_gateway_is_edited_and_loses_the_clients_address() {
    for gateway in gateways() {
        let mut objects = objects(&gateway);
        let edited = without_settings(&mut objects);
        for reason in ["PLACED", "MADE_LOCAL"] {
            assert!(edited.iter().any(|(.., of)| *of == reason), "{gateway}: {edited:?}");
        }
        let (code, report) = check(&objects);
        assert_eq!(code, 0, "{gateway}: {report}");
        assert_eq!(report["summary"]["edited"], edited.len(), "{gateway}: {report}");
        for (kind, name, reason) in &edited {
            let judged = report["objects"].as_array().unwrap();
            let object = judged.iter().find(|of| of["kind"] == **kind && of["name"] == **name).unwrap();
            assert_eq!(
                (&object["verdict"], &object["edits"][0]["reason"]),
                (&json!("edit"), &json!(reason)),
                "{gateway}: {object}"
            );
        }
        assert_eq!(judged(&["check", "--strict", "-o", "json", "-"], &objects).0, 1, "{gateway}");

        let (code, explained) = judged(&["explain", "-o", "json", "-f", "-"], &objects);
        assert_eq!(code, 1, "{gateway}: {explained}");
        let lost = explained.to_string().matches("\"outcome\":\"Lost\"").count();
        let services = objects.iter().filter(|object| object["kind"] == "Service").count();
        assert_eq!(lost, services, "{gateway}: {explained}");
    }
}

#[test]
fn an_advertisement_of_the_same_pool_from_every_node_is_denied() {
    for gateway in gateways() {
        let mut objects = objects(&gateway);
        let mut widened = 0;
        for object in objects.iter_mut().filter(|object| object["kind"] == "L2Advertisement") {
            object["spec"].as_object_mut().unwrap().remove("nodeSelectors").unwrap();
            widened += 1;
        }
        let (code, report) = check(&objects);
        assert_eq!(code, 1, "{gateway}: {report}");
        assert_eq!(report["summary"]["denied"], widened, "{gateway}: {report}");
        let denied =
            report["objects"].as_array().unwrap().iter().filter(|object| object["verdict"] == "deny");
        for object in denied {
            assert_eq!(object["findings"][0]["reason"], "WIDER", "{gateway}: {object}");
        }
    }
}

#[test]
fn generate_proposes_a_topology_for_every_gateway() {
    let spec = |topology: &Value| {
        let spec = &topology["spec"];
        [&spec["gateway"]["namespace"], &spec["placement"], &spec["addressPools"]].map(Value::clone)
    };
    for gateway in gateways() {
        let objects = objects(&gateway);
        let (theirs, others): (Vec<Value>, Vec<Value>) =
            objects.into_iter().partition(|object| object["kind"] == "GatewayTopology");
        let (code, proposed) = judged(&["generate", "-o", "json", "-f", "-"], &others);
        assert_eq!(code, 0, "{gateway}: {proposed}");
        let proposed = proposed["topologies"].as_array().unwrap();
        let sorted = |mut specs: Vec<[Value; 3]>| {
            specs.sort_by_key(|spec| spec[2].to_string());
            specs
        };
        let proposed: Vec<_> = proposed.iter().map(|topology| spec(&topology["manifest"])).collect();
        assert_eq!(sorted(proposed), sorted(theirs.iter().map(spec).collect()), "{gateway}");
    }
}

/// Istio's legacy chart makes required node affinity out of its value `nodeSelector`.
#[test]
fn placement_as_required_node_affinity_is_admitted_and_gets_the_node_selector_too() {
    let mut objects = objects("istio-legacy-chart");
    let affinity = json!({"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": KEY, "operator": "In", "values": ["arp"]}]}],
        },
        "preferredDuringSchedulingIgnoredDuringExecution": null,
    }});
    let deployment = objects.iter_mut().find(|object| object["kind"] == "Deployment").unwrap();
    let spec = pod_spec(deployment).unwrap().as_object_mut().unwrap();
    spec.remove("nodeSelector").unwrap();
    spec.insert("affinity".into(), affinity);
    let (code, report) = check(&objects);
    assert_eq!((code, &report["summary"]["edited"]), (0, &json!(1)), "{report}");
    let objects = report["objects"].as_array().unwrap();
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    assert_eq!(deployment["edits"][0]["reason"], "PLACED", "{deployment}");
    assert_eq!(deployment["findings"], json!([]), "{deployment}");
}
