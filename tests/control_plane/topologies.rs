//! The CRD of topologies on a real API server rejects and fills in the same fields as the program.

use axum::http::{Method, StatusCode};
use lockstep::topology::GatewayTopologySpec;
use lockstep_test_support::control_plane::{ControlPlane, MetalLb};
use lockstep_test_support::https::get;
use lockstep_test_support::objects::namespace;
use lockstep_test_support::serve::Serve;
use lockstep_test_support::{api, wait};
use serde_json::{Map, Value, json};

async fn start() -> (ControlPlane, kube::Client) {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    let client = control_plane.client().await.unwrap();
    (control_plane, client)
}

fn topology(index: usize, spec: &Value) -> Value {
    json!({
        "apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology",
        "metadata": {"name": format!("topology-{index}")}, "spec": spec,
    })
}

/// Reads a spec as the program does.
fn read(spec: &Value) -> Result<GatewayTopologySpec, String> {
    let spec: GatewayTopologySpec =
        serde_json::from_value(spec.clone()).map_err(|error| error.to_string())?;
    spec.check().map_err(|error| error.to_string())?;
    Ok(spec)
}

fn pod_labels(key: &str, value: &Value) -> Value {
    json!({"gateway": {"podLabels": {key: value}}})
}

fn long(length: usize) -> String {
    "x".repeat(length)
}

/// Invalid specs, each with the field and some words of the API server's message.
fn wrong() -> Vec<(Value, &'static str, &'static str)> {
    const LABELS: &str = "spec.gateway.podLabels";
    const KEY: &str = "every key must be a label key: `name` or `dns.prefix/name`";
    let entries: Vec<String> = (0..65).map(|index| format!("entry-{index}")).collect();
    let labels: Map<String, Value> = entries.iter().map(|key| (key.clone(), json!("x"))).collect();
    let keys = ["", "/a", "a b", "a/b/c", "Ex.com/a", "ex..com/a", "ex_com/a", "a\n"];
    let keys = keys.map(str::to_owned).into_iter();
    let long_keys = [long(64), format!("{}/a", long(254)), format!("a/{}", long(64))];
    let mut wrong: Vec<_> =
        keys.chain(long_keys).map(|key| (pod_labels(&key, &json!("x")), LABELS, KEY)).collect();
    wrong.extend([
        (pod_labels("a", &json!("-x")), "spec.gateway.podLabels.a", "should match"),
        (pod_labels("a", &json!("x\n")), "spec.gateway.podLabels.a", "should match"),
        (pod_labels("a", &json!(long(64))), "spec.gateway.podLabels.a", "63 bytes"),
        (pod_labels("a", &json!(7)), "spec.gateway.podLabels.a", "of type string"),
        (pod_labels("a", &Value::Null), LABELS, "at least 1 properties"),
        (json!({"gateway": {"podLabels": {}}}), LABELS, "at least 1 properties"),
        (json!({"gateway": {"podLabels": labels}}), LABELS, "at most 64"),
        (json!({"gateway": {"namespace": ""}}), "spec.gateway.namespace", "should match"),
        (json!({"gateway": {"namespace": "a.b"}}), "spec.gateway.namespace", "should match"),
        (json!({"gateway": {"namespace": long(64)}}), "spec.gateway.namespace", "63 bytes"),
        (json!({"metallbNamespace": "MetalLB"}), "spec.metallbNamespace", "should match"),
        (json!({"placement": {"onConflict": "deny"}}), "spec.placement.onConflict", "\"Deny\", \"Override\""),
        (json!({"addressPools": []}), "spec.addressPools", "at least 1 items"),
        (json!({"addressPools": entries}), "spec.addressPools", "at most 64 items"),
        (json!({"addressPools": ["a", "a"]}), "spec.addressPools[1]", "Duplicate value"),
        (json!({"addressPools": [""]}), "spec.addressPools[0]", "at least 1 chars"),
        (json!({"addressPools": [long(254)]}), "spec.addressPools[0]", "253 bytes"),
        (json!({"announcements": {"match": "exact"}}), "spec.announcements.match", "\"LiveNodes\""),
        (json!({"service": {"types": []}}), "spec.service.types", "at least 1 items"),
        (json!({"service": {"types": ["ExternalName"]}}), "spec.service.types[0]", "\"NodePort\""),
        (json!({"service": {"types": ["NodePort", "NodePort"]}}), "spec.service.types[1]", "Duplicate value"),
        (json!({"service": {"loadBalancerClasses": []}}), "spec.service.loadBalancerClasses", "at least 1"),
        (
            json!({"service": {"loadBalancerClasses": ["a", "a"]}}),
            "spec.service.loadBalancerClasses[1]",
            "Duplicate",
        ),
        (
            json!({"service": {"loadBalancerClasses": [long(318)]}}),
            "spec.service.loadBalancerClasses[0]",
            "317 bytes",
        ),
        (json!({"enforcement": "Off"}), "spec.enforcement", "\"Enforce\", \"Warn\", \"Audit\""),
        (
            json!({"enforcementByRule": {"placement": "Warn"}}),
            "spec.enforcementByRule",
            "gateway-placement, external",
        ),
        (
            json!({"enforcementByRule": {"gateway-placement": "Off"}}),
            "spec.enforcementByRule.gateway-placement",
            "\"Audit\"",
        ),
        (exception("rule", json!("placement")), "spec.exceptions[0].rule", "\"gateway-placement\""),
        (exception("kind", json!("Deployment")), "spec.exceptions[0].kind", "\"DaemonSet\""),
        (exception("namespace", json!("")), "spec.exceptions[0].namespace", "should match"),
        (exception("name", json!("")), "spec.exceptions[0].name", "at least 1 chars"),
        (exception("name", json!(long(255))), "spec.exceptions[0].name", "254"),
        (exception("reason", json!("")), "spec.exceptions[0].reason", "at least 1 chars"),
        (exception("reason", json!(long(257))), "spec.exceptions[0].reason", "256"),
        (exception("until", json!("tomorrow")), "spec.exceptions[0].until", "date-time"),
        (json!({"service": {"onCluster": "deny"}}), "spec.service.onCluster", "\"Mutate\", \"Deny\""),
        (Value::Null, "spec", "Required value"),
    ]);
    wrong
}

/// A topology with an exception that is right but for this field.
fn exception(field: &str, value: Value) -> Value {
    let mut exception =
        json!({"rule": "gateway-placement", "kind": "Pod", "namespace": "a", "name": "b", "reason": "c"});
    exception[field] = value;
    json!({"exceptions": [exception]})
}

#[tokio::test]
async fn the_program_and_the_api_server_reject_the_same_topologies() {
    let (_control_plane, client) = start().await;
    for (index, (spec, field, words)) in wrong().into_iter().enumerate() {
        assert!(read(&spec).is_err(), "the program accepts {spec}");
        let answer = api::post(&client, &topology(index, &spec), true).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{spec}: {}", answer.body);
        let causes = answer.body["details"]["causes"].as_array().unwrap();
        let is_expected =
            |cause: &Value| cause["field"] == field && cause["message"].as_str().unwrap().contains(words);
        assert!(causes.iter().any(is_expected), "{spec} at {field}: {}", answer.body);
    }
}

#[tokio::test]
async fn the_program_and_the_api_server_fill_in_the_same_defaults() {
    let (_control_plane, client) = start().await;
    let longest = format!("{}.{}/{}", long(126), long(126), long(63));
    for (index, spec) in [
        json!({}),
        json!({"gateway": {"namespace": "edge"}}),
        json!({"gateway": {"podLabels": {longest: long(63), "empty": ""}}}),
        json!({"placement": {"onConflict": "Override"}}),
        json!({"placement": {"nodeSelector": {"a": "b"}}, "announcements": {}, "service": {}}),
        json!({"service": {"types": ["NodePort", "ClusterIP"], "loadBalancerClasses": ["", "example.com/lb"]}}),
        json!({"enforcement": "Warn", "enforcementByRule": {"gateway-placement": "Audit"}}),
    ]
    .into_iter()
    .enumerate()
    {
        let expected = read(&spec).unwrap();
        let stored = api::create(&client, &topology(index, &spec)).await;
        assert_eq!(stored["spec"], serde_json::to_value(&expected).unwrap(), "{spec}");
        assert_eq!(read(&stored["spec"]), Ok(expected));
    }
    assert_eq!(read(&json!({})), Ok(GatewayTopologySpec::default()));
}

/// The definition of a later release: a field more in the spec and one in a part of it, both with defaults.
async fn define_later_fields(client: &kube::Client) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gatewaytopologies.lockstep.dev";
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let later = json!({"type": "string", "default": "AsBefore"});
    let patch = json!([
        {"op": "add", "path": format!("{spec}/later"), "value": later},
        {"op": "add", "path": format!("{spec}/announcements/properties/later"), "value": later},
    ]);
    let answer = api::call(client, Method::PATCH, path, "application/json-patch+json", &patch).await;
    assert!(answer.status.is_success(), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topology_is_enforced_although_its_definition_is_of_a_later_release() {
    let (control_plane, client) = start().await;
    control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    for name in ["istio-system", "metallb-system"] {
        api::create(&client, &namespace(name)).await;
    }
    let stored = topology(0, &json!({}));
    api::create(&client, &stored).await;
    define_later_fields(&client).await;
    let is_defined = wait::until_so(async || {
        let answer =
            api::call(&client, Method::GET, &api::path_of(&stored), "application/json", &Value::Null).await;
        answer.body["spec"]["announcements"]["later"] == "AsBefore"
            && answer.body["spec"]["later"] == "AsBefore"
    });
    assert!(is_defined.await, "the API server fills in the fields of the definition");
    // As a replica does after an upgrade of the definition, or after a rollback.
    let mut serve = Serve::on_cluster(control_plane.kubeconfig_path()).await;
    let event = serve.event("ignoring fields that only a later release knows").await;
    assert_eq!(event["name"], "topology-0", "{event}");
    assert_eq!(event["fields"], "spec.later, spec.announcements.later", "{event}");
    wait::until_enforced(&serve.admin, 1).await;
    let (_, metrics) = get(&serve.admin, "/metrics").await;
    assert!(metrics.contains("lockstep_topologies_invalid 0\n"), "{metrics}");
}
