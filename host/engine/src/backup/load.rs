//! Load: open the objects that must be read, many at a time when they come over a network.
//!
//! Owned here: what a failed or changed object means for the run, and metadata that costs a request of its own. Refused here: cutting (`pipeline`). Called by the line.
//!
//! Bound: [`REQUESTS_IN_FLIGHT`] objects of at most [`SMALL_BYTES_MAX`] each.

use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::{
    ByteRange, Error as ConnectError, ErrorClass, Opened, ScanOptions, Source, SourceInfo, Verifier, ability,
};
use credenza_model::{Attribute, Content, Entry, EntryStatus, Record, SkippedEntry};

use crate::clock::Clock;
use crate::error::SOURCE;
use crate::liveness::{Absences, Failed, Liveness};
use crate::{Error, Result};

/// Objects opened ahead. A request to an object store takes some 10–50 ms: 32 in flight fetch about a thousand small objects a second.
pub(crate) const REQUESTS_IN_FLIGHT: usize = 32;
/// Objects up to this size are read whole before they are cut; larger ones are streamed.
pub(crate) const SMALL_BYTES_MAX: u64 = 512 * 1024;
/// How often an object is read when it changes meanwhile, or its bytes contradict the checksum that its source states.
pub(super) const READS_MAX: usize = 4;
/// After so many contradictions the bytes are taken as they are, and the entry is named: what rots at its source is better kept than not.
const CONTRADICTIONS_MAX: usize = 2;

/// Of an object whose bytes are not those that its source stated.
const ROTTEN: &str =
    "its bytes do not have the checksum that its source states, at any read; they are kept as they came";
/// Of an object that is what was listed, and is only handed out to who does not ask for that.
const CONTRARY: &str =
    "its source hands out other bytes than it lists, whatever it is asked for; they are kept as they came";

/// What is to be done with an entry.
#[derive(Debug)]
pub(crate) enum Planned {
    /// Nothing to read: unchanged, or without content.
    Keep(Box<Record>),
    /// The content is unchanged; what is said of it is read again, because all is to be, or could not be read before.
    Refresh { scanned: Entry, record: Box<Record> },
    /// New or changed.
    Read(Entry),
    /// It could not be described.
    Skipped(SkippedEntry),
}

/// An entry on its way to be cut.
pub(crate) enum Loaded {
    /// Nothing to cut.
    Kept {
        record: Box<Record>,
        asked: Asked,
    },
    Skipped(SkippedEntry),
    /// Bytes in memory.
    Whole {
        entry: Entry,
        bytes: Bytes,
        status: EntryStatus,
    },
    /// To be opened where it is cut: small, and local.
    Local(Entry),
    /// To be opened and read as it comes: large, or of a size that nobody knows.
    Streamed(Entry),
}

/// What came of asking the source for an entry; `None` where it was not asked.
pub(crate) type Asked = Option<Result<(), Failed>>;

impl Loaded {
    /// Whether nothing of it is left to be read.
    pub(crate) const fn is_settled(&self) -> bool {
        matches!(self, Self::Kept { .. } | Self::Skipped(_))
    }

    /// What it weighs when work is dealt out in batches.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::Kept { .. } | Self::Skipped(_) => 0,
            Self::Whole { bytes, .. } => bytes.len() as u64,
            Self::Local(entry) => entry.size.unwrap_or(0),
            Self::Streamed(_) => u64::MAX,
        }
    }
}

/// Opens entries of one source.
pub(crate) struct Loader {
    source: Arc<dyn Source>,
    local: bool,
    /// The listing tells all attributes, so that none is left to be asked for. Where it may leave them to the read, what that missed is asked for.
    complete_scan: bool,
    liveness: Arc<Liveness>,
}

/// How an object is read, as what earlier reads of it have shown.
#[derive(Clone, Copy)]
pub(crate) struct ReadPolicy {
    /// As it was listed, or not at all.
    conditional: bool,
    contradictions: usize,
    /// Reads that are left after this one.
    left: usize,
    absences: Absences,
}

impl ReadPolicy {
    /// Of the first read.
    pub(crate) fn strict() -> Self {
        Self { conditional: true, contradictions: 0, left: READS_MAX - 1, absences: Absences::default() }
    }

    /// Whether to read once more after this failure, on the policy that are then these.
    fn yield_to(&mut self, cause: &ConnectError) -> bool {
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
    /// It is recorded with this status, if it is read to its end.
    Opened(Box<Opened>, EntryStatus),
    /// It is recorded without content.
    Lost(Lost),
}

/// Why an entry has no content.
pub(crate) struct Lost {
    status: EntryStatus,
    failed: Failed,
}

impl Lost {
    /// The entry without its content, and what the source said of it.
    pub(crate) fn recorded(self, entry: Entry) -> (Record, Asked) {
        let record = Record { entry, content: Content::None, status: self.status };
        (record, Some(Err(self.failed)))
    }
}

impl Loader {
    pub(crate) fn new(source: Arc<dyn Source>, info: &SourceInfo, clock: &Arc<dyn Clock>) -> Self {
        Self {
            source,
            local: info.has(ability::LOCAL),
            complete_scan: info.has(ability::COMPLETE_SCAN) && !info.has(ability::LEAN_SCAN),
            liveness: Liveness::begin(SOURCE, clock),
        }
    }

    /// Whether its entries are files of this machine.
    pub(crate) const fn is_local(&self) -> bool {
        self.local
    }

    /// Whether the source still answers.
    pub(crate) const fn liveness(&self) -> &Arc<Liveness> {
        &self.liveness
    }

    /// Reads of one entry; a failure that comes back is that of the entry.
    async fn ask(
        &self,
        entry: &Entry,
        absences: &mut Absences,
        range: Option<ByteRange>,
        if_match: Option<&str>,
    ) -> Result<Result<Opened, ConnectError>> {
        let doing = || format!("reading `{}`", entry.key);
        let read = || async { self.liveness.of(self.source.read(entry, range, if_match).await) };
        self.liveness.call(absences, doing, read, || self.probe()).await
    }

    /// Asks the source for the beginning of its listing.
    async fn probe(&self) -> Result<(), ConnectError> {
        let mut scanner = self.source.scan(&ScanOptions::default()).await?;
        scanner.next(1).await.map(drop)
    }

    /// Whether to read once more after a body failed, on the policy that are then these.
    pub(crate) async fn yields_to(&self, entry: &Entry, cause: &ConnectError, policy: &mut ReadPolicy) -> Result<bool> {
        let doing = || format!("reading `{}`", entry.key);
        let probe = || self.probe();
        let was_away = self.liveness.was_away(&mut policy.absences, self.liveness.now(), cause, doing, probe).await?;
        Ok(was_away || policy.yield_to(cause))
    }

    pub(crate) async fn load(&self, planned: Planned) -> Result<Loaded> {
        match planned {
            Planned::Keep(record) => Ok(Loaded::Kept { record, asked: None }),
            Planned::Skipped(skipped) => Ok(Loaded::Skipped(skipped)),
            // What is rare is apart: the future of every entry would be as large as it.
            Planned::Refresh { scanned, record } => Box::pin(self.refresh(scanned, *record)).await,
            Planned::Read(entry) => self.read(entry).await,
        }
    }

    async fn read(&self, entry: Entry) -> Result<Loaded> {
        match entry.size {
            Some(size) if size <= SMALL_BYTES_MAX && self.local => Ok(Loaded::Local(entry)),
            Some(size) if size <= SMALL_BYTES_MAX => Box::pin(self.read_whole(entry)).await,
            _ => Ok(Loaded::Streamed(entry)),
        }
    }

    async fn read_whole(&self, entry: Entry) -> Result<Loaded> {
        let mut policy = ReadPolicy::strict();
        loop {
            let (opened, status) = match self.open(&entry, &mut policy).await? {
                Attempt::Opened(opened, status) => (opened, status),
                Attempt::Lost(lost) => return Ok(kept(lost.recorded(entry))),
            };
            // It may have grown since it was listed.
            if opened.body.length.is_none_or(|length| length > SMALL_BYTES_MAX) {
                return Ok(Loaded::Streamed(opened.entry));
            }
            let cause = match opened.body.read_all(SMALL_BYTES_MAX).await {
                Ok(bytes) => return Ok(Loaded::Whole { entry: opened.entry, bytes, status }),
                Err(cause) => cause,
            };
            if !self.yields_to(&entry, &cause, &mut policy).await? {
                return Ok(kept(self.verdict(&entry, cause)?.recorded(entry)));
            }
        }
    }

    /// Opens an entry as it was listed, or, when it has changed since, as it is now. Its bytes are held against the checksum that its
    /// source states.
    pub(crate) async fn open(&self, entry: &Entry, policy: &mut ReadPolicy) -> Result<Attempt> {
        loop {
            let absences = policy.absences;
            let attempt = self.open_once(entry, policy).await?;
            // A body that was opened before the source went away does not go on when it is back.
            if policy.absences == absences || matches!(attempt, Attempt::Lost(_)) {
                return Ok(attempt);
            }
        }
    }

    async fn open_once(&self, entry: &Entry, policy: &mut ReadPolicy) -> Result<Attempt> {
        let conditional = policy.conditional;
        let condition = if conditional { entry.fingerprint.as_deref() } else { None };
        let mut status = EntryStatus::Stable;
        let answer = match self.ask(entry, &mut policy.absences, None, condition).await? {
            Err(cause) if cause.class == ErrorClass::Precondition && conditional => {
                let answer = self.ask(entry, &mut policy.absences, None, None).await?;
                let is_same = |opened: &Opened| opened.entry.fingerprint == entry.fingerprint;
                if condition.is_some() && answer.as_ref().is_ok_and(is_same) {
                    status = EntryStatus::Doubtful(CONTRARY.to_owned());
                }
                answer
            }
            answer => answer,
        };
        let mut opened = match answer {
            Ok(opened) => opened,
            Err(cause) => return self.verdict(entry, cause).map(Attempt::Lost),
        };
        opened.body = self.liveness.listen(opened.body);
        let undescribed = self.describe(&mut opened.entry, &mut policy.absences).await?;
        if let Some(verifier) = Verifier::new(&opened.entry.checksums) {
            if policy.verified() {
                opened.body = opened.body.verified(verifier);
            } else {
                status = EntryStatus::Doubtful(ROTTEN.to_owned());
            }
        }
        let status = match (status, undescribed) {
            (EntryStatus::Stable, Some(reason)) => EntryStatus::Undescribed(reason),
            // Either is asked for again by the next run.
            (status, _) => status,
        };
        Ok(Attempt::Opened(Box::new(opened), status))
    }

    /// Reads what is said of an unchanged entry once more, without its content.
    async fn refresh(&self, scanned: Entry, record: Record) -> Result<Loaded> {
        let first_byte = ByteRange { offset: 0, length: Some(1) };
        let part = scanned.size.is_none_or(|size| size > 0).then_some(first_byte);
        let mut absences = Absences::default();
        let mut entry = match self.ask(&scanned, &mut absences, part, scanned.fingerprint.as_deref()).await? {
            Ok(opened) => opened.entry,
            Err(cause) if matches!(cause.class, ErrorClass::Precondition | ErrorClass::NotFound) => {
                return self.read(scanned).await;
            }
            // Its content is there already, and what is known of it stays.
            Err(cause) if cause.is_by_reference() => return Ok(kept((record, None))),
            Err(cause) => {
                let status = refreshed(record.status, Some(undescribed(&record.entry, cause.clone())?));
                return Ok(kept((Record { status, ..record }, Some(Err(self.liveness.failed(cause))))));
            }
        };
        let undescribed = self.describe(&mut entry, &mut absences).await?;
        if undescribed.is_some() {
            let reported = std::mem::replace(&mut entry.attributes, record.entry.attributes);
            complete(&mut entry.attributes, reported);
        }
        // Those of the whole content: a read of a part tells none.
        entry.checksums = record.entry.checksums;
        let status = refreshed(record.status, undescribed);
        Ok(kept((Record { entry, status, ..record }, Some(Ok(())))))
    }

    /// Completes an entry with what neither the listing nor the read tells; why, if that could not be had.
    async fn describe(&self, entry: &mut Entry, absences: &mut Absences) -> Result<Option<String>> {
        if self.complete_scan {
            return Ok(None);
        }
        let doing = || describing(entry);
        let describe = || async {
            let answers = self.source.describe(std::slice::from_ref(&*entry)).await;
            // It may have been reported without a request.
            answers.and_then(|mut answers| answers.pop().unwrap_or_else(|| Ok(Vec::new())))
        };
        let answer = self.liveness.call(absences, doing, describe, || self.probe()).await?;
        match answer {
            Ok(reported) => complete(&mut entry.attributes, reported),
            Err(cause) => return undescribed(entry, cause).map(Some),
        }
        Ok(None)
    }

    /// What an error while reading means for its entry, unless it ends the run.
    pub(crate) fn verdict(&self, entry: &Entry, cause: ConnectError) -> Result<Lost> {
        let status = match cause.class {
            _ if cause.is_by_reference() => EntryStatus::Referenced(cause.message.clone()),
            ErrorClass::Configuration | ErrorClass::Internal => {
                return Err(Error::source(format!("reading `{}` of the source", entry.key))(cause));
            }
            ErrorClass::NotFound => EntryStatus::Vanished,
            ErrorClass::Transient
            | ErrorClass::Exhausted
            | ErrorClass::Precondition
            | ErrorClass::Denied
            | ErrorClass::Unsupported
            | ErrorClass::Corrupt => EntryStatus::Unreadable(cause.message.clone()),
        };
        Ok(Lost { status, failed: self.liveness.failed(cause) })
    }
}

fn kept((record, asked): (Record, Asked)) -> Loaded {
    Loaded::Kept { record: Box::new(record), asked }
}

fn describing(entry: &Entry) -> String {
    format!("reading the metadata of `{}`", entry.key)
}

/// Why an entry is not described, unless that ends the run.
fn undescribed(entry: &Entry, cause: ConnectError) -> Result<String> {
    match cause.class {
        ErrorClass::Configuration | ErrorClass::Internal => Err(Error::source(describing(entry))(cause)),
        _ => Ok(cause.message),
    }
}

/// The status of an entry of which only the metadata was read again: what its bytes were found to be stays.
fn refreshed(status: EntryStatus, undescribed: Option<String>) -> EntryStatus {
    match (status, undescribed) {
        (doubtful @ EntryStatus::Doubtful(_), _) => doubtful,
        (_, Some(reason)) => EntryStatus::Undescribed(reason),
        (_, None) => EntryStatus::Stable,
    }
}

/// Adds attributes to sorted ones, in place of those of the same name.
pub(super) fn complete(attributes: &mut Vec<Attribute>, reported: Vec<Attribute>) {
    if reported.is_empty() {
        return;
    }
    attributes.retain(|(name, _)| !reported.iter().any(|(new, _)| new == name));
    attributes.extend(reported);
    attributes.sort_by(|a, b| a.0.cmp(&b.0));
}
