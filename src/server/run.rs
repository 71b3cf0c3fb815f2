//! A server's life: serving, draining, closing, gone.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::accept::{Accepted, Acceptor};
use super::admin::{self, AdminService};
use super::config::{Bound, Config};
use super::limits::Limits;
use super::reviews;
use super::stage::{Lead, Stage};
use super::webhook::WebhookService;

/// The caller's ways to end a server.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled by the first signal: readiness turns false at once, calls are still served for a while,
    /// and then what is open finishes.
    pub drain: CancellationToken,
    /// Cancelled by the second signal: everything is dropped at once.
    pub abort: CancellationToken,
}

/// Why a server ended that nobody asked to end.
#[derive(Debug, Error)]
pub enum RunError {
    /// Connections were no longer accepted.
    #[error("the {listener} listener ended without being asked to")]
    ListenerEnded {
        /// Which one.
        listener: Listener,
    },
    /// A listener hit a defect.
    #[error("a listener ended on a defect")]
    ListenerFailed(#[source] JoinError),
}

/// A port that is listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The one for calls.
    Webhook,
    /// The one for probes and metrics.
    Admin,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Webhook => "webhook",
            Self::Admin => "admin",
        })
    }
}

impl Bound {
    /// Serves until `shutdown` asks for the end, and returns when every task has ended.
    ///
    /// If the returned future is dropped, its tasks end by themselves.
    ///
    /// # Errors
    /// A listener that ended by itself.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        info!(webhook = %self.local_addr(), admin = %self.admin_addr(), "serving");
        let limits = self.config.limits.clone();
        let mut running = Running::start(self);
        let Running { webhook, admin, listeners } = &mut running;
        let outcome = tokio::select! {
            biased;
            () = shutdown.abort.cancelled() => {
                warn!(connections = webhook.tasks.len(), "aborted; open connections are dropped");
                Ok(())
            }
            error = death(listeners, webhook) => Err(error),
            () = webhook.retire(&shutdown.drain, &limits) => Ok(()),
        };
        webhook.lead.enter(Stage::Cut);
        admin.lead.enter(Stage::Cut);
        // The listeners first: it is they who start the tasks.
        listeners.shutdown().await;
        webhook.gone().await;
        admin.gone().await;
        outcome
    }
}

/// A server at work.
struct Running {
    webhook: Side,
    admin: Side,
    listeners: JoinSet<Listener>,
}

/// One of the two ports: its stage, and its connections.
struct Side {
    lead: Lead,
    tasks: TaskTracker,
}

impl Running {
    fn start(bound: Bound) -> Self {
        let Config { listen: _, tls, handler, admin: port, limits, metrics } = bound.config;
        let (webhook, admin) = (Side::new(), Side::new());
        let mut listeners = JoinSet::new();

        let service = Arc::new(AdminService::new(port, webhook.lead.follow(), admin.lead.follow()));
        let acceptor = Acceptor::new(bound.admin, admin::CONNECTIONS);
        let serve = move |accepted| Arc::clone(&service).serve(accepted);
        listeners.spawn(admin.listen(Listener::Admin, acceptor, serve));

        let router = reviews::router(handler, &limits, &metrics);
        let acceptor = Acceptor::new(bound.webhook, limits.connections);
        let (stage, tasks) = (webhook.lead.follow(), webhook.tasks.clone());
        let service = Arc::new(WebhookService::new(tls, router, limits, metrics, stage, tasks));
        let serve = move |accepted| Arc::clone(&service).serve(accepted);
        listeners.spawn(webhook.listen(Listener::Webhook, acceptor, serve));

        Self { webhook, admin, listeners }
    }
}

impl Side {
    fn new() -> Self {
        Self { lead: Lead::new(), tasks: TaskTracker::new() }
    }

    /// Accepts connections until this side closes.
    fn listen<F>(
        &self,
        listener: Listener,
        acceptor: Acceptor,
        serve: impl Fn(Accepted) -> F + Send + 'static,
    ) -> impl Future<Output = Listener> + Send + 'static
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let admit = acceptor.admit(self.lead.follow(), self.tasks.clone(), serve);
        async move {
            admit.await;
            listener
        }
    }

    /// Waits for the wish to end, and ends in order.
    async fn retire(&self, wish: &CancellationToken, limits: &Limits) {
        wish.cancelled().await;
        self.lead.enter(Stage::Draining);
        info!(drain = ?limits.drain, "draining; calls are still served");
        sleep(limits.drain).await;
        self.lead.enter(Stage::Closing);
        self.tasks.close();
        if timeout(limits.grace, self.tasks.wait()).await.is_err() {
            warn!(connections = self.tasks.len(), "grace is over; open connections are dropped");
        }
    }

    /// Waits for the last connection to end.
    async fn gone(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Waits for a listener to end that should not. Admin's never should; the webhook's does when it closes.
async fn death(listeners: &mut JoinSet<Listener>, webhook: &Side) -> RunError {
    loop {
        match listeners.join_next().await {
            Some(Ok(Listener::Webhook)) if webhook.lead.has_reached(Stage::Closing) => {}
            Some(Ok(listener)) => return RunError::ListenerEnded { listener },
            Some(Err(defect)) => return RunError::ListenerFailed(defect),
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;

    #[tokio::test]
    async fn a_listener_that_ends_by_itself_is_an_error() {
        for listener in [Listener::Webhook, Listener::Admin] {
            let mut listeners = JoinSet::new();
            listeners.spawn(ready(listener));
            let error = death(&mut listeners, &Side::new()).await;
            assert_eq!(error.to_string(), format!("the {listener} listener ended without being asked to"));
        }
    }

    #[tokio::test]
    async fn a_listener_that_panics_is_an_error() {
        let mut listeners = JoinSet::new();
        listeners.spawn(async { panic!("on purpose") });
        let error = death(&mut listeners, &Side::new()).await;
        assert!(matches!(error, RunError::ListenerFailed(_)));
    }

    #[tokio::test]
    async fn a_listener_that_closes_as_told_is_none() {
        let webhook = Side::new();
        webhook.lead.enter(Stage::Closing);
        let mut listeners = JoinSet::new();
        listeners.spawn(ready(Listener::Webhook));
        listeners.spawn(ready(Listener::Admin));
        let error = death(&mut listeners, &webhook).await;
        assert!(matches!(error, RunError::ListenerEnded { listener: Listener::Admin }));
    }
}
