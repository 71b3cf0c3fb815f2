//! A stand-in for the kubelets: it runs the gateway's pods, each in a namespace of its own.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::audit::start_gateway;
use super::machines::{Machine, NODES};
use super::network;
use super::objects::ISTIO;
use super::program::Program;
use lockstep_test_support::api::call;

/// A pod that ends goes on answering for this long, as Istio's gateway does, so that everybody learns of it first.
const DRAIN: Duration = Duration::from_secs(3);

/// The proxy listens within milliseconds.
const STARTED: Duration = Duration::from_secs(10);

/// Between two looks at whether it does.
const BETWEEN: Duration = Duration::from_millis(10);

/// A gateway that runs.
#[derive(Debug)]
struct Gateway {
    namespace: String,
    _proxy: Program,
    ends: bool,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        network::remove_pod(&self.namespace);
    }
}

/// The gateways, by the uid of their pods.
type Gateways = Arc<Mutex<BTreeMap<String, Gateway>>>;

/// The process that runs pods.
pub struct Kubelet {
    client: Client,
    gateways: Gateways,
    started: u8,
}

impl Kubelet {
    /// Begins to run the gateways' pods. The task ends with the test.
    pub fn start(client: Client) -> JoinHandle<()> {
        let kubelet = Self { client, gateways: Gateways::default(), started: 1 };
        tokio::spawn(kubelet.run())
    }

    async fn run(mut self) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), ISTIO);
        let mut events = watcher(pods, Config::default()).default_backoff().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => self.applied(&pod).await,
                Ok(Event::Delete(pod)) => drop(self.gateways.lock().unwrap().remove(&uid(&pod))),
                // A watch that breaks begins anew.
                Ok(Event::Init | Event::InitDone) | Err(_) => {}
            }
        }
    }

    async fn applied(&mut self, pod: &Pod) {
        let name = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let Some(node) = name.and_then(|name| NODES.into_iter().find(|node| node.name == name)) else {
            return;
        };
        let known = self.gateways.lock().unwrap().contains_key(&uid(pod));
        if pod.metadata.deletion_timestamp.is_some() {
            self.end(pod);
        } else if !known {
            self.begin(pod, node).await;
        }
    }

    /// Starts the pod, and says so once it answers.
    async fn begin(&mut self, pod: &Pod, node: Machine) {
        self.started += 1;
        let (name, n) = (pod.name_any(), self.started);
        let begin = move || {
            network::add_pod(&name, node, n);
            let proxy = start_gateway(&name);
            until_it_listens(node, n);
            Gateway { namespace: name, _proxy: proxy, ends: false }
        };
        let gateway = tokio::task::spawn_blocking(begin).await.unwrap();
        self.gateways.lock().unwrap().insert(uid(pod), gateway);
        let path = format!("{}/status", path(pod));
        // The pod may be gone by now, which its watch will tell.
        call(&self.client, Method::PATCH, &path, "application/merge-patch+json", &status(node, n)).await;
    }

    /// Lets the pod answer for a while, and ends it.
    fn end(&self, pod: &Pod) {
        match self.gateways.lock().unwrap().get_mut(&uid(pod)) {
            Some(gateway) if gateway.ends => return,
            Some(gateway) => gateway.ends = true,
            None => {}
        }
        let (client, gateways, uid, path) = (self.client.clone(), self.gateways.clone(), uid(pod), path(pod));
        tokio::spawn(async move {
            tokio::time::sleep(DRAIN).await;
            drop(gateways.lock().unwrap().remove(&uid));
            let options = json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": uid},
            });
            call(&client, Method::DELETE, &path, "application/json", &options).await;
        });
    }
}

fn uid(pod: &Pod) -> String {
    pod.uid().unwrap()
}

fn path(pod: &Pod) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", pod.namespace().unwrap(), pod.name_any())
}

/// The pod's readiness probe, from its node.
fn until_it_listens(node: Machine, n: u8) {
    let addresses = [SocketAddr::from((node.pod_v4(n), 8080)), SocketAddr::from((node.pod_v6(n), 8080))];
    let listens = move || {
        let tries = STARTED.as_millis() / BETWEEN.as_millis();
        addresses.iter().all(|address| {
            (0..tries).any(|_| {
                let connected = TcpStream::connect_timeout(address, STARTED).is_ok();
                if !connected {
                    std::thread::sleep(BETWEEN);
                }
                connected
            })
        })
    };
    assert!(network::within(node.name, listens), "a gateway on {} does not listen", node.name);
}

fn status(node: Machine, n: u8) -> Value {
    let conditions = ["PodReadyToStartContainers", "Initialized", "PodScheduled", "ContainersReady", "Ready"]
        .map(|kind| json!({"type": kind, "status": "True"}));
    json!({"status": {
        "phase": "Running",
        "hostIP": node.v4(),
        "hostIPs": [{"ip": node.v4()}, {"ip": node.v6()}],
        "podIP": node.pod_v4(n),
        "podIPs": [{"ip": node.pod_v4(n)}, {"ip": node.pod_v6(n)}],
        "conditions": conditions,
    }})
}
