//! The served pair and who may call, joined and kept fresh.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::file::{Callers, CallersError};
use crate::certs::files::REST;
use crate::certs::metrics::Metrics;
use crate::certs::pair::{PairError, admitting};
use crate::error::chain;

/// Lets only certain callers in.
pub struct Gate {
    callers: Callers,
    interval: Duration,
    metrics: Metrics,
    file: Vec<u8>,
    verifier: Arc<dyn ClientCertVerifier>,
    pair: watch::Receiver<Arc<ServerConfig>>,
    gated: watch::Sender<Arc<ServerConfig>>,
    complaint: Option<String>,
}

/// Why a change was not taken over.
#[derive(Debug, Error)]
pub enum GateError {
    /// It is not known who may call.
    #[error(transparent)]
    Callers(#[from] CallersError),
    /// The pair and the callers do not go together.
    #[error("callers cannot be asked for certificates")]
    Pair(#[from] PairError),
}

/// Leaves out what is served: it holds the key.
impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("callers", &self.callers).finish_non_exhaustive()
    }
}

impl Gate {
    /// Reads who may call, and joins it to `pair`. [`Gate::run`] looks at the file again every `period`, which
    /// must not be zero.
    ///
    /// # Errors
    /// A file that does not say who may call: nobody may then, and everybody must not.
    pub async fn start(
        callers: Callers,
        period: Duration,
        mut pair: watch::Receiver<Arc<ServerConfig>>,
        metrics: Metrics,
    ) -> Result<(Self, watch::Receiver<Arc<ServerConfig>>), GateError> {
        let file = callers.read().await?;
        let verifier = callers.parse(&file)?;
        let first = admitting(&pair.borrow_and_update(), Arc::clone(&verifier))?;
        let (gated, follow) = watch::channel(first);
        let (interval, complaint) = (period, None);
        Ok((Self { callers, interval, metrics, file, verifier, pair, gated, complaint }, follow))
    }

    /// Takes over new pairs and new callers, until nobody makes or nobody follows them any more.
    pub async fn run(mut self) {
        let mut looks = interval(self.interval);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let outcome = tokio::select! {
                () = self.gated.closed() => return,
                changed = self.pair.changed() => match changed {
                    Ok(()) => self.join(),
                    Err(_) => return,
                },
                _ = looks.tick() => self.look().await,
            };
            match outcome {
                Ok(()) => self.complaint = None,
                Err(error) => self.complain(&error),
            }
        }
    }

    fn join(&mut self) -> Result<(), GateError> {
        let joined = admitting(&self.pair.borrow_and_update(), Arc::clone(&self.verifier))?;
        self.gated.send_replace(joined);
        Ok(())
    }

    async fn look(&mut self) -> Result<(), GateError> {
        let mut found = self.callers.read().await?;
        if found == self.file {
            return Ok(());
        }
        // A file may be caught half-written, and half a bundle looks like a whole one.
        loop {
            sleep(REST).await;
            let again = self.callers.read().await?;
            if again == found {
                break;
            }
            found = again;
        }
        self.verifier = self.callers.parse(&found)?;
        self.join()?;
        self.file = found;
        self.metrics.count_reloaded();
        info!(client_ca = %self.callers.ca.display(), "client CA reloaded");
        Ok(())
    }

    /// Counts every failure, and logs those that are news.
    fn complain(&mut self, error: &GateError) {
        self.metrics.reload_failed();
        let complaint = chain(error);
        if self.complaint.as_ref() != Some(&complaint) {
            warn!(error = complaint, "client CA not reloaded; the last good one still decides who may call");
        }
        self.complaint = Some(complaint);
    }
}
