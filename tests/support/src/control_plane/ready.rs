//! When a control plane counts as started.

use std::time::Duration;

use hyper::Request;

use super::{ControlPlane, Error, Result};

/// Readiness has no event to wait for; this is short against the seconds a start takes.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// `/readyz` says that the API server serves. The namespace comes a moment later, from a loop of its own, and a
/// test that creates an object in it must not be the one to find out.
const SIGNS: [&str; 2] = ["/readyz", "/api/v1/namespaces/default"];

impl ControlPlane {
    /// Returns once the API server is ready, or fails once one of the servers is gone.
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

    /// What to say when [`Self::ready`] took too long.
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
