//! A strict reader of the HTML that the program writes: every tag is closed, and every value is quoted.

use std::collections::BTreeSet;

/// A start tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The name of the element.
    pub name: String,
    /// The attributes with their values, as they are written.
    pub attributes: Vec<(String, String)>,
}

impl Tag {
    /// The value of an attribute, as it is written.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// Elements without an end tag.
const VOID: [&str; 3] = ["meta", "link", "br"];

/// The start tags of a document, in order.
///
/// # Panics
/// If a tag is malformed or not closed in its order, or if `>` stands outside of a tag and of a style or script.
#[must_use]
pub fn tags(document: &str) -> Vec<Tag> {
    let mut rest = document.strip_prefix("<!DOCTYPE html>").expect("a document type");
    let (mut tags, mut open) = (Vec::new(), Vec::<String>::new());
    while let Some((text, after)) = rest.split_once('<') {
        let is_raw = open.last().is_some_and(|name| name == "style" || name == "script");
        assert!(is_raw || !text.contains('>'), "`>` in the text {text:?}");
        let end = after.find('>').unwrap_or_else(|| panic!("no end of the tag {after:?}"));
        let inside = &after[..end];
        rest = &after[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{inside:?} in {open:?}");
            continue;
        }
        let tag = tag(inside);
        if !VOID.contains(&tag.name.as_str()) {
            open.push(tag.name.clone());
        }
        tags.push(tag);
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    tags
}

fn tag(inside: &str) -> Tag {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
    };
    let (name, mut rest) = inside.split_once(' ').unwrap_or((inside, ""));
    assert!(is_name(name), "the tag {inside:?}");
    let mut attributes = Vec::new();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        assert!(is_name(name), "the attribute {name:?} of the tag {inside:?}");
        let (value, after) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').unwrap_or_else(|| panic!("a quote is open in {inside:?}")),
            None => ("", after),
        };
        assert!(after.is_empty() || after.starts_with(' '), "the tag {inside:?}");
        attributes.push((name.to_owned(), value.to_owned()));
        rest = after.trim_start_matches(' ');
    }
    let names: BTreeSet<&String> = attributes.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), attributes.len(), "an attribute stands twice in {inside:?}");
    Tag { name: name.to_owned(), attributes }
}
