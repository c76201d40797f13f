//! Takes calls and gives answers in an order that a seed chooses, for tests: no run may depend on who comes first.
//!
//! Calls in flight wait until one of them is let through, and so do their answers and the pieces of bodies, which are cut again. What runs on other
//! threads meanwhile takes its own time, so that a seed repeats the choices and not every interleaving.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use credenza_model::{Attribute, Entry, Key, StoreKey, Timestamp};
use futures_util::StreamExt;
use tokio::sync::oneshot;

use crate::random::Dice;
use crate::{
    Batch, Body, ByteRange, Check, Destination, DestinationInfo, Error, Opened, Page, Payload, PutOptions, Result,
    ScanOptions, Scanner, Source, SourceDocument, SourceInfo, Store, StoreInfo, Stored, StoredObject, Writer,
};

/// How often others may come before one of those who wait is let through.
const PATIENCE: u64 = 6;
/// Longest piece of a body.
const PIECE_BYTES: u64 = 256 * 1024;

/// A connector whose calls are let through in another order than they are made.
#[derive(Debug)]
pub struct Permute<T: ?Sized> {
    inner: Arc<T>,
    gate: Arc<Gate>,
}

impl<T: ?Sized> Permute<T> {
    /// Wraps a connector.
    #[must_use]
    pub fn new(inner: Arc<T>, seed: u64) -> Self {
        let state = State { waiting: Vec::new(), dice: Dice::new(seed), is_open: false };
        Self { inner, gate: Arc::new(Gate(Mutex::new(state))) }
    }
}

#[derive(Debug)]
struct Gate(Mutex<State>);

#[derive(Debug)]
struct State {
    waiting: Vec<oneshot::Sender<()>>,
    dice: Dice,
    /// Somebody is letting through who waits.
    is_open: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn below(&self, bound: u64) -> u64 {
        self.lock().dice.below(bound)
    }

    /// Waits to be let through.
    async fn pass(self: &Arc<Self>) {
        // Whoever lets through goes on until nobody waits.
        let _ = self.wait().await;
    }

    fn wait(self: &Arc<Self>) -> oneshot::Receiver<()> {
        let (let_through, passes) = oneshot::channel();
        let mut state = self.lock();
        state.waiting.push(let_through);
        if !std::mem::replace(&mut state.is_open, true) {
            tokio::spawn(Arc::clone(self).open());
        }
        passes
    }

    async fn open(self: Arc<Self>) {
        loop {
            for _ in 0..self.below(PATIENCE) {
                tokio::task::yield_now().await;
            }
            if !self.let_one_through() {
                return;
            }
        }
    }

    fn let_one_through(&self) -> bool {
        let mut state = self.lock();
        let count = state.waiting.len() as u64;
        state.is_open = count > 0;
        if count > 0 {
            let chosen = usize::try_from(state.dice.below(count)).unwrap_or(0);
            // Whoever has gone away does not pass.
            let _ = state.waiting.swap_remove(chosen).send(());
        }
        count > 0
    }

    async fn run<R>(self: &Arc<Self>, call: impl Future<Output = R>) -> R {
        self.pass().await;
        let done = call.await;
        self.pass().await;
        done
    }

    fn cut(self: &Arc<Self>, body: Body) -> Body {
        let (length, gate) = (body.length, Arc::clone(self));
        let pieces = body.into_stream().flat_map(move |piece| {
            let mut parts = Vec::new();
            match piece {
                Ok(mut rest) => {
                    while !rest.is_empty() {
                        let bytes = gate.below(PIECE_BYTES).saturating_add(1).min(rest.len() as u64);
                        parts.push(Ok(rest.split_to(usize::try_from(bytes).unwrap_or(1))));
                    }
                }
                Err(error) => parts.push(Err(error)),
            }
            futures_util::stream::iter(parts)
        });
        let gate = Arc::clone(self);
        Body::from_stream(
            length,
            pieces.then(move |piece| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.pass().await;
                    piece
                }
            }),
        )
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Store + ?Sized> Store for Permute<T> {
    async fn info(&self) -> Result<StoreInfo> {
        self.gate.run(self.inner.info()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.gate.run(self.inner.put(key, data, options)).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        self.gate.run(self.inner.get(key, range, version)).await.map(|body| self.gate.cut(body))
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.gate.run(self.inner.stat(key)).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.gate.run(self.inner.list(prefix, cursor, max)).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        self.gate.run(self.inner.delete(keys)).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.gate.run(self.inner.retain(key, version, until)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Source + ?Sized> Source for Permute<T> {
    async fn info(&self) -> Result<SourceInfo> {
        self.gate.run(self.inner.info()).await
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        self.gate.run(self.inner.now()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let inner = self.gate.run(self.inner.scan(options)).await?;
        Ok(Box::new(Permuted { inner, gate: Arc::clone(&self.gate) }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let opened = self.gate.run(self.inner.read(entry, range, if_match)).await?;
        Ok(Opened { body: self.gate.cut(opened.body), ..opened })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        self.gate.run(self.inner.describe(entries)).await
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        self.gate.run(self.inner.documents()).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Destination + ?Sized> Destination for Permute<T> {
    async fn info(&self) -> Result<DestinationInfo> {
        self.gate.run(self.inner.info()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        self.gate.run(self.inner.stat(key)).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let inner = self.gate.run(self.inner.create(entry, overwrite)).await?;
        Ok(inner.map(|inner| Box::new(Permuted { inner, gate: Arc::clone(&self.gate) }) as _))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        self.gate.run(self.inner.set_metadata(entries)).await
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Result<Option<Body>> {
        let body = self.gate.run(self.inner.read(key, range, fresh)).await?;
        Ok(body.map(|body| self.gate.cut(body)))
    }

    async fn scan(&self) -> Result<Option<Box<dyn Scanner>>> {
        let inner = self.gate.run(self.inner.scan()).await?;
        Ok(inner.map(|inner| Box::new(Permuted { inner, gate: Arc::clone(&self.gate) }) as _))
    }

    async fn remove(&self, found: &Entry) -> Result<()> {
        self.gate.run(self.inner.remove(found)).await
    }

    async fn keep(&self, entry: &Entry) -> Result<bool> {
        self.gate.run(self.inner.keep(entry)).await
    }

    async fn sync(&self) -> Result<()> {
        self.gate.run(self.inner.sync()).await
    }
}

/// A scanner or writer behind the same gate.
struct Permuted<T: ?Sized> {
    inner: Box<T>,
    gate: Arc<Gate>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scanner for Permuted<dyn Scanner> {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        self.gate.run(self.inner.next(max)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Writer for Permuted<dyn Writer> {
    fn part_bytes(&self) -> Option<u64> {
        self.inner.part_bytes()
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        self.gate.run(self.inner.write(part)).await
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        self.gate.run(self.inner.finish(last)).await
    }

    async fn abort(self: Box<Self>) {
        self.gate.run(self.inner.abort()).await;
    }
}
