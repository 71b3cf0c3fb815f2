//! Subresources: the writes of MetalLB, the kubelets and the scheduler wait for no webhook, as the API server's metrics count.

use axum::http::Method;
use hyper::Request;
use lockstep_test_support::api::call;
use serde_json::json;

use crate::doors::House;

/// The number of calls to webhooks of the chart, as the API server's own metrics count them.
async fn calls(house: &House) -> u64 {
    let request = Request::get("/metrics").body(Vec::new()).unwrap();
    let text = house.admin.request_text(request).await.unwrap();
    let counts = text.lines().filter(|line| {
        line.starts_with("apiserver_admission_webhook_admission_duration_seconds_count{")
            && line.contains(".lockstep.dev\"")
    });
    counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_of_a_status_reaches_no_webhook() {
    let house = House::start().await;
    let patch = async |path: &str, patch| {
        let path = format!("/api/v1/namespaces/istio-system/{path}");
        let answer = call(&house.admin, Method::PATCH, &path, "application/merge-patch+json", &patch).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
    };
    let before = calls(&house).await;
    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "10.6.229.180", "ipMode": "VIP"}]}}});
    patch("services/istio-ingressgateway/status", address).await;
    let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    patch("pods/gateway-1/status", json!({"status": {"conditions": [condition]}})).await;
    assert_eq!(calls(&house).await, before);
    // The count grows with what is reviewed: a Service is mutated and validated.
    patch("services/istio-ingressgateway", json!({"metadata": {"labels": {"team": "edge"}}})).await;
    assert!(calls(&house).await >= before + 2, "{before} calls before");
}
