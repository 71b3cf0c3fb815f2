//! What is asked of reviews beyond the first figures: one request at a time, denials, a new connection for every call, and a state of ten
//! times the size of the large one. Each is compared with a baseline in the same rounds.

use super::load::{self, Call, Load, Ratio};
use super::process::Server;
use super::{ALLOWED, Effort, IN_FLIGHT, PATCHED};

/// A server, by its name in the table.
type Rival = (&'static str, fn() -> Server, Call);

const DENIED: Call = Call { path: "/validate", body: wide_advertisement, marker: "\"allowed\":false" };
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
    let one = [
        ("no-op", Server::noop as fn() -> Server, NOOP),
        ("lockstep /mutate, patched", Server::lockstep, PATCHED),
    ];
    compare("17 KB review, 1 in flight", &one, 1, false, effort).await;
    let denied = [
        ("no-op", Server::noop as fn() -> Server, NOOP_DENIED),
        ("lockstep, denied", Server::lockstep, DENIED),
    ];
    compare("advertisement, 16 in flight", &denied, IN_FLIGHT, false, effort).await;
    let storm = [
        ("bare rustls server", Server::bare as fn() -> Server, NOOP),
        ("no-op", Server::noop, NOOP),
        ("lockstep /mutate, patched", Server::lockstep, PATCHED),
    ];
    compare("a connection for each call, 128", &storm, 128, true, effort).await;
    let huge = [
        ("10 nodes, 1 topology", Server::small as fn() -> Server, ALLOWED),
        ("100,000 nodes, 5,000", Server::huge, ALLOWED),
    ];
    compare("allowed, by the state's size", &huge, IN_FLIGHT, false, effort).await;
    let mut huge = Server::huge();
    huge.ready().await;
    println!("resident, 100,000 nodes, 5,000 topologies: {:.0} MB", huge.resident());
}

async fn compare(title: &str, rivals: &[Rival], in_flight: usize, closes: bool, effort: Effort) {
    let mut loads: Vec<Vec<Load>> = rivals.iter().map(|_| Vec::new()).collect();
    for _ in 0..effort.rounds {
        for ((_, start, call), loads) in rivals.iter().zip(&mut loads) {
            let mut server = start();
            let address = server.ready().await;
            loads.push(load::run_with(&server, &address, *call, in_flight, closes, effort.round).await);
        }
    }
    println!(
        "{title:<32} {:>10} {:>9} {:>9} {:>16} {:>9} {:>9}",
        "reviews/s", "p50 ms", "p99 ms", "CPU s per 10,000", "rate", "CPU"
    );
    for ((name, ..), loads_of) in rivals.iter().zip(&loads) {
        let (load, ratio) = (Load::median(loads_of), Ratio::median(loads_of, &loads[0]));
        println!(
            "{name:<32} {:>10.0} {:>9.2} {:>9.2} {:>16.3} {:>8.2}x {:>8.2}x",
            load.rate,
            load.p50 * 1e3,
            load.p99 * 1e3,
            load.cpu,
            ratio.rate,
            ratio.cpu
        );
    }
}
