//! A cluster with a release, its replicas as processes, and a rollout as a Deployment does it.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kube::Client;
use lockstep_test_support::control_plane::{MetalLb, Options};
use lockstep_test_support::endpoints::{endpoints_of, own_address};
use lockstep_test_support::helm::NAMESPACE;
use lockstep_test_support::release::{Cluster, arguments, read};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::service_account::Account;
use lockstep_test_support::state::{put, stored_objects};
use lockstep_test_support::{api, objects, root, wait};
use serde_json::Value;

const REPLICAS: usize = 2;

/// `preStopSleepSeconds` of the values.
const PRE_STOP_SLEEP: Duration = Duration::from_secs(1);

/// Where the replicas write the decision log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionLog {
    /// To standard output, as by default. Something collects it by node.
    Collected,
    /// Into a file on the node.
    OnTheNode,
}

/// The path in the values of a decision log on the node. Every node has its own.
pub const LOG_ON_NODE: &str = "/var/log/lockstep/audit.log";

/// The cluster.
pub struct House {
    /// With the release.
    pub cluster: Cluster,
    /// With all rights.
    pub admin: Client,
    /// The service account of the replicas.
    pub account: Account,
    decision_log: DecisionLog,
    /// A folder for each node. One more than replicas, so that a new one starts before an old one ends.
    nodes: Vec<tempfile::TempDir>,
    replicas: VecDeque<Replica>,
    started: usize,
}

struct Replica {
    serve: Serve,
    endpoints: Value,
    node: usize,
}

impl House {
    /// Starts a cluster with a gateway and MetalLB, and installs a release by `install`, arguments of Helm, whose replicas run
    /// `program`.
    pub async fn start(install: &[String], program: &Path, decision_log: DecisionLog) -> Self {
        // No kube-proxy runs, so the API server routes to endpoints itself.
        let options = Options::default().api_server_arg("--enable-aggregator-routing=true").alone();
        let cluster = Cluster::start(options).await;
        let admin = cluster.client().await;
        cluster.control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
        for name in ["istio-system", "metallb-system", "edge", "others"] {
            api::create(&admin, &objects::namespace(name)).await;
        }
        let mut state =
            stored_objects(&root().join("tests/cases/state/the-gateway-survives-drains-and-rollouts.yaml"));
        state.retain(|object| object["kind"] != "GatewayTopology");
        put(&admin, &state).await;
        cluster.helm.run(&[install, &["--create-namespace".to_owned()]].concat()).unwrap();
        let account = Account::of(&cluster).await;
        let nodes = (0..=REPLICAS).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut house =
            Self { cluster, admin, account, decision_log, nodes, replicas: VecDeque::new(), started: 0 };
        for _ in 0..REPLICAS {
            house.surge(program).await;
        }
        house
    }

    /// The decision logs of the nodes, of those that have one.
    pub fn logs(&self) -> Vec<PathBuf> {
        let logs = self.nodes.iter().map(|node| node.path().join("audit.log"));
        logs.filter(|log| log.exists()).collect()
    }

    /// The ports of probes and metrics of the replicas, the oldest first.
    pub fn admin_ports(&self) -> Vec<String> {
        self.replicas.iter().map(|replica| replica.serve.admin.clone()).collect()
    }

    /// Replaces every replica by one of this program with the arguments of today's Deployment: one more first, then one less.
    pub async fn roll_out(&mut self, program: &Path) {
        for _ in 0..REPLICAS {
            self.surge(program).await;
            self.end_oldest().await;
        }
    }

    /// Ends every replica.
    pub async fn end(&mut self) {
        while !self.replicas.is_empty() {
            self.end_oldest().await;
        }
    }

    /// Starts one more replica on the node without one, and adds it to the endpoints when it is ready.
    async fn surge(&mut self, program: &Path) {
        let is_free = |node: &usize| self.replicas.iter().all(|replica| replica.node != *node);
        let node = (0..self.nodes.len()).find(is_free).unwrap();
        let deployment =
            read(&self.admin, &format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/lockstep")).await;
        assert_eq!(deployment["spec"]["replicas"], REPLICAS);
        let log = self.nodes[node].path().join("audit.log");
        let mut arguments = arguments(&deployment);
        let mut stdout = Stdio::null();
        match self.decision_log {
            DecisionLog::Collected => {
                stdout = File::options().create(true).append(true).open(&log).unwrap().into();
            }
            DecisionLog::OnTheNode => {
                let path = arguments.iter_mut().find(|argument| *argument == LOG_ON_NODE);
                *path.expect("the log of the values") = log.to_str().unwrap().to_owned();
            }
        }
        arguments.extend(["--listen".to_owned(), format!("{}:0", own_address())]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let serve = Serve::start_program(program, &arguments, Some(&self.account.kubeconfig()), stdout).await;
        wait::until_ready(&serve.admin).await;
        self.started += 1;
        let endpoints = endpoints_of(&serve, &format!("lockstep-{}", self.started));
        api::create(&self.admin, &endpoints).await;
        self.replicas.push_back(Replica { serve, endpoints, node });
    }

    /// Ends the oldest replica as a kubelet does: its endpoint goes, the hook sleeps, and the process gets SIGTERM.
    async fn end_oldest(&mut self) {
        let mut oldest = self.replicas.pop_front().unwrap();
        assert!(api::delete(&self.admin, &oldest.endpoints).await.status.is_success());
        tokio::time::sleep(PRE_STOP_SLEEP).await;
        oldest.serve.signal("TERM");
        let (code, said) = oldest.serve.ended().await;
        assert_eq!(code, Some(0), "{said:?}");
    }
}
