//! Which snapshots are shown, and in which folders a person finds them.
//!
//! | path | what |
//! |---|---|
//! | `latest` | a link to the newest one |
//! | `snapshots/TIME-ID` | what each holds |
//! | `ids/ID` | links to them, by whole id |
//! | `hosts/HOST/TIME-ID` | by the machine |
//! | `sources/SOURCE/TIME-ID` | by the source, whose slashes are written as `%2F` |
//! | `tags/TAG/TIME-ID` | by each tag |
//!
//! Owned here: these folders, and that snapshots which are made meanwhile appear and removed ones go: nobody finds those any more, and who is in the midst of
//! one reads on as long as the pin keeps it. Refused here: what is in a snapshot (`tree`). Called by the fronts.
//!
//! Bound: a handle and some six names for each snapshot, and a handle for each that went within two days; two indexes while another is loaded.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use credenza_engine::tags::TagEdits;
use credenza_engine::{Pin, Repository, Result, SnapshotFilter, SnapshotHandle, SnapshotName, Snapshots};
use credenza_model::{SnapshotId, Timestamp};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::tree::SnapshotTree;

/// How long the list of snapshots is taken to be as it was. While nobody looks, nobody asks.
const FRESH: Duration = Duration::from_secs(10);
/// How long whoever looks waits for a newer list.
const PATIENCE: Duration = Duration::from_secs(2);
/// Digits of an id that tell snapshots of one second apart.
const ID_DIGITS: usize = 8;

/// Which snapshots are shown.
#[derive(Debug, Clone)]
pub enum Shown {
    /// All that the filter lets through, each in its folders.
    All,
    /// The newest of them, and another when there is a newer one.
    Newest,
    /// One.
    One(Box<SnapshotHandle>),
}

/// The snapshots of a repository that are shown.
pub struct Shelf {
    rule: Arc<Rule>,
    standing: Arc<RwLock<Arc<Standing>>>,
    /// When the snapshots were listed last; whoever lists them holds it.
    listed: Arc<Mutex<Instant>>,
}

/// Which snapshots are to be shown.
struct Rule {
    repository: Repository,
    filter: SnapshotFilter,
    shown: Shown,
    /// Keeps what is shown.
    pin: OnceLock<Arc<Pin>>,
    /// Why some of it is not kept, as far as that was told.
    unpinned: std::sync::Mutex<HashSet<String>>,
    /// The snapshots could not be listed when they were to be last.
    is_stale: AtomicBool,
}

/// Keeps what is shown although it is removed, for a day or two, or until it [ends](Self::end), and a week longer where it is dropped.
pub struct Pinned {
    pin: Arc<Pin>,
    renewal: AbortHandle,
}

impl Pinned {
    /// Lets go.
    pub async fn end(self) {
        self.pin.end().await;
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// What is shown at a moment.
pub(crate) struct Standing {
    /// The snapshot that is all that is shown.
    pub(crate) alone: Option<SnapshotId>,
    trees: BTreeMap<SnapshotId, SnapshotTree>,
    /// Those that are shown no more and still kept for whoever is in the midst of them.
    former: BTreeMap<SnapshotId, SnapshotTree>,
    /// Oldest first.
    order: Vec<SnapshotId>,
    folders: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Shelved>>,
    /// When the newest was made.
    pub(crate) newest: Timestamp,
}

/// What stands in a folder of the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shelved {
    Folder,
    Link(Vec<u8>),
    Snapshot(SnapshotId),
}

impl Shelf {
    /// Lists the snapshots and loads the index.
    ///
    /// # Errors
    /// When the repository cannot be read; with [`Shown::Newest`] as for [`Snapshots::find`].
    pub async fn open(repository: Repository, filter: SnapshotFilter, shown: Shown) -> Result<Self> {
        let (pin, unpinned, is_stale) = (OnceLock::new(), std::sync::Mutex::default(), AtomicBool::new(false));
        let rule = Rule { repository, filter, shown, pin, unpinned, is_stale };
        let standing = Standing::of(&rule, rule.list().await?, Vec::new()).await?;
        Ok(Self {
            rule: Arc::new(rule),
            standing: Arc::new(RwLock::new(Arc::new(standing))),
            listed: Arc::new(Mutex::new(Instant::now())),
        })
    }

    /// Keeps what is shown from being taken from under its readers by a collector, and what comes to be shown later. What cannot be kept is told.
    ///
    /// # Errors
    /// As for [`Pin::keep_each`]; nothing is kept then.
    pub async fn pin(&self, host: &str, user: &str) -> Result<Pinned> {
        let pin = Arc::new(Pin::new(self.rule.repository.clone(), host, user));
        let shown: Vec<SnapshotHandle> = now(&self.standing).trees().map(|tree| tree.snapshot().clone()).collect();
        match pin.keep_each(&shown).await {
            Ok(causes) => self.rule.tell_unpinned(&causes),
            Err(cause) => {
                pin.end().await;
                return Err(cause);
            }
        }
        let kept = Arc::clone(self.rule.pin.get_or_init(|| Arc::clone(&pin)));
        let renewing = Arc::clone(&kept);
        let renewal = tokio::spawn(async move { renewing.renew_daily(&|cause| warn_unpinned(cause)).await });
        Ok(Pinned { pin: kept, renewal: renewal.abort_handle() })
    }

    /// What is shown now. Where a repository takes long to answer, or does not, it is what was shown before.
    pub(crate) async fn standing(&self) -> Arc<Standing> {
        if !matches!(self.rule.shown, Shown::One(_))
            && let Ok(listed) = Arc::clone(&self.listed).try_lock_owned()
            && listed.elapsed() >= FRESH
        {
            let renewal = tokio::spawn(renew(Arc::clone(&self.rule), Arc::clone(&self.standing), listed));
            // It goes on where nobody waits for it any more.
            let _ = tokio::time::timeout(PATIENCE, renewal).await;
        }
        now(&self.standing)
    }

    /// A snapshot that is shown, or was and is still kept.
    pub(crate) fn tree(&self, id: SnapshotId) -> Option<SnapshotTree> {
        let standing = now(&self.standing);
        standing.trees.get(&id).or_else(|| standing.former.get(&id)).cloned()
    }

    /// Whether what is shown becomes another snapshot when there is a newer one.
    pub(crate) fn follows(&self) -> bool {
        matches!(self.rule.shown, Shown::Newest)
    }
}

fn now(standing: &RwLock<Arc<Standing>>) -> Arc<Standing> {
    Arc::clone(&standing.read().unwrap_or_else(PoisonError::into_inner))
}

/// Lists the snapshots, and shows them where they are others than before.
async fn renew(rule: Arc<Rule>, standing: Arc<RwLock<Arc<Standing>>>, mut listed: OwnedMutexGuard<Instant>) {
    let renewed = async {
        let handles = rule.list().await?;
        let mut former = Vec::new();
        if let Some(pin) = rule.pin.get() {
            let causes = pin.keep_each(&handles).await.unwrap_or_else(|cause| vec![cause]);
            rule.tell_unpinned(&causes);
            former = pin.former().await;
        }
        if now(&standing).shows(&handles, &former) {
            Ok(None)
        } else {
            Standing::of(&rule, handles, former).await.map(Some)
        }
    };
    let renewed = renewed.await;
    let was_stale = rule.is_stale.swap(renewed.is_err(), Ordering::Relaxed);
    match renewed {
        Ok(Some(new)) => *standing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new),
        Ok(None) => {}
        // It is told once for as long as it lasts.
        Err(_) if was_stale => {}
        Err(cause) => {
            let error = &cause as &(dyn std::error::Error + 'static);
            tracing::warn!(error, "the snapshots cannot be listed; those of before are shown");
        }
    }
    *listed = Instant::now();
}

fn warn_unpinned(cause: &credenza_engine::Error) {
    let error = cause as &(dyn std::error::Error + 'static);
    tracing::warn!(error, "what is shown may be taken from under its readers once its snapshot is removed");
}

impl Rule {
    /// Tells each cause once: what cannot be kept is tried again at each list.
    fn tell_unpinned(&self, causes: &[credenza_engine::Error]) {
        let mut told = self.unpinned.lock().unwrap_or_else(PoisonError::into_inner);
        causes.iter().filter(|cause| told.insert(cause.to_string())).for_each(warn_unpinned);
    }

    /// Those that are to be shown, oldest first.
    async fn list(&self) -> Result<Vec<SnapshotHandle>> {
        if let Shown::One(handle) = &self.shown {
            return Ok(vec![(**handle).clone()]);
        }
        let all: Snapshots = self.repository.snapshots().await?;
        let snapshots = TagEdits::load(&self.repository).await?.apply(all).filtered(&self.filter);
        Ok(match self.shown {
            Shown::Newest => vec![snapshots.find(&SnapshotName("latest".to_owned()))?],
            Shown::All | Shown::One(_) => snapshots.whole,
        })
    }
}

impl Standing {
    async fn of(rule: &Rule, handles: Vec<SnapshotHandle>, former: Vec<SnapshotHandle>) -> Result<Self> {
        let view = rule.repository.view().await?;
        let newest = handles.iter().map(time_of).max().unwrap_or_default();
        let alone = match rule.shown {
            Shown::All => None,
            Shown::Newest | Shown::One(_) => handles.last().map(|handle| handle.snapshot.id),
        };
        let folders = if alone.is_some() { BTreeMap::new() } else { folders_of(&handles) };
        let order = handles.iter().map(|handle| handle.snapshot.id).collect();
        let tree = |handle: SnapshotHandle| (handle.snapshot.id, SnapshotTree::new(view.clone(), Arc::new(handle)));
        let former = former.into_iter().map(tree).collect();
        Ok(Self { alone, trees: handles.into_iter().map(tree).collect(), former, order, folders, newest })
    }

    /// Whether it shows exactly these, with these tags, and has these for whoever is in the midst of them.
    fn shows(&self, handles: &[SnapshotHandle], former: &[SnapshotHandle]) -> bool {
        let tags = |handle: &SnapshotHandle| (handle.snapshot.id, handle.snapshot.tags.clone());
        let now: HashSet<_> = handles.iter().map(tags).collect();
        let then: HashSet<_> = self.trees.values().map(|tree| tags(tree.snapshot())).collect();
        let kept: HashSet<_> = former.iter().map(|handle| handle.snapshot.id).collect();
        now == then && kept.len() == self.former.len() && self.former.keys().all(|id| kept.contains(id))
    }

    /// What stands in a folder of the shelf, by its path.
    pub(crate) fn folder(&self, path: &[u8]) -> Option<&BTreeMap<Vec<u8>, Shelved>> {
        self.folders.get(path)
    }

    /// What stands at a path of the shelf.
    pub(crate) fn at(&self, path: &[u8]) -> Option<&Shelved> {
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (path.get(..slash)?, path.get(slash + 1..)?),
            None => (&[][..], path),
        };
        self.folders.get(folder)?.get(name)
    }

    /// All that are shown, the newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &SnapshotTree> {
        self.order.iter().rev().filter_map(|id| self.trees.get(id))
    }

    pub(crate) fn trees(&self) -> impl Iterator<Item = &SnapshotTree> {
        self.trees.values()
    }
}

pub(crate) fn time_of(handle: &SnapshotHandle) -> Timestamp {
    handle.time().unwrap_or(handle.snapshot.finished)
}

fn folders_of(handles: &[SnapshotHandle]) -> BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Shelved>> {
    let mut shelves = Shelves::default();
    for folder in ["snapshots", "ids", "hosts", "sources", "tags"] {
        shelves.folder(folder);
    }
    for handle in handles {
        let (snapshot, name) = (&handle.snapshot, name_of(handle));
        shelves.put("snapshots", name.clone(), Shelved::Snapshot(snapshot.id));
        shelves.put("ids", snapshot.id.to_string(), link("..", &name));
        let groups = [("hosts", &snapshot.host), ("sources", &snapshot.source.location)];
        for (kind, group) in groups.into_iter().chain(snapshot.tags.iter().map(|tag| ("tags", tag))) {
            let folder = format!("{kind}/{}", file_name(group));
            shelves.folder(&folder);
            shelves.put(&folder, name.clone(), link("../..", &name));
        }
    }
    if let Some(newest) = handles.last() {
        shelves.put("", "latest".to_owned(), Shelved::Link(format!("snapshots/{}", name_of(newest)).into_bytes()));
    }
    shelves.folders
}

#[derive(Default)]
struct Shelves {
    folders: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Shelved>>,
}

impl Shelves {
    /// Puts a folder into the one above it.
    fn folder(&mut self, path: &str) {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.put(above, name.to_owned(), Shelved::Folder);
        self.folders.entry(path.as_bytes().to_vec()).or_default();
    }

    fn put(&mut self, folder: &str, name: String, what: Shelved) {
        self.folders.entry(folder.as_bytes().to_vec()).or_default().insert(name.into_bytes(), what);
    }
}

fn link(up: &str, name: &str) -> Shelved {
    Shelved::Link(format!("{up}/snapshots/{name}").into_bytes())
}

/// The time to the second in UTC, which sorts, and the beginning of the id.
pub(crate) fn name_of(handle: &SnapshotHandle) -> String {
    let time = Timestamp { nanoseconds: 0, ..time_of(handle) };
    let id = handle.snapshot.id.to_string();
    format!("{}-{id:.ID_DIGITS$}", time.to_string().replace(':', "-"))
}

/// A text as one name that is not `.` and not `..`: a percent sign, a slash, and what a terminal would obey are written as `%XX`, and names are cut at
/// 200 bytes.
fn file_name(text: &str) -> String {
    const NAME_BYTES_MAX: usize = 200;
    let mut name = String::new();
    for character in text.chars() {
        let is_dot = character == '.' && matches!(text, "." | "..");
        let unit = match character {
            '%' | '/' => None,
            _ if is_dot || character.is_control() => None,
            _ => Some(character.to_string()),
        };
        let escaped = || character.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let unit = unit.unwrap_or_else(escaped);
        if name.len() + unit.len() > NAME_BYTES_MAX {
            break;
        }
        name.push_str(&unit);
    }
    if name.is_empty() { "%".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_name_that_leads_nowhere() {
        let cases = [
            ("/srv/shop", "%2Fsrv%2Fshop"),
            ("s3://host/bucket", "s3:%2F%2Fhost%2Fbucket"),
            ("..", "%2E%2E"),
            ("100%", "100%25"),
            ("a\u{1b}[2J", "a%1B[2J"),
            ("", "%"),
            ("web-1.example.org", "web-1.example.org"),
        ];
        for (text, name) in cases {
            assert_eq!(file_name(text), name);
        }
        assert!(file_name(&"ü".repeat(1000)).len() <= 200);
    }
}
