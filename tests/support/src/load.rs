//! Admissions at a steady rate: dry-run creations of gateway pods.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kube::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::api;
use super::objects::{LABEL, gateway_pod};

/// The maximum number of concurrent admissions, more than the largest burst. With many more, a busy API server would
/// spend its time on handshakes and would not answer the replicas either, and the test would never recover.
const UNDER_WAY: usize = 90;

/// A running load.
#[derive(Debug)]
pub struct Load {
    enough: Arc<AtomicBool>,
    started: Instant,
    task: JoinHandle<Vec<Admission>>,
}

/// An attempt to create a pod.
#[derive(Debug)]
pub struct Admission {
    /// The time of the request.
    pub started: Instant,
    /// The time of the response.
    pub ended: Instant,
    /// The outcome of the attempt.
    pub outcome: Outcome,
}

/// The outcome of an attempt.
#[derive(Debug)]
pub enum Outcome {
    /// The pod was admitted with this value in its node selector.
    Placed(String),
    /// The pod was admitted unchanged, as without the webhook.
    Unchecked,
    /// The pod was not admitted, for this reason.
    Failed(String),
}

/// The record of a load.
#[derive(Debug)]
pub struct Record {
    /// All attempts, in the order of their ends.
    pub admissions: Vec<Admission>,
    /// The duration from the first attempt to the last.
    pub took: Duration,
}

impl Load {
    /// Starts one burst per `every`. `bursts` lists the sizes of the bursts, which repeat.
    pub fn start(client: Client, bursts: &'static [usize], every: Duration) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(run(client, bursts, every, Arc::clone(&enough)));
        Self { enough, started: Instant::now(), task }
    }

    /// Stops the load and waits for the attempts in flight.
    pub async fn end(self) -> Record {
        self.enough.store(true, Ordering::Relaxed);
        let admissions = self.task.await.unwrap();
        Record { admissions, took: self.started.elapsed() }
    }
}

impl Record {
    /// The number of pods that were admitted with a placement.
    pub fn placed(&self) -> usize {
        self.admissions.iter().filter(|admission| matches!(admission.outcome, Outcome::Placed(_))).count()
    }

    /// Pods admitted with a placement per second.
    pub fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.placed()).unwrap()) / self.took.as_secs_f64()
    }

    /// The number of pods that were admitted without a placement.
    pub fn unchecked(&self) -> usize {
        self.admissions.iter().filter(|admission| matches!(admission.outcome, Outcome::Unchecked)).count()
    }

    /// The attempts that failed, with their reasons.
    pub fn failed(&self) -> impl Iterator<Item = (&Admission, &str)> {
        self.admissions.iter().filter_map(|admission| match &admission.outcome {
            Outcome::Failed(why) => Some((admission, why.as_str())),
            _ => None,
        })
    }

    /// The reasons of failed attempts, without duplicates.
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
    // After a busy moment, the missed bursts follow at once, which keeps the average rate.
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
