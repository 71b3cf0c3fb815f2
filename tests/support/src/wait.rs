//! Polling, with a time limit, for conditions that cannot be awaited.

use std::time::Duration;

use hyper::StatusCode;

use super::https::get;

const DEADLINE: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(20);

/// Waits until `/readyz` reports success.
pub async fn until_ready(admin: &str) {
    until(admin, "/readyz", |status, _| status == StatusCode::OK).await;
}

/// Waits until this many topologies are enforced, with all objects that they depend on.
pub async fn until_enforced(admin: &str, topologies: usize) {
    let enforced = format!("lockstep_topologies_enforced {topologies}\n");
    until(admin, "/metrics", |_, text| text.contains(&enforced)).await;
}

/// Waits until `wanted` accepts a page of the admin port.
pub async fn until(admin: &str, path: &str, wanted: impl Fn(StatusCode, &str) -> bool) -> String {
    let mut last = String::new();
    let found = until_some(async || {
        let (status, text) = get(admin, path).await;
        if wanted(status, &text) {
            return Some(text);
        }
        last = format!("{status} {text}");
        None
    });
    match found.await {
        Some(text) => text,
        None => panic!("`{path}` did not reach the expected state; the last response was {last}"),
    }
}

/// Waits until `is_so` returns true. Returns false after the time limit.
pub async fn until_so(mut is_so: impl AsyncFnMut() -> bool) -> bool {
    until_some(async || is_so().await.then_some(())).await.is_some()
}

/// Waits until `find` returns a value. Returns `None` after the time limit.
pub async fn until_some<T>(mut find: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let found = async {
        loop {
            if let Some(found) = find().await {
                return found;
            }
            tokio::time::sleep(BETWEEN).await;
        }
    };
    tokio::time::timeout(DEADLINE, found).await.ok()
}
