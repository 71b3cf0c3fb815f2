//! Workloads on a real API server with the chart installed and one replica: a warning where their pods would be denied, and
//! nothing else.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use kube::Client;
use lockstep::objects::Kind;
use lockstep_test_support::api::{self, call, path_of};
use lockstep_test_support::control_plane::{MetalLb, Options};
use lockstep_test_support::objects::{gateway_labels, namespace};
use lockstep_test_support::release::{Cluster, read};
use lockstep_test_support::root;
use lockstep_test_support::shell::{Shell, said};
use lockstep_test_support::wait;
use lockstep_test_support::webhook::{calls, metric};
use serde_json::{Value, json};

use crate::replica::Replica;

const WARNING: &str =
    "gateway-placement CONFLICT: its pods would be denied: the pod asks for nodes with the value `ndp`";

/// The subresources and the freedom of Argo's own definition.
const ROLLOUTS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  names: {kind: Rollout, listKind: RolloutList, plural: rollouts, singular: rollout}
  scope: Namespaced
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
      subresources:
        status: {}
        scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
";

struct House {
    replica: Replica,
    admin: Client,
    cluster: Cluster,
}

impl House {
    async fn start() -> Self {
        let cluster =
            Cluster::start(Options::default().api_server_arg("--enable-aggregator-routing=true")).await;
        let admin = cluster.client().await;
        cluster.control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
        cluster.control_plane.install_crd("rollouts.argoproj.io", ROLLOUTS).await.unwrap();
        for name in ["istio-system", "metallb-system"] {
            api::create(&admin, &namespace(name)).await;
        }
        cluster.install(&[]);
        let replica = Replica::start(&cluster, &admin).await;
        wait::until_enforced(&replica.serve.admin, 1).await;
        let house = Self { replica, admin, cluster };
        let probe = workload(Kind::Deployment, "probe", "ndp");
        let is_warned =
            wait::until_so(async || !api::post(&house.admin, &probe, true).await.warnings.is_empty());
        assert!(is_warned.await, "the API server never calls the webhook for workloads");
        house
    }

    async fn reviews(&self) -> u64 {
        metric(&self.replica.serve.admin, &calls("validate")).await
            + metric(&self.replica.serve.admin, &calls("mutate")).await
    }
}

/// A workload of the gateway whose pods ask for nodes with this value.
fn workload(kind: Kind, name: &str, value: &str) -> Value {
    let labels = gateway_labels();
    json!({
        "apiVersion": kind.resource().api_version(), "kind": kind.name(),
        "metadata": {"name": name, "namespace": "istio-system"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {"loadbalancerIPs.metallb.io": value},
                    "containers": [{"name": "istio-proxy", "image": "auto"}],
                },
            },
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workloads_are_warned_of_what_their_pods_are_denied_for_and_never_denied_edited_or_asked_twice() {
    let house = House::start().await;
    each_kind_is_warned(&house).await;
    others_reach_no_webhook(&house).await;
    the_broken_example_is_warned_of_and_stored_as_it_is(&house).await;
}

async fn the_broken_example_is_warned_of_and_stored_as_it_is(house: &House) {
    let shell = Arc::new(Shell::on(&house.cluster.control_plane));
    let run = async |script: String| {
        let shell = Arc::clone(&shell);
        tokio::task::spawn_blocking(move || shell.run(&script)).await.unwrap()
    };
    let example = root().join("examples/broken");
    // The advertisements and the Service of the example are refused or edited, so kubectl fails.
    let output = run(format!("kubectl apply -f {}", example.display())).await;
    let (text, errors) = (said(&output), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(errors.contains(&format!("Warning: {WARNING}")), "{text}");
    assert!(text.contains("deployment.apps/istio-ingressgateway created"), "{text}");
    // GitOps tools compare like this.
    let gateway = example.join("gateway.yaml");
    let output = run(format!("kubectl diff -f {}", gateway.display())).await;
    assert!(output.status.success(), "{}", said(&output));
}

async fn each_kind_is_warned(house: &House) {
    let admin = &house.admin;
    let patch = async |path: &str, patch: Value| {
        let answer = call(admin, Method::PATCH, path, "application/merge-patch+json", &patch).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        answer
    };
    let told = |warnings: &[String]| warnings.iter().filter(|it| it.starts_with(WARNING)).count();
    for kind in Kind::WORKLOADS {
        let wrong = workload(kind, "gateway", "ndp");
        let created = api::post(admin, &wrong, false).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
        assert_eq!(told(&created.warnings), 1, "{:?}", created.warnings);
        let placed = &created.body["spec"]["template"]["spec"]["nodeSelector"];
        assert_eq!(placed, &wrong["spec"]["template"]["spec"]["nodeSelector"]);

        let path = path_of(&wrong);
        let labelled = patch(&path, json!({"metadata": {"labels": {"team": "edge"}}})).await;
        assert_eq!(told(&labelled.warnings), 1, "{:?}", labelled.warnings);
        let before = house.reviews().await;
        let scaled = patch(&format!("{path}/scale"), json!({"spec": {"replicas": 3}})).await;
        let reported = patch(&format!("{path}/status"), json!({"status": {"replicas": 0}})).await;
        assert_eq!((told(&scaled.warnings), told(&reported.warnings)), (0, 0));
        assert_eq!(house.reviews().await, before, "a scale or a status of {} is reviewed", kind.name());

        let right =
            json!({"spec": {"template": {"spec": {"nodeSelector": {"loadbalancerIPs.metallb.io": "arp"}}}}});
        let mended = patch(&path, right).await;
        assert_eq!(mended.warnings, Vec::<String>::new());
        assert!(house.reviews().await > before, "{} is reviewed", kind.name());
    }
    let admin = &house.replica.serve.admin;
    let warned = metric(admin, "lockstep_findings_total{authentication=\"none\",topology=\"istio-ingressgateway\",rule=\"gateway-placement\",reason=\"CONFLICT\",severity=\"warn\"}").await;
    let denied = metric(admin, "lockstep_findings_total{authentication=\"none\",topology=\"istio-ingressgateway\",rule=\"gateway-placement\",reason=\"CONFLICT\",severity=\"deny\"}").await;
    assert!(warned >= 8 && denied == 0, "{warned} warnings and {denied} denials");
}

async fn others_reach_no_webhook(house: &House) {
    let owner = api::create(&house.admin, &workload(Kind::Deployment, "owner", "arp")).await;
    let mut other = workload(Kind::Deployment, "other", "ndp");
    for labels in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        *other.pointer_mut(labels).unwrap() = json!({"app": "istiod"});
    }
    let mut elsewhere = workload(Kind::Deployment, "elsewhere", "ndp");
    elsewhere["metadata"]["namespace"] = json!("default");
    let mut owned = workload(Kind::ReplicaSet, "owned", "ndp");
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "owner", "controller": true,
        "uid": owner["metadata"]["uid"],
    }]);
    // It refers to a Deployment, and has no template.
    let mut referring = workload(Kind::Rollout, "referring", "ndp");
    referring["spec"].as_object_mut().unwrap().remove("template");
    let before = house.reviews().await;
    for object in [&other, &elsewhere, &owned, &referring] {
        let answer = api::post(&house.admin, object, false).await;
        assert_eq!((answer.status, answer.warnings), (StatusCode::CREATED, Vec::new()), "{object}");
    }
    assert_eq!(house.reviews().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_no_replica_runs_a_workload_of_the_gateway_is_stored_and_its_pods_are_refused() {
    let mut house = House::start().await;
    house.replica.serve.signal("KILL");
    house.replica.serve.ended().await;
    let stored = api::post(&house.admin, &workload(Kind::Deployment, "gateway", "ndp"), false).await;
    assert_eq!((stored.status, stored.warnings), (StatusCode::CREATED, Vec::new()));
    let template = workload(Kind::Deployment, "gateway", "ndp")["spec"]["template"].clone();
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
    pod["metadata"]["name"] = json!("gateway-1");
    pod["metadata"]["namespace"] = json!("istio-system");
    let refused = api::post(&house.admin, &pod, false).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", refused.body);
    let configuration =
        read(&house.admin, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockstep")
            .await;
    assert_eq!(configuration["webhooks"][0]["failurePolicy"], "Fail");
}
