//! A folder of a snapshot, or all that is picked, as one tar or zip, written as it is read. What cannot be read whole ends broken, and no program takes it for whole.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use credenza_engine::archive::{self, ArchiveFormat, Chosen};
use credenza_engine::view::{FolderPage, View};
use credenza_engine::{Parts, RunContext};
use credenza_model::Key;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Asked;
use super::download::{attachment, piece, too_many};
use super::places::{Place, folder_of, short};
use super::problem::Problem;
use crate::reply::{Broken, Reply};
use crate::shown;
use crate::site::Site;

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for the browser.
const PIECES: usize = 4;

/// What an archive is made of.
pub(super) struct Wanted {
    pub(super) view: View,
    pub(super) chosen: Vec<Chosen>,
    /// The name of the file, before its end.
    pub(super) stem: Vec<u8>,
    /// `zip`, else it is tar.
    pub(super) format: String,
}

pub(super) async fn send(site: &Arc<Site>, asked: &Asked, name: &str, id: &str) -> Result<Reply, Problem> {
    let place = Place::open(site, name, id).await?;
    let key = asked.query.bytes("key").unwrap_or_default().to_vec();
    // What is not there is said before anything is sent.
    if key.is_empty() || key.ends_with(b"/") {
        let FolderPage { items, .. } =
            place.view.folder(&place.snapshot, &key, None, 1).await.map_err(|error| place.problem(error))?;
        if items.is_empty() {
            place.record(asked).await?;
        }
    } else {
        place.record(asked).await?;
    }
    let own = key.get(folder_of(&key).len()..).unwrap_or_default();
    let stem = match own.strip_suffix(b"/").unwrap_or(own) {
        [] => format!("snapshot-{}", short(&place.id)).into_bytes(),
        own => own.to_vec(),
    };
    let noted = format!("Download of {} of snapshot {}", folder_word(&key), short(&place.id));
    asked.note(site, name, &noted, "Begun");
    let chosen = vec![Chosen { snapshot: place.snapshot, parts: Parts::under(Key::new(key)) }];
    stream(site, Wanted { view: place.view, chosen, stem, format: asked.query.text("format") })
}

/// A key as the log has it.
fn folder_word(key: &[u8]) -> String {
    if key.is_empty() { "all".to_owned() } else { shown::name(key) }
}

/// An archive that is written as it is read.
pub(super) fn stream(site: &Arc<Site>, wanted: Wanted) -> Result<Reply, Problem> {
    let Wanted { view, chosen, stem, format } = wanted;
    let (format, end) = match format.as_str() {
        "zip" => (ArchiveFormat::Zip, "zip"),
        _ => (ArchiveFormat::Tar, "tar"),
    };
    let file = [stem.as_slice(), b".", end.as_bytes()].concat();
    let reading = site.reader().ok_or_else(|| too_many(site))?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let context = RunContext { stop: site.stop.child(), ..RunContext::default() };
    tokio::spawn(async move {
        let mut out = Pieces { sender: sender.clone(), piece: Vec::with_capacity(PIECE_BYTES) };
        let went = archive::write(&view, &chosen, format, &mut out, &context).await;
        let last = match went {
            // What lacks entries is not to pass for the whole.
            Ok(report) if report.unread > 0 => Err(Broken::from(io::Error::other("the snapshot lacks contents"))),
            Ok(_) => Ok(Passed::End),
            // The browser sees that it was cut off.
            Err(error) => Err(Broken::from(error)),
        };
        // Where it has gone, there is nobody to tell.
        let _ = sender.send(last).await;
        drop(reading);
    });
    let pieces =
        stream::unfold(Some(receiver), |receiver: Option<mpsc::Receiver<Result<Passed, Broken>>>| async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Ok(Passed::Bytes(bytes))) => Some((Ok(piece(bytes)), Some(receiver))),
                Some(Ok(Passed::End)) => None,
                Some(Err(error)) => Some((Err(error), None)),
                // Whoever wrote it is gone without a word.
                None => Some((Err(Broken::from(io::Error::from(io::ErrorKind::BrokenPipe))), None)),
            }
        });
    Ok(attachment(StreamBody::new(pieces).boxed_unsync(), &file))
}

/// What comes from the thread that writes.
enum Passed {
    Bytes(Bytes),
    /// All was written.
    End,
}

/// Where an archive is written, which waits for the browser.
struct Pieces {
    sender: mpsc::Sender<Result<Passed, Broken>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES)));
        let sending = self.sender.send(Ok(Passed::Bytes(piece)));
        // Other tasks go on on other threads while this one waits.
        let sent = tokio::task::block_in_place(|| Handle::current().block_on(sending));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
