//! MetalLB as the oracle.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use lockstep::election::MetalLbVersion;
use lockstep_test_support::control_plane::{MetalLb as Release, metallb_oracle};
use lockstep_test_support::number;

use crate::comparison::{Decide, MetalLb, as_case, difference, product};
use crate::process::Oracle;
use crate::seeds;
use crate::tally::Tally;
use crate::world::Weights;

/// The number of worlds that are asked about at once.
const BATCH: u64 = 500;

/// The number of kinds of differences after which a run ends.
const ENOUGH: usize = 12;

pub fn oracle(version: MetalLbVersion) -> MetalLb {
    let release = match version {
        MetalLbVersion::V0_13_5 => Release::V0_13_5,
        MetalLbVersion::V0_15_2 => Release::V0_15_2,
        MetalLbVersion::V0_16_2 => Release::V0_16_2,
    };
    let programs = metallb_oracle(release).expect("the oracle");
    MetalLb { speaker: Oracle::start(&programs.speaker), controller: Oracle::start(&programs.controller) }
}

/// The differences in the worlds of these seeds, one of each kind, as cases, what the worlds had in them, and the number of worlds in which
/// MetalLB itself panics: there is no decision to compare.
fn differences(
    version: MetalLbVersion,
    seeds: Range<u64>,
    decide: &Decide,
) -> (BTreeMap<&'static str, String>, Tally, u64) {
    let (mut metallb, weights) = (oracle(version), Weights::default());
    let (mut found, mut tally, mut panicked) = (BTreeMap::new(), Tally::default(), 0);
    let mut from = seeds.start;
    while from < seeds.end && found.len() < ENOUGH {
        let to = (from + BATCH).min(seeds.end);
        let answered = metallb.answered(from..to, &weights);
        panicked += to - from - answered.len() as u64;
        for (seed, world, speaker, controller) in answered {
            // Every tenth is enough to count.
            if seed % 10 == 0 {
                tally.add(&world, &decide(&world, version));
            }
            let Some(first) = difference(&world, version, decide, &speaker, &controller) else {
                continue;
            };
            if !found.contains_key(first.what) {
                let small = metallb.shrunk(&world, version, decide, first.what);
                let again = metallb.difference(&small, version, decide).expect("it still differs");
                found.insert(first.what, format!("# seed {seed}\n{}", as_case(&small, version, &again)));
            }
        }
        from = to;
    }
    (found, tally, panicked)
}

fn agrees(version: MetalLbVersion) {
    let (seeds, started) = (seeds(), Instant::now());
    let threads = number("LOCKSTEP_THREADS", 1);
    let share = (seeds.end - seeds.start).div_ceil(threads);
    let parts =
        (0..threads).map(|n| seeds.start + n * share).map(|first| first..(first + share).min(seeds.end));
    let (mut found, mut tally, mut panicked) = (BTreeMap::new(), Tally::default(), 0);
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            parts.map(|part| scope.spawn(move || differences(version, part, &product))).collect();
        for part in parts {
            let (of_part, counts, panics) = part.join().expect("a part of the worlds");
            found.extend(of_part);
            tally.absorb(&counts);
            panicked += panics;
        }
    });
    let (count, time) = (seeds.end - seeds.start, started.elapsed());
    println!(
        "evidence: MetalLB {version}: {count} worlds from seed {} in {time:.1?}, {:.0} a second; it panics in {panicked} of them",
        seeds.start,
        count as f64 / time.as_secs_f64()
    );
    let cases: Vec<String> = found.into_values().collect();
    assert!(cases.is_empty(), "{} kinds of differences:\n{}", cases.len(), cases.join("\n"));
    // What it answers elsewhere is compared, so it must answer nearly always.
    assert!(panicked * 1000 <= count, "MetalLB panics in {panicked} of {count} worlds");
    assert_eq!(tally.lacking(), [""; 0], "the worlds lack something");
}

#[test]
fn metallb_0_13_5_decides_the_same() {
    agrees(MetalLbVersion::V0_13_5);
}

#[test]
fn metallb_0_15_2_decides_the_same() {
    agrees(MetalLbVersion::V0_15_2);
}

#[test]
fn metallb_0_16_2_decides_the_same() {
    agrees(MetalLbVersion::V0_16_2);
}
