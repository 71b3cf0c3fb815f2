//! The wire format: decoding of arbitrary requests, and encoding of responses.

use lockstep::admission::{Body, Decision, DecodeError, Review, ReviewError, decode, review};
use lockstep::change::Phase;
use lockstep::snapshot::{Inventory, Snapshot};
use serde_json::{Value, json};

const POD: &[u8] = include_bytes!("../../benches/reviews/pod.json");
const SERVICE: &[u8] = include_bytes!("../../benches/reviews/service.json");

fn facts() -> Snapshot {
    Snapshot::new(&Inventory::default().or_built_in())
}

fn recorded(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn answer(body: &[u8], phase: Phase) -> Value {
    match review(&Body::new(body), phase, &facts()) {
        Ok(Review { response, .. }) => recorded(&response),
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(body)),
    }
}

fn answer_to(review: &Value, phase: Phase) -> Value {
    answer(review.to_string().as_bytes(), phase)["response"].take()
}

#[test]
fn the_response_has_the_uid_and_the_type_v1() {
    let answer = answer(POD, Phase::Mutate);
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["uid"], recorded(POD)["request"]["uid"]);
    assert_eq!(answer["response"]["allowed"], true);
}

/// Metrics, logs and audit records use these words.
#[test]
fn the_words_of_the_phases_are_stable() {
    assert_eq!([Phase::Mutate, Phase::Validate].map(Phase::word), ["mutate", "validate"]);
}

#[test]
fn a_denial_is_403_forbidden_with_causes_and_annotations() {
    let denial = answer_to(&recorded(POD), Phase::Validate);
    assert_eq!(denial["allowed"], false);
    assert_eq!((&denial["status"]["code"], &denial["status"]["reason"]), (&json!(403), &json!("Forbidden")));
    assert!(denial["status"]["message"].as_str().unwrap().contains("could run on a node"), "{denial}");
    assert_eq!(denial["status"]["details"]["causes"][0]["field"], "spec.nodeSelector");
    let annotations = &denial["auditAnnotations"];
    for (key, value) in
        [("rule", "gateway-placement"), ("verdict", "deny"), ("topology", "istio-ingressgateway")]
    {
        assert_eq!(annotations[key], value);
    }
    assert!(annotations["witness"].as_str().unwrap().contains("loadbalancerIPs.metallb.io"));
}

#[test]
fn only_a_mutating_response_has_a_base64_patch_with_its_type() {
    let patched = answer_to(&recorded(SERVICE), Phase::Mutate);
    assert_eq!(patched["patchType"], "JSONPatch");
    assert!(patched["patch"].is_string());
    let denied = answer_to(&recorded(SERVICE), Phase::Validate);
    assert!(denied.get("patch").is_none() && denied.get("patchType").is_none());
}

#[test]
fn warnings_fit_into_the_api_servers_headers() {
    let warnings = answer_to(&recorded(SERVICE), Phase::Mutate)["warnings"].take();
    let warning = warnings[0].as_str().unwrap();
    assert!(warning.len() <= 256 && warning.is_ascii(), "{warning}");
    assert!(warning.contains("service.externalTrafficPolicy"), "the chart's value is named: {warning}");
}

#[test]
fn audit_annotations_are_bounded_and_escaped() {
    let odd = "eve\"\n\u{1b}[2J\u{9b}\u{7f}\u{202e}";
    for name in [odd.repeat(1000), "x".repeat(1 << 20)] {
        let mut inventory = Inventory::default().or_built_in();
        let topology = inventory.topologies.pop_first().unwrap().1;
        inventory.topologies.insert(name.as_str().into(), topology);
        let mut hostile = recorded(POD);
        let request = &mut hostile["request"];
        // The longest that is accepted; longer ones are rejected.
        for (field, most) in [("name", 253), ("uid", 128)] {
            request[field] = name[..name.floor_char_boundary(most)].into();
        }
        request["userInfo"] = json!({"username": name, "groups": [name]});
        let metadata = &mut request["object"]["metadata"];
        metadata["name"] = name.as_str().into();
        metadata["labels"][name.as_str()] = name.as_str().into();
        let body = hostile.to_string();
        let body = Body::new(body.as_bytes());
        let review = review(&body, Phase::Validate, &Snapshot::new(&inventory)).unwrap();
        let annotations = recorded(&review.response)["response"]["auditAnnotations"].take();
        assert_eq!(annotations["verdict"], "deny", "{annotations}");
        for (key, value) in annotations.as_object().unwrap() {
            let value = value.as_str().unwrap();
            assert!(value.len() <= 1024, "{key} has {} bytes", value.len());
            assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{key}: {value:?}");
        }
        assert!(annotations["topology"].as_str().unwrap().len() <= 253, "{annotations}");
    }
}

#[test]
fn hostile_text_is_bounded_and_escaped() {
    let mut hostile = recorded(SERVICE);
    hostile["request"]["object"]["spec"]["externalTrafficPolicy"] =
        format!("\u{1b}[31m\n{}", "x".repeat(1_000_000)).into();
    let answer = answer_to(&hostile, Phase::Validate);
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(message.len() < 4096 && message.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{message}");
}

#[test]
fn the_order_of_fields_does_not_change_the_response() {
    let review = recorded(POD);
    let request = review["request"].as_object().unwrap();
    let reversed: Vec<String> =
        request.iter().rev().map(|(key, value)| format!("{}:{value}", Value::from(key.as_str()))).collect();
    let reversed = format!(
        "{{\"request\":{{{}}},\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\"}}",
        reversed.join(",")
    );
    assert_eq!(answer(reversed.as_bytes(), Phase::Mutate), answer(POD, Phase::Mutate));
}

/// The API server always writes the fields in the same order, but JSON has no order.
#[test]
fn the_place_of_the_object_in_the_request_does_not_change_the_response() {
    let request = recorded(POD)["request"].take();
    let names = ["resource", "operation", "object"];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let fields = order.map(|at| format!("\"{}\":{}", names[at], request[names[at]]));
        let read = in_order(&format!(
            "\"uid\":{},\"kind\":{},\"namespace\":{},{}",
            request["uid"],
            request["kind"],
            request["namespace"],
            fields.join(",")
        ));
        assert_eq!(answer(read.as_bytes(), Phase::Mutate), answer(POD, Phase::Mutate), "{order:?}");
    }
}

/// Returns a review with the text of its request as written.
fn in_order(request: &str) -> String {
    format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{{request}}}}}"#)
}

const PODS: &str =
    r#""uid":"u","resource":{"group":"","version":"v1","resource":"pods"},"namespace":"istio-system""#;

#[test]
fn a_delete_is_allowed_without_reading_the_object() {
    let review =
        in_order(&format!(r#"{PODS},"operation":"DELETE","oldObject":{{"metadata":{{"labels":[1]}}}}"#));
    let answer = answer(review.as_bytes(), Phase::Validate);
    assert_eq!(answer["response"], json!({"uid": "u", "allowed": true}));
}

/// If its `oldObject` were read, a CREATE that contains a copy of the new object would pass as a change of nothing.
#[test]
fn a_create_has_no_old_object() {
    let mut review = recorded(SERVICE);
    let request = &mut review["request"];
    request["oldObject"] = request["object"].clone();
    assert_eq!(answer_to(&review, Phase::Validate)["allowed"], false);
    review["request"]["operation"] = "UPDATE".into();
    assert_eq!(answer_to(&review, Phase::Validate)["allowed"], true);
}

#[test]
fn an_object_without_a_name_is_reported_by_its_generate_name() {
    for (name, prefix, told) in
        [("", "gw-", "gw-*"), ("gw-1", "gw-", "gw-1"), ("", "", ""), ("gw-1", "", "gw-1")]
    {
        let review = in_order(&format!(
            r#"{PODS},"name":"{name}","operation":"CREATE","object":{{"metadata":{{"generateName":"{prefix}"}}}}"#
        ));
        let body = Body::new(review.as_bytes());
        let request = decode(&body).unwrap();
        assert_eq!((&*request.name, request.change.unwrap().name.as_str()), (told, name));
    }
}

/// The API server sends the deletions of a collection (`kubectl delete --all`) without names.
#[test]
fn an_object_of_a_deleted_collection_is_judged_by_the_name_of_the_old_object() {
    let pool = r#""uid":"u","resource":{"group":"metallb.io","version":"v1beta1","resource":"ipaddresspools"},
        "namespace":"metallb-system","operation":"DELETE","oldObject":{"metadata":{"name":"default-pool"},"spec":{}}"#;
    for named in ["", r#","name":"default-pool""#] {
        let review = in_order(&format!("{pool}{named}"));
        let body = Body::new(review.as_bytes());
        let request = decode(&body).unwrap();
        assert_eq!((&*request.name, request.change.unwrap().name.as_str()), ("default-pool", "default-pool"));
    }
}

#[test]
fn objects_that_no_rule_judges_are_allowed_unchanged() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut review = recorded(POD);
        change(&mut review["request"]);
        review
    };
    let untouched = [
        with(&|request| request["resource"]["resource"] = "configmaps".into()),
        with(&|request| request["resource"]["group"] = "example.com".into()),
        with(&|request| request["subResource"] = "ephemeralcontainers".into()),
        with(&|request| request["operation"] = "CONNECT".into()),
        with(&|request| {
            request["operation"] = "DELETE".into();
            request["oldObject"] = request["object"].take();
        }),
        with(&|request| request["namespace"] = "elsewhere".into()),
    ];
    for review in untouched {
        for phase in [Phase::Mutate, Phase::Validate] {
            let uid = &review["request"]["uid"];
            assert_eq!(answer_to(&review, phase), json!({"uid": uid, "allowed": true}), "{review}");
        }
    }
}

/// Returns the patch in a response.
fn patch_of(answer: &Value) -> Value {
    let standard = &base64::engine::general_purpose::STANDARD;
    let patch = base64::Engine::decode(standard, answer["patch"].as_str().unwrap());
    serde_json::from_slice(&patch.unwrap()).unwrap()
}

#[test]
fn nulls_are_read_as_missing_fields() {
    let mut review = recorded(POD);
    let request = &mut review["request"];
    for field in ["name", "userInfo", "dryRun", "subResource", "oldObject", "options"] {
        request[field] = Value::Null;
    }
    let object = &mut request["object"];
    object["metadata"]["annotations"] = Value::Null;
    object["metadata"]["deletionTimestamp"] = Value::Null;
    for field in ["nodeSelector", "nodeName", "affinity"] {
        object["spec"][field] = Value::Null;
    }
    // Nothing can be added inside a null, so the whole selector is set.
    assert_eq!(
        patch_of(&answer_to(&review, Phase::Mutate)),
        json!([{"op": "add", "path": "/spec/nodeSelector", "value": {"loadbalancerIPs.metallb.io": "arp"}}])
    );
    review["request"]["object"]["metadata"]["labels"] = Value::Null;
    assert_eq!(answer_to(&review, Phase::Mutate)["allowed"], true);
}

#[test]
fn a_pod_without_a_spec_gets_one() {
    let mut review = recorded(POD);
    review["request"]["object"].as_object_mut().unwrap().remove("spec");
    let answer = answer_to(&review, Phase::Mutate);
    assert_eq!(
        patch_of(&answer),
        json!([{"op": "add", "path": "/spec", "value": {"nodeSelector": {"loadbalancerIPs.metallb.io": "arp"}}}])
    );
}

#[test]
fn a_review_without_a_uid_is_a_bad_request() {
    let unanswerable: [&[u8]; 7] = [
        b"",
        b"{",
        &POD[..POD.len() / 2],
        b"\xff\xfe",
        b"[]",
        br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"1"}}"#,
        br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":""}}"#,
    ];
    for body in unanswerable {
        let body = Body::new(body);
        let outcome = review(&body, Phase::Validate, &facts());
        assert!(matches!(outcome, Err(ReviewError::Malformed(_))), "{outcome:?}");
    }
    assert!(matches!(decode(&Body::new(unanswerable[5])), Err(DecodeError::NoRequest)));
    assert!(matches!(decode(&Body::new(unanswerable[6])), Err(DecodeError::NoUid)));
}

#[test]
fn an_unreadable_object_is_denied_with_the_reason() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut review = recorded(POD);
        change(&mut review);
        review
    };
    let unreadable = [
        (with(&|review| review["apiVersion"] = "admission.k8s.io/v1beta1".into()), "admissionReviewVersions"),
        (with(&|review| review["kind"] = "Pod".into()), "expected an AdmissionReview"),
        (with(&|review| review["request"]["object"] = Value::Null), "request.object is missing"),
        (with(&|review| review["request"]["object"]["metadata"]["labels"] = json!([1])), "cannot be read"),
        (
            with(&|review| review["request"]["object"]["spec"]["nodeSelector"] = json!({"a": 1})),
            "cannot be read",
        ),
        (with(&|review| review["request"]["resource"]["version"] = "v2".into()), "matchPolicy Equivalent"),
    ];
    for (review, text) in unreadable {
        let answer = answer_to(&review, Phase::Validate);
        assert_eq!(answer["uid"], review["request"]["uid"]);
        assert_eq!(answer["allowed"], false);
        assert_eq!(answer["status"]["code"], 400);
        assert!(answer["status"]["message"].as_str().unwrap().contains(text), "{answer}");
    }
}

#[test]
fn a_workload_that_cannot_be_read_is_allowed_with_a_warning() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut review = recorded(POD);
        let resource = json!({"group": "argoproj.io", "version": "v1alpha1", "resource": "rollouts"});
        review["request"]["resource"] = resource;
        let template = review["request"]["object"].take();
        review["request"]["object"] = json!({"metadata": {"name": "x"}, "spec": {"template": template}});
        change(&mut review);
        review
    };
    for (review, text) in [
        (
            with(&|review| {
                review["request"]["object"]["spec"]["template"]["spec"]["nodeSelector"] = json!({"a": 1});
            }),
            "cannot be read",
        ),
        (
            with(&|review| review["request"]["resource"]["version"] = "v2".into()),
            "version `v2` of `rollouts`",
        ),
        (with(&|review| review["request"]["object"] = Value::Null), "request.object is missing"),
    ] {
        for phase in Phase::ALL {
            let answer = answer_to(&review, phase);
            assert_eq!((&answer["allowed"], answer.get("patch")), (&json!(true), None), "{answer}");
            let warning = answer["warnings"][0].as_str().unwrap();
            assert!(warning.starts_with("lockstep cannot judge the pods of this workload"), "{warning}");
            assert!(warning.contains(text), "{warning}");
        }
    }
    assert_eq!(answer_to(&with(&|_| {}), Phase::Validate)["allowed"], true);
}

#[test]
fn an_unreadable_value_is_not_quoted() {
    let mut review = recorded(POD);
    review["request"]["object"]["metadata"]["labels"] = "hunter2, expected or not".into();
    let answer = answer_to(&review, Phase::Validate);
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("expected a map of strings in `request.object.metadata.labels` at line 1")
            && !message.contains("hunter2"),
        "{message}"
    );
}

#[test]
fn an_unreadable_field_is_named_by_its_path_in_the_review() {
    let review = in_order(&format!(r#"{PODS},"operation":"CREATE","object":{{"spec":true}}"#));
    let message = answer(review.as_bytes(), Phase::Validate)["response"]["status"]["message"].take();
    let column = review.find("true").unwrap() + "true".len();
    assert!(
        message.as_str().unwrap().ends_with(&format!("in `request.object.spec` at line 1 column {column}")),
        "{message}"
    );
    let error = decode(&Body::new(in_order("").replace("{}", "1").as_bytes())).unwrap_err().to_string();
    assert!(error.contains("expected a request"), "{error}");
}

#[test]
fn a_deeply_nested_object_is_answered() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    // The depth of a field that no rule reads does not matter. In a field that a rule reads, it is a wrong type.
    let ignored = format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","x":{}}}}}"#,
        deep(100_000)
    );
    assert!(matches!(
        review(&Body::new(ignored.as_bytes()), Phase::Validate, &facts()),
        Ok(Review { decision: Decision::Judged { .. }, .. })
    ));
    let read = String::from_utf8(POD.to_vec()).unwrap().replacen(
        "\"labels\":{",
        &format!("\"labels\":{},\"x\":{{", deep(100_000)),
        1,
    );
    assert!(matches!(
        review(&Body::new(read.as_bytes()), Phase::Validate, &facts()),
        Ok(Review { decision: Decision::Undecodable { .. }, .. })
    ));
}

#[test]
fn a_namespace_that_is_not_synced_gets_no_verdict() {
    let mut inventory = Inventory::default().or_built_in();
    inventory.pending.insert("metallb-system".to_owned());
    let facts = Snapshot::new(&inventory);
    // The topology makes the verdict on the pod depend on MetalLB's namespace.
    assert!(matches!(review(&Body::new(POD), Phase::Mutate, &facts), Err(ReviewError::NotKnown(_))));
    let elsewhere = String::from_utf8(POD.to_vec()).unwrap().replace("istio-system", "elsewhere");
    assert!(matches!(
        review(&Body::new(elsewhere.as_bytes()), Phase::Mutate, &facts),
        Ok(Review { decision: Decision::Judged { .. }, .. })
    ));
}
