//! Every page has a reader, and translations are in step with the page that they translate.

use std::collections::BTreeSet;

use lockstep_test_support::documents::{Document, document, documents};
use lockstep_test_support::root;

const READERS: [&str; 5] = ["newcomers", "operators", "security teams", "contributors", "使用者"];

#[test]
fn every_page_says_first_who_it_is_for() {
    let pages: Vec<Document> = documents().into_iter().filter(|page| page.path.starts_with("docs")).collect();
    assert!(pages.len() > 12, "{} pages", pages.len());
    for page in pages {
        let first = page.text.lines().nth(2).unwrap();
        let named = first.strip_prefix("**").and_then(|rest| rest.split_once("**"));
        let names_a_reader =
            named.is_some_and(|(named, _)| READERS.iter().any(|reader| named.contains(reader)));
        assert!(names_a_reader, "`{}` begins with: {first}", page.path.display());
    }
}

/// The code of a page: its blocks with their languages, its headings by level, and the words in backticks.
fn code(page: &Document) -> (Vec<(String, String)>, Vec<usize>, BTreeSet<String>) {
    let languages = ["console", "yaml", "text", ""];
    let blocks = page.blocks(&languages).into_iter().map(|block| (block.language, block.text)).collect();
    let headings = page.paragraphs().into_iter().filter(|line| line.starts_with('#'));
    let levels = headings.map(|line| line.chars().take_while(|letter| *letter == '#').count());
    (blocks, levels.collect(), page.spans().into_iter().collect())
}

#[test]
fn a_translation_has_the_commands_the_manifests_and_the_sections_of_its_page() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("docs/zh")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let translation = document(&format!("docs/zh/{name}"));
        let page = document(&format!("docs/{name}"));
        assert!(code(&page).0.len() > 5, "{name}");
        assert_eq!(code(&translation), code(&page), "{name}");
        let is_chinese = |letter: char| ('\u{4e00}'..='\u{9fff}').contains(&letter);
        let letters =
            translation.prose().iter().flat_map(|line| line.chars()).filter(|of| is_chinese(*of)).count();
        assert!(letters > 300, "{name} has {letters} Chinese characters");
        seen += 1;
    }
    assert!(seen > 0);
}
