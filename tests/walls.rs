//! What ARCHITECTURE.md says about the house holds in the house.

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

fn assert_unknown_in(rooms: &[&str], words: &[&str]) {
    for path in sources("src").iter().filter(|path| rooms.contains(&room(path).as_str())) {
        let text = text(path);
        for word in words {
            assert!(!text.contains(word), "`{}` must not know of `{word}`", path.display());
        }
    }
}

const IO: [&str; 12] = [
    "tokio",
    "kube::",
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
    assert_unknown_in(&["labels", "objects", "facts", "rules", "change", "verdict", "field", "guard"], &IO);
    assert_unknown_in(
        &["labels"],
        &["crate::objects::Pod", "crate::facts", "crate::rules", "crate::topology"],
    );
}

/// What a record is, how records are chained, and what can be told of a log: only a reader is let in.
#[test]
fn the_decision_logs_form_and_checks_do_no_io() {
    let pure = ["record.rs", "line.rs", "lines.rs", "chain.rs", "queue.rs", "verify", "query"];
    for path in sources("src/audit").iter().filter(|path| !path.ends_with("tests.rs")) {
        let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit")).unwrap();
        let is_pure =
            pure.iter().any(|name| inside.starts_with(name) || inside.starts_with(format!("{name}.rs")));
        let text = text(path);
        for word in IO.iter().filter(|word| is_pure && **word != "std::io") {
            assert!(!text.contains(word), "`{}` must not know of `{word}`", path.display());
        }
        for word in ["crate::objects", "crate::facts", "crate::rules", "crate::admission", "crate::server"] {
            assert!(!text.contains(word), "`{}` must not know of `{word}`", path.display());
        }
    }
}

#[test]
fn admission_knows_no_http_and_no_cluster() {
    assert_unknown_in(
        &["admission"],
        &["hyper", "axum", "http::", "tokio", "crate::server", "crate::cluster"],
    );
}

#[test]
fn the_server_knows_no_kinds_and_no_rules() {
    let others =
        ["crate::objects", "crate::rules", "crate::admission", "crate::facts", "crate::topology", "kube::"];
    assert_unknown_in(&["server", "certs"], &others);
}

#[test]
fn the_cluster_knows_no_requests() {
    assert_unknown_in(&["cluster"], &["crate::admission", "crate::server", "crate::webhook", "crate::rules"]);
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
