//! Where machines of AWS get their credentials, on a loopback port: the metadata of an instance (only with a session token of version 2), the
//! credentials of a container, and the token service.

use anyhow::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// What a container must present.
pub const CONTAINER_TOKEN: &str = "container-token";
/// What a web identity must present.
pub const IDENTITY_TOKEN: &str = "identity-token";
/// What an instance is told to present.
const SESSION: &str = "session-of-version-2";

/// The keys to hand out.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
}

/// A server that hands out keys; it ends with the test's process.
#[derive(Debug)]
pub struct Metadata {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Metadata {
    /// Starts the server.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(keys: Keys) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up is none that a test waits for.
                let _ = answer(stream, &keys, &log);
            }
        });
        Ok(Self { endpoint, asked })
    }

    /// The request lines so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request per connection.
fn answer(mut stream: TcpStream, keys: &Keys, log: &Mutex<Vec<String>>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    let (status, text) = respond(&line, &head, &String::from_utf8_lossy(&body), keys);
    log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nx-aws-ec2-metadata-token-ttl-seconds: 600\r\nconnection: close\r\n\r\n{text}"
    )?;
    Ok(())
}

fn respond(line: &str, head: &str, body: &str, keys: &Keys) -> (u16, String) {
    let presents = |header: &str, value: &str| head.lines().any(|line| line == format!("{header}: {value}"));
    let path = line.split(' ').nth(1).unwrap_or_default();
    match path {
        "/latest/api/token" if line.starts_with("put") => (200, SESSION.to_owned()),
        path if path.starts_with("/latest/") && !presents("x-aws-ec2-metadata-token", SESSION) => (401, String::new()),
        path if path.starts_with("/latest/") && path.ends_with('/') => (200, "role".to_owned()),
        path if path.starts_with("/latest/") => (200, json(keys)),
        "/container" if presents("authorization", CONTAINER_TOKEN) => (200, json(keys)),
        "/" if body.contains("Action=AssumeRoleWithWebIdentity") && body.contains(IDENTITY_TOKEN) => (200, xml(keys)),
        _ => (403, String::new()),
    }
}

fn json(Keys { access_key, secret_key }: &Keys) -> String {
    format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"{access_key}","SecretAccessKey":"{secret_key}","Token":"t","Expiration":"2099-01-01T00:00:00Z"}}"#
    )
}

fn xml(Keys { access_key, secret_key }: &Keys) -> String {
    let credentials = format!(
        "<AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret_key}</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
    );
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials>{credentials}</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
}
