//! An entry: what is known of it, and the beginning of its content as text, whatever it is.

use askama::Template;
use credenza_engine::view::never_read;
use credenza_model::{EntryKind, EntryStatus, Record};
use http::StatusCode;

use super::Asked;
use super::browse::note;
use super::frame::{Frame, Link};
use super::history::of_history;
use super::places::{self, Place, folder_of, kind, of_entry, why_no_content};
use super::problem::{Problem, render};
use super::raster::{IMAGE_BYTES_MAX, Raster, raster};
use super::restore;
use crate::access::Action;
use crate::basket::Pick;
use crate::command;
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "file.html")]
struct Page {
    frame: Frame,
    facts: Vec<(&'static str, String)>,
    modified: Option<Time>,
    /// Where its bytes are; none where there are none.
    download: Option<String>,
    why: Option<String>,
    name: String,
    /// As a field names it.
    word: String,
    basket: Option<Link>,
    refusal: Option<String>,
    preview: Preview,
    /// Its versions over the snapshots.
    history: String,
}

/// What is shown of the content.
enum Preview {
    Nothing,
    /// Its lines, and whether that is all.
    Text(String, bool),
    /// A raster image: where it is.
    Raster(String, Raster),
    /// It is neither.
    Bytes,
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str, id: &str) -> Result<Reply, Problem> {
    let place = Place::open(site, name, id).await?;
    let record = place.record(asked).await?;
    let key = record.entry.key.as_bytes();
    let why = why_no_content(&record).or_else(|| asked.refusal(Action::Read));
    let preview = match &why {
        None => preview(site, &place, &record).await?,
        Some(_) => Preview::Nothing,
    };
    let preview = match preview {
        Preview::Raster(_, raster) => Preview::Raster(of_entry(name, &place.id, "raster", key), raster),
        other => other,
    };
    let mut way = vec![Link::new("/", "Your backups")];
    way.extend(places::way(name, &place, folder_of(key)));
    let title = shown::name(key.get(folder_of(key).len()..).unwrap_or_default());
    let words = command::in_snapshot(&place.id, key);
    let command = if why.is_none() { "cat" } else { "info" };
    let frame = Frame::new(title, asked.token())
        .way(way)
        .command(command::at(&place.label, &format!("{command} {words}")))
        .command(command::at(&place.label, &format!("restore {words} --to FOLDER")));
    let page = Page {
        refusal: frame.refusal(Action::Restore),
        frame,
        name: name.to_owned(),
        word: Pick::entry(&place.id, key).word(),
        basket: restore::link(site, asked, name),
        facts: facts(&record),
        modified: record.entry.modified.map(|time| site.zone.time(time)),
        download: why.is_none().then(|| of_entry(name, &place.id, "download", key)),
        why,
        preview,
        history: of_history(name, key),
    };
    render(StatusCode::OK, &page)
}

fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let entry = &record.entry;
    let size = entry.size.filter(|_| entry.kind == EntryKind::File);
    let mut facts = vec![("Path", shown::name(entry.key.as_bytes())), ("Kind", kind(entry.kind).to_owned())];
    let exact =
        |size: u64| if size < 1024 { shown::size(size) } else { format!("{} ({size} bytes)", shown::size(size)) };
    facts.extend(size.map(|size| ("Size", exact(size))));
    facts.extend(entry.link_target.as_ref().map(|target| ("Leads to", shown::name(target))));
    facts.extend(entry.version.as_ref().map(|version| ("Version", shown::text(&version.id))));
    facts.extend(note(record).map(|note| ("Note", note.to_owned())));
    let reason = match &record.status {
        EntryStatus::Undescribed(reason) | EntryStatus::Doubtful(reason) => Some(shown::text(reason)),
        _ => never_read(record).map(|reason| shown::text(&reason)),
    };
    facts.extend(reason.map(|reason| ("Why", reason)));
    facts
}

async fn preview(site: &Site, place: &Place, record: &Record) -> Result<Preview, Problem> {
    let reader = place.view.reader(record);
    let bytes = reader.read_at(0, site.limits.preview_bytes).await.map_err(|error| place.problem(error))?;
    let is_all = bytes.len() as u64 == reader.size();
    if let Some(raster) = raster(&bytes).filter(|_| reader.size() <= IMAGE_BYTES_MAX) {
        return Ok(Preview::Raster(String::new(), raster));
    }
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        // The last character may be cut in two.
        Err(error) if !is_all && error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return Ok(Preview::Bytes),
    };
    Ok(if text.contains('\0') { Preview::Bytes } else { Preview::Text(shown::lines(text), is_all) })
}
