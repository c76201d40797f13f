//! The engine: a repository and the lines of stages that fill, read and verify it.
//!
//! Owned here: the order in which objects are read and written, queues and their bounds, which failure ends a run and
//! which is recorded, and the events that a run emits. Refused here: providers (`connect`), bytes on disk (`format`),
//! WebAssembly (`sandbox`), printing and asking (`cli`). Called by `cli`.
//!
//! ```text
//! backup   scan > join > load > chunk pipeline (cut, hash, compress) > tree > write (seal, pack, upload, commit)
//! restore  walk the tree > plan in pack order > fetch ranges > open and verify > write
//! sync     usage list, or records > fetch ranges > open and verify > write
//! mirror   cuts and listing side by side > new > changed > removed > marker
//! repair   survey > copy what can be read of damaged packs > index > condemn > usage lists
//! gc       mark > repack > condemn > look again > delete > merge the index > expire
//! archive  walk the tree > fetch, open and verify a window > name > tar or zip
//! shards   borders > a backup of a range of keys, by each process > parts > merge: trees joined > one snapshot
//! view     load the index once > seek in the tree > a page of a folder, or any bytes of a content
//! ```
//!
//! A repository in memory, a backup, and the snapshot that it made:
//!
//! ```
//! use std::sync::Arc;
//!
//! use credenza_connect::memory::{MemorySource, MemoryStore};
//! use credenza_engine::backup::{self, BackupOptions};
//! use credenza_engine::{CreateOptions, Repository, RunContext, Secret, SnapshotName};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new());
//! let secret = Secret::KeyFile(vec![7; credenza_format::KEY_FILE_BYTES_MIN].into());
//! let options = CreateOptions { label: "first".to_owned(), ..CreateOptions::new(secret.clone()) };
//! Repository::create(store.clone(), &options).await?;
//!
//! let source = MemorySource::new();
//! source.put("letters/a.txt", "dear a");
//! let repository = Repository::open(store, &secret, None).await?;
//! let report = backup::run(&repository, Arc::new(source), &BackupOptions::default(), &RunContext::default()).await?;
//! let latest = repository.find(&SnapshotName("latest".to_owned())).await?;
//! assert_eq!(report.snapshot, Some(latest.snapshot.id));
//! # Ok(())
//! # }
//! ```

pub mod archive;
pub mod audit;
pub mod backup;
mod blobs;
mod cached;
pub mod check;
mod clock;
mod contents;
pub mod copies;
pub mod drill;
mod error;
mod escrow;
mod event;
mod fallback;
mod findings;
pub mod flags;
pub mod freed;
pub mod gc;
mod groups;
mod health;
mod heed;
mod json;
mod key_list;
pub mod latest;
mod listing;
mod liveness;
pub mod mirror;
mod notes;
mod parts;
mod pin;
mod poison;
pub mod query;
mod rehearsal;
pub mod remove;
pub mod repair;
pub mod replica;
mod repository;
pub mod restore;
pub mod retention;
mod run;
pub mod shards;
mod share;
mod standing;
mod stated;
mod stop;
pub mod sync;
pub mod tags;
mod task;
#[cfg(test)]
mod testing;
pub mod turnover;
pub mod view;
mod walk;
mod window;
mod write;

pub use cached::{CachedStore, ObjectCache};
pub use clock::{Clock, Moment, SystemClock};
pub use credenza_format::Drill;
pub use error::{Damage, DamageKind, Error, Result};
pub use event::{Event, Listener, NoEvents, Phase};
pub use fallback::Replica;
pub use parts::{Part, Parts};
pub use pin::Pin;
pub use rehearsal::{Expectation, Rehearsal};
pub use repository::{
    AHEAD_SECONDS, CreateOptions, Created, DamagedSnapshot, ListedSlot, Repository, Resealing, Rotation, Secret,
    SlotLock, SnapshotFilter, SnapshotHandle, SnapshotName, Snapshots, Spared, key_slots, probe,
};
pub use run::RunContext;
pub use share::Share;
pub use standing::{Conflict, Left, Standing};
pub use stop::{Heeding, Stop};
pub use walk::Records;
