//! Archive: parts of snapshots as one tar or zip that any program unpacks.
//!
//! Written as it is read, each byte verified before it goes out. Where something of it is lost the archive ends there and is visibly broken: no reader
//! takes it for whole.
//!
//! Owned here: which entries become members and how (`member`), in the order of their keys over all snapshots (`merge`), their names (`names`), both
//! formats (`tar`, `zip`). Refused here: reading
//! (`view`), and where the bytes go. Called by `cli`, and by whatever else hands out a part of a snapshot.
//!
//! Bound: one window of plaintext, and [`LINKS_MAX`](member::LINKS_MAX) groups of hard links. The directory of a zip waits in a temporary file.

mod member;
mod merge;
mod names;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use credenza_model::{ChunkId, Content, Entry, Record};

use self::member::{Member, Members};
use self::merge::{Merged, Taken};
use crate::blobs::Fetched;
use crate::parts::Parts;
use crate::repository::SnapshotHandle;
use crate::view::{View, never_read};
use crate::window::{self, Window};
use crate::{Damage, DamageKind, Error, Event, Phase, Result, RunContext};

/// Names of attributes that the report tells apart; more are counted together.
const UNKEPT_NAMES_MAX: usize = 64;
const OTHER_ATTRIBUTES: &str = "other attributes";

/// The form of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// POSIX tar with extended headers: mode, owner, time to the nanosecond, extended attributes, links, hard links, devices.
    Tar,
    /// Zip, with 64-bit sizes where they are needed: mode, owner, time to the second, symbolic links.
    Zip,
}

/// What became of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchiveReport {
    /// Members that were written.
    pub entries: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Members whose names had to be others: their keys are no relative paths. [`key_of_path`](credenza_connect::file::escape::key_of_path) reads
    /// them back.
    pub renamed: u64,
    /// Entries of which the snapshot has no content; they are left out and reported as events.
    pub unread: u64,
    /// What the format cannot hold, attributes and kinds of entries by name, with the number of entries that lost each.
    pub unkept: BTreeMap<String, u64>,
}

/// One of the formats. A member is begun, given all its bytes, and ended.
trait Format: Send {
    fn begin(&mut self, member: &Member<'_>, out: &mut dyn Write) -> io::Result<()>;
    fn data(&mut self, bytes: &[u8], out: &mut dyn Write) -> io::Result<()>;
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;
    /// Ends the archive.
    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()>;
    /// Sees to it that the archive does not look whole.
    fn break_off(&mut self, out: &mut dyn Write) -> io::Result<()>;
    /// Whether it can hold an attribute of that name.
    fn keeps(&self, attribute: &str) -> bool;
}

/// Parts of one snapshot. Where several are written, no key should be in two.
pub struct Chosen {
    /// The snapshot.
    pub snapshot: SnapshotHandle,
    /// What of it.
    pub parts: Parts,
}

/// Writes parts of snapshots as they are there; of versions the latest.
///
/// # Errors
/// [`Error::NoEntry`] when there is nothing of any part; damage when something is lost, [`Error::Output`] when it cannot be written, `Cancelled`: the archive ends
/// there, broken.
pub async fn write(
    view: &View,
    chosen: &[Chosen],
    format: ArchiveFormat,
    out: &mut (dyn Write + Send),
    context: &RunContext,
) -> Result<ArchiveReport> {
    let _heeding = context.stop.heeding();
    context.events.on(Event::Phase { phase: Phase::Archiving });
    let writer: Box<dyn Format> = match format {
        ArchiveFormat::Tar => Box::new(tar::Tar::default()),
        ArchiveFormat::Zip => Box::new(zip::Zip::new().map_err(unwritten)?),
    };
    let (members, report) = (Members::new(format), ArchiveReport::default());
    let mut archive = Archive { view, context, writer, members, out, report };
    match (archive.all(chosen).await, nothing(chosen)) {
        (Ok(()), Some(nothing)) if archive.report.entries == 0 => Err(nothing),
        (Ok(()), _) => {
            archive.writer.finish(archive.out).and_then(|()| archive.out.flush()).map_err(unwritten)?;
            Ok(archive.report)
        }
        (Err(cause), _) => {
            // Where even that cannot be written, less of it is there, and it is broken as well.
            let _ = archive.writer.break_off(archive.out).and_then(|()| archive.out.flush());
            Err(cause)
        }
    }
}

/// What is said where nothing was found; none where that may be.
fn nothing(chosen: &[Chosen]) -> Option<Error> {
    let Chosen { snapshot, parts } = chosen.first().filter(|chosen| !chosen.parts.is_all())?;
    let key = parts.as_slice().first()?.key().to_string();
    Some(Error::NoEntry { snapshot: snapshot.snapshot.id.to_string(), key })
}

struct Archive<'a> {
    view: &'a View,
    context: &'a RunContext,
    writer: Box<dyn Format>,
    members: Members,
    out: &'a mut (dyn Write + Send),
    report: ArchiveReport,
}

impl Archive<'_> {
    async fn all(&mut self, chosen: &[Chosen]) -> Result<()> {
        let mut records = Merged::new(self.view, chosen);
        let mut window = Window::new();
        while let Some(taken) = records.next().await? {
            if !taken.record.entry.is_current() {
                continue;
            }
            let weight = window::weight(&taken.record.content);
            if !window.has_room(weight) {
                self.window(std::mem::replace(&mut window, Window::new())).await?;
            }
            window.push(taken, weight);
        }
        self.window(window).await
    }

    async fn window(&mut self, window: Window<Taken>) -> Result<()> {
        let fetched = match window.is_large() {
            true => Fetched::new(),
            false => window::fetch(self.view.loader(), window.items.iter().map(|taken| &taken.record)).await?,
        };
        for taken in &window.items {
            if self.context.stop.is_requested() {
                return Err(Error::Cancelled);
            }
            let content = if window.is_large() { None } else { Some(&fetched) };
            self.entry(taken, content).await?;
        }
        Ok(())
    }

    async fn entry(&mut self, Taken { record, from }: &Taken, fetched: Option<&Fetched>) -> Result<()> {
        let entry = &record.entry;
        if let Some(reason) = never_read(record) {
            self.report.unread += 1;
            self.context.events.on(Event::EntryFailed { key: entry.key.clone(), reason });
            return Ok(());
        }
        // The folder that was backed up is the one that the archive is unpacked in.
        if entry.key.as_bytes().is_empty() {
            return Ok(());
        }
        let member = match self.members.of(record, *from) {
            Ok(member) => member,
            Err(unkept) => {
                self.count_unkept(unkept);
                return Ok(());
            }
        };
        self.report.renamed += u64::from(member.is_renamed);
        self.tell_unkept(entry);
        self.writer.begin(&member, self.out).map_err(unwritten)?;
        if member.has_content() {
            self.content(record, fetched).await?;
        }
        self.writer.end(self.out).map_err(unwritten)?;
        let bytes = if member.has_content() { record.content.bytes() } else { 0 };
        self.report.entries += 1;
        self.report.bytes += bytes;
        self.context.events.on(Event::Progress { entries: 1, bytes });
        Ok(())
    }

    async fn content(&mut self, record: &Record, fetched: Option<&Fetched>) -> Result<()> {
        match (&record.content, fetched) {
            (Content::None, _) => {}
            (Content::Inline(bytes), _) => self.writer.data(bytes, self.out).map_err(unwritten)?,
            (Content::Chunks(chunks), Some(fetched)) => {
                for chunk in chunks {
                    let bytes = of_chunk(fetched, chunk.id)?;
                    self.writer.data(&bytes, self.out).map_err(unwritten)?;
                }
            }
            (Content::Chunks(_) | Content::Lists { .. }, _) => {
                let mut content = self.view.content(record);
                while let Some(bytes) = content.next().await? {
                    self.writer.data(&bytes, self.out).map_err(unwritten)?;
                }
            }
        }
        Ok(())
    }

    fn tell_unkept(&mut self, entry: &Entry) {
        for (name, _) in &entry.attributes {
            if !self.writer.keeps(name) {
                self.count_unkept(name);
            }
        }
    }

    fn count_unkept(&mut self, name: &str) {
        let unkept = &mut self.report.unkept;
        let is_told = unkept.contains_key(name) || unkept.len() < UNKEPT_NAMES_MAX;
        *unkept.entry(if is_told { name } else { OTHER_ATTRIBUTES }.to_owned()).or_default() += 1;
    }
}

fn of_chunk(fetched: &Fetched, id: ChunkId) -> Result<Bytes> {
    let lost = || Damage::of_chunk("index", DamageKind::Missing, id, format!("chunk {id} was not found"));
    Ok(fetched.get(&id).cloned().unwrap_or_else(|| Err(lost()))?)
}

fn unwritten(error: io::Error) -> Error {
    Error::Output { reason: error.to_string(), is_closed: error.kind() == io::ErrorKind::BrokenPipe }
}
