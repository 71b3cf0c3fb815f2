//! The decoder skips lists that no rule reads, and patches are made without the whole object. Neither changes a
//! result.

use lockstep::admission::{Body, Decision, Review, UNREAD, decode, edited, review};
use lockstep::change::{Change, Phase};
use lockstep::snapshot::{Inventory, Snapshot};
use lockstep_test_support::case;
use proptest::prelude::*;
use serde_json::{Value, json};

const RECORDED: [&[u8]; 3] = [
    include_bytes!("../../benches/reviews/pod.json"),
    include_bytes!("../../benches/reviews/service.json"),
    include_bytes!("../../benches/reviews/l2advertisement.json"),
];

/// Returns the reviews of all cases, and those that were recorded from an API server.
fn reviews() -> Vec<Value> {
    let recorded = RECORDED.iter().map(|bytes| serde_json::from_slice(bytes).unwrap());
    let mut cases = case::all();
    // The modes of a case share its review.
    cases.dedup_by(|case, previous| case.folder == previous.folder);
    cases.iter().map(|case| case.review(&case.object)).chain(recorded).collect()
}

fn decoded(body: &Body<'_>) -> Result<Option<Change>, String> {
    decode(body).map(|request| request.change).map_err(|error| error.to_string())
}

/// Asserts that the review is decoded alike with and without its unread lists. Returns whether it can be decoded.
fn assert_decoded_alike(review: &Value) -> bool {
    let bytes = serde_json::to_vec(review).unwrap();
    let whole = decoded(&Body::whole(&bytes));
    assert_eq!(decoded(&Body::new(&bytes)), whole, "{review}");
    whole.is_ok()
}

/// Returns a list that would affect any field that reads it, full of text that could mislead a search for its end.
fn misleading_list() -> Value {
    json!([
        {"name": "]\"}", "key": "\\\"volumes\":[", "nodeSelector": {"a": "[[\\"}, "operator": "Exists"},
        {"containers": [[], ["\u{e4}"]], "labelSelector": {"matchLabels": {"app": "istio-ingressgateway"}}},
    ])
}

/// Collects the JSON pointers of all objects within a value.
fn objects(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let token = key.replace('~', "~0").replace('/', "~1");
                objects(value, format!("{pointer}/{token}"), found);
            }
            found.push(pointer);
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                objects(value, format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Fails if a rule starts to read a list of [`UNREAD`], in any object.
#[test]
fn lists_left_out_of_reviews_change_no_decoded_request() {
    let (mut filled, mut decoded) = (0, 0);
    for review in reviews() {
        assert!(assert_decoded_alike(&review), "{review}");
        let mut pointers = Vec::new();
        objects(&review["request"]["object"], "/request/object".to_owned(), &mut pointers);
        for pointer in pointers {
            let mut review = review.clone();
            let object = review.pointer_mut(&pointer).unwrap();
            UNREAD.iter().for_each(|list| object[list] = misleading_list());
            filled += 1;
            decoded += usize::from(assert_decoded_alike(&review));
        }
    }
    // A list in a map of strings is rejected in both ways.
    assert!(decoded > filled / 2, "only {decoded} of {filled} filled reviews can be decoded");
}

fn one_of(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    proptest::sample::select(values.to_vec())
}

/// Pods, DaemonSets and Services of the gateway, with every shape of the parents of the fields that rules edit.
fn gateway_object() -> impl Strategy<Value = Value> {
    let labels = json!({"app": "istio-ingressgateway", "istio": "ingressgateway"});
    let selector = one_of(&[
        json!({}),
        json!({"nodeSelector": null}),
        json!({"nodeSelector": {}}),
        json!({"nodeSelector": {"zone": "a", "a~b/c": ""}}),
        json!({"nodeSelector": {"zone": null}}),
        json!({"nodeSelector": {"loadbalancerIPs.metallb.io": "arp"}}),
    ]);
    let template = prop_oneof![Just(Value::Null), selector].prop_map(move |spec| {
        json!({"metadata": {"labels": labels, "name": "gw", "namespace": "istio-system"}, "spec": spec, "other": [1]})
    });
    let pod = template.clone().prop_map(|pod| ("v1", "Pod", pod));
    let daemon_set = template.prop_map(|template| {
        let metadata = json!({"name": "gw", "namespace": "istio-system"});
        ("apps/v1", "DaemonSet", json!({"metadata": metadata, "spec": {"template": template, "other": {}}}))
    });
    let policy = one_of(&[json!(null), json!("Cluster"), json!("Local"), json!("")]);
    let service = policy.prop_map(|policy| {
        let selector = json!({"app": "istio-ingressgateway", "istio": "ingressgateway"});
        let spec = json!({"type": "LoadBalancer", "selector": selector, "externalTrafficPolicy": policy, "ports": []});
        ("v1", "Service", json!({"metadata": {"name": "gw", "namespace": "istio-system"}, "spec": spec}))
    });
    prop_oneof![pod, daemon_set, service].prop_map(|(api_version, kind, mut object)| {
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        object
    })
}

fn creation(object: &Value) -> Value {
    let (api_version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "resource": {"group": group, "version": version, "resource": format!("{}s", kind.to_lowercase())},
            "namespace": "istio-system",
            "name": "gw",
            "operation": "CREATE",
            "object": object,
        },
    })
}

proptest! {
    /// A patch is proved on the parents of its paths only, and must hold for the whole object.
    #[test]
    fn a_patch_applied_to_the_whole_object_has_the_effect_of_the_edits(object in gateway_object()) {
        let snapshot = Snapshot::new(&Inventory::default().or_built_in());
        let bytes = serde_json::to_vec(&creation(&object)).unwrap();
        let body = Body::new(&bytes);
        let Review { decision, .. } = review(&body, Phase::Mutate, &snapshot).unwrap();
        let Decision::Judged { verdict, patch } = decision else { panic!("{decision:?}") };
        let mut patched = object.clone();
        if let Some(patch) = &patch {
            json_patch::patch(&mut patched, patch).unwrap();
        }
        prop_assert_eq!(patch.is_some(), !verdict.edits.is_empty());
        prop_assert_eq!(patched, edited(&object, &verdict.edits).unwrap());
    }
}
