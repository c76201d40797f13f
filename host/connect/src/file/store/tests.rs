//! A folder store whose folder belongs to somebody hostile, or is on a file system that lacks something.

#![allow(clippy::disallowed_methods, reason = "a test makes times of its own")]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::super::platform::testing::Lacking;
use super::unfinished::{RESERVE, RESERVE_BYTES, RESERVE_FILES, UNFINISHED, UNFINISHED_AGE_MAX};
use super::*;

const ABSENT: PutOptions = PutOptions { if_absent: true, if_match: None, retain_until: None, hint: String::new() };

fn key(text: &str) -> StoreKey {
    StoreKey::new(text).unwrap()
}

/// A folder with the victim's file in one part and a repository in the other.
fn hostile() -> (TempDir, PathBuf, FileStore) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repository");
    fs::create_dir(folder.path().join("victim")).unwrap();
    fs::write(folder.path().join("victim/precious"), "precious").unwrap();
    let store = FileStore::create(&root).unwrap();
    (folder, root, store)
}

fn expect_unharmed(folder: &TempDir) {
    let victim = folder.path().join("victim");
    assert_eq!(fs::read_to_string(victim.join("precious")).unwrap(), "precious");
    assert_eq!(fs::read_dir(victim).unwrap().count(), 1, "something was made or removed there");
}

fn age(path: &Path) {
    let old = SystemTime::now() - UNFINISHED_AGE_MAX - Duration::from_secs(60);
    File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
}

async fn put(store: &FileStore, name: &str, options: &PutOptions) -> Result<Stored> {
    store.put(&key(name), Payload::from(b"bytes".to_vec()), options).await
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
async fn a_root_that_is_removed_under_a_run_is_no_empty_repository() {
    let (_folder, root, store) = hostile();
    put(&store, "index/a", &ABSENT).await.unwrap();
    fs::remove_dir_all(&root).unwrap();
    for prefix in ["", "index/"] {
        assert_eq!(store.list(prefix, None, 10).await.unwrap_err().reason, "file.no-root");
    }
    assert_eq!(store.stat(&key("index/a")).await.unwrap_err().reason, "file.no-root");
}

#[tokio::test]
async fn a_put_leaves_one_private_file_and_nothing_unfinished() {
    let (_folder, root, store) = hostile();
    put(&store, "data/00/x", &ABSENT).await.unwrap();
    assert_eq!(put(&store, "data/00/x", &ABSENT).await.unwrap_err().class, ErrorClass::Precondition);
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("data/00/x"), mode("data"), mode(UNFINISHED)), (0o600, 0o700, 0o700));
    assert_eq!(fs::read_dir(root.join(UNFINISHED)).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_made_in_a_folder_that_a_group_shares_is_shared() {
    let (_folder, root, store) = hostile();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o2770)).unwrap();
    put(&store, "data/00/x", &ABSENT).await.unwrap();
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("data/00/x"), mode(&format!("{RESERVE}-0"))), (0o660, 0o660), "whatever the umask");
    assert_eq!((mode("data"), mode("data/00"), mode(UNFINISHED)), (0o2770, 0o2770, 0o2770));
    assert!(store.info().await.unwrap().caveats[0].contains("group"));
}

#[tokio::test]
async fn old_unfinished_files_are_swept_and_young_ones_stay() {
    let (_folder, root, store) = hostile();
    let unfinished = root.join(UNFINISHED);
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("old"), "").unwrap();
    age(&unfinished.join("old"));
    fs::write(unfinished.join("young"), "").unwrap();
    put(&store, "config", &ABSENT).await.unwrap();
    assert!(!unfinished.join("old").exists() && unfinished.join("young").exists());
}

#[tokio::test]
async fn unfinished_files_behind_a_link_are_nobodys_to_sweep() {
    let (folder, root, store) = hostile();
    age(&folder.path().join("victim/precious"));
    symlink("../victim", root.join(UNFINISHED)).unwrap();
    let refused = put(&store, "config", &ABSENT).await.unwrap_err();
    assert_eq!(refused.reason, "file.symlink");
    assert!(refused.message.contains("link"), "{refused}");
    expect_unharmed(&folder);
    fs::remove_file(root.join(UNFINISHED)).unwrap();
    fs::create_dir(root.join(UNFINISHED)).unwrap();
    symlink("../../victim/precious", root.join(UNFINISHED).join("old")).unwrap();
    put(&FileStore::open(&root).unwrap(), "config", &ABSENT).await.unwrap();
    expect_unharmed(&folder);
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_neither_listed_nor_read_nor_written_nor_emptied() {
    let (folder, root, store) = hostile();
    symlink("../victim", root.join("index")).unwrap();
    fs::create_dir(root.join("data")).unwrap();
    symlink("../../victim", root.join("data/00")).unwrap();
    let precious = key("index/precious");
    let errors = [
        store.list("index/", None, 10).await.unwrap_err(),
        store.get(&precious, None, None).await.map(drop).unwrap_err(),
        store.stat(&precious).await.unwrap_err(),
        put(&store, "index/new", &ABSENT).await.unwrap_err(),
        put(&store, "data/00/precious", &PutOptions::default()).await.unwrap_err(),
        store.delete(&[precious]).await.unwrap().remove(0).unwrap_err(),
        store.delete(&[key("data/00/precious")]).await.unwrap().remove(0).unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Unsupported, "file.symlink"), "{error}");
    }
    let listed = store.list("", None, 10).await.unwrap();
    let names: Vec<&str> = listed.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(names, ["data/00", "index"], "a link stands there and stops nothing; what is behind it is not told");
    expect_unharmed(&folder);
}

#[tokio::test]
async fn an_object_that_is_a_link_is_not_read_and_only_the_link_goes() {
    let (folder, root, store) = hostile();
    symlink("victim/precious", folder.path().join("near")).unwrap();
    symlink("../near", root.join("config")).unwrap();
    let errors = [
        store.get(&key("config"), None, None).await.map(drop).unwrap_err(),
        store.stat(&key("config")).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Corrupt, "file.symlink"), "it is not missing");
    }
    let listed = store.list("", None, 10).await.unwrap();
    assert_eq!(listed.objects.len(), 1, "whoever lists learns that something stands there");
    assert_eq!(put(&store, "config", &ABSENT).await.unwrap_err().class, ErrorClass::Precondition);
    put(&store, "config", &PutOptions::default()).await.unwrap();
    assert!(fs::symlink_metadata(root.join("config")).unwrap().is_file());
    fs::remove_file(root.join("config")).unwrap();
    symlink("../near", root.join("config")).unwrap();
    store.delete(&[key("config")]).await.unwrap().remove(0).unwrap();
    assert!(!root.join("config").exists());
    expect_unharmed(&folder);
}

#[tokio::test]
async fn a_pack_that_is_a_hard_link_of_somebodys_file_is_never_written_through() {
    let (folder, root, store) = hostile();
    let precious = folder.path().join("victim/precious");
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir_all(root.join("data/00")).unwrap();
    for name in ["data/00/a", "data/00/b", &format!("{RESERVE}-0")] {
        fs::hard_link(&precious, root.join(name)).unwrap();
    }
    put(&store, "data/00/a", &PutOptions::default()).await.unwrap();
    store.delete(&[key("data/00/b")]).await.unwrap().remove(0).unwrap();
    assert_eq!(fs::read(root.join("data/00/a")).unwrap(), b"bytes");
    assert_eq!(fs::metadata(&precious).unwrap().permissions().mode() & 0o777, 0o640);
    expect_unharmed(&folder);
}

#[tokio::test]
async fn pipes_sockets_and_devices_in_place_of_objects_are_damage_and_nobody_waits_for_them() {
    use rustix::fs::{CWD, mknodat};
    let (_folder, root, store) = hostile();
    fs::create_dir(root.join("data")).unwrap();
    mknodat(CWD, root.join("data/pipe"), FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("data/socket")).unwrap();
    let device = mknodat(CWD, root.join("data/device"), FileType::CharacterDevice, 0o600.into(), 0);
    let device = device.is_ok().then_some("data/device");
    fs::create_dir(root.join("data/folder")).unwrap();
    let mut expected: Vec<&str> = ["data/pipe", "data/socket"].into_iter().chain(device).collect();
    expected.sort_unstable();
    for name in &expected {
        let errors =
            [store.get(&key(name), None, None).await.map(drop).unwrap_err(), store.stat(&key(name)).await.unwrap_err()];
        for error in errors {
            assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Corrupt, "file.special"), "{name}");
        }
    }
    let folder = key("data/folder");
    assert_eq!(store.get(&folder, None, None).await.map(drop).unwrap_err().class, ErrorClass::NotFound);
    assert_eq!(store.stat(&folder).await.unwrap_err().class, ErrorClass::NotFound);
    let listed = store.list("data/", None, 10).await.unwrap().objects;
    assert_eq!(listed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_read_is_not_whole_and_one_that_grows_ends_where_it_did() {
    let (_folder, root, store) = hostile();
    for (length, is_whole) in [(50_000, false), (200_000, true)] {
        fs::write(root.join("config"), vec![1; 100_000]).unwrap();
        let body = store.get(&key("config"), None, None).await.unwrap();
        File::options().write(true).open(root.join("config")).unwrap().set_len(length).unwrap();
        let read = body.read_all(1 << 20).await;
        assert_eq!(read.as_ref().is_ok_and(|bytes| bytes.len() == 100_000), is_whole, "{length}");
    }
}

#[tokio::test]
async fn a_huge_folder_is_listed_a_page_at_a_time() {
    let (_folder, root, store) = hostile();
    fs::create_dir_all(root.join("snapshot/deep")).unwrap();
    let mut expected: Vec<String> = (0..6000).map(|number| format!("snapshot/{number:04x}")).collect();
    expected.push("snapshot/deep/one".to_owned());
    for name in &expected {
        File::create(root.join(name)).unwrap();
    }
    // More strays than a page holds, before and between the objects.
    for number in 0..300 {
        File::create(root.join(format!("snapshot/000 {number}"))).unwrap();
        fs::create_dir(root.join(format!("snapshot/00-{number}"))).unwrap();
        File::create(root.join(format!("snapshot/NO KEY {number}"))).unwrap();
    }
    expected.sort();
    let mut found: Vec<String> = Vec::new();
    let mut pages = crate::Pages::new(&store, "snapshot/").of(250);
    while let Some(page) = pages.next().await.unwrap() {
        found.extend(page.into_iter().map(|object| object.key.to_string()));
    }
    assert_eq!(found, expected);
    assert_eq!(
        (pages.strays().count(), pages.strays().names().len()),
        (600, 100),
        "a folder that holds nothing is none"
    );
}

#[tokio::test]
async fn what_can_be_no_object_is_told_once_however_a_listing_is_cut() {
    use rustix::fs::{CWD, mknodat};
    use std::os::unix::ffi::OsStrExt;
    let (_folder, root, store) = hostile();
    for name in ["config", "data/00/a", "data/00/b", "index/a", "snapshot/a", "snapshot/c"] {
        put(&store, name, &ABSENT).await.unwrap();
    }
    let write = |name: &[u8]| drop(File::create(root.join(std::ffi::OsStr::from_bytes(name))).unwrap());
    write(b"NOTES");
    write(b"data/00/\xff");
    write(b"snapshot/a\x1b[2J");
    let longest = format!("snapshot/{}", "x".repeat(200));
    write(longest.as_bytes());
    fs::create_dir(root.join("snapshot/MY FOLDER")).unwrap();
    write(b"snapshot/MY FOLDER/a");
    fs::create_dir(root.join("snapshot/b")).unwrap();
    symlink("nowhere", root.join("snapshot/b/NO LINK")).unwrap();
    symlink("../victim", root.join("Usage")).unwrap();
    mknodat(CWD, root.join("index/NO PIPE"), FileType::Fifo, 0o600.into(), 0).unwrap();
    let expected: Vec<&str> = [
        "NOTES",
        "Usage",
        r"data/00/\xff",
        "index/NO PIPE",
        "snapshot/MY FOLDER/",
        r"snapshot/a\x1b[2J",
        "snapshot/b/NO LINK",
        &longest,
    ]
    .into();
    for max in 1..8 {
        let reported = |prefix: &'static str| {
            let store = &store;
            async move {
                let mut pages = crate::Pages::new(store, prefix).of(max);
                while pages.next().await.unwrap().is_some() {}
                pages.strays().clone()
            }
        };
        for prefix in ["", "data/", "index/", "snapshot/", "snapshot/a", "U"] {
            let strays = reported(prefix).await;
            let expected = expected.iter().filter(|name| name.starts_with(prefix)).copied();
            let expected: Vec<&str> = expected.collect();
            assert_eq!(strays.names().collect::<Vec<_>>(), expected, "pages of {max} of `{prefix}`");
            assert_eq!(strays.count(), expected.len() as u64);
        }
    }
}

#[test]
fn a_new_store_and_all_folders_it_makes_are_durable() {
    let parent = tempfile::tempdir().unwrap();
    let lacking = Lacking::default();
    let on = |path: &str| {
        let medium = Medium::of(Box::new(lacking.clone()));
        FileStore::on(&parent.path().join(path), medium).unwrap().made().unwrap()
    };
    let inode = |path: &str| fs::metadata(parent.path().join(path)).unwrap().ino();
    let synced = || std::mem::take(&mut *lacking.synced.lock().unwrap());
    let store = on("new/deep/root");
    assert_eq!(synced(), [inode(""), inode("new"), inode("new/deep")]);
    fs::create_dir(parent.path().join("there")).unwrap();
    on("there");
    assert_eq!(synced(), [inode("")], "one that was there may be as new");
    let put = |name: &str| store.inner.put(&key(name), &Payload::default(), &ABSENT).unwrap();
    put("data/00/x");
    let root = "new/deep/root";
    let (data, first) = (inode(&format!("{root}/data")), inode(&format!("{root}/data/00")));
    assert_eq!(synced(), [inode(root), data, first], "each folder before the object");
    put("data/00/y");
    assert_eq!(synced(), [first]);
    fs::create_dir(parent.path().join(root).join("data/01")).unwrap();
    put("data/01/z");
    let second = inode(&format!("{root}/data/01"));
    assert_eq!(synced(), [data, second], "a folder that another process made a moment ago");
}

#[tokio::test]
async fn a_store_works_where_nothing_refuses_to_replace_and_folders_cannot_be_synced_and_says_so() {
    let parent = tempfile::tempdir().unwrap();
    let (rename_new, link, sync_folder) = (Some(Errno::INVAL), Some(Errno::PERM), Some(Errno::INVAL));
    let medium = Medium::of(Box::new(Lacking { rename_new, link, sync_folder, ..Lacking::default() }));
    let store = FileStore::on(&parent.path().join("root"), medium).unwrap().made().unwrap();
    put(&store, "data/00/x", &ABSENT).await.unwrap();
    assert_eq!(put(&store, "data/00/x", &ABSENT).await.unwrap_err().class, ErrorClass::Precondition);
    let info = store.info().await.unwrap();
    assert!(!info.has("if-absent"));
    assert_eq!(info.caveats, [REPLACES, FORGETS]);
}

#[tokio::test]
async fn a_reserve_is_set_aside_once_and_is_no_object() {
    let (_folder, root, store) = hostile();
    put(&store, "config", &ABSENT).await.unwrap();
    let reserve = |number: usize| fs::metadata(root.join(format!("{RESERVE}-{number}"))).unwrap();
    assert!((0..RESERVE_FILES).all(|number| reserve(number).len() == RESERVE_BYTES as u64));
    let keys: Vec<String> =
        store.list("", None, 10).await.unwrap().objects.iter().map(|object| object.key.to_string()).collect();
    assert_eq!(keys, ["config"]);
    let made = reserve(3).ino();
    fs::remove_file(root.join(format!("{RESERVE}-4"))).unwrap();
    put(&FileStore::open(&root).unwrap(), "more", &ABSENT).await.unwrap();
    assert_eq!(reserve(3).ino(), made);
    reserve(4);
}

#[tokio::test]
async fn a_full_disk_gives_its_reserve_to_records_of_what_goes_and_to_nothing_else() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("root");
    put(&FileStore::create(&root).unwrap(), "first", &ABSENT).await.unwrap();
    let medium = Medium::of(Box::new(Lacking { rename_new: Some(Errno::NOSPC), ..Lacking::default() }));
    let store = FileStore::on(&root, medium).unwrap();
    for (hint, keeps) in [("probe", true), ("config", true), ("data", true), ("removed", false)] {
        let options = PutOptions { hint: hint.to_owned(), ..ABSENT };
        assert_eq!(put(&store, &format!("{hint}/x"), &options).await.unwrap_err().class, ErrorClass::Exhausted);
        let is_there = |number: usize| root.join(format!("{RESERVE}-{number}")).exists();
        assert!((0..RESERVE_FILES).all(|number| is_there(number) == keeps), "{hint}");
    }
}

#[tokio::test]
async fn nothing_is_cleared_away_above_the_root() {
    let (folder, root, store) = hostile();
    let above = folder.path().join(UNFINISHED);
    fs::create_dir(&above).unwrap();
    fs::write(above.join("another's"), "of the repository above").unwrap();
    fs::create_dir_all(root.join("data").join(UNFINISHED)).unwrap();
    fs::write(root.join("data").join(UNFINISHED).join("left"), "by a dead writer").unwrap();
    age(&above.join("another's"));
    age(&root.join("data").join(UNFINISHED).join("left"));
    put(&store, "data/00/x", &ABSENT).await.unwrap();
    assert!(above.join("another's").exists());
    assert!(!root.join("data").join(UNFINISHED).join("left").exists());
    let page = store.list("", None, 10).await.unwrap();
    assert_eq!((page.objects.len(), page.strays.count()), (1, 0), "{:?}", page.strays);
}
