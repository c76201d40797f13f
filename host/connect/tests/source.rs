//! What a folder is as a source: how it may be called, what of it is passed over, and which times prove that a file is unchanged.

#![allow(clippy::disallowed_methods, reason = "a test makes times of its own")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use credenza_connect::file::FileSource;
use credenza_connect::{
    Batches, BodyReader, Error, ErrorClass, Found, Marker, Patterns, ScanOptions, Selection, Source,
};
use credenza_model::{Entry, EntryKind, Timestamp};
use rustix::fs::inotify;

async fn scan(path: &Path, options: &ScanOptions) -> Vec<Entry> {
    let mut batches = Batches::new(FileSource::new(path).unwrap().scan(options).await.unwrap());
    let mut all = Vec::new();
    while let Some(found) = batches.next(1000).await.unwrap() {
        all.extend(found.into_iter().map(|found| match found {
            Found::Entry(entry) => entry,
            Found::Skipped(skipped) => panic!("{skipped:?}"),
        }));
    }
    all
}

async fn keys(path: &Path, options: &ScanOptions) -> Vec<String> {
    scan(path, options).await.iter().map(|entry| entry.key.to_string()).collect()
}

async fn identity(path: impl AsRef<Path>) -> String {
    FileSource::new(path).unwrap().info().await.unwrap().identity
}

fn excluding(patterns: &[&str]) -> ScanOptions {
    ScanOptions { excludes: Patterns::new(patterns).unwrap(), ..ScanOptions::default() }
}

#[tokio::test]
async fn a_source_that_is_a_link_is_what_it_points_to() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("real")).unwrap();
    fs::write(at("real/file"), "data").unwrap();
    symlink("file", at("real/inside")).unwrap();
    for (link, target) in [("folder", "real"), ("link", "real/file"), ("link to link", "link"), ("broken", "nowhere")] {
        symlink(target, at(link)).unwrap();
    }
    assert_eq!(keys(&at("folder"), &ScanOptions::default()).await, ["", "file", "inside"]);
    for name in ["link", "link to link"] {
        let found = scan(&at(name), &ScanOptions::default()).await;
        assert_eq!((found.len(), found[0].key.to_string().as_str(), found[0].kind), (1, name, EntryKind::File));
        let source = FileSource::new(at(name)).unwrap();
        let opened = source.read(&found[0], None, found[0].fingerprint.as_deref()).await.unwrap();
        assert_eq!(opened.body.read_all(100).await.unwrap(), "data");
    }
    let inside = scan(&at("folder"), &ScanOptions::default()).await.pop().unwrap();
    assert_eq!((inside.kind, inside.link_target), (EntryKind::Symlink, Some(b"file".to_vec())));
    let error = FileSource::new(at("broken")).unwrap().info().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Configuration);
    assert!(error.message.contains("is a link to `nowhere`, and nothing is there"), "{}", error.message);
}

#[tokio::test]
async fn every_spelling_of_a_folder_is_one_source() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| fs::canonicalize(folder.path()).unwrap().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    symlink("a", at("way")).unwrap();
    symlink("a/b", at("today")).unwrap();
    let plain = identity(at("a/b")).await;
    assert!(plain.ends_with(at("a/b").to_str().unwrap()), "{plain}");
    for spelling in ["a/b/", "a/b/.", "a//./b//", "a/../a/b", "a/b/../b", "way/b", "way/../a/b/", "a/b/../../way/b/."] {
        assert_eq!(identity(at(spelling)).await, plain, "{spelling}");
    }
    // Its last name is what a person calls a source: it may point elsewhere tomorrow.
    assert!(identity(at("today/")).await.ends_with("/today"));
    let source = FileSource::new(at("a/b")).unwrap().of_host("other".to_owned());
    assert_eq!(source.info().await.unwrap().identity, format!("file://other{}", at("a/b").display()));
}

/// The keys of a walk, and which of these folders it opened.
async fn walked(path: &Path, folders: &[&str], options: &ScanOptions) -> (Vec<String>, Vec<String>) {
    let opened = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let mut names = std::collections::HashMap::new();
    for name in folders {
        names.insert(inotify::add_watch(&opened, path.join(name), inotify::WatchFlags::OPEN).unwrap(), *name);
    }
    let keys = keys(path, options).await;
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&opened, &mut buffer);
    let mut seen = std::collections::BTreeSet::new();
    while let Ok(event) = events.next() {
        // What is opened in a folder is reported the folder, too.
        if event.file_name().is_none() {
            seen.insert(names[&event.wd()].to_owned());
        }
    }
    (keys, seen.into_iter().collect())
}

#[tokio::test]
async fn an_excluded_folder_is_not_even_opened() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("skip/deep")).unwrap();
    fs::create_dir_all(at("keep/skip.d")).unwrap();
    fs::write(at("keep/skip.d/file"), "").unwrap();
    let folders = ["skip", "skip/deep", "keep", "keep/skip.d"];
    let (keys, opened) = walked(folder.path(), &folders, &excluding(&["/skip/", "*.d"])).await;
    assert_eq!((keys, opened), (vec![String::new(), "keep/".to_owned()], vec!["keep".to_owned()]));
}

#[tokio::test]
async fn what_is_not_listed_is_not_even_opened() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("a/b/c")).unwrap();
    fs::create_dir_all(at("a/other")).unwrap();
    fs::write(at("a/b/file"), "").unwrap();
    fs::write(at("a/file"), "").unwrap();
    let only = Selection::of(["a/b", "gone"]);
    let options = ScanOptions { only: only.clone(), ..ScanOptions::default() };
    let (keys, opened) = walked(folder.path(), &["a", "a/b", "a/b/c", "a/other"], &options).await;
    assert_eq!(keys, ["", "a/", "a/b/", "a/b/c/", "a/b/file"]);
    assert_eq!(opened, ["a", "a/b", "a/b/c"]);
    assert_eq!(only.missing().map(ToString::to_string).collect::<Vec<_>>(), ["gone"]);
}

#[tokio::test]
async fn a_marked_folder_holds_its_marker_and_nothing_else_in_it_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["cache/deep", "tagged/deep", "untagged/deep", "wrong/deep", "linked/deep", "git/.git/objects"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# made by a test\n";
    fs::write(at("cache/CACHEDIR.TAG"), tag).unwrap();
    fs::write(at("cache/file"), "").unwrap();
    fs::write(at("wrong/CACHEDIR.TAG"), "Signature: 0").unwrap();
    symlink("../cache/CACHEDIR.TAG", at("linked/CACHEDIR.TAG")).unwrap();
    fs::write(at("tagged/.nobackup"), "now").unwrap();
    fs::write(at("untagged/.nobackup"), "later").unwrap();
    let named = |name: &str, content: Option<&str>| Marker {
        name: name.into(),
        content: content.map(|content| content.as_bytes().to_vec()),
    };
    let markers = vec![Marker::of_caches(), named(".nobackup", Some("now")), named(".git", None)];
    let options = ScanOptions { markers, ..ScanOptions::default() };
    let folders = ["cache", "cache/deep", "tagged/deep", "git", "git/.git/objects", "wrong/deep"];
    let (keys, opened) = walked(folder.path(), &folders, &options).await;
    let expected = [
        "",
        "cache/",
        "cache/CACHEDIR.TAG",
        "git/",
        "git/.git/",
        "git/.git/objects/",
        "linked/",
        "linked/CACHEDIR.TAG",
        "linked/deep/",
        "tagged/",
        "tagged/.nobackup",
        "untagged/",
        "untagged/.nobackup",
        "untagged/deep/",
        "wrong/",
        "wrong/CACHEDIR.TAG",
        "wrong/deep/",
    ];
    assert_eq!(keys, expected);
    assert_eq!(opened, ["cache", "git", "git/.git/objects", "wrong/deep"]);
    let all = ScanOptions { markers: vec![named("cache", None)], ..ScanOptions::default() };
    assert_eq!(
        self::keys(folder.path(), &all).await,
        ["", "cache/", "cache/CACHEDIR.TAG", "cache/deep/", "cache/file"]
    );
}

#[tokio::test]
async fn a_single_file_may_be_excluded_and_an_exception_below_a_folder_may_not() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cache")).unwrap();
    fs::write(folder.path().join("cache/keep"), "").unwrap();
    assert_eq!(keys(&folder.path().join("cache/keep"), &excluding(&["keep"])).await, [""; 0]);
    assert_eq!(keys(folder.path(), &excluding(&["cache/", "!cache/keep"])).await, [""]);
    assert_eq!(keys(folder.path(), &excluding(&["cache/*", "!cache/keep"])).await, ["", "cache/", "cache/keep"]);
}

#[tokio::test]
async fn a_mounted_folder_is_told_and_not_entered_on_one_file_system() {
    let below = |one_file_system| ScanOptions { prefix: b"proc/".to_vec(), one_file_system, ..ScanOptions::default() };
    let found = scan(Path::new("/"), &below(true)).await;
    assert_eq!(
        found.iter().map(|entry| (entry.key.to_string(), entry.kind)).collect::<Vec<_>>(),
        [("proc/".to_owned(), EntryKind::Directory)]
    );
    let mut crossing = FileSource::new("/").unwrap().scan(&below(false)).await.unwrap();
    assert_eq!(crossing.next(3).await.unwrap().found.len(), 3);
}

/// A scan that follows a run which began so many seconds after the file was changed.
async fn after_run(path: &Path, seconds: i64) -> Entry {
    let changed = fs::metadata(path).unwrap();
    let began = Timestamp { seconds: changed.ctime() + seconds, nanoseconds: changed.ctime_nsec() as u32 };
    let options = ScanOptions { racy_since: Some(began), ..ScanOptions::default() };
    scan(path, &options).await.pop().unwrap()
}

#[tokio::test]
async fn a_file_as_young_as_the_run_before_has_nothing_to_prove_that_it_is_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "x").unwrap();
    for (seconds, expected) in [(-3600, false), (0, false), (3, true), (3600, true)] {
        assert_eq!(after_run(&path, seconds).await.fingerprint.is_some(), expected, "{seconds}");
    }
    // Nor is it old because its modification time was set back.
    fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(after_run(&path, -1).await.fingerprint, None);
    // A time that was set to the future costs nothing.
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(1 << 30);
    fs::File::options().write(true).open(&path).unwrap().set_modified(future).unwrap();
    assert!(after_run(&path, 3).await.fingerprint.is_some());
}

#[tokio::test]
async fn a_file_that_was_told_without_a_fingerprint_is_no_torn_copy_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, vec![1; 100_000]).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let entry = after_run(&path, -1).await;
    let opened = FileSource::new(&path).unwrap().read(&entry, None, None).await.unwrap();
    assert!(opened.entry.fingerprint.is_some());
    let BodyReader::Blocking(mut reader) = opened.body.reader else { panic!("a local body is read in place") };
    let mut bytes = vec![0; 50_000];
    reader.read_exact(&mut bytes).unwrap();
    fs::write(&path, vec![2; 100_000]).unwrap();
    let error = Error::from_io(std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap_err());
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Precondition, "file.changed"));
}

#[tokio::test]
async fn a_small_file_is_read_as_it_was_listed_or_told_to_be_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "as listed").unwrap();
    let source = FileSource::new(folder.path()).unwrap();
    let entry = scan(folder.path(), &ScanOptions::default()).await.pop().unwrap();
    let read = async || source.read(&entry, None, entry.fingerprint.as_deref()).await;
    let opened = read().await.unwrap();
    assert_eq!((opened.entry.size, opened.entry.modified), (entry.size, entry.modified));
    assert_eq!(opened.body.read_all(100).await.unwrap(), "as listed");
    let told = async || read().await.err().map(|error| (error.class, error.reason));
    let other = [&b"as before"[..], b"longer than it was listed", b"short", b""];
    for content in other {
        fs::remove_file(&path).unwrap();
        fs::write(&path, content).unwrap();
        assert_eq!(told().await, Some((ErrorClass::Precondition, "file.changed-since".to_owned())), "{content:?}");
    }
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(told().await, Some((ErrorClass::Precondition, "file.replaced".to_owned())));
}
