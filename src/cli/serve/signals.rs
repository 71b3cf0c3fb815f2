//! Signals: the first SIGTERM or SIGINT drains, the second one exits at once. SIGUSR1 and SIGUSR2 change the log's
//! level.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::server::Shutdown;
use crate::telemetry::LogLevel;

/// The signals that end the process.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Starts to listen for the signals.
    pub(super) fn on_signals() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Connects the signals with a shutdown.
    pub(super) fn shutdown(mut self) -> Shutdown {
        let shutdown = Shutdown::default();
        let follow = shutdown.clone();
        // The task lives as long as the runtime, which is as long as the process.
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

/// Lets SIGUSR1 add debug events to the log, and SIGUSR2 restore the configured level. This is not an endpoint of the
/// admin port, because anybody may call that port, and only the process's own user may silence the log.
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
