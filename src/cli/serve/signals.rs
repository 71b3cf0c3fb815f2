//! SIGTERM and SIGINT: the first one drains, the second one ends at once. SIGUSR1 and SIGUSR2 change the log's level.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::server::Shutdown;
use crate::telemetry::LogLevel;

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

/// From now on SIGUSR1 logs debug events and SIGUSR2 what is configured. A signal, and not the admin port, which
/// anybody may call: nobody but the process's own user can silence the log.
pub(super) fn change_level(level: LogLevel) -> std::io::Result<()> {
    let (mut more, mut less) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = more.recv() => level.debug(),
                Some(()) = less.recv() => level.as_configured(),
                else => return,
            }
        }
    });
    Ok(())
}
