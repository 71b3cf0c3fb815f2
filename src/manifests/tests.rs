//! Tests of text read into documents, and of documents read into content.

mod content;
mod property;
mod yaml;

use serde_json::json;

use super::*;

fn parse(text: &str) -> Loaded {
    let mut documents = Vec::new();
    let source = Arc::new(Source::new("a.yaml", text));
    let problems = super::yaml::parse(&source, &mut |document| documents.push(document));
    Loaded { documents, problems }
}

#[track_caller]
fn parsed(text: &str) -> Vec<Document> {
    let Loaded { documents, problems } = parse(text);
    assert!(problems.is_empty(), "{problems:?}");
    documents
}

#[track_caller]
fn rejected(text: &str) -> String {
    let Loaded { problems, .. } = parse(text);
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    problem.to_string()
}

fn values(text: &str) -> Vec<Value> {
    parsed(text).into_iter().map(|document| document.value).collect()
}

/// The marked text of a field, and whether the field itself is set.
#[track_caller]
fn marked<'d>(document: &'d Document, tokens: &[&str]) -> (&'d str, bool) {
    let place = document.positions.find(tokens);
    (document.source.slice(place.mark), place.is_exact)
}
