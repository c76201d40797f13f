//! A task that does not outlive whoever waits for it: dropped, it is broken off at its next point of waiting.
//!
//! Called by `backup::ranges`, `backup::prefixes` and `restore::writer`. Work that blocks a thread cannot be broken off: see `write::workers`.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::{JoinError, JoinHandle};

/// A running task and what it comes back with.
pub(crate) struct Task<T>(JoinHandle<T>);

/// Begins a task.
pub(crate) fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
    Task(tokio::spawn(work))
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_task_that_nobody_waits_for_any_more_is_broken_off() {
        let held = Arc::new(());
        let holder = Arc::clone(&held);
        drop(super::spawn(async move {
            let _holder = holder;
            pending::<()>().await;
        }));
        while Arc::strong_count(&held) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
