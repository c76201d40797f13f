//! Faults on purpose, for tests: at the n-th call of a name, or now and then by a seeded dice.
//!
//! The same seed and the same order of calls give the same faults; every failure names the seed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{Attribute, Entry, Key, StoreKey, Timestamp};
use futures_util::StreamExt;

use super::call;
use crate::random::Dice;
use crate::{
    Batch, Body, ByteRange, Check, Destination, DestinationInfo, Error, ErrorClass, Opened, Page, Payload, PutOptions,
    Result, ScanOptions, Scanner, Source, SourceDocument, SourceInfo, Store, StoreInfo, Stored, StoredObject, Writer,
};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The call is not made and fails with this class.
    Fail(ErrorClass),
    /// The call is made; its answer is lost, and it seems to have failed for a while.
    LoseAnswer,
    /// The body that comes back breaks off somewhere.
    Tear,
    /// One bit of the body that comes back is turned, its length unchanged.
    Flip,
    /// The call is made after this time.
    Delay(Duration),
    /// The call is made twice, as by a network that repeats; the second answer counts. Only for calls that a remote receives whole.
    Repeat,
}

/// A connector with faults.
#[derive(Debug)]
pub struct Fault<T: ?Sized> {
    inner: Arc<T>,
    plan: Arc<Plan>,
}

impl<T: ?Sized> Fault<T> {
    /// Wraps a connector; without rules nothing goes wrong.
    #[must_use]
    pub fn new(inner: Arc<T>, seed: u64) -> Self {
        let state = State { rules: Vec::new(), counts: HashMap::new(), dice: Dice::new(seed) };
        Self { inner, plan: Arc::new(Plan { seed, state: Mutex::new(state) }) }
    }

    /// The call of that name (see [`call`](super::call)) with that number, from 1, goes wrong.
    #[must_use]
    pub fn at(self, name: &'static str, number: u64, kind: FaultKind) -> Self {
        self.with(Rule { name, when: When::Number(number), kind })
    }

    /// One in so many calls of that name goes wrong.
    #[must_use]
    pub fn one_in(self, name: &'static str, calls: u64, kind: FaultKind) -> Self {
        self.with(Rule { name, when: When::OneIn(calls.max(1)), kind })
    }

    fn with(self, rule: Rule) -> Self {
        self.plan.lock().rules.push(rule);
        self
    }
}

#[derive(Debug)]
struct Rule {
    name: &'static str,
    when: When,
    kind: FaultKind,
}

#[derive(Debug, Clone, Copy)]
enum When {
    Number(u64),
    OneIn(u64),
}

#[derive(Debug)]
struct Plan {
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rules: Vec<Rule>,
    counts: HashMap<&'static str, u64>,
    dice: Dice,
}

impl Plan {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and says what goes wrong with it.
    fn next(&self, name: &'static str) -> Option<FaultKind> {
        let mut state = self.lock();
        let State { rules, counts, dice } = &mut *state;
        let count = counts.entry(name).or_default();
        *count = count.saturating_add(1);
        let mut strikes = |rule: &&Rule| match rule.when {
            When::Number(number) => number == *count,
            When::OneIn(calls) => dice.below(calls) == 0,
        };
        rules.iter().filter(|rule| rule.name == name).find(|rule| strikes(rule)).map(|rule| rule.kind)
    }

    fn failure(&self, class: ErrorClass, name: &str) -> Error {
        Error::new(class, "fault", format!("an injected fault of `{name}` (seed {})", self.seed))
    }

    /// One call with what goes wrong.
    async fn once<R>(&self, name: &str, fault: Option<FaultKind>, act: impl Future<Output = Result<R>>) -> Result<R> {
        match fault {
            Some(FaultKind::Fail(class)) => Err(self.failure(class, name)),
            Some(FaultKind::LoseAnswer) => match act.await {
                Ok(_) => Err(self.failure(ErrorClass::Transient, name)),
                Err(error) => Err(error),
            },
            Some(FaultKind::Delay(time)) => {
                tokio::time::sleep(time).await;
                act.await
            }
            _ => act.await,
        }
    }

    /// A call that can be repeated.
    async fn around<R, F>(&self, name: &'static str, mut act: impl FnMut() -> F) -> Result<(R, Option<FaultKind>)>
    where
        F: Future<Output = Result<R>>,
    {
        let fault = self.next(name);
        if fault == Some(FaultKind::Repeat) {
            let _ = act().await;
        }
        self.once(name, fault, act()).await.map(|done| (done, fault))
    }

    fn spoil(self: &Arc<Self>, name: &'static str, body: Body, fault: Option<FaultKind>) -> Body {
        let length = body.length;
        let place = self.lock().dice.below(length.unwrap_or(1).max(1));
        match fault {
            Some(FaultKind::Tear) => {
                let error = self.failure(ErrorClass::Transient, name);
                let kept = pieces_until(body, place).chain(futures_util::stream::iter([Err(error)]));
                Body::from_stream(length, kept)
            }
            Some(FaultKind::Flip) => Body::from_stream(length, flipped(body, place)),
            _ => body,
        }
    }
}

fn pieces_until(body: Body, end: u64) -> impl futures_util::Stream<Item = Result<Bytes>> + Send {
    body.into_stream().scan(end, |left, piece| {
        let kept = (*left > 0).then(|| {
            piece.map(|piece| {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                *left = left.saturating_sub(take as u64);
                piece.slice(..take)
            })
        });
        futures_util::future::ready(kept)
    })
}

fn flipped(body: Body, place: u64) -> impl futures_util::Stream<Item = Result<Bytes>> + Send {
    let mut passed = 0_u64;
    body.into_stream().map(move |piece| {
        let mut piece = piece?.to_vec();
        let at = place.checked_sub(passed).and_then(|at| usize::try_from(at).ok());
        passed = passed.saturating_add(piece.len() as u64);
        if let Some(byte) = at.and_then(|at| piece.get_mut(at)) {
            *byte ^= 1;
        }
        Ok(piece.into())
    })
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Store + ?Sized> Store for Fault<T> {
    async fn info(&self) -> Result<StoreInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        Ok(self.plan.around(call::PUT, || self.inner.put(key, data.clone(), options)).await?.0)
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        let (body, fault) = self.plan.around(call::GET, || self.inner.get(key, range, version)).await?;
        Ok(self.plan.spoil(call::GET, body, fault))
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        Ok(self.plan.around(call::STAT, || self.inner.stat(key)).await?.0)
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        Ok(self.plan.around(call::LIST, || self.inner.list(prefix, cursor, max)).await?.0)
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        Ok(self.plan.around(call::DELETE, || self.inner.delete(keys)).await?.0)
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.plan.around(call::RETAIN, || self.inner.retain(key, version, until)).await.map(|((), _)| ())
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Source + ?Sized> Source for Fault<T> {
    async fn info(&self) -> Result<SourceInfo> {
        self.inner.info().await
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        self.inner.now().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let (inner, _) = self.plan.around(call::SCAN, || self.inner.scan(options)).await?;
        Ok(Box::new(Faulty { inner, plan: Arc::clone(&self.plan) }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let (opened, fault) = self.plan.around(call::READ, || self.inner.read(entry, range, if_match)).await?;
        Ok(Opened { body: self.plan.spoil(call::READ, opened.body, fault), ..opened })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        Ok(self.plan.around(call::DESCRIBE, || self.inner.describe(entries)).await?.0)
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        self.inner.documents().await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Destination + ?Sized> Destination for Fault<T> {
    async fn info(&self) -> Result<DestinationInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(self.plan.around(call::STAT, || self.inner.stat(key)).await?.0)
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let (inner, _) = self.plan.around(call::CREATE, || self.inner.create(entry, overwrite)).await?;
        Ok(inner.map(|inner| Box::new(Faulty { inner, plan: Arc::clone(&self.plan) }) as _))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        Ok(self.plan.around(call::SET_METADATA, || self.inner.set_metadata(entries)).await?.0)
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Result<Option<Body>> {
        let (body, fault) = self.plan.around(call::READ, || self.inner.read(key, range, fresh)).await?;
        Ok(body.map(|body| self.plan.spoil(call::READ, body, fault)))
    }

    async fn scan(&self) -> Result<Option<Box<dyn Scanner>>> {
        let (inner, _) = self.plan.around(call::SCAN, || self.inner.scan()).await?;
        Ok(inner.map(|inner| Box::new(Faulty { inner, plan: Arc::clone(&self.plan) }) as _))
    }

    async fn remove(&self, found: &Entry) -> Result<()> {
        self.plan.around(call::REMOVE, || self.inner.remove(found)).await.map(|_| ())
    }

    async fn keep(&self, entry: &Entry) -> Result<bool> {
        self.inner.keep(entry).await
    }

    async fn sync(&self) -> Result<()> {
        self.plan.around(call::SYNC, || self.inner.sync()).await.map(|_| ())
    }
}

/// A scanner or writer under the same plan; a lost answer of either cannot be made good, so it fails before the call.
struct Faulty<T: ?Sized> {
    inner: Box<T>,
    plan: Arc<Plan>,
}

impl<T: ?Sized> Faulty<T> {
    fn next_fault(&self, name: &'static str) -> Option<FaultKind> {
        match self.plan.next(name) {
            Some(FaultKind::LoseAnswer) => Some(FaultKind::Fail(ErrorClass::Transient)),
            other => other,
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scanner for Faulty<dyn Scanner> {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        let fault = self.next_fault(call::NEXT);
        self.plan.once(call::NEXT, fault, self.inner.next(max)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Writer for Faulty<dyn Writer> {
    fn part_bytes(&self) -> Option<u64> {
        self.inner.part_bytes()
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        let fault = self.next_fault(call::WRITE);
        self.plan.once(call::WRITE, fault, self.inner.write(part)).await
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        let fault = self.plan.next(call::FINISH);
        self.plan.once(call::FINISH, fault, self.inner.finish(last)).await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
