//! What a restore may not leave behind: access that the snapshot does not give, folders that stay closed, bytes that are nowhere durable.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use credenza_model::{AttributeValue, Entry, EntryKind, Key};
use rustix::fs::{XattrFlags, getxattr, setxattr};

use super::super::platform::testing::Lacking;
use super::*;
use crate::Payload;

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

fn entry(key: &str, kind: EntryKind, mode: i64) -> Entry {
    let attributes = vec![("posix.mode".to_owned(), AttributeValue::Integer(mode))];
    Entry { attributes, ..Entry::new(Key::from(key), kind) }
}

async fn restore(destination: &FileDestination, entry: &Entry) {
    if let Some(mut writer) = destination.create(entry, true).await.unwrap() {
        writer.finish(Payload::from(b"bytes".to_vec())).await.unwrap();
    }
}

async fn describe(destination: &FileDestination, entries: &[Entry]) -> Vec<Vec<String>> {
    destination.set_metadata(entries).await.unwrap().into_iter().map(Result::unwrap).collect()
}

/// An access list (acl(5), version 2 as in `xattr`): the owner, the user 4321 with all rights, the group, the mask, others.
fn list_with_a_stranger() -> Vec<u8> {
    let lines: [(u16, u16, u32); 5] =
        [(1, 7, u32::MAX), (2, 7, 4321), (4, 0, u32::MAX), (16, 7, u32::MAX), (32, 0, u32::MAX)];
    let line = |(tag, rights, id): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    [2_u32.to_le_bytes().to_vec(), lines.into_iter().flat_map(line).collect()].concat()
}

#[tokio::test]
async fn an_access_list_that_a_folder_hands_down_does_not_let_in_whom_the_snapshot_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let list = list_with_a_stranger();
    if setxattr(folder.path(), DEFAULT, &list, XattrFlags::empty()).is_err() {
        return eprintln!("not run: no access lists here");
    }
    let destination = FileDestination::new(folder.path()).unwrap();
    let mut listed = entry("listed", EntryKind::File, 0o670);
    listed.attributes.push((format!("xattr.{ACCESS}"), AttributeValue::Blob(list)));
    let entries = [entry("a/b", EntryKind::File, 0o640), entry("a/", EntryKind::Directory, 0o750), listed];
    restore(&destination, &entries[1]).await;
    restore(&destination, &entries[0]).await;
    restore(&destination, &entries[2]).await;
    assert_eq!(describe(&destination, &entries).await, [[""; 0]; 3]);
    let has = |path: &str, name| getxattr(folder.path().join(path), name, &mut [0; 64][..]).is_ok();
    assert!(!has("a", ACCESS) && !has("a", DEFAULT) && !has("a/b", ACCESS));
    assert!(has("listed", ACCESS), "what the snapshot has is restored");
    let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("a"), mode("a/b")), (0o750, 0o640));
}

#[tokio::test]
async fn what_is_noted_of_a_file_is_forgotten_when_another_is_begun_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let destination = FileDestination::new(folder.path()).unwrap();
    let files = [entry("a", EntryKind::File, 0o640)];
    restore(&destination, &files[0]).await;
    drop(destination.create(&files[0], true).await.unwrap());
    fs::set_permissions(folder.path().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(describe(&destination, &files).await, [[""; 0]]);
    assert_eq!(fs::metadata(folder.path().join("a")).unwrap().permissions().mode() & 0o7777, 0o640);
}

#[tokio::test]
async fn each_file_system_is_synced_once() {
    let folder = tempfile::tempdir().unwrap();
    let lacking = Lacking::default();
    let medium = Medium::of(Box::new(lacking.clone()));
    let destination = FileDestination::on(&folder.path().join("new"), medium).unwrap();
    for number in 0..300 {
        restore(&destination, &entry(&format!("{}/{number}", number % 7), EntryKind::File, 0o600)).await;
    }
    assert_eq!(*lacking.synced.lock().unwrap(), [0; 0]);
    destination.sync().await.unwrap();
    assert_eq!(*lacking.synced.lock().unwrap(), [0]);
}

#[tokio::test]
async fn bytes_that_did_not_reach_the_disk_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let lacking = Lacking { sync_file_system: Some(Errno::IO), ..Lacking::default() };
    let destination = FileDestination::on(folder.path(), Medium::of(Box::new(lacking))).unwrap();
    restore(&destination, &entry("a", EntryKind::File, 0o600)).await;
    assert_eq!(destination.sync().await.unwrap_err().class, ErrorClass::Corrupt);
}

#[tokio::test]
async fn a_destination_without_renames_that_refuse_and_links_does_not_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let lacking = Lacking { rename_new: Some(Errno::INVAL), link: Some(Errno::PERM), ..Lacking::default() };
    let destination = FileDestination::on(folder.path(), Medium::of(Box::new(lacking))).unwrap();
    let file = entry("a", EntryKind::File, 0o600);
    let mut first = destination.create(&file, false).await.unwrap().unwrap();
    let mut second = destination.create(&file, false).await.unwrap().unwrap();
    first.finish(Payload::from(b"first".to_vec())).await.unwrap();
    let refused = second.finish(Payload::from(b"second".to_vec())).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Precondition);
    assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"first");
    assert_eq!(fs::metadata(folder.path().join("a")).unwrap().nlink(), 1);
}

#[tokio::test]
async fn where_there_are_no_hard_links_further_names_are_copies_and_that_is_told() {
    for (link, expected) in [(None, 1), (Some(Errno::PERM), 2), (Some(Errno::XDEV), 2)] {
        let folder = tempfile::tempdir().unwrap();
        let lacking = Lacking { link, ..Lacking::default() };
        let destination = FileDestination::on(folder.path(), Medium::of(Box::new(lacking))).unwrap();
        let named = |key: &str| {
            let mut file = entry(key, EntryKind::File, 0o640);
            file.attributes.push(("posix.hardlink".to_owned(), AttributeValue::Text("8:1".to_owned())));
            file
        };
        let files = [named("a"), named("b/c")];
        let mut writer = destination.create(&files[0], false).await.unwrap().unwrap();
        writer.finish(Payload::from(b"shared".to_vec())).await.unwrap();
        assert!(destination.create(&files[1], false).await.unwrap().is_none(), "it has its content by the other");
        let missed = describe(&destination, &files).await;
        let is_copy = expected == 2;
        assert_eq!(missed.last().unwrap().contains(&"posix.hardlink".to_owned()), is_copy, "{missed:?}");
        let status = ["a", "b/c"].map(|name| fs::metadata(folder.path().join(name)).unwrap());
        let inodes: std::collections::BTreeSet<u64> = status.iter().map(MetadataExt::ino).collect();
        assert_eq!(inodes.len(), expected);
        assert!(status.iter().all(|status| status.permissions().mode() & 0o7777 == 0o640));
        assert_eq!(fs::read(folder.path().join("b/c")).unwrap(), b"shared");
        assert_eq!(fs::read_dir(folder.path().join("b")).unwrap().count(), 1, "nothing unfinished is left");
    }
}

/// Makes something of a kind at a path.
fn make(kind: &str, path: &std::path::Path) {
    match kind {
        "file" => fs::write(path, "mine").unwrap(),
        "folder" => fs::create_dir(path).unwrap(),
        "full folder" => fs::create_dir_all(path.join("mine")).unwrap(),
        "link" => std::os::unix::fs::symlink("nowhere", path).unwrap(),
        _ => rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap(),
    }
}

#[tokio::test]
async fn what_is_in_the_way_is_replaced_or_the_entry_is_told_to_be_elsewhere() {
    let pipe = ("posix.kind".to_owned(), AttributeValue::Text("fifo".to_owned()));
    let wanted = [
        ("x", EntryKind::File, None, vec![]),
        ("x/", EntryKind::Directory, None, vec![]),
        ("x", EntryKind::Symlink, Some(b"target".to_vec()), vec![]),
        ("x", EntryKind::Other, None, vec![pipe]),
    ];
    for there in ["nothing", "file", "folder", "full folder", "link", "pipe"] {
        for (key, kind, link_target, attributes) in wanted.clone() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x");
            if there != "nothing" {
                make(there, &path);
            }
            let destination = FileDestination::new(folder.path()).unwrap();
            let wanted = Entry { link_target, attributes, ..Entry::new(Key::from(key), kind) };
            restore(&destination, &wanted).await;
            let reported = describe(&destination, std::slice::from_ref(&wanted)).await.remove(0);
            let found = destination.stat(&wanted.key).await.unwrap().unwrap();
            assert_eq!(found.kind, kind, "{kind:?} where a {there} is");
            let is_in_place = fs::symlink_metadata(&path).is_ok_and(|status| match kind {
                EntryKind::File => status.is_file() && fs::read(&path).unwrap() == b"bytes",
                EntryKind::Directory => status.is_dir(),
                EntryKind::Symlink => status.is_symlink() && fs::read_link(&path).unwrap().ends_with("target"),
                EntryKind::Other => !status.is_file() && !status.is_dir() && !status.is_symlink(),
            });
            assert_eq!(reported.is_empty(), is_in_place, "{kind:?} where a {there} is: {reported:?}");
        }
    }
}
