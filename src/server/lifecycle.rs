//! The lifecycle of the server: its stages, and the tasks that follow them.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The two ways in which the caller stops a server.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled on the first signal. The server becomes unready at once, keeps serving for `Limits::drain`, and then
    /// finishes open requests.
    pub drain: CancellationToken,
    /// Cancelled on the second signal. The server closes every connection at once.
    pub abort: CancellationToken,
}

/// A stage of a server. Stages are entered in this order only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The server accepts and serves.
    Serving,
    /// The server still accepts and serves, but reports that it is not ready, and closes each connection after its
    /// next response.
    Draining,
    /// The server accepts no connection. Open connections finish their requests.
    Closing,
    /// The server closes every connection at once.
    Aborted,
}

/// The sender of the stages of one port. Dropping it aborts.
#[derive(Debug)]
pub(super) struct StageSender(watch::Sender<Stage>);

impl StageSender {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Stage::Serving))
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.0.send_replace(stage);
    }

    pub(super) fn has_reached(&self, stage: Stage) -> bool {
        *self.0.borrow() >= stage
    }

    pub(super) fn subscribe(&self) -> StageReceiver {
        StageReceiver(self.0.subscribe())
    }
}

/// The receiver of the stages of one port.
#[derive(Debug, Clone)]
pub(super) struct StageReceiver(watch::Receiver<Stage>);

impl StageReceiver {
    /// Whether `stage` or a later one has been entered.
    pub(super) fn has_reached(&self, stage: Stage) -> bool {
        *self.0.borrow() >= stage
    }

    /// Waits until `stage` or a later one is entered.
    pub(super) async fn reached(&mut self, stage: Stage) {
        // An error means that the sender was dropped, which aborts.
        let _ = self.0.wait_for(|now| *now >= stage).await;
    }
}
