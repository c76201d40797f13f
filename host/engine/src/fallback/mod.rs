//! Fallback: what is damaged or missing here is read from replicas, other repositories with copies of snapshots of this one.
//!
//! ```text
//! blobs > mend > open the first replica, once > alike: the same chunk there      (`blobs`)
//!                                             > re-keyed: its twin there          (`twins`)
//!                                             > the next replica for what is left
//! ```
//!
//! No replica is trusted: what it gives must have the id that the chunk has here, under the keys of here. One that cannot be opened, fails or
//! answers nothing for [`ANSWER_MAX`] is passed over from then on, and that is told once.
//!
//! Owned here: in which order replicas are asked, and what is told. Refused here: naming and opening them (`app`), who reads chunks (`blobs`), mending the
//! repository (`repair`). Bound: the index of each replica that is opened, a line for each object that was damaged, and what `twins` states.

#[cfg(test)]
mod tests;
mod twins;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::{Error as ConnectError, ErrorClass};
use credenza_model::ChunkId;
use futures_util::future::{Either, select};
use tokio::sync::OnceCell;

use crate::blobs::BlobLoader;
use crate::clock::Clock;
use crate::poison::lock_unpoisoned;
use crate::repository::{Missed, Repository, Spare, Spared};
use crate::{Damage, Error, Result};
use twins::Twins;

/// How long a replica may take for one answer: as long as a repository may be silent before a run ends.
const ANSWER_MAX: Duration = Duration::from_mins(5);

/// Another repository that has copies of snapshots of this one.
#[async_trait]
pub trait Replica: Send + Sync {
    /// What a person calls it, such as `@paris`.
    fn name(&self) -> String;

    /// Opens it: called once at most, when it is needed. `None` where that fails, which it has told then.
    async fn open(&self) -> Option<Repository>;

    /// It is asked no more in this run, for this reason.
    fn passed_over(&self, why: &str);
}

impl Repository {
    /// The same repository, which reads from these replicas, the first that has it, what it has lost itself. Not for [`check`](crate::check) and
    /// [`drill`](crate::drill), which ask what the repository has by itself.
    #[must_use]
    pub fn with_replicas(self, replicas: Vec<Arc<dyn Replica>>) -> Self {
        if replicas.is_empty() {
            return self;
        }
        let asked = |replica| Asked { replica, ready: OnceCell::new(), is_given_up: AtomicBool::new(false) };
        let replicas = replicas.into_iter().map(asked).collect();
        self.with_spare(Arc::new(Replicas { replicas, told: Mutex::default() }))
    }
}

struct Replicas {
    replicas: Vec<Asked>,
    /// By the name of the damaged object.
    told: Mutex<BTreeMap<String, Spared>>,
}

/// A replica, opened when it is needed.
struct Asked {
    replica: Arc<dyn Replica>,
    /// Nothing where it cannot be opened.
    ready: OnceCell<Option<Ready>>,
    is_given_up: AtomicBool,
}

struct Ready {
    loader: Arc<BlobLoader>,
    /// Where the ids of chunks are others than here.
    twins: Option<Twins>,
}

#[async_trait]
impl Spare for Replicas {
    async fn mend(&self, here: &Repository, missed: Missed<'_>, fetched: &mut HashMap<ChunkId, Result<Bytes, Damage>>) {
        for asked in &self.replicas {
            let wanted: Vec<ChunkId> = fetched.iter().filter(|(_, got)| got.is_err()).map(|(id, _)| *id).collect();
            if wanted.is_empty() {
                return;
            }
            for (id, bytes) in asked.load(here, &missed, &wanted).await {
                if let Some(Err(damage)) = fetched.insert(id, Ok(bytes)) {
                    self.tell(damage, asked.replica.name());
                }
            }
        }
    }

    fn take_spared(&self) -> Vec<Spared> {
        std::mem::take(&mut *lock_unpoisoned(&self.told)).into_values().collect()
    }
}

impl Replicas {
    fn tell(&self, damage: Damage, replica: String) {
        let detail = format!("{}; it is read from {replica} instead", damage.detail);
        let spared = |damage| Spared { damage, replica };
        let mut told = lock_unpoisoned(&self.told);
        told.entry(damage.object.clone()).or_insert_with(|| spared(Damage { chunk: None, detail, ..damage }));
    }
}

impl Asked {
    /// What it has of these chunks. It is asked no more once it has failed.
    async fn load(&self, here: &Repository, missed: &Missed<'_>, wanted: &[ChunkId]) -> HashMap<ChunkId, Bytes> {
        if self.is_given_up.load(Relaxed) {
            return HashMap::new();
        }
        let found = match self.ready.get_or_init(|| self.open(here)).await {
            None => return HashMap::new(),
            Some(Ready { loader, twins: Some(twins) }) => twins.load(here, loader, missed, wanted).await,
            Some(Ready { loader, twins: None }) => within(here.clock(), load_whole(loader, wanted)).await,
        };
        found.unwrap_or_else(|cause| {
            self.give_up(&cause);
            HashMap::new()
        })
    }

    async fn open(&self, here: &Repository) -> Option<Ready> {
        let opening = async {
            let Some(there) = self.replica.open().await else { return Ok(None) };
            let there = there.alone();
            let loader = there.loader(Arc::new(there.index_for_reading().await?));
            let twins = match here.keys().is_like(there.keys()) {
                true => None,
                false => Some(Twins::between(here, &there).await?),
            };
            Ok(Some(Ready { loader, twins }))
        };
        within(here.clock(), Box::pin(opening)).await.unwrap_or_else(|cause| {
            self.give_up(&cause);
            None
        })
    }

    /// Tells it once. What a run fails of that is to end is no fault of the replica.
    fn give_up(&self, cause: &Error) {
        if !self.is_given_up.swap(true, Relaxed) && !matches!(cause, Error::Cancelled) {
            self.replica.passed_over(&cause.to_string());
        }
    }
}

/// Chunks as they are there, without those that are damaged there, too.
async fn load_whole(loader: &BlobLoader, wanted: &[ChunkId]) -> Result<HashMap<ChunkId, Bytes>> {
    let fetched = loader.load(wanted.iter().copied()).await?;
    Ok(fetched.into_iter().filter_map(|(id, bytes)| Some((id, bytes.ok()?))).collect())
}

/// What a replica answers in time.
async fn within<T>(clock: &Arc<dyn Clock>, answer: impl Future<Output = Result<T>>) -> Result<T> {
    match select(std::pin::pin!(answer), clock.wait(ANSWER_MAX)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => {
            let cause = ConnectError::new(ErrorClass::Transient, "silent", "no answer came");
            let (seconds, doing) = (ANSWER_MAX.as_secs(), "reading what is lost here".to_owned());
            Err(Error::Unanswered { side: "replica", seconds, doing, cause })
        }
    }
}
