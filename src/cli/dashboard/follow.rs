//! Follows the cluster, and says when it cannot.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::super::explain::Question;
use super::view::{Outage, Shown, View};
use crate::cluster::state::{Followed, Follower};

/// The interval of requests that find out whether the API server still answers: a watch without events does not say.
const BEAT: Duration = Duration::from_secs(5);
/// The time that such a request may take.
const BEAT_TIMEOUT: Duration = Duration::from_secs(5);
/// The first and the longest pause before the cluster is read again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Publishes a view for every change of the state, and for every time that the cluster cannot be read. It never ends.
pub(super) async fn follow(client: &Client, question: &Question<'_>, views: &watch::Sender<View>) {
    let mut following = Following { shown: None, answered: None, outage: None, views };
    let mut pause = PAUSE.0;
    loop {
        let before = following.answered;
        let cause = following.until_it_breaks(client, question).await;
        if following.answered > before {
            pause = PAUSE.0;
        }
        following.breaks(cause);
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE.1);
    }
}

struct Following<'f> {
    shown: Option<Shown>,
    /// The last time that the API server answered while nothing was broken.
    answered: Option<Timestamp>,
    outage: Option<Outage>,
    views: &'f watch::Sender<View>,
}

impl Following<'_> {
    /// Follows the cluster with new watches until one of them breaks or the API server does not answer. Returns the cause.
    ///
    /// Only a complete list of everything ends an outage.
    async fn until_it_breaks(&mut self, client: &Client, question: &Question<'_>) -> String {
        let start = Follower::start(client.clone(), question.target, &[]);
        let mut follower = match timeout(BEAT_TIMEOUT, start).await {
            Ok(Ok(follower)) => follower,
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return no_answer(),
        };
        let (beat, mut beats) = watch::channel(());
        let mut heart = std::pin::pin!(beating(client, beat));
        loop {
            tokio::select! {
                report = follower.next() => match report {
                    Ok(Followed::State(state)) => {
                        // Large states take a while, in which requests are answered by another thread.
                        let shown = tokio::task::block_in_place(|| Shown::of(question, *state));
                        self.shown = Some(shown);
                        self.outage = None;
                        self.answered = Some(Timestamp::now());
                        self.publish();
                    }
                    Ok(Followed::Broken(cause)) => return cause,
                    Err(error) => return error.to_string(),
                },
                cause = &mut heart => return cause,
                Ok(()) = beats.changed() => if self.outage.is_none() { self.answered = Some(Timestamp::now()) },
            }
        }
    }

    fn breaks(&mut self, cause: String) {
        let since = self.outage.as_ref().map_or(self.answered, |outage| outage.since);
        self.outage = Some(Outage { since, cause });
        self.publish();
    }

    fn publish(&self) {
        let view = tokio::task::block_in_place(|| View::new(self.shown.as_ref(), self.outage.as_ref()));
        self.views.send_replace(view);
    }
}

/// Asks the API server for its version again and again. Ends with the reason why there is no answer.
async fn beating(client: &Client, beat: watch::Sender<()>) -> String {
    loop {
        match timeout(BEAT_TIMEOUT, client.apiserver_version()).await {
            Err(_) => return no_answer(),
            // A refusal is an answer.
            Ok(Err(kube::Error::Api(status))) if status.code < 500 => {}
            Ok(Err(error)) => return format!("the API server does not answer: {error}"),
            Ok(Ok(_)) => {}
        }
        beat.send_replace(());
        sleep(BEAT).await;
    }
}

fn no_answer() -> String {
    format!("the API server does not answer in {} s", BEAT_TIMEOUT.as_secs())
}
