//! The client: it asks the gateway, and counts.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::machines::{CLIENT, Machine, node_of_pod, node_with_mac};
use super::network;

/// After this long without an answer, a request is lost.
pub const PATIENCE: Duration = Duration::from_millis(1500);

/// Between two requests of a steady client.
const PACE: Duration = Duration::from_millis(10);

/// The address that the audit log saw, and the gateway pod that told it.
type Answer = (IpAddr, IpAddr);

/// However soon it is told to stop, a steady client waits for this many answers.
const AT_LEAST: usize = 250;

/// The results of requests to one address.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The number of requests that were sent.
    pub asked: usize,
    /// The number of requests that got an answer.
    pub answered: usize,
    /// Which addresses arrived in the audit log, and how often.
    pub seen: BTreeMap<IpAddr, usize>,
    /// The nodes whose gateway pods answered, and how often.
    pub by: BTreeMap<&'static str, usize>,
    /// The reasons for missing answers, with their number.
    pub why: BTreeMap<String, usize>,
}

impl Tally {
    /// The number of requests that arrived with this address.
    pub fn with(&self, address: IpAddr) -> usize {
        self.seen.get(&address).copied().unwrap_or_default()
    }

    /// The number of requests that got no answer.
    pub fn lost(&self) -> usize {
        self.asked - self.answered
    }

    fn count(&mut self, answer: Result<Answer, String>) {
        self.asked += 1;
        let (source, gateway) = match answer {
            Ok(answer) => answer,
            Err(why) => return *self.why.entry(why).or_default() += 1,
        };
        self.answered += 1;
        *self.seen.entry(source).or_default() += 1;
        let node = node_of_pod(gateway).map_or("?", |node| node.name);
        *self.by.entry(node).or_default() += 1;
    }
}

/// The client's own address of the same kind.
pub fn own(target: IpAddr) -> IpAddr {
    if target.is_ipv4() { CLIENT.v4().into() } else { CLIENT.v6().into() }
}

/// Sends requests to each of the addresses, each on a new connection: this many at a time, this often, each
/// with this patience.
pub async fn ask(
    targets: [IpAddr; 2],
    path: &str,
    at_once: usize,
    times: usize,
    patience: Duration,
) -> [Tally; 2] {
    let path = path.to_owned();
    let work = move || {
        targets.map(|target| {
            let ask = |_| {
                let path = path.clone();
                network::spawn(CLIENT.name, move || {
                    (0..times).map(|_| request(target, &path, patience)).collect()
                })
            };
            (0..at_once).map(ask).collect::<Vec<_>>()
        })
    };
    tokio::task::block_in_place(|| work().map(total))
}

fn total(askers: Vec<JoinHandle<Vec<Result<Answer, String>>>>) -> Tally {
    let mut tally = Tally::default();
    for answer in askers.into_iter().flat_map(|asker| asker.join().unwrap()) {
        tally.count(answer);
    }
    tally
}

/// One request, or why there is no answer in time.
fn request(target: IpAddr, path: &str, patience: Duration) -> Result<Answer, String> {
    let answer = exchange(target, path, patience).map_err(|error| error.to_string())?;
    told(&answer).ok_or(answer)
}

fn exchange(target: IpAddr, path: &str, patience: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(target, 80), patience)?;
    stream.set_read_timeout(Some(patience))?;
    // In one piece: the second of two would wait for the first to be acknowledged.
    let request = format!("GET {path} HTTP/1.1\r\nHost: audit\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn told(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (source, gateway) = body.split_once(' ')?;
    head.starts_with("HTTP/1.1 200 ").then_some((source.parse().ok()?, gateway.parse().ok()?))
}

/// A client that keeps asking both addresses.
#[derive(Debug)]
pub struct Steady {
    stop: Arc<AtomicBool>,
    threads: [JoinHandle<Tally>; 2],
}

impl Steady {
    /// Begins.
    pub fn start(targets: [IpAddr; 2], path: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = targets.map(|target| {
            let (path, stop) = (path.to_owned(), stop.clone());
            network::spawn(CLIENT.name, move || steadily(target, &path, &stop))
        });
        Self { stop, threads }
    }

    /// Ends.
    pub fn stop(self) -> [Tally; 2] {
        self.stop.store(true, Ordering::Relaxed);
        let join = || self.threads.map(|thread| thread.join().unwrap());
        tokio::task::block_in_place(join)
    }
}

fn steadily(target: IpAddr, path: &str, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) || tally.answered < AT_LEAST {
        let begun = Instant::now();
        tally.count(request(target, path, PATIENCE));
        std::thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
    tally
}

/// Forgets who has which address, as a client that comes for the first time.
pub fn forget() {
    let flushed = network::command(CLIENT.name, "ip").args(["neigh", "flush", "all"]).status();
    assert!(flushed.unwrap().success());
}

/// Which node has told the client, by ARP or by neighbour discovery, that it has this address.
pub fn announcer(target: IpAddr) -> Option<Machine> {
    let output = network::command(CLIENT.name, "ip").args(["neigh", "show", &target.to_string()]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let mut words = text.split_whitespace();
    words.find(|word| *word == "lladdr")?;
    node_with_mac(words.next()?)
}
