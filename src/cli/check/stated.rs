//! Where the input states each object, so that one that is defined twice is found.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::remark::{Remark, RemarkCode, RemarkLevel};
use crate::manifests::{Document, ManifestError, Problem, Source, Span};

/// The objects of one cluster.
///
/// There may be a million of them, so only hashes are kept. Two names with the same 128 bits do not occur in practice.
#[derive(Debug, Default)]
pub(super) struct Stated {
    places: HashMap<u128, Place>,
    sources: Vec<Arc<Source>>,
    /// Pairs of places of the same object.
    twice: Vec<Twice>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    source: usize,
    mark: Span,
    content: u64,
    is_fact: bool,
}

#[derive(Debug)]
struct Twice {
    title: String,
    is_topology: bool,
    is_same: bool,
    first: (Arc<Source>, Span),
    second: (Arc<Source>, Span),
}

impl Stated {
    /// Adds an object. One without a name is not added: the API server generates another name each time. An object of the
    /// input may replace a fact, because it is newer.
    pub(super) fn add(&mut self, document: &Document, namespace: &str, is_fact: bool) {
        let text = |pointer| document.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        if name.is_empty() {
            return;
        }
        let is_topology = kind == "GatewayTopology";
        let own = match text("/metadata/namespace") {
            _ if is_topology || matches!(kind, "Node" | "Namespace") => "",
            "" => namespace,
            own => own,
        };
        // The version does not matter: the API server converts between them.
        let group = text("/apiVersion").split_once('/').map_or("", |(group, _)| group);
        let place = Place {
            source: self.index_of(&document.source),
            mark: document.positions.find(["metadata", "name"]).mark,
            content: content_of(&document.value),
            is_fact,
        };
        let before = self.places.insert(key(group, kind, own, name), place);
        let Some(before) = before.filter(|before| before.is_fact == is_fact) else { return };
        let slash = if own.is_empty() { "" } else { "/" };
        if let (Some(first), Some(second)) = (self.sources.get(before.source), self.sources.get(place.source))
        {
            self.twice.push(Twice {
                title: format!("{kind} `{own}{slash}{name}`"),
                is_topology,
                is_same: before.content == place.content,
                first: (Arc::clone(first), before.mark),
                second: (Arc::clone(second), place.mark),
            });
        }
    }

    /// Where an object stands; `None` if the input does not state it.
    pub(super) fn place(
        &self,
        group: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Option<(&Arc<Source>, Span)> {
        let place = self.places.get(&key(group, kind, namespace, name))?;
        Some((self.sources.get(place.source)?, place.mark))
    }

    /// The problems and remarks of objects that are defined twice. Objects of the same two folders are reported together.
    pub(super) fn reports(&mut self) -> (Vec<Problem>, Vec<Remark>) {
        let (mut problems, mut remarks) = (Vec::new(), Vec::new());
        let mut groups: Vec<Vec<Twice>> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        let mut clusters = Clusters::default();
        for twice in std::mem::take(&mut self.twice) {
            clusters.add(&twice);
            let roots = roots(twice.first.0.name(), twice.second.0.name());
            let group = format!("{roots:?} {} {}", twice.is_topology, twice.is_same);
            let position = *index.entry(group).or_insert(groups.len());
            match groups.get_mut(position) {
                Some(all) => all.push(twice),
                None => groups.push(vec![twice]),
            }
        }
        for all in groups {
            let Some(one) = all.first() else { continue };
            let place = |(source, mark): &(Arc<Source>, Span)| {
                format!("{}:{}", source.name(), source.line_column(mark.start).line)
            };
            let more = match all.len() {
                0 | 1 => String::new(),
                2 => ", and so is 1 more object".to_owned(),
                many => format!(", and so are {} more objects", many.saturating_sub(1)),
            };
            let help = clusters.help(one);
            let (source, mark) = &one.second;
            if one.is_same {
                let message = format!(
                    "{} is defined twice with the same content, first at {}{more}",
                    one.title,
                    place(&one.first)
                );
                remarks.push(
                    Remark::new(RemarkCode::Repeated, RemarkLevel::Note, message, help).at(source, *mark),
                );
            } else {
                let text = format!(
                    "{} is defined twice with different content, first at {}{more}: which of the two is applied last is not known; {help}",
                    one.title,
                    place(&one.first)
                );
                let error = ManifestError::Duplicate { text, is_topology: one.is_topology };
                problems.push(Problem::at(source, *mark, error));
            }
        }
        (problems, remarks)
    }

    fn index_of(&mut self, source: &Arc<Source>) -> usize {
        if !self.sources.last().is_some_and(|last| Arc::ptr_eq(last, source)) {
            self.sources.push(Arc::clone(source));
        }
        self.sources.len().saturating_sub(1)
    }
}

/// The folders that most likely are clusters of their own, by the folder that they are in.
#[derive(Debug, Default)]
struct Clusters(BTreeMap<PathBuf, BTreeSet<String>>);

impl Clusters {
    /// The most folders that a message names.
    const SHOWN: usize = 8;

    fn add(&mut self, twice: &Twice) {
        if let Some((first, second)) = roots(twice.first.0.name(), twice.second.0.name())
            && let Some(parent) = Path::new(&first).parent()
        {
            self.0.entry(parent.to_owned()).or_default().extend([first.clone(), second]);
        }
    }

    /// The advice on an object that is defined twice.
    fn help(&self, twice: &Twice) -> String {
        let of_one = roots(twice.first.0.name(), twice.second.0.name());
        let Some(folders) = of_one.and_then(|(first, _)| self.0.get(Path::new(&first).parent()?)) else {
            return "remove one of them".to_owned();
        };
        let number = if folders.len() == 2 { "two".to_owned() } else { folders.len().to_string() };
        let flags: Vec<String> =
            folders.iter().take(Self::SHOWN).map(|folder| format!("--cluster-root {folder}")).collect();
        let more = if folders.len() > Self::SHOWN { ", ..." } else { "" };
        format!(
            "if these are {number} clusters, check each by itself: `{}`{more}; otherwise remove one",
            flags.join(" ")
        )
    }
}

fn key(group: &str, kind: &str, namespace: &str, name: &str) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, group, kind, namespace, name).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// A hash of what an object asks for: its status does not count.
fn content_of(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        if key != "status" {
            (key, value).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// The folders of two clusters that two files most likely belong to: the first that differ in their paths.
fn roots(first: &str, second: &str) -> Option<(String, String)> {
    let parent = |path: &str| Path::new(path).parent().map(Path::to_path_buf);
    let (first, second) = (parent(first)?, parent(second)?);
    let mut root = std::path::PathBuf::new();
    let mut others = second.components();
    for component in first.components() {
        let other = others.next()?;
        if component != other {
            let shown = |component| root.join(component).display().to_string();
            return Some((shown(component), shown(other)));
        }
        root.push(component);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::roots;

    #[test]
    fn the_folders_of_two_clusters_are_the_first_that_differ() {
        let pair = |first: &str, second: &str| Some((first.to_owned(), second.to_owned()));
        assert_eq!(roots("a/amber/x/pool.yaml", "a/blue/x/pool.yaml"), pair("a/amber", "a/blue"));
        assert_eq!(roots("./a/pool.yaml", "./b/c/pool.yaml"), pair("./a", "./b"));
        assert_eq!(roots("a/pool.yaml", "a/other.yaml"), None);
        assert_eq!(roots("<stdin>", "<stdin>"), None);
    }
}
