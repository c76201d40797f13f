//! A server that answers by script and remembers every byte of what was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An answer by script.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
    /// What `content-length` says, when it is not the truth.
    pub(crate) claimed_length: Option<usize>,
}

impl Answer {
    pub(crate) fn ok(body: &[u8]) -> Self {
        Self { status: 200, headers: String::new(), body: body.to_vec(), claimed_length: None }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::ok(b"") }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /photos/x HTTP/1.1` and the headers, raw.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or("")
    }
}

type Script = dyn Fn(&Asked, usize) -> Answer + Send + Sync;

/// A plain HTTP/1.1 server on the loopback interface.
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers by a script that sees the request and how many came before it.
    pub(crate) async fn start(script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Asked>>>) {
    let mut buffer = Vec::new();
    while let Some(asked) = receive(&mut stream, &mut buffer).await {
        let head_only = asked.head.starts_with("HEAD");
        let answer = {
            let mut log = log.lock().unwrap();
            let answer = script(&asked, log.len());
            log.push(asked);
            answer
        };
        let length = answer.claimed_length.unwrap_or(answer.body.len());
        let head = format!("HTTP/1.1 {} X\r\ncontent-length: {length}\r\n{}\r\n", answer.status, answer.headers);
        let body = if head_only { &[][..] } else { &answer.body };
        if stream.write_all(&[head.as_bytes(), body].concat()).await.is_err() || answer.claimed_length.is_some() {
            return;
        }
    }
}

async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Asked> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.drain(..end + 4).collect()).unwrap();
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.unwrap_or(0);
    while buffer.len() < length {
        stream.read_buf(buffer).await.ok()?;
    }
    Some(Asked { head, body: buffer.drain(..length).collect() })
}
