//! Servers that take the place of a service, in this process, on the loopback interface.
//!
//! Owned here: listening, the protocols and what the servers hold, which is one model of files beneath all of them. Refused here: the
//! connectors' side, and misbehaving, which is asked of the [`Peer`] for each request. What a server holds is gone with it.

mod azure;
mod content;
mod files;
mod gcs;
mod listing;
mod plain;
mod s3;
mod webdav;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use credenza_connect::{Payload, checksum_of};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::exchange::{Answer, Asked};
use crate::peer::{Delivery, Paging, Peer, Sent};
use files::Files;

/// The server that a connector is tested against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandInKind {
    /// Files and folders by WebDAV (RFC 4918), with partial puts.
    Webdav,
    /// Objects by S3, in one bucket, `kit`, in path style.
    S3,
    /// Blobs by Azure's protocol, in one container, `kit`.
    AzureBlob,
    /// Objects by Google's JSON API, in one bucket, `kit`.
    Gcs,
    /// Files to be read by HTTP, with an index of each folder.
    Http,
}

impl StandInKind {
    /// Where in the model a path of the connector lies.
    fn root(self) -> &'static [u8] {
        match self {
            Self::S3 | Self::AzureBlob | Self::Gcs => b"kit/",
            Self::Webdav | Self::Http => b"",
        }
    }

    const fn has_folders(self) -> bool {
        matches!(self, Self::Webdav | Self::Http)
    }

    fn answer(self, files: &mut Files, asked: &Asked, paging: Paging) -> Answer {
        match self {
            Self::Webdav => webdav::answer(files, asked),
            Self::S3 => s3::answer(files, asked, paging),
            Self::AzureBlob => azure::answer(files, asked, paging),
            Self::Gcs => gcs::answer(files, asked, paging),
            Self::Http => plain::answer(files, asked),
        }
    }

    /// The document of an error that is no fault of the request.
    fn trouble(self) -> Answer {
        const STATUS: StatusCode = StatusCode::OK;
        match self {
            Self::S3 => s3::error(STATUS, "InternalError", "please try again"),
            Self::AzureBlob => azure::error(STATUS, "InternalError", "please try again"),
            Self::Gcs => gcs::error(STATUS, "backendError", "please try again"),
            Self::Webdav => Answer::document(STATUS, "application/xml", "<D:error xmlns:D=\"DAV:\"/>"),
            Self::Http => Answer::document(STATUS, "application/json", "{\"error\":\"please try again\"}"),
        }
    }
}

/// A server that runs until it is dropped.
pub(crate) struct StandIn {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    kind: StandInKind,
    files: Mutex<Files>,
    peer: Peer,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl StandIn {
    /// Listens on a port that is free.
    pub(crate) async fn start(kind: StandInKind) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared { kind, files: Mutex::default(), peer: Peer::default() });
        let served = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Ok(Self { address, shared, accepting })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// How it behaves.
    pub(crate) fn peer(&self) -> &Peer {
        &self.shared.peer
    }

    /// A folder at the root.
    pub(crate) fn make_folder(&self, name: &str) {
        if self.shared.kind.has_folders() {
            self.files().make_folder(format!("{name}/").as_bytes());
        }
    }

    /// A file, with the folders that it lies in where the protocol knows folders.
    pub(crate) fn put(&self, path: &[u8], bytes: Bytes) {
        let mut files = self.files();
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/' && self.shared.kind.has_folders());
        for folder in ends.filter_map(|(end, _)| path.get(..=end)) {
            files.make_folder(folder);
        }
        files.put(&[self.shared.kind.root(), path].concat(), bytes);
    }

    /// Whether its protocol knows folders.
    pub(crate) fn has_folders(&self) -> bool {
        self.shared.kind.has_folders()
    }

    /// The names of all files below a folder at the root.
    pub(crate) fn names_below(&self, folder: &str) -> Vec<Vec<u8>> {
        self.files().names_below(&[self.shared.kind.root(), folder.as_bytes(), b"/"].concat())
    }

    /// The bytes of a file.
    pub(crate) fn get(&self, path: &[u8]) -> Option<Bytes> {
        self.files().file(&[self.shared.kind.root(), path].concat()).map(|file| file.bytes.clone())
    }

    /// All contents that a path had, oldest first.
    pub(crate) fn versions(&self, path: &[u8]) -> Vec<Bytes> {
        let path = [self.shared.kind.root(), path].concat();
        let files = self.files();
        let of_path = files.versions(&path).filter(|(of, _)| *of == path.as_slice());
        let mut all: Vec<Bytes> =
            of_path.filter_map(|(_, version)| Some(version.file.as_ref()?.bytes.clone())).collect();
        all.reverse();
        all
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        lock(&self.shared.files)
    }
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without this, small answers wait for the acknowledgement of the header.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| exchange(request, Arc::clone(&shared)));
    // A connection that breaks off is the client's, or what the peer wants.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// # Errors
/// To end the connection without an answer.
async fn exchange(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Sent>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let mut asked = Asked::new(head.method, &head.uri, head.headers, body);
    let mut turn = shared.peer.turn();
    let delivery = match turn.instead(&mut asked, || shared.kind.trouble()) {
        Some(delivery) => delivery,
        None => {
            let mut files = lock(&shared.files);
            let answer = shared.kind.answer(&mut files, &asked, turn.paging());
            turn.deliver(&asked, answer.with("date", &files.now()))
        }
    };
    shared.peer.note(&turn);
    match delivery {
        Delivery::Nothing => Err(io::ErrorKind::ConnectionReset.into()),
        Delivery::Answer(answer) => Ok(answer.into_response()),
    }
}

/// The MD5 of some bytes.
fn md5(bytes: &Bytes) -> Vec<u8> {
    checksum_of("md5", &Payload::from(bytes.clone())).unwrap_or_default()
}
