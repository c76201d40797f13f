//! A service that hears: it keeps what it is sent, and misbehaves as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it does with the next message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mood {
    Status(u16),
    Redirect,
    Reset,
    Half,
}

/// A message that it was sent.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The first line and the headers, in small letters.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn word(&self) -> String {
        self.json()["word"].as_str().unwrap().to_owned()
    }
}

#[derive(Clone)]
pub(super) struct Ear {
    pub(super) address: String,
    heard: Arc<Mutex<Vec<Message>>>,
    moods: Arc<Mutex<VecDeque<Mood>>>,
}

impl Ear {
    /// One that lives as long as the test.
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let ear = Self { address, heard: Arc::default(), moods: Arc::default() };
        let hears = ear.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                // Who sends may go in the midst.
                let _ = hears.hear(connection).await;
            }
        });
        ear
    }

    /// What it does with the next messages; it takes those after them.
    pub(super) fn is_to(&self, moods: &[Mood]) {
        self.moods.lock().unwrap().extend(moods);
    }

    /// What it was sent, whatever it did with that.
    pub(super) fn heard(&self) -> Vec<Message> {
        self.heard.lock().unwrap().clone()
    }

    pub(super) fn words(&self) -> Vec<String> {
        self.heard().iter().map(Message::word).collect()
    }

    async fn hear(&self, mut connection: TcpStream) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let (head, length) = loop {
            if connection.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&bytes).to_lowercase();
            let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
            let head = head.replace("\r\n", "\n");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            let whole = head.replace('\n', "\r\n").len() + 4 + length;
            if bytes.len() >= whole {
                break (head, length);
            }
        };
        let body = bytes.split_off(bytes.len() - length);
        self.heard.lock().unwrap().push(Message { head, body });
        let answer = match self.moods.lock().unwrap().pop_front().unwrap_or(Mood::Status(200)) {
            Mood::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n"),
            Mood::Redirect => {
                format!("HTTP/1.1 302 x\r\nlocation: {}/elsewhere\r\ncontent-length: 0\r\n\r\n", self.address)
            }
            Mood::Half => "HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\nhalf".to_owned(),
            Mood::Reset => String::new(),
        };
        connection.write_all(answer.as_bytes()).await
    }
}
