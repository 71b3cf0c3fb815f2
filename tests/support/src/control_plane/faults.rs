//! What happens to control planes: an API server that goes and comes back, an etcd that stands still.

use std::time::Duration;

use super::{ControlPlane, Error, Result, START_DEADLINE};

/// An end has no event to wait for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long an API server may take over its end when asked politely. One that is watched takes its time.
const END_DEADLINE: Duration = Duration::from_secs(5);

impl ControlPlane {
    /// Ends the API server as a host does that shuts down: SIGTERM, and SIGKILL to one that takes too long.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop_api_server(&self) -> Result<()> {
        self.api_server.signal("TERM")?;
        if tokio::time::timeout(END_DEADLINE, self.api_server_ended()).await.is_ok() {
            return Ok(());
        }
        self.kill_api_server().await
    }

    /// Ends the API server in the middle of whatever it does.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill_api_server(&self) -> Result<()> {
        self.api_server.signal("KILL")?;
        let ended = tokio::time::timeout(START_DEADLINE, self.api_server_ended()).await;
        ended.map_err(|_| Error::failed("kube-apiserver does not end"))
    }

    /// Starts the API server again, with the same port, etcd and credentials, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_api_server(&mut self) -> Result<()> {
        self.api_server.start_again()?;
        let ready = tokio::time::timeout(START_DEADLINE, self.ready()).await;
        ready.unwrap_or_else(|_| Err(self.not_ready_after(START_DEADLINE)))
    }

    /// Has etcd stand still, as it does on a disk that does. It ends with the test all the same.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause_etcd(&self) -> Result<()> {
        self.etcd.signal("STOP")
    }

    /// Has etcd go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resume_etcd(&self) -> Result<()> {
        self.etcd.signal("CONT")
    }

    async fn api_server_ended(&self) {
        while !self.api_server.has_exited() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}
