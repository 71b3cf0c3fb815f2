//! The states of `tests/cases/state` as objects of a real API server, and users with some rights.

use std::path::{Path, PathBuf};

use axum::http::{Method, StatusCode};
use kube::Client;
use lockstep_test_support::api::{call, create, path_of};
use lockstep_test_support::control_plane::{ControlPlane, MetalLb};
use lockstep_test_support::objects;
use lockstep_test_support::wait;
use serde_json::{Value, json};

/// A control plane with the definitions of topologies and of a MetalLB release, and the two namespaces.
pub async fn start(metallb: Option<MetalLb>) -> (ControlPlane, Client) {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    if let Some(version) = metallb {
        control_plane.install_metallb(version).await.unwrap();
    }
    let client = control_plane.client().await.unwrap();
    for name in ["istio-system", "metallb-system"] {
        create(&client, &objects::namespace(name)).await;
    }
    (control_plane, client)
}

pub fn states() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/state");
    let mut states: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    states.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    states.sort();
    states
}

/// A state in which every kind is needed that MetalLB configures, and the outcome is `Preserved`.
pub fn preserved() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/state/announced-by-bgp-alone.yaml")
}

/// Deletes objects at once: no kubelet ends a pod here.
pub async fn remove(client: &Client, objects: &[Value]) {
    for object in objects {
        let path = format!("{}?gracePeriodSeconds=0", path_of(object));
        let answer = call(client, Method::DELETE, &path, "application/json", &Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{object}: {}", answer.body);
    }
}

/// A kubeconfig with a context for each reader, who is impersonated.
pub struct Readers {
    folder: tempfile::TempDir,
}

impl Readers {
    pub fn new(control_plane: &ControlPlane, names: &[String]) -> Self {
        let text = std::fs::read_to_string(control_plane.kubeconfig_path()).unwrap();
        let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
        let token = control_plane.admin_token();
        let cluster = kubeconfig["clusters"][0]["name"].clone();
        let user = |name| json!({"name": name, "user": {"token": token, "as": name}});
        let context = |name| json!({"name": name, "context": {"cluster": cluster, "user": name}});
        kubeconfig["users"] = names.iter().map(user).collect();
        kubeconfig["contexts"] = names.iter().map(context).collect();
        kubeconfig["current-context"] = json!("");
        let readers = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(readers.path(), kubeconfig.to_string()).unwrap();
        readers
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }
}

/// Grants rules to a user: everywhere, or in one namespace.
pub async fn grant(client: &Client, user: &str, namespace: Option<&str>, rules: &[Value]) {
    let group = "rbac.authorization.k8s.io";
    let (role, binding) = match namespace {
        Some(_) => ("Role", "RoleBinding"),
        None => ("ClusterRole", "ClusterRoleBinding"),
    };
    let object = |kind: &str| {
        let mut object =
            json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": user}});
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object
    };
    let mut granted = object(role);
    granted["rules"] = json!(rules);
    create(client, &granted).await;
    let mut bound = object(binding);
    bound["roleRef"] = json!({"apiGroup": group, "kind": role, "name": user});
    bound["subjects"] = json!([{"apiGroup": group, "kind": "User", "name": user}]);
    create(client, &bound).await;
}

/// Waits until the API server knows of a right: its authorizer follows the roles by watches.
pub async fn until_granted(client: &Client, user: &str, namespace: &str, (group, resource): (&str, &str)) {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes":
            {"group": group, "resource": resource, "verb": "list", "namespace": namespace}},
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let is_allowed = wait::until_so(async || {
        let answer = call(client, Method::POST, path, "application/json", &review).await;
        answer.body["status"]["allowed"] == true
    });
    assert!(is_allowed.await, "`{user}` never may list `{resource}`");
}
