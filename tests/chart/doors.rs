//! The doors of `tests/doors`: ways, by one change or a few, into a state where the client's address is lost, and everyday changes that
//! must pass. Each is taken on a real API server with the chart installed and one replica, and must end as wanted.
//!
//! `LOCKSTEP_DOORS=TEXT` takes only doors whose row or name contains the text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use kube::Client;
use lockstep_test_support::api::{self, Answer, call, path_of};
use lockstep_test_support::control_plane::{MetalLb, Options};
use lockstep_test_support::objects::{self, LABEL};
use lockstep_test_support::release::{Cluster, read};
use lockstep_test_support::state;
use lockstep_test_support::wait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::replica::Replica;

/// The longest time until a condition must show what admission has not refused.
pub const REPORTED_WITHIN: Duration = Duration::from_secs(5);

pub const TOPOLOGY: &str = "/apis/lockstep.dev/v1alpha1/gatewaytopologies/istio-ingressgateway";

/// The kinds of the doors: their plural, the root of their path, and their namespace.
const KINDS: [(&str, &str, Option<&str>); 16] = [
    ("services", "/api/v1", Some("istio-system")),
    ("pods", "/api/v1", Some("istio-system")),
    ("nodes", "/api/v1", None),
    ("endpointslices", "/apis/discovery.k8s.io/v1", Some("istio-system")),
    ("deployments", "/apis/apps/v1", Some("istio-system")),
    ("daemonsets", "/apis/apps/v1", Some("istio-system")),
    ("poddisruptionbudgets", "/apis/policy/v1", Some("istio-system")),
    ("l2advertisements", "/apis/metallb.io/v1beta1", Some("metallb-system")),
    ("bgpadvertisements", "/apis/metallb.io/v1beta1", Some("metallb-system")),
    ("ipaddresspools", "/apis/metallb.io/v1beta1", Some("metallb-system")),
    ("metallb-system/pods", "/api/v1", Some("metallb-system")),
    ("lockstep-system/services", "/api/v1", Some("lockstep-system")),
    ("lockstep-system/endpointslices", "/apis/discovery.k8s.io/v1", Some("lockstep-system")),
    ("gatewaytopologies", "/apis/lockstep.dev/v1alpha1", None),
    ("mutatingwebhookconfigurations", "/apis/admissionregistration.k8s.io/v1", None),
    ("validatingwebhookconfigurations", "/apis/admissionregistration.k8s.io/v1", None),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    row: String,
    doors: Vec<Door>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Door {
    door: String,
    /// What happened before the topology existed.
    #[serde(default)]
    before: Vec<Step>,
    steps: Vec<Step>,
    wanted: Wanted,
}

/// One request, or `until`: `create` and `apply` take an object, the others a path such as `services/NAME` or `pods/NAME/status`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// `alice`, who edits the gateway's namespace and nodes, or `kubelet NODE`; the administrator by default.
    by: Option<String>,
    create: Option<Value>,
    apply: Option<Value>,
    patch: Option<String>,
    post: Option<String>,
    delete: Option<String>,
    /// The patch, or what is posted. A list is a JSON patch, everything else a merge patch.
    with: Value,
    /// Waits first until a dry run of the request is answered as wanted: the replica receives the changes before it a moment later,
    /// those of each kind by a watch of its own.
    settle: bool,
    /// Waits until the status of the topology has this at its newest generation.
    until: Option<Box<Outcome>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wanted {
    /// `passes`: every request is accepted. `silent`: and no warning is given.
    Word(String),
    Result(Box<Outcome>),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Outcome {
    /// A code of a finding, or words of the message.
    refused: Option<String>,
    /// The `externalTrafficPolicy` that the Service has afterwards, although another was asked for.
    kept: Option<String>,
    kept_or_refused: Option<String>,
    /// The `externalTrafficPolicy` that admission does not change.
    stays: Option<String>,
    /// The Service that these are about.
    of: Option<String>,
    has: Option<Has>,
    /// Words of a warning.
    warned: Option<String>,
    /// The status of conditions of the topology.
    reported: BTreeMap<String, String>,
    /// The code of a finding in the status of the topology.
    finding: Option<String>,
    /// The time in seconds within which a report must be there, if it is not 5.
    within: Option<u64>,
    /// The topology that is read; the built-in one by default.
    topology: Option<String>,
    /// Whether the replica writes every `caBundle` back.
    repaired: bool,
}

impl Outcome {
    /// The `externalTrafficPolicy` that the Service must have.
    fn policy(&self) -> Option<&String> {
        self.kept.as_ref().or(self.kept_or_refused.as_ref()).or(self.stays.as_ref())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Has {
    of: String,
    at: String,
    value: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doors")
}

fn rows() -> Vec<Row> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.ends_with("base.yaml"));
    paths.sort();
    let rows = paths.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        serde_saphyr::from_multiple::<Row>(&text)
            .unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
    });
    rows.collect()
}

/// The path of `PLURAL`, `PLURAL/NAME` or `PLURAL/NAME/SUBRESOURCE`.
fn path(target: &str) -> String {
    let found = KINDS.iter().find_map(|(plural, root, namespace)| {
        let rest = target.strip_prefix(plural)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| {
            let namespace = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
            format!(
                "{root}{namespace}/{}{rest}",
                plural.rsplit_once('/').map_or(*plural, |(_, plural)| plural)
            )
        })
    });
    found.unwrap_or_else(|| panic!("`{target}` is of no known kind"))
}

/// An object with the namespace of its kind.
fn placed(object: &Value) -> Value {
    let mut object = object.clone();
    let version = object["apiVersion"].as_str().unwrap();
    let namespace = match object["kind"].as_str().unwrap() {
        "Node" | "GatewayTopology" => return object,
        _ if !object["metadata"]["namespace"].is_null() => return object,
        _ if version.starts_with("metallb.io/") => "metallb-system",
        _ => "istio-system",
    };
    object["metadata"]["namespace"] = json!(namespace);
    object
}

pub struct House {
    cluster: Cluster,
    pub admin: Client,
    alice: Client,
    replica: Replica,
    /// The webhook configurations as the chart and the replica have made them.
    configurations: Vec<(String, Value)>,
    topology: Value,
    /// The Service of the webhooks, and its endpoints.
    own: [Value; 2],
}

impl House {
    pub async fn start() -> Self {
        let options = Options::default()
            .api_server_arg("--authorization-mode=Node")
            .api_server_arg("--enable-admission-plugins=NodeRestriction")
            .api_server_arg("--enable-aggregator-routing=true");
        let cluster = Cluster::start(options).await;
        let admin = cluster.client().await;
        cluster.control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
        for name in ["istio-system", "metallb-system"] {
            api::create(&admin, &objects::namespace(name)).await;
        }
        cluster.install(&[]);
        entitle_alice(&admin).await;
        let replica = Replica::start(&cluster, &admin).await;
        let service = bare(&read(&admin, &path("lockstep-system/services/lockstep")).await);
        let mut configurations = Vec::new();
        for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
            let path = path(&format!("{plural}/lockstep"));
            let stored = read(&admin, &path).await;
            configurations.push((path, bare(&stored)));
        }
        let topology = bare(&read(&admin, TOPOLOGY).await);
        let alice = cluster.control_plane.client_as("alice").await.unwrap();
        let house = Self {
            cluster,
            admin,
            alice,
            configurations,
            topology,
            own: [service, replica.endpoints.clone()],
            replica,
        };
        house.reset(&[]).await;
        let kubelet = house.client(Some("kubelet n1")).await;
        let probe = json!({"metadata": {"labels": {LABEL: null}}});
        let is_guarded = wait::until_so(async || {
            let path = path("nodes/n1?dryRun=All");
            call(&kubelet, Method::PATCH, &path, "application/merge-patch+json", &probe).await.status
                == StatusCode::FORBIDDEN
        });
        assert!(is_guarded.await, "the API server never evaluates the node guard");
        house
    }

    pub async fn client(&self, by: Option<&str>) -> Client {
        match by {
            None => self.admin.clone(),
            Some("alice") => self.alice.clone(),
            Some(other) => {
                let node =
                    other.strip_prefix("kubelet ").unwrap_or_else(|| panic!("nobody is called `{other}`"));
                let (user, groups) =
                    (format!("system:node:{node}"), ["system:nodes", "system:authenticated"]);
                self.cluster.control_plane.client_impersonating(&user, &groups).await.unwrap()
            }
        }
    }

    /// Sends the request of a step.
    async fn take(&self, step: &Step, dry_run: bool) -> Answer {
        let client = self.client(step.by.as_deref()).await;
        let option = if dry_run { "dryRun=All" } else { "" };
        if let Some(object) = &step.create {
            api::post(&client, &placed(object), dry_run).await
        } else if let Some(object) = &step.apply {
            let object = placed(object);
            let path = format!("{}?fieldManager=gitops&force=true&{option}", path_of(&object));
            call(&client, Method::PATCH, &path, "application/apply-patch+yaml", &object).await
        } else if let Some(target) = &step.patch {
            let kind = if step.with.is_array() {
                "application/json-patch+json"
            } else {
                "application/merge-patch+json"
            };
            let path = format!("{}?{option}", path(target));
            call(&client, Method::PATCH, &path, kind, &step.with).await
        } else if let Some(target) = &step.post {
            let path = format!("{}?{option}", path(target));
            call(&client, Method::POST, &path, "application/json", &step.with).await
        } else {
            let target = step.delete.as_deref().expect("a step has a request");
            let path = format!("{}?gracePeriodSeconds=0&{option}", path(target));
            call(&client, Method::DELETE, &path, "application/json", &Value::Null).await
        }
    }

    /// Waits until a dry run of the request is answered as wanted. If it never is, the answer of the request itself shows it.
    async fn settle(&self, step: &Step, wanted: &Wanted) {
        let answered = self.within(REPORTED_WITHIN, async || {
            let answer = self.take(step, true).await;
            if !answer.status.is_success() {
                return wanted.judge_refusal(&answer).map(drop);
            }
            wanted.judge_accepted(&answer, &answer.body).map_or(Ok(()), |judged| judged.map(drop))
        });
        drop(answered.await);
    }

    /// Brings the state of `base.yaml` back, after these steps.
    pub async fn reset(&self, before: &[Step]) {
        // Webhooks that cannot be called would refuse the rest.
        for (path, wanted) in &self.configurations {
            let (collection, _) = path.rsplit_once('/').unwrap();
            let created = call(&self.admin, Method::POST, collection, "application/json", wanted).await;
            if created.status == StatusCode::CONFLICT {
                let patch = json!([{"op": "replace", "path": "/webhooks", "value": wanted["webhooks"]}]);
                let kind = "application/json-patch+json";
                let answer = call(&self.admin, Method::PATCH, path, kind, &patch).await;
                assert!(answer.status.is_success(), "{}", answer.body);
            }
        }
        for object in &self.own {
            let object = placed(object);
            api::delete(&self.admin, &object).await;
            api::create(&self.admin, &object).await;
        }
        self.empty("gatewaytopologies").await;
        for (plural, ..) in KINDS {
            if !plural.ends_with("webhookconfigurations") && !plural.starts_with("lockstep-system/") {
                self.empty(plural).await;
            }
        }
        // A replica that still knows the last state would report it as this one. It lists the objects of the namespaces anew with the
        // next topology.
        self.until_known("GatewayTopology", 0).await;
        self.until_known("Node", 0).await;
        let base = state::stored_objects(&folder().join("base.yaml"));
        state::put(&self.admin, &base).await;
        for step in before {
            let answer = self.take(step, false).await;
            assert!(answer.status.is_success(), "{}", answer.body);
        }
        api::create(&self.admin, &self.topology).await;
        let wanted: &[&str] = if before.is_empty() {
            &["Guarded", "Aligned", "SourceIPPreserved", "Resilient"]
        } else {
            &["Guarded"]
        };
        let mut last = Value::Null;
        let is_reset = wait::until_so(async || {
            last = read(&self.admin, TOPOLOGY).await;
            wanted.iter().all(|kind| condition(&last, kind) == "True")
                && condition(&last, "Stalled") == "False"
        });
        assert!(is_reset.await, "the state is never as in base.yaml: {last:#}");
        self.until_known("Node", base.iter().filter(|object| object["kind"] == "Node").count()).await;
    }

    /// Waits until the replica knows this many objects of the kind.
    async fn until_known(&self, kind: &str, count: usize) {
        let known = format!("lockstep_objects{{kind=\"{kind}\"}} {count}\n");
        wait::until(&self.replica.serve.admin, "/metrics", |_, text| text.contains(&known)).await;
    }

    async fn empty(&self, plural: &str) {
        let collection = path(plural);
        let is_empty = wait::until_so(async || {
            let listed = read(&self.admin, &collection).await;
            for item in listed["items"].as_array().unwrap() {
                let path = format!("{collection}/{}", item["metadata"]["name"].as_str().unwrap());
                if !item["metadata"]["finalizers"].is_null() {
                    let patch = json!({"metadata": {"finalizers": null}});
                    call(&self.admin, Method::PATCH, &path, "application/merge-patch+json", &patch).await;
                }
                let path = format!("{path}?gracePeriodSeconds=0");
                call(&self.admin, Method::DELETE, &path, "application/json", &Value::Null).await;
            }
            listed["items"] == json!([])
        });
        assert!(is_empty.await, "`{plural}` are never gone");
    }

    /// Takes a door. Returns what came of it, and whether anything may have changed.
    async fn try_door(&self, door: &Door) -> (Result<String, String>, bool) {
        if !door.before.is_empty() {
            self.reset(&door.before).await;
        }
        let (mut changed, mut last) = (!door.before.is_empty(), None);
        let accepted = Wanted::Word("passes".to_owned());
        for (index, step) in door.steps.iter().enumerate() {
            if let Some(state) = &step.until {
                if let Err(error) = self.judge_state(state).await {
                    return (Err(error), true);
                }
                continue;
            }
            if step.settle {
                let is_last = index + 1 == door.steps.len();
                self.settle(step, if is_last { &door.wanted } else { &accepted }).await;
            }
            let answer = self.take(step, false).await;
            if !answer.status.is_success() {
                return (door.wanted.judge_refusal(&answer), changed);
            }
            changed = true;
            last = Some(answer);
        }
        (self.judge(&door.wanted, &last.expect("a door has a request")).await, changed)
    }

    /// Judges a door all of whose requests were accepted.
    async fn judge(&self, wanted: &Wanted, last: &Answer) -> Result<String, String> {
        let object = match wanted.object() {
            Some(target) => read(&self.admin, &path(target)).await,
            None => Value::Null,
        };
        match (wanted.judge_accepted(last, &object), wanted) {
            (Some(judged), _) => judged,
            (None, Wanted::Result(outcome)) => self.judge_state(outcome).await,
            (None, Wanted::Word(word)) => panic!("`{word}` is judged by the answer"),
        }
    }

    /// Judges what the replica must write in time: the topology's status, or a `caBundle`.
    async fn judge_state(&self, outcome: &Outcome) -> Result<String, String> {
        let topology = outcome.topology.as_ref().map(|name| path(&format!("gatewaytopologies/{name}")));
        let topology = topology.as_deref().unwrap_or(TOPOLOGY);
        let limit = outcome.within.map_or(REPORTED_WITHIN, Duration::from_secs);
        if outcome.repaired {
            let repaired = self.within(limit, async || {
                for (path, _) in &self.configurations {
                    let stored = read(&self.admin, path).await;
                    let mut webhooks = stored["webhooks"].as_array().unwrap().iter();
                    if !webhooks.all(|webhook| webhook["clientConfig"]["caBundle"].is_string()) {
                        return Err("a `caBundle` is missing".to_owned());
                    }
                }
                Ok(())
            });
            return repaired.await.map(|time| format!("repaired after {time:?}"));
        }
        if let Some(code) = &outcome.finding {
            let found = self.within(limit, async || {
                let topology = read(&self.admin, topology).await;
                let findings = topology["status"]["findings"].as_array().map_or(&[][..], Vec::as_slice);
                let is_so = findings.iter().any(|finding| finding["reason"] == **code);
                if is_so { Ok(()) } else { Err(format!("findings: {findings:?}")) }
            });
            return found.await.map(|time| format!("reported after {time:?}"));
        }
        assert!(!outcome.reported.is_empty(), "nothing is wanted");
        let reported = self.within(limit, async || {
            let topology = read(&self.admin, topology).await;
            let is_so = outcome.reported.iter().all(|(kind, status)| condition(&topology, kind) == status);
            if is_so { Ok(()) } else { Err(format!("conditions: {}", conditions(&topology))) }
        });
        reported.await.map(|time| format!("reported after {time:?}"))
    }

    /// Asks until the answer is as wanted, for the time in which it must be. Returns how long it took.
    pub async fn within(
        &self,
        limit: Duration,
        ask: impl AsyncFn() -> Result<(), String>,
    ) -> Result<Duration, String> {
        let started = Instant::now();
        loop {
            match ask().await {
                Ok(()) => return Ok(started.elapsed()),
                Err(last) if started.elapsed() > limit => return Err(last),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Wanted {
    /// The object that an accepted request is judged by.
    fn object(&self) -> Option<&str> {
        let Self::Result(outcome) = self else { return None };
        let has = outcome.has.as_ref().map(|has| has.of.as_str());
        let service = outcome.of.as_deref().unwrap_or("services/istio-ingressgateway");
        has.or_else(|| outcome.policy().map(|_| service))
    }

    /// Judges a request that was accepted by its answer and by the object as it is afterwards. Returns `None` if only what the replica
    /// writes later can tell.
    fn judge_accepted(&self, answer: &Answer, object: &Value) -> Option<Result<String, String>> {
        let judge = |is_so: bool, got: &str, else_got: String| {
            Some(if is_so { Ok(got.to_owned()) } else { Err(else_got) })
        };
        let warnings = &answer.warnings;
        let outcome = match self {
            Self::Word(word) => {
                assert!(["passes", "silent"].contains(&word.as_str()), "`{word}` is no outcome");
                return judge(word == "passes" || warnings.is_empty(), word, format!("warned: {warnings:?}"));
            }
            Self::Result(outcome) => outcome,
        };
        if outcome.refused.is_some() {
            return Some(Err("it was accepted".to_owned()));
        }
        if let Some(policy) = outcome.policy() {
            let stored = &object["spec"]["externalTrafficPolicy"];
            return judge(stored == policy, &format!("is {policy}"), format!("is {stored}"));
        }
        if let Some(Has { at, value, .. }) = &outcome.has {
            // A slash in a key of a pointer is not needed here.
            let stored = object.pointer(at).cloned().unwrap_or_default();
            return judge(stored == *value, &format!("has {value}"), format!("has {stored}"));
        }
        let words = outcome.warned.as_ref()?;
        let is_warned = warnings.iter().any(|warning| warning.contains(words));
        judge(is_warned, "warned", format!("warnings: {warnings:?}"))
    }

    /// Judges a request that was refused.
    fn judge_refusal(&self, answer: &Answer) -> Result<String, String> {
        let said = answer.body["message"].as_str().unwrap_or_default().to_owned();
        let codes: Vec<&str> = answer.body["details"]["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|cause| cause["reason"].as_str())
            .collect();
        let Self::Result(outcome) = self else {
            return Err(format!("refused: {said}"));
        };
        let refused = outcome.refused.as_deref();
        let Some(words) = refused.or(outcome.kept_or_refused.as_ref().map(|_| "lockstep.dev")) else {
            return Err(format!("refused: {said}"));
        };
        let is_so = answer.status.is_client_error() && (codes.contains(&words) || said.contains(words));
        if is_so {
            Ok(format!("refused {}", codes.join(",")))
        } else {
            Err(format!("{}: {said}", answer.status))
        }
    }
}

/// An object without the fields that the API server sets.
fn bare(object: &Value) -> Value {
    let mut bare = object.clone();
    let metadata = &object["metadata"];
    bare["metadata"] = json!({"name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"]});
    if !metadata["namespace"].is_null() {
        bare["metadata"]["namespace"] = metadata["namespace"].clone();
    }
    bare.as_object_mut().unwrap().remove("status");
    bare
}

/// The status of a condition; empty if it is not about the present generation.
fn condition<'t>(topology: &'t Value, kind: &str) -> &'t str {
    let conditions = topology["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    let current =
        found.filter(|condition| condition["observedGeneration"] == topology["metadata"]["generation"]);
    current.and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}

fn conditions(topology: &Value) -> String {
    let conditions = topology["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let words = conditions.iter().map(|it| format!("{}={} {}", it["type"], it["status"], it["reason"]));
    words.collect::<Vec<_>>().join(", ").replace('"', "")
}

async fn entitle_alice(admin: &Client) {
    let group = "rbac.authorization.k8s.io";
    let role = |name: &str, rules: Value| json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let rules = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}]);
    api::create(admin, &role("label-nodes", rules)).await;
    // No controller aggregates the role `edit` here.
    for name in ["system:aggregate-to-edit", "label-nodes"] {
        let binding = json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": format!("alice-{name}")},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "alice"}],
        });
        api::create(admin, &binding).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_ends_as_wanted() {
    let only = std::env::var("LOCKSTEP_DOORS").unwrap_or_default();
    let house = House::start().await;
    let (mut table, mut wrong, mut count) = (String::new(), String::new(), 0);
    for row in rows() {
        writeln!(table, "{}", row.row).unwrap();
        for door in row.doors.iter().filter(|door| row.row.contains(&only) || door.door.contains(&only)) {
            let (result, changed) = house.try_door(door).await;
            count += 1;
            match &result {
                Ok(got) => writeln!(table, "  {}: {got}", door.door).unwrap(),
                Err(got) => writeln!(wrong, "{} / {}: {got}", row.row, door.door).unwrap(),
            }
            if changed {
                house.reset(&[]).await;
            }
        }
    }
    assert!(wrong.is_empty(), "of {count} doors, these do not end as wanted:\n{wrong}");
    println!("{table}");
}
