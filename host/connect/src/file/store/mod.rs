//! A repository in a local folder, nothing of which is reached through a link: its folder may belong to somebody hostile.
//!
//! An object is written to `~unfinished`, synced, and given its name by a rename that fails if the name is taken (or by the
//! best means that the file system has instead), then its folder is synced: a crash leaves a whole object or none.
//! Every call runs on the blocking pool, because syncing takes milliseconds.

mod list;
mod root;
#[cfg(test)]
mod tests;
mod unfinished;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, OnceLock};

use async_trait::async_trait;
use credenza_model::{StoreKey, Timestamp};

use super::NO_ROOT;
use super::cause::{from_errno, from_io};
use super::platform::posix::{AtFlags, Errno, FileType, OFlags, unlinkat};
use super::platform::{Medium, PLACE, Status, open_beneath, open_regular, status_of};
use super::reader::FileReader;
use super::source::bounds;
use crate::paging::key_of;
use crate::{
    Body, ByteRange, Check, Error, ErrorClass, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored,
    StoredObject, ability,
};
use list::Wanted;
use root::Root;
pub(super) use unfinished::random_name;
use unfinished::{Unfinished, keep_reserve, release_reserve, sweep};

/// Kinds of objects that are written to make room: records of what goes. They may use the reserve, and nothing else may.
const MAKING_ROOM: [&str; 2] = ["condemned", "removed"];
/// What a folder that a group shares means.
const SHARED: &str = "the folder is shared: whoever is in its group can read, replace and delete everything in it";
/// What names given after a look mean.
const REPLACES: &str = "this file system can neither rename without replacing nor link: of two creations of one name at the same moment both may succeed";
/// What folders that cannot be synced mean.
const FORGETS: &str =
    "this file system does not sync folders: what was written just before a power failure may be gone after it";

/// A repository in a local folder.
#[derive(Debug, Clone)]
pub struct FileStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    medium: Medium,
    /// Opened by the first call and held: a folder that takes its place later is another one.
    root: OnceLock<Root>,
    swept: Once,
}

impl FileStore {
    /// The store in an existing folder; whether it exists is found out by the first call.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`] for an empty path, or without a current folder.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::on(path.as_ref(), Medium::new())
    }

    fn on(given: &Path, medium: Medium) -> Result<Self> {
        let path = std::path::absolute(given).map_err(|e| {
            Error::new(ErrorClass::Configuration, "file.path", format!("`{}` names no folder: {e}", given.display()))
        })?;
        Ok(Self { inner: Arc::new(Inner { path, medium, root: OnceLock::new(), swept: Once::new() }) })
    }

    /// The store in a folder that is made, durably, with those above it, unless it exists.
    ///
    /// # Errors
    /// The cause, by class, when the folder cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::open(path)?.made()
    }

    fn made(self) -> Result<Self> {
        let Inner { path, medium, .. } = &*self.inner;
        root::make(path, medium).map_err(|e| from_errno("cannot make the folder", path.display(), e))?;
        Ok(self)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(|e| {
            Error::new(ErrorClass::Internal, "file.thread", format!("the thread that served a store ended early: {e}"))
        })?
    }
}

#[async_trait]
impl Store for FileStore {
    async fn info(&self) -> Result<StoreInfo> {
        self.run(Inner::info).await
    }

    async fn check(&self) -> Vec<Check> {
        let path = self.inner.path.display().to_string();
        let reached = self.run(|store| store.root().map(drop)).await.map(|()| path);
        let written = self.run(Inner::try_writing).await;
        vec![
            Check { name: "reach the folder".to_owned(), outcome: reached },
            Check { name: "write, read and delete".to_owned(), outcome: written },
        ]
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        if options.if_match.is_some() || options.retain_until.is_some() {
            return Err(Error::new(
                ErrorClass::Unsupported,
                "file.condition",
                format!("a local folder can neither compare-and-swap `{key}` nor lock it against deletion"),
            ));
        }
        let (key, options) = (key.clone(), options.clone());
        self.run(move |store| store.put(&key, &data, &options)).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        if version.is_some() {
            return Err(Error::new(
                ErrorClass::Unsupported,
                "file.version",
                format!("a local folder keeps no versions of `{key}`"),
            ));
        }
        let key = key.clone();
        self.run(move |store| store.get(&key, range)).await
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        let key = key.clone();
        self.run(move |store| store.stat(&key)).await
    }

    /// The cursor is the last key of the page.
    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        let after = key_of(cursor)?.map(|key| key.to_string());
        let wanted = Wanted { prefix: prefix.to_owned(), after, max };
        self.run(move |store| store.list(&wanted)).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        let keys = keys.to_vec();
        self.run(move |store| {
            store.root()?;
            Ok(keys.iter().map(|key| store.delete(key)).collect())
        })
        .await
    }

    async fn retain(&self, key: &StoreKey, _version: Option<&str>, _until: Timestamp) -> Result<()> {
        let message = format!("a local folder cannot lock `{key}` against deletion");
        Err(Error::new(ErrorClass::Unsupported, "file.lock", message))
    }
}

impl Inner {
    fn info(&self) -> Result<StoreInfo> {
        let rights = self.root()?.rights;
        let if_absent = (!self.medium.replaces()).then_some(ability::IF_ABSENT);
        let traits =
            [ability::RANGED_GET, ability::ORDERED_LIST, ability::LIST_AFTER_WRITE].into_iter().chain(if_absent);
        let shared = rights.is_shared.then_some(SHARED);
        let caveats = [shared, self.medium.replaces().then_some(REPLACES), self.medium.forgets().then_some(FORGETS)];
        Ok(StoreInfo {
            identity: format!("file://{}", self.path.display()),
            traits: traits.map(str::to_owned).collect(),
            object_bytes_max: None,
            caveats: caveats.into_iter().flatten().map(str::to_owned).collect(),
        })
    }

    fn root(&self) -> Result<&Root> {
        if let Some(root) = self.root.get() {
            return Ok(root);
        }
        match Root::open(&self.path) {
            Ok(root) => Ok(self.root.get_or_init(|| root)),
            Err(Errno::NOTDIR) => Err(self.no_root("it is not a folder")),
            Err(Errno::NOENT) => Err(self.no_root("there is no such folder")),
            Err(cause) => Err(from_errno("cannot reach the folder", self.path.display(), cause)),
        }
    }

    fn no_root(&self, cause: &str) -> Error {
        Error::new(
            ErrorClass::Configuration,
            NO_ROOT,
            format!("`{}` holds no repository: {cause}; check the path, or create the repository", self.path.display()),
        )
    }

    /// The error of a call on an object; a missing object in a root that was removed is the root's fault.
    fn failed(&self, act: &str, object: &str, cause: Errno) -> Error {
        let path = self.path.join(object);
        match cause {
            Errno::NOENT if self.root.get().is_some_and(Root::is_gone) => self.no_root("the folder was removed"),
            Errno::LOOP => {
                let message = format!(
                    "{act} `{}`: on the way is a symbolic link, or what is no folder; no link is followed in a repository: to keep a part of it elsewhere, mount that there",
                    path.display()
                );
                Error::new(ErrorClass::Unsupported, "file.symlink", message)
            }
            cause => from_errno(act, path.display(), cause),
        }
    }

    /// The error of an object in whose place something else was put: damage, and no end of the run.
    fn no_file(&self, key: &StoreKey, kind: FileType) -> Error {
        let (reason, found) = match kind {
            FileType::Symlink => ("file.symlink", "a symbolic link, which is not followed in a repository"),
            _ => ("file.special", "a pipe, a socket or a device"),
        };
        let path = self.path.join(key.as_str());
        Error::new(ErrorClass::Corrupt, reason, format!("`{}` is no file but {found}", path.display()))
    }

    fn put(&self, key: &StoreKey, data: &Payload, options: &PutOptions) -> Result<Stored> {
        let root = self.root()?;
        self.swept.call_once(|| {
            sweep(root);
            keep_reserve(root);
        });
        let makes_room = MAKING_ROOM.contains(&options.hint.as_str());
        let written = match self.write(root, key, data, options.if_absent) {
            Err(Errno::NOSPC | Errno::DQUOT) if makes_room && release_reserve(root) => {
                self.write(root, key, data, options.if_absent)
            }
            written => written,
        };
        match written {
            Ok(status) => Ok(Stored { tag: Some(tag(&status)), version: None, modified: Some(status.modified) }),
            Err(Errno::EXIST) => Err(Error::new(
                ErrorClass::Precondition,
                "file.exists",
                format!("`{}` exists already", self.path.join(key.as_str()).display()),
            )),
            // So the kernel calls a link where a folder is wanted.
            Err(Errno::NOTDIR) => Err(self.failed("cannot write", key.as_str(), Errno::LOOP)),
            Err(cause) => Err(self.failed("cannot write", key.as_str(), cause)),
        }
    }

    fn write(&self, root: &Root, key: &StoreKey, data: &Payload, if_absent: bool) -> Result<Status, Errno> {
        let (folder, name) = place_of(key);
        let publish = |unfinished: Unfinished| {
            unfinished.publish(&root.folder(folder, &self.medium)?, name, if_absent, &self.medium)
        };
        // Where another file system may be mounted.
        let top = folder.split_inclusive('/').next().unwrap_or_default();
        if !root.is_apart(top) {
            match Unfinished::write(root, &root.folder, data).and_then(publish) {
                Err(Errno::XDEV) if !top.is_empty() => root.set_apart(top),
                written => return written,
            }
        }
        Unfinished::write(root, &root.folder(top, &self.medium)?, data).and_then(publish)
    }

    fn get(&self, key: &StoreKey, range: Option<ByteRange>) -> Result<Body> {
        let opened = open_regular(self.root()?.folder.as_fd(), key.as_str().as_bytes());
        let (file, status) = match opened {
            // What stands there instead is no missing object.
            Err(cause @ (Errno::NOENT | Errno::LOOP)) => {
                self.stat(key)?;
                return Err(self.failed("cannot read", key.as_str(), cause));
            }
            opened => opened.map_err(|cause| self.failed("cannot read", key.as_str(), cause))?,
        };
        let (start, end) = bounds(range, status.size, key)?;
        let reader = FileReader::new(file, start, end);
        Ok(Body::from_reader(Some(end.saturating_sub(start)), reader))
    }

    fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        let found = open_beneath(self.root()?.folder.as_fd(), key.as_str().as_bytes(), PLACE);
        match found.and_then(|file| status_of(file.as_fd(), b"")) {
            Ok(status) if status.kind == FileType::RegularFile => Ok(stored_object(key.clone(), &status)),
            Ok(status) if status.kind == FileType::Directory => {
                Err(self.failed("cannot find", key.as_str(), Errno::NOENT))
            }
            Ok(status) => Err(self.no_file(key, status.kind)),
            Err(cause) => Err(self.failed("cannot find", key.as_str(), cause)),
        }
    }

    fn list(&self, wanted: &Wanted) -> Result<Page> {
        let root = self.root()?;
        match wanted.list(&root.folder) {
            Ok(page) if page.objects.is_empty() && root.is_gone() => Err(self.failed("cannot list", "", Errno::NOENT)),
            listed => listed.map_err(|cause| self.failed("cannot list", &wanted.prefix, cause)),
        }
    }

    fn delete(&self, key: &StoreKey) -> Result<()> {
        let (folder, name) = place_of(key);
        let folder = open_beneath(self.root()?.folder.as_fd(), folder.as_bytes(), PLACE | OFlags::DIRECTORY);
        match folder.and_then(|folder| unlinkat(&folder, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(cause) => Err(self.failed("cannot delete", key.as_str(), cause)),
        }
    }

    fn try_writing(&self) -> Result<String> {
        let written = Unfinished::write(self.root()?, &self.root()?.folder, &Payload::from(b"credenza".to_vec()));
        let unfinished = written.map_err(|cause| self.failed("cannot write in", "", cause))?;
        let read = unfinished.read().map_err(|cause| from_io("cannot read in", self.path.display(), &cause))?;
        if read != b"credenza" {
            return Err(Error::new(
                ErrorClass::Corrupt,
                "file.check",
                format!("`{}` gave back other bytes than were written", self.path.display()),
            ));
        }
        Ok("works".to_owned())
    }
}

/// The key of the folder that an object is in, with `/` at its end, and its name there.
fn place_of(key: &StoreKey) -> (&str, &str) {
    let key = key.as_str();
    key.rfind('/').and_then(|end| key.split_at_checked(end + 1)).unwrap_or(("", key))
}

fn stored_object(key: StoreKey, status: &Status) -> StoredObject {
    StoredObject {
        key,
        size: status.size,
        modified: Some(status.modified),
        tag: Some(tag(status)),
        version: None,
        retain_until: None,
    }
}

fn tag(status: &Status) -> String {
    let Status { size, modified, inode, .. } = status;
    format!("{size:x}-{:x}.{:x}-{inode:x}", modified.seconds, modified.nanoseconds)
}
