//! Notes on their way in and out: reading those that count, and putting one.
//!
//! Only notes count that were sealed with the keys of a reader: a writer may add notes and read nothing, and could say what is not so.
//!
//! Owned here: that rule. Refused here: what notes mean (`health`, `tags`, `latest`).

use std::sync::Arc;

use credenza_connect::Store;
use credenza_format::{Fact, Header, Keying, Note, ObjectKind, open_document, seal_document};
use credenza_model::{ObjectId, Timestamp};

use crate::repository::{Repository, Rest, random_id};
use crate::write::put;
use crate::{Damage, Result};

/// Gives every note that counts, and every one that cannot be read; `take` says whether others may have been merged into it.
///
/// # Errors
/// When the store cannot be read, or with the keys of a writer.
pub(crate) async fn read(
    repository: &Repository,
    store: &Arc<dyn Store>,
    mut take: impl FnMut(ObjectId, Result<Fact, Damage>) -> bool,
) -> Result<()> {
    let open = |id, bytes: Vec<u8>| {
        let header = Header::decode(&bytes);
        let body = open_document(repository.keys(), ObjectKind::Note, id, bytes)?;
        Ok((header?.keying(), Note::decode(&body)?))
    };
    repository
        .merged_documents_opened(store, ObjectKind::Note, Rest::Proven, &open, |document| match document.body {
            Ok((Keying::Derived, note)) => Ok(take(document.id, Ok(note.fact))),
            Ok(_) => Ok(false),
            Err(damage) => Ok(take(document.id, Err(damage))),
        })
        .await
}

/// Puts a note; its id.
///
/// # Errors
/// When the store cannot be written.
pub(crate) async fn put_note(
    repository: &Repository,
    doing: &str,
    fact: Fact,
    retain_until: Option<Timestamp>,
) -> Result<ObjectId> {
    let created = Timestamp { nanoseconds: 0, ..repository.clock().now().wall };
    let note = Note { created, writer: repository.writer("", doing), fact };
    let id = ObjectId::new(random_id()?);
    let sealed = seal_document(repository.keys(), ObjectKind::Note, id, &note.encode()?)?;
    put(&**repository.bare_store(), sealed, retain_until).await?;
    Ok(id)
}
