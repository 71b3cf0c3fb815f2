//! probe
use lockstep::{admission::{review, Phase, Outcome}, facts::{Facts, Inventory}};
use std::time::Instant;
fn main() {
    let facts = Facts::new(&Inventory::default().or_built_in());
    for name in ["pod", "svc", "l2-bad"] {
        let body = std::fs::read(format!("/tmp/rev/{name}.json")).unwrap();
        for phase in [Phase::Mutate, Phase::Validate] {
            let mut times = Vec::new();
            for _ in 0..20000 {
                let start = Instant::now();
                let out = review(&body, phase, &facts);
                times.push(start.elapsed().as_nanos());
                std::hint::black_box(&out);
            }
            times.sort();
            println!("{name} {} bytes {phase:?} median {} ns", body.len(), times[10000]);
            match review(&body, phase, &facts) { Outcome::Judged{body,verdict,..} => println!("{} {}", verdict.word(), String::from_utf8_lossy(&body)), other => println!("{other:?}") }
        }
        #[derive(serde::Deserialize)] #[allow(dead_code)] struct R<'a>{ #[serde(borrow)] request: U<'a> }
        #[derive(serde::Deserialize)] #[allow(dead_code)] struct U<'a>{ uid: &'a str }
        let mut times = Vec::new();
        for _ in 0..20000 {
            let start = Instant::now();
            let r: R = serde_json::from_slice(&body).unwrap();
            times.push(start.elapsed().as_nanos());
            std::hint::black_box(&r);
        }
        times.sort();
        println!("uid only {} ns", times[10000]);
    }
}
