//! One file being restored: written under an unfinished name beside its place, renamed when it is whole.
//!
//! Called by the engine through [`Writer`]. A part that failed may be given again: bytes go to their own offset.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::Entry;

use super::super::cause::{from_errno, from_io};
use super::super::platform::posix::{AtFlags, Mode, OFlags, openat, unlinkat};
use super::place::Place;
use super::tree::Tree;
use crate::{Error, ErrorClass, Payload, Result, Writer};

/// Parts up to this size are written on the calling thread: copying them to the page cache takes less than a hand-over costs.
const INLINE_BYTES_MAX: u64 = 256 * 1024;
/// Runs of zeros are left out in units of this, aligned: the block of the usual file systems.
const HOLE_BYTES: usize = 4096;

/// A file being restored.
pub(super) struct FileWriter {
    tree: Arc<Tree>,
    entry: Entry,
    place: Place,
    unfinished: Vec<u8>,
    overwrite: bool,
    is_sparse: bool,
    file: Arc<File>,
    written: u64,
    published: bool,
}

impl FileWriter {
    pub(super) fn begin(tree: &Arc<Tree>, entry: &Entry, place: Place, overwrite: bool) -> Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let unfinished = tree.unfinished_name();
        // What is noted of a file of this key is not true of the one that takes its place.
        tree.forget_described(entry);
        let file = openat(&place.folder.descriptor, &unfinished, flags, mode).map_err(|e| {
            tree.forget_link(entry);
            from_errno("cannot create", &entry.key, e)
        })?;
        Ok(Self {
            tree: Arc::clone(tree),
            entry: entry.clone(),
            place,
            unfinished,
            overwrite,
            is_sparse: entry.attribute("posix.sparse").is_some(),
            file: Arc::new(File::from(file)),
            written: 0,
            published: false,
        })
    }
}

#[async_trait]
impl Writer for FileWriter {
    fn part_bytes(&self) -> Option<u64> {
        None
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        let length = part.length();
        self.put(part).await?;
        self.written = self.written.saturating_add(length);
        Ok(())
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        let length = self.written.saturating_add(last.length());
        self.put(last).await?;
        if self.is_sparse {
            self.file.set_len(length).map_err(|e| from_io("cannot write", &self.entry.key, &e))?;
        }
        let described = self.tree.describe(&*self.file, &self.entry, &self.place);
        let unfinished = (&*self.place.folder, self.unfinished.as_slice());
        let is_as_planned = self.tree.publish(&self.entry.key, unfinished, self.place.clone(), self.overwrite)?;
        self.published = true;
        if let Some(missed) = described.filter(|_| is_as_planned) {
            self.tree.note_described(&mut self.entry, missed);
        }
        Ok(Vec::new())
    }

    async fn abort(self: Box<Self>) {}
}

impl FileWriter {
    /// Writes after all that counts as written.
    async fn put(&self, part: Payload) -> Result<()> {
        let length = part.length();
        let (file, offset, is_sparse) = (Arc::clone(&self.file), self.written, self.is_sparse);
        let write = move || write_at(&file, &part, offset, is_sparse);
        let written = if length <= INLINE_BYTES_MAX {
            write()
        } else {
            tokio::task::spawn_blocking(write).await.map_err(|e| {
                Error::new(
                    ErrorClass::Internal,
                    "file.thread",
                    format!("the thread that wrote a file ended early: {e}"),
                )
            })?
        };
        written.map_err(|e| from_io("cannot write", &self.entry.key, &e))
    }
}

impl Drop for FileWriter {
    /// Whatever ended it before it was published, nothing is left behind.
    fn drop(&mut self) {
        if !self.published {
            let _ = unlinkat(&self.place.folder.descriptor, &self.unfinished, AtFlags::empty());
            self.tree.forget_link(&self.entry);
        }
    }
}

fn write_at(file: &File, part: &Payload, mut offset: u64, is_sparse: bool) -> io::Result<()> {
    for piece in part.pieces() {
        if is_sparse {
            write_around_holes(file, piece, offset)?;
        } else {
            file.write_all_at(piece, offset)?;
        }
        offset = offset.saturating_add(piece.len() as u64);
    }
    Ok(())
}

/// Writes all but the aligned blocks of zeros; neighbouring blocks of data go in one call.
fn write_around_holes(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let misaligned = usize::try_from(offset % HOLE_BYTES as u64).unwrap_or(0);
    let head = (HOLE_BYTES - misaligned) % HOLE_BYTES;
    let (head, rest) = bytes.split_at_checked(head).unwrap_or((bytes, b""));
    file.write_all_at(head, offset)?;
    let mut offset = offset.saturating_add(head.len() as u64);
    let is_hole = |block: &&[u8]| block.len() == HOLE_BYTES && block.iter().all(|byte| *byte == 0);
    let blocks: Vec<&[u8]> = rest.chunks(HOLE_BYTES).collect();
    let mut rest = rest;
    for run in blocks.chunk_by(|a, b| is_hole(a) == is_hole(b)) {
        let length = run.iter().map(|block| block.len()).sum();
        let (data, after) = rest.split_at_checked(length).unwrap_or((rest, b""));
        if !run.first().is_some_and(is_hole) {
            file.write_all_at(data, offset)?;
        }
        offset = offset.saturating_add(length as u64);
        rest = after;
    }
    Ok(())
}
