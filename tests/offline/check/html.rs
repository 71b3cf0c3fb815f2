//! `lockstep check -o html`: one page that needs nothing else, whatever names and values the input has.

use std::collections::BTreeSet;

use lockstep_core::escape::is_unsafe;
use lockstep_test_support::markup::{Tag, tags};

use super::*;

fn page(arguments: &[&str], stdin: &str) -> String {
    let run = run_with(&[&["check", "-o", "html"][..], arguments].concat(), stdin);
    assert!(run.out.starts_with("<!DOCTYPE html>"), "{}", run.err);
    run.out
}

/// The words of a page: its text without its tags.
fn words(page: &str) -> String {
    let (_, body) = page.split_once("<body>").unwrap();
    let text: String =
        body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn has(words: &str, sentence: &str) -> bool {
    words.contains(sentence.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ").as_str())
}

#[test]
fn a_page_has_every_message_mend_and_place_that_the_json_has() {
    for folder in ["examples/broken", "examples/seed"] {
        let words = words(&page(&[folder], ""));
        let (_, report) = as_json(&[folder], "");
        let mut seen = 0;
        for object in report["objects"].as_array().unwrap() {
            for field in ["name", "file"] {
                assert!(has(&words, object[field].as_str().unwrap()), "{object}");
            }
            for finding in object["findings"].as_array().unwrap() {
                for field in ["reason", "rule", "message", "help"] {
                    assert!(has(&words, finding[field].as_str().unwrap()), "{folder}: {finding}\n{words}");
                    seen += 1;
                }
            }
        }
        assert!(seen >= 4 || folder.ends_with("seed"), "{seen}");
        for condition in report["topologies"][0]["conditions"].as_array().unwrap() {
            assert!(has(&words, condition["message"].as_str().unwrap()), "{condition}");
        }
    }
}

#[test]
fn the_headline_is_green_only_if_something_was_judged_and_nothing_is_to_be_said() {
    let right =
        format!("{ADVERTISEMENT}  nodeSelectors: [{{matchLabels: {{loadbalancerIPs.metallb.io: arp}}}}]\n");
    for (arguments, stdin, class, headline) in [
        (&["-"][..], ADVERTISEMENT, "bad", "1 of 1 object is denied"),
        (&["-"], right.as_str(), "fragile", "Nothing is denied, and SourceIPPreserved is Unknown"),
        (
            &["-"],
            "apiVersion: v1\nkind: ConfigMap\n",
            "unknown",
            "No object of the input is of a kind that Lockstep judges",
        ),
        (&["-"], "a: [", "bad", "The input has 1 problem: no verdict is certain"),
        (
            &["--strict", "examples/seed"],
            "",
            "bad",
            "2 of 4 objects would be changed, which --strict rejects",
        ),
        (
            &["--facts", "tests/cases/state/the-gateway-survives-drains-and-rollouts.yaml", "-"],
            right.as_str(),
            "good",
            "Every judged object is allowed as it is",
        ),
    ] {
        let page = page(arguments, stdin);
        assert!(
            page.contains(&format!("<div class=\"verdict {class}\">")),
            "{arguments:?} {headline}: {page}"
        );
        assert!(page.contains(&format!("<span>{headline}</span></h1>")), "{headline}: {page}");
    }
}

#[test]
fn a_page_has_landmarks_and_headings_in_order_whatever_names_the_input_has() {
    let name = "\u{1b}]0;t\u{7}</code><script>&\"'\u{202e}\u{200b}";
    let object = named(name);
    let wrong = format!("{object}\n---\nkind: \"（{name}\n");
    for input in [object.to_string(), wrong] {
        let page = page(&["-"], &input);
        let style = page.find("</style>").unwrap();
        assert!(!page[style..].contains(|c| is_unsafe(c) && c != '\n'), "{page:?}");
        let tags = tags(&page);
        assert!(!tags.iter().any(|tag| tag.name == "script"), "{page}");
        for landmark in ["header", "main", "footer", "h1", "title"] {
            assert_eq!(tags.iter().filter(|tag| tag.name == landmark).count(), 1, "{landmark}");
        }
        let level = |tag: &Tag| tag.name.strip_prefix('h').and_then(|level| level.parse::<u8>().ok());
        let levels: Vec<u8> = tags.iter().filter_map(level).collect();
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
        let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.attribute("id")).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}
