//! [`Free`] as a store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use credenza_model::{StoreKey, Timestamp};

use super::{Free, Freedom, State, Will};
use crate::random::Dice;
use crate::wrap::call;
use crate::{
    Body, ByteRange, Check, Error, ErrorClass, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored,
    StoredObject, ability,
};

/// Names that others leave in a folder.
const STRAYS: [&str; 4] = [".ds_store", "0", "desktop.ini", "lost-found/note.txt"];
/// Of how many listings what was put or deleted may be late.
const LATE_LISTINGS: u64 = 4;
const DAY_SECONDS: i64 = 86_400;

/// What listings do not show as it is, each with the number of listings for which that lasts.
#[derive(Debug, Default)]
pub(super) struct Delays {
    put: BTreeMap<StoreKey, u64>,
    deleted: BTreeMap<StoreKey, u64>,
}

/// Where a listing goes on.
struct Place<'a> {
    /// Empty pages so far, at this place.
    empty: u64,
    /// The cursor of the store itself.
    inner: Option<&'a str>,
    /// Only the end is left.
    ends: bool,
}

impl<'a> Place<'a> {
    const SIGN: char = '\u{1f9ed}';

    fn of(cursor: Option<&'a str>) -> Option<Self> {
        let Some(cursor) = cursor else { return Some(Self { empty: 0, inner: None, ends: false }) };
        let (head, inner) = cursor.split_once([Self::SIGN, ' '])?;
        let (empty, kind) = head.split_at_checked(head.len().checked_sub(1)?)?;
        Some(Self { empty: empty.parse().ok()?, inner: (kind == "g").then_some(inner), ends: kind == "e" })
    }

    fn cursor(&self, odd: bool) -> String {
        let kind = match (self.ends, self.inner) {
            (true, _) => "e",
            (_, Some(_)) => "g",
            _ => "b",
        };
        let sign = if odd { Self::SIGN } else { ' ' };
        format!("{}{kind}{sign}{}", self.empty, self.inner.unwrap_or_default())
    }
}

impl<T: Store + ?Sized> Free<T> {
    /// A page that is the same when it is asked for again: its shape follows from the seed and the cursor.
    async fn page(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        let place = Place::of(cursor).ok_or_else(|| {
            let message = format!("`{}` is no cursor of this listing", cursor.unwrap_or_default());
            Error::new(ErrorClass::Internal, "free.cursor", message)
        })?;
        if place.ends {
            return Ok(Page::default());
        }
        let mut shape = Dice::new(self.will.seed ^ mixed(prefix) ^ mixed(cursor.unwrap_or_default()).rotate_left(32));
        let odd = self.will.always(Freedom::OddCursor);
        if place.empty < 3 && shape.below(4) == 0 && self.will.always(Freedom::EmptyPage) {
            let next = Place { empty: place.empty.saturating_add(1), ..place }.cursor(odd);
            return Ok(Page { next: Some(next), ..Page::default() });
        }
        let fewer = usize::try_from(shape.below(5)).unwrap_or(0).saturating_add(1).min(max);
        let max = if shape.below(2) == 0 && self.will.always(Freedom::ShortPage) { fewer } else { max };
        let page = self.inner.list(prefix, place.inner, max).await?;
        let ends = page.next.is_none();
        let next = Place { empty: 0, inner: page.next.as_deref(), ends };
        let goes_on = !ends || (shape.below(4) == 0 && self.will.always(Freedom::EmptyPage));
        Ok(Page { next: goes_on.then(|| next.cursor(odd)), objects: page.objects, strays: page.strays })
    }

    /// Deletes what was deleted some listings ago, and counts a listing.
    async fn let_time_pass(&self, prefix: &str) -> Result<()> {
        let due = self.will.lock().store.pass(prefix);
        if !due.is_empty() {
            self.inner.delete(&due).await?;
        }
        Ok(())
    }

    /// Deletes at once what was to be deleted later, so that something else can stand there.
    async fn make_way(&self, key: &StoreKey) -> Result<()> {
        if self.will.lock().store.deleted.remove(key).is_some() {
            self.inner.delete(std::slice::from_ref(key)).await?;
        }
        Ok(())
    }

    fn is_deleted(&self, key: &StoreKey) -> Result<()> {
        if self.will.lock().store.deleted.contains_key(key) {
            let message = format!("there is no object `{key}`");
            return Err(Error::new(ErrorClass::NotFound, "free.not-found", message));
        }
        Ok(())
    }

    /// Somebody else writes beside it.
    async fn leave_stray(&self, key: &StoreKey) -> Result<()> {
        let Some((folder, _)) = key.as_str().split_once('/') else { return Ok(()) };
        if !self.will.one_in(Freedom::StrayObject, 8) {
            return Ok(());
        }
        let name = STRAYS.get(usize::try_from(self.will.below(STRAYS.len() as u64)).unwrap_or(0)).unwrap_or(&"0");
        let Ok(stray) = StoreKey::new(format!("{folder}/{name}")) else { return Ok(()) };
        let bytes = Payload::from(b"not of this repository".to_vec());
        self.inner.put(&stray, bytes, &PutOptions::default()).await.map(drop)
    }

    async fn put_as_it_comes(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        let stored = self.inner.put(key, data.clone(), options).await?;
        if !self.will.one_in(Freedom::RepeatedPut, 8) {
            return Ok(stored);
        }
        // The second is refused where the first was on a condition.
        Ok(self.inner.put(key, data, options).await.unwrap_or(stored))
    }
}

impl Delays {
    /// Counts a listing; returns what is to be deleted now.
    fn pass(&mut self, prefix: &str) -> Vec<StoreKey> {
        for left in self.put.iter_mut().chain(&mut self.deleted).filter(|(key, _)| key.as_str().starts_with(prefix)) {
            *left.1 = left.1.saturating_sub(1);
        }
        self.put.retain(|_, left| *left > 0);
        self.deleted.extract_if(.., |_, left| *left == 0).map(|(key, _)| key).collect()
    }
}

impl Will {
    fn options(&self, options: &PutOptions) -> PutOptions {
        let mut options = options.clone();
        if (options.if_absent || options.if_match.is_some()) && self.always(Freedom::IgnoredCondition) {
            (options.if_absent, options.if_match) = (false, None);
        }
        options.retain_until = options.retain_until.map(|until| self.later(until));
        options
    }

    fn later(&self, until: Timestamp) -> Timestamp {
        if !self.one_in(Freedom::LaterLock, 2) {
            return until;
        }
        let days = i64::try_from(self.below(30)).unwrap_or(0).saturating_add(1);
        Timestamp { seconds: until.seconds.saturating_add(days.saturating_mul(DAY_SECONDS)), ..until }
    }

    fn facts(&self, tag: Option<String>, modified: Option<Timestamp>) -> (Option<String>, Option<Timestamp>) {
        let tag = tag.filter(|_| !self.always(Freedom::NoTag));
        (tag, modified.filter(|_| !self.always(Freedom::NoTime)))
    }

    fn object(&self, object: StoredObject) -> StoredObject {
        let (tag, modified) = self.facts(object.tag, object.modified);
        StoredObject { tag, modified, ..object }
    }

    /// For how many listings something is late.
    fn delay(&self, key: &StoreKey, choose: impl Fn(&mut Delays) -> &mut BTreeMap<StoreKey, u64>) {
        if self.one_in(Freedom::LateListing, 2) {
            let State { dice, store, .. } = &mut *self.lock();
            choose(store).insert(key.clone(), dice.below(LATE_LISTINGS).saturating_add(1));
        }
    }
}

fn mixed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Store + ?Sized> Store for Free<T> {
    async fn info(&self) -> Result<StoreInfo> {
        let mut info = self.inner.info().await?;
        let ruled_out: [(Freedom, &[&str]); 2] = [
            (Freedom::LateListing, &[ability::LIST_AFTER_WRITE]),
            (Freedom::IgnoredCondition, &[ability::IF_ABSENT, ability::IF_MATCH]),
        ];
        self.will.claims(&mut info.traits, &ruled_out);
        Ok(info)
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.will.stumble(call::PUT)?;
        self.make_way(key).await?;
        self.leave_stray(key).await?;
        let options = self.will.options(options);
        let stored = self.put_as_it_comes(key, data, &options).await?;
        self.will.delay(key, |delays| &mut delays.put);
        self.will.stumble(call::PUT)?;
        if options.if_absent && self.will.one_in(Freedom::OwnPrecondition, 8) {
            let message = format!("`{key}` is there: it was sent before");
            return Err(Error::new(ErrorClass::Precondition, "free.own", message));
        }
        let (tag, modified) = self.will.facts(stored.tag, stored.modified);
        Ok(Stored { tag, modified, ..stored })
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        self.will.stumble(call::GET)?;
        self.is_deleted(key)?;
        Ok(self.will.pieces(self.inner.get(key, range, version).await?))
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.will.stumble(call::STAT)?;
        self.is_deleted(key)?;
        Ok(self.will.object(self.inner.stat(key).await?))
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.will.stumble(call::LIST)?;
        if cursor.is_none() {
            self.let_time_pass(prefix).await?;
        }
        let mut page = self.page(prefix, cursor, max).await?;
        let late = self.will.lock().store.put.keys().cloned().collect::<Vec<_>>();
        page.objects.retain(|object| !late.contains(&object.key));
        Ok(Page { objects: page.objects.into_iter().map(|object| self.will.object(object)).collect(), ..page })
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        self.will.stumble(call::DELETE)?;
        let mut results = Vec::with_capacity(keys.len());
        for key in keys {
            if self.will.one_in(Freedom::PartialDelete, 4) {
                let message = format!("`{key}` was not deleted this time");
                results.push(Err(Error::new(ErrorClass::Transient, "free.delete", message)));
                continue;
            }
            self.will.delay(key, |delays| &mut delays.deleted);
            let is_late = self.will.lock().store.deleted.contains_key(key);
            let done = if is_late { vec![Ok(())] } else { self.inner.delete(std::slice::from_ref(key)).await? };
            results.extend(done);
        }
        self.will.stumble(call::DELETE)?;
        Ok(results)
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.will.stumble(call::RETAIN)?;
        self.inner.retain(key, version, self.will.later(until)).await
    }
}
