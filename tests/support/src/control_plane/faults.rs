//! Faults of control planes: an API server that restarts, an etcd that is paused.

use std::time::Duration;

use super::{ControlPlane, Error, Result, START_DEADLINE};

/// The end of a process has no event to await.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The time that an API server gets after SIGTERM. With open watches it needs some of it.
const END_DEADLINE: Duration = Duration::from_secs(5);

impl ControlPlane {
    /// Stops the API server as a shutdown of its host does: SIGTERM, then SIGKILL if it takes too long.
    ///
    /// # Errors
    /// If it does not exit.
    pub async fn stop_api_server(&self) -> Result<()> {
        self.api_server.signal("TERM")?;
        if tokio::time::timeout(END_DEADLINE, self.api_server_ended()).await.is_ok() {
            return Ok(());
        }
        self.kill_api_server().await
    }

    /// Kills the API server.
    ///
    /// # Errors
    /// If it does not exit.
    pub async fn kill_api_server(&self) -> Result<()> {
        self.api_server.signal("KILL")?;
        let ended = tokio::time::timeout(START_DEADLINE, self.api_server_ended()).await;
        ended.map_err(|_| Error::failed("kube-apiserver does not end"))
    }

    /// Starts the API server again, with the same port, etcd and credentials, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start_api_server(&mut self) -> Result<()> {
        self.api_server.start_again()?;
        let ready = tokio::time::timeout(START_DEADLINE, self.ready()).await;
        ready.unwrap_or_else(|_| Err(self.not_ready_after(START_DEADLINE)))
    }

    /// Pauses etcd, as a stalled disk does. It is still stopped with the test.
    ///
    /// # Errors
    /// If etcd has exited.
    pub fn pause_etcd(&self) -> Result<()> {
        self.etcd.signal("STOP")
    }

    /// Resumes etcd.
    ///
    /// # Errors
    /// If etcd has exited.
    pub fn resume_etcd(&self) -> Result<()> {
        self.etcd.signal("CONT")
    }

    async fn api_server_ended(&self) {
        while !self.api_server.has_exited() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}
