//! The other server that a redirect leads to. It answers everything and remembers whether somebody gave it a secret.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// As much of a request as is looked at.
const HEAD_BYTES_MAX: u64 = 16 * 1024;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nhere";

/// A server that runs until it is dropped.
pub(super) struct Elsewhere {
    address: String,
    was_told: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Elsewhere {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let was_told = Arc::new(AtomicBool::new(false));
        let reported = Arc::clone(&was_told);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&reported)));
            }
        });
        Ok(Self { address, was_told, accepting })
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn was_told_a_secret(&self) -> bool {
        self.was_told.load(Relaxed)
    }
}

async fn answer(mut stream: TcpStream, was_told: Arc<AtomicBool>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() as u64 <= HEAD_BYTES_MAX {
        let mut piece = [0; 1024];
        let Ok(length @ 1..) = stream.read(&mut piece).await else { break };
        head.extend_from_slice(piece.get(..length).unwrap_or_default());
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if head.lines().any(|line| line.starts_with("authorization:")) {
        was_told.store(true, Relaxed);
    }
    let _ = stream.write_all(ANSWER).await;
}
