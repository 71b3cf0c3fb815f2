//! Admissions at a steady rate: pods of the gateway, created without being stored.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kube::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::api;
use super::objects::{LABEL, gateway_pod};

/// More than the largest burst. Many more would drown a busy API server in handshakes, so that it does not answer
/// the replicas either, and what is too slow then would never end.
const UNDER_WAY: usize = 90;

/// A load under way.
#[derive(Debug)]
pub struct Load {
    enough: Arc<AtomicBool>,
    started: Instant,
    task: JoinHandle<Vec<Admission>>,
}

/// One attempt to create a pod.
#[derive(Debug)]
pub struct Admission {
    /// When it was asked for.
    pub started: Instant,
    /// When it was answered.
    pub ended: Instant,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Debug)]
pub enum Outcome {
    /// Admitted, and placed on the nodes with this value.
    Placed(String),
    /// Admitted as if nobody had looked at it.
    Unchecked,
    /// Not admitted.
    Failed(String),
}

/// All that came of a load.
#[derive(Debug)]
pub struct Record {
    /// In the order of their ends.
    pub admissions: Vec<Admission>,
    /// From the first to the last.
    pub took: Duration,
}

impl Load {
    /// One burst every `every`, of as many admissions as `bursts` tells in turn.
    pub fn start(client: Client, bursts: &'static [usize], every: Duration) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(run(client, bursts, every, Arc::clone(&enough)));
        Self { enough, started: Instant::now(), task }
    }

    /// Stops, and waits for what is under way.
    pub async fn end(self) -> Record {
        self.enough.store(true, Ordering::Relaxed);
        let admissions = self.task.await.unwrap();
        Record { admissions, took: self.started.elapsed() }
    }
}

impl Record {
    /// How many were admitted with a placement.
    pub fn placed(&self) -> usize {
        self.admissions.iter().filter(|admission| matches!(admission.outcome, Outcome::Placed(_))).count()
    }

    /// Those with a placement a second.
    pub fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.placed()).unwrap()) / self.took.as_secs_f64()
    }

    /// How many were admitted without one.
    pub fn unchecked(&self) -> usize {
        self.admissions.iter().filter(|admission| matches!(admission.outcome, Outcome::Unchecked)).count()
    }

    /// Those that were not admitted.
    pub fn failed(&self) -> impl Iterator<Item = (&Admission, &str)> {
        self.admissions.iter().filter_map(|admission| match &admission.outcome {
            Outcome::Failed(why) => Some((admission, why.as_str())),
            _ => None,
        })
    }

    /// Why admissions failed, each reason once.
    pub fn reasons(&self) -> BTreeSet<&str> {
        self.failed().map(|(_, why)| why).collect()
    }
}

async fn run(
    client: Client,
    bursts: &'static [usize],
    every: Duration,
    enough: Arc<AtomicBool>,
) -> Vec<Admission> {
    let mut ticks = tokio::time::interval(every);
    // A machine that was busy for a moment makes up for it.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut under_way, mut done) = (JoinSet::new(), Vec::new());
    for burst in bursts.iter().cycle() {
        ticks.tick().await;
        if enough.load(Ordering::Relaxed) {
            break;
        }
        for index in 0..*burst {
            if under_way.len() >= UNDER_WAY {
                done.push(under_way.join_next().await.unwrap().unwrap());
            }
            under_way.spawn(admit(client.clone(), format!("pod-{index}")));
        }
        while let Some(admission) = under_way.try_join_next() {
            done.push(admission.unwrap());
        }
    }
    done.extend(under_way.join_all().await);
    done
}

async fn admit(client: Client, name: String) -> Admission {
    let started = Instant::now();
    let answer = api::try_post(&client, &gateway_pod(&name), true).await;
    let outcome = match answer {
        Ok(answer) if answer.status.is_success() => match answer.body["spec"]["nodeSelector"][LABEL].as_str()
        {
            Some(value) => Outcome::Placed(value.to_owned()),
            None => Outcome::Unchecked,
        },
        Ok(answer) => Outcome::Failed(format!("{} {}", answer.status, answer.body["message"])),
        Err(error) => Outcome::Failed(error.to_string()),
    };
    Admission { started, ended: Instant::now(), outcome }
}
