//! Cases: a cluster's state, a request and the expected verdict. Each is a folder in `tests/cases`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::findings::{self, Finding};
use super::objects::topology;

/// The verdict on a request, as a user sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// `allow`, `edit` or `deny`.
    pub verdict: String,
    /// The reason codes of the findings that deny.
    #[serde(default)]
    pub denials: BTreeSet<String>,
    /// The reason codes of the warnings.
    #[serde(default)]
    pub warnings: BTreeSet<String>,
    /// The reason codes of the findings that are recorded and not shown to the user.
    #[serde(default)]
    pub audits: BTreeSet<String>,
    /// JSON pointer -> value, for every field that is set.
    #[serde(default)]
    pub edits: BTreeMap<String, Value>,
    /// The texts about the request, as far as a level can see them. The expected texts are in `findings.yaml`.
    #[serde(skip)]
    pub texts: BTreeSet<String>,
}

impl Outcome {
    /// Adds the code of a finding.
    pub fn add(&mut self, severity: &str, reason: &str) {
        let codes = match severity {
            "deny" => &mut self.denials,
            "warn" => &mut self.warnings,
            "audit" => &mut self.audits,
            other => panic!("severity {other}"),
        };
        codes.insert(reason.to_owned());
    }

    /// Returns the outcome with these texts instead.
    pub fn with_texts(&self, texts: BTreeSet<String>) -> Self {
        Self { texts, ..self.clone() }
    }
}

/// A request and the state of the cluster.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder, and the `match` mode if the case is run in several.
    pub name: String,
    /// The folder that holds its files.
    pub folder: PathBuf,
    /// The `match` mode, if the case is run in several.
    pub mode: Option<&'static str>,
    /// Manifests of all objects but topologies: nodes, pools, and what exists before the request.
    pub objects: Vec<Value>,
    /// Manifests of the topologies.
    pub topologies: Vec<Value>,
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub operation: String,
    /// The object as the user writes it; the stored object for a deletion.
    pub object: Value,
    /// The object before the request.
    pub old_object: Option<Value>,
    /// Whether the request is a dry run.
    pub dry_run: bool,
    /// The expected outcome.
    pub expected: Outcome,
    /// The expected outcome where MetalLB's CRDs of 0.13.5 prune fields.
    pub expected_on_0_13_5: Outcome,
    /// The findings with their texts.
    pub findings: Vec<Finding>,
    /// The findings where MetalLB's CRDs of 0.13.5 prune fields.
    pub findings_on_0_13_5: Vec<Finding>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    facts: String,
    #[serde(default)]
    existing: Vec<Value>,
    #[serde(default)]
    topology: Value,
    #[serde(default)]
    more_topologies: BTreeMap<String, Value>,
    request: Request,
    expect: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    operation: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Option<Value>,
    #[serde(default)]
    dry_run: bool,
}

const MODES: [&str; 3] = ["Exact", "Contained", "LiveNodes"];

/// The fields of the specs of a MetalLB release. Its CRDs prune all others.
struct Fields {
    advertisement: &'static [&'static str],
    pool: &'static [&'static str],
}

const ON_0_13_5: Fields = Fields {
    advertisement: &["ipAddressPools", "ipAddressPoolSelectors", "nodeSelectors"],
    pool: &["addresses", "autoAssign", "avoidBuggyIPs"],
};

const ON_0_15_2: Fields = Fields {
    advertisement: &["ipAddressPools", "ipAddressPoolSelectors", "nodeSelectors", "interfaces"],
    pool: &["addresses", "autoAssign", "avoidBuggyIPs", "serviceAllocation"],
};

/// Returns every case, in the order of names.
pub fn all() -> Vec<Case> {
    let root = crate::root().join("tests/cases");
    let mut cases: Vec<Case> = folders(&root)
        .into_iter()
        .flat_map(|area| folders(&area))
        .filter(|folder| folder.join("case.yaml").exists())
        .flat_map(|folder| load(&root, &folder))
        .collect();
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    assert!(cases.len() > 200, "only {} cases were found under tests/cases", cases.len());
    cases
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).unwrap_or_else(|error| panic!("`{}`: {error}", root.display()));
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

fn load(root: &Path, folder: &Path) -> Vec<Case> {
    let name = folder.strip_prefix(root).unwrap().display().to_string();
    let file: File = read(&folder.join("case.yaml")).pop().unwrap_or_else(|| panic!("`{name}` is empty"));
    assert!(!file.title.is_empty(), "`{name}` has no title");
    let facts = read(&root.join("facts").join(format!("{}.yaml", file.facts)));
    let texts = findings::File::read(folder);
    let case = |mode| {
        let findings = [false, true].map(|is_0_13_5| texts.of(mode, is_0_13_5));
        case(&name, folder, mode, &file, &facts, findings)
    };
    if MODES.iter().any(|mode| file.expect.get(mode).is_some()) {
        MODES.iter().map(|mode| case(Some(*mode))).collect()
    } else {
        vec![case(None)]
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

fn case(
    name: &str,
    folder: &Path,
    mode: Option<&'static str>,
    file: &File,
    facts: &[Value],
    [findings, findings_on_0_13_5]: [Vec<Finding>; 2],
) -> Case {
    let of_mode = |expect: &Value| -> Outcome {
        let expect =
            mode.map_or(expect, |mode| expect.get(mode).unwrap_or_else(|| panic!("`{name}`: {mode}?")));
        let mut expect = expect.clone();
        expect.as_object_mut().unwrap_or_else(|| panic!("`{name}`: expect")).remove("0.13.5");
        serde_json::from_value(expect).unwrap_or_else(|error| panic!("`{name}`: expect: {error}"))
    };
    let expected = of_mode(&file.expect);
    let mut spec = if file.topology.is_null() { json!({}) } else { file.topology.clone() };
    if let Some(mode) = mode {
        spec["announcements"] = json!({ "match": mode });
    }
    let mut topologies = vec![topology("first", &spec)];
    topologies.extend(file.more_topologies.iter().map(|(name, spec)| topology(name, spec)));
    // A later object replaces the fact of the same name.
    let mut objects: Vec<Value> = Vec::new();
    for object in facts.iter().chain(&file.existing).chain(&file.request.old_object) {
        objects.retain(|held| identity(held) != identity(object));
        objects.push(object.clone());
    }
    Case {
        name: mode.map_or_else(|| name.to_owned(), |mode| format!("{name}/{mode}")),
        folder: folder.to_owned(),
        mode,
        objects,
        topologies,
        operation: file.request.operation.clone(),
        object: match &file.request.old_object {
            Some(old) if file.request.operation == "DELETE" => old.clone(),
            _ => file.request.object.clone(),
        },
        old_object: file.request.old_object.clone(),
        dry_run: file.request.dry_run,
        expected_on_0_13_5: file.expect.get("0.13.5").map_or_else(|| expected.clone(), of_mode),
        expected,
        findings,
        findings_on_0_13_5,
    }
}

fn identity(object: &Value) -> [&Value; 4] {
    let metadata = &object["metadata"];
    [&object["apiVersion"], &object["kind"], &metadata["namespace"], &metadata["name"]]
}

impl Case {
    /// Returns the case as it is after the CRDs of MetalLB 0.13.5 have pruned its objects.
    pub fn on_0_13_5(&self) -> Self {
        Self {
            expected: self.expected_on_0_13_5.clone(),
            findings: self.findings_on_0_13_5.clone(),
            ..self.pruned(&ON_0_13_5)
        }
    }

    /// Returns the case as it is after the CRDs of MetalLB 0.15.2 have pruned its objects. What is expected then is what is expected on
    /// the release before or after, whichever leaves the same.
    ///
    /// # Panics
    /// If neither leaves the same.
    pub fn on_0_15_2(&self) -> Self {
        let (pruned, old) = (self.pruned(&ON_0_15_2), self.on_0_13_5());
        let is_left = |case: &Self| {
            (&case.objects, &case.object, &case.old_object)
                == (&pruned.objects, &pruned.object, &pruned.old_object)
        };
        let mut found = [self, &old].into_iter().filter(|case| is_left(case));
        found.next().unwrap_or_else(|| panic!("`{}` is another case on MetalLB 0.15.2", self.name)).clone()
    }

    fn pruned(&self, fields: &Fields) -> Self {
        let pruned = |object: &Value| {
            let mut object = object.clone();
            let fields = match object["kind"].as_str() {
                Some("L2Advertisement") => fields.advertisement,
                Some("IPAddressPool") => fields.pool,
                _ => return object,
            };
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                spec.retain(|field, _| fields.contains(&&**field));
            }
            object
        };
        Self {
            objects: self.objects.iter().map(pruned).collect(),
            object: pruned(&self.object),
            old_object: self.old_object.as_ref().map(pruned),
            ..self.clone()
        }
    }

    /// Returns the `AdmissionReview` that the API server would send, with the current `object`.
    pub fn review(&self, object: &Value) -> Value {
        let kind = object["kind"].as_str().unwrap();
        let api_version = object["apiVersion"].as_str().unwrap();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = format!("{}s", kind.to_lowercase());
        json!({
            "kind": "AdmissionReview",
            "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": format!("uid-of-{}", self.name),
                "kind": {"group": group, "version": version, "kind": kind},
                "resource": {"group": group, "version": version, "resource": resource},
                "name": object["metadata"].get("name").cloned().unwrap_or_default(),
                "namespace": object["metadata"]["namespace"],
                "operation": self.operation,
                "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
                "object": if self.operation == "DELETE" { &Value::Null } else { object },
                "oldObject": self.old_object,
                "dryRun": self.dry_run,
            }
        })
    }

    /// Writes the cluster's state as manifests, which `check` and `serve --facts` read.
    pub fn write_facts(&self, folder: &Path) {
        for (index, manifest) in self.objects.iter().chain(&self.topologies).enumerate() {
            std::fs::write(folder.join(format!("{index:03}.json")), manifest.to_string()).unwrap();
        }
    }
}
