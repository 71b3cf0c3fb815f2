//! Tests of every check, each with configurations that have a single fault.

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

/// Returns the chart's webhook configurations for the built-in topology.
fn live() -> Value {
    let both = ["CREATE", "UPDATE"];
    let gateway = |pods: &[&str]| {
        let services = rule("", "v1", "services", &both);
        json!([rule("", "v1", "pods", pods), services, rule("apps", "v1", "daemonsets", &both)])
    };
    let metallb = ["l2advertisements", "bgpadvertisements", "ipaddresspools", "addresspools"]
        .map(|kind| rule("metallb.io", "v1beta1", kind, &["CREATE", "UPDATE", "DELETE"]));
    let metallb = json!(metallb);
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

fn verdict_for(topology: &GatewayTopologySpec, live: &Value, trust_anchors: Option<&str>) -> Guarded {
    let read = |side: &str| -> Option<Configuration> { serde_json::from_value(live[side].clone()).unwrap() };
    let (mutating, validating) = (read("mutating"), read("validating"));
    let (mutating, validating) = (mutating.as_ref(), validating.as_ref());
    let calls = Calls::new();
    judge(topology, Configurations { name: "lockstep", mutating, validating, trust_anchors, calls: &calls })
}

fn verdict(live: &Value) -> Guarded {
    verdict_for(&GatewayTopologySpec::default(), live, None)
}

/// Returns the live configurations with one field changed.
fn with(path: &str, value: Value) -> Value {
    let mut live = live();
    let (parent, field) = path.rsplit_once('/').unwrap();
    match live.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[field.parse::<usize>().unwrap()] = value,
        object => object[field] = value,
    }
    live
}

/// Returns the live configurations with a change in one field of the webhook that validates the gateway's objects.
fn with_field(field: &str, value: Value) -> Value {
    with(&format!("{GATEWAY}/{field}"), value)
}

#[track_caller]
fn assert_gap(live: &Value, reason: GuardedReason, words: &str) {
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
fn the_charts_configurations_cover_the_built_in_topology() {
    assert_covered(&live());
    assert_eq!(
        verdict(&live()).message,
        "every new or changed pod, Service and DaemonSet of the gateway in namespace `istio-system`, and every new, changed or deleted pool and advertisement of namespace `metallb-system` is sent to Lockstep, and rejected if the call fails"
    );
}

#[test]
fn a_missing_configuration_is_a_gap() {
    for (side, kind) in
        [("mutating", "MutatingWebhookConfiguration"), ("validating", "ValidatingWebhookConfiguration")]
    {
        let sentence = format!("{kind} `lockstep` does not exist: install the chart again");
        assert_gap(&with(&format!("/{side}"), Value::Null), GuardedReason::NoConfiguration, &sentence);
    }
}

#[test]
fn an_operation_or_resource_without_a_rule_is_a_gap() {
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
        ("/validating/webhooks/1", 0, "DELETE", "DELETE of `l2advertisements.metallb.io/v1beta1`"),
        ("/validating/webhooks/1", 1, "CREATE", "CREATE of `bgpadvertisements.metallb.io/v1beta1`"),
        ("/validating/webhooks/1", 1, "DELETE", "DELETE of `bgpadvertisements.metallb.io/v1beta1`"),
        ("/validating/webhooks/1", 2, "UPDATE", "UPDATE of `ipaddresspools.metallb.io/v1beta1`"),
        ("/validating/webhooks/1", 2, "DELETE", "DELETE of `ipaddresspools.metallb.io/v1beta1`"),
        ("/validating/webhooks/1", 3, "CREATE", "CREATE of `addresspools.metallb.io/v1beta1`"),
    ] {
        let others: Vec<_> =
            ["CREATE", "UPDATE", "DELETE"].into_iter().filter(|other| *other != operation).collect();
        let live = with(&format!("{webhook}/rules/{rule}/operations"), json!(others));
        assert_gap(
            &live,
            GuardedReason::NotCovered,
            &format!("has no webhook for {expected}: install the chart again"),
        );
    }
}

#[test]
fn a_rule_covers_only_its_group_version_resource_and_scope() {
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
        assert_gap(
            &live,
            GuardedReason::NotCovered,
            "has no webhook for CREATE and UPDATE of `daemonsets.apps/v1`",
        );
    }
}

#[test]
fn each_flaw_of_a_webhook_has_its_reason_and_message() {
    for (field, value, reason, words) in [
        (
            "failurePolicy",
            json!("Ignore"),
            GuardedReason::FailsOpen,
            "`Ignore`, so the API server stores objects when the call fails: set it to `Fail`",
        ),
        ("failurePolicy", json!(""), GuardedReason::FailsOpen, "set it to `Fail`"),
        ("clientConfig/caBundle", json!(""), GuardedReason::NoCaBundle, "has no `caBundle`"),
        ("clientConfig/caBundle", Value::Null, GuardedReason::NoCaBundle, "has no `caBundle`"),
        (
            "clientConfig/service/path",
            json!("/mutate"),
            GuardedReason::NotCovered,
            "calls `/mutate` instead of `/validate`",
        ),
        ("clientConfig/service", json!({}), GuardedReason::NotCovered, "calls `/` instead of `/validate`"),
        (
            "clientConfig",
            json!({"url": "https://a/x/validate", "caBundle": "YQ=="}),
            GuardedReason::NotCovered,
            "calls `/x/validate`",
        ),
        (
            "matchPolicy",
            json!("Exact"),
            GuardedReason::NotCovered,
            "`Exact`, so requests in other API versions are not sent to it",
        ),
        (
            "matchConditions",
            json!([{"name": "a", "expression": "true"}]),
            GuardedReason::NotCovered,
            "`matchConditions`",
        ),
        (
            "objectSelector",
            json!({"matchLabels": {"a": "b"}}),
            GuardedReason::NotCovered,
            "does not select objects without the label `a`: remove its `objectSelector`",
        ),
        (
            "objectSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "Has"}]}),
            GuardedReason::NotCovered,
            "`objectSelector` at `matchExpressions[0].operator`: `Has` is not a label selector operator",
        ),
        (
            "namespaceSelector",
            json!({"matchLabels": {"a": "b"}}),
            GuardedReason::NotCovered,
            "does not select namespace `istio-system` without the label `a`: ",
        ),
        (
            "namespaceSelector",
            json!({"matchLabels": {"kubernetes.io/metadata.name": "other"}}),
            GuardedReason::NotCovered,
            "does not select namespace `istio-system`: ",
        ),
        (
            "namespaceSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}),
            GuardedReason::NotCovered,
            "`istio-system` labelled `a=b`: ",
        ),
        (
            "namespaceSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "Has"}]}),
            GuardedReason::NotCovered,
            "`namespaceSelector` at `matchExpressions[0].operator`: `Has` is not a label selector operator",
        ),
        (
            "admissionReviewVersions",
            json!(["v1beta1"]),
            GuardedReason::CallsFail,
            "does not list `v1` in `admissionReviewVersions`, so every call fails: set it to `[v1]`",
        ),
        (
            "sideEffects",
            json!("Some"),
            GuardedReason::CallsFail,
            "`Some`, so dry runs fail: set it to `None`",
        ),
        ("sideEffects", json!("Unknown"), GuardedReason::CallsFail, "`Unknown`"),
    ] {
        assert_gap(&with_field(field, value), reason, words);
    }
}

#[test]
fn wildcards_and_equivalent_forms_cover() {
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
fn match_policy_exact_covers_if_the_rules_name_all_versions() {
    let mut live = with_field("matchPolicy", json!("Exact"));
    for rule in 0..3 {
        *live.pointer_mut(&format!("{GATEWAY}/rules/{rule}/apiVersions")).unwrap() = json!(["*"]);
    }
    assert_covered(&live);
}

#[test]
fn several_webhooks_together_cover() {
    let mut live = with_field("rules/0/operations", json!(["CREATE"]));
    let more = webhook("more", "/validate", "istio-system", &json!([rule("", "v1", "pods", &["UPDATE"])]));
    live.pointer_mut("/validating/webhooks").unwrap().as_array_mut().unwrap().push(more);
    assert_covered(&live);
}

/// Flaws of other webhooks do not matter.
#[test]
fn one_webhook_without_flaws_covers() {
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
fn flaws_are_reported_for_the_webhook_that_selects_the_namespace() {
    let mut live = with_field("failurePolicy", json!("Ignore"));
    *live.pointer_mut(&format!("{GATEWAY}/sideEffects")).unwrap() = json!("Some");
    let other = webhook("other", "/validate", "edge", &json!([rule("", "v1", "*", &["*"])]));
    live.pointer_mut("/validating/webhooks").unwrap().as_array_mut().unwrap().insert(0, other);
    let guarded = verdict(&live);
    assert_eq!(guarded.reason, GuardedReason::FailsOpen);
    assert!(!guarded.message.contains("`other`"), "{}", guarded.message);
}

#[test]
fn a_topology_in_other_namespaces_needs_these_namespaces() {
    let edge = |spec: Value| serde_json::from_value::<GatewayTopologySpec>(spec).unwrap();
    for (spec, namespace, count) in [
        (json!({"gateway": {"namespace": "edge"}}), "edge", 2),
        (json!({"metallbNamespace": "metallb"}), "metallb", 1),
    ] {
        let guarded = verdict_for(&edge(spec), &live(), None);
        assert_eq!(guarded.reason, GuardedReason::NotCovered);
        let sentence =
            format!("does not select namespace `{namespace}`: add the topology to the chart's values");
        assert_eq!(guarded.message.matches(&sentence).count(), count, "{}", guarded.message);
    }
}

#[test]
fn a_ca_bundle_without_a_trust_anchor_is_a_gap() {
    let verdict = |live: &Value, trust_anchors: &str| {
        verdict_for(&GatewayTopologySpec::default(), live, Some(trust_anchors)).reason
    };
    let both = format!("{}{}", pem("one"), pem("two"));
    assert_eq!(verdict(&live(), &pem("one")), GuardedReason::Covered);
    assert_eq!(verdict(&live(), &pem("two")), GuardedReason::OtherCaBundle);
    assert_eq!(verdict(&live(), &both), GuardedReason::OtherCaBundle);
    assert_eq!(
        verdict(&with_field("clientConfig/caBundle", json!("no base64")), &pem("one")),
        GuardedReason::OtherCaBundle
    );
    assert_eq!(
        verdict(&with_field("clientConfig/caBundle", json!("")), &pem("one")),
        GuardedReason::NoCaBundle
    );
    // During a rotation the bundle contains both CAs, and line endings may differ.
    let rotating = live().to_string().replace(&STANDARD.encode(pem("one")), &STANDARD.encode(&both));
    let rotating: Value = serde_json::from_str(&rotating).unwrap();
    for trust_anchors in [pem("one"), pem("two").replace('\n', "\r\n"), both] {
        assert_eq!(verdict(&rotating, &trust_anchors), GuardedReason::Covered);
    }
}

#[test]
fn the_gravest_reason_wins_and_each_gap_is_reported_once() {
    let mut live = with_field("failurePolicy", json!("Ignore"));
    *live.pointer_mut(&format!("{GATEWAY}/sideEffects")).unwrap() = json!("Some");
    live.pointer_mut("/mutating/webhooks/0/rules").unwrap().as_array_mut().unwrap().remove(0);
    let guarded = verdict(&live);
    assert_eq!(guarded.reason, GuardedReason::NotCovered);
    assert_eq!(
        guarded.message,
        "MutatingWebhookConfiguration `lockstep` has no webhook for CREATE of `pods/v1`: install the chart again; \
         webhook `validate` of ValidatingWebhookConfiguration `lockstep` has `failurePolicy` `Ignore`, so the API server stores objects when the call fails: set it to `Fail`; \
         webhook `validate` of ValidatingWebhookConfiguration `lockstep` has `sideEffects` `Some`, so dry runs fail: set it to `None`"
    );
}

#[test]
fn an_invalid_topology_is_not_guarded() {
    let guarded = Guarded::unusable("spec: it is missing");
    assert!(!guarded.is_guarded());
    assert_eq!(guarded.message, "the topology is invalid and ignored: spec: it is missing");
}

#[test]
fn calls_that_do_not_arrive_are_a_gap_and_what_was_not_read_makes_the_condition_unknown() {
    let service =
        json!({"namespace": "lockstep-system", "name": "lockstep", "path": "/validate", "port": 8443});
    let live = with_field("clientConfig/service", service);
    let configuration: Configuration = serde_json::from_value(live["validating"].clone()).unwrap();
    let mutating: Configuration = serde_json::from_value(live["mutating"].clone()).unwrap();
    let target = CallTarget::of(&configuration.webhooks[0]).unwrap();
    assert_eq!((target.port, target.server_name().as_str()), (8443, "lockstep.lockstep-system.svc"));
    for (fault, reason, status, words) in [
        (None, GuardedReason::Covered, "True", "is sent to Lockstep"),
        (Some(CallFault::NoService), GuardedReason::Unreachable, "False", "which does not exist"),
        (Some(CallFault::NoPort), GuardedReason::Unreachable, "False", "calls port 8443 of Service"),
        (Some(CallFault::NoEndpoint), GuardedReason::Unreachable, "False", "has no ready endpoint"),
        (Some(CallFault::NotConnected("refused".into())), GuardedReason::Unreachable, "False", "(refused)"),
        (Some(CallFault::Certificate("expired".into())), GuardedReason::Unreachable, "False", "(expired)"),
        (Some(CallFault::Unread("no right".into())), GuardedReason::Unread, "Unknown", "(no right)"),
    ] {
        let calls = Calls::from([(target.clone(), fault)]);
        let live = Configurations {
            name: "lockstep",
            mutating: Some(&mutating),
            validating: Some(&configuration),
            trust_anchors: None,
            calls: &calls,
        };
        let guarded = judge(&GatewayTopologySpec::default(), live);
        assert_eq!((guarded.reason, guarded.status()), (reason, status), "{}", guarded.message);
        assert!(guarded.message.contains(words), "{}", guarded.message);
    }
}
