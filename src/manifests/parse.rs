//! From text to documents.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Options, Spanned};

use super::position::Positions;
use super::tree::{self, Tree};
use super::{Document, Loaded, ManifestError, Problem, Source, Span, list};

/// How many nodes aliases may add to those that the text spells out. Real manifests add a few dozen; this
/// many still take no time.
const ALIAS_NODES: usize = 100_000;
/// How deeply values may nest: what `serde_json` allows, and more than any schema asks for.
const MAX_DEPTH: usize = 128;
/// The longest key, in characters. YAML's own limit of 1024 would refuse valid JSON.
const MAX_KEY: usize = 1 << 16;

/// Room for [`MAX_DEPTH`] levels: one takes up to 64 KiB in a build without optimisations.
const STACK: usize = 16 << 20;

/// Reads every object of a source, lists unfolded. A document that cannot be read is a problem, and the others are read.
///
/// The decoder recurses, and who calls may be a worker thread with a small stack: this one brings its own.
pub(super) fn parse(source: &Arc<Source>) -> Loaded {
    thread::scope(|scope| {
        let parser = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || read(source));
        match parser {
            Ok(parser) => parser.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(error) => {
                let error = ManifestError::Unreadable(error.to_string());
                Loaded { problems: vec![Problem::of_file(source.name(), error)], ..Loaded::default() }
            }
        }
    })
}

fn read(source: &Arc<Source>) -> Loaded {
    let mut loaded = Loaded::default();
    let mut spare = ALIAS_NODES;
    let json = json_values(source.text());
    let is_json = json.is_some();
    for span in json.unwrap_or_else(|| yaml_documents(source.text())) {
        let roots =
            if is_json { json_value(source, span, &mut spare) } else { yaml(source, span, &mut spare) };
        match roots {
            Ok(roots) => {
                let objects = roots.into_iter().flat_map(|(value, positions)| list::unfold(value, positions));
                loaded.documents.extend(objects.map(|(value, positions)| Document {
                    source: Arc::clone(source),
                    value,
                    positions,
                }));
            }
            // What a template leaves out or repeats is not known, so nothing of it is read.
            Err(problem) if problem.error == ManifestError::Template => {
                return Loaded { problems: vec![problem], ..Loaded::default() };
            }
            Err(problem) => {
                loaded.problems.push(problem);
                // How much of it was spent is not known, and many broken documents must not multiply it.
                spare /= 2;
            }
        }
    }
    loaded
}

/// Where the values of a JSON text stand; `None` for anything but JSON. Values may follow each other without
/// a separator, as `kubectl get -o json` and `jq` write them; YAML has no way to say that.
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

/// Where the documents of a YAML text stand, split as kubectl splits them: at the lines that begin with `---`.
///
/// A document stays together with the blank lines, comments and directives before its own `---`.
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

/// One JSON value. JSON is YAML but for a few characters that YAML cannot hold; where one of them stands,
/// the value is still read, with a place for the whole of it only.
fn json_value(
    source: &Arc<Source>,
    span: Span,
    spare: &mut usize,
) -> Result<Vec<(Value, Positions)>, Problem> {
    match yaml(source, span, spare) {
        Ok(roots) if roots.len() == 1 => Ok(roots),
        Ok(_) | Err(Problem { error: ManifestError::Syntax(_), .. }) => {
            let value = serde_json::from_str(source.slice(span))
                .map_err(|error| Problem::at(source, span, ManifestError::Syntax(error.to_string())))?;
            Ok(vec![(value, Positions::scalar(span))])
        }
        Err(problem) => Err(problem),
    }
}

/// Reads every YAML document of a stretch of text that holds anything. `spare` is how many nodes aliases may still add.
fn yaml(source: &Arc<Source>, span: Span, spare: &mut usize) -> Result<Vec<(Value, Positions)>, Problem> {
    let text = source.slice(span);
    let roots: Vec<Spanned<Tree>> =
        serde_saphyr::from_multiple_with_options(text, options(text.len(), *spare))
            .map_err(|error| refused(source, span, &error))?;
    let nodes: usize = roots.iter().map(|root| root.value.nodes()).sum();
    *spare = spare.saturating_sub(nodes.saturating_sub(text.len()));
    let split = |root| {
        tree::split(root, span.start)
            .map_err(|misfit| Problem::at(source, misfit.at, explain(text, misfit.error)))
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
        // The scanner runs ahead, and it recurses.
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

/// The parser's error in the words of this program.
fn refused(source: &Arc<Source>, span: Span, error: &Error) -> Problem {
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

/// Errors of the scanner tell characters, not bytes.
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
            // The scanner's word for brackets that nest too deeply.
            limit if limit == "recursion limit exceeded" => ManifestError::Budget,
            text => ManifestError::Syntax(text),
        },
    }
}

/// The parser repeats the place at the end of its message.
fn without_place(message: &str) -> String {
    let (text, _) = message.split_once(" at line ").unwrap_or((message, ""));
    text.to_owned()
}

/// A template of a chart is the most likely reason for braces where YAML has none.
fn explain(text: &str, error: ManifestError) -> ManifestError {
    match error {
        ManifestError::Syntax(_) | ManifestError::Key | ManifestError::DuplicateKey(_)
            if text.contains("{{") =>
        {
            ManifestError::Template
        }
        error => error,
    }
}
