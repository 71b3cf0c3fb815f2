//! Further loads of reviews: one request at a time and sixteen, denials, a new connection for every call, and a state of ten
//! times the size of the large one. Each is compared with a baseline in the same rounds.

use super::load::Call;
use super::process::Server;
use super::{ALLOWED, Contestant, Effort, IN_FLIGHT, PATCHED, compare};

const DENIED: Call = Call { body: wide_advertisement, marker: "\"allowed\":false", ..ALLOWED };
const NOOP_DENIED: Call = Call { marker: "\"allowed\":true", ..DENIED };
const NOOP: Call = Call { marker: "\"allowed\":true", ..PATCHED };

/// The recorded advertisement, which announces a gateway pool from every node.
fn wide_advertisement() -> Vec<u8> {
    let recorded = include_bytes!("../reviews/l2advertisement.json");
    let mut review: serde_json::Value =
        serde_json::from_slice(recorded).expect("the recorded review is JSON");
    review["request"]["object"]["spec"] = serde_json::json!({"ipAddressPools": ["default-pool"]});
    serde_json::to_vec(&review).expect("JSON can be written")
}

pub async fn print(effort: Effort) {
    let patched = [
        Contestant::new("no-op", Server::noop, NOOP),
        Contestant::new("lockstep /mutate, patched", Server::lockstep, PATCHED),
    ];
    compare("17 KB review, 1 in flight", &patched, 1, false, effort).await;
    compare("17 KB review, 16 in flight", &patched, IN_FLIGHT, false, effort).await;
    let denied = [
        Contestant::new("no-op", Server::noop, NOOP_DENIED),
        Contestant::new("lockstep, denied", Server::lockstep, DENIED),
    ];
    compare("advertisement, 16 in flight", &denied, IN_FLIGHT, false, effort).await;
    let storm = [
        Contestant::new("bare rustls server", Server::bare, NOOP),
        Contestant::new("no-op", Server::noop, NOOP),
        Contestant::new("lockstep /mutate, patched", Server::lockstep, PATCHED),
    ];
    compare("a connection for each call, 128", &storm, 128, true, effort).await;
    let sizes = [
        Contestant::new("10 nodes, 1 topology", Server::small, ALLOWED),
        Contestant::new("100,000 nodes, 5,000", Server::huge, ALLOWED),
    ];
    compare("allowed, by the state's size", &sizes, IN_FLIGHT, false, effort).await;
    let mut huge = Server::huge();
    huge.ready().await;
    println!("resident, 100,000 nodes, 5,000 topologies: {:.0} MB", huge.resident());
}
