//! Turns limit how many control planes of one test program run at the same time.

use std::sync::LazyLock;

use tokio::sync::{Semaphore, SemaphorePermit};

/// One turn per processor, like the threads of the test harness. A control plane takes half a gigabyte.
static SHARES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(shares() as usize));

fn shares() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(processors.clamp(1, 8)).unwrap_or(1)
}

/// A turn, held until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: SemaphorePermit<'static>,
}

impl Turn {
    /// Waits for a turn that allows other turns at the same time.
    ///
    /// # Panics
    /// Never: the semaphore is never closed.
    pub async fn shared() -> Self {
        Self::of(1).await
    }

    /// Waits for a turn during which no other is taken: for tests that measure time under load.
    pub(super) async fn alone() -> Self {
        Self::of(shares()).await
    }

    async fn of(shares: u32) -> Self {
        Self { _permit: SHARES.acquire_many(shares).await.expect("the semaphore is never closed") }
    }
}
