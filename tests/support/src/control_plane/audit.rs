//! The API server's audit log, which records a webhook's audit annotations.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ControlPlane, Error, Result, files};

/// The log is a file, so there is no event to wait for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The API server writes an event when its response is complete, within milliseconds.
const EVENT_DEADLINE: Duration = Duration::from_secs(10);

/// The parts of a request in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditLevel {
    /// User, verb, object, outcome and annotations.
    Metadata,
    /// The same, and both bodies.
    RequestResponse,
}

/// Writes the policy and returns the flags that enable the log.
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
    /// Returns the first event of the audit log that `wanted` accepts. It waits for the event, because the API server
    /// answers a request before it writes the event.
    ///
    /// # Errors
    /// If there is no audit log, or no such event in it after ten seconds.
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

/// Parses a line of the log. The last line may be incomplete.
fn event(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}
