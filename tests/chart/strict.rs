//! A real API server accepts everything that the chart renders, with strict field validation.

use serde_json::{Value, json};

use lockstep_test_support::api;
use lockstep_test_support::control_plane::Options;
use lockstep_test_support::helm::{Helm, NAMESPACE, VALUES, objects, text};
use lockstep_test_support::objects::namespace;
use lockstep_test_support::release::{Cluster, apply};

/// API groups whose CRDs are not installed here. Only the snapshots check these objects.
const ELSEWHERE: [&str; 3] =
    ["monitoring.coreos.com/v1", "cert-manager.io/v1", "grafana.integreatly.org/v1beta1"];

/// The namespace without a Pod Security Standard.
const OPEN: &str = "open";

/// The values that the sets in `ci` leave at their defaults, each in another state, in sets that can be rendered together.
fn other_states() -> [Vec<String>; 4] {
    let ca = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
    let files =
        json!({"mode": "files", "files": {"secretName": "pair", "caBundle": ca}, "reloadSeconds": 20});
    let of = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let mut own_certificate = of(&[
        r#"fullnameOverride="guard""#,
        "audit.enabled=false",
        "networkPolicy.enabled=false",
        "podSecurityContext.runAsGroup=1000",
        r#"nodeSelector={"kubernetes.io/os":null,"example.org/pool":"system"}"#,
    ]);
    own_certificate.push(format!("certificates={files}"));
    [
        own_certificate,
        of(&[
            r#"nameOverride="guard""#,
            r#"crds={"enabled":true,"keep":false}"#,
            r#"webhooks={"timeoutSeconds":7,"onlyGatewayObjects":false,"warnOfWorkloads":false,"labels":{"admissions.enforcer/disabled":"false"}}"#,
            "nodeGuard.enabled=false",
            r#"certificates.self={"caLifetime":7776000,"leafLifetime":259200,"caPropagation":30}"#,
            r#"podDisruptionBudget.maxUnavailable="50%""#,
            "rbac.reader=false",
            "reports.enabled=false",
            r#"metrics.listen="Localhost""#,
            r#"nodeNames="always""#,
            r#"listenAddress="[::]""#,
            "drainSeconds=20",
            r#"log={"level":"debug","format":"text"}"#,
            "audit.allowed=true",
            r#"extraArgs=["--stale-after=3m"]"#,
            r#"networkPolicy.apiServerCIDRs=["192.0.2.0/24"]"#,
        ]),
        // What the restricted standard refuses.
        of(&[
            r#"namespaceOverride="open""#,
            "hostNetwork=true",
            r#"podSecurityContext={"runAsNonRoot":false,"seccompProfile":{"type":"Unconfined"}}"#,
            r#"securityContext={"allowPrivilegeEscalation":true,"capabilities":{"drop":["NET_RAW"]},"readOnlyRootFilesystem":false}"#,
        ]),
        of(&[
            r#"certificates={"mode":"cert-manager","certManager":{"issuerRef":{"name":"ca"},"duration":"24h","renewBefore":"8h"}}"#,
            r#"serviceMonitor={"enabled":true,"interval":"15s"}"#,
            r#"podMonitor={"enabled":true,"interval":"15s"}"#,
            r#"prometheusRule={"enabled":true,"certificateExpirySeconds":7200,"runbookUrl":"https://runbooks.example"}"#,
            r#"dashboard={"enabled":true,"namespace":"open","labels":{"grafana_dashboard":"2"}}"#,
        ]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rendered_object_is_accepted_under_the_restricted_pod_security_standard() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    let crd = text("crds/gatewaytopologies.yaml");
    cluster.control_plane.install_crd("gatewaytopologies.lockstep.dev", &crd).await.unwrap();
    for name in ["edge", "metallb-system", OPEN] {
        api::create(&client, &namespace(name)).await;
    }
    let standard = ["enforce", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), json!("restricted")))
        .into_iter()
        .collect::<serde_json::Map<_, _>>();
    let restricted = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": standard},
    });
    api::create(&client, &restricted).await;
    let sets = VALUES.map(|values| (values, Vec::new()));
    for (values, more) in sets.into_iter().chain(other_states().map(|state| ("default", state))) {
        let more: Vec<&str> = more.iter().flat_map(|value| ["--set-json", value.as_str()]).collect();
        let rendered = Helm::offline().render(values, &more);
        assert!(rendered.len() > 8, "{values} renders {} objects", rendered.len());
        for object in &rendered {
            if ELSEWHERE.contains(&object["apiVersion"].as_str().unwrap()) {
                continue;
            }
            let answer = apply(&client, object, "strict", "&dryRun=All").await;
            assert!(answer.status.is_success(), "{values} {more:?}: {object}: {}", answer.body);
            assert_eq!(answer.warnings, Vec::<String>::new(), "{values} {more:?}: {object}");
        }
    }
}

/// The values that are not sections, with their paths.
fn leaves(values: &Value, path: &[String], found: &mut Vec<(Vec<String>, Value)>) {
    match values {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                leaves(value, &[path, std::slice::from_ref(key)].concat(), found);
            }
        }
        _ => found.push((path.to_vec(), values.clone())),
    }
}

#[test]
fn every_value_is_rendered_in_another_state_than_its_default() {
    let parse = |yaml: &str| serde_saphyr::from_str::<Value>(yaml).unwrap();
    let mut states: Vec<Value> =
        VALUES.iter().map(|values| parse(&text(&format!("ci/{values}-values.yaml")))).collect();
    for state in other_states().iter().flatten() {
        let (path, value) = state.split_once('=').unwrap();
        let value: Value = serde_json::from_str(value).unwrap();
        states.push(path.rsplit('.').fold(value, |value, key| json!({key: value})));
    }
    let mut all = Vec::new();
    leaves(&parse(&text("values.yaml")), &[], &mut all);
    for (path, default) in all {
        let is_in = |state: &Value| {
            let value = path.iter().try_fold(state, |value, key| value.get(key));
            value.is_some_and(|value| *value != default)
        };
        assert!(
            states.iter().any(is_in),
            "no set has `{}` in another state than its default",
            path.join(".")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_validation_rejects_an_unknown_field() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    api::create(&client, &namespace(NAMESPACE)).await;
    let mut deployment =
        lockstep_test_support::helm::the("Deployment", &Helm::offline().render("default", &[]));
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = json!(30);
    let answer = apply(&client, &deployment, "strict", "&dryRun=All").await;
    assert!(answer.body["message"].as_str().unwrap().contains("terminationGracePeriod"), "{}", answer.body);
}

/// The API server's defaults for an object. A tool that compares a manifest with the cluster field by field would
/// report each of them as drift.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_adds_no_default_to_a_webhook_configuration() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let object =
            lockstep_test_support::helm::the(kind, &objects(&Helm::offline().template("default", &[])));
        let stored = apply(&client, &object, "strict", "").await.body;
        let sorted = |webhooks: &Value| {
            let mut webhooks = webhooks.as_array().unwrap().clone();
            webhooks.sort_by_key(|webhook| webhook["name"].to_string());
            webhooks
        };
        assert_eq!(sorted(&stored["webhooks"]), sorted(&object["webhooks"]), "{kind}");
    }
}
