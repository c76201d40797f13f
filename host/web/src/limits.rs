//! What one process serves at once. A refusal names the limit that it met.

use std::time::Duration;

/// Limits of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open.
    pub connections: usize,
    /// How long a browser may take to send the head of a request, and before that to agree on TLS.
    pub head: Duration,
    /// Browsers that have entered.
    pub sessions: usize,
    /// Downloads, archives and searches that are under way.
    pub readers: usize,
    /// Rows of a table; what is behind them is on further pages.
    pub rows: usize,
    /// Bytes of a file that its page shows.
    pub preview_bytes: u64,
    /// How long a search goes on.
    pub search: Duration,
    /// How long the overview waits for one repository.
    pub overview: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(15),
            sessions: 64,
            readers: 8,
            rows: 200,
            preview_bytes: 64 * 1024,
            search: Duration::from_secs(20),
            overview: Duration::from_secs(3),
        }
    }
}
