//! YAML and JSON, read the way kubectl reads them, into values and the places of these values.
//!
//! serde-saphyr reports the place of every node while it decodes the node, so that values and places cannot disagree: not
//! for anchors, not for merge keys, and not for keys that are not strings.

mod block;
mod json;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Options, Spanned};

use super::list;
use super::{Document, ManifestError, Positions, Problem, Source, Span};

/// The number of nodes that the aliases of a source may add to those that its text spells out. Real manifests add a few
/// dozen, and this many are still read in milliseconds.
const ALIAS_NODES: usize = 100_000;
/// The depth to which values may nest: the limit of `serde_json`, and more than any schema needs.
const MAX_DEPTH: usize = 128;
/// The longest key, in characters. YAML's own limit of 1024 would reject valid JSON.
const MAX_KEY: usize = 1 << 16;

/// The stack of the decoder in bytes: room for [`MAX_DEPTH`] levels of up to 64 KiB each without optimisations.
const STACK: usize = 16 << 20;

/// Hands out every object of a source, lists unfolded, and returns its problems. A document that cannot be read is a
/// problem, and the others are read. Each object is handed out before the next one is read, those of a list included.
pub(super) fn parse(source: &Arc<Source>, each: &mut dyn FnMut(Document)) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut spare = ALIAS_NODES;
    let json = json_values(source.text());
    let is_json = json.is_some();
    for span in json.unwrap_or_else(|| yaml_documents(source.text())) {
        let read = if is_json {
            json_value(source, span, &mut spare, each)
        } else {
            yaml_document(source, span, &mut spare, each)
        };
        match read {
            Ok(()) => {}
            Err(problem) if problem.error == ManifestError::Template => {
                return vec![hiding(problem, source.text())];
            }
            Err(problem) => {
                problems.push(hiding(problem, source.slice(span)));
                // The decoder does not report how much a broken document used. Many of them must not add up.
                spare /= 2;
            }
        }
    }
    problems
}

/// Hands out the objects of a root, and returns their number.
fn hand_out(source: &Arc<Source>, root: (Value, Positions), each: &mut dyn FnMut(Document)) -> usize {
    let objects = list::unfold(root.0, root.1);
    let count = objects.len();
    for (value, positions) in objects {
        each(Document { source: Arc::clone(source), value, positions });
    }
    count
}

/// The problem of a text. If a topology may be in the text, verdicts must not follow another one.
fn hiding(problem: Problem, text: &str) -> Problem {
    if text.contains("GatewayTopology") {
        Problem { error: ManifestError::UnparsedTopology(Box::new(problem.error)), ..problem }
    } else {
        problem
    }
}

/// The values of a JSON text; `None` for anything else. Values may follow each other without a separator, as `jq` writes
/// them, which YAML does not allow.
fn json_values(text: &str) -> Option<Vec<Span>> {
    let trimmed = text.trim_start();
    if !trimmed.starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut spans = Vec::new();
    loop {
        let before = values.byte_offset();
        match values.next() {
            Some(Ok(_)) => {
                let end = values.byte_offset();
                let blank = text
                    .get(before..end)
                    .map_or(0, |value| value.len().saturating_sub(value.trim_start().len()));
                spans.push(Span { start: before.saturating_add(blank), end });
            }
            Some(Err(_)) => return None,
            None => return Some(spans),
        }
    }
}

/// The documents of a YAML text, split where kubectl splits them: at lines that begin with `---`.
///
/// The blank lines, comments and directives before a document's own `---` belong to it.
fn yaml_documents(text: &str) -> Vec<Span> {
    let mut documents = Vec::new();
    let (mut start, mut end, mut has_content) = (0, 0, false);
    for line in text.split_inclusive('\n') {
        let separator = line
            .strip_prefix("---")
            .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if separator.is_some() && has_content {
            documents.push(Span { start, end });
            (start, has_content) = (end, false);
        }
        let is_directive = line.starts_with('%');
        let text = separator.unwrap_or(line).trim_start();
        has_content |= !(is_directive || text.is_empty() || text.starts_with('#'));
        end = end.saturating_add(line.len());
    }
    documents.push(Span { start, end });
    documents
}

/// Reads one JSON value. JSON is YAML except for a few characters that YAML does not allow. A value that contains one of
/// them is read without the places of its fields.
fn json_value(
    source: &Arc<Source>,
    span: Span,
    spare: &mut usize,
    each: &mut dyn FnMut(Document),
) -> Result<(), Problem> {
    let text = source.slice(span);
    if let Some(list) = json::list(text, span.start) {
        for item in &list.items {
            hand_out(source, list.typed(json_root(source, *item, spare)?), each);
        }
        return Ok(());
    }
    hand_out(source, json_root(source, span, spare)?, each);
    Ok(())
}

/// A JSON value with its places, from the general parser if need be.
fn json_root(source: &Arc<Source>, span: Span, spare: &mut usize) -> Result<(Value, Positions), Problem> {
    if let Some(root) = json::read(source.slice(span), span.start) {
        return Ok(root);
    }
    let roots = yaml(source, span, spare);
    if let Ok([_]) = roots.as_deref() {
        return roots.map(|mut roots| roots.pop().unwrap_or_default());
    }
    match roots {
        Ok(_) | Err(Problem { error: ManifestError::Syntax(_), .. }) => {
            let value = serde_json::from_str(source.slice(span))
                .map_err(|error| Problem::at(source, span, ManifestError::Syntax(error.to_string())))?;
            Ok((value, Positions::scalar(span)))
        }
        Err(problem) => Err(problem),
    }
}

/// Reads every object of a YAML document.
fn yaml_document(
    source: &Arc<Source>,
    span: Span,
    spare: &mut usize,
    each: &mut dyn FnMut(Document),
) -> Result<(), Problem> {
    let text = source.slice(span);
    let mut done = 0_usize;
    if let Some(list) = block::list(text, span.start) {
        let mut items = list.items.iter().map(|item| {
            let only = |mut roots: Vec<_>| roots.pop().filter(|_| roots.is_empty());
            block::read(source.slice(*item), item.start)
                .or_else(|| only(yaml(source, *item, spare).ok()?))
                .and_then(list::only_item)
        });
        if items.by_ref().try_for_each(|root| {
            done = done.saturating_add(hand_out(source, list.typed(root?), each));
            Some(())
        }) == Some(())
        {
            return Ok(());
        }
    } else if let Some(root) = block::read(text, span.start) {
        hand_out(source, root, each);
        return Ok(());
    }
    // An item that cannot be read alone is most likely an error, whose place the whole list tells.
    let roots = yaml(source, span, spare)?;
    let objects = roots.into_iter().flat_map(|(value, positions)| list::unfold(value, positions));
    for (value, positions) in objects.skip(done) {
        each(Document { source: Arc::clone(source), value, positions });
    }
    Ok(())
}

/// Reads every non-empty YAML document of a range. `spare` is how many nodes aliases may still add.
///
/// The decoder recurses, and the caller may be a thread with a small stack.
fn yaml(source: &Arc<Source>, span: Span, spare: &mut usize) -> Result<Vec<(Value, Positions)>, Problem> {
    stacker::maybe_grow(STACK, STACK, || yaml_roots(source, span, spare))
}

fn yaml_roots(
    source: &Arc<Source>,
    span: Span,
    spare: &mut usize,
) -> Result<Vec<(Value, Positions)>, Problem> {
    let text = source.slice(span);
    let roots: Vec<Spanned<Tree>> =
        serde_saphyr::from_multiple_with_options(text, options(text.len(), *spare))
            .map_err(|error| rejected(source, span, &error))?;
    let nodes: usize = roots.iter().map(|root| root.value.count()).sum();
    *spare = spare.saturating_sub(nodes.saturating_sub(text.len()));
    let split = |root| {
        split(root, span.start).map_err(|key| Problem::at(source, key, explain(text, ManifestError::Key)))
    };
    roots.into_iter().map(split).collect()
}

fn options(length: usize, spare: usize) -> Options {
    // A node takes at least one byte, so a text without aliases cannot reach these limits.
    let nodes = length.saturating_add(spare).saturating_add(1);
    let budget = serde_saphyr::budget! {
        max_events: nodes.saturating_mul(4),
        max_nodes: nodes,
        max_documents: nodes,
        max_depth: MAX_DEPTH,
        // The scanner reads ahead of the decoder, and recurses too.
        flow_nesting_limit: MAX_DEPTH,
        max_total_scalar_bytes: length.saturating_mul(8).saturating_add(ALIAS_NODES),
        simple_key_max_lookahead: MAX_KEY,
    };
    let mut options = serde_saphyr::options! {
        budget: budget,
        duplicate_keys: DuplicateKeyPolicy::Error,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    options.emit_comments = false;
    options
}

/// The parser's error, at its place and in the words of this program.
fn rejected(source: &Arc<Source>, span: Span, error: &Error) -> Problem {
    let error = error.without_snippet();
    let text = source.slice(span);
    let explained = explain(text, wording(error));
    match error.location().filter(|location| location.line() > 0) {
        Some(location) => {
            let start = span.start.saturating_add(byte_offset(text, location));
            Problem::at(source, source.character_at(start), explained)
        }
        None => Problem::of_file(source.name(), explained),
    }
}

/// The place of an error in bytes. The parser counts characters.
fn byte_offset(text: &str, location: serde_saphyr::Location) -> usize {
    let characters = usize::try_from(location.span().offset()).unwrap_or_default();
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

fn wording(error: &Error) -> ManifestError {
    match error {
        Error::DuplicateMappingKey { key, .. } => {
            ManifestError::DuplicateKey(key.clone().unwrap_or_default())
        }
        Error::UnknownAnchor { .. } => ManifestError::UnknownAnchor,
        Error::NonFiniteFloat { value, .. } => ManifestError::NotFinite(value.clone()),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => ManifestError::Budget,
        Error::AliasError { error, .. } => wording(error),
        other => match without_place(&other.to_string()) {
            // The scanner reports brackets that nest too deeply so.
            limit if limit == "recursion limit exceeded" => ManifestError::Budget,
            text => ManifestError::Syntax(text),
        },
    }
}

/// The message without the place that the parser repeats at its end.
fn without_place(message: &str) -> String {
    let (text, _) = message.split_once(" at line ").unwrap_or((message, ""));
    text.to_owned()
}

/// Names the most likely cause of braces where YAML allows none: a chart's template, or a variable.
fn explain(text: &str, error: ManifestError) -> ManifestError {
    match error {
        ManifestError::Syntax(_) | ManifestError::Key | ManifestError::DuplicateKey(_)
            if text.contains("{{") =>
        {
            ManifestError::Template
        }
        ManifestError::Syntax(_) | ManifestError::Key if text.contains("${") => ManifestError::Variables,
        error => error,
    }
}

/// A node of YAML, with the places of everything below it.
#[derive(Debug)]
enum Tree {
    Scalar(Value),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

impl Tree {
    /// The number of nodes, keys included.
    fn count(&self) -> usize {
        let below = match self {
            Self::Scalar(_) => 0,
            Self::List(items) => items.iter().map(|item| item.value.count()).sum(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| key.value.count().saturating_add(value.value.count())).sum()
            }
        };
        below.saturating_add(1)
    }
}

/// Splits a node into its value and its places. `base` is where the parsed text begins in its source. The error is the
/// place of a key that JSON does not allow.
fn split(node: Spanned<Tree>, base: usize) -> Result<(Value, Positions), Span> {
    let at = span(&node, base);
    match node.value {
        Tree::Scalar(value) => Ok((value, Positions::scalar(at))),
        Tree::List(nodes) => {
            let items: Result<Vec<_>, _> = nodes.into_iter().map(|item| split(item, base)).collect();
            let (values, positions) = items?.into_iter().unzip();
            Ok((Value::Array(values), Positions::list(at, positions)))
        }
        Tree::Map(nodes) => {
            let mut values = Map::new();
            let mut positions = BTreeMap::new();
            for (key, value) in nodes {
                let key_at = span(&key, base);
                let name = key_text(key.value).ok_or(key_at)?;
                let (value, below) = split(value, base)?;
                values.insert(name.clone(), value);
                positions.insert(name, below.with_key(key_at));
            }
            Ok((Value::Object(values), Positions::map(at, positions)))
        }
    }
}

/// The text of a node: for an alias, the text of its anchor.
fn span(node: &Spanned<Tree>, base: usize) -> Span {
    let span = node.defined.span();
    let offset = |at: Option<u64>| at.and_then(|at| usize::try_from(at).ok()).unwrap_or_default();
    let start = base.saturating_add(offset(span.byte_offset()));
    Span { start, end: start.saturating_add(offset(span.byte_len())) }
}

/// A key as a string. kubectl converts numbers and booleans to strings, and rejects the rest.
fn key_text(key: Tree) -> Option<String> {
    match key {
        Tree::Scalar(Value::String(text)) => Some(text),
        Tree::Scalar(Value::Bool(flag)) => Some(flag.to_string()),
        Tree::Scalar(Value::Number(number)) => Some(number.to_string()),
        Tree::Scalar(_) | Tree::List(_) | Tree::Map(_) => None,
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Bool(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(Number::from_f64(number).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Tree, E> {
        Ok(Tree::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}
