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
use super::objects::{ISTIO, METALLB, node, node_status, pool, speaker};
use super::program::{Program, log};
use super::{audit, sandbox};
use lockstep_test_support::api::{self, call};
use lockstep_test_support::control_plane::{Machinery, MetalLb, Options, machinery};
use lockstep_test_support::objects::namespace;
use lockstep_test_support::release;

/// What Kubernetes is asked to do here. Nothing sends heartbeats, so nobody looks for them.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,daemonset-controller,endpointslice-controller,\
                           garbage-collector-controller,namespace-controller,serviceaccount-controller";

/// How long anything may take that a cluster does by itself.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// kube-proxy writes its rules at most once a second, and speakers announce at once.
const LATE: Duration = Duration::from_secs(3);

/// Between two looks at whether it is done.
pub const BETWEEN: Duration = Duration::from_millis(100);

/// A running cluster.
pub struct Cluster {
    /// The control plane, and Helm for it.
    pub base: release::Cluster,
    /// Who may do everything.
    pub client: Client,
    speakers: BTreeMap<&'static str, Program>,
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
        let mut cluster =
            Self { base, client, speakers: BTreeMap::new(), machinery, kubeconfig, _programs: Vec::new() };
        cluster.populate().await;
        cluster._programs = cluster.programs();
        Kubelet::start(cluster.client.clone());
        for node in NODES {
            cluster.start_speaker(node);
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
            let pod = api::create(&self.client, &speaker(machine)).await;
            let status = json!({"status": {
                "phase": "Running", "podIP": machine.v4(), "podIPs": [{"ip": machine.v4()}, {"ip": machine.v6()}],
            }});
            self.patch(&format!("{}/status", api::path_of(&pod)), &status).await;
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
        let mut programs = vec![
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
        ];
        let cidrs = "--cluster-cidr=10.244.0.0/16,fd44::/32";
        for node in NODES {
            let name = format!("--hostname-override={}", node.name);
            let arguments = [
                "--proxy-mode=nftables",
                &name,
                cidrs,
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0s",
                "--conntrack-tcp-timeout-close-wait=0s",
            ];
            programs.push(start(
                &format!("kube-proxy-{}", node.name),
                node,
                &self.machinery.proxy,
                &arguments,
            ));
        }
        programs
    }

    /// Starts the speaker of a node, if it does not run.
    pub fn start_speaker(&mut self, node: Machine) {
        if self.speakers.get_mut(node.name).is_some_and(Program::runs) {
            return;
        }
        let mut command = network::command(node.name, self.machinery.speaker.to_str().unwrap());
        command.args([
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--namespace={METALLB}"),
            format!("--node-name={}", node.name),
            format!("--pod-name=speaker-{}", node.name),
            format!("--host={}", node.v4()),
            format!("--ml-bindaddr={}", node.v4()),
            "--ml-labels=app=metallb,component=speaker".to_owned(),
        ]);
        self.speakers.insert(node.name, Program::start(&speaker_log(node), &mut command));
    }

    /// Ends the speaker of a node as a crash would.
    pub fn kill_speaker(&mut self, node: Machine) {
        self.speakers.get_mut(node.name).unwrap().kill();
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
    let text = std::fs::read_to_string(log(&speaker_log(of))).unwrap();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut events = events.filter(|event| event["node name"] == node.name);
    events.next_back().is_some_and(|event| event["node event"] == "NodeJoin")
}

fn speaker_log(node: Machine) -> String {
    format!("speaker-{}", node.name)
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
