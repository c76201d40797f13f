//! `backup`: a snapshot of each source.
//!
//! Owned here: the arguments, and the way from them to snapshots. What of a source is wanted is in `selecting`, a stream in place of sources in
//! `streaming`, what came of several of them in `outcome`, and what is said at the end in `summary`.

mod outcome;
mod selecting;
mod streaming;
mod summary;

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use credenza_app::{Kind, OpenRepository, Opened, Place, StoreUse, bootstrap, environment, estimate, stream};
use credenza_connect::Source;
use credenza_engine::Repository;
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::shards::Shard;
use credenza_format::SigningKey;

use super::compression::{Compression, parse_compression};
use super::sharding::{ShardWord, parse_shard};
use super::spending::{self, Spending};
use super::{Session, check, source_name};
use crate::failure::{Exit, Failure};
use crate::settings::{SettingWord, parse_settings};
use credenza_app::shell::place_word;
use outcome::{Attempt, Outcome};
use selecting::{Selected, Selecting};
use streaming::Streaming;
use summary::{Requests, Summary};

/// Said once a snapshot, where the store does not let these credentials delete.
const NOT_DELETED: &str = "note: these credentials may not delete, so the record of what this run relied on stays behind; `maintain`, with credentials that may, clears it away when it is a week old";

/// Back up folders, buckets or configured sources, each into a snapshot of its own.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Folders, locations such as s3://host/bucket, or @name; without any, the current folder. One that cannot be backed up does not keep the others
    /// from it. With --stdin-command it is the command and its arguments.
    #[arg(value_name = "SOURCE")]
    sources: Vec<OsString>,

    #[command(flatten)]
    streaming: Streaming,

    /// Mark the snapshot; may be given several times.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,

    #[command(flatten)]
    selecting: Selecting,

    /// Make no snapshot of a source that is just as its last snapshot has it, whatever its tags, and in which nothing failed.
    #[arg(long)]
    skip_if_unchanged: bool,

    /// Read every content again, also where size and times say that nothing has changed.
    ///
    /// A program that writes into a mapped file (mmap), such as some databases, can change it without its times moving; so can a
    /// damaged disk. Such files are noticed by nothing but this.
    #[arg(long)]
    reread: bool,

    /// Record this name of the machine instead of its own: in containers, which are called otherwise at each run.
    ///
    /// The name is part of what a folder's history goes by: with the same one, a folder is the same source.
    #[arg(long, value_name = "NAME", value_parser = source_name::parse_host)]
    host: Option<String>,

    /// Call the source so, wherever it is: its history goes on under this name when it is moved or mounted elsewhere.
    ///
    /// `prune` groups by the machine's name too: where that changes as well, give --host with it.
    #[arg(long = "as", value_name = "NAME", value_parser = source_name::parse_source)]
    source_as: Option<String>,

    /// Whose metadata to read: of what is new or changed, or of everything, because tags and the like change without a trace.
    #[arg(long, value_enum, default_value_t = Metadata::Changed)]
    metadata: Metadata,

    /// How hard to compress what is new: a level of zstd from 1 to 19, or none, fast (1), better (7) or max (19); `default` is the repository's.
    #[arg(long, value_name = "LEVEL", default_value = "default", value_parser = parse_compression)]
    compression: Compression,

    /// Take one of N ranges of the keys of a bucket, and make a part instead of a snapshot: number I, from 0, of N processes that share the backup,
    /// wherever they run. `merge` makes the snapshot when all have ended.
    ///
    /// /N takes the number from JOB_COMPLETION_INDEX (Kubernetes), AWS_BATCH_JOB_ARRAY_INDEX or SLURM_ARRAY_TASK_ID. One that failed is run again alone.
    #[arg(long, value_name = "I/N", value_parser = parse_shard,
        conflicts_with_all = ["skip_if_unchanged", "files_from", "stdin", "stdin_command", "estimate"])]
    shard: Option<ShardWord>,

    /// What the processes that share a backup call it: one name that no other backup has. The id of a Slurm or AWS Batch array without.
    #[arg(long, value_name = "NAME", requires = "shard")]
    group: Option<String>,

    /// End with 0 although entries of the range could not be read: the part has them on record, and `merge` says how many there are.
    #[arg(long, requires = "shard")]
    accept_unreadable: bool,

    /// Only say what would be read.
    #[arg(long)]
    dry_run: bool,

    /// Back up to a repository without encryption: whoever can read its location can read the backups.
    #[arg(long)]
    plaintext: bool,

    /// Verify the repository's structure afterwards.
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,

    #[command(flatten)]
    pub(crate) spending: Spending,

    /// A setting of the sources, as key=value; may be given several times. One of the repository stands before the command.
    #[arg(short = 'o', long = "source-option", value_name = "KEY=VALUE")]
    settings: Vec<SettingWord>,
}

/// Whose metadata a backup reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Metadata {
    /// Of new and changed entries.
    Changed,
    /// Of all entries: one more request each where the listing does not tell it.
    Full,
}

/// Something to back up, and where it is said to be.
enum Target {
    Place(Box<Place>),
    /// The name of the one file.
    Stream(OsString),
}

impl Target {
    fn location(&self) -> String {
        match self {
            Self::Place(place) => place.text(),
            Self::Stream(name) => stream::location(name),
        }
    }
}

/// What all snapshots of a run are made with.
struct Line<'a> {
    session: &'a Session<'a>,
    open: &'a OpenRepository,
    signing_key: Option<SigningKey>,
    selected: &'a Selected,
    shard: Option<Shard>,
}

impl Backup {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let (targets, mut outcome) = self.targets(session)?;
        let selected = self.selecting.read()?;
        let shard = self.shard.map(|shard| shard.of_backup(self.group.as_deref())).transpose()?;
        selected.fit(&targets, session.reporter)?;
        let repository = session.repository_place()?;
        if targets.is_empty() {
            return Ok(outcome.exit());
        }
        let signing_key = session.signing_key(&repository)?;
        let purpose = if self.spending.estimate { StoreUse::Read } else { StoreUse::Write };
        let open = session.open_repository(repository, purpose).await?;
        if self.spending.estimate {
            return self.estimate(&targets, &selected, &open, session).await;
        }
        session.app.require_encryption(&open, self.plaintext)?;
        let line = Line { session, open: &open, signing_key, selected: &selected, shard };
        // What opening the repository cost belongs to the first of the snapshots.
        let mut requests_told = 0;
        for target in &targets {
            let attempt = self.back_up(target, &mut requests_told, &line).await;
            outcome.take(&target.location(), attempt, session)?;
        }
        if !self.dry_run && outcome.is_any_done() {
            keep_configuration(&open, session).await;
        }
        outcome.tell_unmatched(session.reporter);
        let mut exit = outcome.exit();
        if self.check && outcome.is_any_done() {
            exit = exit.max(self.verify(&open.repository, session).await?);
        }
        Ok(exit)
    }

    /// Says what each source would cost.
    async fn estimate(
        &self,
        targets: &[Target],
        selected: &Selected,
        open: &OpenRepository,
        session: &Session<'_>,
    ) -> Result<Exit, Failure> {
        for target in targets {
            let Target::Place(_) = target else {
                return Err(Failure::usage("a stream cannot be estimated: it is as long as it turns out to be"));
            };
            let source = self.open(target, session).await?;
            let options = BackupOptions {
                provenance: source.provenance.clone(),
                component: source.component.clone(),
                ..selected.options(target, self.options(target))?
            };
            spending::tell(estimate::backup(open, &source, &options, &session.run_context()).await?, session);
        }
        Ok(Exit::Done)
    }

    /// What is to be backed up, and what came of those that cannot even be meant.
    fn targets(&self, session: &Session<'_>) -> Result<(Vec<Target>, Outcome), Failure> {
        if let Some(name) = self.streaming.name() {
            if !self.settings.is_empty() {
                return Err(Failure::usage("a stream has no settings").hint("leave -o behind the command out"));
            }
            return Ok((vec![Target::Stream(name.to_owned())], Outcome::of(1)));
        }
        let words = if self.sources.is_empty() { vec![OsString::from(".")] } else { self.sources.clone() };
        if self.source_as.is_some() && words.len() > 1 {
            return Err(Failure::usage("--as gives one name to more than one source")
                .hint("back them up one by one, each with a name of its own"));
        }
        let settings = parse_settings(&self.settings)?;
        let mut outcome = Outcome::of(words.len());
        let mut targets = Vec::new();
        for word in &words {
            match session.other_place(Kind::Source, word, settings.clone()) {
                Ok(place) => targets.push(Target::Place(Box::new(place))),
                Err(failure) => {
                    outcome.take(&word.to_string_lossy(), Err(Attempt::Source(failure)), session)?;
                }
            }
        }
        Ok((targets, outcome))
    }

    /// Makes a snapshot of one source, and tells of it.
    async fn back_up(
        &self,
        target: &Target,
        requests_told: &mut u64,
        line: &Line<'_>,
    ) -> Result<outcome::Done, Attempt> {
        let Line { session, open, signing_key, selected, shard } = line;
        let source = self.open(target, session).await.map_err(Attempt::Source)?;
        let options = BackupOptions {
            provenance: source.provenance.clone(),
            component: source.component.clone(),
            signing_key: signing_key.clone(),
            shard: *shard,
            ..selected.options(target, self.options(target)).map_err(Attempt::Run)?
        };
        let context = session.run_context();
        let report = backup::run(&open.repository, source.connector.clone(), &options, &context).await?;
        let requests = Requests { source: source.requests(), store: open.store.requests() - *requests_told };
        *requests_told = open.store.requests();
        session.reporter.despite(&report.damages, &place_word(&open.place));
        if report.intents_left > 0 {
            session.reporter.note(NOT_DELETED.to_owned());
        }
        if let Some(other) = &report.compared_with {
            let host = self.host.clone().unwrap_or_else(environment::host_name);
            session.reporter.note(source_name::begun_anew(other, &host));
        }
        let done = outcome::Done {
            is_whole: report.errors == 0 || self.accept_unreadable,
            unmatched: report.unmatched.clone(),
        };
        let summary = Summary { report, repository: open.place.text(), requests };
        let reported = session.reporter.done_or_planned(!self.dry_run, &summary);
        reported.map_err(|error| Attempt::Run(error.into()))?;
        Ok(done)
    }

    async fn open(&self, target: &Target, session: &Session<'_>) -> Result<Opened<dyn Source>, Failure> {
        let host = self.host.as_deref();
        Ok(match target {
            Target::Place(place) => session.app.source(place, host).await?,
            Target::Stream(name) => session.app.stream(name, host, self.streaming.stream(&self.sources)?)?,
        })
    }

    fn options(&self, target: &Target) -> BackupOptions {
        BackupOptions {
            location: target.location(),
            tags: self.tag.clone(),
            skip_unchanged: self.skip_if_unchanged,
            reread: self.reread,
            metadata_of_all: self.reread || self.metadata == Metadata::Full,
            dry_run: self.dry_run && !self.spending.estimate,
            host: environment::host_name(),
            host_as: self.host.clone(),
            source_as: self.source_as.clone(),
            user: environment::user_name(),
            compression: self.compression.0,
            ..BackupOptions::default()
        }
    }

    async fn verify(&self, repository: &Repository, session: &Session<'_>) -> Result<Exit, Failure> {
        check::verify(repository, None, session).await
    }
}

/// Keeps in an encrypted repository of the configuration what it takes to set up another machine in the place of this one.
async fn keep_configuration(open: &OpenRepository, session: &Session<'_>) {
    if open.place.label().name.is_none() || !open.repository.config().encrypted {
        return;
    }
    if let Err(error) = bootstrap::keep(&session.app, &open.repository, None).await {
        let what = "the configuration of this machine could not be kept in the repository";
        session.reporter.warning(format!("{what}: {error}"));
    }
}
