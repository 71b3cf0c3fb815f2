//! On a real API server with tracing on: its traces reach the spans and the decision log.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use lockstep_test_support::api::{create, post};
use lockstep_test_support::collector::Collector;
use lockstep_test_support::control_plane::{ControlPlane, Options};
use lockstep_test_support::decision_log::{audit, reviews};
use lockstep_test_support::objects::{self, gateway_pod, pod};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook;

/// Every request is sampled. The API server's own spans are lost, because nothing listens there.
const TRACING: &str = "apiVersion: apiserver.config.k8s.io/v1beta1\nkind: TracingConfiguration\n\
    endpoint: 127.0.0.1:9\nsamplingRatePerMillion: 1000000\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reviews_of_one_request_are_spans_of_the_api_servers_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (tracing, log) = (folder.path().join("tracing.yaml"), folder.path().join("audit.log"));
    std::fs::write(&tracing, TRACING).unwrap();
    let option = format!("--tracing-config-file={}", tracing.display());
    let control_plane = ControlPlane::start_with(Options::default().api_server_arg(option)).await.unwrap();
    control_plane.install_topologies().await.unwrap();
    let client = control_plane.client().await.unwrap();
    webhook::furnish(&client).await;
    create(&client, &objects::topology("ingress", &json!({}))).await;
    let mut collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    let arguments = [
        "--drain",
        "0",
        "--audit-log",
        log.to_str().unwrap(),
        "--audit-allowed",
        "--otlp-endpoint",
        &endpoint,
    ];
    let mut serve = Serve::start(&arguments, Some(control_plane.kubeconfig_path())).await;
    wait::until_enforced(&serve.admin, 1).await;
    let probe = pod("default", "probe", &json!({}));
    webhook::register_and_wait(&client, &serve.webhook, &serve.ca_pem, &serve.admin, &[probe]).await;

    let answer = post(&client, &gateway_pod("traced"), false).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    serve.signal("TERM");
    assert_eq!(serve.ended().await.0, Some(0));

    // The mutating webhook edits the pod, and the validating one allows it.
    let records = reviews(&std::fs::read_to_string(&log).unwrap());
    let of_pod: Vec<&Value> = records.iter().filter(|record| record["name"] == "traced").collect();
    let [edited, allowed] = of_pod[..] else { panic!("{of_pod:?}") };
    assert_eq!((&edited["verdict"], &allowed["verdict"]), (&json!("edit"), &json!("allow")));
    assert_eq!(edited["traceId"], allowed["traceId"]);
    let trace = edited["traceId"].as_str().unwrap();

    let mut spans = BTreeMap::new();
    while spans.len() < 2 {
        for received in collector.spans().await {
            let trace_id: String = received.span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
            if trace_id == trace {
                spans.insert(received.attributes["lockstep.review.uid"].clone(), received);
            }
        }
    }
    for (record, name) in [(edited, "POST /mutate"), (allowed, "POST /validate")] {
        let received = &spans[record["uid"].as_str().unwrap()];
        assert_eq!(received.span.name, name);
        assert_eq!(received.attributes["lockstep.verdict"], record["verdict"].as_str().unwrap());
        assert_eq!(received.attributes["k8s.pod.name"], "traced");
        assert!(received.span.parent_span_id.len() == 8, "{:?}", received.span);
    }
    let output = audit(&["query", "--trace-id", trace, "--format", "lines"], &[&log]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
}
