//! What ARCHITECTURE.md says about the house holds in the house.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "no sources in `{folder}`");
    found
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The room that a file belongs to: `rules` for `src/rules.rs` and everything in `src/rules/`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The rooms, each with the rooms that it uses. It uses none that comes later, so there is no way round.
const ROOMS: [(&str, &[&str]); 20] = [
    ("text", &[]),
    ("field", &[]),
    ("gathering", &[]),
    ("labels", &["text", "field"]),
    ("objects", &["labels"]),
    ("verdict", &["field", "labels"]),
    ("topology", &["field", "labels", "verdict"]),
    ("change", &["objects"]),
    ("facts", &["field", "labels", "objects", "topology", "change", "verdict"]),
    ("rules", &["text", "field", "labels", "objects", "verdict", "topology", "change", "facts"]),
    ("guard", &["text", "labels", "topology"]),
    ("admission", &["field", "objects", "verdict", "change", "facts", "rules"]),
    ("certs", &["text"]),
    ("server", &["certs"]),
    ("cluster", &["text", "labels", "objects", "topology", "facts", "guard", "certs"]),
    ("manifests", &["field", "objects", "topology", "change", "facts"]),
    ("audit", &["text", "gathering"]),
    ("webhook", &["text", "verdict", "facts", "admission", "server", "audit"]),
    ("telemetry", &["text", "gathering"]),
    // It joins everything.
    (
        "cli",
        &[
            "text",
            "field",
            "labels",
            "objects",
            "verdict",
            "topology",
            "change",
            "facts",
            "rules",
            "admission",
            "certs",
            "server",
            "cluster",
            "manifests",
            "audit",
            "webhook",
            "telemetry",
        ],
    ),
];

/// The rooms that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let after = text.split("crate::").skip(1);
    let names = after.map(|rest| rest.chars().take_while(|letter| is_plain(*letter)).collect::<String>());
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_room_uses_the_rooms_that_it_may_and_no_others() {
    let mut rooms: Vec<String> = sources("src").iter().map(|path| room(path)).collect();
    rooms.retain(|room| !["lib", "main"].contains(&room.as_str()));
    rooms.sort();
    rooms.dedup();
    let mut listed = ROOMS.map(|(room, _)| room);
    listed.sort_unstable();
    assert_eq!(rooms, listed);
    for (at, (name, may)) in ROOMS.iter().enumerate() {
        let before: Vec<_> = ROOMS[..at].iter().map(|(room, _)| room).collect();
        assert!(may.iter().all(|used| before.contains(&used)), "`{name}` uses what comes later");
        for path in sources("src").iter().filter(|path| room(path) == *name) {
            for used in named(&text(path)).iter().filter(|used| used != name) {
                assert!(may.contains(&used.as_str()), "`{}` must not use `{used}`", path.display());
            }
        }
    }
}

/// Whether a file is in one of these rooms.
fn is_in(path: &Path, rooms: &[&str]) -> bool {
    rooms.contains(&room(path).as_str())
}

fn assert_unknown(is_concerned: impl Fn(&Path) -> bool, words: &[&str]) {
    let mut seen = 0;
    for path in sources("src").iter().filter(|path| is_concerned(path)) {
        let text = text(path);
        for word in words {
            assert!(!text.contains(word), "`{}` must not know of `{word}`", path.display());
        }
        seen += 1;
    }
    assert!(seen > 0, "no file is concerned");
}

const IO: [&str; 11] = [
    "tokio",
    "axum",
    "hyper",
    "rustls",
    "tracing",
    "std::fs",
    "std::net",
    "std::env",
    "std::time",
    "std::io",
    "prometheus_client",
];

#[test]
fn rules_and_labels_do_no_io() {
    let pure = ["field", "labels", "objects", "change", "verdict", "facts", "rules", "guard"];
    assert_unknown(|path| is_in(path, &pure), &[&IO[..], &["kube::"]].concat());
    // Its kind is derived with kube.
    assert_unknown(|path| is_in(path, &["topology"]), &IO);
}

/// What a record is, how records are chained, and what can be told of a log: only a reader is let in.
#[test]
fn the_decision_logs_form_and_checks_do_no_io() {
    let pure = ["record.rs", "line.rs", "lines.rs", "chain.rs", "queue.rs", "verify", "query"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit");
    let is_pure = |path: &Path| {
        let inside = path.strip_prefix(&folder);
        inside.is_ok_and(|path| {
            !path.ends_with("tests.rs")
                && pure.iter().any(|name| path.starts_with(name) || path.starts_with(format!("{name}.rs")))
        })
    };
    let words: Vec<&str> = IO.into_iter().filter(|word| *word != "std::io").collect();
    assert_unknown(is_pure, &words);
}

#[test]
fn admission_knows_no_http() {
    assert_unknown(|path| is_in(path, &["admission"]), &["hyper", "axum", "http::", "tokio", "std::net"]);
}

#[test]
fn objects_know_none_of_the_lists_that_are_left_out_of_reviews() {
    let snake = |name: &str| {
        name.chars().fold(String::new(), |text, letter| {
            let before = if letter.is_uppercase() { "_" } else { "" };
            text + before + &letter.to_lowercase().to_string()
        })
    };
    for name in lockstep::admission::UNREAD {
        let words = [format!("{}:", snake(name)), format!("\"{name}\"")];
        assert_unknown(|path| is_in(path, &["objects", "labels"]), &words.each_ref().map(String::as_str));
    }
}

#[test]
fn the_server_and_its_certificates_know_no_kubernetes() {
    assert_unknown(|path| is_in(path, &["server", "certs"]), &["kube::", "k8s_openapi::api"]);
}

#[test]
fn nobody_but_the_server_and_the_cluster_speaks_http() {
    let others = ["admission", "certs", "manifests", "webhook", "audit", "telemetry", "cli"];
    assert_unknown(|path| is_in(path, &others), &["hyper::", "axum", "tower::"]);
}

#[test]
fn manifests_know_no_terminal() {
    assert_unknown(
        |path| is_in(path, &["manifests"]),
        &["anstream", "annotate_snippets", "stdout", "stderr", "clap"],
    );
}

#[test]
fn every_file_is_in_the_module_tree() {
    for path in sources("src") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if ["lib", "main"].contains(&name) {
            continue;
        }
        let folder = path.parent().unwrap();
        let parent =
            if folder.ends_with("src") { folder.join("lib.rs") } else { folder.with_extension("rs") };
        let declared = format!("mod {name};");
        assert!(
            text(&parent).contains(&declared),
            "`{}` is not declared in `{}`",
            path.display(),
            parent.display()
        );
    }
}

#[test]
fn no_file_is_over_400_lines() {
    for path in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        let lines = text(&path).lines().count();
        assert!(lines <= 400, "`{}` has {lines} lines", path.display());
    }
}

#[test]
fn the_median_source_file_is_under_150_lines() {
    let mut lines: Vec<usize> = sources("src").iter().map(|path| text(path).lines().count()).collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median < 150, "{median} lines");
}
