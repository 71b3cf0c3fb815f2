//! The input of `check`: read once, into what a snapshot is made of and what rules judge.
//!
//! Values, places and decoded objects are many times larger than the text. Of each object, only the facts that it states are
//! kept: it is dropped, and read again to be judged, once every fact is known.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use lockstep_core::escape::excerpt;
use serde_json::Value;

use super::pruning::Schemas;
use super::remark::{Remark, RemarkCode, RemarkLevel};
use super::stated::Stated;
use crate::cli::progress::Progress;
use crate::field::FieldPath;
use crate::manifests::{
    self, Candidate, Content, Document, LeftOut, ManifestError, Problem, Renderer, Selection, Source, Span,
    add_assessed, holds_objects, load_selected, load_text, not_judged, unread_template, unused_fields,
};
use crate::objects::Object;
use crate::snapshot::Inventory;

/// The documents that were read.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) inventory: Inventory,
    pub(super) held: Vec<Held>,
    pub(super) problems: Vec<Problem>,
    pub(super) remarks: Vec<Remark>,
    pub(super) stated: Stated,
    schemas: Schemas,
    /// The number of objects that were not facts, of any kind.
    pub(super) objects: usize,
    /// MetalLB's objects, with their ordinals and whether they are facts: a definition that prunes them may follow.
    custom: Vec<(Document, usize, bool)>,
    tools: BTreeMap<(String, Renderer), Tool>,
    not_judged: BTreeMap<String, (usize, Arc<Source>, Span, &'static str)>,
}

/// An object to judge.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) source: Arc<Source>,
    /// The number of objects of the source before it.
    pub(super) ordinal: usize,
    /// Whether the object belongs to a gateway, unless no topology is meant for it. A pool by itself does not.
    pub(super) is_of_a_gateway: bool,
    pub(super) what: Judged,
}

/// An object by how it is judged.
#[derive(Debug)]
pub(super) enum Judged {
    /// An object that is decoded again when it is judged.
    Object,
    /// An object that is judged otherwise than it is written.
    Pruned(Box<Candidate>),
    /// A recorded request. The webhook's own codec reads it again.
    Review,
}

/// Objects of a folder that configure a tool.
#[derive(Debug)]
struct Tool {
    objects: usize,
    name: String,
    /// `spec.path` of the first of them.
    path: String,
    source: Arc<Source>,
    mark: Span,
}

/// How objects are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'r> {
    /// The namespace of objects that name none.
    pub(super) namespace: &'r str,
    /// Whether the objects are facts, which are not judged.
    pub(super) is_facts: bool,
}

impl Input {
    /// Reads files and folders.
    pub(super) fn read(
        &mut self,
        paths: &[std::path::PathBuf],
        selection: &Selection,
        stdin: &mut dyn Read,
        reading: Reading<'_>,
        progress: &mut Progress<'_>,
    ) {
        self.add_each(reading, progress, |each| load_selected(paths, selection, stdin, each));
    }

    /// Reads a text. `name` is its name in messages.
    pub(super) fn read_text(
        &mut self,
        name: &str,
        mut text: &[u8],
        reading: Reading<'_>,
        progress: &mut Progress<'_>,
    ) {
        self.add_each(reading, progress, |each| (load_text(name, &mut text, each), Vec::new()));
    }

    /// Adds every object that `load` hands out.
    fn add_each(
        &mut self,
        reading: Reading<'_>,
        progress: &mut Progress<'_>,
        load: impl FnOnce(&mut dyn FnMut(Document)) -> (Vec<Problem>, Vec<LeftOut>),
    ) {
        let mut count = 0_usize;
        let mut current: Option<(Arc<Source>, usize)> = None;
        let (problems, left_out) = load(&mut |document| {
            progress.show(|| format!("reading: {count} objects, {}", document.source.name()));
            count = count.saturating_add(1);
            let ordinal = match &mut current {
                Some((source, ordinal)) if Arc::ptr_eq(source, &document.source) => {
                    *ordinal = ordinal.saturating_add(1);
                    *ordinal
                }
                current => {
                    *current = Some((Arc::clone(&document.source), 0));
                    0
                }
            };
            self.add(document, ordinal, reading);
        });
        self.problems.extend(problems);
        self.remarks.extend(left_out.iter().map(Remark::left_out));
    }

    fn add(&mut self, document: Document, ordinal: usize, reading: Reading<'_>) {
        self.add_object(&document, ordinal, reading);
        let kind = document.value.get("kind").and_then(Value::as_str);
        if matches!(kind, Some("L2Advertisement" | "BGPAdvertisement" | "IPAddressPool")) {
            self.custom.push((document, ordinal, reading.is_facts));
        }
    }

    fn add_object(&mut self, document: &Document, ordinal: usize, reading: Reading<'_>) {
        let value = &document.value;
        let is_object = value.get("apiVersion").is_some() && value.get("kind").is_some();
        if is_object && !reading.is_facts {
            self.objects = self.objects.saturating_add(1);
        }
        if let Some(renderer) = Renderer::of_object(value) {
            self.add_tool(document, renderer);
            return;
        }
        self.schemas.add(value);
        let mut content = match Content::read(document, reading.namespace) {
            Ok(content) => content,
            Err(problem) => {
                self.problems.push(undecoded(document, problem));
                return;
            }
        };
        if content.is_some() && Renderer::is_needed_for(value) {
            if matches!(content, Some(Content::Topology { .. })) {
                let text = "the topology has variables such as `${NAME}`: replace them first, as in `envsubst < FILE | lockstep check -`";
                let error = ManifestError::Topology(text.to_owned());
                self.problems.push(Problem::at(
                    &document.source,
                    document.positions.find(["metadata"]).mark,
                    error,
                ));
            } else {
                self.add_tool(document, Renderer::Variables);
            }
            return;
        }
        let is_inner = content.as_ref().is_some_and(is_inner_service);
        if let Some(Content::Candidate(candidate)) = &mut content
            && let Object::Service(service, _) = &mut candidate.change.object
            && is_inner
        {
            // A selector of Services applies to those with an address only.
            service.metadata.labels.clear();
        }
        if let Some(content) = &content {
            content.add_to(&mut self.inventory);
        }
        let mut dropped = Inventory::default();
        let assessed = if is_inner { &mut dropped } else { &mut self.inventory };
        match add_assessed(assessed, value, reading.namespace) {
            Ok(added) => {
                if content.is_some() || !added.is_empty() {
                    self.stated.add(document, reading.namespace, reading.is_facts);
                }
                self.inventory.read.extend(added);
            }
            Err(error) => self.problems.push(document.problem(error)),
        }
        if reading.is_facts {
            return;
        }
        self.remark(document, content.as_ref());
        let is_of_a_gateway = !matches!(
            &content,
            Some(Content::Candidate(candidate))
                if matches!(candidate.change.object, Object::IpAddressPool(_) | Object::AddressPool(_))
        );
        let what = match content {
            Some(Content::Candidate(_)) => Judged::Object,
            Some(Content::Review) => Judged::Review,
            Some(Content::Topology { .. } | Content::Node { .. }) | None => return,
        };
        let source = Arc::clone(&document.source);
        self.held.push(Held { source, ordinal, is_of_a_gateway, what });
    }

    fn add_tool(&mut self, document: &Document, renderer: Renderer) {
        let folder = Path::new(document.source.name())
            .parent()
            .map_or_else(String::new, |path| path.display().to_string());
        let folder = if folder.is_empty() { ".".to_owned() } else { folder };
        let text = |pointer| document.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let tool = self.tools.entry((folder, renderer)).or_insert_with(|| Tool {
            objects: 0,
            name: text("/metadata/name").to_owned(),
            path: text("/spec/path").to_owned(),
            source: Arc::clone(&document.source),
            mark: document.positions.find(["metadata", "name"]).mark,
        });
        tool.objects = tool.objects.saturating_add(1);
    }

    /// Remarks on what is written, whatever the rest of the input holds.
    fn remark(&mut self, document: &Document, content: Option<&Content>) {
        let value = &document.value;
        let unread = || match content {
            None => holds_objects(value).or_else(|| unread_template(value)),
            Some(_) => None,
        };
        if let Some(why) = not_judged(value).or_else(unread) {
            let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            let mark = document.positions.find(["metadata", "name"]).mark;
            let entry =
                self.not_judged.entry(kind).or_insert_with(|| (0, Arc::clone(&document.source), mark, why));
            entry.0 = entry.0.saturating_add(1);
        }
        let template = match content {
            Some(Content::Candidate(candidate)) if candidate.path.tokens().next().is_some() => {
                Some(&candidate.path)
            }
            _ => None,
        };
        let daemon_set = FieldPath::fields(["spec", "template"]);
        let template = match content {
            Some(Content::Candidate(candidate))
                if matches!(candidate.change.object, Object::DaemonSet(_)) =>
            {
                Some(&daemon_set)
            }
            _ => template,
        };
        for field in unused_fields(value, template) {
            let mark = document.place(&field.path);
            let mark = mark.key.unwrap_or(mark.mark);
            self.remarks.push(Remark::unused(field).at(&document.source, mark));
        }
    }

    /// Reads MetalLB's objects as the API server stores them, which drops the fields that its definitions do not have.
    fn prune(&mut self, namespace: &str) {
        for (document, ordinal, is_fact) in std::mem::take(&mut self.custom) {
            let pruned: Vec<String> =
                self.schemas.pruned(&document.value).into_iter().map(ToOwned::to_owned).collect();
            if pruned.is_empty() {
                continue;
            }
            let mut stored = document.value.clone();
            for field in &pruned {
                if let Some(Value::Object(spec)) = stored.get_mut("spec") {
                    spec.remove(field);
                }
                let path = FieldPath::fields(["spec"]).key(field);
                let place = document.place(&path);
                let message = format!(
                    "`spec.{field}` does nothing: the CustomResourceDefinition in the input does not have it, so the API server drops it"
                );
                let help = "upgrade MetalLB, or remove the field; the object is judged without it";
                let remark = Remark::new(RemarkCode::PrunedField, RemarkLevel::Warning, message, help);
                if !is_fact {
                    self.remarks.push(remark.at(&document.source, place.key.unwrap_or(place.mark)));
                }
            }
            // The object was decoded before with more fields, so it decodes now.
            if let Ok(Some(content)) = Content::of(&stored, namespace) {
                content.add_to(&mut self.inventory);
                let is_same =
                    |held: &&mut Held| held.ordinal == ordinal && Arc::ptr_eq(&held.source, &document.source);
                if let Content::Candidate(candidate) = content
                    && let Some(held) = self.held.iter_mut().find(is_same)
                {
                    let mut candidate = candidate;
                    candidate.change.time = Some(Timestamp::now());
                    held.what = Judged::Pruned(candidate);
                }
            }
            let _ = add_assessed(&mut self.inventory, &stored, namespace);
        }
    }

    /// The remarks on whole folders and kinds, once everything is read.
    pub(super) fn finish(&mut self, namespace: &str) {
        self.prune(namespace);
        for ((folder, renderer), tool) in std::mem::take(&mut self.tools) {
            let Tool { objects, name, path, source, mark } = tool;
            let (name, path) =
                (excerpt(&name), if path.is_empty() { ".".to_owned() } else { excerpt(&path) });
            self.remarks.push(Remark::of_tool(renderer, &folder, objects, (&name, &path)).at(&source, mark));
        }
        for (kind, (count, source, mark, why)) in std::mem::take(&mut self.not_judged) {
            let number = if count == 1 { "1 object".to_owned() } else { format!("{count} objects") };
            let kind = excerpt(&kind);
            let message = format!("{number} of kind {kind}: {why}");
            self.remarks
                .push(Remark::new(RemarkCode::NotJudged, RemarkLevel::Note, message, "").at(&source, mark));
        }
        let (problems, remarks) = self.stated.reports();
        self.problems.extend(problems);
        self.remarks.extend(remarks);
    }
}

/// Whether the object is a Service that has no address outside the cluster. Most Services are, and only their selectors are facts.
fn is_inner_service(content: &Content) -> bool {
    let Content::Candidate(candidate) = content else { return false };
    let Object::Service(service, _) = &candidate.change.object else { return false };
    service.spec.as_ref().is_none_or(|spec| spec.kind != "LoadBalancer")
}

/// The problem of a document that cannot be decoded.
fn undecoded(document: &Document, problem: Problem) -> Problem {
    let hides = document.value.get("kind").and_then(Value::as_str) == Some("GatewayTopology");
    if hides && !problem.hides_a_topology() {
        let error = ManifestError::Topology(problem.error.to_string());
        return Problem { error, ..problem };
    }
    problem
}

/// Parses the sources of some objects once more, and hands out these objects. `wanted` is sorted by source and ordinal.
pub(super) fn parse_again(wanted: &[Held], each: &mut dyn FnMut(&Held, &Document)) {
    for of_source in wanted.chunk_by(|one, other| Arc::ptr_eq(&one.source, &other.source)) {
        let (mut ordinal, mut next) = (0_usize, of_source.iter().peekable());
        let Some(first) = next.peek() else { continue };
        manifests::parse(&first.source, &mut |document| {
            if let Some(held) = next.next_if(|held| held.ordinal == ordinal) {
                each(held, &document);
            }
            ordinal = ordinal.saturating_add(1);
        });
    }
}
