//! Folders for tests: built with everything that a file system can hold, compared attribute for attribute.
//!
//! Owners are changed only when the test runs as root; extended attributes only where the file system has them.

use anyhow::{Context, Result, ensure};
use credenza_s3_server::Content;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, utimensat};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Nanoseconds in the times of the built trees: a restore that drops them shows.
const NANOSECONDS: i64 = 123_456_789;

/// Builds a small tree that holds one of everything.
///
/// # Errors
/// When the file system refuses.
pub fn build_odd(root: &Path) -> Result<()> {
    fs::create_dir_all(root.join("empty folder"))?;
    fs::create_dir_all(root.join("deep/er/and/deeper"))?;
    write(root, "plain.txt", b"plain\n")?;
    write(root, "empty", b"")?;
    write(root, "deep/er/and/deeper/leaf", &noise(1, 100))?;
    write(root, "big.bin", &noise(2, 3 * 1024 * 1024 + 17))?;
    write(root, "zeros.bin", &vec![0; 700_000])?;
    write(root, "naïve – ünïcode ☂", b"unicode name")?;
    write(root, "line\nbreak\tand \"quotes\"", b"control characters")?;
    fs::write(root.join(OsStr::from_bytes(b"not utf-8 \xff\xfe")), b"bytes, not text")?;
    write(root, "script.sh", b"#!/bin/sh\n")?;
    fs::set_permissions(root.join("script.sh"), fs::Permissions::from_mode(0o4755))?;
    write(root, "secret", b"for nobody else")?;
    fs::set_permissions(root.join("secret"), fs::Permissions::from_mode(0o400))?;
    fs::hard_link(root.join("plain.txt"), root.join("deep/hard link"))?;
    symlink("plain.txt", root.join("link"))?;
    symlink("../nowhere/at/all", root.join("dangling"))?;
    symlink("/etc/hostname", root.join("deep/absolute link"))?;
    build_sparse(&root.join("sparse.img"), 16 * 1024 * 1024, &[(0, 4096), (9 * 1024 * 1024, 70_000)])?;
    fs::set_permissions(root.join("deep/er"), fs::Permissions::from_mode(0o750))?;
    attach(&root.join("plain.txt"), "user.credenza", b"value \0 with nul")?;
    attach(&root.join("deep"), "user.of.folder", b"1")?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(root.join("secret"), Some(1234), Some(5678))?;
        std::os::unix::fs::lchown(root.join("link"), Some(1234), Some(5678))?;
    }
    date_all(root)
}

/// Builds `files` small files in folders of 100, sizes from 1 byte to 8 KiB.
///
/// # Errors
/// When the file system refuses.
pub fn build_many(root: &Path, files: u64) -> Result<()> {
    for number in 0..files {
        let folder = root.join(format!("{:02}/{:04}", number / 10_000, number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&folder)?;
        }
        fs::write(folder.join(format!("file-{number:07}")), noise(number, 1 + number.wrapping_mul(7919) % 8192))?;
    }
    Ok(())
}

/// Builds a file of `bytes` that is a hole but for pieces of noise at (offset, length).
///
/// # Errors
/// When the file system refuses.
pub fn build_sparse(path: &Path, bytes: u64, pieces: &[(u64, u64)]) -> Result<()> {
    let mut file = File::create(path)?;
    file.set_len(bytes)?;
    for (offset, length) in pieces {
        file.seek(SeekFrom::Start(*offset))?;
        for piece in (Content::Synthetic { seed: *offset, bytes: *length }).pieces(0..*length) {
            file.write_all(&piece)?;
        }
    }
    Ok(())
}

/// Incompressible bytes that depend on `seed`.
pub fn noise(seed: u64, bytes: u64) -> Vec<u8> {
    Content::Synthetic { seed, bytes }.to_bytes().to_vec()
}

fn write(root: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    fs::write(root.join(name), bytes).with_context(|| format!("cannot write {name:?}"))
}

/// Gives a file an extended attribute. File systems without them are no failure of what is tested.
///
/// # Errors
/// When the file system refuses.
pub fn attach(path: &Path, name: &str, value: &[u8]) -> Result<()> {
    match rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()) {
        Err(rustix::io::Errno::NOTSUP) => Ok(()),
        result => result.with_context(|| format!("cannot set {name} on {}", path.display())),
    }
}

/// Whether files in a folder can have extended attributes of users.
///
/// # Errors
/// When no file can be made there.
pub fn keeps_attributes(folder: &Path) -> Result<bool> {
    let file = tempfile::NamedTempFile::new_in(folder)?;
    Ok(rustix::fs::setxattr(file.path(), "user.probe", b"1", XattrFlags::empty()).is_ok())
}

/// Gives everything a time of its own in the past, deepest first, so that folders keep theirs.
fn date_all(root: &Path) -> Result<()> {
    let mut paths = vec![root.to_path_buf()];
    walk(root, &mut paths)?;
    for (seconds, path) in (1_500_000_000..).zip(paths.iter().rev()) {
        let time = Timespec { tv_sec: seconds, tv_nsec: NANOSECONDS };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        paths.push(entry.path());
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), paths)?;
        }
    }
    Ok(())
}

/// Compares two folders: names, kinds, bytes, modes, owners, times to the nanosecond, links, extended attributes.
///
/// # Errors
/// With a line for every difference.
pub fn compare(left: &Path, right: &Path) -> Result<()> {
    let (ours, theirs) = (describe(left)?, describe(right)?);
    let mut differences = Vec::new();
    for name in ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name))) {
        match (ours.get(name), theirs.get(name)) {
            (Some(_), None) => differences.push(format!("{} is missing", name.display())),
            (None, Some(_)) => differences.push(format!("{} is too many", name.display())),
            (Some(a), Some(b)) if a != b => differences.push(format!("{}:\n    {a:?}\n    {b:?}", name.display())),
            _ => same_bytes(&left.join(name), &right.join(name), &mut differences)?,
        }
    }
    ensure!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

/// Takes away what a restore wrote on files of the bucket that they come from: extended attributes `user.credenza.http.*` and `user.credenza.s3.*`.
///
/// # Errors
/// When the file system refuses.
pub fn forget_bucket(root: &Path) -> Result<()> {
    let mut paths = Vec::new();
    walk(root, &mut paths)?;
    for path in paths {
        for name in attributes_of(&path)?.into_keys() {
            if name.starts_with(b"user.credenza.http.") || name.starts_with(b"user.credenza.s3.") {
                rustix::fs::lremovexattr(&path, OsStr::from_bytes(&name))?;
            }
        }
    }
    Ok(())
}

/// Compares names and bytes of files alone, for trees whose attributes have no home.
///
/// # Errors
/// With a line for every difference.
pub fn compare_bytes(left: &Path, right: &Path) -> Result<()> {
    let names = |root: &Path| -> Result<Vec<PathBuf>> {
        let entries = describe(root)?.into_iter().filter(|(_, entry)| entry.kind == "file");
        Ok(entries.map(|(name, _)| name).collect())
    };
    let (ours, theirs) = (names(left)?, names(right)?);
    ensure!(ours == theirs, "other files: {ours:?} against {theirs:?}");
    let mut differences = Vec::new();
    for name in &ours {
        same_bytes(&left.join(name), &right.join(name), &mut differences)?;
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Description {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    bytes: u64,
    target: Option<PathBuf>,
    /// The first name of the file that this is another name of.
    hard_link_to: Option<PathBuf>,
    is_sparse: bool,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn describe(root: &Path) -> Result<BTreeMap<PathBuf, Description>> {
    let mut paths = Vec::new();
    walk(root, &mut paths)?;
    paths.sort();
    let mut first_names: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let mut entries = BTreeMap::new();
    for path in paths {
        let metadata = fs::symlink_metadata(&path)?;
        let name = path.strip_prefix(root)?.to_path_buf();
        let identity = (metadata.dev(), metadata.ino());
        let is_file = metadata.is_file();
        let hard_link_to = first_names.get(&identity).cloned().filter(|_| is_file);
        first_names.entry(identity).or_insert_with(|| name.clone());
        let description = Description {
            kind: kind_of(&metadata),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            bytes: if metadata.is_dir() { 0 } else { metadata.len() },
            target: fs::read_link(&path).ok(),
            hard_link_to,
            is_sparse: is_file && metadata.len() > 1024 * 1024 && metadata.blocks() * 512 < metadata.len() / 2,
            attributes: attributes_of(&path)?,
        };
        entries.insert(name, description);
    }
    Ok(entries)
}

fn kind_of(metadata: &fs::Metadata) -> &'static str {
    match metadata {
        metadata if metadata.is_dir() => "folder",
        metadata if metadata.is_symlink() => "link",
        metadata if metadata.is_file() => "file",
        _ => "special",
    }
}

fn attributes_of(path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0_u8; 65_536];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Err(rustix::io::Errno::NOTSUP) => 0,
        result => result.with_context(|| format!("cannot list attributes of {}", path.display()))?,
    };
    let names = names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut attributes = BTreeMap::new();
    for name in names {
        let mut value = vec![0_u8; 65_536];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value)?;
        value.truncate(length);
        attributes.insert(name.to_vec(), value);
    }
    Ok(attributes)
}

fn same_bytes(left: &Path, right: &Path, differences: &mut Vec<String>) -> Result<()> {
    if !fs::symlink_metadata(left)?.is_file() {
        return Ok(());
    }
    let (mut ours, mut theirs) = (File::open(left)?, File::open(right)?);
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let (from_left, from_right) = (fill(&mut ours, &mut a)?, fill(&mut theirs, &mut b)?);
        if a.get(..from_left) != b.get(..from_right) {
            differences.push(format!("{} has other bytes", left.display()));
            return Ok(());
        }
        if from_left == 0 {
            return Ok(());
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&Path);

    fn pair() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (left, right) = (folder.path().join("left"), folder.path().join("right"));
        build_odd(&left).unwrap();
        build_odd(&right).unwrap();
        (folder, left, right)
    }

    #[test]
    fn two_trees_built_alike_are_equal() {
        let (_folder, left, right) = pair();
        compare(&left, &right).unwrap();
    }

    #[test]
    fn each_kind_of_difference_is_found() {
        let changes: [(&str, Change); 7] = [
            ("missing", |root| fs::remove_file(root.join("empty")).unwrap()),
            ("too many", |root| fs::write(root.join("new"), "x").unwrap()),
            ("plain.txt", |root| fs::write(root.join("plain.txt"), "plane\n").unwrap()),
            ("script.sh", |root| {
                fs::set_permissions(root.join("script.sh"), fs::Permissions::from_mode(0o755)).unwrap()
            }),
            ("big.bin", |root| {
                File::options()
                    .write(true)
                    .open(root.join("big.bin"))
                    .unwrap()
                    .set_modified(std::time::UNIX_EPOCH)
                    .unwrap()
            }),
            ("hard link", |root| {
                fs::remove_file(root.join("deep/hard link")).unwrap();
                fs::copy(root.join("plain.txt"), root.join("deep/hard link")).unwrap();
            }),
            ("zeros.bin", |root| {
                let modified = fs::metadata(root.join("zeros.bin")).unwrap().modified().unwrap();
                let mut file = File::options().write(true).open(root.join("zeros.bin")).unwrap();
                file.write_all(b"1").unwrap();
                file.set_modified(modified).unwrap();
            }),
        ];
        for (expected, change) in changes {
            let (_folder, left, right) = pair();
            change(&right);
            let found = compare(&left, &right).unwrap_err().to_string();
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }
}
