//! The replica of an installed release: a process of the test, which the API server calls through the release's Service.

use std::process::Stdio;

use kube::Client;
use lockstep_test_support::api;
use lockstep_test_support::endpoints::{endpoints_of, own_address};
use lockstep_test_support::helm::NAMESPACE;
use lockstep_test_support::release::{Cluster, arguments, read};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::service_account::Account;
use lockstep_test_support::wait;
use serde_json::Value;

/// A replica that is called.
pub struct Replica {
    /// The process.
    pub serve: Serve,
    /// The endpoints of the webhook's Service.
    pub endpoints: Value,
    _account: Account,
}

impl Replica {
    /// Starts it with the arguments and the account of the release, and returns when every webhook trusts it. The API server must route
    /// to endpoints itself (`--enable-aggregator-routing`), because no kube-proxy runs.
    pub async fn start(cluster: &Cluster, admin: &Client) -> Self {
        Self::start_into(cluster, admin, Stdio::null()).await
    }

    /// Starts it with this standard output, which the release's decision log is written to.
    pub async fn start_into(cluster: &Cluster, admin: &Client, stdout: Stdio) -> Self {
        let account = Account::of(cluster).await;
        let deployment =
            read(admin, &format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/lockstep")).await;
        let listen = format!("{}:0", own_address());
        let arguments = arguments(&deployment);
        let arguments: Vec<&str> =
            arguments.iter().map(String::as_str).chain(["--listen", &listen]).collect();
        let serve = Serve::start_with_stdout(&arguments, Some(&account.kubeconfig()), stdout).await;
        wait::until_ready(&serve.admin).await;
        let endpoints = endpoints_of(&serve, "lockstep");
        api::create(admin, &endpoints).await;
        until_certified(admin).await;
        Self { serve, endpoints, _account: account }
    }
}

/// Waits until the replica has written the CA into every webhook.
async fn until_certified(admin: &Client) {
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}/lockstep");
        let is_certified = wait::until_so(async || {
            let stored = read(admin, &path).await;
            stored["webhooks"].as_array().unwrap().iter().all(|it| it["clientConfig"]["caBundle"].is_string())
        });
        assert!(is_certified.await, "a webhook gets no `caBundle`");
    }
}
