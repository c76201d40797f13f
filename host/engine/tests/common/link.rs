//! A store at the end of a link with a latency and a rate, on a clock of its own.
//!
//! A put sends its bytes and waits for the answer; a get waits for the first byte, and receives. Bytes of all requests share the rate of their direction, first come, first served; latencies overlap.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use credenza_connect::memory::MemoryStore;
use credenza_connect::{
    Body, ByteRange, Check, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored, StoredObject,
};
use credenza_model::{StoreKey, Timestamp};
use tokio::sync::oneshot;

pub(crate) struct Link {
    inner: Arc<MemoryStore>,
    latency: Duration,
    bytes_per_second: u64,
    state: Arc<Mutex<State>>,
    closed: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    now: Duration,
    /// When each direction has sent all that it was given.
    up_free: Duration,
    down_free: Duration,
    /// When requests end, and who waits for that; the number keeps those that end together in order.
    ends: BinaryHeap<Reverse<(Duration, u64)>>,
    waiting: std::collections::HashMap<u64, oneshot::Sender<()>>,
    requests: u64,
    /// When the first data pack was asked for, and when the last had come.
    data: Option<(Duration, Duration)>,
}

impl Link {
    pub(crate) fn new(inner: Arc<MemoryStore>, latency: Duration, bytes_per_second: u64) -> Self {
        let (state, closed) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let (turning, ended) = (Arc::clone(&state), Arc::clone(&closed));
        std::thread::spawn(move || turn(&turning, &ended));
        Self { inner, latency, bytes_per_second, state, closed }
    }

    /// The time on its clock.
    pub(crate) fn now(&self) -> Duration {
        self.state.lock().unwrap().now
    }

    /// How long data packs were on their way, the wait for the first byte of the first left out.
    pub(crate) fn data_lasted(&self) -> Option<Duration> {
        let (first, last) = self.state.lock().unwrap().data?;
        Some(last - first - self.latency)
    }

    /// Waits as long as a request takes that sends and receives so many bytes.
    async fn take(&self, up: u64, down: u64) {
        let wire = |bytes: u64| Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let ended = {
            let mut state = self.state.lock().unwrap();
            let now = state.now;
            state.up_free = state.up_free.max(now) + wire(up);
            let answer = state.up_free + self.latency;
            let end = if down > 0 {
                state.down_free = state.down_free.max(answer) + wire(down);
                state.down_free
            } else {
                answer
            };
            state.requests += 1;
            let number = state.requests;
            let (tell, ended) = oneshot::channel();
            state.ends.push(Reverse((end, number)));
            state.waiting.insert(number, tell);
            ended
        };
        // An error is the end of the link.
        let _ = ended.await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// Ends one request after the other, each when nothing else can happen before.
fn turn(state: &Mutex<State>, closed: &AtomicBool) {
    let own = std::fs::read_link("/proc/thread-self").unwrap();
    let own: u32 = own.file_name().unwrap().to_str().unwrap().parse().unwrap();
    while !closed.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_micros(200));
        if state.lock().unwrap().ends.is_empty() || !is_at_rest(own) {
            continue;
        }
        let mut state = state.lock().unwrap();
        let Some(Reverse((end, number))) = state.ends.pop() else { continue };
        state.now = state.now.max(end);
        if let Some(waiting) = state.waiting.remove(&number) {
            let _ = waiting.send(());
        }
    }
}

/// Whether every other thread sleeps and slept all the while between two looks.
fn is_at_rest(own: u32) -> bool {
    let first = threads(own);
    first.is_some() && first == threads(own)
}

/// How often each other thread has begun to run; nothing if one is at work.
fn threads(own: u32) -> Option<Vec<(u32, u64)>> {
    let mut threads = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap();
        let id: u32 = task.file_name().to_str()?.parse().ok()?;
        if id == own {
            continue;
        }
        // One that has just ended is looked at again.
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if !field("State:")?.starts_with('S') {
            return None;
        }
        let count = |name: &str| field(name)?.parse::<u64>().ok();
        threads.push((id, count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?));
    }
    threads.sort_unstable();
    Some(threads)
}

#[async_trait]
impl Store for Link {
    async fn info(&self) -> Result<StoreInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.take(data.length(), 0).await;
        self.inner.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        let body = self.inner.get(key, range, version).await;
        let asked = self.now();
        self.take(0, body.as_ref().ok().and_then(|body| body.length).unwrap_or(0)).await;
        if key.as_str().starts_with("data/") {
            let mut state = self.state.lock().unwrap();
            let first = state.data.map_or(asked, |(first, _)| first.min(asked));
            state.data = Some((first, state.now));
        }
        body
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.take(0, 0).await;
        self.inner.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.take(0, 0).await;
        self.inner.list(prefix, cursor, max).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        self.take(0, 0).await;
        self.inner.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.take(0, 0).await;
        self.inner.retain(key, version, until).await
    }
}
