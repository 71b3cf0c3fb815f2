//! The reports of a release: an uninstall leaves none.

use lockstep_test_support::control_plane::{Options, ReportKinds};
use lockstep_test_support::helm::NAMESPACE;
use lockstep_test_support::release::{Cluster, arguments, labelled, read};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::service_account::Account;
use lockstep_test_support::wait;

const LABEL: &str = "app.kubernetes.io/managed-by=lockstep";

/// Kubernetes' garbage collector deletes what the release owned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uninstall_removes_the_reports() {
    let cluster = Cluster::start(Options::default()).await;
    cluster.control_plane.install_reports(ReportKinds::OpenReports).await.unwrap();
    let client = cluster.client().await;
    cluster.install(&[]);
    let account = Account::of(&cluster).await;
    let deployment = read(&client, "/apis/apps/v1/namespaces/lockstep-system/deployments/lockstep").await;
    let arguments = arguments(&deployment);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut serve = Serve::start(&arguments, Some(&account.kubeconfig())).await;
    let collector = cluster.control_plane.start_controllers(&["garbage-collector-controller"]).await.unwrap();

    let report = ["ClusterReport /lockstep-istio-ingressgateway".to_owned()];
    let written = wait::until_so(async || labelled(&client, LABEL).await == report).await;
    assert!(written, "{:?}", labelled(&client, LABEL).await);
    // The collector knows the kind, and leaves the report alone while the release exists.
    let path = "/apis/openreports.io/v1alpha1/clusterreports/lockstep-istio-ingressgateway";
    assert_eq!(read(&client, path).await["metadata"]["deletionTimestamp"], serde_json::Value::Null);

    cluster.helm.run(&["uninstall", "lockstep", "-n", NAMESPACE]).unwrap();
    serve.signal("TERM");
    serve.ended().await;
    let gone = wait::until_so(async || labelled(&client, LABEL).await.is_empty()).await;
    assert!(gone, "{:?}\n{}", labelled(&client, LABEL).await, collector.log());
}
