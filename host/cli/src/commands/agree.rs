//! A question that a person answers with yes or no, and nobody else.

use std::io::{self, BufRead, IsTerminal, Read, Write};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64;

/// Whether a person is there to answer.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether the answer is yes. On a thread of its own, so that an interrupt ends the program while it waits.
pub(super) async fn agreed(question: &'static str) -> io::Result<bool> {
    let asked = tokio::task::spawn_blocking(move || {
        io::stderr().write_all(format!("{question} [y/N] ").as_bytes())?;
        let mut answer = String::new();
        io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    });
    asked.await.map_err(io::Error::other)?
}
