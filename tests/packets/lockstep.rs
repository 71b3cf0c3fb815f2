//! Lockstep as its chart installs it: the chart's arguments, account, topology and webhooks.

use std::fs::File;

use axum::http::Method;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::objects::advertisement;
use super::program::log;
use lockstep_test_support::api::{self, call};
use lockstep_test_support::objects::gateway_pod;
use lockstep_test_support::release::{arguments, read};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::service_account::Account;
use lockstep_test_support::wait;

/// The process has no Service, so its certificate also names the address at which it listens.
const VALUES: &[&str] = &["--set", "extraArgs={--tls-name=127.0.0.1}"];

const CONFIGURATIONS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/// An installed chart, and the process of its pod.
#[derive(Debug)]
pub struct Lockstep {
    serve: Option<Serve>,
    account: Account,
    arguments: Vec<String>,
    /// Both webhook configurations, as the chart made them.
    configurations: [Value; 2],
}

impl Lockstep {
    /// Installs the chart and starts the process, which makes its certificates itself. Nothing calls it yet.
    pub async fn install(cluster: &Cluster) -> Self {
        cluster.base.install(VALUES);
        let [mutating, validating] = CONFIGURATIONS.map(path);
        let configurations =
            [read(&cluster.client, &mutating).await, read(&cluster.client, &validating).await];
        let configurations = configurations.each_ref().map(bare);
        let deployment =
            read(&cluster.client, "/apis/apps/v1/namespaces/lockstep-system/deployments/lockstep").await;
        let arguments = arguments(&deployment);
        let account = Account::of(&cluster.base).await;
        let serve = Some(Self::process(&arguments, &account).await);
        let lockstep = Self { serve, account, arguments, configurations };
        lockstep.off(cluster).await;
        lockstep
    }

    async fn process(arguments: &[String], account: &Account) -> Serve {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let decisions = File::options().create(true).append(true).open(log("lockstep-decisions")).unwrap();
        let serve = Serve::start_with_stdout(&arguments, Some(&account.kubeconfig()), decisions.into()).await;
        wait::until_ready(&serve.admin).await;
        wait::until_enforced(&serve.admin, 1).await;
        serve
    }

    /// Takes the webhooks away, as docs/operation.md tells for an emergency.
    pub async fn off(&self, cluster: &Cluster) {
        for plural in CONFIGURATIONS {
            call(&cluster.client, Method::DELETE, &path(plural), "application/json", &Value::Null).await;
        }
        cluster.settled("Lockstep off", async || called(cluster).await == [false; 2]).await;
    }

    /// Registers the webhooks as the chart has them, but for the address. The process adds the CA to trust.
    pub async fn on(&mut self, cluster: &Cluster) {
        if self.serve.is_none() {
            self.serve = Some(Self::process(&self.arguments, &self.account).await);
        }
        let address = &self.serve.as_ref().unwrap().webhook;
        for (plural, configuration) in CONFIGURATIONS.iter().zip(&self.configurations) {
            call(&cluster.client, Method::DELETE, &path(plural), "application/json", &Value::Null).await;
            let mut configuration = configuration.clone();
            for webhook in configuration["webhooks"].as_array_mut().unwrap() {
                let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap();
                let url = format!("https://{address}{path}");
                webhook["clientConfig"] = json!({"url": url});
            }
            api::create(&cluster.client, &configuration).await;
        }
        cluster.settled("Lockstep on", async || called(cluster).await == [true; 2]).await;
    }

    /// Ends the process as a crash would; the webhooks stay registered.
    pub async fn crash(&mut self) {
        let mut serve = self.serve.take().unwrap();
        serve.child.kill().await.unwrap();
    }
}

/// Whether the mutating and the validating webhook are called. The API server learns of them one by one.
async fn called(cluster: &Cluster) -> [bool; 2] {
    let pod = api::post(&cluster.client, &gateway_pod("probe"), true).await;
    let announced = api::post(&cluster.client, &advertisement("probe", None), true).await;
    let said = announced.body["message"].as_str().unwrap_or_default();
    [pod.body["spec"]["nodeSelector"].is_object(), said.contains("topology `istio-ingressgateway`")]
}

fn path(plural: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{plural}/lockstep")
}

/// An object as somebody would write it.
fn bare(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "metadata": {"name": object["metadata"]["name"], "labels": object["metadata"]["labels"]},
        "webhooks": object["webhooks"],
    })
}
