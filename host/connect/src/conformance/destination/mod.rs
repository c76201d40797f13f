//! The cases of a destination: `write` has those of contents, `entries` those of folders, links, metadata and names.

mod entries;
mod model;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{AttributeValue, Entry, EntryKind, Key};

use super::{
    Case, CaseResult, Choice, Listed, OPENS, OrSay, Told, ensure, ensure_described, ensure_well, given, open_and_run,
};
use crate::{Destination, Payload, Result, Writer};

/// Makes destinations to test, and looks into them by another way than theirs.
#[async_trait]
pub trait DestinationBed: Send + Sync {
    /// A destination that holds nothing, independent of those made before.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    async fn fresh(&self) -> Result<Arc<dyn Destination>>;

    /// The bytes that the destination made last holds under a key; `None` when there is no such file.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>>;

    /// The keys of all files that the destination made last holds; `None` where the bed cannot tell.
    ///
    /// # Errors
    /// Whatever keeps it from being looked into.
    async fn held(&self) -> Result<Option<Vec<Key>>> {
        Ok(None)
    }

    /// All contents that the destination made last was given under a key, oldest first; `None` where the bed cannot tell.
    ///
    /// # Errors
    /// Whatever keeps it from being looked into.
    async fn versions(&self, _key: &Key) -> Result<Option<Vec<Bytes>>> {
        Ok(None)
    }

    /// Whether keys that are not UTF-8 can be held (S3 cannot).
    fn holds_any_bytes(&self) -> bool {
        true
    }

    /// Whether a key can be held at all, where a provider takes less than its kind of namespace could.
    fn holds(&self, _key: &Key) -> bool {
        true
    }

    /// The longest key that can be held (S3: 1,024 bytes, less the prefix of the location).
    fn key_bytes_max(&self) -> usize {
        1024
    }
}

type Bed = dyn DestinationBed;

/// Runs the chosen cases of a destination; a seed alone chooses all.
pub async fn destination(bed: &(dyn DestinationBed + 'static), choice: impl Into<Choice>) -> Vec<CaseResult> {
    let claims = async {
        let info = bed.fresh().await?.info().await?;
        Ok([info.traits, vec![info.namespace]].concat())
    };
    open_and_run(bed, &choice.into(), OPEN, claims, CASES).await
}

pub(super) fn catalogue() -> Vec<Listed> {
    [&[OPEN][..], &CASES.iter().map(Case::listed).collect::<Vec<_>>()].concat()
}

const OPEN: Listed = Listed { id: "destination.open", why: OPENS, needs: None };

const CASES: &[Case<Bed>] = &[
    Case::new(
        "destination.info",
        "a destination is known by its identity; what it claims, it claims once",
        |bed, _| Box::pin(info(bed)),
    ),
    Case::new("destination.check.well", "the self-test of a place where all is well says so", |bed, _| {
        Box::pin(check(bed))
    }),
    Case::new("destination.check.leaves-nothing", "a self-test leaves no file behind", |bed, _| {
        Box::pin(check_leaves_nothing(bed))
    }),
    Case::new("destination.write.small", "what is restored is what was written", |bed, seed| {
        Box::pin(write::back(bed, seed, 1))
    }),
    Case::new("destination.write.empty", "an empty file is restored as one", |bed, seed| {
        Box::pin(write::back(bed, seed, 0))
    }),
    Case::new("destination.write.large", "a file of several megabytes is restored whole", |bed, seed| {
        Box::pin(write::back(bed, seed, (2 << 20) + 5))
    }),
    Case::new("destination.write.parts", "parts are put together in their order", |bed, seed| {
        Box::pin(write::parts(bed, seed, 2, 100))
    }),
    Case::new("destination.write.whole-parts", "the last part may be as long as the others", |bed, seed| {
        Box::pin(write::parts(bed, seed, 1, u64::MAX))
    }),
    Case::new("destination.write.one-part", "what fits one part needs no other", |bed, seed| {
        Box::pin(write::parts(bed, seed, 0, u64::MAX))
    }),
    Case::new("destination.write.side-by-side", "files that are written at the same time do not mix", |bed, seed| {
        Box::pin(write::side_by_side(bed, seed))
    }),
    Case::new("destination.stat.missing", "the overwrite policy needs to know what is not there", |bed, _| {
        Box::pin(write::stat_missing(bed))
    }),
    Case::new("destination.stat.file", "the overwrite policy needs to know what is there", |bed, _| {
        Box::pin(write::stat_file(bed))
    }),
    Case::new("destination.stat.size", "the size told is that of the file, also after it was replaced", |bed, _| {
        Box::pin(write::stat_size(bed))
    }),
    Case::new("destination.no-overwrite.refuses", "nothing that was there is lost unless asked", |bed, _| {
        Box::pin(write::no_overwrite(bed))
    }),
    Case::new("destination.no-overwrite.keeps", "a file that may not be replaced keeps its content", |bed, _| {
        Box::pin(write::no_overwrite_keeps(bed))
    }),
    Case::new("destination.overwrite.shorter", "overwriting replaces the whole content", |bed, _| {
        Box::pin(write::overwrite(bed, b"a longer first content", b"second"))
    }),
    Case::new("destination.overwrite.longer", "overwriting adds nothing to what was there", |bed, _| {
        Box::pin(write::overwrite(bed, b"first", b"a longer second content"))
    }),
    Case::new("destination.overwrite.empty", "an empty file replaces another", |bed, _| {
        Box::pin(write::overwrite(bed, b"first", b""))
    }),
    Case::new("destination.overwrite.nothing", "with leave to overwrite what is not there is made", |bed, _| {
        Box::pin(write::overwrite_nothing(bed))
    }),
    Case::new("destination.finish.new", "a restore that dies leaves no file that looks whole", |bed, _| {
        Box::pin(write::atomic_new(bed))
    })
    .needing("atomic-finish"),
    Case::new("destination.finish.old", "a restore that dies leaves the file that it was to replace", |bed, _| {
        Box::pin(write::atomic_old(bed))
    })
    .needing("atomic-finish"),
    Case::new("destination.abort.nothing-left", "what is given up leaves nothing behind", |bed, _| {
        Box::pin(write::abort(bed))
    }),
    Case::new(
        "destination.abort.unwritten",
        "what is given up before its first byte leaves nothing behind",
        |bed, _| Box::pin(write::abort_unwritten(bed)),
    ),
    Case::new("destination.abort.old", "what is given up leaves the file that it was to replace", |bed, _| {
        Box::pin(write::abort_old(bed))
    })
    .needing("atomic-finish"),
    Case::new("destination.abort.again", "what was given up can be written after all", |bed, _| {
        Box::pin(write::abort_again(bed))
    }),
    Case::new("destination.folders.complete", "a folder is complete at once, and may be there already", |bed, _| {
        Box::pin(entries::folders(bed))
    }),
    Case::new(
        "destination.folders.implied",
        "files come back whether or not their folders were restored first",
        |bed, _| Box::pin(entries::implied_folders(bed)),
    ),
    Case::new("destination.folders.after", "a folder that comes after its files leaves them alone", |bed, _| {
        Box::pin(entries::folders_after(bed))
    }),
    Case::new("destination.symlinks.targets", "a link comes back as a link, wherever it points", |bed, _| {
        Box::pin(entries::symlinks(bed))
    })
    .needing("symlinks"),
    Case::new("destination.symlinks.unsupported", "who has no links says so", |bed, _| {
        Box::pin(entries::no_symlinks(bed))
    })
    .needing("!symlinks"),
    Case::new("destination.metadata.each", "each entry has its answer", |bed, _| Box::pin(entries::metadata_each(bed))),
    Case::new("destination.metadata.none", "no entries have no answers", |bed, _| {
        Box::pin(entries::metadata_none(bed))
    }),
    Case::new("destination.metadata.time", "a time that was not set is reported", |bed, _| {
        Box::pin(entries::metadata_time(bed))
    }),
    Case::new("destination.metadata.content", "metadata leaves contents alone", |bed, _| {
        Box::pin(entries::metadata_content(bed))
    }),
    Case::new("destination.metadata.names", "only attributes that the entry has are reported as lost", |bed, _| {
        Box::pin(entries::metadata_names(bed))
    }),
    Case::new("destination.metadata.http", "attributes that are claimed come back", |bed, _| {
        Box::pin(entries::claimed(bed, "http.content-type", text("text/x-credenza-kit")))
    })
    .needing("attributes:http"),
    Case::new("destination.metadata.not-http", "attributes that cannot come back are reported as lost", |bed, _| {
        Box::pin(entries::unclaimed(bed, "http.content-language", text("tlh")))
    })
    .needing("!attributes:http"),
    Case::new("destination.metadata.posix", "the mode of a file that is claimed comes back", |bed, _| {
        Box::pin(entries::claimed(bed, "posix.mode", MODE))
    })
    .needing("attributes:posix"),
    Case::new("destination.metadata.not-posix", "a mode that cannot come back is reported as lost", |bed, _| {
        Box::pin(entries::unclaimed(bed, "posix.mode", MODE))
    })
    .needing("!attributes:posix"),
    Case::new("destination.metadata.s3", "attributes of S3 that are claimed come back", |bed, _| {
        Box::pin(entries::claimed(bed, "s3.website-redirect", text("/kit")))
    })
    .needing("attributes:s3"),
    Case::new(
        "destination.metadata.not-s3",
        "attributes of S3 that cannot come back are reported as lost",
        |bed, _| Box::pin(entries::unclaimed(bed, "s3.website-redirect", text("/kit"))),
    )
    .needing("!attributes:s3"),
    Case::new("destination.history.kept", "versions that are restored one after the other are all kept", |bed, _| {
        Box::pin(write::versions_kept(bed))
    })
    .needing("history"),
    Case::new("destination.history.deleted", "a version that is a deletion hides what was there", |bed, _| {
        Box::pin(write::version_deleted(bed))
    })
    .needing("history"),
    Case::new("destination.removal.file", "what is told to be deleted is gone, and may be gone already", |bed, _| {
        Box::pin(write::removed(bed))
    })
    .needing("removal"),
    Case::new("destination.removal.folder", "a folder is removed only when nothing lies in it", |bed, _| {
        Box::pin(write::folder_removed(bed))
    })
    .needing("removal"),
    Case::new("destination.keys.hard", "keys that look alike are restored as different files, or refused", |bed, _| {
        Box::pin(entries::hard(bed))
    }),
    Case::new("destination.keys.found", "what was restored is found under its key", |bed, _| {
        Box::pin(entries::hard_found(bed))
    }),
    Case::new("destination.keys.raw", "who takes every key refuses none", |bed, _| Box::pin(entries::raw(bed)))
        .needing("raw-names"),
    Case::new("destination.keys.paths", "names of files that look alike are different files, or refused", |bed, _| {
        Box::pin(entries::hard_paths(bed))
    }),
    Case::new("model.destination", "random restores agree with a map in memory", |bed, seed| {
        Box::pin(model::model(bed, seed))
    }),
];

/// Not the mode that a file gets by itself.
const MODE: AttributeValue = AttributeValue::Integer(0o640);

fn text(text: &str) -> AttributeValue {
    AttributeValue::Text(text.to_owned())
}

async fn info(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    let (first, again) = (destination.info().await.or_say("info")?, destination.info().await.or_say("info")?);
    ensure_described((&first.identity, &first.traits), (&again.identity, &again.traits))?;
    ensure(["flat", "tree"].contains(&first.namespace.as_str()), || format!("its namespace is `{}`", first.namespace))
}

async fn check(bed: &Bed) -> Told {
    ensure_well(&fresh(bed).await?.check().await)
}

async fn check_leaves_nothing(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    destination.check().await;
    let held = given(bed.held().await.or_say("looking into the destination")?, "nothing else can look into it")?;
    ensure(held.is_empty(), || format!("the self-test left {held:?} behind"))
}

pub(super) fn file(key: &str) -> Entry {
    Entry::new(Key::from(key), EntryKind::File)
}

pub(super) async fn fresh(bed: &Bed) -> Told<Arc<dyn Destination>> {
    bed.fresh().await.or_say("making a destination")
}

pub(super) async fn begin(destination: &dyn Destination, entry: &Entry, overwrite: bool) -> Told<Box<dyn Writer>> {
    let writer = destination.create(entry, overwrite).await.or_say(&format!("creating `{}`", entry.key))?;
    writer.ok_or_else(|| format!("`{}` is a file and got no writer", entry.key).into())
}

/// Writes in parts of the size that the destination wants, and answers the attributes that are lost.
pub(super) async fn write(
    destination: &dyn Destination,
    entry: &Entry,
    bytes: &[u8],
    overwrite: bool,
) -> Told<Vec<String>> {
    let mut writer = begin(destination, entry, overwrite).await?;
    let part_bytes = usize::try_from(writer.part_bytes().unwrap_or(1 << 20)).unwrap_or(usize::MAX).max(1);
    let mut left = bytes;
    while let Some((part, rest)) = left.split_at_checked(part_bytes).filter(|(_, rest)| !rest.is_empty()) {
        writer.write(Payload::from(part.to_vec())).await.or_say("write")?;
        left = rest;
    }
    writer.finish(Payload::from(left.to_vec())).await.or_say(&format!("finishing `{}`", entry.key))
}

pub(super) async fn expect_bytes(bed: &Bed, key: &Key, expected: &[u8]) -> Told {
    match bed.bytes(key).await.or_say("looking into the destination")? {
        Some(bytes) if bytes == expected => Ok(()),
        Some(bytes) => Err(format!("`{key}` holds other bytes than were written ({})", bytes.len()).into()),
        None => Err(format!("`{key}` is not there").into()),
    }
}
