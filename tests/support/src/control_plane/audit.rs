//! The API server's audit log, in which a webhook's audit annotations show up.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ControlPlane, Error, Result, files};

/// The log is a file, so there is no event to wait for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// An event is written when its response is complete, within milliseconds.
const EVENT_DEADLINE: Duration = Duration::from_secs(10);

/// How much of a request the audit log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditLevel {
    /// Who asked for what, the outcome and the annotations.
    Metadata,
    /// The same, and both bodies.
    RequestResponse,
}

/// Writes the policy and returns the flags that turn the log on.
pub(super) fn flags(level: AuditLevel, log: &Path, directory: &Path) -> Result<[String; 2]> {
    let level = match level {
        AuditLevel::Metadata => "Metadata",
        AuditLevel::RequestResponse => "RequestResponse",
    };
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        // One event per request, the complete one.
        "omitStages": ["RequestReceived"],
        "rules": [{ "level": level }],
    });
    let path = directory.join("audit-policy.json");
    files::write(&path, &policy.to_string())?;
    Ok([format!("--audit-policy-file={}", path.display()), format!("--audit-log-path={}", log.display())])
}

impl ControlPlane {
    /// The first event of the audit log for which `wanted` holds; waits for it, because the API server answers
    /// a request before it writes the event.
    ///
    /// # Errors
    /// When there is no audit log, or no such event in it after ten seconds.
    pub async fn audit_event(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let log = self.audit_log().ok_or_else(|| {
            Error::failed("this control plane has no audit log; start it with `Options::audit`")
        })?;
        let find = async {
            loop {
                if let Some(event) = files::read_growing(log)?.lines().filter_map(event).find(&wanted) {
                    return Ok(event);
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(EVENT_DEADLINE, find).await.unwrap_or_else(|_| {
            Err(Error::failed(format_args!(
                "no such event in the audit log, which ends with:\n{}",
                files::tail(log)
            )))
        })
    }
}

/// A line of the log; the last one may be half written.
fn event(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}
