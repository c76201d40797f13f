//! The cases of a store: `objects` has those of what is put, got and deleted, `conditions` those of puts that may be refused, `list` those of
//! listings, `versions` those of what is kept and locked.

mod conditions;
mod list;
mod model;
mod objects;
mod versions;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::StoreKey;

use super::{
    Case, CaseResult, Choice, Listed, OPENS, OrSay, Told, ensure, ensure_described, ensure_well, open_and_run,
};
use crate::{ByteRange, Pages, Payload, PutOptions, Result, Store, StoredObject};

/// Makes stores to test.
#[async_trait]
pub trait StoreBed: Send + Sync {
    /// A store that holds nothing, independent of those made before.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    async fn fresh(&self) -> Result<Arc<dyn Store>>;
}

type Bed = dyn StoreBed;

/// Runs the chosen cases of a store; a seed alone chooses all.
pub async fn store(bed: &(dyn StoreBed + 'static), choice: impl Into<Choice>) -> Vec<CaseResult> {
    let claims = async { Ok(bed.fresh().await?.info().await?.traits) };
    open_and_run(bed, &choice.into(), OPEN, claims, CASES).await
}

pub(super) fn catalogue() -> Vec<Listed> {
    [&[OPEN][..], &CASES.iter().map(Case::listed).collect::<Vec<_>>()].concat()
}

const OPEN: Listed = Listed { id: "store.open", why: OPENS, needs: None };

const CASES: &[Case<Bed>] = &[
    Case::new("store.info", "a store is known by its identity; what it claims, it claims once", |bed, _| {
        Box::pin(info(bed))
    }),
    Case::new("store.check.well", "the self-test of a place where all is well says so", |bed, _| Box::pin(check(bed))),
    Case::new("store.check.leaves-nothing", "a self-test leaves no object behind", |bed, _| {
        Box::pin(check_leaves_nothing(bed))
    }),
    Case::new("store.put.small", "what is read is what was written", |bed, seed| {
        Box::pin(objects::put_get(bed, seed, 1))
    }),
    Case::new("store.put.empty", "an empty object is one, and not a missing one", |bed, seed| {
        Box::pin(objects::put_get(bed, seed, 0))
    }),
    Case::new("store.put.large", "an object of several megabytes is kept whole", |bed, seed| {
        Box::pin(objects::put_get(bed, seed, (3 << 20) + 7))
    }),
    Case::new("store.put.in-pieces", "bytes that come in pieces are one object", |bed, seed| {
        Box::pin(objects::put_in_pieces(bed, seed))
    }),
    Case::new("store.put.replaces", "a plain put replaces the whole content", |bed, _| {
        Box::pin(objects::replaces(bed))
    }),
    Case::new("store.put.replaced-size", "the size reported a replaced object is its own", |bed, _| {
        Box::pin(objects::replaced_size(bed))
    }),
    Case::new("store.put.side-by-side", "puts at the same time are all kept", |bed, _| {
        Box::pin(objects::side_by_side(bed))
    }),
    Case::new("store.put.tag", "put and stat name one tag, which `if-match` relies on", |bed, _| {
        Box::pin(objects::put_tag(bed))
    }),
    Case::new("store.put.hint", "whatever an object is said to be, it is kept", |bed, _| Box::pin(objects::hint(bed))),
    Case::new("store.key.longest", "a key has up to 200 bytes", |bed, _| Box::pin(objects::longest_key(bed))),
    Case::new("store.key.characters", "every character of a key is kept as it is", |bed, _| {
        Box::pin(objects::key_characters(bed))
    }),
    Case::new("store.get.missing", "a missing object is an error of its own class, never an empty body", |bed, _| {
        Box::pin(objects::get_missing(bed))
    }),
    Case::new("store.get.length", "an announced length is that of the body", |bed, seed| {
        Box::pin(objects::get_length(bed, seed))
    }),
    Case::new(
        "store.get.again",
        "an object is read as often as somebody asks, also many times at once",
        |bed, seed| Box::pin(objects::get_again(bed, seed)),
    ),
    Case::new("store.get.given-up", "a body that nobody reads to its end costs later reads nothing", |bed, seed| {
        Box::pin(objects::get_given_up(bed, seed))
    }),
    Case::new("store.range.inside", "a blob is read out of its pack by range", |bed, seed| {
        Box::pin(objects::ranges(bed, seed, &[(0, Some(1)), (17, Some(4096)), (9999, Some(1)), (0, Some(10_000))]))
    })
    .needing("ranged-get"),
    Case::new("store.range.to-the-end", "a range without a length ends with the object", |bed, seed| {
        Box::pin(objects::ranges(bed, seed, &[(5000, None), (9999, None), (0, None)]))
    })
    .needing("ranged-get"),
    Case::new("store.range.past-the-end", "a range that reaches past the end yields what there is", |bed, seed| {
        Box::pin(objects::ranges(bed, seed, &[(9000, Some(5000)), (9999, Some(1 << 40))]))
    })
    .needing("ranged-get"),
    Case::new("store.range.begins-at-the-end", "a range of which there is nothing is no answer", |bed, seed| {
        Box::pin(objects::range_beyond(bed, seed, 10_000))
    })
    .needing("ranged-get"),
    Case::new("store.range.begins-past-the-end", "a pack that is too short is reported as corrupt", |bed, seed| {
        Box::pin(objects::range_beyond(bed, seed, 10_001))
    })
    .needing("ranged-get"),
    Case::new("store.range.missing", "a range of a missing object is a missing object", |bed, _| {
        Box::pin(objects::range_missing(bed))
    })
    .needing("ranged-get"),
    Case::new("store.range.nothing", "a range of no bytes yields none, or is refused", |bed, seed| {
        Box::pin(objects::nothing(bed, seed))
    })
    .needing("ranged-get"),
    Case::new("store.stat.size", "the size told is that of the object, also when it is empty", |bed, _| {
        Box::pin(objects::stat_size(bed))
    }),
    Case::new("store.stat.missing", "a missing object is reported as one", |bed, _| {
        Box::pin(objects::stat_missing(bed))
    }),
    Case::new("store.stat.tag", "a tag does not outlive the object that it names", |bed, _| {
        Box::pin(objects::stat_tag(bed))
    }),
    Case::new("store.stat.time", "a later object is not reported as an earlier one", |bed, _| {
        Box::pin(objects::stat_time(bed))
    }),
    Case::new("store.delete.there", "what is deleted is neither read nor described any more", |bed, _| {
        Box::pin(objects::delete_there(bed))
    }),
    Case::new("store.delete.absent", "what is not there counts as deleted", |bed, _| {
        Box::pin(objects::delete_absent(bed))
    }),
    Case::new("store.delete.each", "each key has its result, also when some are not there", |bed, _| {
        Box::pin(objects::delete_each(bed))
    }),
    Case::new("store.delete.none", "no keys have no results", |bed, _| Box::pin(objects::delete_none(bed))),
    Case::new("store.delete.others", "what was not named is not deleted", |bed, _| {
        Box::pin(objects::delete_others(bed))
    }),
    Case::new("store.delete.many", "a collector deletes hundreds of objects with one call", |bed, _| {
        Box::pin(objects::delete_many(bed))
    }),
    Case::new("store.if-absent.creates", "a create-only put makes what is not there", |bed, _| {
        Box::pin(conditions::creates(bed))
    })
    .needing("if-absent"),
    Case::new("store.if-absent.refuses", "create-only puts are what keeps writers apart", |bed, _| {
        Box::pin(conditions::refuses(bed))
    })
    .needing("if-absent"),
    Case::new("store.if-absent.keeps", "a put that is refused changes nothing", |bed, _| {
        Box::pin(conditions::keeps(bed))
    })
    .needing("if-absent"),
    Case::new("store.if-absent.after-delete", "what was deleted can be created again", |bed, _| {
        Box::pin(conditions::after_delete(bed))
    })
    .needing("if-absent"),
    Case::new("store.if-absent.race", "of puts at the same time exactly one creates the object", |bed, _| {
        Box::pin(conditions::race(bed))
    })
    .needing("if-absent"),
    Case::new("store.if-match.swaps", "compare-and-swap swaps what was compared", |bed, _| {
        Box::pin(conditions::swaps(bed))
    })
    .needing("if-match"),
    Case::new("store.if-match.stale", "compare-and-swap swaps nothing else", |bed, _| Box::pin(conditions::stale(bed)))
        .needing("if-match"),
    Case::new("store.if-match.missing", "a missing object is not swapped", |bed, _| {
        Box::pin(conditions::swaps_no_missing(bed))
    })
    .needing("if-match"),
    Case::new("store.list.all", "every object is listed, and nothing else", |bed, _| Box::pin(list::all(bed)))
        .needing("ordered-list"),
    Case::new("store.list.empty", "an empty store has an empty listing, which is no failure", |bed, _| {
        Box::pin(list::empty(bed))
    }),
    Case::new("store.list.order", "listings are merged as sorted streams", |bed, _| Box::pin(list::order(bed)))
        .needing("ordered-list"),
    Case::new("store.list.prefix", "a prefix is bytes, not segments of a path", |bed, _| Box::pin(list::prefix(bed)))
        .needing("ordered-list"),
    Case::new("store.list.size", "a listing tells the sizes that a collector counts with", |bed, _| {
        Box::pin(list::sizes(bed))
    })
    .needing("ordered-list"),
    Case::new("store.list.tag", "listing and stat name one tag", |bed, _| Box::pin(list::tags(bed)))
        .needing("ordered-list"),
    Case::new("store.list.pages-of-one", "pages of one join without gap or repetition", |bed, _| {
        Box::pin(list::pages(bed, &[("", 1), ("data/", 1), ("x", 1)]))
    })
    .needing("ordered-list"),
    Case::new(
        "store.list.pages-of-some",
        "pages join without gap or repetition, however many keys they hold",
        |bed, _| Box::pin(list::pages(bed, &[("", 2), ("", 4), ("data", 3), ("", 9)])),
    )
    .needing("ordered-list"),
    Case::new("store.list.max", "a page holds no more than was asked for", |bed, _| Box::pin(list::max(bed)))
        .needing("ordered-list"),
    Case::new("store.list.cursor-again", "a page that is asked for twice is the same", |bed, _| {
        Box::pin(list::cursor_again(bed))
    })
    .needing("ordered-list"),
    Case::new("store.list.thousand", "a listing of several pages of the remote is joined without a gap", |bed, _| {
        Box::pin(list::thousand(bed))
    })
    .needing("ordered-list"),
    Case::new(
        "store.list.meanwhile",
        "a collector deletes what it has listed and goes on with the listing",
        |bed, _| Box::pin(list::meanwhile(bed)),
    )
    .needing("ordered-list"),
    Case::new("store.list.after-put", "a commit that a later listing misses loses data", |bed, _| {
        Box::pin(list::after_put(bed))
    })
    .needing("list-after-write"),
    Case::new("store.list.after-delete", "what is deleted is not listed any more", |bed, _| {
        Box::pin(list::after_delete(bed))
    })
    .needing("list-after-write"),
    Case::new("store.versions.overwritten", "a version is read whatever was put over it", |bed, _| {
        Box::pin(versions::overwritten(bed))
    })
    .needing("versions"),
    Case::new("store.versions.deleted", "a version is read whatever hides it", |bed, _| {
        Box::pin(versions::deleted(bed))
    })
    .needing("versions"),
    Case::new("store.versions.stat", "put and stat name one version", |bed, _| Box::pin(versions::stat(bed)))
        .needing("versions"),
    Case::new("store.retain.from-put", "no moment is without the lock that a put asks for", |bed, _| {
        Box::pin(versions::from_put(bed))
    })
    .needing("retention"),
    Case::new("store.retain.later", "a lock moves to a later time, and never to an earlier one", |bed, _| {
        Box::pin(versions::later(bed))
    })
    .needing("retention"),
    Case::new("store.retain.missing", "what is not there cannot be locked", |bed, _| Box::pin(versions::missing(bed)))
        .needing("retention"),
    Case::new("store.retain.unsupported", "who cannot lock says so", |bed, _| Box::pin(versions::unsupported(bed)))
        .needing("!retention"),
    Case::new("store.retain.put-unsupported", "a put that cannot lock stores nothing", |bed, _| {
        Box::pin(versions::put_unsupported(bed))
    })
    .needing("!retention"),
    Case::new("model.store", "random operations agree with a map in memory", |bed, seed| {
        Box::pin(model::model(bed, seed))
    })
    .needing("ordered-list"),
];

pub(super) const IF_ABSENT: PutOptions =
    PutOptions { if_absent: true, if_match: None, retain_until: None, hint: String::new() };

pub(super) fn key(text: &str) -> Told<StoreKey> {
    StoreKey::new(text).map_err(|e| e.to_string().into())
}

pub(super) async fn fresh(bed: &Bed) -> Told<Arc<dyn Store>> {
    bed.fresh().await.or_say("making a store")
}

/// Puts, and answers the tag.
pub(super) async fn put(store: &dyn Store, text: &str, bytes: &[u8]) -> Told<Option<String>> {
    let options = PutOptions { hint: text.split('/').next().unwrap_or_default().to_owned(), ..PutOptions::default() };
    let stored = store.put(&key(text)?, Payload::from(bytes.to_vec()), &options).await;
    Ok(stored.or_say(&format!("put {text}"))?.tag)
}

pub(super) async fn get(store: &dyn Store, text: &str, range: Option<ByteRange>) -> Told<Bytes> {
    let body = store.get(&key(text)?, range, None).await.or_say(&format!("get {text}"))?;
    body.read_all(1 << 30).await.or_say(&format!("reading {text}"))
}

pub(super) async fn delete(store: &dyn Store, names: &[&str]) -> Told {
    let keys = names.iter().map(|name| key(name)).collect::<Told<Vec<StoreKey>>>()?;
    let outcomes = store.delete(&keys).await.or_say("delete")?;
    ensure(outcomes.len() == names.len(), || format!("{} keys have {} results", names.len(), outcomes.len()))?;
    outcomes.into_iter().try_for_each(|outcome| outcome.or_say("delete of one key"))
}

pub(super) async fn list_all(store: &dyn Store, prefix: &str) -> Told<Vec<StoredObject>> {
    Pages::new(store, prefix).collect().await.or_say("list")
}

async fn info(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    let (first, again) = (store.info().await.or_say("info")?, store.info().await.or_say("info")?);
    ensure_described((&first.identity, &first.traits), (&again.identity, &again.traits))
}

async fn check(bed: &Bed) -> Told {
    ensure_well(&fresh(bed).await?.check().await)
}

async fn check_leaves_nothing(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    store.check().await;
    let left = list_all(&*store, "").await?;
    ensure(left.is_empty(), || format!("the self-test left {left:?} behind"))
}
