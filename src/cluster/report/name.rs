//! The name of a topology's report.

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

/// The beginning of the name of each report.
pub(super) const PREFIX: &str = "lockstep-";

/// The maximum length of an object's name (`NameIsDNSSubdomain` of Kubernetes).
const MAX_NAME: usize = 253;

/// The number of bytes of the hash at the end of a name that was cut.
const HASH: usize = 8;

/// Returns the name of a topology's report. It is the same in every replica, and no other topology has it.
pub(super) fn report_name(topology: &str) -> String {
    let name = format!("{PREFIX}{topology}");
    if name.len() <= MAX_NAME {
        return name;
    }
    let hash = digest(&SHA256, topology.as_bytes());
    let hash = HEXLOWER.encode(hash.as_ref().get(..HASH).unwrap_or_default());
    // Names are ASCII, and neither a dot nor a dash may stand before a dash.
    let kept = name.get(..MAX_NAME.saturating_sub(hash.len()).saturating_sub(1)).unwrap_or_default();
    format!("{}-{hash}", kept.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_report_is_that_of_its_topology_up_to_253_characters() {
        assert_eq!(report_name("istio-ingressgateway"), "lockstep-istio-ingressgateway");
        assert_eq!(report_name(&"a".repeat(244)), format!("lockstep-{}", "a".repeat(244)));
        let long = |last: char| format!("{}.{}{last}", "a".repeat(226), "b".repeat(25));
        assert_eq!(long('1').len(), MAX_NAME);
        let (one, other) = (report_name(&long('1')), report_name(&long('2')));
        assert_ne!(one, other);
        assert!(one.len() <= MAX_NAME && other.len() <= MAX_NAME);
        // A label of a name neither begins nor ends with a dash.
        assert!(one.starts_with("lockstep-aaa") && !one.contains(".-"), "{one}");
    }
}
