//! The readers of common texts, compared with the general parser.

use std::path::Path;

use lockstep_test_support::number;

use super::*;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source::new("a.yaml", text))
}

/// The one root that the general parser reads; `None` for an error, and for none or several.
fn general(source: &Arc<Source>) -> Option<(Value, Positions)> {
    let whole = Span { start: 0, end: source.text().len() };
    let mut roots = yaml(source, whole, &mut ALIAS_NODES.clone()).ok()?;
    roots.pop().filter(|_| roots.is_empty())
}

/// Every manifest of the repository's cases and examples, by document.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec!["tests/cases", "examples", "charts/lockstep/crds"]
        .into_iter()
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .collect::<Vec<_>>();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                let spans = json_values(&text).unwrap_or_else(|| yaml_documents(&text));
                found.extend(
                    spans.into_iter().map(|span| Source::new("a", text.clone()).slice(span).to_owned()),
                );
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Compares whatever a reader accepts, and returns whether it accepts the text.
fn agrees(text: &str) -> bool {
    let source = source(text);
    let read = if json_values(text).is_some() { json::read(text, 0) } else { block::read(text, 0) };
    if let Some((value, positions)) = &read {
        let (expected, places) =
            general(&source).unwrap_or_else(|| panic!("the general parser rejects\n{text}"));
        assert_eq!(value, &expected, "{text}");
        if positions != &places {
            let (own, other) = (format!("{positions:#?}"), format!("{places:#?}"));
            let differs = own.lines().zip(other.lines()).find(|(own, other)| own != other);
            panic!("{differs:?} in\n{text}");
        }
    }
    read.is_some()
}

#[test]
fn common_texts_are_read_as_the_general_parser_reads_them() {
    let documents = documents();
    let accepted = documents.iter().filter(|text| agrees(text)).count();
    assert!(documents.len() > 300 && accepted * 2 > documents.len(), "{accepted} of {}", documents.len());
}

#[test]
fn mutated_texts_are_read_as_the_general_parser_reads_them() {
    const INSERTED: [&str; 40] = [
        " ", "  ", "\n", "#", " #", ":", ": ", "- ", "-", "a", "1", "0", ".", "/", "_", "\"", "'", "|",
        "|-\n", ">", "{}", "[]", "{", "]", "null", "true", "y", "0x1", "1e3", "1.5", "10.0.0.1", "---\n",
        "...", "&a ", "*a", "!!str ", "? ", "<<: ", "~", "\n\n  ",
    ];
    let count = number("LOCKSTEP_MUTATIONS", 4000);
    let documents: Vec<String> =
        documents().into_iter().filter(|text| text.is_ascii() && text.len() < 3000).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(limit).unwrap()).unwrap()
    };
    let mut accepted = 0;
    for _ in 0..count {
        let mut text = documents[below(documents.len())].clone();
        for _ in 0..=below(3) {
            let at = below(text.len() + 1);
            match below(5) {
                0 => text.truncate(at),
                1 => drop(text.drain(at..(at + below(12)).min(text.len()))),
                2 => {
                    let lines: Vec<&str> = text.split('\n').collect();
                    let from = below(lines.len());
                    let line = lines[from].to_owned();
                    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
                    lines.insert(below(lines.len()), line);
                    text = lines.join("\n");
                }
                _ => text.insert_str(at, INSERTED[below(INSERTED.len())]),
            }
        }
        accepted += usize::from(agrees(&text));
    }
    assert!(accepted * 8 > count, "{accepted} of {count}");
}

#[test]
fn a_list_is_read_item_by_item_as_the_general_parser_reads_it() {
    let texts = [
        "apiVersion: v1\nitems:\n- a: 1\n  b:\n  - c\n- a: {x: y}\n# comment\n-\n  a: 3\nkind: List\nmetadata:\n  b: c\n",
        "---\nkind: PodList\napiVersion: v1\nitems:\n  - metadata: {name: a}\n\n  - metadata:\n      name: é\n",
        "kind: List\nitems:\n- kind: List\n  items:\n  - a: 1\n  - b: 2\n- c: |\n    - x\n    y\n",
        "kind: List\nitems:\n- a: &x 1\n- b: *x\n",
        "kind: List\nitems:\n- a: \"x\n\n  y\"\n- b: [1,\n  2]\n",
        "{\"kind\": \"List\", \"items\": [{\"a\": 1}, {\"b\\u0063\": [true, null, -1, 1.5]}]}",
        "{\"apiVersion\": \"v1\", \"kind\": \"NodeList\", \"items\": [{\"metadata\": {\"name\": \"é\"}}, {\"kind\": \"List\", \"items\": [{}]}]}",
    ];
    for text in texts {
        let source = source(text);
        let mut found = Vec::new();
        let problems = parse(&source, &mut |document| found.push((document.value, document.positions)));
        assert_eq!(problems, [], "{text}");
        let (value, positions) = general(&source).unwrap();
        assert_eq!(found, list::unfold(value, positions), "{text}");
    }
}

#[test]
fn a_broken_item_is_reported_once_and_the_items_before_it_are_read() {
    let mut read = 0;
    let problems = parse(&source("kind: List\nitems:\n- a: 1\n- b: c: d\n- e: 2\n"), &mut |_| read += 1);
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!((read, problem.line_column().unwrap().line), (1, 4));
}
