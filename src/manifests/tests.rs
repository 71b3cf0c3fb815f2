//! Tests that need more than one file of this module.

mod json_text;
mod lists;
mod objects;
mod places;
mod property;
mod yaml;

use serde_json::json;

use super::*;

fn parse_text(text: &str) -> Loaded {
    parse::parse(&Arc::new(Source::new("a.yaml", text)))
}

#[track_caller]
fn parsed(text: &str) -> Vec<Document> {
    let Loaded { documents, problems } = parse_text(text);
    assert!(problems.is_empty(), "{problems:?}");
    documents
}

#[track_caller]
fn refused(text: &str) -> String {
    let Loaded { problems, .. } = parse_text(text);
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    problem.to_string()
}

fn values(text: &str) -> Vec<Value> {
    parsed(text).into_iter().map(|document| document.value).collect()
}

/// The text at a field, and whether the field itself is there.
#[track_caller]
fn marked<'d>(document: &'d Document, tokens: &[&str]) -> (&'d str, bool) {
    let place = document.positions.find(tokens);
    (document.source.slice(place.mark), place.is_exact)
}
