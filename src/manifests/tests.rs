//! Tests that need more than one file of this module.

mod json_text;
mod lists;
mod objects;
mod places;
mod property;
mod yaml;

use serde_json::json;

use super::*;

#[track_caller]
fn parsed(text: &str) -> Vec<Document> {
    parse::parse(&Arc::new(Source::new("a.yaml", text))).unwrap_or_else(|problem| panic!("{problem}"))
}

#[track_caller]
fn refused(text: &str) -> String {
    parse::parse(&Arc::new(Source::new("a.yaml", text))).unwrap_err().to_string()
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
