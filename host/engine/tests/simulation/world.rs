//! A store whose every answer a seed decides: who is served next, what is lost, repeated or late, who crashes or sleeps.
//!
//! Each request of each machine waits at a gate. When every machine that is at work waits, one of them is let through. A
//! listing passes the gate twice and shows one part of the names as of the first time and the rest as of the second. What is late arrives before an
//! object of its name is deleted and before days have passed: beyond that, a network that repeats could bring back what was
//! removed, and no order of requests would help.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use credenza_connect::memory::MemoryStore;
use credenza_connect::{
    Body, ByteRange, Check, Error, ErrorClass, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored,
    StoredObject,
};
use credenza_engine::{Clock, Moment};
use credenza_model::{StoreKey, Timestamp};
use tokio::sync::{Notify, oneshot};

use crate::common::{BEGIN, DAY, at};

/// How often a machine tries a request that fails for a while.
const TRIES: usize = 6;

/// Random numbers that a seed repeats (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Serve,
    /// It never arrives.
    Lose,
    /// It arrives, its answer does not.
    LoseAnswer,
    /// It arrives twice.
    Repeat,
    /// It seems lost and arrives later.
    Delay,
    /// The machine is gone.
    Crash,
}

/// A request that arrives after its sender gave up.
enum Late {
    Put(StoreKey, Payload, PutOptions),
    Delete(Vec<StoreKey>),
}

#[derive(Default)]
struct Machine {
    waiting: VecDeque<oneshot::Sender<Verdict>>,
    at_work: bool,
    crashed: bool,
    /// Turns for which it is not served.
    asleep: u64,
    /// Days have passed during what it does; it must not crash then: nobody could take its snapshot back.
    overslept: bool,
}

struct Inner {
    dice: Dice,
    now: i64,
    machines: Vec<Machine>,
    late: Vec<Late>,
    in_flight: usize,
}

/// The world of one seed.
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) seed: u64,
    inner: Mutex<Inner>,
    changed: Notify,
    /// Whether every request is printed (`CREDENZA_TRACE`).
    traced: bool,
}

impl World {
    pub(crate) fn new(store: MemoryStore, seed: u64, machines: usize) -> Arc<Self> {
        let machines = (0..machines).map(|_| Machine::default()).collect();
        let inner = Inner { dice: Dice::new(seed), now: BEGIN, machines, late: Vec::new(), in_flight: 0 };
        Arc::new(Self {
            store,
            seed,
            inner: Mutex::new(inner),
            changed: Notify::new(),
            traced: std::env::var_os("CREDENZA_TRACE").is_some(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// A machine begins or ends one command.
    pub(crate) fn set_at_work(&self, machine: usize, at_work: bool) {
        let mut inner = self.lock();
        let machine = &mut inner.machines[machine];
        (machine.at_work, machine.crashed, machine.overslept) = (at_work, false, false);
        machine.waiting.clear();
        drop(inner);
        self.changed.notify_one();
    }

    pub(crate) fn now(&self) -> i64 {
        self.lock().now
    }

    /// Lets days pass; what was on its way arrives before.
    pub(crate) async fn pass(&self, days: i64) {
        let late = std::mem::take(&mut self.lock().late);
        for request in late {
            self.arrive(request).await;
        }
        let mut inner = self.lock();
        inner.now += days * DAY;
        inner.machines.iter_mut().for_each(|machine| machine.overslept = true);
        self.store.set_clock(at(inner.now));
    }

    /// What is late under these names arrives.
    async fn settle(&self, keys: &[StoreKey]) {
        let is_meant = |late: &mut Late| matches!(late, Late::Put(key, ..) if keys.contains(key));
        let meant: Vec<Late> = self.lock().late.extract_if(.., is_meant).collect();
        for request in meant {
            self.arrive(request).await;
        }
    }

    async fn arrive(&self, request: Late) {
        let _ = match request {
            Late::Put(key, data, options) => self.store.put(&key, data, &options).await.map(drop),
            Late::Delete(keys) => self.store.delete(&keys).await.map(drop),
        };
    }

    /// Serves one request after the other, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let turn = self.turn();
            match turn {
                Turn::Wait => self.changed.notified().await,
                Turn::Arrive(request) => self.arrive(request).await,
                Turn::Pass(days) => self.pass(days).await,
                Turn::Served => {}
            }
        }
    }

    fn turn(&self) -> Turn {
        let mut inner = self.lock();
        let Inner { dice, now, machines, late, in_flight } = &mut *inner;
        let is_busy = |machine: &Machine| machine.at_work && machine.waiting.is_empty();
        let mut awake: Vec<usize> = (0..machines.len()).filter(|number| machines[*number].at_work).collect();
        if *in_flight > 0 || awake.is_empty() || machines.iter().any(is_busy) {
            return Turn::Wait;
        }
        *now += i64::try_from(dice.below(600)).unwrap();
        self.store.set_clock(at(*now));
        if !late.is_empty() && dice.one_in(8) {
            return Turn::Arrive(late.swap_remove(0));
        }
        if dice.one_in(400) {
            return Turn::Pass(i64::try_from(1 + dice.below(12)).unwrap());
        }
        machines.iter_mut().for_each(|machine| machine.asleep = machine.asleep.saturating_sub(1));
        if awake.iter().any(|number| machines[*number].asleep == 0) {
            awake.retain(|number| machines[*number].asleep == 0);
        }
        let chosen = awake[usize::try_from(dice.below(awake.len() as u64)).unwrap()];
        let machine = &mut machines[chosen];
        if dice.one_in(60) {
            machine.asleep = dice.below(300);
            return Turn::Served;
        }
        machine.crashed |= !machine.overslept && dice.one_in(300);
        let verdict = match (machine.crashed, dice.below(100)) {
            (true, _) => Verdict::Crash,
            (_, 0..3) => Verdict::Lose,
            (_, 3..6) => Verdict::LoseAnswer,
            (_, 6..9) => Verdict::Repeat,
            (_, 9..11) => Verdict::Delay,
            _ => Verdict::Serve,
        };
        let served = machine.waiting.pop_front().is_some_and(|request| request.send(verdict).is_ok());
        *in_flight += usize::from(served);
        Turn::Served
    }
}

enum Turn {
    /// Somebody is still thinking.
    Wait,
    Served,
    Arrive(Late),
    Pass(i64),
}

/// The store as one machine sees it.
pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) machine: usize,
}

fn failure(class: ErrorClass) -> Error {
    Error::new(class, "simulated", "a simulated fault")
}

/// Holds the world still while a request is served.
struct Passage<'a>(&'a World);

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
        self.0.changed.notify_one();
    }
}

impl Client {
    async fn gate(&self) -> Result<(Verdict, Passage<'_>)> {
        let (sender, receiver) = oneshot::channel();
        self.world.lock().machines[self.machine].waiting.push_back(sender);
        self.world.changed.notify_one();
        match receiver.await {
            Ok(verdict) => Ok((verdict, Passage(&self.world))),
            Err(_) => Err(failure(ErrorClass::Internal)),
        }
    }

    /// Writes down what is asked, for whoever follows a seed.
    fn trace(&self, name: &str, key: &str, verdict: Verdict) {
        if self.world.traced {
            println!("{} machine {} {name} {key} {verdict:?}", self.world.now() - BEGIN, self.machine);
        }
    }

    /// One request with all that can befall it, tried again while it seems to fail for a while.
    async fn request<T, F: Future<Output = Result<T>>>(
        &self,
        name: &str,
        key: &str,
        act: impl Fn() -> F,
        late: impl Fn() -> Option<Late>,
    ) -> Result<T> {
        for _ in 0..TRIES {
            let (verdict, _passage) = self.gate().await?;
            self.trace(name, key, verdict);
            match verdict {
                Verdict::Serve => return act().await,
                Verdict::Lose => {}
                Verdict::LoseAnswer => drop(act().await),
                Verdict::Repeat => {
                    let _ = act().await;
                    return act().await;
                }
                Verdict::Delay => {
                    let request = late();
                    self.world.lock().late.extend(request);
                }
                Verdict::Crash => return Err(failure(ErrorClass::Internal)),
            }
        }
        Err(failure(ErrorClass::Transient))
    }
}

#[async_trait]
impl Store for Client {
    async fn info(&self) -> Result<StoreInfo> {
        self.world.store.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.world.store.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        let late = || Some(Late::Put(key.clone(), data.clone(), options.clone()));
        self.request("put", key.as_str(), || self.world.store.put(key, data.clone(), options), late).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        self.request("get", key.as_str(), || self.world.store.get(key, range, version), || None).await
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.request("stat", key.as_str(), || self.world.store.stat(key), || None).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        let act = || self.world.store.list(prefix, cursor, max);
        let early = self.request("list", prefix, act, || None).await?;
        let late = self.request("list", prefix, act, || None).await?;
        let digit = char::from_digit(u32::try_from(self.world.lock().dice.below(16)).unwrap(), 16).unwrap();
        let border = format!("{prefix}{digit}");
        // The cursor of a store in memory is the last key of the page.
        let next = early.next.iter().chain(&late.next).min().cloned();
        let before = early.objects.into_iter().filter(|object| object.key.as_str() < border.as_str());
        let objects = before.chain(late.objects.into_iter().filter(|object| object.key.as_str() >= border.as_str()));
        let objects = objects.filter(|object| next.as_deref().is_none_or(|next| object.key.as_str() <= next)).collect();
        Ok(Page { objects, next, ..Page::default() })
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        let late = || Some(Late::Delete(keys.to_vec()));
        self.world.settle(keys).await;
        let names = keys.iter().map(StoreKey::as_str).collect::<Vec<_>>().join(" ");
        self.request("delete", &names, || self.world.store.delete(keys), late).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        let act = || self.world.store.retain(key, version, until);
        self.request("retain", key.as_str(), act, || None).await
    }
}

/// The clock of a machine: its calendar goes, its other clock stands still, as in a laptop that sleeps.
pub(crate) struct Calendar(pub(crate) Arc<World>);

impl Clock for Calendar {
    fn now(&self) -> Moment {
        Moment { monotonic: std::time::Duration::ZERO, wall: at(self.0.now()) }
    }
}
