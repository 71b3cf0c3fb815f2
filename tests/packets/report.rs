//! The report of a run, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use super::agreement::Statement;
use super::client::Tally;
use super::machines::name_of;
use super::picture::picture;
use super::program::folder;

/// The results of requests to one address at one moment.
#[derive(Debug)]
pub struct Row {
    /// The scenario.
    pub scenario: &'static str,
    /// Whether Lockstep was called.
    pub guarded: bool,
    /// The moment.
    pub what: &'static str,
    /// The gateway's address.
    pub target: IpAddr,
    /// The client's address.
    pub own: IpAddr,
    /// The node that had the gateway's address for the client, at the end.
    pub announced: Option<&'static str>,
    /// The counts.
    pub tally: Tally,
    /// The explanation of `lockstep explain` at the same moment.
    pub explained: Statement,
    /// The flag of `explain` that predicted it before it was done.
    pub predicted_by: Option<String>,
}

impl Row {
    /// The share of answered requests that carried the client's address.
    fn share(&self) -> String {
        let (kept, answered) = (self.tally.with(self.own), self.tally.answered);
        match (100 * kept).checked_div(answered) {
            Some(share) => format!("{share} %"),
            None => "–".to_owned(),
        }
    }

    /// The addresses that arrived instead of the client's.
    fn instead(&self) -> String {
        let others = self.tally.seen.keys().filter(|address| **address != self.own);
        others.map(|address| name_of(*address)).collect::<Vec<_>>().join(", ")
    }

    /// The nodes whose gateways answered.
    fn by(&self) -> String {
        let short = |name: &&str| name.trim_start_matches("demo-dev-").to_owned();
        self.tally.by.keys().map(short).collect::<Vec<_>>().join(", ")
    }

    /// The explanation, and the flag by which it was predicted.
    fn explained(&self) -> String {
        let before = self.predicted_by.as_ref().map(|flag| format!("; predicted by `{flag}`"));
        format!("{}{}", self.explained, before.unwrap_or_default())
    }

    fn announced(&self) -> &str {
        self.announced.map_or("nobody", |name| name.trim_start_matches("demo-dev-"))
    }

    fn kind(&self) -> &str {
        if self.target.is_ipv4() { "IPv4" } else { "IPv6" }
    }

    fn half(&self) -> &str {
        if self.guarded { "with" } else { "without" }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { asked, answered, .. } = self.tally;
        write!(
            f,
            "{} | {} | {} | {} | {} | {} | {} | {answered} of {asked} | {} | {}",
            self.scenario,
            self.half(),
            self.what,
            self.kind(),
            self.announced(),
            self.explained(),
            self.by(),
            self.share(),
            self.instead()
        )
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Report {
    /// The counts.
    pub rows: Vec<Row>,
    /// The rejections and edits, by scenario.
    pub notes: Vec<(&'static str, String)>,
    /// The number of times that `explain` was asked once more, because it did not agree with the packets yet.
    pub asked_again: usize,
}

impl Report {
    /// Writes the report with its picture; with `LOCKSTEP_BLESS=1` also as the example in the docs.
    pub fn write(&self) {
        let mut folders = vec![folder()];
        if std::env::var_os("LOCKSTEP_BLESS").is_some() {
            folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"));
        }
        for folder in folders {
            std::fs::write(folder.join("packets.md"), self.text()).unwrap();
            std::fs::write(folder.join("packets.svg"), picture(&self.rows)).unwrap();
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}{}{}\n{TABLE}", self.summary(), self.agreement());
        for row in &self.rows {
            text.push_str(&format!("| {row} |\n"));
        }
        text.push_str("\n## What Lockstep said\n\n");
        for (scenario, note) in &self.notes {
            text.push_str(&format!("* *{scenario}*: {}\n", note.replace('\n', " ")));
        }
        text
    }

    /// The number of comparisons of `explain` with the packets. If they disagree, there is no report.
    fn agreement(&self) -> String {
        let (rows, again) = (self.rows.len(), self.asked_again);
        let predicted = self.rows.iter().filter(|row| row.predicted_by.is_some()).count();
        format!(
            "* `lockstep explain` agreed with the packets in {rows} of {rows} comparisons; {again} times it was asked again\n\
             * {predicted} of them were predicted before the change: the prediction is what came\n"
        )
    }

    /// The number of requests in all.
    fn summary(&self) -> String {
        let mut sums: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for row in &self.rows {
            let sum = sums.entry(row.half()).or_default();
            for (sum, add) in
                sum.iter_mut().zip([row.tally.asked, row.tally.answered, row.tally.with(row.own)])
            {
                *sum += add;
            }
        }
        let line = |(half, [asked, answered, kept]): (&str, [usize; 3])| {
            format!(
                "* {half} Lockstep: {asked} requests, {answered} answered, {kept} of them with the client's address\n"
            )
        };
        sums.into_iter().map(line).collect()
    }
}

const HEAD: &str = "\
# What the packets showed

**For newcomers and security teams** who want to see the effect, not only the words.

Written by a run of `tests/full.sh packets`, in which requests went from a client to the gateway's address in a cluster of network
namespaces, with MetalLB's real speakers and kube-proxy. Each scenario is shown without Lockstep first, and then with it. The table
tells which node had the gateway's address for the client, on which nodes gateway pods answered, how many of the requests were
answered, and which share of the answered ones arrived in the audit log with the client's own address.

At each of these moments, `lockstep explain` read the state of the same cluster, once by itself and once from its objects in
manifests. Both times it must name the node that answered ARP or
neighbour discovery, and what became of the client's address; where nobody answered, it must name the cause. Where a change can be
supposed, `lockstep explain` predicted the state beforehand, by the flag that is shown. The run fails where it says otherwise.

A few requests may be lost where the address itself moves to another node: that is layer 2 with policy `Local`. To compare like
with like, the rollout and the two scenarios that say so are also shown with the right topology, made by hand without Lockstep.

![who announced, who answered, which address was seen](packets.svg)

";

const TABLE: &str = "\
| scenario | Lockstep | moment | over | announced by | `explain` says | answered on | answered | with the client's address | seen instead |
|---|---|---|---|---|---|---|---|---|---|
";
