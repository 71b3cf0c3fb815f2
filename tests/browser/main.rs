//! The pages of `lockstep explain -o html`, `check -o html` and `dashboard` in a real Chromium, with axe-core, and SARIF in the validator of
//! its schema and of GitHub's rules. It needs Chromium, Node.js with npm, and Go for the API server.
//!
//! What the pages look like is left in `target/browser`.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod check_page;
mod code_scanning;
mod live_page;
mod static_page;

use std::path::PathBuf;

use lockstep_test_support::root;

/// A file for a picture.
fn picture(name: &str) -> PathBuf {
    let folder = root().join("target/browser");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

#[test]
fn the_tests_named_in_documents_exist() {
    lockstep_test_support::documents::assert_named_tests_exist("browser");
}
