//! Links lead to files and headings that exist in the repository.

use std::path::Path;

use lockstep_test_support::documents::{Document, documents};
use lockstep_test_support::root;

/// Returns the targets of the links `[...](target)`.
fn links(page: &Document) -> Vec<String> {
    let of = |paragraph: String| -> Vec<String> {
        let starts = paragraph.match_indices("](").map(|(at, found)| &paragraph[at + found.len()..]);
        starts.map(|rest| rest.split_once(')').unwrap().0.to_owned()).collect()
    };
    page.prose().into_iter().flat_map(of).collect()
}

/// Returns GitHub's anchor of a heading.
fn anchor(heading: &str) -> String {
    let heading = heading.to_lowercase();
    let kept = heading.chars().filter(|kept| kept.is_alphanumeric() || " -_".contains(*kept));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn has_heading(file: &Path, wanted: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    let mut headings = text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    headings.any(|heading| anchor(heading) == wanted)
}

#[test]
fn every_link_in_documents_resolves() {
    let mut seen = 0;
    for page in documents() {
        for link in links(&page) {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let own = root().join(&page.path);
            let file = if path.is_empty() { own } else { own.with_file_name(path) };
            assert!(file.exists(), "`{}` links to `{link}`", page.path.display());
            let is_there = heading.is_empty() || has_heading(&file, heading);
            assert!(is_there, "`{}` links to `{link}`, which has no such heading", page.path.display());
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen} links");
}

/// Documents also refer to sections by name: see "The chain".
#[test]
fn every_quoted_section_exists() {
    for page in documents() {
        let headings: Vec<&str> =
            page.text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' ')).collect();
        for paragraph in page.paragraphs() {
            for (at, found) in paragraph.match_indices("see \"") {
                let name = paragraph[at + found.len()..].split('"').next().unwrap();
                assert!(headings.contains(&name), "`{}` has no section `{name}`", page.path.display());
            }
        }
    }
}
