//! Journal: when each pack was read whole the last time, remembered in a folder of this machine.
//!
//! It only spares reading: a pack that it does not know is read, and so it may be deleted at any time, by anyone. Of two
//! checks that end at the same moment one may be forgotten. One file for each place of a repository, because a copy of the
//! repository elsewhere has rotted, or not, on its own. Called by `check::run`.
//!
//! Bound: some 50 bytes a pack.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use credenza_format::body_digest;
use credenza_model::ObjectId;

use crate::cached::write_whole;
use crate::repository::Repository;
use crate::{Error, Result};

/// What is remembered of one place.
pub(super) struct Readings {
    /// None without a folder: nothing is remembered then.
    path: Option<PathBuf>,
    /// Seconds since 1970, by the clock of this machine.
    times: HashMap<ObjectId, i64>,
    now: i64,
}

impl Readings {
    pub(super) async fn open(repository: &Repository, folder: Option<&Path>) -> Result<Self> {
        let now = repository.clock().now().wall.seconds;
        let Some(folder) = folder else { return Ok(Self { path: None, times: HashMap::new(), now }) };
        let info = repository.bare_store().info().await.map_err(Error::connector("opening the store"))?;
        let place = body_digest(info.identity.as_bytes());
        let path = folder.join(format!("{}-{place}", repository.config().repository));
        Ok(Self { times: read(path.clone()).await, path: Some(path), now })
    }

    /// Whether a pack was found whole within `age` before now. A time to come is not believed: the clock was set back since.
    pub(super) fn is_recent(&self, pack: &ObjectId, age: Duration) -> bool {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.times.get(pack).is_some_and(|time| (0..age).contains(&self.now.saturating_sub(*time)))
    }

    /// Remembers the packs found whole just now, and forgets those that are no longer there. What cannot be written is read again.
    pub(super) async fn remember(self, whole: &[ObjectId], present: &HashSet<ObjectId>) {
        let Some(path) = self.path else { return };
        let mut times = read(path.clone()).await;
        times.extend(whole.iter().map(|pack| (*pack, self.now)));
        times.retain(|pack, _| present.contains(pack));
        let mut text = String::new();
        times.iter().for_each(|(pack, time)| {
            let _ = writeln!(text, "{pack} {time}");
        });
        let _ = tokio::task::spawn_blocking(move || write_whole(&path, text.as_bytes())).await;
    }
}

/// Lines of a pack and a time; what is no such line is passed over.
async fn read(path: PathBuf) -> HashMap<ObjectId, i64> {
    let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
    let text = text.ok().and_then(std::io::Result::ok).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let (pack, time) = line.split_once(' ')?;
        Some((pack.parse().ok()?, time.parse().ok()?))
    });
    lines.collect()
}
