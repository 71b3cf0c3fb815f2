//! Mutated manifests through every output format: no panic, no hang, and an exit code that is documented.
//!
//! The number of inputs is small here. `LOCKSTEP_MUTATIONS` sets another one, and `LOCKSTEP_SEED` other inputs: `just fuzz-check`.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use lockstep::cli::check_in_every_format;
use lockstep_test_support::root;

/// The number of inputs without `LOCKSTEP_MUTATIONS`.
const INPUTS: u64 = 150;

/// More than any input of a few kilobytes may take, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(20);

/// What a mutation inserts: what real files have where nobody expects it.
const SNIPPETS: [&str; 24] = [
    "\u{feff}",
    "\u{200b}",
    "（",
    "\0",
    "\r\n",
    "\t",
    "---\n",
    "...\n",
    "{{ .Values.a }}",
    "${A}",
    "&a ",
    "*a",
    "!!binary ",
    "? ",
    ": ",
    "- ",
    "\"",
    "'",
    "[",
    "}",
    "<<: *a\n",
    "99999999999999999999",
    "null",
    "%YAML 1.1\n",
];

/// A small generator of numbers (xorshift64*, Vigna 2016), so that a seed gives the same inputs everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// Real manifests: the examples and the inputs of the cases.
fn manifests() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for folder in
        ["examples/seed", "examples/broken", "tests/cases/check", "tests/cases/facts", "tests/cases/state"]
    {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = std::fs::read(&path).unwrap();
                found.push(text[..text.len().min(8 << 10)].to_vec());
            }
        }
    }
    found.sort_unstable();
    assert!(found.len() > 20, "{}", found.len());
    found
}

fn mutated(manifests: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut text = manifests[numbers.below(manifests.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(text.len());
        match numbers.below(9) {
            0 => text.truncate(at),
            1 => text.insert(at.min(text.len()), u8::try_from(numbers.below(256)).unwrap()),
            2 if !text.is_empty() => text[at] ^= 1 << numbers.below(8),
            3 => drop(text.drain(at..(at + numbers.below(40)).min(text.len()))),
            4 | 5 => {
                let snippet = SNIPPETS[numbers.below(SNIPPETS.len())];
                text.splice(at..at, snippet.bytes());
            }
            6 => {
                let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
                let (one, other) = (numbers.below(lines.len()), numbers.below(lines.len()));
                lines.swap(one, other);
                text = lines.join(&b'\n');
            }
            7 => {
                let other = &manifests[numbers.below(manifests.len())];
                let from = numbers.below(other.len());
                text.splice(at..at, other[from..(from + 200).min(other.len())].iter().copied());
            }
            _ => {
                let as_text = String::from_utf8_lossy(&text).into_owned();
                let units = std::iter::once(0xfeff).chain(as_text.encode_utf16());
                text = if numbers.below(2) == 0 {
                    units.flat_map(u16::to_le_bytes).collect()
                } else {
                    units.flat_map(u16::to_be_bytes).collect()
                };
            }
        }
    }
    text
}

/// The input that failed, for whoever reads the message.
fn kept(input: &[u8]) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join("mutation.yaml");
    std::fs::File::create(&path).unwrap().write_all(input).unwrap();
    path.display().to_string()
}

#[test]
fn no_mutated_manifest_causes_a_panic_a_hang_or_an_unknown_exit_code() {
    let set = |name| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let count = set("LOCKSTEP_MUTATIONS").unwrap_or(INPUTS);
    let manifests = manifests();
    // A seed of 0 would give only zeros.
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ set("LOCKSTEP_SEED").unwrap_or_default());
    let mut exits = [0_u64; 3];
    for number in 0..count {
        let input = mutated(&manifests, &mut numbers);
        let begin = Instant::now();
        let exit = catch_unwind(AssertUnwindSafe(|| check_in_every_format(&input)));
        let known = exit.as_ref().ok().and_then(|code| exits.get_mut(usize::from(*code)));
        *known.unwrap_or_else(|| panic!("input {number}: {exit:?}: {}", kept(&input))) += 1;
        assert!(begin.elapsed() < LIMIT, "input {number} took {:?}: {}", begin.elapsed(), kept(&input));
    }
    println!("{count} inputs: exit codes {exits:?}");
    assert!(exits.iter().all(|count| *count > 0), "{exits:?}");
}
