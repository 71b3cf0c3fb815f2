//! On a real API server with tracing on: its traces reach the spans and the decision log.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use lockstep_test_support::api::{create, post};
use lockstep_test_support::collector::Collector;
use lockstep_test_support::control_plane::{ControlPlane, Options};
use lockstep_test_support::decision_log::{audit, reviews};
use lockstep_test_support::objects::{self, gateway_pod, pod};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook;

/// The creation of a pod, which the mutating webhook edits and the validating one allows, on an API server with tracing on.
struct Admission {
    /// Where the spans are.
    collector: Collector,
    /// The records of the two reviews.
    records: [Value; 2],
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Admission {
    /// Creates the pod where so many of a million requests are sampled, and lets Lockstep exit.
    async fn sampled(per_million: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tracing, log) = (folder.path().join("tracing.yaml"), folder.path().join("audit.log"));
        // The API server's own spans are lost, because nothing listens there.
        let configuration = json!({
            "apiVersion": "apiserver.config.k8s.io/v1beta1", "kind": "TracingConfiguration",
            "endpoint": "127.0.0.1:9", "samplingRatePerMillion": per_million,
        });
        std::fs::write(&tracing, configuration.to_string()).unwrap();
        let options =
            Options::default().api_server_arg(format!("--tracing-config-file={}", tracing.display()));
        let control_plane = ControlPlane::start_with(options).await.unwrap();
        control_plane.install_topologies().await.unwrap();
        let client = control_plane.client().await.unwrap();
        webhook::furnish(&client).await;
        create(&client, &objects::topology("ingress", &json!({}))).await;
        let collector = Collector::start().await;
        let endpoint = format!("http://{}", collector.address);
        let log_name = log.to_str().unwrap();
        let arguments =
            ["--drain", "0", "--audit-log", log_name, "--audit-allowed", "--otlp-endpoint", &endpoint];
        let mut serve = Serve::start(&arguments, Some(control_plane.kubeconfig_path())).await;
        wait::until_enforced(&serve.admin, 1).await;
        let probe = pod("default", "probe", &json!({}));
        webhook::register_and_wait(&client, &serve.webhook, &serve.ca_pem, &serve.admin, &[probe]).await;

        let answer = post(&client, &gateway_pod("traced"), false).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        serve.signal("TERM");
        assert_eq!(serve.ended().await.0, Some(0));

        let records = reviews(&std::fs::read_to_string(&log).unwrap()).into_iter();
        let records: Vec<Value> = records.filter(|record| record["name"] == "traced").collect();
        let records: [Value; 2] = records.try_into().unwrap();
        assert_eq!(records.each_ref().map(|record| &record["verdict"]), ["edit", "allow"]);
        Self { collector, records, log, _folder: folder }
    }

    /// The trace that both reviews belong to.
    fn trace(&self) -> &str {
        let [edited, allowed] = &self.records;
        assert_eq!(edited["traceId"], allowed["traceId"]);
        let trace = edited["traceId"].as_str().unwrap();
        let output = audit(&["query", "--trace-id", trace, "--format", "lines"], &[&self.log]);
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
        trace
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reviews_of_one_request_are_spans_of_the_api_servers_trace() {
    let mut admission = Admission::sampled(1_000_000).await;
    let trace = admission.trace().to_owned();
    let mut spans = BTreeMap::new();
    while spans.len() < 2 {
        for received in admission.collector.spans().await {
            let trace_id: String = received.span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
            if trace_id == trace {
                spans.insert(received.attributes["lockstep.review.uid"].clone(), received);
            }
        }
    }
    for (record, name) in admission.records.iter().zip(["POST /mutate", "POST /validate"]) {
        let received = &spans[record["uid"].as_str().unwrap()];
        assert_eq!(received.span.name, name);
        assert_eq!(received.attributes["lockstep.verdict"], record["verdict"].as_str().unwrap());
        assert_eq!(received.attributes["k8s.pod.name"], "traced");
        assert!(received.span.parent_span_id.len() == 8, "{:?}", received.span);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_the_api_server_does_not_sample_is_no_span_and_has_its_trace_in_the_decision_log() {
    let admission = Admission::sampled(0).await;
    assert_eq!(admission.trace().len(), 32);
    assert!(admission.collector.is_idle());
}
