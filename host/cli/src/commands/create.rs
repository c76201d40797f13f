//! `create`: a new repository.

use std::fmt::{self, Display};
use std::sync::Arc;

use clap::Args;
use credenza_app::guarantees::{self, Guarantee};
use credenza_app::{Kind, Place, StoreUse, usual_options};
use credenza_engine::replica::{self, KeepOptions};
use credenza_engine::{CreateOptions, Repository, Secret};
use credenza_format::{ChunkerParams, ParityRate};
use credenza_model::RepositoryId;
use serde::Serialize;

use super::compression::{Compression, parse_compression};
use super::sizes::{parse_days, parse_parity};
use super::{Session, guarantees as lines, key};
use crate::failure::{Exit, Failure};
use crate::passphrase;
use crate::report::printable;
use crate::settings::{SettingWord, parse_settings};
use credenza_app::shell::place_word;

/// The name of the slot of a recovery code made with it.
const RECOVERY_LABEL: &str = "recovery";

/// Make a new repository.
///
/// It is encrypted with a passphrase, without which nobody, you included, can read it: keep a copy of the passphrase apart from this machine.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Do not encrypt: whoever can read the location can read the backups.
    #[arg(long)]
    plaintext: bool,

    /// Accept a passphrase that is easy to guess.
    #[arg(long, conflicts_with = "plaintext")]
    weak_passphrase: bool,

    /// Also make a recovery code and print it, once.
    #[arg(long, conflicts_with = "plaintext")]
    recovery_code: bool,

    /// Make it although the folder or the bucket's prefix holds other things. They stay as they are; `check` and `audit` name them each time.
    #[arg(long)]
    beside_others: bool,

    /// Share the ids of chunks with this repository, so that `sync` between the two costs least; its chunk size is taken too. A
    /// folder, a location such as s3://host/bucket, or @name of a repository.
    #[arg(long, value_name = "OTHER")]
    like: Option<std::ffi::OsString>,

    /// Make it a replica of the repository that --like names: it takes snapshots from there by `sync` or a replication, and refuses backups until `promote`.
    #[arg(long, requires = "like")]
    replica: bool,

    /// Average size of a chunk in KiB; smaller ones find more that is the same, larger ones make a smaller index.
    #[arg(long, value_name = "KIB", default_value_t = 32, conflicts_with = "like", value_parser = clap::value_parser!(u32).range(4..=4096))]
    chunk_size: u32,

    /// How hard backups compress that do not say it themselves: a level of zstd from 1 to 19, or none, fast (1), better (7) or max (19).
    #[arg(long, value_name = "LEVEL", default_value = "default", value_parser = parse_compression)]
    compression: Compression,

    /// Lock every snapshot and all that it needs for this time against everybody, yourself included: a number and d, w, m (30 days) or y. The
    /// store must be able to; a bucket must have been made with Object Lock.
    #[arg(long, value_name = "DURATION", value_parser = parse_days)]
    retain: Option<u32>,

    /// Put parity beside each pack, so that what is damaged of one, up to this share (1% to 50%), is made good without another copy. Costs that
    /// share of space, and at least a segment of 64 KiB a pack; stays as it is chosen here.
    #[arg(long, value_name = "SHARE", value_parser = parse_parity)]
    parity: Option<ParityRate>,

    /// A setting of the repository, as key=value; may be given several times.
    #[arg(short = 'o', value_name = "KEY=VALUE")]
    settings: Vec<SettingWord>,

    /// A setting of the repository that --like names, as key=value; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", requires = "like")]
    like_option: Vec<SettingWord>,
}

/// What was made.
#[derive(Serialize)]
#[serde(tag = "type", rename = "created")]
struct CreatedLine {
    repository: RepositoryId,
    location: String,
    encrypted: bool,
    traits: Vec<String>,
    /// What the store guarantees and what it does not.
    guarantees: Vec<Guarantee>,
    /// What else cannot be relied on there.
    caveats: Vec<String>,
    retain_days: Option<u32>,
    parity_percent: Option<u32>,
    replica_of: Option<RepositoryId>,
}

impl Display for CreatedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.encrypted { "encrypted" } else { "plain text" };
        write!(f, "created repository {} in {} ({kind})", self.repository, printable(&self.location))?;
        f.write_str("\nthe store was tried:")?;
        self.guarantees.iter().try_for_each(|guarantee| write!(f, "\n  {}", lines::line(guarantee)))?;
        self.caveats.iter().try_for_each(|caveat| write!(f, "\n  note      {}", printable(caveat)))?;
        self.retain_days.map_or(Ok(()), |days| write!(f, "\n  {}", lines::of_locks(days)))?;
        let replica =
            |origin| write!(f, "\nit is a replica of repository {origin}: it takes no backups until it is promoted");
        self.replica_of.map_or(Ok(()), replica)?;
        let parity =
            |percent| write!(f, "\neach pack has parity: what is damaged of one, up to {percent}% of it, is made good");
        self.parity_percent.map_or(Ok(()), parity)
    }
}

impl Create {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let (place, other) = self.places(session)?;
        let like = match other {
            Some(other) => Some(session.open_other(other, StoreUse::Read, self.plaintext).await?.repository),
            None => None,
        };
        let secret = match self.plaintext {
            true => Secret::None,
            false => self.secret(session, &place).await?,
        };
        let usual = usual_options(secret.clone());
        let options = CreateOptions {
            like: like.as_ref().map(Repository::content_keys),
            chunker: like.as_ref().map_or_else(|| self.chunker(), |like| Ok(like.config().chunker.params))?,
            compression: self.compression.0.unwrap_or(usual.compression),
            retain_days: self.retain,
            parity: self.parity,
            ..usual
        };
        let (created, store) = session.app.create_repository(&place, &options, self.beside_others).await?;
        if let Some(origin) = like.as_ref().filter(|_| self.replica) {
            let replica = Repository::open(Arc::clone(&store.connector), &secret, None).await?;
            replica::keep_heads(origin, &replica, &KeepOptions::default()).await?;
        }
        session.reporter.done(&CreatedLine {
            repository: created.repository,
            location: place.text(),
            encrypted: !self.plaintext,
            guarantees: guarantees::of(&created.traits),
            retain_days: self.retain,
            parity_percent: self.parity.map(ParityRate::percent),
            caveats: created.caveats,
            replica_of: like.as_ref().filter(|_| self.replica).map(|origin| origin.config().repository),
            traits: created.traits,
        });
        if self.recovery_code {
            let repository = Repository::open(store.connector, &secret, None).await?;
            key::add_recovery_code(&repository, RECOVERY_LABEL, session).await?;
        } else if !self.plaintext {
            session.reporter.note(format!(
                "note: a recovery code on paper opens it when the passphrase is lost: credenza at {} key add --recovery-code",
                place_word(&place)
            ));
        }
        Ok(Exit::Done)
    }

    /// The new repository, and the one that it is to be like.
    fn places(&self, session: &Session<'_>) -> Result<(Place, Option<Place>), Failure> {
        let behind = parse_settings(&self.settings)?;
        let mut place = session.repository_place()?;
        place.settings.extend(behind);
        let like = self
            .like
            .as_ref()
            .map(|other| session.other_place(Kind::Repository, other, parse_settings(&self.like_option)?));
        Ok((place, like.transpose()?))
    }

    /// From a quarter of the average to twice it, as in the default.
    fn chunker(&self) -> Result<ChunkerParams, Failure> {
        let avg = self.chunk_size.saturating_mul(1024);
        ChunkerParams::new(avg / 4, avg, avg.saturating_mul(2))
            .map_err(|cause| Failure::usage(format!("--chunk-size {}: {cause}", self.chunk_size)))
    }

    async fn secret(&self, session: &Session<'_>, place: &Place) -> Result<Secret, Failure> {
        let secret = match session.secret(place)? {
            Secret::None if passphrase::can_ask() => Secret::Passphrase(passphrase::ask_new(&place.text()).await?),
            Secret::None => return Err(no_passphrase()),
            provided => provided,
        };
        if let Secret::Passphrase(passphrase) = &secret {
            passphrase::accept(passphrase, self.weak_passphrase, session.reporter)?;
        }
        Ok(secret)
    }
}

fn no_passphrase() -> Failure {
    Failure::new("a new repository needs a passphrase, and none is given").exit(Exit::WrongPassphrase).hint(
        "set CREDENZA_PASSPHRASE, use --passphrase-file or --passphrase-cmd, run this on a terminal, or choose --plaintext",
    )
}
