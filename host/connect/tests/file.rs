//! What the local connectors owe beyond the suite: what a file system knows of a file goes there and back, and nothing
//! else is touched.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use credenza_connect::file::{FileDestination, FileSource};
use credenza_connect::{Batches, BodyReader, Destination, Error, ErrorClass, Found, Payload, ScanOptions, Source};
use credenza_model::{AttributeValue, Entry, EntryKind, Key, Timestamp};
use proptest::prelude::*;

async fn scan(source: &FileSource) -> Vec<Found> {
    let mut batches = Batches::new(source.scan(&ScanOptions::default()).await.unwrap());
    let mut all = Vec::new();
    while let Some(batch) = batches.next(7).await.unwrap() {
        all.extend(batch);
    }
    all
}

async fn entries(path: &Path) -> Vec<Entry> {
    let found = scan(&FileSource::new(path).unwrap()).await;
    found
        .into_iter()
        .map(|found| match found {
            Found::Entry(entry) => entry,
            Found::Skipped(skipped) => panic!("{skipped:?}"),
        })
        .collect()
}

/// Restores all that a source holds as the engine does: contents, then metadata with children before parents.
async fn copy(from: &Path, to: &Path) -> Vec<(Key, Vec<String>)> {
    let (source, destination) = (FileSource::new(from).unwrap(), FileDestination::new(to).unwrap());
    let mut entries = entries(from).await;
    for entry in &entries {
        if let Some(mut writer) = destination.create(entry, false).await.unwrap() {
            let opened = source.read(entry, None, entry.fingerprint.as_deref()).await.unwrap();
            let bytes = opened.body.read_all(1 << 30).await.unwrap();
            writer.finish(Payload::from(bytes)).await.unwrap();
        }
    }
    entries.reverse();
    let missed = destination.set_metadata(&entries).await.unwrap();
    let keys = entries.into_iter().map(|entry| entry.key);
    keys.zip(missed.into_iter().map(Result::unwrap)).filter(|(_, missed)| !missed.is_empty()).collect()
}

fn make_everything(root: &Path) {
    fs::create_dir_all(root.join("folder/deep")).unwrap();
    fs::write(root.join("folder/plain"), "plain").unwrap();
    fs::set_permissions(root.join("folder/plain"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(root.join("folder/plain"), root.join("folder/deep/second name")).unwrap();
    symlink("../nowhere", root.join("folder/link")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    sparse.write_all_at(b"island", (4 << 20) + 100).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, 0o640.into(), 0).unwrap();
    for path in ["folder/plain", "folder/link", "folder/deep", "sparse", "pipe"] {
        set_time(&root.join(path), 1_000_000_000);
    }
    fs::set_permissions(root.join("folder/deep"), fs::Permissions::from_mode(0o555)).unwrap();
    set_time(&root.join("folder"), -5);
}

fn set_time(path: &Path, seconds: i64) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec { tv_sec: seconds, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Whether files here can have extended attributes; sets one if so.
fn set_extended(path: &Path) -> bool {
    rustix::fs::setxattr(path, "user.colour", b"red\0blue", rustix::fs::XattrFlags::empty()).is_ok()
}

#[tokio::test]
async fn a_tree_restores_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    make_everything(&from);
    let extended = set_extended(&from.join("folder/plain"));
    assert_eq!(copy(&from, &to).await, []);
    let comparable = |mut entry: Entry| {
        entry.fingerprint = None;
        entry.attributes.retain(|(name, _)| !matches!(name.as_str(), "posix.hardlink" | "posix.sparse"));
        entry
    };
    let (before, after) = (entries(&from).await, entries(&to).await);
    let sparse = before.iter().find(|entry| entry.key == Key::from("sparse")).unwrap();
    let allocated = fs::metadata(from.join("sparse")).unwrap().blocks() * 512;
    assert_eq!(sparse.attribute("posix.sparse"), Some(&AttributeValue::Integer(allocated as i64)));
    let keys: Vec<String> = before.iter().map(|entry| entry.key.to_string()).collect();
    let expected =
        ["", "folder/", "folder/deep/", "folder/deep/second name", "folder/link", "folder/plain", "pipe", "sparse"];
    assert_eq!(keys, expected);
    let before: Vec<Entry> = before.into_iter().map(comparable).collect();
    let after: Vec<Entry> = after.into_iter().map(comparable).collect();
    assert_eq!(before, after);
    let plain = before.iter().find(|entry| entry.key == Key::from("folder/plain")).unwrap();
    assert_eq!(plain.attribute("posix.mode"), Some(&AttributeValue::Integer(0o4751)));
    assert_eq!(plain.modified, Some(Timestamp { seconds: 1_000_000_000, nanoseconds: 123_456_789 }));
    if extended {
        assert_eq!(plain.attribute("xattr.user.colour"), Some(&AttributeValue::Blob(b"red\0blue".to_vec())));
    }
    let inode = |path: &str| fs::metadata(to.join(path)).unwrap().ino();
    assert_eq!(inode("folder/plain"), inode("folder/deep/second name"));
    assert!(fs::metadata(to.join("sparse")).unwrap().blocks() * 512 < 1 << 20);
    assert!(fs::read(to.join("sparse")).unwrap() == fs::read(from.join("sparse")).unwrap());
}

#[tokio::test]
async fn a_lean_listing_leaves_to_the_read_what_a_whole_one_tells_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    fs::write(&path, "content").unwrap();
    if !set_extended(&path) {
        return;
    }
    let source = FileSource::new(folder.path()).unwrap();
    let listed = async |lean| {
        let mut scanner = source.scan(&ScanOptions { lean, ..ScanOptions::default() }).await.unwrap();
        let found = scanner.next(10).await.unwrap().found.pop().unwrap();
        let Found::Entry(entry) = found else { panic!("{found:?}") };
        entry
    };
    let (lean, whole) = (listed(true).await, listed(false).await);
    let colour = Some(&AttributeValue::Blob(b"red\0blue".to_vec()));
    assert_eq!((lean.attribute("xattr.user.colour"), whole.attribute("xattr.user.colour")), (None, colour));
    for entry in [&lean, &whole] {
        let opened = source.read(entry, None, entry.fingerprint.as_deref()).await.unwrap();
        assert_eq!(opened.entry, whole);
    }
    // What is no content of the file and changes moves the fingerprint: who knows that knows all.
    rustix::fs::setxattr(&path, "user.colour", b"green", rustix::fs::XattrFlags::empty()).unwrap();
    assert_ne!(listed(true).await.fingerprint, whole.fingerprint);
}

#[tokio::test]
async fn what_a_read_misses_of_a_file_is_told_when_it_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    fs::write(&path, "content").unwrap();
    if !set_extended(&path) {
        return;
    }
    let source = FileSource::new(folder.path()).unwrap();
    let entry = entries(folder.path()).await.pop().unwrap();
    let described = async || {
        source.read(&entry, None, None).await.unwrap();
        source.describe(std::slice::from_ref(&entry)).await.unwrap().pop().unwrap()
    };
    assert!(described().await.unwrap().is_empty());
    // A name that no snapshot can keep, as root may read any value.
    let name = b"user.\xff".as_slice();
    rustix::fs::setxattr(&path, name, b"x", rustix::fs::XattrFlags::empty()).unwrap();
    let missed = described().await.unwrap_err();
    assert!(missed.class == ErrorClass::Denied && missed.message.contains(r"user.\xff"), "{missed}");
    rustix::fs::removexattr(&path, name).unwrap();
    assert!(described().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_single_file_is_a_source_and_a_missing_root_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one"), "1").unwrap();
    fs::write(folder.path().join("two"), "2").unwrap();
    let found = entries(&folder.path().join("one")).await;
    assert_eq!(found.iter().map(|entry| entry.key.to_string()).collect::<Vec<_>>(), ["one"]);
    let source = FileSource::new(folder.path().join("one")).unwrap();
    let other = source.read(&Entry::new(Key::from("two"), EntryKind::File), None, None).await.unwrap_err();
    assert_eq!(other.class, ErrorClass::NotFound);
    let missing = FileSource::new(folder.path().join("three")).unwrap();
    assert_eq!(missing.info().await.unwrap_err().class, ErrorClass::Configuration);
    assert!(missing.scan(&ScanOptions::default()).await.is_err());
}

#[tokio::test]
async fn a_file_that_changes_under_the_reader_is_no_torn_copy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, vec![1; 100_000]).unwrap();
    set_time(&path, 5);
    let source = FileSource::new(folder.path()).unwrap();
    let entry = entries(folder.path()).await.pop().unwrap();
    let opened = source.read(&entry, None, entry.fingerprint.as_deref()).await.unwrap();
    let BodyReader::Blocking(mut reader) = opened.body.reader else { panic!("a local body is read in place") };
    let mut half = vec![0; 50_000];
    reader.read_exact(&mut half).unwrap();
    fs::write(&path, vec![2; 100_000]).unwrap();
    let error = Error::from_io(std::io::Read::read_to_end(&mut reader, &mut half).unwrap_err());
    assert!(error.class == ErrorClass::Precondition && error.is_torn());
    assert_eq!(half.len(), 100_000, "whoever gets no other copy has this one");
}

#[tokio::test]
async fn a_file_that_is_read_without_a_condition_is_no_torn_copy_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, vec![1; 100_000]).unwrap();
    set_time(&path, 5);
    let source = FileSource::new(folder.path()).unwrap();
    let entry = entries(folder.path()).await.pop().unwrap();
    let opened = source.read(&entry, None, None).await.unwrap();
    let BodyReader::Blocking(mut reader) = opened.body.reader else { panic!("a local body is read in place") };
    let mut half = vec![0; 50_000];
    reader.read_exact(&mut half).unwrap();
    fs::write(&path, vec![2; 200_000]).unwrap();
    let error = Error::from_io(std::io::Read::read_to_end(&mut reader, &mut half).unwrap_err());
    assert!(error.is_torn());
    assert_eq!(half.len(), 100_000, "a file that grows is not followed");
}

#[tokio::test]
async fn files_of_a_file_system_that_states_no_sizes_are_read_to_their_end() {
    let source = FileSource::new("/proc/self").unwrap();
    let entry = Entry::new("limits".into(), EntryKind::File);
    let read = source.read(&entry, None, None).await.unwrap().body.read_all(1 << 20).await.unwrap();
    assert!(read.starts_with(b"Limit"), "{} bytes", read.len());
}

#[tokio::test]
async fn links_in_the_destination_are_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (outside, to) = (folder.path().join("outside"), folder.path().join("to"));
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(&to).unwrap();
    fs::write(outside.join("victim"), "safe").unwrap();
    symlink(&outside, to.join("door")).unwrap();
    symlink(outside.join("victim"), to.join("file")).unwrap();
    let destination = FileDestination::new(&to).unwrap();
    for key in ["door/victim", "door/new", "file"] {
        let entry = Entry::new(Key::from(key), EntryKind::File);
        let mut writer = destination.create(&entry, true).await.unwrap().unwrap();
        writer.finish(Payload::from(b"evil".to_vec())).await.unwrap();
        let reported = destination.set_metadata(&[entry]).await.unwrap().pop().unwrap().unwrap();
        assert_eq!(reported.is_empty(), key == "file", "{key}: {reported:?}");
    }
    assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "safe");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(to.join("%~door%2F/victim")).unwrap(), "evil");
    assert_eq!(fs::read_to_string(to.join("file")).unwrap(), "evil");
}

#[tokio::test]
async fn what_a_file_system_cannot_keep_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let destination = FileDestination::new(folder.path()).unwrap();
    let mut entry = Entry::new(Key::from("a//b"), EntryKind::File);
    let name = format!("user.{}", "longer-than-the-name-of-an-extended-attribute".repeat(6));
    entry.attributes = vec![(name.clone(), AttributeValue::Text("text/plain".to_owned()))];
    destination.create(&entry, false).await.unwrap().unwrap().finish(Payload::default()).await.unwrap();
    let missed = destination.set_metadata(&[entry]).await.unwrap().pop().unwrap().unwrap();
    assert_eq!(missed, [name.as_str(), "name (restored as `a/%~/b`)"]);
}

#[tokio::test]
async fn what_only_an_object_has_survives_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let destination = FileDestination::new(folder.path()).unwrap();
    let mut entry = Entry::new(Key::from("page"), EntryKind::File);
    let text = |name: &str, value: &str| (name.to_owned(), AttributeValue::Text(value.to_owned()));
    entry.attributes = vec![text("http.content-type", "text/plain"), text("s3.tag.team", "blue"), text("user.a", "b")];
    destination.create(&entry, false).await.unwrap().unwrap().finish(Payload::default()).await.unwrap();
    let missed = destination.set_metadata(std::slice::from_ref(&entry)).await.unwrap().pop().unwrap().unwrap();
    if !set_extended(folder.path()) {
        return assert_eq!(missed.len(), 3);
    }
    assert!(missed.is_empty(), "{missed:?}");
    let found = entries(folder.path()).await;
    let page = found.iter().find(|entry| entry.key == Key::from("page")).unwrap();
    for (name, value) in &entry.attributes {
        assert_eq!(page.attribute(name), Some(value), "{name}");
    }
    assert!(page.attributes.is_sorted_by(|(a, _), (b, _)| a < b));
}

#[tokio::test]
async fn a_walk_goes_deeper_than_its_open_folders_and_longest_path() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("deep");
    let destination = FileDestination::new(&source).unwrap();
    let mut key = String::new();
    for _ in 0..300 {
        key.push_str("a folder with a name/");
    }
    for name in ["one", "~two"] {
        let entry = Entry::new(Key::from(format!("{key}{name}").as_str()), EntryKind::File);
        let mut writer = destination.create(&entry, false).await.unwrap().unwrap();
        writer.finish(Payload::from(name.as_bytes().to_vec())).await.unwrap();
    }
    fs::write(source.join("a folder with a name/last"), "").unwrap();
    let found = entries(&source).await;
    assert_eq!(found.len(), 304);
    assert!(found.is_sorted_by(|a, b| a.key < b.key));
    let file = found.iter().find(|entry| entry.key.as_bytes().ends_with(b"/~two")).unwrap();
    let opened = FileSource::new(&source).unwrap().read(file, None, file.fingerprint.as_deref()).await.unwrap();
    assert_eq!(opened.body.read_all(100).await.unwrap(), "~two");
    // The folder is removed in steps, since its whole path is longer than a call takes.
    std::process::Command::new("rm").arg("-rf").arg(&source).status().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_tree_is_walked_in_byte_order_of_its_keys(names in prop::collection::btree_set("[ab!/0-]{1,12}", 0..25)) {
        let folder = tempfile::tempdir().unwrap();
        for name in &names {
            let path = folder.path().join(name.trim_matches('/'));
            if path.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok()) {
                let _ = fs::write(path, "");
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(entries(folder.path()));
        prop_assert!(found.is_sorted_by(|a, b| a.key < b.key), "{:?}", found);
        let expected = count_below(folder.path());
        prop_assert_eq!(found.len(), expected);
    }
}

fn count_below(folder: &Path) -> usize {
    let below = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    1 + below.map(|path| if path.is_dir() { count_below(&path) } else { 1 }).sum::<usize>()
}
