//! SIGTERM and SIGINT: the first one drains, the second one ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::server::Shutdown;

/// The signals that end the process.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Listens from now on.
    pub(super) fn on_signals() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// What the signals do from now on.
    pub(super) fn shutdown(mut self) -> Shutdown {
        let shutdown = Shutdown::default();
        let follow = shutdown.clone();
        // It lives as long as the process: the runtime's end is its end.
        tokio::spawn(async move {
            self.next().await;
            follow.drain.cancel();
            self.next().await;
            follow.abort.cancel();
        });
        shutdown
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
