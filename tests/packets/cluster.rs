//! A cluster of three nodes: the control plane, kube-proxy and MetalLB's speaker on every node, and the controllers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::http::Method;
use kube::Client;
use serde_json::{Value, json};

use super::kubelet::Kubelet;
use super::machines::{CONTROL, Machine, NODES};
use super::network;
use super::objects::{ISTIO, METALLB, node, node_status, pool, speaker, speaker_arguments};
use super::program::{Program, log};
use super::{audit, sandbox};
use lockstep_test_support::api::{self, call};
use lockstep_test_support::control_plane::{Machinery, MetalLb, Options, machinery};
use lockstep_test_support::objects::namespace;
use lockstep_test_support::release;

/// The parts of Kubernetes that run here. Nothing sends heartbeats, so nobody looks for them.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,daemonset-controller,endpointslice-controller,\
                           garbage-collector-controller,namespace-controller,serviceaccount-controller,\
                           taint-eviction-controller";

/// The time that a cluster may take for anything that it does by itself.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// kube-proxy writes its rules at most once a second, and speakers announce at once.
const LATE: Duration = Duration::from_secs(3);

/// Between two looks at whether it is done.
pub const BETWEEN: Duration = Duration::from_millis(100);

/// A running cluster.
pub struct Cluster {
    /// The control plane, and Helm for it.
    pub base: release::Cluster,
    /// The kubeconfig of an administrator.
    pub client: Client,
    speakers: BTreeMap<&'static str, Program>,
    proxies: BTreeMap<&'static str, Program>,
    machinery: Machinery,
    kubeconfig: PathBuf,
    _programs: Vec<Program>,
}

impl Cluster {
    /// Starts it, with MetalLB and a pool, and without a gateway.
    pub async fn start() -> Self {
        network::build();
        let options = [
            "--bind-address=0.0.0.0",
            "--service-cluster-ip-range=10.96.0.0/16,fd96::/112",
            // Nothing would take the taints of new nodes away.
            "--disable-admission-plugins=TaintNodesByCondition",
        ];
        let options = options.into_iter().fold(Options::default(), Options::api_server_arg);
        let base = release::Cluster::start(options).await;
        let client = base.client().await;
        base.control_plane.install_metallb(MetalLb::V0_15_2).await.unwrap();
        let kubeconfig = kubeconfig(&base);
        let machinery = machinery().unwrap();
        let (speakers, proxies) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster =
            Self { base, client, speakers, proxies, machinery, kubeconfig, _programs: Vec::new() };
        cluster.populate().await;
        cluster._programs = cluster.programs();
        Kubelet::start(cluster.client.clone());
        for node in NODES {
            cluster.start_proxy(node);
            cluster.start_speaker(node).await;
        }
        cluster.speakers_know_each_other().await;
        cluster
    }

    async fn populate(&self) {
        for name in [ISTIO, METALLB] {
            api::create(&self.client, &namespace(name)).await;
        }
        for machine in NODES {
            let object = node(machine);
            api::create(&self.client, &object).await;
            self.patch(&format!("{}/status", api::path_of(&object)), &node_status(machine)).await;
            // Each speaker looks for the others' pods once, when it starts.
            self.speaker_pod(machine, false).await;
        }
        self.settled("the pool", async || api::post(&self.client, &pool(), false).await.status.is_success())
            .await;
    }

    fn programs(&self) -> Vec<Program> {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        let start = |name: &str, machine: Machine, program: &PathBuf, arguments: &[&str]| {
            let mut command = network::command(machine.name, program.to_str().unwrap());
            Program::start(name, command.arg(&kubeconfig).args(arguments))
        };
        let controllers = format!("--controllers={CONTROLLERS}");
        vec![
            audit::start(),
            start(
                "kube-controller-manager",
                CONTROL,
                &self.machinery.controller_manager,
                &[
                    &controllers,
                    "--leader-elect=false",
                    "--secure-port=0",
                    "--use-service-account-credentials=false",
                ],
            ),
            start(
                "kube-scheduler",
                CONTROL,
                &self.machinery.scheduler,
                &["--leader-elect=false", "--secure-port=0"],
            ),
            start(
                "controller",
                CONTROL,
                &self.machinery.controller,
                &["--namespace=metallb-system", "--webhook-mode=disabled"],
            ),
        ]
    }

    /// Starts kube-proxy on a node, if it does not run.
    fn start_proxy(&mut self, node: Machine) {
        if self.proxies.get_mut(node.name).is_some_and(Program::runs) {
            return;
        }
        let mut command = network::command(node.name, self.machinery.proxy.to_str().unwrap());
        command.args([
            &format!("--kubeconfig={}", self.kubeconfig.display()),
            "--proxy-mode=nftables",
            &format!("--hostname-override={}", node.name),
            "--cluster-cidr=10.244.0.0/16,fd44::/32",
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        ]);
        let program = Program::start(&format!("kube-proxy-{}", node.name), &mut command);
        self.proxies.insert(node.name, program);
    }

    /// Cuts the power of a node, and reports its pods as not ready, as Kubernetes' node lifecycle controller does once
    /// heartbeats are missing.
    pub async fn power_off(&mut self, node: Machine) {
        network::unplug(node);
        self.proxies.get_mut(node.name).unwrap().kill();
        self.kill_speaker(node).await;
        let pods = format!("/api/v1/namespaces/{ISTIO}/pods");
        let all = release::read(&self.client, &pods).await;
        let on_node = |pod: &&Value| pod["spec"]["nodeName"] == node.name;
        for pod in all["items"].as_array().unwrap().iter().filter(on_node) {
            let path = format!("{pods}/{}/status", pod["metadata"]["name"].as_str().unwrap());
            let status = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
            let content_type = "application/strategic-merge-patch+json";
            let answer = call(&self.client, Method::PATCH, &path, content_type, &status).await;
            assert!(answer.status.is_success(), "{path}: {}", answer.body);
        }
    }

    /// Starts what does not run on a node.
    pub async fn power_on(&mut self, node: Machine) {
        network::plug(node);
        self.start_proxy(node);
        self.start_speaker(node).await;
    }

    /// Starts the speaker of a node, if it does not run.
    async fn start_speaker(&mut self, node: Machine) {
        if self.speakers.get_mut(node.name).is_some_and(Program::runs) {
            return;
        }
        self.speaker_pod(node, true).await;
        let mut command = network::command(node.name, self.machinery.speaker.to_str().unwrap());
        command.arg(format!("--kubeconfig={}", self.kubeconfig.display())).args(speaker_arguments(node));
        self.speakers.insert(node.name, Program::start(&speaker_name(node), &mut command));
    }

    /// Ends the speaker of a node as a crash would. Its pod is there, and not ready.
    pub async fn kill_speaker(&mut self, node: Machine) {
        self.speakers.get_mut(node.name).unwrap().kill();
        self.speaker_pod(node, false).await;
    }

    /// Waits until Kubernetes takes the speaker's pod from a node, and does what the kubelet does then.
    pub async fn speaker_is_evicted(&mut self, node: Machine) {
        let path = speaker_path(node);
        self.settled("the eviction of a speaker", async || {
            !release::read(&self.client, &path).await["metadata"]["deletionTimestamp"].is_null()
        })
        .await;
        self.speakers.get_mut(node.name).unwrap().terminate();
        let now = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        let answer = call(&self.client, Method::DELETE, &path, "application/json", &now).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
    }

    /// The pod of a node's speaker, with the status that a kubelet gives it.
    async fn speaker_pod(&self, node: Machine, ready: bool) {
        let answer = api::post(&self.client, &speaker(node), false).await;
        assert!(answer.status.is_success() || answer.status == 409, "{}", answer.body);
        let ready = if ready { "True" } else { "False" };
        let status = json!({"status": {
            "phase": "Running",
            "podIP": node.v4(),
            "podIPs": [{"ip": node.v4()}, {"ip": node.v6()}],
            "conditions": [{"type": "Ready", "status": ready}],
        }});
        self.patch(&format!("{}/status", speaker_path(node)), &status).await;
    }

    /// Waits until every speaker knows of every other one. They look for each other when a node changes.
    pub async fn speakers_know_each_other(&self) {
        let know = || NODES.iter().all(|of| NODES.iter().all(|node| of == node || knows(*of, *node)));
        let mut turn = 0;
        self.settled("the speakers' list of members", async || {
            turn += 1;
            // A look takes a moment.
            if turn % 10 == 1 {
                for node in NODES {
                    let labels = json!({"metadata": {"labels": {"lockstep.dev/turn": turn.to_string()}}});
                    self.patch(&format!("/api/v1/nodes/{}", node.name), &labels).await;
                }
            }
            know()
        })
        .await;
    }

    /// Waits until the other speakers have noticed that one is gone.
    pub async fn speaker_is_missed(&self, gone: Machine) {
        let notice = || NODES.iter().all(|of| *of == gone || !knows(*of, gone));
        self.settled("the loss of a speaker", async || notice()).await;
    }

    /// Lets traffic flow for a while after a change, so that what comes late is counted, too.
    pub async fn traffic(&self) {
        tokio::time::sleep(LATE).await;
    }

    /// Applies a merge patch.
    pub async fn patch(&self, path: &str, patch: &Value) -> Value {
        let answer = call(&self.client, Method::PATCH, path, "application/merge-patch+json", patch).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        answer.body
    }

    /// Waits until something is as it should be.
    pub async fn settled(&self, what: &str, mut is: impl AsyncFnMut() -> bool) {
        let started = Instant::now();
        while !is().await {
            assert!(started.elapsed() < DEADLINE, "{what}: not after {DEADLINE:?}");
            tokio::time::sleep(BETWEEN).await;
        }
        if started.elapsed() > Duration::from_secs(5) {
            sandbox::say(format_args!("{what} took {:.1} s", started.elapsed().as_secs_f64()));
        }
    }
}

/// Whether the last thing that the speaker of a node has heard of another one is that it is there.
fn knows(of: Machine, node: Machine) -> bool {
    let text = std::fs::read_to_string(log(&speaker_name(of))).unwrap();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut events = events.filter(|event| event["node name"] == node.name);
    events.next_back().is_some_and(|event| event["node event"] == "NodeJoin")
}

fn speaker_name(node: Machine) -> String {
    format!("speaker-{}", node.name)
}

fn speaker_path(node: Machine) -> String {
    format!("/api/v1/namespaces/{METALLB}/pods/{}", speaker_name(node))
}

/// For the programs in the other namespaces. The certificate names no address of theirs, but `localhost`.
fn kubeconfig(base: &release::Cluster) -> PathBuf {
    let plane = &base.control_plane;
    let port = plane.url().rsplit_once(':').unwrap().1;
    let ca = std::env::temp_dir().join("ca.crt");
    std::fs::write(&ca, plane.ca_pem()).unwrap();
    let cluster = json!({
        "server": format!("https://{}:{port}", CONTROL.v4()),
        "tls-server-name": "localhost",
        "certificate-authority": ca,
    });
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": plane.admin_token()}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    });
    let path = std::env::temp_dir().join("kubeconfig");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    path
}
