//! Adopt: packs that no index segment describes, by the tables at their own ends.
//!
//! Bound: the table of one pack (48 bytes a blob), or [`PIECE_BYTES`] of it; with parity what healing one pack takes (`repository::parity`).

use bytes::Bytes;
use credenza_connect::{ByteRange, ErrorClass, StoredObject};
use credenza_format::{
    HEADER_BYTES, Header, Inspector, ObjectKind, Opener, PackKind, PackRecord, PackTail, read_footer,
};
use credenza_model::StoreKey;

use crate::check::PIECE_BYTES;
use crate::repository::{Repository, VERSIONS};
use crate::{Error, Result};

/// A pack that no segment describes.
pub(super) struct Adopted {
    /// Its description. The digest is [`NOT_READ`] where it takes reading all of the pack.
    pub(super) pack: PackRecord,
    /// The pack is damaged, and this describes what its parity makes of it.
    pub(super) is_healed: bool,
}

/// In place of a digest.
pub(super) const NOT_READ: [u8; 32] = [0; 32];

/// The description of a pack, by its parity where it is damaged; `None` when its table cannot be opened.
pub(super) async fn describe(repository: &Repository, object: &StoredObject) -> Result<Option<Adopted>> {
    let version = version_now(repository, &object.key).await?;
    let described = by_table(repository, object, version.clone(), None).await?;
    if repository.config().parity.is_none() {
        return Ok(described.map(|pack| Adopted { pack, is_healed: false }));
    }
    // What is read of it later is healed by its digest.
    if let Some(pack) = &described
        && let Some(sha256) = digest(repository, pack).await?
    {
        return Ok(Some(Adopted { pack: PackRecord { sha256, ..pack.clone() }, is_healed: false }));
    }
    if let Some((bytes, sha256)) = repository.heal_undescribed(object, version.as_deref()).await? {
        let whole = StoredObject { size: bytes.len() as u64, ..object.clone() };
        let healed = by_table(repository, &whole, version, Some(&bytes)).await?;
        return Ok(healed.map(|pack| Adopted { pack: PackRecord { sha256, ..pack }, is_healed: true }));
    }
    Ok(described.map(|pack| Adopted { pack, is_healed: false }))
}

/// The description that the table at the end of a pack gives, of the bytes in the store or of those `healed`.
async fn by_table(
    repository: &Repository,
    object: &StoredObject,
    version: Option<String>,
    healed: Option<&Bytes>,
) -> Result<Option<PackRecord>> {
    let Some((kind, id)) = ObjectKind::parse(&object.key) else { return Ok(None) };
    let Some(pack_kind) = PackKind::of(kind) else { return Ok(None) };
    let read = async |offset: u64, length: u64| match healed {
        None => read(repository, &object.key, version.as_deref(), offset, length).await,
        Some(bytes) => Ok(part(bytes, offset, length)),
    };
    let Some(head) = read(0, HEADER_BYTES as u64).await? else { return Ok(None) };
    let opened =
        Header::decode(&head).and_then(|header| Ok((Opener::new(repository.keys(), &header, (kind, id))?, header)));
    let (Ok((opener, header)), Ok(mut span)) = (opened, PackTail::needed(object.size)) else { return Ok(None) };
    loop {
        let range = span.object_range.clone();
        let Some(sealed) = read(range.start, range.end - range.start).await? else { return Ok(None) };
        let mut plain = Vec::from(sealed);
        if opener.open_span(&span, &mut plain).is_err() {
            return Ok(None);
        }
        match read_footer(pack_kind, object.size, &plain) {
            Ok(PackTail::Complete(blobs)) => {
                let (header, size) = (*header.bytes(), object.size);
                return Ok(Some(PackRecord {
                    id,
                    kind: pack_kind,
                    header,
                    size,
                    sha256: NOT_READ,
                    blobs,
                    moved: false,
                    version,
                }));
            }
            Ok(PackTail::Needs(more)) if more.segments > span.segments => span = more,
            _ => return Ok(None),
        }
    }
}

fn part(bytes: &Bytes, offset: u64, length: u64) -> Option<Bytes> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

/// The digest of a pack whose every byte is the one that was written; `None` when it is damaged.
pub(super) async fn digest(repository: &Repository, pack: &PackRecord) -> Result<Option<[u8; 32]>> {
    let key = pack.kind.object_kind().store_key(pack.id);
    let (mut inspector, mut offset) = (Inspector::new(pack.size), 0);
    while offset < pack.size {
        let length = PIECE_BYTES.min(pack.size - offset);
        let Some(piece) = read(repository, &key, pack.version.as_deref(), offset, length).await? else {
            return Ok(None);
        };
        inspector.update(&piece);
        offset += length;
    }
    Ok(inspector.finish().ok().map(|inspected| inspected.sha256.0))
}

/// The version that stands there now, which the description then names, so that nothing that is put over it later changes what is read.
async fn version_now(repository: &Repository, key: &StoreKey) -> Result<Option<String>> {
    if !repository.config().store_traits.iter().any(|name| name == VERSIONS) {
        return Ok(None);
    }
    match repository.bare_store().stat(key).await {
        Ok(object) => Ok(object.version),
        Err(cause) if cause.class == ErrorClass::NotFound => Ok(None),
        Err(cause) => Err(Error::connector(format!("looking at `{key}` of the repository"))(cause)),
    }
}

/// A range of an object, or of one version of it; `None` when it is not all there.
async fn read(
    repository: &Repository,
    key: &StoreKey,
    version: Option<&str>,
    offset: u64,
    length: u64,
) -> Result<Option<Bytes>> {
    let range = Some(ByteRange { offset, length: Some(length) });
    let answer = async { repository.bare_store().get(key, range, version).await?.read_all(length).await }.await;
    match answer {
        Ok(bytes) => Ok(Some(bytes).filter(|bytes| bytes.len() as u64 == length)),
        Err(cause) if matches!(cause.class, ErrorClass::NotFound | ErrorClass::Corrupt) => Ok(None),
        Err(cause) => Err(Error::connector(format!("reading `{key}` of the repository"))(cause)),
    }
}
