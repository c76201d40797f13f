//! `info`: what a repository, a snapshot or an entry is.

use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::guarantees::{self, Guarantee};
use credenza_app::{Located, OpenRepository, SnapshotPath, StoreUse};
use credenza_engine::check::{self, Readings};
use credenza_engine::flags::Flags;
use credenza_engine::replica::{self, KeptHeads, Role};
use credenza_engine::tags::TagEdits;
use credenza_engine::{Error as EngineError, Repository, SnapshotHandle};
use credenza_format::{Digest, Drill, Hex, NO_COMPRESSION, ParityRate, PublicKey, SourceDocument};
use credenza_model::{RepositoryId, SnapshotId, Timestamp};
use indicatif::HumanBytes;
use serde::Serialize;

use super::newest::{Newest, choose};
use super::{Session, guarantees as lines, space};
use crate::failure::{Exit, Failure};
use crate::report::{ConnectorOut, EntryDetails, Zone, printable};

/// Describe the repository, a snapshot, or an entry in it.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// A snapshot; behind a colon, the path of an entry. Without it, the repository.
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    subject: Option<OsString>,

    #[command(flatten)]
    newest: Newest,

    /// What takes the space in the snapshot, or in a folder of it: the largest of what lies directly there.
    #[arg(long, requires = "subject")]
    space: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "repository")]
struct RepositoryDetails {
    id: RepositoryId,
    location: String,
    encrypted: bool,
    created: Timestamp,
    chunk_bytes: [u32; 3],
    compression: i32,
    store_traits: Vec<String>,
    guarantees: Vec<Guarantee>,
    retain_days: Option<u32>,
    parity_percent: Option<u32>,
    /// What is on record of the reading of packs; nothing with the keys of a writer.
    readings: Option<Readings>,
    last_drill: Option<Drill>,
    /// Of a replica, or of one that was: whose, and since when.
    #[serde(flatten)]
    role: Option<Role>,
    /// What it keeps of its origin.
    heads: Option<KeptHeads>,
}

impl RepositoryDetails {
    /// Whose replica it is, or was.
    fn write_role(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = Zone::new(false);
        match &self.role {
            None => return Ok(()),
            Some(Role::Replica { origin, .. }) => {
                write!(f, "\nreplica      of repository {origin}; it takes no backups")?
            }
            Some(Role::Promoted { origin, at }) => {
                write!(f, "\npromoted     {}: it was a replica of repository {origin}", zone.minutes(*at))?;
            }
        }
        self.heads.as_ref().map_or(Ok(()), |heads| write!(f, ", known as it was on {}", zone.minutes(heads.as_of)))
    }

    /// What was read again, and what was restored for trial.
    fn write_verified(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = Zone::new(false);
        if let Some(Readings { packs, packs_never_read, oldest, packs_damaged, .. }) = &self.readings {
            let way = "`credenza check --read-data` reads them";
            match oldest {
                None => write!(f, "\nverified     never: no pack was read again ({way})")?,
                Some(oldest) => write!(f, "\nverified     each of {packs} packs since {}", zone.minutes(*oldest))?,
            }
            if oldest.is_some() && *packs_never_read > 0 {
                write!(f, ", but for {packs_never_read} that were never read ({way})")?;
            }
            if *packs_damaged > 0 {
                write!(f, "\nDAMAGED      {packs_damaged} packs (`credenza check` names them)")?;
            }
        }
        let Some(Drill { at, entries, bytes, errors, reason, .. }) = &self.last_drill else {
            return f.write_str("\nlast drill   never: no sample was restored for trial");
        };
        write!(f, "\nlast drill   {}: {entries} entries, {}", zone.minutes(*at), HumanBytes(*bytes))?;
        match (errors, reason) {
            (0, None) => f.write_str(", all as it was"),
            _ => write!(f, ", FAILED: {}", printable(reason.as_deref().unwrap_or("no reason"))),
        }
    }
}

impl Display for RepositoryDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, avg, max] = self.chunk_bytes;
        writeln!(f, "repository   {}", self.id)?;
        writeln!(f, "location     {}", printable(&self.location))?;
        writeln!(f, "encrypted    {}", if self.encrypted { "yes" } else { "no" })?;
        writeln!(f, "created      {}", Zone::new(false).seconds(self.created))?;
        writeln!(f, "chunks       {avg} bytes on average, {min} to {max}")?;
        match self.compression {
            NO_COMPRESSION => writeln!(f, "compression  none")?,
            level => writeln!(f, "compression  zstd level {level}")?,
        }
        f.write_str("store        as it was when the repository was made:")?;
        self.guarantees.iter().try_for_each(|guarantee| write!(f, "\n  {}", lines::line(guarantee)))?;
        self.retain_days.map_or(Ok(()), |days| write!(f, "\n  {}", lines::of_locks(days)))?;
        self.parity_percent.map_or(Ok(()), |percent| write!(f, "\nparity       {percent}% of each pack"))?;
        self.write_role(f)?;
        self.write_verified(f)
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "snapshot")]
struct SnapshotDetails<'a> {
    id: SnapshotId,
    time: Option<Timestamp>,
    started: Timestamp,
    finished: Timestamp,
    source: &'a str,
    identity: &'a str,
    parent: Option<SnapshotId>,
    host: &'a str,
    user: &'a str,
    writer: Hex<[u8; 16]>,
    sequence: u64,
    /// SHA-256 of its whole object, as an audit tells it.
    digest: Digest,
    /// Whose signature was verified; none for an unsigned one. One whose signature does not fit is damaged.
    signer: Option<PublicKey>,
    tags: &'a [String],
    excludes: &'a [String],
    connector: ConnectorOut<'a>,
    entries: u64,
    files: u64,
    directories: u64,
    bytes: u64,
    bytes_read: u64,
    bytes_added: u64,
    errors: u64,
    /// What a guard thought of it last.
    flag: Option<FlagOut<'a>>,
    /// The time, by the source's clock, whose state the entries are.
    as_of: Option<Timestamp>,
    /// What is configured for the source as a whole.
    documents: &'a [SourceDocument],
    #[serde(skip)]
    zone: Zone,
    #[serde(skip)]
    digits: usize,
}

/// What a guard thought of a snapshot last, or who looked at it since.
#[derive(Serialize)]
struct FlagOut<'a> {
    suspect: bool,
    reason: &'a str,
    since: Timestamp,
}

impl<'a> SnapshotDetails<'a> {
    fn new(handle: &'a SnapshotHandle, flags: &'a Flags, digits: usize) -> Self {
        let snapshot = &handle.snapshot;
        let statistics = &snapshot.statistics;
        Self {
            id: snapshot.id,
            time: handle.time(),
            started: snapshot.started,
            finished: snapshot.finished,
            source: &snapshot.source.location,
            identity: &snapshot.source.identity,
            parent: snapshot.parent,
            host: &snapshot.host,
            user: &snapshot.user,
            writer: snapshot.writer,
            sequence: snapshot.sequence,
            digest: handle.digest,
            signer: snapshot.signer,
            tags: &snapshot.tags,
            excludes: &snapshot.excluded,
            connector: ConnectorOut::new(&snapshot.connector),
            entries: statistics.entries,
            files: statistics.files,
            directories: statistics.directories,
            bytes: statistics.bytes,
            bytes_read: statistics.bytes_read,
            bytes_added: statistics.bytes_added,
            errors: statistics.errors,
            flag: flags.of(handle).map(|flag| FlagOut {
                suspect: flags.suspicion(handle).is_some(),
                reason: &flag.reason,
                since: flag.at,
            }),
            as_of: snapshot.source.as_of,
            documents: &snapshot.source.documents,
            zone: Zone::new(false),
            digits,
        }
    }
}

impl Display for SnapshotDetails<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { zone, digits, .. } = self;
        writeln!(f, "snapshot   {:.digits$}", self.id.to_string())?;
        writeln!(f, "source     {} ({})", printable(self.source), printable(self.identity))?;
        let (started, finished) = (zone.seconds(self.started), zone.seconds(self.finished));
        writeln!(f, "started    {started} by {} on {}", printable(self.user), printable(self.host))?;
        writeln!(f, "finished   {finished}")?;
        if let Some(as_of) = self.as_of {
            writeln!(f, "as of      {}, by the clock of the source", zone.seconds(as_of))?;
        }
        f.write_str("connector  ")?;
        self.connector.write(f, "\n           ")?;
        f.write_str("\n")?;
        writeln!(f, "chain      number {} of writer {}", self.sequence, self.writer)?;
        match self.signer {
            Some(signer) => writeln!(f, "signed     by {signer}, verified")?,
            None => writeln!(f, "signed     no")?,
        }
        if let Some(parent) = self.parent {
            writeln!(f, "parent     {:.digits$}", parent.to_string())?;
        }
        for (name, texts) in [("tags", self.tags), ("excludes", self.excludes)] {
            if !texts.is_empty() {
                writeln!(f, "{name:<10} {}", printable(&texts.join(", ")))?;
            }
        }
        writeln!(
            f,
            "holds      {} entries ({} files, {} folders), {}",
            self.entries,
            self.files,
            self.directories,
            HumanBytes(self.bytes)
        )?;
        write!(f, "cost       {} read, {} added", HumanBytes(self.bytes_read), HumanBytes(self.bytes_added))?;
        if self.errors > 0 {
            write!(f, "\nerrors     {} entries could not be read", self.errors)?;
        }
        if let Some(FlagOut { suspect, reason, since }) = &self.flag {
            let (verdict, since) = (if *suspect { "SUSPECT" } else { "cleared" }, zone.seconds(*since));
            write!(f, "\nguard      {verdict} since {since}: {}", printable(reason))?;
        }
        self.documents.iter().try_for_each(|document| write_document(f, document))
    }
}

/// A document below its name, or why it could not be read.
fn write_document(f: &mut fmt::Formatter<'_>, document: &SourceDocument) -> fmt::Result {
    let name = printable(&document.name);
    match (&document.text, &document.error) {
        (Some(text), _) => {
            write!(f, "\n{name}")?;
            text.lines().try_for_each(|line| write!(f, "\n  {}", printable(line)))
        }
        (None, why) => write!(f, "\n{name}: not kept: {}", printable(why.as_deref().unwrap_or("no reason"))),
    }
}

/// A snapshot with the tags that it has now.
async fn show(
    open: &OpenRepository,
    snapshot: SnapshotHandle,
    digits: usize,
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    let snapshot = TagEdits::load(&open.repository).await?.applied(snapshot);
    let flags = Flags::load(&open.repository).await?;
    session.reporter.result(&SnapshotDetails::new(&snapshot, &flags, digits))?;
    Ok(Exit::Done)
}

/// What is on record of the verification of a repository; nothing that the keys do not open.
async fn verified(repository: &Repository) -> Result<(Option<Readings>, Option<Drill>), Failure> {
    match check::readings_and_drill(repository).await {
        Err(EngineError::NoAccess { .. }) => Ok((None, None)),
        found => found.map(|(readings, drill)| (Some(readings), drill)).map_err(Failure::from),
    }
}

impl Info {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let subject = self.subject.as_deref().map(SnapshotPath::parse).transpose()?;
        let open = session.open_healthy(StoreUse::Read).await?;
        let Some(path) = subject else {
            let (readings, last_drill) = verified(&open.repository).await?;
            let heads = match readings {
                Some(_) => replica::kept(&open.repository, &[]).await?,
                None => None,
            };
            let config = open.repository.config();
            let chunker = &config.chunker.params;
            session.reporter.result(&RepositoryDetails {
                id: config.repository,
                location: open.place.text(),
                encrypted: config.suite.encrypts(),
                created: config.created,
                chunk_bytes: [chunker.min(), chunker.avg(), chunker.max()],
                compression: config.compression_level,
                store_traits: config.store_traits.clone(),
                guarantees: guarantees::of(&config.store_traits),
                retain_days: config.retain_days,
                parity_percent: config.parity.map(ParityRate::percent),
                readings,
                last_drill,
                role: replica::state(&open.repository),
                heads,
            })?;
            return Ok(Exit::Done);
        };
        let choice = self.newest.among(&open, session).await?;
        let snapshot = choose(&choice, &path.snapshot, session)?;
        let digits = session.digits_shown(choice.snapshots.short_id_digits());
        if self.space {
            let located = match path.is_whole() {
                true => None,
                false => Some(path.locate(&open.repository.view().await?, &snapshot).await?),
            };
            return space::tell(&open, &snapshot, located, session).await;
        }
        if path.key.is_none() {
            return show(&open, snapshot, digits, session).await;
        }
        match path.locate(&open.repository.view().await?, &snapshot).await? {
            Located { record: Some(record), .. } => {
                session.reporter.result(&EntryDetails::new(&record.entry, &record.status))?;
            }
            Located { key, record: None } if key.as_bytes().is_empty() => {
                return show(&open, snapshot, digits, session).await;
            }
            Located { key, record: None } => {
                return Err(Failure::new(format!("`{key}` is no entry of its own, only what keys begin with")));
            }
        }
        Ok(Exit::Done)
    }
}
