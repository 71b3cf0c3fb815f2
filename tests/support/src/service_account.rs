//! The chart's ServiceAccount, with the credentials that its pods have.

use std::path::PathBuf;

use base64::Engine;
use hyper::Method;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::release::Cluster;
use crate::api::call;

/// The user name of the account.
pub const USER: &str = "system:serviceaccount:lockstep-system:lockstep";

/// A kubeconfig with a token of the account.
#[derive(Debug)]
pub struct Account {
    folder: tempfile::TempDir,
}

impl Account {
    /// Asks the API server for a token, as the kubelet does for a pod.
    pub async fn of(cluster: &Cluster) -> Self {
        let path = "/api/v1/namespaces/lockstep-system/serviceaccounts/lockstep/token";
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600},
        });
        let client = cluster.client().await;
        let answer = call(&client, Method::POST, path, "application/json", &request).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        let ca = base64::engine::general_purpose::STANDARD.encode(cluster.control_plane.ca_pem());
        let server = cluster.control_plane.url();
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": server, "certificate-authority-data": ca}}],
            "users": [{"name": "it", "user": {"token": answer.body["status"]["token"]}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        });
        let account = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(account.kubeconfig(), kubeconfig.to_string()).unwrap();
        account
    }

    /// Returns the path of the kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// A client that acts as the account.
    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        config.proxy_url = None;
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }
}

/// A right that a role grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The namespace; empty means all.
    pub namespace: String,
    /// `resource` or `resource/subresource`, followed by a dot and the group, as in `kubectl auth can-i`.
    pub resource: String,
    /// The name of the object; empty means all.
    pub name: String,
    /// The verb.
    pub verb: String,
}

/// Returns every right that the rendered roles grant to somebody, one by one. A role that no binding names grants none.
pub fn granted(objects: &[Value]) -> Vec<Grant> {
    let refers_to = |binding: &Value, role: &Value| {
        let reference = &binding["roleRef"];
        (&reference["kind"], &reference["name"]) == (&role["kind"], &role["metadata"]["name"])
            && binding["metadata"]["namespace"] == role["metadata"]["namespace"]
    };
    let is_bound = |role: &&Value| objects.iter().any(|binding| refers_to(binding, role));
    let roles = objects.iter().filter(|object| object["kind"] == "Role" || object["kind"] == "ClusterRole");
    let mut grants: Vec<Grant> = roles.filter(is_bound).flat_map(rights).collect();
    grants.sort();
    grants
}

/// Returns every right in the rules of a role, one by one.
pub fn rights(role: &Value) -> Vec<Grant> {
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let mut grants = Vec::new();
    let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
    for rule in role["rules"].as_array().unwrap() {
        let names = Some(strings(&rule["resourceNames"])).filter(|names| !names.is_empty());
        for group in strings(&rule["apiGroups"]) {
            for (resource, verb) in pairs(&strings(&rule["resources"]), &strings(&rule["verbs"])) {
                for name in names.clone().unwrap_or_else(|| vec![String::new()]) {
                    let namespace = namespace.to_owned();
                    let resource = qualified(&resource, &group);
                    grants.push(Grant { namespace, resource, name, verb: verb.clone() });
                }
            }
        }
    }
    grants.sort();
    grants
}

fn pairs(left: &[String], right: &[String]) -> Vec<(String, String)> {
    left.iter().flat_map(|left| right.iter().map(move |right| (left.clone(), right.clone()))).collect()
}

/// Returns a resource with its group, such as `gatewaytopologies.lockstep.dev/status`.
pub fn qualified(resource: &str, group: &str) -> String {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let dot = if group.is_empty() { "" } else { "." };
    let slash = if subresource.is_empty() { "" } else { "/" };
    format!("{resource}{dot}{group}{slash}{subresource}")
}
