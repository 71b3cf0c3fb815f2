//! Waiting for what a running server says about itself.

use std::time::Duration;

use axum::http::StatusCode;

use super::https::get;

const DEADLINE: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(20);

/// Waits until `/readyz` says so.
pub async fn until_ready(admin: &str) {
    until(admin, "/readyz", |status, _| status == StatusCode::OK).await;
}

/// Waits until this many topologies are enforced, with all that they depend on.
pub async fn until_enforced(admin: &str, topologies: usize) {
    let enforced = format!("lockstep_topologies_enforced {topologies}\n");
    until(admin, "/metrics", |_, text| text.contains(&enforced)).await;
}

/// Waits until a page of the admin port is as wanted.
pub async fn until(admin: &str, path: &str, wanted: impl Fn(StatusCode, &str) -> bool) -> String {
    let last = std::sync::Mutex::new(String::new());
    let found = async {
        loop {
            let (status, text) = get(admin, path).await;
            if wanted(status, &text) {
                return text;
            }
            *last.lock().unwrap() = format!("{status} {text}");
            tokio::time::sleep(BETWEEN).await;
        }
    };
    match tokio::time::timeout(DEADLINE, found).await {
        Ok(text) => text,
        Err(_) => panic!("`{path}` never came to what was expected; last it was {}", last.lock().unwrap()),
    }
}
