//! Topologies: any YAML is a valid topology or is refused at a field, and a valid one is written and read back as it is, and judges.

use lockstep::admission::{Body, review};
use lockstep::change::Phase;
use lockstep::snapshot::{Declared, Inventory};
use lockstep::topology::GatewayTopologySpec;

use super::review::{inventory, snapshot};

pub(super) fn body(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(object) = serde_saphyr::from_str::<serde_json::Value>(text) else { return };
    for candidate in [object.get("spec"), Some(&object)].into_iter().flatten() {
        let Ok(spec) = serde_json::from_value::<GatewayTopologySpec>(candidate.clone()) else { continue };
        match spec.check() {
            Ok(()) => valid(&spec),
            Err(error) => {
                super::assert_is_sentence(&error, &[]);
                assert!(error.field.to_string().starts_with("spec"), "{}", error.field);
            }
        }
    }
}

fn valid(spec: &GatewayTopologySpec) {
    let written = serde_json::to_value(spec).expect("a topology is written as JSON");
    let read: GatewayTopologySpec = serde_json::from_value(written).expect("a topology is read back");
    assert_eq!(read, *spec);
    assert_eq!(read.check(), Ok(()));
    let declared = Declared { generation: 1, created: None, spec: read };
    let inventory = Inventory { topologies: [("one".to_owned(), declared)].into(), ..inventory() };
    let snapshot = snapshot(inventory);
    for request in [POD, SERVICE, ADVERTISEMENT] {
        for phase in Phase::ALL {
            review(&Body::new(request), phase, &snapshot)
                .expect("everything is known, so there is an answer");
        }
    }
}

const POD: &[u8] = include_bytes!("../../benches/reviews/pod.json");
const SERVICE: &[u8] = include_bytes!("../../benches/reviews/service.json");
const ADVERTISEMENT: &[u8] = include_bytes!("../../benches/reviews/l2advertisement.json");
