//! Waiting for what cannot be awaited: it is asked for again and again, but not for ever.

use std::time::Duration;

use hyper::StatusCode;

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
        None => panic!("`{path}` never came to what was expected; last it was {last}"),
    }
}

/// Waits until it is so; whether it is.
pub async fn until_so(mut is_so: impl AsyncFnMut() -> bool) -> bool {
    until_some(async || is_so().await.then_some(())).await.is_some()
}

/// Waits until there is something; `None` if it never comes.
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
