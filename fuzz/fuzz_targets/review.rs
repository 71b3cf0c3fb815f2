//! Any body is reviewed without a panic, and JSON is decoded alike with and without the lists that no rule reads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep::admission::{Body, decode, review};
use lockstep::change::{Change, Phase};
use lockstep::snapshot::{Inventory, Snapshot};
use serde::de::IgnoredAny;

fn change(body: &Body<'_>) -> Result<Option<Change>, String> {
    decode(body).map(|request| request.change).map_err(|error| error.to_string())
}

fuzz_target!(|bytes: &[u8]| {
    for phase in Phase::ALL {
        let _ = review(&Body::new(bytes), phase, snapshot());
    }
    if serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        assert_eq!(change(&Body::new(bytes)), change(&Body::whole(bytes)));
    }
});

fn snapshot() -> &'static Snapshot {
    static SNAPSHOT: std::sync::OnceLock<Snapshot> = std::sync::OnceLock::new();
    SNAPSHOT.get_or_init(|| Snapshot::new(&Inventory::default().or_built_in()))
}
