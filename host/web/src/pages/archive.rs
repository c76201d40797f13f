//! A folder of a snapshot, or all that is picked, as one tar or zip, written as it is read. What cannot be read whole ends broken, and no program takes it for whole.

use std::sync::Arc;

use credenza_engine::archive::{self, ArchiveFormat, Chosen};
use credenza_engine::view::{FolderPage, View};
use credenza_engine::{Parts, RunContext};
use credenza_listen::written;
use credenza_model::Key;
use http_body_util::BodyExt;

use super::Asked;
use super::download::{attachment, too_many};
use super::places::{Place, folder_of, short};
use super::problem::Problem;
use crate::reply::{Broken, Reply};
use crate::shown;
use crate::site::Site;

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
    let context = RunContext { stop: site.stop.child(), ..RunContext::default() };
    let (mut pen, body) = written();
    tokio::spawn(async move {
        // What lacks entries, or breaks off, is not to pass for the whole: the browser sees that it was cut off.
        if archive::write(&view, &chosen, format, &mut pen, &context).await.is_ok_and(|report| report.unread == 0) {
            pen.end().await;
        }
        drop(reading);
    });
    Ok(attachment(body.map_err(Broken::from).boxed_unsync(), &file))
}
