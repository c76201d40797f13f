//! Repair: mends what `check` finds, from what is left, and says what is lost.
//!
//! ```text
//! 0 PUT text documents from whichever of their two copies is whole                 `texts`
//!   PUT parity of packs that are whole                                              `parity`
//! 1 look as `check` does, and into the packs that no index segment describes       `survey`, `adopt`
//!   what a snapshot uses whose usage list is damaged follows from its tree         `usage`
//!   PUT the record of what was read                                                `health`
//! 2 copy what can be read of damaged packs into new ones                           `salvage`
//! 3 PUT usage lists                                                                 `publish`
//! 4 PUT intent; PUT index segments: new packs, found packs, damaged ones as moved
//!   with leave: PUT the record of snapshots that are gone                           `gaps`
//! 5 PUT the record that condemns the damaged packs; DELETE what cannot be read; DELETE intent
//! 6 with leave: PUT a snapshot without the lost entries beside each that has some  `replace`
//! ```
//!
//! What decides is listed in two ways that must agree, and no object that the index describes may be there and unlisted.
//!
//! Owned here: that order, which is a repack's: what is published is announced before and needed by snapshots after, and packs
//! are condemned only when their chunks have other places. So it runs beside writers and collectors. A damaged pack is condemned,
//! so that no later backup relies on it: one that finds a lost chunk in its source stores it again, and every snapshot that lost it
//! is whole again. Refused here: deleting packs (`gc`), removing snapshots (`remove`). Called by `cli`.
//!
//! Bound: as `check`; a table of each damaged or undescribed pack (52 bytes a blob), what `write` holds, a usage list for each
//! damaged one, [`PROBLEMS_MAX`](credenza_format::PROBLEMS_MAX) lost entries a snapshot.

mod adopt;
mod forged;
mod gaps;
mod losses;
mod parity;
mod publish;
mod replace;
mod salvage;
mod survey;
mod texts;
mod usage;
mod walk;

use std::collections::HashSet;
use std::sync::Arc;

use credenza_format::{BlobIndex, ObjectKind, Problem, SigningKey, parity_key};
use credenza_model::{SnapshotId, StoreKey};
use serde::{Serialize, Serializer};

use crate::check::undescribed;
use crate::findings::Finding;
use crate::repository::Repository;
use crate::write::Deduplicator;
use crate::{Event, Phase, Result, RunContext, Stop, heed};
use forged::Forged;
use gaps::Gaps;
use parity::Parities;
use survey::Survey;
use texts::Texts;

/// How to repair.
#[derive(Debug, Clone, Default)]
pub struct RepairOptions {
    /// Write what mends; else only say it.
    pub apply: bool,
    /// Look for damage in every byte of every pack, not only in the structure and in packs that are on record as damaged.
    pub read_data: bool,
    /// Write a snapshot of what is left beside each one that lost something.
    pub replace_snapshots: bool,
    /// Delete snapshots that nobody can read any more, and put on record those that are gone without a record: as long as they are missed,
    /// nothing else is removed from the repository.
    pub drop_snapshots: bool,
    /// Name of this machine.
    pub host: String,
    /// Name of the user.
    pub user: String,
    /// Signs the snapshots that are written.
    pub signing_key: Option<SigningKey>,
}

/// Something that is mended, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// A pack that no index segment described is described again.
    Described {
        /// The pack.
        pack: StoreKey,
    },
    /// What could be read of a damaged pack is in new packs, and nobody relies on it any more.
    Replaced {
        /// The damaged pack.
        pack: StoreKey,
        /// Chunks in need that were copied.
        copied: u64,
        /// Chunks in need that are nowhere to be had.
        lost: u64,
    },
    /// What cannot be read is deleted: an index segment or a record of condemned packs, because another says what it said; a key slot or a record of
    /// removal that was not made with the repository's keys; a note, once everything was read; or, with leave, a snapshot.
    Dropped {
        /// The object.
        object: StoreKey,
    },
    /// The config, a key slot or a record of removal, or the second copy of one, is written again from the other; parity from its pack.
    Restored {
        /// What is written.
        object: StoreKey,
    },
    /// The usage list of a snapshot is written again, the same as it was.
    Rewritten {
        /// The list.
        usage: StoreKey,
    },
    /// The snapshots before one in its writer's chain are gone, and that is on record.
    Recorded {
        /// The one that misses them.
        after: StoreKey,
    },
    /// A snapshot of what is left stands beside one that lost something.
    Beside {
        /// The snapshot that lost something. It stays.
        snapshot: SnapshotId,
        /// The new one, if it was written.
        replacement: Option<SnapshotId>,
    },
}

/// As data: the `action`, the `object`, and what belongs to that action.
impl Serialize for Mend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            action: &'static str,
            object: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            chunks_copied: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            chunks_lost: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            replacement: Option<&'a SnapshotId>,
        }
        let (chunks_copied, chunks_lost) = match self {
            Self::Replaced { copied, lost, .. } => (Some(*copied), Some(*lost)),
            _ => (None, None),
        };
        let replacement = match self {
            Self::Beside { replacement, .. } => replacement.as_ref(),
            _ => None,
        };
        Line { action: self.action(), object: self.object(), chunks_copied, chunks_lost, replacement }
            .serialize(serializer)
    }
}

/// What a snapshot has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotLoss {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Entries that are lost or have lost their content.
    pub entries: u64,
    /// The first [`PROBLEMS_MAX`](credenza_format::PROBLEMS_MAX) of them. Entries that were lost with their names stand under the last of these names.
    pub problems: Vec<Problem>,
}

/// What a repair did, or would do. As data: how many `repairs`, `snapshots_damaged`, `entries_lost`, and `damages` that stay.
#[derive(Debug, Clone, Default)]
pub struct RepairReport {
    /// What is mended.
    pub mends: Vec<Mend>,
    /// What snapshots have lost.
    pub losses: Vec<SnapshotLoss>,
    /// Damage that cannot be mended.
    pub lost: Vec<Finding>,
    /// Why what was read could not be put on record, so that later runs may not know of it, or take for damaged what is whole.
    pub unrecorded: Option<String>,
}

impl Serialize for RepairReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line {
            repairs: u64,
            snapshots_damaged: u64,
            entries_lost: u64,
            damages: u64,
        }
        let line = Line {
            repairs: self.mends.len() as u64,
            snapshots_damaged: self.losses.len() as u64,
            entries_lost: self.entries_lost(),
            damages: self.lost.len() as u64,
        };
        line.serialize(serializer)
    }
}

impl RepairReport {
    /// Entries that snapshots have lost, each once a snapshot.
    #[must_use]
    pub fn entries_lost(&self) -> u64 {
        self.losses.iter().map(|loss| loss.entries).sum()
    }
}

/// Repairs a repository.
///
/// # Errors
/// When the store cannot be read or written; with the keys of a writer; [`Error::ListingsDisagree`](crate::Error::ListingsDisagree) and
/// [`Error::LateListings`](crate::Error::LateListings) where what is missing may only not be shown; [`Error::Cancelled`](crate::Error::Cancelled) when it was
/// to stop: what is mended stays so.
pub async fn run(repository: &Repository, options: &RepairOptions, run: &RunContext) -> Result<RepairReport> {
    let _heeding = run.stop.heeding();
    let repository = repository.heeding(&run.stop);
    heed::end(&run.stop, Box::pin(repair(&repository, options, run)).await)
}

async fn repair(repository: &Repository, options: &RepairOptions, run: &RunContext) -> Result<RepairReport> {
    let listener = &*run.events;
    repository.require_reading("repairing")?;
    if options.apply && options.replace_snapshots {
        // What is put beside a snapshot is one of the repository's own.
        repository.require_primary("replacing snapshots")?;
    }
    if options.apply {
        repository.require_prompt_listings().await?;
    }
    let survey = Survey::read(&repository.cautious(), options, listener).await?;
    listener.on(Event::Phase { phase: Phase::Repairing });
    let texts = Texts::read(repository).await?;
    let mut forged = Forged::find(repository).await?;
    if options.apply {
        texts.write(repository).await?;
        forged.drop(&**repository.bare_store()).await?;
    }
    let writer = repository.writer(&options.host, &options.user);
    let gaps = match options.drop_snapshots {
        true => Some(Gaps::find(repository, &survey).await?),
        false => None,
    };
    let dedup = match options.apply {
        true => Some(Deduplicator::begin(repository, Arc::new(BlobIndex::new()), writer).await?),
        false => None,
    };
    let given = (&texts, &forged, gaps.as_ref(), dedup.as_ref());
    let mended = Box::pin(mend(repository, survey, given, options, &run.stop)).await;
    if mended.is_err()
        && let Some(dedup) = &dedup
    {
        dedup.packs().abandon().await;
    }
    mended
}

/// Mends what a survey has found; with nowhere to put what is salvaged, it only says what would be done.
async fn mend(
    repository: &Repository,
    mut survey: Survey,
    (texts, forged, gaps, dedup): (&Texts, &Forged, Option<&Gaps>, Option<&Arc<Deduplicator>>),
    options: &RepairOptions,
    stop: &Stop,
) -> Result<RepairReport> {
    let mut report = RepairReport::default();
    let salvaged = salvage::run(repository, &survey, dedup).await?;
    let mut parities = Parities::find(repository, &survey, &salvaged)?;
    if options.apply {
        parities.write(repository).await?;
        // They were made of packs that are whole.
        survey.whole.extend(parities.packs());
    }
    report.unrecorded = record(repository, &mut survey).await.err().map(|cause| cause.to_string());
    report.losses = losses::find(repository, &survey, &salvaged).await?;
    report.mends.extend(publish::foreseen(&survey, &salvaged));
    report.mends.extend(
        survey.rebuilt.iter().filter(|rebuilt| rebuilt.exact).map(|rebuilt| Mend::Rewritten { usage: rebuilt.key() }),
    );
    report.mends.extend(gaps.into_iter().flat_map(Gaps::mends));
    if let Some(dedup) = dedup.filter(|_| !report.mends.is_empty()) {
        if let Some(gaps) = gaps {
            gaps.record(repository, options.signing_key.as_ref()).await?;
        }
        let published = publish::run(repository, &survey, &salvaged, dedup).await;
        dedup.record().withdraw_intents().await;
        published?;
    }
    report.mends.extend(texts.mends().chain(forged.mends()));
    report.mends.extend(parities.mends());
    if options.replace_snapshots {
        report.mends.extend(replace::run(repository, &survey, &report.losses, options, stop).await?);
    }
    // What was read by parity is among the findings.
    drop((repository.take_healed(), repository.take_spared()));
    let is_brought = report.losses.is_empty() && salvaged.lost.is_empty() && !salvaged.brought.is_empty();
    // Chunks that no pack held any more are among those findings; with all segments whole, each was of a pack that is replaced.
    let is_index_whole = !survey.findings.iter().any(survey::is_of_index);
    report.lost = lost(survey.findings, &report.mends);
    report.lost.retain(|finding| !(is_brought && is_index_whole && finding.damage.is_of_unknown_chunk()));
    Ok(report)
}

/// Puts on record what was read. That is done before anything is mended: what is mended is asked for no more.
async fn record(repository: &Repository, survey: &mut Survey) -> Result<()> {
    let damages = survey.findings.iter().map(|finding| &finding.damage);
    survey.health.record(repository, damages, &survey.whole).await
}

/// The findings that are still true when all is mended.
fn lost(findings: Vec<Finding>, mends: &[Mend]) -> Vec<Finding> {
    let mended: HashSet<String> = mends.iter().flat_map(Mend::objects).collect();
    findings.into_iter().filter(|finding| !mended.contains(&finding.damage.object)).collect()
}

impl Mend {
    /// What is done.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Described { .. } => "describe",
            Self::Replaced { .. } => "salvage",
            Self::Dropped { .. } => "drop",
            Self::Restored { .. } => "restore",
            Self::Rewritten { .. } => "rewrite",
            Self::Recorded { .. } => "record",
            Self::Beside { .. } => "replace",
        }
    }

    /// What it is done to, by its name in the store.
    #[must_use]
    pub fn object(&self) -> String {
        match self {
            Self::Described { pack } | Self::Replaced { pack, .. } => pack.to_string(),
            Self::Dropped { object } | Self::Restored { object } => object.to_string(),
            Self::Rewritten { usage } => usage.to_string(),
            Self::Recorded { after } => after.to_string(),
            Self::Beside { snapshot, .. } => format!("snapshot/{snapshot}"),
        }
    }

    /// What is whole or needed no more by it, as `check` names it.
    fn objects(&self) -> Vec<String> {
        let parity = |pack: &StoreKey| ObjectKind::parse(pack).map(|(_, id)| parity_key(id).to_string());
        match self {
            Self::Described { pack } => ObjectKind::parse(pack).map(|(_, id)| undescribed(&id)).into_iter().collect(),
            Self::Replaced { pack, lost: 0, .. } => [pack.to_string()].into_iter().chain(parity(pack)).collect(),
            Self::Replaced { pack, .. } => parity(pack).into_iter().collect(),
            Self::Dropped { object } | Self::Restored { object } => vec![object.to_string()],
            Self::Rewritten { usage } => vec![usage.to_string()],
            Self::Recorded { after } => vec![after.to_string()],
            Self::Beside { .. } => Vec::new(),
        }
    }
}
