//! A repository in a local folder.
//!
//! An object is written to [`UNFINISHED`], synced, and given its name by a rename that fails if the name is taken (or a
//! hard link where the file system has no such rename), then its folder is synced: a crash leaves a whole object or none.
//! Folders are 0700, files 0600. Every call runs on the blocking pool, because syncing takes milliseconds.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use credenza_model::{StoreKey, Timestamp};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, OFlags, RenameFlags, Statx, renameat_with};
use rustix::io::Errno;

use super::attributes::{status_of, timestamp, type_of};
use super::cause::from_io;
use super::folder::sorted_names;
use super::reader::FileReader;
use super::source::bounds;
use crate::{
    Body, ByteRange, Check, Error, ErrorClass, Payload, PutOptions, Result, Store, StoreInfo, Stored, StoredObject,
};

/// Where objects are written before they have their name; `~` cannot occur in a [`StoreKey`].
const UNFINISHED: &str = "~unfinished";
/// Unfinished files of this age belong to no running writer: one that old may not commit any more.
const UNFINISHED_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// A repository in a local folder.
#[derive(Debug, Clone)]
pub struct FileStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    swept: Once,
}

impl FileStore {
    /// The store in an existing folder; whether it exists is found out by the first call.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`] for an empty path, or without a current folder.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let given = path.as_ref();
        let root = std::path::absolute(given).map_err(|e| {
            Error::new(ErrorClass::Configuration, "file.path", format!("`{}` names no folder: {e}", given.display()))
        })?;
        Ok(Self { inner: Arc::new(Inner { root, swept: Once::new() }) })
    }

    /// The store in a folder that is made, with those above it, unless it exists.
    ///
    /// # Errors
    /// The cause, by class, when the folder cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let store = Self::open(path)?;
        let root = &store.inner.root;
        folder_builder().create(root).map_err(|e| from_io("cannot make the folder", root.display(), &e))?;
        Ok(store)
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
        self.run(|store| {
            store.require_root()?;
            Ok(StoreInfo {
                identity: format!("file://{}", store.root.display()),
                traits: ["if-absent", "ranged-get", "ordered-list", "list-after-write"].map(str::to_owned).to_vec(),
                object_bytes_max: None,
            })
        })
        .await
    }

    async fn check(&self) -> Vec<Check> {
        let root = self.inner.root.display().to_string();
        let reached = self.run(|store| store.require_root()).await.map(|()| root);
        let written = self.run(|store| store.try_writing()).await;
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
        let (key, if_absent) = (key.clone(), options.if_absent);
        self.run(move |store| store.put(&key, &data, if_absent)).await
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

    async fn list(&self, prefix: &str, start_after: Option<&StoreKey>, max: usize) -> Result<Vec<StoredObject>> {
        let page = Page { prefix: prefix.to_owned(), after: start_after.map(ToString::to_string), max };
        self.run(move |store| store.list(&page)).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        let keys = keys.to_vec();
        self.run(move |store| {
            store.require_root()?;
            Ok(keys.iter().map(|key| store.delete(key)).collect())
        })
        .await
    }

    async fn retain(&self, key: &StoreKey, _version: Option<&str>, _until: Timestamp) -> Result<()> {
        let message = format!("a local folder cannot lock `{key}` against deletion");
        Err(Error::new(ErrorClass::Unsupported, "file.lock", message))
    }
}

/// What one call of `list` asks for.
struct Page {
    prefix: String,
    after: Option<String>,
    max: usize,
}

impl Page {
    fn wants(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| key > after)
    }

    /// Whether something in the folder with this key, which ends in `/`, may be asked for.
    fn wants_below(&self, key: &str) -> bool {
        let under = key.starts_with(&self.prefix) || self.prefix.starts_with(key);
        under && self.after.as_deref().is_none_or(|after| key > after || after.starts_with(key))
    }
}

impl Inner {
    fn path(&self, key: &StoreKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn require_root(&self) -> Result<()> {
        match fs::metadata(&self.root) {
            Ok(status) if status.is_dir() => Ok(()),
            Ok(_) => Err(self.no_root("it is not a folder")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.no_root("there is no such folder")),
            Err(error) => Err(from_io("cannot reach the folder", self.root.display(), &error)),
        }
    }

    fn no_root(&self, cause: &str) -> Error {
        Error::new(
            ErrorClass::Configuration,
            "file.no-root",
            format!("`{}` holds no repository: {cause}; check the path, or create the repository", self.root.display()),
        )
    }

    /// The error of a call on an object; a missing object in a missing root is the root's fault.
    fn failed(&self, act: &str, key: &StoreKey, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::NotFound
            && let Err(no_root) = self.require_root()
        {
            return no_root;
        }
        from_io(act, self.path(key).display(), error)
    }

    fn put(&self, key: &StoreKey, data: &Payload, if_absent: bool) -> Result<Stored> {
        self.require_root()?;
        self.swept.call_once(|| sweep(&self.root.join(UNFINISHED)));
        let target = self.path(key);
        let written = self.write(data).and_then(|unfinished| {
            let published = self.publish(&unfinished, &target, if_absent);
            if published.is_err() {
                let _ = fs::remove_file(&unfinished.path);
            }
            published
        });
        match written {
            Ok(status) => {
                Ok(Stored { tag: Some(tag(&status)), version: None, modified: Some(timestamp(&status.stx_mtime)) })
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !target.is_dir() => Err(Error::new(
                ErrorClass::Precondition,
                "file.exists",
                format!("`{}` exists already", target.display()),
            )),
            Err(error) => Err(from_io("cannot write", target.display(), &error)),
        }
    }

    fn write(&self, data: &Payload) -> io::Result<Unfinished> {
        let folder = self.root.join(UNFINISHED);
        let path = folder.join(random_name()?);
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                folder_builder().create(&folder)?;
                open()?
            }
            other => other?,
        };
        let unfinished = Unfinished { path, file };
        let synced = data.pieces().iter().try_for_each(|piece| (&unfinished.file).write_all(piece));
        if let Err(error) = synced.and_then(|()| unfinished.file.sync_all()) {
            let _ = fs::remove_file(&unfinished.path);
            return Err(error);
        }
        Ok(unfinished)
    }

    fn publish(&self, unfinished: &Unfinished, target: &Path, if_absent: bool) -> io::Result<Statx> {
        let name = || if if_absent { name_new(&unfinished.path, target) } else { fs::rename(&unfinished.path, target) };
        match name() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folders(target)?;
                name()?;
            }
            other => other?,
        }
        sync_folder_of(target)?;
        Ok(status_of(unfinished.file.as_fd(), b"")?)
    }

    /// Makes the folders that the object needs, each of them durable before the object is.
    fn make_folders(&self, target: &Path) -> io::Result<()> {
        let Some(folder) = target.parent() else { return Ok(()) };
        folder_builder().create(folder)?;
        folder.ancestors().take_while(|above| *above != self.root).try_for_each(sync_folder_of)
    }

    fn open(&self, key: &StoreKey) -> io::Result<(File, Statx)> {
        let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(self.path(key))?;
        let status = status_of(file.as_fd(), b"")?;
        match type_of(&status) {
            FileType::RegularFile => Ok((file, status)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn get(&self, key: &StoreKey, range: Option<ByteRange>) -> Result<Body> {
        let (file, status) = self.open(key).map_err(|e| self.failed("cannot read", key, &e))?;
        let (start, end) = bounds(range, status.stx_size, key)?;
        let reader = FileReader::new(OwnedFd::from(file), start, end);
        Ok(Body::from_reader(Some(end.saturating_sub(start)), reader))
    }

    fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        let status = status_of(CWD, self.path(key).as_os_str().as_bytes()).map_err(io::Error::from);
        match status {
            Ok(status) if type_of(&status) == FileType::RegularFile => Ok(stored_object(key.clone(), &status)),
            Ok(_) => Err(self.failed("cannot find", key, &io::ErrorKind::NotFound.into())),
            Err(error) => Err(self.failed("cannot find", key, &error)),
        }
    }

    fn list(&self, page: &Page) -> Result<Vec<StoredObject>> {
        self.require_root()?;
        let mut found = Vec::new();
        self.list_folder("", page, &mut found).map_err(|e| from_io("cannot list", self.root.display(), &e))?;
        Ok(found)
    }

    /// Appends what the page asks for in the folder with that key; folders nest no deeper than a key has segments, 100.
    fn list_folder(&self, folder_key: &str, page: &Page, found: &mut Vec<StoredObject>) -> io::Result<()> {
        let folder = match File::open(self.root.join(folder_key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder_key.is_empty() => return Ok(()),
            other => other?,
        };
        for name in sorted_names(folder.as_fd())? {
            if found.len() >= page.max {
                break;
            }
            let Ok(name) = std::str::from_utf8(&name) else { continue };
            let key = format!("{folder_key}{name}");
            if key.ends_with('/') {
                if page.wants_below(&key) && StoreKey::new(key.trim_end_matches('/')).is_ok() {
                    self.list_folder(&key, page, found)?;
                }
                continue;
            }
            let Ok(key) = StoreKey::new(key) else { continue };
            if !page.wants(key.as_str()) {
                continue;
            }
            match status_of(folder.as_fd(), name.as_bytes()) {
                Ok(status) if type_of(&status) == FileType::RegularFile => found.push(stored_object(key, &status)),
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn delete(&self, key: &StoreKey) -> Result<()> {
        match fs::remove_file(self.path(key)) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(from_io("cannot delete", self.path(key).display(), &error))
            }
            _ => Ok(()),
        }
    }

    fn try_writing(&self) -> Result<String> {
        self.require_root()?;
        let failed = |e: io::Error| from_io("cannot write in", self.root.display(), &e);
        let unfinished = self.write(&Payload::from(b"credenza".to_vec())).map_err(failed)?;
        let read = fs::read(&unfinished.path).map_err(failed)?;
        fs::remove_file(&unfinished.path).map_err(failed)?;
        if read != b"credenza" {
            return Err(Error::new(
                ErrorClass::Corrupt,
                "file.check",
                format!("`{}` gave back other bytes than were written", self.root.display()),
            ));
        }
        Ok("works".to_owned())
    }
}

/// A written and synced file that has no name yet.
struct Unfinished {
    path: PathBuf,
    file: File,
}

fn folder_builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
}

/// Gives a file its name unless that is taken. Not every file system has the rename that refuses (NFS lacks it) or hard links (FAT lacks them); each has one.
fn name_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        other => Ok(other?),
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn sweep(unfinished: &Path) {
    let Ok(entries) = fs::read_dir(unfinished) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|status| status.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > UNFINISHED_AGE_MAX) {
            tracing::debug!(file = %entry.path().display(), "removing an unfinished file");
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A name nobody else has: 128 random bits in hexadecimal.
pub(super) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

fn stored_object(key: StoreKey, status: &Statx) -> StoredObject {
    StoredObject {
        key,
        size: status.stx_size,
        modified: Some(timestamp(&status.stx_mtime)),
        tag: Some(tag(status)),
        version: None,
        retain_until: None,
    }
}

fn tag(status: &Statx) -> String {
    let mtime = &status.stx_mtime;
    format!("{:x}-{:x}.{:x}-{:x}", status.stx_size, mtime.tv_sec, mtime.tv_nsec, status.stx_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StoreKey {
        StoreKey::new(text).unwrap()
    }

    #[tokio::test]
    async fn a_missing_root_is_named_and_never_an_empty_list() {
        let parent = tempfile::tempdir().unwrap();
        let store = FileStore::open(parent.path().join("gone")).unwrap();
        let errors = [
            store.list("", None, 10).await.unwrap_err(),
            store.get(&key("config"), None, None).await.unwrap_err(),
            store.put(&key("config"), Payload::default(), &PutOptions::default()).await.unwrap_err(),
            store.delete(&[key("config")]).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Configuration, "file.no-root"));
            assert!(error.message.contains("gone"));
        }
        assert!(!parent.path().join("gone").exists());
    }

    #[tokio::test]
    async fn a_put_leaves_one_private_file_and_nothing_unfinished() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let store = FileStore::create(parent.path().join("new/root")).unwrap();
        let options = PutOptions { if_absent: true, ..PutOptions::default() };
        store.put(&key("data/00/x"), Payload::from(vec![1]), &options).await.unwrap();
        let again = store.put(&key("data/00/x"), Payload::from(vec![2]), &options).await.unwrap_err();
        assert_eq!(again.class, ErrorClass::Precondition);
        let root = parent.path().join("new/root");
        assert_eq!(fs::metadata(root.join("data/00/x")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(root.join("data")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(root.join(UNFINISHED)).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn old_unfinished_files_are_swept_and_young_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join(UNFINISHED);
        fs::create_dir(&unfinished).unwrap();
        let old = File::create(unfinished.join("old")).unwrap();
        old.set_modified(std::time::SystemTime::now() - UNFINISHED_AGE_MAX - Duration::from_secs(60)).unwrap();
        File::create(unfinished.join("young")).unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        store.put(&key("config"), Payload::default(), &PutOptions::default()).await.unwrap();
        assert!(!unfinished.join("old").exists() && unfinished.join("young").exists());
    }
}
