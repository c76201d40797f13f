//! SIGINT and SIGTERM, which end the program with 130.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the user or the system asks the program to end; never when it cannot be told.
pub(crate) async fn requested() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
