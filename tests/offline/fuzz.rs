//! The fuzz targets, on the inputs of the repository and on mutations of them: the bodies that libFuzzer calls, without libFuzzer.
//!
//! `LOCKSTEP_EXECUTIONS` is the number of mutations of each target, and `LOCKSTEP_SEED` gives others. `just fuzz` runs one target
//! guided by coverage. What it finds belongs into `fuzz/seeds`, and runs here from then on.

#[path = "../../fuzz/bodies/mod.rs"]
pub mod bodies;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use bodies::{TARGETS, Target};
use lockstep_test_support::root;

use crate::check::{Numbers, shrunk};

/// The longest input of a mutation in bytes, as libFuzzer's default.
const LONGEST: usize = 4 << 10;

/// Runs a target on its inputs, and on this number of mutations.
fn run(name: &str, executions: u64) {
    let target = &Target::named(name);
    let set = |name, default| std::env::var(name).map_or(default, |number| number.parse::<u64>().unwrap());
    let (executions, seed) = (set("LOCKSTEP_EXECUTIONS", executions), set("LOCKSTEP_SEED", 0));
    let mut inputs = target.inputs(root());
    for input in &inputs {
        execute(target, input);
    }
    // Selectors have no inputs of their own: any bytes are some.
    inputs.push(Vec::new());
    let start = Instant::now();
    for number in 0..executions {
        execute(target, &mutant(target, &inputs, &mut Numbers::of_input(seed, number)));
    }
    println!(
        "evidence: {name}: {} inputs and {executions} mutations of seed {seed} in {:.1?}",
        inputs.len(),
        start.elapsed()
    );
}

fn execute(target: &Target, input: &[u8]) {
    if catch_unwind(|| (target.body)(input)).is_ok() {
        return;
    }
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let small = shrunk(input, &mut |text| catch_unwind(AssertUnwindSafe(|| (target.body)(text))).is_err());
    std::panic::set_hook(report);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
    std::fs::write(&path, &small).unwrap();
    panic!("{} fails on the input in {}: {}", target.name, path.display(), small.escape_ascii());
}

/// An input after up to eight mutations.
fn mutant(target: &Target, inputs: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut text = inputs[numbers.below(inputs.len())].clone();
    for _ in 0..=numbers.below(8) {
        let at = numbers.below(text.len() + 1);
        let end = (at + 1 + numbers.below(60)).min(text.len());
        match numbers.below(8) {
            0 => text.insert(at, u8::try_from(numbers.below(256)).unwrap()),
            1 if at < text.len() => text[at] ^= 1 << numbers.below(8),
            2 if at < end => drop(text.drain(at..end)),
            3 if at < end => {
                let run = text[at..end].to_vec();
                text.splice(at..at, run);
            }
            4 if !target.words.is_empty() => {
                let word = numbers.of(target.words);
                text.splice(at..at, word.bytes());
            }
            5 => {
                let other = &inputs[numbers.below(inputs.len())];
                let from = numbers.below(other.len() + 1);
                let to = (from + numbers.below(400)).min(other.len());
                text.splice(at..at, other[from..to].iter().copied());
            }
            // A number, so that JSON and YAML stay what they are.
            6 => text.iter_mut().skip(at).find(|byte| byte.is_ascii_digit()).into_iter().for_each(|digit| {
                *digit = b'0' + u8::try_from(numbers.below(10)).unwrap();
            }),
            _ => text.truncate(text.len() - numbers.below(text.len() / 4 + 1)),
        }
    }
    text.truncate(LONGEST.max(inputs.iter().map(Vec::len).max().unwrap_or_default()));
    text
}

#[test]
fn any_secret_is_read_as_cas_or_refused_without_quoting_it() {
    run("ca_secret", 2000);
}

#[test]
fn any_certificate_and_key_are_used_or_refused_without_quoting_them() {
    run("certificate_files", 2000);
}

#[test]
fn any_manifest_is_reported_in_every_format() {
    run("check", 50);
}

#[test]
fn any_decision_log_is_verified_and_queried_alike() {
    run("decision_log", 3000);
}

#[test]
fn any_kubeconfig_makes_a_client_or_is_refused_in_a_sentence() {
    run("kubeconfig", 300);
}

#[test]
fn any_patch_applies_and_leaves_nothing_to_patch() {
    run("patch", 1000);
}

#[test]
fn any_review_is_answered_with_its_uid_and_allowed_only_by_a_verdict() {
    run("review", 2000);
}

#[test]
fn any_selectors_agree_with_brute_force() {
    run("selectors", 1000);
}

#[test]
fn any_topology_is_refused_at_a_field_or_judges() {
    run("topology", 300);
}

/// A target without its file would never be fuzzed.
#[test]
fn every_target_has_its_program() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for target in TARGETS {
        let program = root().join(format!("fuzz/fuzz_targets/{}.rs", target.name));
        let text = std::fs::read_to_string(&program).unwrap();
        assert!(text.contains(&format!("\"{}\"", target.name)), "{}", program.display());
        assert!(
            manifest
                .contains(&format!("name = \"{}\"\npath = \"fuzz_targets/{}.rs\"", target.name, target.name))
        );
    }
}
