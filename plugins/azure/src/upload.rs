//! A blob on its way to a container: whole in one request, or in blocks that a list makes a blob of.
//!
//! Owned here: what may be tried again without counting twice. Refused here: which headers it is written with (`destination`).
//! Memory: the number of blocks, at most 50,000, and the word that their names begin with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use credenza_sdk::http::Request;
use credenza_sdk::{Entry, Error, ErrorClass, Result, Writer, percent};

use crate::container::Container;
use crate::fault::{PRECONDITION, shown};
use crate::wire::{Wire, request};

/// Most blocks of a blob (<https://learn.microsoft.com/rest/api/storageservices/put-block-list>).
pub(crate) const BLOCKS_MAX: u64 = 50_000;
/// Longest list of blocks that is read: 50,000 with names and lengths.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest name of a block, before Base64.
const NAME_BYTES_MAX: usize = 64;

/// A blob on its way. What fits one part needs one request and no blocks.
pub(crate) struct Upload<W> {
    container: Container<W>,
    target: String,
    action: String,
    headers: Vec<(String, String)>,
    overwrite: bool,
    part_bytes: u64,
    /// The digest of the whole, in Base64: the service keeps it, and holds a blob that is sent whole against it.
    md5: Option<String>,
    /// Begins the names of its blocks, so that those of another upload are reported from them.
    word: String,
    /// How many were sent.
    blocks: u64,
    /// The last one is among them.
    all_sent: bool,
    /// A list whose answer did not come may have been carried out.
    asked_to_commit: bool,
}

impl<W: Wire> Upload<W> {
    pub(crate) fn new(
        container: &Container<W>,
        entry: &Entry,
        headers: Vec<(String, String)>,
        overwrite: bool,
        part_bytes: u64,
    ) -> Self {
        let md5 = entry.checksums.iter().find(|checksum| checksum.algorithm == "md5" && checksum.value.len() == 16);
        Self {
            container: container.clone(),
            target: container.place.target(&entry.key),
            action: format!("writing {}", shown(&entry.key)),
            headers,
            overwrite,
            part_bytes,
            md5: md5.map(|checksum| BASE64.encode(&checksum.value)),
            word: container.wire.unique_word(),
            blocks: 0,
            all_sent: false,
            asked_to_commit: false,
        }
    }

    /// The request that publishes the blob.
    fn publishing(&self, target: String) -> Request {
        let mut asked = request("PUT", target);
        if !self.overwrite {
            asked = asked.with_header("if-none-match", "*");
        }
        if let Some(md5) = &self.md5 {
            asked = asked.with_header("x-ms-blob-content-md5", md5.clone());
        }
        self.headers.iter().fold(asked, |asked, (name, value)| asked.with_header(name, value.clone()))
    }

    fn put_whole(&self, body: W::Body) -> Result<()> {
        let asked = self.publishing(self.target.clone()).with_header("x-ms-blob-type", "BlockBlob");
        self.container.ask_to_take(asked, body, &self.action).map(drop)
    }

    /// The name of a block: all of a blob have names of one length.
    fn block(&self, number: u64) -> String {
        let word: String = self.word.chars().take(NAME_BYTES_MAX - 8).collect();
        BASE64.encode(format!("{word}{number:08}"))
    }

    fn send_block(&mut self, part: W::Body) -> Result<()> {
        if self.blocks >= BLOCKS_MAX {
            let message =
                format!("{} failed: a blob has at most {BLOCKS_MAX} blocks; set part_size to more", self.action);
            return Err(Error::new(ErrorClass::Unsupported, "azure.too-many-blocks", message));
        }
        let block = self.block(self.blocks);
        let query = percent::query(&[("comp", Some(b"block")), ("blockid", Some(block.as_bytes()))]);
        let sent = self.container.ask_to_take(request("PUT", self.target.clone() + &query), part, &self.action);
        sent.map_err(|error| if error.reason == crate::fault::BLOCKS { self.others_left_blocks() } else { error })?;
        self.blocks = self.blocks.saturating_add(1);
        Ok(())
    }

    /// All blocks of a blob have names of one length, those too that another program sent and never made a blob of.
    fn others_left_blocks(&self) -> Error {
        let message = format!(
            "{} failed: another program has left blocks of a blob of this name; they go after a week, or when the blob is written whole",
            self.action
        );
        Error::new(ErrorClass::Denied, "azure.blocks-of-others", message)
    }

    fn commit(&mut self) -> Result<()> {
        let again = std::mem::replace(&mut self.asked_to_commit, true);
        let blocks: String =
            (0..self.blocks).map(|number| format!("<Uncommitted>{}</Uncommitted>", self.block(number))).collect();
        let document = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{blocks}</BlockList>");
        let asked = self.publishing(format!("{}?comp=blocklist", self.target));
        match self.container.ask_to_take(asked, self.container.wire.body_of(document.into_bytes()), &self.action) {
            Err(error) if again && error.class != ErrorClass::Configuration && self.is_committed()? => Ok(()),
            Err(error) if error.reason == crate::fault::BLOCKS => {
                // They do not come back by trying again.
                let message = format!("{}; restore it once more", error.message);
                Err(Error::new(ErrorClass::Denied, error.reason, message))
            }
            committed => committed.map(drop),
        }
    }

    /// Whether the blob consists of just these blocks: their names are nobody else's.
    fn is_committed(&self) -> Result<bool> {
        let target = format!("{}?comp=blocklist&blocklisttype=committed", self.target);
        let answer = match self.container.ask(request("GET", target), None, &self.action) {
            Err(error) if matches!(error.class, ErrorClass::NotFound | ErrorClass::Precondition) => return Ok(false),
            answer => answer?,
        };
        let document = self.container.document(&answer, "BlockList", LIST_BYTES_MAX, &self.action)?;
        let committed = document.child("CommittedBlocks").into_iter().flat_map(|blocks| blocks.all("Block"));
        let names = committed.map(|block| block.text_of("Name").unwrap_or_default().to_owned());
        Ok(names.eq((0..self.blocks).map(|number| self.block(number))))
    }
}

impl<W: Wire> Writer<W::Body> for Upload<W> {
    fn part_bytes(&self) -> Option<u64> {
        Some(self.part_bytes)
    }

    fn write(&mut self, part: W::Body) -> Result<()> {
        self.send_block(part)
    }

    fn finish(&mut self, last: W::Body) -> Result<Vec<String>> {
        let is_empty = self.container.wire.length(&last) == Some(0);
        if self.blocks == 0 {
            self.put_whole(last)?;
            return Ok(Vec::new());
        }
        if !is_empty && !self.all_sent {
            self.send_block(last)?;
            self.all_sent = true;
        }
        self.commit()?;
        Ok(Vec::new())
    }

    /// The service keeps blocks that no list names for a week; there is no way to remove them.
    fn abort(&mut self) {}
}

impl<W: Wire> Container<W> {
    /// Tries to write under a condition that cannot hold: who may write is reported that, and nothing is left behind.
    ///
    /// # Errors
    /// The cause, when it is another.
    pub(crate) fn rehearse(&self, key: &[u8]) -> Result<()> {
        let asked = request("PUT", self.place.target(key))
            .with_header("x-ms-blob-type", "BlockBlob")
            .with_header("if-match", "\"0x0\"");
        match self.ask(asked, Some(self.wire.body_of(Vec::new())), "writing a blob") {
            Err(error) if error.reason == PRECONDITION || error.class == ErrorClass::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                let message = format!(
                    "writing a blob failed: {} ignores the condition of a write, and has made {}",
                    self.place.name(),
                    shown(key)
                );
                Err(Error::new(ErrorClass::Corrupt, "azure.condition-ignored", message))
            }
        }
    }
}
