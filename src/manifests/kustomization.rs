//! Kustomizations, and which files they change.
//!
//! A kustomization that only lists resources applies them as they are. One that sets a namespace, a prefix, labels or
//! patches applies other objects than its files have, and so do all kustomizations that include it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::{Document, Source, yaml};

/// The fields that change resources.
const CHANGING: [&str; 13] = [
    "commonLabels",
    "components",
    "labels",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "replacements",
    "replicas",
    "transformers",
    "vars",
];

/// The kustomizations of a folder.
#[derive(Debug, Default)]
pub(super) struct Kustomizations {
    /// The paths of their files.
    files: BTreeSet<PathBuf>,
    by_folder: BTreeMap<PathBuf, Kustomization>,
}

/// A kustomization that no other one includes and that changes files.
#[derive(Debug)]
pub(super) struct Root {
    /// The folder, as its file was found.
    pub(super) folder: PathBuf,
    changed: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct Kustomization {
    /// The folder, as its file was found.
    shown: PathBuf,
    changes: bool,
    /// Files and folders that it includes.
    resources: Vec<PathBuf>,
    /// Files that are patches, or anything else but objects.
    fragments: Vec<PathBuf>,
}

impl Root {
    /// Whether the kustomization changes the file.
    pub(super) fn changes(&self, path: &Path) -> bool {
        self.changed.contains(&normal(path))
    }
}

impl Kustomizations {
    /// Reads the files. One that cannot be read changes nothing: the API server never sees it.
    pub(super) fn read(paths: Vec<PathBuf>) -> Self {
        let mut all = Self::default();
        for path in paths {
            let shown = path.parent().unwrap_or(Path::new(".")).to_owned();
            let folder = normal(&shown);
            if let Ok(text) = std::fs::read_to_string(&path) {
                let source = Arc::new(Source::new(path.display().to_string(), text));
                let mut documents: Vec<Document> = Vec::new();
                yaml::parse(&source, &mut |document| documents.push(document));
                if let Some(document) = documents.first() {
                    all.by_folder.insert(folder.clone(), Kustomization::of(&document.value, &folder, shown));
                }
            }
            all.files.insert(normal(&path));
        }
        all
    }

    /// Whether the file is a kustomization itself.
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.files.contains(&normal(path))
    }

    /// Whether any kustomization changes the file.
    pub(super) fn change(&self, path: &Path) -> bool {
        let path = normal(path);
        self.by_folder.iter().any(|(folder, own)| {
            own.fragments.contains(&path) || own.changes && self.included(folder).contains(&path)
        })
    }

    /// The kustomizations to build: those that no other one includes, and that change something on the way.
    pub(super) fn changing_roots(&self) -> Vec<Root> {
        let included: BTreeSet<&PathBuf> =
            self.by_folder.values().flat_map(|kustomization| &kustomization.resources).collect();
        self.by_folder
            .iter()
            .filter(|(folder, _)| !included.contains(folder))
            .filter_map(|(folder, own)| {
                let below = self.below(folder);
                let is_changing = below.iter().filter_map(|at| self.by_folder.get(at)).any(|one| one.changes);
                let changed = || below.iter().flat_map(|at| self.included(at)).collect();
                is_changing.then(|| Root { folder: own.shown.clone(), changed: changed() })
            })
            .collect()
    }

    /// The folder, and the folders with a kustomization that it includes at any depth.
    fn below(&self, folder: &Path) -> BTreeSet<PathBuf> {
        let mut seen = BTreeSet::new();
        let mut next = vec![folder.to_owned()];
        while let Some(folder) = next.pop() {
            if let Some(own) = self.by_folder.get(&folder)
                && seen.insert(folder)
            {
                next.extend(own.resources.iter().filter(|path| self.by_folder.contains_key(*path)).cloned());
            }
        }
        seen
    }

    /// Every file that a kustomization includes at any depth, patches among them.
    fn included(&self, folder: &Path) -> BTreeSet<PathBuf> {
        let all = self.below(folder);
        let of = |folder: &PathBuf| self.by_folder.get(folder);
        all.iter()
            .filter_map(of)
            .flat_map(|own| own.resources.iter().chain(&own.fragments))
            .cloned()
            .collect()
    }
}

impl Kustomization {
    fn of(value: &Value, folder: &Path, shown: PathBuf) -> Self {
        let list = |field: &str| value.get(field).and_then(Value::as_array).into_iter().flatten();
        let is_set = |field: &&str| match value.get(*field) {
            None | Some(Value::Null) => false,
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(_) => true,
        };
        let file = |text: &str| normal(&folder.join(text));
        let resources = ["resources", "bases", "components"];
        let paths = ["patchesStrategicMerge", "transformers", "generators", "configurations", "crds"];
        let in_path = ["patches", "patchesJson6902", "replacements"];
        let values = list("helmCharts").filter_map(|chart| chart.get("valuesFile"));
        let fragments = paths.iter().flat_map(|field| list(field));
        let fragments = fragments
            .chain(in_path.iter().flat_map(|field| list(field)).filter_map(|entry| entry.get("path")))
            .chain(values);
        Self {
            shown,
            changes: CHANGING.iter().any(is_set),
            resources: resources
                .iter()
                .flat_map(|field| list(field))
                .filter_map(Value::as_str)
                .map(file)
                .collect(),
            // A patch may also be written in place; then it is no path, and no file has its name.
            fragments: fragments.filter_map(Value::as_str).map(file).collect(),
        }
    }
}

/// A path without `.` and `..`, by its text alone.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            component => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn kustomizations(files: &[(&str, &str)]) -> (tempfile::TempDir, Kustomizations) {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            paths.push(path);
        }
        (folder, Kustomizations::read(paths))
    }

    #[test]
    fn a_kustomization_that_only_lists_resources_changes_nothing() {
        let (folder, all) = kustomizations(&[("a/kustomization.yaml", "resources: [pool.yaml]\n")]);
        assert!(!all.change(&folder.path().join("a/pool.yaml")));
        assert!(all.contains(&folder.path().join("a/kustomization.yaml")));
        assert!(all.changing_roots().is_empty());
    }

    #[test]
    fn an_overlay_changes_its_own_files_and_those_of_its_base() {
        let (folder, all) = kustomizations(&[
            ("base/kustomization.yaml", "resources: [pool.yaml, ../shared]\n"),
            ("shared/kustomization.yaml", "resources: [gateway.yaml]\n"),
            ("prod/kustomization.yml", "resources: [../base]\npatches: [{path: patch.yaml}]\n"),
            ("plain/kustomization.yaml", "resources: [../other]\n"),
        ]);
        let at = |path: &str| folder.path().join(path);
        for path in ["base/pool.yaml", "shared/gateway.yaml", "prod/patch.yaml"] {
            assert!(all.change(&at(path)), "{path}");
        }
        assert!(!all.change(&at("other/pool.yaml")));
        let roots: Vec<PathBuf> = all.changing_roots().into_iter().map(|root| root.folder).collect();
        assert_eq!(roots, [at("prod")]);
    }

    #[test]
    fn kustomizations_that_include_each_other_end() {
        let (folder, all) = kustomizations(&[
            ("a/kustomization.yaml", "resources: [../b]\nnamePrefix: x-\n"),
            ("b/kustomization.yaml", "resources: [../a, pool.yaml]\n"),
        ]);
        assert!(all.change(&folder.path().join("b/pool.yaml")));
        assert!(all.changing_roots().is_empty(), "each is included");
    }
}
