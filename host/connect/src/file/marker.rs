//! Markers: whether a folder says of itself that what is in it is not wanted.
//!
//! Owned here: looking for a marker by its name, and at how its content begins; nothing else in the folder is looked at. Called by the walk.

use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;

use super::platform::posix::FileType;
use super::platform::{Name, open_regular, status_of};
use crate::Marker;

/// The names of the markers that the folder holds, sorted; none where it is wanted. What cannot be looked at is no marker.
pub(super) fn names(folder: BorrowedFd<'_>, markers: &[Marker]) -> Vec<Name> {
    let mut names: Vec<Name> = markers.iter().filter_map(|marker| name(folder, marker)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn name(folder: BorrowedFd<'_>, Marker { name, content }: &Marker) -> Option<Name> {
    let status = status_of(folder, name).ok()?;
    if let Some(content) = content {
        let (file, _) = open_regular(folder, name).ok()?;
        let mut begin = Vec::with_capacity(content.len());
        File::from(file).take(content.len() as u64).read_to_end(&mut begin).ok()?;
        return (begin == *content).then(|| name.as_slice().into());
    }
    let end: &[u8] = if status.kind == FileType::Directory { b"/" } else { b"" };
    Some([name.as_slice(), end].concat().into_boxed_slice())
}
