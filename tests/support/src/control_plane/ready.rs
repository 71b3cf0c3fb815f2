//! Readiness of a control plane.

use std::time::Duration;

use hyper::Request;

use super::{ControlPlane, Error, Result};

/// Readiness has no event to await; this is short compared with the seconds that a start takes.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The paths that must succeed. `/readyz` reports that the API server serves. A separate loop creates the namespace
/// shortly after, and the first object of a test must not fail because of that.
const SIGNS: [&str; 2] = ["/readyz", "/api/v1/namespaces/default"];

impl ControlPlane {
    /// Returns when the API server is ready, and fails if one of the servers has exited.
    pub(super) async fn ready(&self) -> Result<()> {
        let client = self.client().await?;
        for sign in SIGNS {
            while !answers(&client, sign).await {
                self.etcd.check()?;
                self.api_server.check()?;
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// The error for a [`Self::ready`] that took too long.
    pub(super) fn not_ready_after(&self, deadline: Duration) -> Error {
        Error::failed(format_args!(
            "the control plane was not ready after {} s; free the machine's processors, or read why: {}\n{}",
            deadline.as_secs(),
            self.etcd.log_excerpt(),
            self.api_server.log_excerpt(),
        ))
    }
}

async fn answers(client: &kube::Client, path: &str) -> bool {
    let Ok(request) = Request::get(path).body(Vec::new()) else {
        return false;
    };
    client.request_text(request).await.is_ok()
}
