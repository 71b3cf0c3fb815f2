//! The stage that every scenario enters: the cluster as the seed finds it, without a gateway.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};

use super::agreement::{Explanation, Prediction, Shown};
use super::client::{self, Steady, Tally, announcer, own};
use super::cluster::{BETWEEN, Cluster};
use super::lockstep::Lockstep;
use super::machines::{FIRST, GATEWAY, Machine, NODES, SECOND};
use super::objects::{
    ARP, EXCLUDE, ISTIO, LABEL, NAME, TAINT, network_condition, node_status, pool, second_pool, service,
};
use super::report::{Report, Row};
use super::{audit, sandbox};
use lockstep_test_support::api::{self, Answer, call};
use lockstep_test_support::release::read;

/// Where MetalLB's advertisements are.
const L2_ADVERTISEMENTS: &str = "/apis/metallb.io/v1beta1/namespaces/metallb-system/l2advertisements";

/// The number of requests in a row that must be as expected before the ones that count are sent.
const STEADY: usize = 5;

/// The number of requests that count, for each of the two addresses.
const COUNT: usize = 250;

/// The number of them that must be answered. A node that puts its own address in the client's place gives ports away again
/// too early now and then, and such a request is lost.
const ENOUGH: usize = 200;

/// The number of requests that count where no answer is expected.
const COUNT_OF_SILENCE: usize = 20;

/// The number of rounds in a row that must go unanswered before those that count.
const STEADY_SILENCE: usize = 2;

/// The patience of each of them. Answers take milliseconds, and those that count have the client's usual patience.
const IMPATIENCE: Duration = Duration::from_millis(750);

/// The time for which `explain` may disagree with packets that are as expected: endpoints and statuses are written after
/// the fact.
const AGREEMENT: Duration = Duration::from_secs(10);

/// The expectation of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The client's address arrives, through the gateway nodes.
    Kept,
    /// Another address arrives.
    Lost,
    /// The client's address arrives, announced from this node, gateway node or not.
    From(Machine),
    /// Nothing is answered, for this reason, in the code of `explain`.
    Silence(&'static str),
}

/// Everything that a scenario needs.
pub struct Stage {
    /// The cluster.
    pub cluster: Cluster,
    /// Lockstep, called or not.
    pub lockstep: Lockstep,
    report: Report,
    scenario: &'static str,
    guarded: bool,
    gateway_nodes: Vec<Machine>,
    /// The addresses that the gateway's Service is expected to have.
    targets: [IpAddr; 2],
    /// The prediction that the next count must confirm.
    prediction: Option<Prediction>,
}

impl Stage {
    /// Builds it.
    pub async fn build() -> Self {
        let cluster = Cluster::start().await;
        let lockstep = Lockstep::install(&cluster).await;
        let report = Report::default();
        Self {
            cluster,
            lockstep,
            report,
            scenario: "",
            guarded: false,
            gateway_nodes: Vec::new(),
            targets: GATEWAY,
            prediction: None,
        }
    }

    /// Clears it for one half of a scenario: no gateway, no advertisements, one pool, the seed's labels, everything runs.
    pub async fn enter(&mut self, scenario: &'static str, guarded: bool) {
        assert!(self.prediction.is_none(), "{}: no count followed {:?}", self.scenario, self.prediction);
        (self.scenario, self.guarded, self.targets) = (scenario, guarded, GATEWAY);
        self.lockstep.off(&self.cluster).await;
        self.clear(L2_ADVERTISEMENTS).await;
        self.clear(&format!("/api/v1/namespaces/{ISTIO}/services")).await;
        for plural in ["deployments", "replicasets"] {
            self.clear(&format!("/apis/apps/v1/namespaces/{ISTIO}/{plural}")).await;
        }
        // The endpoints of a Service that is gone would count as those of the next one of its name.
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{ISTIO}/endpointslices");
        for left in [format!("/api/v1/namespaces/{ISTIO}/pods"), slices] {
            self.cluster
                .settled("an empty stage", async || {
                    self.clear(&left).await;
                    read(&self.cluster.client, &left).await["items"].as_array().unwrap().is_empty()
                })
                .await;
        }
        // MetalLB rejects a configuration that takes the pool of an address away.
        self.delete(&api::path_of(&second_pool())).await;
        self.label_pool(None).await.unwrap();
        for node in NODES {
            self.cordon(node, false).await;
        }
        self.repair(&NODES).await;
        self.label(&[FIRST, SECOND]).await;
        if guarded {
            self.lockstep.on(&self.cluster).await;
        }
    }

    /// Begins another scenario on the same stage: what is there stays.
    pub fn go_on(&mut self, scenario: &'static str) {
        self.scenario = scenario;
    }

    /// Makes nodes as they were: nothing keeps them from announcing, and their speakers run.
    pub async fn repair(&mut self, nodes: &[Machine]) {
        for node in nodes {
            self.exclude(*node, false).await;
            self.set_network(*node, true).await;
            self.taint(*node, false).await;
            self.cluster.power_on(*node).await;
        }
        self.cluster.speakers_know_each_other().await;
    }

    /// Sets the label that keeps load balancers away from a node, as kubeadm does on those of the control plane.
    pub async fn exclude(&self, node: Machine, excluded: bool) {
        let value = if excluded { json!("") } else { Value::Null };
        let labels = json!({"metadata": {"labels": {EXCLUDE: value}}});
        self.cluster.patch(&format!("/api/v1/nodes/{}", node.name), &labels).await;
    }

    /// Reports the node's network as a cloud's controller does.
    pub async fn set_network(&self, node: Machine, available: bool) {
        let mut status = node_status(node);
        let conditions = status["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(network_condition(available));
        self.cluster.patch(&format!("/api/v1/nodes/{}/status", node.name), &status).await;
    }

    /// Reserves a node for ingress, or frees it. Pods that do not tolerate that must go.
    pub async fn taint(&self, node: Machine, tainted: bool) {
        let taints = if tainted { json!([{"key": TAINT, "effect": "NoExecute"}]) } else { Value::Null };
        let spec = json!({"spec": {"taints": taints}});
        self.cluster.patch(&format!("/api/v1/nodes/{}", node.name), &spec).await;
    }

    /// Sets the pool's label `tier`, or takes it away. If Lockstep refuses it, this is its reason.
    pub async fn label_pool(&self, tier: Option<&str>) -> Result<Value, String> {
        let labels = json!({"metadata": {"labels": {"tier": tier}}});
        let path = api::path_of(&pool());
        said(call(&self.cluster.client, Method::PATCH, &path, "application/merge-patch+json", &labels).await)
    }

    /// Takes an advertisement away. If Lockstep refuses it, this is its reason.
    pub async fn remove(&self, advertisement: &Value) -> Result<Value, String> {
        let path = api::path_of(advertisement);
        said(call(&self.cluster.client, Method::DELETE, &path, "application/json", &Value::Null).await)
    }

    /// Waits until a Service has the addresses that are expected.
    pub async fn has_addresses(&self, service: &Value) {
        let path = api::path_of(service);
        let addresses = self.targets.map(|address| json!({"ip": address, "ipMode": "VIP"}));
        self.cluster
            .settled("the addresses", async || {
                read(&self.cluster.client, &path).await["status"]["loadBalancer"]["ingress"]
                    == json!(addresses)
            })
            .await;
    }

    /// Waits until nothing but an announcement is missing at the gateway's Service: it has its addresses, and all of its
    /// pods are ready endpoints of both kinds.
    pub async fn lacks_announcement_only(&self) {
        self.has_addresses(&service()).await;
        let of_service = format!("labelSelector=kubernetes.io/service-name%3D{NAME}");
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{ISTIO}/endpointslices?{of_service}");
        let pods = self.pods().await.len();
        self.cluster
            .settled("the endpoints", async || {
                let slices = read(&self.cluster.client, &path).await;
                let slices = slices["items"].as_array().unwrap();
                let endpoints = slices.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten();
                endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true).count() == 2 * pods
            })
            .await;
    }

    /// The addresses that the gateway's Service is expected to have from now on.
    pub fn expect_addresses(&mut self, targets: [IpAddr; 2]) {
        self.targets = targets;
    }

    async fn clear(&self, path: &str) {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background",
        });
        let answer = call(&self.cluster.client, Method::DELETE, path, "application/json", &options).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
    }

    async fn delete(&self, path: &str) {
        let answer = call(&self.cluster.client, Method::DELETE, path, "application/json", &Value::Null).await;
        assert!(answer.status.is_success() || answer.status == 404, "{path}: {}", answer.body);
    }

    /// No node has a label, and the gateway may run on every one.
    pub async fn unlabel(&mut self) {
        self.label(&[]).await;
        self.gateway_nodes = NODES.to_vec();
    }

    /// The seed's first step: these nodes, and no others, are the gateway nodes.
    pub async fn label(&mut self, nodes: &[Machine]) {
        self.gateway_nodes = nodes.to_vec();
        for node in NODES {
            let value = if nodes.contains(&node) { json!(ARP) } else { Value::Null };
            let labels = json!({"metadata": {"labels": {LABEL: value}}});
            self.cluster.patch(&format!("/api/v1/nodes/{}", node.name), &labels).await;
        }
    }

    /// Lets new pods onto a node, or none.
    pub async fn cordon(&self, node: Machine, cordoned: bool) {
        let spec = json!({"spec": {"unschedulable": cordoned}});
        self.cluster.patch(&format!("/api/v1/nodes/{}", node.name), &spec).await;
    }

    /// Empties a node, as `kubectl drain` does, and waits until the gateway is complete elsewhere.
    pub async fn drain(&self, node: Machine) {
        self.cordon(node, true).await;
        for pod in self.pods().await.iter().filter(|pod| pod["spec"]["nodeName"] == node.name) {
            let name = &pod["metadata"]["name"];
            let eviction = json!({
                "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": ISTIO},
            });
            let path = format!("/api/v1/namespaces/{ISTIO}/pods/{}/eviction", name.as_str().unwrap());
            let answer = call(&self.cluster.client, Method::POST, &path, "application/json", &eviction).await;
            assert!(answer.status.is_success(), "{}", answer.body);
        }
        self.complete().await;
    }

    /// Makes an object that nobody refuses.
    pub async fn make(&self, object: &Value) -> Value {
        api::create(&self.cluster.client, object).await
    }

    /// Offers an object. If Lockstep refuses it, this is its reason.
    pub async fn offer(&self, object: &Value) -> Result<Value, String> {
        let answer = api::post(&self.cluster.client, object, false).await;
        said(answer)
    }

    /// Starts the gateway and waits until all of its pods are ready.
    pub async fn gateway(&self, deployment: &Value) {
        self.make(deployment).await;
        self.complete().await;
    }

    /// Rolls the gateway out again, as `kubectl rollout restart` does, and waits until it is done.
    pub async fn roll_out(&self) {
        let now = format!("{:?}", std::time::SystemTime::now());
        let template = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": now}}});
        let path = format!("/apis/apps/v1/namespaces/{ISTIO}/deployments/istio-ingressgateway");
        self.cluster.patch(&path, &json!({"spec": {"template": template}})).await;
        self.complete().await;
    }

    /// The gateway's pods.
    pub async fn pods(&self) -> Vec<Value> {
        let path = format!("/api/v1/namespaces/{ISTIO}/pods");
        read(&self.cluster.client, &path).await["items"].as_array().unwrap().clone()
    }

    /// A node on which a gateway pod runs.
    pub async fn busy_node(&self) -> Machine {
        let pods = self.pods().await;
        NODES.into_iter().find(|node| pods.iter().any(|pod| pod["spec"]["nodeName"] == node.name)).unwrap()
    }

    /// Waits until the Deployment is rolled out and no pod of before is left.
    async fn complete(&self) {
        let path = format!("/apis/apps/v1/namespaces/{ISTIO}/deployments/istio-ingressgateway");
        self.cluster
            .settled("the gateway", async || {
                let deployment = read(&self.cluster.client, &path).await;
                let (wanted, status) = (&deployment["spec"]["replicas"], &deployment["status"]);
                let pods = self.pods().await;
                status["observedGeneration"] == deployment["metadata"]["generation"]
                    && ["replicas", "updatedReplicas", "readyReplicas"].iter().all(|of| status[of] == *wanted)
                    && json!(pods.len()) == *wanted
                    && pods.iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            })
            .await;
    }

    /// Asks `explain` what would become of the gateway's addresses after a change. The change comes next, and then the count
    /// that must show the same.
    pub async fn predict(&mut self, what_if: impl IntoIterator<Item = impl Into<String>>) {
        let what_if: Vec<String> = what_if.into_iter().map(Into::into).collect();
        // A change is supposed of the cluster itself or of its objects in manifests: either must do.
        let explanation = if self.guarded {
            Explanation::of_cluster(self.cluster.base.control_plane.kubeconfig_path(), &what_if).await
        } else {
            Explanation::of_objects(&self.cluster.client, &what_if).await
        };
        self.prediction = Some(Prediction { what_if, explanation });
    }

    /// The same for objects that would be applied.
    pub async fn predict_with(&mut self, object: &Value) {
        let path = std::env::temp_dir().join("with.json");
        std::fs::write(&path, object.to_string()).unwrap();
        self.predict(["--with".to_owned(), path.display().to_string()]).await;
    }

    /// Begins to ask steadily.
    pub fn steady(&self, what: &'static str) -> Steady {
        Steady::start(self.targets, &self.path(what))
    }

    /// Ends it, and counts what is expected of every answer.
    pub async fn stop(&mut self, steady: Steady, what: &'static str, expected: Expected) -> [Tally; 2] {
        let tallies = steady.stop();
        self.judge(what, expected, &tallies).await;
        tallies
    }

    /// Asks until the answers are as expected, and then counts. What `explain` says of this moment.
    pub async fn measure(&mut self, what: &'static str, expected: Expected) -> Explanation {
        let is_silence = matches!(expected, Expected::Silence(_));
        let (count, at_once, steady, patience) = if is_silence {
            (1, COUNT_OF_SILENCE, STEADY_SILENCE, IMPATIENCE)
        } else {
            (COUNT, 1, STEADY, client::PATIENCE)
        };
        let path = self.path(what);
        let mut in_a_row = 0;
        client::forget();
        self.cluster
            .settled(what, async || {
                let tallies = client::ask(self.targets, "/before", 1, 1, patience).await;
                in_a_row = if self.mismatch(expected, &tallies).is_none() { in_a_row + 1 } else { 0 };
                if self.guarded {
                    let foreign = self.foreign(&tallies);
                    assert_eq!(foreign, 0, "{what}: an address was lost on the way: {tallies:?}");
                }
                if in_a_row == 0 {
                    client::forget();
                }
                in_a_row == steady
            })
            .await;
        let tallies = client::ask(self.targets, &path, at_once, count, client::PATIENCE).await;
        let enough = |tally: &Tally| is_silence || tally.answered >= ENOUGH;
        assert!(tallies.iter().all(enough), "{what}: {tallies:?}");
        self.judge(what, expected, &tallies).await
    }

    fn path(&self, what: &str) -> String {
        format!("/{}/{}/{}", self.scenario, if self.guarded { "with" } else { "without" }, what)
            .replace(|character: char| !character.is_ascii_alphanumeric() && character != '/', "-")
    }

    /// Every count comes here: it must be as expected, the audit log must have it, and `explain` must say the same.
    async fn judge(&mut self, what: &'static str, expected: Expected, tallies: &[Tally; 2]) -> Explanation {
        let mismatch = self.mismatch(expected, tallies);
        assert!(mismatch.is_none(), "{}, {what}: {mismatch:?}\n{tallies:?}", self.scenario);
        self.agrees_with_the_audit_log(what, tallies);
        let (explanation, announced) = self.agreement(what, expected).await;
        let prediction = self.prediction.take();
        if let Some(prediction) = &prediction {
            self.fulfils(what, &explanation, prediction);
        }
        for (shown, tally) in announced.into_iter().zip(tallies) {
            let row = Row {
                scenario: self.scenario,
                guarded: self.guarded,
                what,
                target: shown.target,
                own: own(shown.target),
                announced: shown.announced.map(|node| node.name),
                tally: tally.clone(),
                explained: explanation.statement(shown.target).unwrap(),
                predicted_by: prediction.as_ref().map(|prediction| prediction.what_if[0].clone()),
            };
            let why = &row.tally.why;
            let lost = if why.is_empty() { String::new() } else { format!(" lost: {why:?}") };
            sandbox::say(format_args!("{row}{lost}"));
            self.report.rows.push(row);
        }
        explanation
    }

    /// Asserts that the prediction equals the explanation of now, which agrees with the packets.
    fn fulfils(&self, what: &str, explanation: &Explanation, prediction: &Prediction) {
        let Prediction { what_if, explanation: before } = prediction;
        for target in self.targets {
            let [predicted, came] = [before, explanation].map(|explanation| explanation.statement(target));
            if predicted != came {
                let differs = format!("{what_if:?} predicted {predicted:?} for {target}; {came:?} came");
                before.leave("predicted", &differs);
                panic!("{}, {what}: {}", self.scenario, explanation.leave("explained", &differs));
            }
        }
    }

    /// Explains the state until that agrees with what the packets show. They are as expected already, so it does at once,
    /// but for what is written later. The client asks anew each time who has the addresses.
    async fn agreement(&mut self, what: &str, expected: Expected) -> (Explanation, [Shown; 2]) {
        let started = Instant::now();
        loop {
            let kubeconfig = self.cluster.base.control_plane.kubeconfig_path();
            let (explanation, live) = tokio::join!(
                Explanation::of_objects(&self.cluster.client, &[]),
                Explanation::of_cluster(kubeconfig, &[])
            );
            let shown = self.targets.map(|target| Shown { target, announced: announcer(target) });
            let disagreement =
                [&explanation, &live].into_iter().find_map(|said| said.disagreement(expected, &shown));
            let Some(disagreement) = disagreement else {
                return (explanation, shown);
            };
            if started.elapsed() > AGREEMENT {
                live.leave("live", &disagreement);
                panic!("{}, {what}: {}", self.scenario, explanation.leave("explained", &disagreement));
            }
            self.report.asked_again += 1;
            sandbox::say(format_args!("{}, {what}: not yet: {disagreement}", self.scenario));
            tokio::time::sleep(BETWEEN).await;
            client::forget();
            client::ask(self.targets, "/again", 1, 1, client::PATIENCE).await;
        }
    }

    /// The difference from the expectation, if there is one.
    fn mismatch(&self, expected: Expected, tallies: &[Tally; 2]) -> Option<String> {
        self.targets
            .into_iter()
            .zip(tallies)
            .find_map(|(target, tally)| self.differs(expected, target, tally))
    }

    fn differs(&self, expected: Expected, target: IpAddr, tally: &Tally) -> Option<String> {
        let kept = tally.with(own(target));
        let announced = announcer(target);
        let is = match expected {
            Expected::Silence(_) => tally.answered == 0,
            Expected::Lost => tally.answered > 0 && kept == 0,
            Expected::From(node) => tally.answered > 0 && kept == tally.answered && announced == Some(node),
            Expected::Kept => {
                let inside = |node: &str| self.gateway_nodes.iter().any(|gateway| gateway.name == node);
                tally.answered > 0
                    && kept == tally.answered
                    && announced.is_some_and(|node| inside(node.name))
            }
        };
        (!is).then(|| format!("{expected:?} is not what {target} shows, announced from {announced:?}"))
    }

    /// The number of answers with another address than the client's.
    fn foreign(&self, tallies: &[Tally; 2]) -> usize {
        let foreign = |(target, tally): (IpAddr, &Tally)| tally.answered - tally.with(own(target));
        self.targets.into_iter().zip(tallies).map(foreign).sum()
    }

    /// Asserts that the client's answers are in the audit log. A request whose answer was lost may stand there, too.
    fn agrees_with_the_audit_log(&self, what: &str, tallies: &[Tally; 2]) {
        let entries = audit::entries(&self.path(what));
        for (address, count) in tallies.iter().flat_map(|tally| &tally.seen) {
            let logged = entries.iter().filter(|entry| entry.source == *address).count();
            assert!(
                logged >= *count,
                "{what}: {count} answers told of {address}, {logged} lines of the log do"
            );
        }
    }

    /// Notes what was refused or changed in this half.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        sandbox::say(format_args!("{}: {note}", self.scenario));
        self.report.notes.push((self.scenario, note));
    }

    /// Writes the report.
    pub fn write_report(&self) {
        self.report.write();
    }
}

/// The object, or why it was refused.
pub fn said(answer: Answer) -> Result<Value, String> {
    if answer.status.is_success() {
        return Ok(answer.body);
    }
    let message = answer.body["message"].as_str().unwrap();
    let reason = answer.body["details"]["causes"][0]["reason"].as_str();
    Err(reason.map_or(message.to_owned(), |reason| format!("{reason}: {message}")))
}
