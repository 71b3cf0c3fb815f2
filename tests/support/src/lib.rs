//! Code that the test programs share.
//!
//! [`control_plane`] starts a real API server, [`serve`] starts the program, [`objects`] and [`reviews`] build
//! requests, and [`wait`] waits for results.

use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub mod api;
pub mod balancer;
pub mod browser;
pub mod busy;
pub mod case;
pub mod collector;
pub mod control_plane;
pub mod dashboard;
pub mod decision_log;
pub mod documents;
pub mod endpoints;
pub mod findings;
pub mod golden_file;
pub mod helm;
pub mod https;
pub mod levels;
pub mod load;
pub mod markup;
pub mod objects;
pub mod release;
pub mod replica;
pub mod reviews;
pub mod search;
pub mod serve;
pub mod service_account;
pub mod shell;
pub mod state;
pub mod usage;
pub mod wait;
pub mod webhook;

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The number in a variable of the environment, which sets the length or the seed of a run.
///
/// # Panics
/// If it is not a number.
#[must_use]
pub fn number<N: FromStr<Err = ParseIntError>>(variable: &str, default: N) -> N {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// The path of the program under test, which Cargo builds before it runs a test program or a benchmark.
///
/// # Panics
/// If Cargo did not start this process.
#[must_use]
pub fn program() -> PathBuf {
    let path = std::env::var_os("LOCKSTEP_PROGRAM").or_else(|| std::env::var_os("CARGO_BIN_EXE_lockstep"));
    path.expect("run the tests with `cargo test`, which sets the path of the program").into()
}
