//! An upgrade by Helm from an earlier commit of this repository to this one, under load: chart, program, topologies, CA, values and
//! decision log.
//!
//! `just upgrade` builds the program of the earlier commit and starts this. `LOCKSTEP_PREVIOUS` is the folder with that program,
//! `lockstep`, and its `charts`.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod house;
mod refusals;
mod under_load;
mod values;

use std::path::PathBuf;

use lockstep_test_support::helm::NAMESPACE;

/// The chart and the program of the earlier commit.
struct Previous;

impl Previous {
    fn folder() -> PathBuf {
        let folder = std::env::var_os("LOCKSTEP_PREVIOUS");
        folder
            .expect("run `just upgrade`, which builds the earlier program and sets LOCKSTEP_PREVIOUS")
            .into()
    }

    /// Its program.
    fn program() -> PathBuf {
        Self::folder().join("lockstep")
    }

    /// Its chart.
    fn chart() -> String {
        Self::folder().join("charts/lockstep").to_str().unwrap().to_owned()
    }
}

/// The path of the user's values.
fn user_values() -> String {
    lockstep_test_support::root().join("tests/upgrade/values.yaml").to_str().unwrap().to_owned()
}

/// The arguments of `helm` for a command on the release `lockstep`, with the user's values.
fn helm(command: &str, chart: &str, more: &[&str]) -> Vec<String> {
    let values = user_values();
    let all = [&[command, "lockstep", chart, "-n", NAMESPACE, "-f", &values], more].concat();
    all.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_tests_named_in_documents_exist() {
    lockstep_test_support::documents::assert_named_tests_exist("upgrade");
}
