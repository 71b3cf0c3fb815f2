//! A cluster that the chart is installed into.

use hyper::Method;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{ApiGroup, Discovery, verbs};
use serde_json::Value;

use super::helm::{Helm, NAMESPACE, chart};
use crate::api::{Answer, call, path_of};
use crate::control_plane::{ControlPlane, Options};
use crate::wait;

/// A real API server with a Helm client.
#[derive(Debug)]
pub struct Cluster {
    /// The control plane.
    pub control_plane: ControlPlane,
    /// Helm with all rights in the cluster.
    pub helm: Helm,
}

impl Cluster {
    /// Starts an empty cluster.
    pub async fn start(options: Options) -> Self {
        let control_plane = ControlPlane::start_with(options).await.unwrap();
        // The first call may build for minutes, so it must not block the thread of the test's other tasks.
        let kubeconfig = control_plane.kubeconfig_path().to_owned();
        let helm = tokio::task::spawn_blocking(move || Helm::on(&kubeconfig)).await.unwrap();
        Self { control_plane, helm }
    }

    /// A client with all rights.
    pub async fn client(&self) -> Client {
        self.control_plane.client().await.unwrap()
    }

    /// Installs the chart as documented, with further arguments.
    pub fn install(&self, more: &[&str]) {
        let chart = chart("");
        let install = ["install", "lockstep", chart.as_str(), "-n", NAMESPACE, "--create-namespace"];
        self.helm.run(&[&install, more].concat()).unwrap();
    }

    /// Upgrades to the chart of this repository.
    pub fn upgrade(&self, more: &[&str]) {
        let chart = chart("");
        self.helm.run(&[&["upgrade", "lockstep", chart.as_str(), "-n", NAMESPACE], more].concat()).unwrap();
    }
}

/// Applies an object as `manager`, with strict validation: an unknown field is an error.
pub async fn apply(client: &Client, object: &Value, manager: &str, more: &str) -> Answer {
    let path = format!("{}?fieldManager={manager}&fieldValidation=Strict{more}", path_of(object));
    call(client, Method::PATCH, &path, "application/apply-patch+yaml", object).await
}

/// Reads an object.
pub async fn read(client: &Client, path: &str) -> Value {
    let answer = call(client, Method::GET, path, "application/json", &Value::Null).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.body);
    answer.body
}

/// All objects in the cluster that match a label selector, as `kind namespace/name`.
pub async fn labelled(client: &Client, selector: &str) -> Vec<String> {
    let mut found = Vec::new();
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    for (resource, capabilities) in discovery.groups().flat_map(ApiGroup::recommended_resources) {
        if !capabilities.supports_operation(verbs::LIST) {
            continue;
        }
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        for object in list(&objects, selector).await {
            let namespace = object.metadata.namespace.unwrap_or_default();
            found.push(format!("{} {namespace}/{}", resource.kind, object.metadata.name.unwrap_or_default()));
        }
    }
    found.sort();
    found
}

/// Lists objects, again while the API server does not serve the kind: after the CRD is installed, that takes a moment.
async fn list(objects: &Api<DynamicObject>, selector: &str) -> Vec<DynamicObject> {
    let listed =
        wait::until_some(async || match objects.list(&ListParams::default().labels(selector)).await {
            Ok(list) => Some(list.items),
            Err(kube::Error::Api(status)) if status.code == 429 => None,
            Err(error) => panic!("cannot list: {error}"),
        });
    listed.await.expect("the API server lists the kind")
}

/// The Deployment's arguments, without those that `Serve` sets itself.
pub fn arguments(deployment: &Value) -> Vec<String> {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert!(container.get("command").is_none() && container.get("env").is_none(), "{container}");
    let arguments: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect();
    let (command, flags) = arguments.split_first().unwrap();
    assert_eq!(*command, "serve");
    let flags = flags
        .iter()
        .map(|flag| flag.split_once('=').map_or((*flag, None), |(flag, value)| (flag, Some(value))));
    flags
        .filter(|(flag, _)| {
            !["--listen", "--admin-listen", "--metrics-listen", "--node-names", "--log-format"].contains(flag)
        })
        .flat_map(|(flag, value)| std::iter::once(flag).chain(value).map(str::to_owned))
        .collect()
}
