//! A Secret, two webhook configurations, and the replicas that share the CA in them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::Client;
use lockstep::cluster::{WatchMetrics, watch_webhook_configurations};
use lockstep::tls::ca::{Lifetimes, Settings};
use lockstep::tls::{RELOAD_INTERVAL, Source, Tls};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use lockstep_test_support::api::{self, call, create};
use lockstep_test_support::objects::namespace;
use lockstep_test_support::wait::until_so;

pub const NAMESPACE: &str = "lockstep-system";

const DEADLINE: Duration = Duration::from_secs(60);

pub async fn create_namespace(client: &Client) {
    let namespace = namespace(NAMESPACE);
    create(client, &namespace).await;
}

/// A Secret and two webhook configurations with the same name.
#[derive(Clone)]
pub struct World {
    pub client: Client,
    pub name: String,
}

impl World {
    /// Creates an empty Secret and two configurations without `caBundle`.
    pub async fn create(client: &Client, name: &str) -> Self {
        let world = Self { client: client.clone(), name: name.to_owned() };
        world.create_secret().await;
        world.create_configurations().await;
        world
    }

    pub async fn create_secret(&self) {
        create(&self.client, &self.secret_manifest()).await;
    }

    pub async fn delete_secret(&self) {
        let deleted = api::delete(&self.client, &self.secret_manifest()).await;
        assert_eq!(deleted.status, StatusCode::OK);
    }

    /// Creates two configurations with two webhooks each.
    pub async fn create_configurations(&self) {
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            create(&self.client, &self.configuration_manifest(kind)).await;
        }
    }

    pub async fn delete_configurations(&self) {
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            let deleted = api::delete(&self.client, &self.configuration_manifest(kind)).await;
            assert_eq!(deleted.status, StatusCode::OK);
        }
    }

    fn secret_manifest(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": {"app": "lockstep"}},
        })
    }

    fn configuration_manifest(&self, kind: &str) -> Value {
        let webhook = |name: &str| {
            json!({
                "name": format!("{name}.lockstep.dev"),
                "clientConfig": {"service": {"namespace": NAMESPACE, "name": "lockstep", "path": "/x"}},
                "rules": [{
                    "apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["nothing"],
                    "operations": ["CREATE"],
                }],
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
            })
        };
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": self.name, "annotations": {"example.com/kept": "yes"}},
            "webhooks": [webhook("one"), webhook("two")],
        })
    }

    /// Starts a replica with default lifetimes.
    pub async fn replica(&self) -> Replica {
        self.replica_as(self.client.clone(), Lifetimes::default()).await
    }

    pub async fn replica_as(&self, client: Client, lifetimes: Lifetimes) -> Replica {
        let settings = Settings {
            secret: format!("{NAMESPACE}/{}", self.name).parse().unwrap(),
            names: vec!["lockstep.lockstep-system.svc".to_owned()],
            lifetimes,
        };
        let metrics = WatchMetrics::default();
        let (configurations, watch) =
            watch_webhook_configurations(client.clone(), self.name.clone(), metrics);
        let source = Source::Secret { client, configurations, settings };
        let mut registry = Registry::default();
        let tls = Tls::start(source, None, RELOAD_INTERVAL, &mut registry).await.unwrap();
        let (served, readiness) = (tls.config(), tls.readiness());
        let task = tokio::spawn(async {
            tokio::select! {
                error = watch => panic!("the watch of the webhook configurations ended: {error}"),
                never = tls.run() => match never {},
            }
        });
        Replica { task, served, readiness, registry }
    }

    pub async fn secret(&self) -> Value {
        self.get(&api::path_of(&self.secret_manifest())).await
    }

    /// Returns a value of the Secret's data, decoded.
    pub async fn data(&self, key: &str) -> Option<String> {
        let secret = self.secret().await;
        let value = BASE64_STANDARD.decode(secret["data"][key].as_str()?).unwrap();
        Some(String::from_utf8(value).unwrap())
    }

    pub async fn patch_secret(&self, patch: &Value) {
        self.patch(&api::path_of(&self.secret_manifest()), "application/merge-patch+json", patch).await;
    }

    /// Returns both configurations.
    pub async fn configurations(&self) -> [Value; 2] {
        let [mutating, validating] = self.configuration_paths();
        [self.get(&mutating).await, self.get(&validating).await]
    }

    pub fn configuration_paths(&self) -> [String; 2] {
        ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
            .map(|kind| api::path_of(&self.configuration_manifest(kind)))
    }

    /// Returns every `caBundle` of both configurations, decoded.
    pub async fn bundles(&self) -> Vec<String> {
        let decode = |webhook: &Value| {
            let bundle = webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default();
            String::from_utf8(BASE64_STANDARD.decode(bundle).unwrap()).unwrap()
        };
        let configurations = self.configurations().await;
        configurations.iter().flat_map(|one| one["webhooks"].as_array().unwrap()).map(decode).collect()
    }

    pub async fn patch(&self, path: &str, content_type: &str, patch: &Value) {
        let answer = call(&self.client, Method::PATCH, path, content_type, patch).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }

    async fn get(&self, path: &str) -> Value {
        let answer = call(&self.client, Method::GET, path, "application/json", &Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body
    }
}

/// Waits until `is_so` returns true, or fails with `what`.
pub async fn until(what: &str, is_so: impl AsyncFnMut() -> bool) {
    assert!(until_so(is_so).await, "never so: {what}");
}

/// The TLS of one replica: a task that stops when dropped.
pub struct Replica {
    task: JoinHandle<()>,
    pub served: watch::Receiver<Arc<ServerConfig>>,
    pub readiness: watch::Receiver<Result<(), String>>,
    registry: Registry,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replica {
    pub async fn ready(&mut self) {
        let ready = tokio::time::timeout(DEADLINE, self.readiness.wait_for(Result::is_ok)).await;
        drop(ready.expect("it becomes ready in time").unwrap());
    }

    /// Returns the serial number of the CA that signed the served certificate.
    pub fn issuer(&self) -> Option<String> {
        let metrics = self.metrics();
        let mut series = metrics.lines().filter_map(|line| line.strip_prefix("tls_issuer_info{serial=\""));
        let issuer = series.next()?.split_once('"')?.0.to_owned();
        assert!(series.next().is_none(), "there is one issuer at a time");
        Some(issuer)
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}
