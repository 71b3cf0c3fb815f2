//! Every check, by configurations that lack just that.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;

const GATEWAY: &str = "/validating/webhooks/0";

fn rule(group: &str, version: &str, resource: &str, operations: &[&str]) -> Value {
    json!({
        "apiGroups": [group], "apiVersions": [version], "resources": [resource], "operations": operations,
        "scope": "Namespaced",
    })
}

fn webhook(name: &str, path: &str, namespace: &str, rules: &Value) -> Value {
    json!({
        "name": name,
        "clientConfig": {"service": {"name": "lockstep", "path": path}, "caBundle": STANDARD.encode(pem("one"))},
        "rules": rules,
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    })
}

/// What the chart installs for the built-in topology.
fn live() -> Value {
    let both = ["CREATE", "UPDATE"];
    let gateway = |pods: &[&str]| {
        let services = rule("", "v1", "services", &both);
        json!([rule("", "v1", "pods", pods), services, rule("apps", "v1", "daemonsets", &both)])
    };
    let metallb = json!([rule("metallb.io", "v1beta1", "l2advertisements", &both)]);
    json!({
        "mutating": {"webhooks": [webhook("mutate", "/mutate", "istio-system", &gateway(&["CREATE"]))]},
        "validating": {"webhooks": [
            webhook("validate", "/validate", "istio-system", &gateway(&both)),
            webhook("announce", "/validate", "metallb-system", &metallb),
        ]},
    })
}

fn pem(text: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(text))
}

fn verdict_for(topology: &GatewayTopologySpec, live: &Value, relied_on: Option<&str>) -> Guarded {
    let read = |side: &str| -> Option<Configuration> { serde_json::from_value(live[side].clone()).unwrap() };
    let (mutating, validating) = (read("mutating"), read("validating"));
    let (mutating, validating) = (mutating.as_ref(), validating.as_ref());
    judge(topology, Configurations { name: "lockstep", mutating, validating, relied_on })
}

fn verdict(live: &Value) -> Guarded {
    verdict_for(&GatewayTopologySpec::default(), live, None)
}

/// The live configurations with one field set.
fn with(path: &str, value: Value) -> Value {
    let mut live = live();
    let (parent, field) = path.rsplit_once('/').unwrap();
    match live.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[field.parse::<usize>().unwrap()] = value,
        object => object[field] = value,
    }
    live
}

/// The same for a field of the webhook that validates the gateway's objects.
fn with_field(field: &str, value: Value) -> Value {
    with(&format!("{GATEWAY}/{field}"), value)
}

#[track_caller]
fn assert_gap(live: &Value, reason: Reason, words: &str) {
    let guarded = verdict(live);
    assert_eq!(guarded.reason, reason, "{}", guarded.message);
    assert!(guarded.message.contains(words), "{}", guarded.message);
    assert!(!guarded.message.contains("; "), "more than one gap: {}", guarded.message);
    assert!(!guarded.is_guarded());
}

#[track_caller]
fn assert_covered(live: &Value) {
    let guarded = verdict(live);
    assert!(guarded.is_guarded(), "{}", guarded.message);
}

#[test]
fn what_the_chart_installs_covers_the_built_in_topology() {
    assert_covered(&live());
    assert_eq!(
        verdict(&live()).message,
        "every new or changed pod, Service and DaemonSet of namespace `istio-system` and L2Advertisement of namespace `metallb-system` is reviewed, or else refused"
    );
}

#[test]
fn both_configurations_must_be_there() {
    for (side, kind) in
        [("mutating", "MutatingWebhookConfiguration"), ("validating", "ValidatingWebhookConfiguration")]
    {
        let sentence = format!("there is no {kind} `lockstep`: install the chart again");
        assert_gap(&with(&format!("/{side}"), Value::Null), Reason::NoConfiguration, &sentence);
    }
}

#[test]
fn every_operation_on_every_resource_must_be_in_a_rule() {
    for (webhook, rule, operation, expected) in [
        ("/mutating/webhooks/0", 0, "CREATE", "CREATE of `pods/v1`"),
        ("/mutating/webhooks/0", 1, "CREATE", "CREATE of `services/v1`"),
        ("/mutating/webhooks/0", 1, "UPDATE", "UPDATE of `services/v1`"),
        ("/mutating/webhooks/0", 2, "CREATE", "CREATE of `daemonsets.apps/v1`"),
        ("/mutating/webhooks/0", 2, "UPDATE", "UPDATE of `daemonsets.apps/v1`"),
        (GATEWAY, 0, "CREATE", "CREATE of `pods/v1`"),
        (GATEWAY, 0, "UPDATE", "UPDATE of `pods/v1`"),
        (GATEWAY, 1, "CREATE", "CREATE of `services/v1`"),
        (GATEWAY, 1, "UPDATE", "UPDATE of `services/v1`"),
        (GATEWAY, 2, "CREATE", "CREATE of `daemonsets.apps/v1`"),
        (GATEWAY, 2, "UPDATE", "UPDATE of `daemonsets.apps/v1`"),
        ("/validating/webhooks/1", 0, "CREATE", "CREATE of `l2advertisements.metallb.io/v1beta1`"),
        ("/validating/webhooks/1", 0, "UPDATE", "UPDATE of `l2advertisements.metallb.io/v1beta1`"),
    ] {
        let others: Vec<_> =
            ["CREATE", "UPDATE", "DELETE"].into_iter().filter(|other| *other != operation).collect();
        let live = with(&format!("{webhook}/rules/{rule}/operations"), json!(others));
        assert_gap(
            &live,
            Reason::NotCovered,
            &format!("has no webhook for {expected}: install the chart again"),
        );
    }
}

#[test]
fn a_rule_must_name_group_version_resource_and_scope() {
    for (field, value) in [
        ("apiGroups", json!(["extensions"])),
        ("apiGroups", json!([""])),
        ("apiVersions", json!(["v2"])),
        ("resources", json!(["daemonsets/status"])),
        ("resources", json!(["*/status"])),
        ("resources", json!(["deployments", "deployments/*"])),
        ("scope", json!("Cluster")),
        ("scope", json!("")),
    ] {
        let live = with_field(&format!("rules/2/{field}"), value);
        assert_gap(&live, Reason::NotCovered, "has no webhook for CREATE and UPDATE of `daemonsets.apps/v1`");
    }
}

#[test]
fn each_flaw_of_a_webhook_has_its_reason_and_its_words() {
    for (field, value, reason, words) in [
        (
            "failurePolicy",
            json!("Ignore"),
            Reason::FailsOpen,
            "`Ignore`, so that what cannot be reviewed is stored: set it to `Fail`",
        ),
        ("failurePolicy", json!(""), Reason::FailsOpen, "set it to `Fail`"),
        ("clientConfig/caBundle", json!(""), Reason::NoCaBundle, "has no `caBundle`"),
        ("clientConfig/caBundle", Value::Null, Reason::NoCaBundle, "has no `caBundle`"),
        (
            "clientConfig/service/path",
            json!("/mutate"),
            Reason::NotCovered,
            "calls `/mutate` instead of `/validate`",
        ),
        ("clientConfig/service", json!({}), Reason::NotCovered, "calls `/` instead of `/validate`"),
        (
            "clientConfig",
            json!({"url": "https://a/x/validate", "caBundle": "YQ=="}),
            Reason::NotCovered,
            "calls `/x/validate`",
        ),
        (
            "matchPolicy",
            json!("Exact"),
            Reason::NotCovered,
            "`Exact`, so that requests in other API versions pass by",
        ),
        (
            "matchConditions",
            json!([{"name": "a", "expression": "true"}]),
            Reason::NotCovered,
            "`matchConditions`",
        ),
        (
            "objectSelector",
            json!({"matchLabels": {"a": "b"}}),
            Reason::NotCovered,
            "leaves out objects without the label `a`: remove its `objectSelector`",
        ),
        (
            "objectSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "Has"}]}),
            Reason::NotCovered,
            "`objectSelector` that cannot be read",
        ),
        (
            "namespaceSelector",
            json!({"matchLabels": {"a": "b"}}),
            Reason::NotCovered,
            "leaves out namespace `istio-system` without the label `a`: ",
        ),
        (
            "namespaceSelector",
            json!({"matchLabels": {"kubernetes.io/metadata.name": "other"}}),
            Reason::NotCovered,
            "leaves out namespace `istio-system`: ",
        ),
        (
            "namespaceSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}),
            Reason::NotCovered,
            "`istio-system` labelled `a=b`: ",
        ),
        (
            "namespaceSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "Has"}]}),
            Reason::NotCovered,
            "`namespaceSelector` that cannot be read",
        ),
        (
            "admissionReviewVersions",
            json!(["v1beta1"]),
            Reason::CallsFail,
            "set `admissionReviewVersions` to `[v1]`",
        ),
        ("sideEffects", json!("Some"), Reason::CallsFail, "`Some`, so that dry runs fail: set it to `None`"),
        ("sideEffects", json!("Unknown"), Reason::CallsFail, "`Unknown`"),
    ] {
        assert_gap(&with_field(field, value), reason, words);
    }
}

#[test]
fn other_ways_to_say_the_same_cover_too() {
    let name = "kubernetes.io/metadata.name";
    let names = |operator: &str, values: Value| json!({"matchExpressions": [{"key": name, "operator": operator, "values": values}]});
    for (field, value) in [
        ("rules/2", rule("*", "*", "*", &["*"])),
        ("rules/2/resources", json!(["*/*"])),
        ("rules/2/resources", json!(["daemonsets/*"])),
        ("rules/2/scope", json!("*")),
        ("sideEffects", json!("NoneOnDryRun")),
        ("admissionReviewVersions", json!(["v2", "v1"])),
        ("objectSelector", Value::Null),
        ("matchConditions", json!([])),
        ("namespaceSelector", json!({})),
        ("namespaceSelector", names("In", json!(["other", "istio-system"]))),
        ("namespaceSelector", names("NotIn", json!(["kube-system"]))),
        ("namespaceSelector", names("Exists", json!([]))),
        ("clientConfig", json!({"url": "https://localhost:8443/validate", "caBundle": "YQ=="})),
    ] {
        assert_covered(&with_field(field, value));
    }
}

#[test]
fn exact_versions_are_enough_where_rules_name_all_of_them() {
    let mut live = with_field("matchPolicy", json!("Exact"));
    for rule in 0..3 {
        *live.pointer_mut(&format!("{GATEWAY}/rules/{rule}/apiVersions")).unwrap() = json!(["*"]);
    }
    assert_covered(&live);
}

#[test]
fn several_webhooks_may_share_what_is_needed() {
    let mut live = with_field("rules/0/operations", json!(["CREATE"]));
    let more = webhook("more", "/validate", "istio-system", &json!([rule("", "v1", "pods", &["UPDATE"])]));
    live.pointer_mut("/validating/webhooks").unwrap().as_array_mut().unwrap().push(more);
    assert_covered(&live);
}

/// What is wrong with others does not matter.
#[test]
fn one_right_webhook_is_enough() {
    for namespace in ["edge", "istio-system"] {
        let mut live = live();
        let rules = json!([rule("", "v1", "pods", &["*"])]);
        let mut other = webhook("other", "/validate", namespace, &rules);
        other["failurePolicy"] = "Ignore".into();
        live.pointer_mut("/validating/webhooks").unwrap().as_array_mut().unwrap().insert(0, other);
        assert_covered(&live);
    }
}

#[test]
fn a_webhook_for_other_namespaces_is_not_the_one_to_mend() {
    let mut live = with_field("failurePolicy", json!("Ignore"));
    *live.pointer_mut(&format!("{GATEWAY}/sideEffects")).unwrap() = json!("Some");
    let other = webhook("other", "/validate", "edge", &json!([rule("", "v1", "*", &["*"])]));
    live.pointer_mut("/validating/webhooks").unwrap().as_array_mut().unwrap().insert(0, other);
    let guarded = verdict(&live);
    assert_eq!(guarded.reason, Reason::FailsOpen);
    assert!(!guarded.message.contains("`other`"), "{}", guarded.message);
}

#[test]
fn a_topology_of_other_namespaces_needs_these() {
    let edge = |spec: Value| serde_json::from_value::<GatewayTopologySpec>(spec).unwrap();
    for (spec, namespace, count) in [
        (json!({"gateway": {"namespace": "edge"}}), "edge", 2),
        (json!({"metallbNamespace": "metallb"}), "metallb", 1),
    ] {
        let guarded = verdict_for(&edge(spec), &live(), None);
        assert_eq!(guarded.reason, Reason::NotCovered);
        let sentence = format!("leaves out namespace `{namespace}`: add the topology to the chart's values");
        assert_eq!(guarded.message.matches(&sentence).count(), count, "{}", guarded.message);
    }
}

#[test]
fn every_certificate_that_is_relied_on_must_be_in_the_bundle() {
    let verdict = |live: &Value, relied_on: &str| {
        verdict_for(&GatewayTopologySpec::default(), live, Some(relied_on)).reason
    };
    let both = format!("{}{}", pem("one"), pem("two"));
    assert_eq!(verdict(&live(), &pem("one")), Reason::Covered);
    assert_eq!(verdict(&live(), &pem("two")), Reason::OtherCaBundle);
    assert_eq!(verdict(&live(), &both), Reason::OtherCaBundle);
    assert_eq!(
        verdict(&with_field("clientConfig/caBundle", json!("no base64")), &pem("one")),
        Reason::OtherCaBundle
    );
    assert_eq!(verdict(&with_field("clientConfig/caBundle", json!("")), &pem("one")), Reason::NoCaBundle);
    // While authorities are replaced the bundle holds both, and the ends of lines may differ.
    let rotating = live().to_string().replace(&STANDARD.encode(pem("one")), &STANDARD.encode(&both));
    let rotating: Value = serde_json::from_str(&rotating).unwrap();
    for relied_on in [pem("one"), pem("two").replace('\n', "\r\n"), both] {
        assert_eq!(verdict(&rotating, &relied_on), Reason::Covered);
    }
}

#[test]
fn the_gravest_reason_speaks_and_every_gap_is_told_once() {
    let mut live = with_field("failurePolicy", json!("Ignore"));
    *live.pointer_mut(&format!("{GATEWAY}/sideEffects")).unwrap() = json!("Some");
    live.pointer_mut("/mutating/webhooks/0/rules").unwrap().as_array_mut().unwrap().remove(0);
    let guarded = verdict(&live);
    assert_eq!(guarded.reason, Reason::NotCovered);
    assert_eq!(
        guarded.message,
        "MutatingWebhookConfiguration `lockstep` has no webhook for CREATE of `pods/v1`: install the chart again; \
         webhook `validate` of ValidatingWebhookConfiguration `lockstep` has `failurePolicy` `Ignore`, so that what cannot be reviewed is stored: set it to `Fail`; \
         webhook `validate` of ValidatingWebhookConfiguration `lockstep` has `sideEffects` `Some`, so that dry runs fail: set it to `None`"
    );
}

#[test]
fn a_topology_that_cannot_be_used_is_not_guarded() {
    let guarded = Guarded::unusable("spec: it is missing");
    assert!(!guarded.is_guarded());
    assert_eq!(guarded.message, "the topology cannot be used and is left out: spec: it is missing");
}
