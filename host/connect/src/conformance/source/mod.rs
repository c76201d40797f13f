//! The cases of a source: `scan` has those of what is reported, `read` those of what is opened, `time` those of what was there before.

mod model;
mod read;
mod scan;
mod time;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{Entry, EntryKind, Key};

use super::keys::tree_keys;
use super::{
    Case, CaseResult, Choice, Listed, Miss, OPENS, OrSay, Told, ensure, ensure_described, ensure_well, open_and_run,
};
use crate::{Batches, ByteRange, Found, Result, ScanOptions, Source};

/// Makes sources to test, and changes what is in them.
#[async_trait]
pub trait SourceBed: Send + Sync {
    /// A source that holds exactly these objects, and whatever folders they need.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>>;

    /// Gives an object of the source made last another content, of any length; makes it, where it is not there.
    ///
    /// # Errors
    /// Whatever keeps it from being changed.
    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()>;

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

type Bed = dyn SourceBed;

/// Runs the chosen cases of a source; a seed alone chooses all.
pub async fn source(bed: &(dyn SourceBed + 'static), choice: impl Into<Choice>) -> Vec<CaseResult> {
    let claims = async {
        let info = bed.filled(&[]).await?.info().await?;
        Ok([info.traits, vec![info.namespace]].concat())
    };
    open_and_run(bed, &choice.into(), OPEN, claims, CASES).await
}

pub(super) fn catalogue() -> Vec<Listed> {
    [&[OPEN][..], &CASES.iter().map(Case::listed).collect::<Vec<_>>()].concat()
}

const OPEN: Listed = Listed { id: "source.open", why: OPENS, needs: None };

const CASES: &[Case<Bed>] = &[
    Case::new(
        "source.info",
        "runs of one source are one history by its identity; what it claims, it claims once",
        |bed, _| Box::pin(info(bed)),
    ),
    Case::new("source.check", "the self-test of a place where all is well says so", |bed, _| Box::pin(check(bed))),
    Case::new("source.now", "a source tells its clock where it claims history, and else may have none", |bed, _| {
        Box::pin(now(bed))
    }),
    Case::new("source.scan.all", "every object is listed, and nothing else", |bed, _| Box::pin(scan::all(bed))),
    Case::new("source.scan.empty", "an empty source has an empty listing, which is no failure", |bed, _| {
        Box::pin(scan::empty(bed))
    }),
    Case::new("source.scan.once", "no entry is reported twice where nothing changes", |bed, _| {
        Box::pin(scan::once(bed))
    }),
    Case::new("source.scan.size", "a stated size is that of the content", |bed, _| Box::pin(scan::sizes(bed))),
    Case::new("source.scan.attributes", "names of attributes are sorted, and each is there once", |bed, _| {
        Box::pin(scan::attributes(bed))
    }),
    Case::new("source.scan.folders", "the key of a folder ends in `/`, and nothing else is a folder", |bed, _| {
        Box::pin(scan::folders(bed))
    }),
    Case::new("source.scan.objects", "a bucket has objects and no folders", |bed, _| Box::pin(scan::objects(bed)))
        .needing("flat"),
    Case::new("source.scan.again", "a second scan finds the same in the same order", |bed, _| {
        Box::pin(scan::again(bed))
    }),
    Case::new("source.scan.side-by-side", "scans that run at the same time do not disturb each other", |bed, _| {
        Box::pin(scan::side_by_side(bed))
    }),
    Case::new("source.scan.given-up", "a scan that is given up costs later ones nothing", |bed, _| {
        Box::pin(scan::given_up(bed))
    }),
    Case::new("source.scan.thousand", "a listing of several pages of the remote is joined without a gap", |bed, _| {
        Box::pin(scan::thousand(bed))
    }),
    Case::new("source.batch.of-one", "batches of one entry join to the whole", |bed, _| {
        Box::pin(scan::batches(bed, 1))
    }),
    Case::new("source.batch.of-two", "batches of two entries join to the whole", |bed, _| {
        Box::pin(scan::batches(bed, 2))
    }),
    Case::new("source.batch.of-two-thousand", "a batch may be asked for that is larger than any page", |bed, _| {
        Box::pin(scan::batches(bed, 2000))
    }),
    Case::new("source.order", "an incremental run is a merge of two sorted streams", |bed, _| {
        Box::pin(scan::ordered(bed))
    })
    .needing("ordered-scan"),
    Case::new("source.start-after.entry", "a scan begins behind an entry that is there", |bed, _| {
        Box::pin(scan::start_after_entry(bed))
    })
    .needing("start-after"),
    Case::new("source.start-after.between", "a scan begins behind a key that is not there", |bed, _| {
        Box::pin(scan::start_after_other(bed))
    })
    .needing("start-after"),
    Case::new("source.start-after.prefix", "a beginning and a prefix hold together", |bed, _| {
        Box::pin(scan::start_after_in_prefix(bed))
    })
    .needing("start-after"),
    Case::new("source.prefix.bytes", "a prefix is bytes, not segments of a path", |bed, _| {
        Box::pin(scan::prefix(bed, &["", "b", "b/c", "b/c/e/f", "ca"]))
    }),
    Case::new("source.prefix.folder", "a prefix may be a folder with all below it", |bed, _| {
        Box::pin(scan::prefix(bed, &["b/", "b/c/", "b/c/e/", "z/"]))
    }),
    Case::new("source.prefix.nothing", "a prefix that nothing has finds nothing, which is no failure", |bed, _| {
        Box::pin(scan::prefix(bed, &["x", "b//", "a/", "b/c/d/", "zz/top"]))
    }),
    Case::new("source.one-level.root", "browsing shows what lies at the top, and folders for the rest", |bed, _| {
        Box::pin(scan::one_level(bed, &["", "b", "x"]))
    }),
    Case::new("source.one-level.folder", "browsing shows what lies in a folder", |bed, _| {
        Box::pin(scan::one_level(bed, &["b/", "b/c", "b/c/", "a/", "b//"]))
    }),
    Case::new("source.read.small", "what is read is what is there", |bed, seed| Box::pin(read::whole(bed, seed, 1))),
    Case::new("source.read.empty", "an empty object is read as one", |bed, seed| Box::pin(read::whole(bed, seed, 0))),
    Case::new("source.read.large", "an object of several megabytes comes whole", |bed, seed| {
        Box::pin(read::whole(bed, seed, (3 << 20) + 7))
    }),
    Case::new(
        "source.read.entry",
        "a read describes the entry that was asked for, and the size of the whole",
        |bed, _| Box::pin(read::entry(bed)),
    ),
    Case::new("source.read.again", "an object is read as often as somebody asks", |bed, seed| {
        Box::pin(read::again(bed, seed))
    }),
    Case::new("source.read.side-by-side", "reads at the same time do not mix their bytes", |bed, seed| {
        Box::pin(read::side_by_side(bed, seed))
    }),
    Case::new("source.read.given-up", "a body that nobody reads to its end costs later reads nothing", |bed, seed| {
        Box::pin(read::given_up(bed, seed))
    }),
    Case::new("source.read.missing", "an object that vanished is told apart from one that cannot be read", |bed, _| {
        Box::pin(read::missing(bed, &["b/missing", "missing", "none/missing"]))
    }),
    Case::new("source.read.below-a-file", "below a file there is nothing", |bed, _| {
        Box::pin(read::missing(bed, &["a/below-a-file"]))
    }),
    Case::new("source.range.inside", "a read that broke off goes on where it stopped", |bed, seed| {
        Box::pin(read::ranges(bed, seed, &[(0, Some(1)), (17, Some(4096)), (9999, Some(1)), (0, Some(10_000))]))
    })
    .needing("ranged-read"),
    Case::new("source.range.to-the-end", "a range without a length ends with the object", |bed, seed| {
        Box::pin(read::ranges(bed, seed, &[(5000, None), (9999, None), (0, None)]))
    })
    .needing("ranged-read"),
    Case::new("source.range.past-the-end", "a range that reaches past the end yields what there is", |bed, seed| {
        Box::pin(read::ranges(bed, seed, &[(9000, Some(5000)), (9999, Some(1 << 40))]))
    })
    .needing("ranged-read"),
    Case::new("source.range.entry", "the size of a part is not reported as that of the whole", |bed, seed| {
        Box::pin(read::range_entry(bed, seed))
    })
    .needing("ranged-read"),
    Case::new("source.range.nothing", "a range of no bytes yields none, or is refused", |bed, seed| {
        Box::pin(read::nothing(bed, seed))
    })
    .needing("ranged-read"),
    Case::new("source.range.unsupported", "who cannot read a part says so, instead of other bytes", |bed, seed| {
        Box::pin(read::unranged(bed, seed))
    })
    .needing("!ranged-read"),
    Case::new("source.fingerprint.there", "every file has one, the same in each scan", |bed, _| {
        Box::pin(read::fingerprint_there(bed))
    })
    .needing("fingerprints"),
    Case::new("source.fingerprint.changes", "equal fingerprints promise equal content", |bed, _| {
        Box::pin(read::fingerprint_changes(bed))
    })
    .needing("fingerprints"),
    Case::new("source.fingerprint.of-read", "a read states the fingerprint of what it reads", |bed, _| {
        Box::pin(read::fingerprint_of_read(bed))
    })
    .needing("fingerprints"),
    Case::new("source.if-match.changed", "a changed object is refused, instead of a copy of two contents", |bed, _| {
        Box::pin(read::if_match_changed(bed))
    })
    .needing("fingerprints"),
    Case::new("source.if-match.unchanged", "an unchanged object is read", |bed, _| {
        Box::pin(read::if_match_unchanged(bed))
    })
    .needing("fingerprints"),
    Case::new("source.if-match.later", "what was changed is read by its new fingerprint", |bed, _| {
        Box::pin(read::if_match_later(bed))
    })
    .needing("fingerprints"),
    Case::new(
        "source.checksums",
        "the host fails a read whose bytes contradict a checksum that was stated",
        |bed, seed| Box::pin(read::checksums(bed, seed)),
    ),
    Case::new("source.describe.each", "each entry has its answer", |bed, _| Box::pin(read::describe(bed))),
    Case::new("source.describe.none", "no entries have no answers", |bed, _| Box::pin(read::describe_none(bed))),
    Case::new("source.documents", "documents have names of their own and stay within their limits", |bed, _| {
        Box::pin(read::documents(bed))
    }),
    Case::new("source.as-of.added", "a run holds the state of one time: what is made later is not in it", |bed, _| {
        Box::pin(time::added(bed))
    }),
    Case::new("source.as-of.replaced", "what is replaced during a run is listed as it was", |bed, _| {
        Box::pin(time::replaced(bed))
    }),
    Case::new("source.as-of.read", "what is replaced during a run is read as it was", |bed, _| {
        Box::pin(time::reads(bed))
    }),
    Case::new("source.keys.listed", "keys that look alike are listed as different objects", |bed, _| {
        Box::pin(scan::hard(bed))
    })
    .needing("flat"),
    Case::new("source.keys.read", "keys that look alike are read as different objects", |bed, _| {
        Box::pin(read::hard(bed))
    })
    .needing("flat"),
    Case::new("source.keys.longest", "the longest key that the provider has is listed and read", |bed, _| {
        Box::pin(read::longest(bed))
    })
    .needing("flat"),
    Case::new("source.keys.paths", "names of files that look alike are different files", |bed, _| {
        Box::pin(read::hard_paths(bed))
    }),
    Case::new("model.source", "random scans and reads agree with a map in memory", |bed, seed| {
        Box::pin(model::model(bed, seed))
    }),
];

async fn info(bed: &Bed) -> Told {
    let source = tree(bed).await?;
    let (first, again) = (source.info().await.or_say("info")?, source.info().await.or_say("info")?);
    ensure_described((&first.identity, &first.traits), (&again.identity, &again.traits))?;
    ensure(["flat", "tree"].contains(&first.namespace.as_str()), || format!("its namespace is `{}`", first.namespace))
}

async fn check(bed: &Bed) -> Told {
    ensure_well(&tree(bed).await?.check().await)
}

async fn now(bed: &Bed) -> Told {
    let source = tree(bed).await?;
    let (info, now) = (source.info().await.or_say("info")?, source.now().await.or_say("now")?);
    ensure(now.is_some() || !info.has("history"), || "it claims history and tells no clock".to_owned())
}

/// An object whose content is its name.
pub(super) fn own_name(key: &Key) -> (Key, Bytes) {
    (key.clone(), Bytes::copy_from_slice(key.as_bytes()))
}

pub(super) async fn filled(bed: &Bed, objects: &[(Key, Bytes)]) -> Told<Arc<dyn Source>> {
    bed.filled(objects).await.or_say("filling a source")
}

pub(super) async fn tree(bed: &Bed) -> Told<Arc<dyn Source>> {
    let objects: Vec<(Key, Bytes)> = tree_keys(|key| bed.holds(key)).iter().map(own_name).collect();
    filled(bed, &objects).await
}

pub(super) async fn scan(source: &dyn Source, options: &ScanOptions, max: usize) -> Told<Vec<Entry>> {
    let mut batches = Batches::new(source.scan(options).await.or_say("scan")?);
    let mut entries = Vec::new();
    while let Some(batch) = batches.next(max).await.or_say("next")? {
        ensure(batch.len() <= max, || format!("a batch of at most {max} holds {}", batch.len()))?;
        ensure(entries.len() < 10_000, || "the scan never ends".to_owned())?;
        for found in batch {
            match found {
                Found::Entry(entry) => entries.push(entry),
                Found::Skipped(skipped) => {
                    return Err(format!("`{}` was skipped: {}", skipped.key, skipped.reason).into());
                }
            }
        }
    }
    Ok(entries)
}

pub(super) async fn scan_all(source: &dyn Source) -> Told<Vec<Entry>> {
    scan(source, &ScanOptions::default(), 1000).await
}

pub(super) fn keys(entries: &[Entry]) -> Vec<&Key> {
    entries.iter().map(|entry| &entry.key).collect()
}

fn files(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.kind == EntryKind::File)
}

fn find<'a>(entries: &'a [Entry], key: &Key) -> Told<&'a Entry> {
    entries.iter().find(|entry| entry.key == *key).ok_or_else(|| format!("`{key}` is not listed").into())
}

pub(super) async fn read(source: &dyn Source, entry: &Entry, range: Option<ByteRange>) -> Told<Bytes> {
    let opened = source.read(entry, range, entry.fingerprint.as_deref()).await.or_say("read")?;
    opened.body.read_all(1 << 30).await.or_say("reading")
}

/// How a key appears one level below a prefix: itself, or the folder it lies in.
pub(super) fn shown<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = key.strip_prefix(prefix)?;
    match rest.iter().position(|byte| *byte == b'/') {
        Some(end) => key.get(..prefix.len().saturating_add(end).saturating_add(1)),
        None => Some(key),
    }
}
