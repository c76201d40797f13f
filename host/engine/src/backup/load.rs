//! Load: open the objects that must be read, many at a time when they come over a network.
//!
//! Owned here: what a failed or changed object means for the run, and metadata that costs a request of its own. Refused here: cutting (`mill`). Called by the line.
//!
//! Bound: [`REQUESTS_IN_FLIGHT`] objects of at most [`SMALL_BYTES_MAX`] each.

use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use credenza_connect::{
    Body, ByteRange, Error as ConnectError, ErrorClass, Opened, ScanOptions, Source, SourceInfo, Verifier,
};
use credenza_format::{PROBLEMS_MAX, Problem};
use credenza_model::{Attribute, Entry, EntryStatus, Record, SkippedEntry};

use super::join::Planned;
use crate::clock::Clock;
use crate::pulse::Pulse;
use crate::write::locked;
use crate::{Error, Result};

/// Objects opened ahead. A request to an object store takes some 10–50 ms: 32 in flight fetch about a thousand small objects a second.
pub(crate) const REQUESTS_IN_FLIGHT: usize = 32;
/// Objects up to this size are read whole before they are cut; larger ones are streamed.
pub(crate) const SMALL_BYTES_MAX: u64 = 512 * 1024;
/// How often an object is read when it changes meanwhile, or its bytes contradict the checksum that its source states.
pub(super) const READS_MAX: usize = 4;
/// After so many contradictions the bytes are taken as they are, and the entry is named: what rots at its source is better kept than not.
const CONTRADICTIONS_MAX: usize = 2;

/// Of an object that is what was listed, and is only handed out to who does not ask for that.
const CONTRARY: &str =
    "its source hands out other bytes than it lists, whatever it is asked for; they are kept as they came";

/// An entry on its way to be cut.
pub(crate) enum Loaded {
    /// Nothing to cut.
    Kept(Box<Record>),
    Skipped(SkippedEntry),
    /// Bytes in memory.
    Whole {
        entry: Entry,
        bytes: Bytes,
    },
    /// To be opened where it is cut: local, or large.
    Deferred(Entry),
}

impl Loaded {
    /// What it weighs when work is dealt out in batches.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::Kept(_) | Self::Skipped(_) => 0,
            Self::Whole { bytes, .. } => bytes.len() as u64,
            Self::Deferred(entry) => entry.size.unwrap_or(u64::MAX),
        }
    }
}

/// Opens entries of one source.
pub(crate) struct Loader {
    source: Arc<dyn Source>,
    local: bool,
    /// The listing tells all attributes, so that none is left to be asked for.
    complete_scan: bool,
    pulse: Arc<Pulse>,
    flawed: Mutex<Flawed>,
}

/// Entries whose content is kept although something is amiss: metadata that could not be read, bytes that contradict their checksum.
#[derive(Default)]
pub(crate) struct Flawed {
    /// At most [`PROBLEMS_MAX`] of them.
    pub(crate) listed: Vec<Problem>,
    pub(crate) unlisted: u64,
}

/// How an object is read, as what earlier reads of it have shown.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// As it was listed, or not at all.
    conditional: bool,
    contradictions: usize,
    /// Reads that are left after this one.
    left: usize,
}

impl Terms {
    /// Of the first read.
    pub(crate) const STRICT: Self = Self { conditional: true, contradictions: 0, left: READS_MAX - 1 };

    /// Whether to read once more after this failure, on the terms that are then these.
    pub(crate) fn yield_to(&mut self, cause: &ConnectError) -> bool {
        let is_changed = cause.class == ErrorClass::Precondition;
        let is_contradicted = cause.is_contradicted();
        self.conditional &= !is_changed;
        self.contradictions += usize::from(is_contradicted);
        let is_again = (is_changed || is_contradicted) && self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_again
    }

    /// Whether all bytes came, and are kept although they may be of more than one moment: nothing better was to be had at any read.
    pub(crate) fn tolerate(self, cause: &ConnectError) -> bool {
        self.left == 0 && cause.is_torn()
    }

    const fn verified(self) -> bool {
        self.contradictions < CONTRADICTIONS_MAX
    }
}

/// An entry opened, or why there is nothing to open.
pub(crate) enum Attempt {
    Opened(Box<Opened>),
    /// It is recorded without content.
    Lost(EntryStatus),
}

impl Loader {
    pub(crate) fn new(source: Arc<dyn Source>, info: &SourceInfo, clock: &Arc<dyn Clock>) -> Self {
        Self {
            source,
            local: info.has("local"),
            complete_scan: info.has("complete-scan"),
            pulse: Pulse::begin("source", clock),
            flawed: Mutex::default(),
        }
    }

    /// Whether the source still answers.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Reads of one entry; a failure that comes back is that of the entry.
    async fn ask(
        &self,
        entry: &Entry,
        range: Option<ByteRange>,
        if_match: Option<&str>,
    ) -> Result<Result<Opened, ConnectError>> {
        let doing = || format!("reading `{}`", entry.key);
        self.pulse.call(doing, || self.source.read(entry, range, if_match), || self.probe()).await
    }

    /// Asks the source for the beginning of its listing.
    async fn probe(&self) -> Result<(), ConnectError> {
        let mut scanner = self.source.scan(&ScanOptions::default()).await?;
        scanner.next(1).await.map(drop)
    }

    /// What is known by now to be amiss with entries that are kept; it is told once.
    pub(crate) fn take_flawed(&self) -> Flawed {
        std::mem::take(&mut locked(&self.flawed))
    }

    pub(crate) async fn load(&self, planned: Planned) -> Result<Loaded> {
        match planned {
            Planned::Keep(record) => Ok(Loaded::Kept(record)),
            Planned::Skipped(skipped) => Ok(Loaded::Skipped(skipped)),
            Planned::Refresh { scanned, record } => self.refresh(scanned, *record).await,
            Planned::Read(entry) if self.local || entry.size.is_none_or(|size| size > SMALL_BYTES_MAX) => {
                Ok(Loaded::Deferred(entry))
            }
            Planned::Read(entry) => self.read_whole(entry).await,
        }
    }

    async fn read_whole(&self, entry: Entry) -> Result<Loaded> {
        let mut terms = Terms::STRICT;
        loop {
            let opened = match self.open(&entry, terms).await? {
                Attempt::Opened(opened) => opened,
                Attempt::Lost(status) => return Ok(Loaded::Kept(Box::new(without_content(entry, status)))),
            };
            if opened.body.length.is_none_or(|length| length > SMALL_BYTES_MAX) {
                return Ok(Loaded::Deferred(opened.entry));
            }
            match opened.body.read_all(SMALL_BYTES_MAX).await {
                Ok(bytes) => return Ok(Loaded::Whole { entry: opened.entry, bytes }),
                Err(cause) if terms.yield_to(&cause) => {}
                Err(cause) => {
                    return self
                        .lost(entry, cause)
                        .map(|(entry, status)| Loaded::Kept(Box::new(without_content(entry, status))));
                }
            }
        }
    }

    /// Opens an entry as it was listed, or, when it has changed since, as it is now. Its bytes are held against the checksum that its
    /// source states.
    pub(crate) async fn open(&self, entry: &Entry, terms: Terms) -> Result<Attempt> {
        let conditional = terms.conditional;
        let condition = if conditional { entry.fingerprint.as_deref() } else { None };
        let answer = match self.ask(entry, None, condition).await? {
            Err(cause) if cause.class == ErrorClass::Precondition && conditional => {
                let answer = self.ask(entry, None, None).await?;
                let is_same = |opened: &Opened| opened.entry.fingerprint == entry.fingerprint;
                if condition.is_some() && answer.as_ref().is_ok_and(is_same) {
                    self.note(entry, CONTRARY.to_owned());
                }
                answer
            }
            answer => answer,
        };
        match answer {
            Ok(mut opened) => {
                opened.body = self.pulse.listen(opened.body);
                self.describe(&mut opened.entry).await?;
                if let Some(verifier) = Verifier::new(&opened.entry.checksums) {
                    opened.body = self.verified(opened.body, verifier, &opened.entry, terms);
                }
                Ok(Attempt::Opened(Box::new(opened)))
            }
            Err(cause) => self.verdict(entry, cause).map(Attempt::Lost),
        }
    }

    fn verified(&self, body: Body, verifier: Verifier, entry: &Entry, terms: Terms) -> Body {
        if terms.verified() {
            return body.verified(verifier);
        }
        let reason =
            "its bytes do not have the checksum that its source states, at any read; they are kept as they came";
        self.note(entry, reason.to_owned());
        body
    }

    /// Reads what is said of an unchanged entry once more, without its content.
    async fn refresh(&self, scanned: Entry, record: Record) -> Result<Loaded> {
        let first_byte = ByteRange { offset: 0, length: Some(1) };
        let part = scanned.size.is_none_or(|size| size > 0).then_some(first_byte);
        match self.ask(&scanned, part, scanned.fingerprint.as_deref()).await? {
            Ok(Opened { mut entry, .. }) => {
                self.describe(&mut entry).await?;
                // Those of the whole content: a read of a part tells none.
                entry.checksums = record.entry.checksums;
                Ok(Loaded::Kept(Box::new(Record { entry, ..record })))
            }
            Err(cause) if matches!(cause.class, ErrorClass::Precondition | ErrorClass::NotFound) => {
                Ok(Loaded::Deferred(scanned))
            }
            Err(cause) => {
                self.note_undescribed(&record.entry, cause)?;
                Ok(Loaded::Kept(Box::new(record)))
            }
        }
    }

    /// Completes an entry with what neither the listing nor the read tells.
    async fn describe(&self, entry: &mut Entry) -> Result<()> {
        if self.complete_scan {
            return Ok(());
        }
        let doing = || format!("reading the metadata of `{}`", entry.key);
        let one = std::slice::from_ref(&*entry);
        let answers = self.pulse.call(doing, || self.source.describe(one), || self.probe()).await?;
        match answers.and_then(|mut answers| answers.pop().unwrap_or_else(|| Ok(Vec::new()))) {
            Ok(told) => complete(&mut entry.attributes, told),
            Err(cause) => self.note_undescribed(entry, cause)?,
        }
        Ok(())
    }

    fn note_undescribed(&self, entry: &Entry, cause: ConnectError) -> Result<()> {
        if matches!(cause.class, ErrorClass::Configuration | ErrorClass::Internal) {
            return Err(Error::connector(format!("reading the metadata of `{}`", entry.key))(cause));
        }
        self.note(entry, cause.message);
        Ok(())
    }

    fn note(&self, entry: &Entry, reason: String) {
        let mut flawed = locked(&self.flawed);
        if flawed.listed.len() < PROBLEMS_MAX {
            flawed.listed.push(Problem { key: entry.key.clone(), reason });
        } else {
            flawed.unlisted += 1;
        }
    }

    /// What an error while reading means for its entry, unless it ends the run.
    pub(crate) fn lost(&self, entry: Entry, cause: ConnectError) -> Result<(Entry, EntryStatus)> {
        self.verdict(&entry, cause).map(|status| (entry, status))
    }

    fn verdict(&self, entry: &Entry, cause: ConnectError) -> Result<EntryStatus> {
        let fatal = |cause| Err(Error::connector(format!("reading `{}` of the source", entry.key))(cause));
        match cause.class {
            _ if cause.is_by_reference() => Ok(EntryStatus::Referenced(cause.message)),
            ErrorClass::Configuration | ErrorClass::Internal => fatal(cause),
            ErrorClass::NotFound => Ok(EntryStatus::Vanished),
            ErrorClass::Transient
            | ErrorClass::Exhausted
            | ErrorClass::Precondition
            | ErrorClass::Denied
            | ErrorClass::Unsupported
            | ErrorClass::Corrupt => Ok(EntryStatus::Unreadable(cause.message)),
        }
    }
}

/// Adds attributes to sorted ones, in place of those of the same name.
pub(super) fn complete(attributes: &mut Vec<Attribute>, told: Vec<Attribute>) {
    if told.is_empty() {
        return;
    }
    attributes.retain(|(name, _)| !told.iter().any(|(new, _)| new == name));
    attributes.extend(told);
    attributes.sort_by(|a, b| a.0.cmp(&b.0));
}

pub(crate) fn without_content(entry: Entry, status: EntryStatus) -> Record {
    Record { entry, content: credenza_model::Content::None, status }
}
