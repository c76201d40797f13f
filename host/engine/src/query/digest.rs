//! Digest: what a snapshot holds, in numbers that do not depend on the repository, its keys or its chunks.
//!
//! With H the algorithm chosen: a file's digest is H of its bytes, a link's H of its target. The total is H of the ASCII
//! text `credenza digest 1`, a zero byte, and for each entry in order: length of the key as u64, little endian · key ·
//! length and text of the version's id likewise, empty without versions · a letter (`f` file, `l` link, `d` folder,
//! `o` other, `x` deleted version, `?` never read) · the digest, 32 zeros without one. Times and attributes do not count.
//!
//! Called by `cli`. Every byte is verified on the way. Bound: three windows of [`WINDOW_BYTES`].

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use credenza_model::{Content, EntryKind, Key, Record};
use futures_util::{Stream, StreamExt};

use crate::blobs::{BlobLoader, Fetched};
use crate::contents::ContentChunks;
use crate::repository::SnapshotHandle;
use crate::view::View;
use crate::walk::Records;
use crate::window::{self, WINDOW_BYTES, Window};
use crate::{Damage, DamageKind, Error, Result};

/// The hash that digests are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestAlgorithm {
    /// BLAKE3, 32 bytes.
    #[default]
    Blake3,
    /// SHA-256.
    Sha256,
}

/// The digest of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryDigest {
    /// The entry.
    pub key: Key,
    /// The id of its version, when the source keeps versions.
    pub version: Option<String>,
    /// `None` for what has no content, and for what the backup could not read.
    pub digest: Option<[u8; 32]>,
    /// Whether there should be a digest, and the backup could not read the content.
    pub unread: bool,
}

/// The digest of all that was digested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotDigest {
    /// Entries, of any kind.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Entries that the backup could not read.
    pub unread: u64,
    /// The total.
    pub digest: [u8; 32],
}

type Loaded = Result<(Window<Record>, Fetched)>;

/// A stream of the digests of a snapshot's entries.
pub struct Digests {
    algorithm: DigestAlgorithm,
    loader: Arc<BlobLoader>,
    windows: Pin<Box<dyn Stream<Item = Loaded> + Send>>,
    ready: VecDeque<EntryDigest>,
    total: Hasher,
    counts: (u64, u64, u64),
}

impl View {
    /// Digests what lies at or under a key of a snapshot; everything under the empty one.
    #[must_use]
    pub fn digest(&self, snapshot: &SnapshotHandle, prefix: &[u8], algorithm: DigestAlgorithm) -> Digests {
        let loader = Arc::clone(self.loader());
        let source = Windows { records: self.records(snapshot, prefix), prefix: prefix.to_vec(), held: None };
        let windows = futures_util::stream::try_unfold(source, |mut source| async {
            let window = source.next().await?;
            Ok::<_, Error>((!window.items.is_empty()).then_some((window, source)))
        });
        let reader = Arc::clone(&loader);
        let windows = windows.map(move |window| fetch(Arc::clone(&reader), window)).buffered(2);
        let mut total = Hasher::new(algorithm);
        total.update(b"credenza digest 1\0");
        Digests { algorithm, loader, windows: Box::pin(windows), ready: VecDeque::new(), total, counts: (0, 0, 0) }
    }
}

async fn fetch(loader: Arc<BlobLoader>, window: Result<Window<Record>>) -> Loaded {
    let window = window?;
    let fetched = if window.is_large() { Fetched::new() } else { window::fetch(&loader, window.items.iter()).await? };
    Ok((window, fetched))
}

struct Windows {
    records: Records,
    prefix: Vec<u8>,
    held: Option<Record>,
}

impl Windows {
    /// The next window; an empty one is the end.
    async fn next(&mut self) -> Result<Window<Record>> {
        let mut window = Window::new();
        loop {
            let next = match self.held.take() {
                Some(held) => Some(held),
                None => self.records.next().await?,
            };
            let Some(record) = next else { return Ok(window) };
            let bytes = window::weight(&record.content);
            if !record.entry.key.is_under(&self.prefix) {
                continue;
            }
            if !window.has_room(bytes) {
                self.held = Some(record);
                return Ok(window);
            }
            window.push(record, bytes);
        }
    }
}

impl Digests {
    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// Damage when any content is lost: there is no digest of a part.
    pub async fn next(&mut self) -> Result<Option<EntryDigest>> {
        while self.ready.is_empty() {
            let Some(loaded) = self.windows.next().await else { return Ok(None) };
            let (window, fetched) = loaded?;
            for record in &window.items {
                let mut hasher = Hasher::new(self.algorithm);
                if window.is_large() {
                    self.read_large(record, &mut hasher).await?;
                } else {
                    read_small(record, &fetched, &mut hasher)?;
                }
                self.settle(record, hasher.finish());
            }
        }
        Ok(self.ready.pop_front())
    }

    /// The total of the entries so far: of all when [`next`](Self::next) has come to the end.
    #[must_use]
    pub fn total(self) -> SnapshotDigest {
        let (entries, bytes, unread) = self.counts;
        SnapshotDigest { entries, bytes, unread, digest: self.total.finish() }
    }

    async fn read_large(&self, record: &Record, hasher: &mut Hasher) -> Result<()> {
        let mut chunks = ContentChunks::new(Arc::clone(&self.loader), &record.content);
        loop {
            let refs = chunks.next(WINDOW_BYTES).await?;
            if refs.is_empty() {
                return Ok(());
            }
            let fetched = self.loader.load(refs.iter().map(|chunk| chunk.id)).await?;
            for chunk in refs {
                hasher.update(&plain(&fetched, chunk.id)?);
            }
        }
    }

    fn settle(&mut self, record: &Record, digest: [u8; 32]) {
        let entry = &record.entry;
        let letter = letter(record);
        let digest = matches!(letter, b'f' | b'l').then_some(digest);
        let version = entry.version.as_ref().map(|version| version.id.clone());
        for name in [entry.key.as_bytes(), version.as_deref().unwrap_or_default().as_bytes()] {
            self.total.update(&(name.len() as u64).to_le_bytes());
            self.total.update(name);
        }
        self.total.update(&[letter]);
        self.total.update(&digest.unwrap_or_default());
        let (entries, bytes, unread) = &mut self.counts;
        *entries += 1;
        *bytes += if letter == b'f' { entry.size.unwrap_or(0) } else { 0 };
        *unread += u64::from(letter == b'?');
        self.ready.push_back(EntryDigest { key: entry.key.clone(), version, digest, unread: letter == b'?' });
    }
}

fn letter(record: &Record) -> u8 {
    match record.entry.kind {
        _ if record.entry.version.as_ref().is_some_and(|version| version.deleted) => b'x',
        EntryKind::File if record.content == Content::None => b'?',
        EntryKind::File => b'f',
        EntryKind::Symlink => b'l',
        EntryKind::Directory => b'd',
        EntryKind::Other => b'o',
    }
}

fn read_small(record: &Record, fetched: &Fetched, hasher: &mut Hasher) -> Result<()> {
    match &record.content {
        Content::Chunks(refs) => refs.iter().try_for_each(|chunk| {
            hasher.update(&plain(fetched, chunk.id)?);
            Ok(())
        }),
        Content::Inline(bytes) => {
            hasher.update(bytes);
            Ok(())
        }
        Content::None | Content::Lists { .. } => {
            hasher.update(record.entry.link_target.as_deref().unwrap_or_default());
            Ok(())
        }
    }
}

fn plain(fetched: &Fetched, id: credenza_model::ChunkId) -> Result<Bytes> {
    let missing = || Damage::of_chunk("index", DamageKind::Missing, id, "a chunk was not found");
    Ok(fetched.get(&id).cloned().unwrap_or_else(|| Err(missing()))?)
}

enum Hasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(Box<ring::digest::Context>),
}

impl Hasher {
    fn new(algorithm: DigestAlgorithm) -> Self {
        match algorithm {
            DigestAlgorithm::Blake3 => Self::Blake3(Box::default()),
            DigestAlgorithm::Sha256 => Self::Sha256(Box::new(ring::digest::Context::new(&ring::digest::SHA256))),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Sha256(context) => context.update(bytes),
        }
    }

    fn finish(self) -> [u8; 32] {
        match self {
            Self::Blake3(hasher) => *hasher.finalize().as_bytes(),
            Self::Sha256(context) => {
                let mut digest = [0; 32];
                digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
                digest
            }
        }
    }
}
