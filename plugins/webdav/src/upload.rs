//! A file on its way to a server: sent beside its place under a name of its own, and moved there when it is whole.
//!
//! Memory: a file whose size is known is handed over by the host in one piece; one of unknown size is held here, at most [`HELD_BYTES_MAX`].

use credenza_sdk::{Entry, Error, ErrorClass, Result, Writer};

use crate::folder::Folder;
use crate::place::parent;
use crate::wire::Wire;

/// Begins the name of a file that is on its way.
const ON_ITS_WAY: &[u8] = b"~credenza-partial-";
/// Most bytes of a file whose size nobody knew: less than what the host lets a connector make.
const HELD_BYTES_MAX: usize = 16 << 20;

/// Characters of names that some servers mistake in a `Destination` although they are escaped there (WsgiDAV cuts a name at them): such a file is
/// looked for when it was moved, and moved over nothing.
const MISTAKABLE: [u8; 4] = *b"?#;%";

/// A file on its way.
pub(crate) struct Upload<W: Wire> {
    folder: Folder<W>,
    key: Vec<u8>,
    partial: Vec<u8>,
    action: String,
    overwrite: bool,
    /// What came before the last part.
    held: Vec<u8>,
    /// Length of the file, when it is known.
    size: Option<u64>,
    /// Time of the file in seconds, for servers that take it (ownCloud, Nextcloud, rclone).
    modified: Option<i64>,
    /// Something may lie under its name on the way.
    is_sent: bool,
    /// A move whose answer did not come may have been carried out.
    asked_to_move: bool,
}

impl<W: Wire> Writer<W::Body> for Upload<W> {
    /// All of it, where its size is known: WebDAV takes a file in one request.
    fn part_bytes(&self) -> Option<u64> {
        self.size.map(|size| size.max(1))
    }

    fn write(&mut self, part: W::Body) -> Result<()> {
        self.hold(&part)
    }

    fn finish(&mut self, last: W::Body) -> Result<Vec<String>> {
        let body = if self.held.is_empty() {
            last
        } else {
            let before = self.held.len();
            self.hold(&last)?;
            let whole = self.folder.wire.body_of(self.held.clone());
            // After a failure that passes the same last part comes again.
            self.held.truncate(before);
            whole
        };
        if self.asked_to_move && self.was_moved(&body)? {
            return Ok(Vec::new());
        }
        self.is_sent = true;
        let time: Vec<(&str, String)> =
            self.modified.map(|seconds| ("x-oc-mtime", seconds.to_string())).into_iter().collect();
        self.folder.send(&self.partial, body, &time, &self.action)?;
        self.asked_to_move = true;
        let is_mistakable = self.key.iter().any(|byte| MISTAKABLE.contains(byte));
        if is_mistakable && self.overwrite {
            self.folder.remove(&self.key)?;
        }
        self.folder.publish(&self.partial, &self.key, self.overwrite && !is_mistakable, &self.action)?;
        self.is_sent = false;
        if is_mistakable && self.folder.look(&self.key)?.is_none() {
            let message = format!(
                "{} failed: the server moved it to another name, because it cannot read the one that it was given",
                self.action
            );
            return Err(Error::new(ErrorClass::Unsupported, "webdav.other-name", message));
        }
        Ok(Vec::new())
    }

    /// Leaves nothing behind. A failure is told to nobody: there is nothing more to do.
    fn abort(&mut self) {
        if std::mem::take(&mut self.is_sent) {
            let _ = self.folder.remove(&self.partial);
        }
    }
}

impl<W: Wire> Upload<W> {
    pub(crate) fn new(folder: &Folder<W>, entry: &Entry, overwrite: bool, action: String) -> Self {
        let word = folder.wire.unique_word();
        Self {
            partial: [parent(&entry.key), ON_ITS_WAY, word.as_bytes()].concat(),
            folder: folder.clone(),
            key: entry.key.clone(),
            action,
            overwrite,
            held: Vec::new(),
            size: entry.size,
            modified: entry.modified.map(|time| time.seconds),
            is_sent: false,
            asked_to_move: false,
        }
    }

    fn hold(&mut self, part: &W::Body) -> Result<()> {
        loop {
            let piece = self.folder.wire.read(part)?;
            if piece.is_empty() {
                return Ok(());
            }
            if self.held.len().saturating_add(piece.len()) > HELD_BYTES_MAX {
                let message = format!(
                    "{} failed: its size was not known before, and it has more than the {HELD_BYTES_MAX} bytes that are held in memory then",
                    self.action
                );
                return Err(Error::new(ErrorClass::Unsupported, "webdav.size-unknown", message));
            }
            self.held.extend(piece);
        }
    }

    /// Whether the move was carried out although its answer did not come: nothing is on its way, and the file has its length.
    fn was_moved(&self, body: &W::Body) -> Result<bool> {
        if self.folder.look(&self.partial)?.is_some() {
            return Ok(false);
        }
        let there = self.folder.look(&self.key)?;
        Ok(there.is_some_and(|there| !there.is_folder && there.size == self.folder.wire.length(body)))
    }
}
