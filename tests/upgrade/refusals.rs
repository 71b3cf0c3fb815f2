//! Advertisements that must be denied, one after the other, in dry runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::Client;
use lockstep_test_support::{api, objects};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

const EVERY: Duration = Duration::from_millis(100);

/// A running load.
pub struct Refusals {
    enough: Arc<AtomicBool>,
    task: JoinHandle<(usize, Vec<String>)>,
}

impl Refusals {
    /// Starts it.
    pub fn start(client: Client) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        Self { enough: Arc::clone(&enough), task: tokio::spawn(run(client, enough)) }
    }

    /// Stops it. Returns how many were denied by Lockstep, and the other answers.
    pub async fn end(self) -> (usize, Vec<String>) {
        self.enough.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn run(client: Client, enough: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut denied, mut others) = (0, Vec::new());
    while !enough.load(Ordering::Relaxed) {
        ticks.tick().await;
        match api::try_post(&client, &objects::wide_advertisement("everywhere"), true).await {
            Ok(answer) if answer.status == 403 && answer.body["message"].to_string().contains("WIDER") => {
                denied += 1;
            }
            Ok(answer) => others.push(format!("{} {}", answer.status, answer.body["message"])),
            Err(error) => others.push(error.to_string()),
        }
    }
    (denied, others)
}
