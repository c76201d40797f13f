//! Seen: whether anything has changed in a repository since somebody looked, told by listing it.
//!
//! Objects of a repository are written once: whoever adds, removes or replaces one changes its listing, by a name, a size or a time. What comes and goes while somebody
//! works (intents, probes) is left out.
//!
//! Owned here: what a listing looks like. Refused here: what follows from it (`credenza_app::jobs`). Bound: one page of a listing.

use credenza_connect::Pages;
use credenza_format::{Digest, Hex, ObjectKind};

use crate::repository::{PROBES, Repository};
use crate::{Error, Result};

/// What of a repository is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Snapshots, and what is said of them later: all that a copy is made of.
    Snapshots,
    /// Every object: also what a copy stands on.
    Everything,
}

/// How a repository looks: a digest over names, sizes and times. One request for each page of 1,000 objects.
///
/// # Errors
/// When the store cannot be listed.
pub async fn seen(repository: &Repository, extent: Extent) -> Result<Digest> {
    let folder = |kind: ObjectKind| format!("{}/", kind.folder());
    let prefixes = match extent {
        Extent::Snapshots => vec![folder(ObjectKind::Snapshot), folder(ObjectKind::Note)],
        Extent::Everything => vec![String::new()],
    };
    let passing = [folder(ObjectKind::Intent), PROBES.to_owned()];
    let mut hasher = blake3::Hasher::new();
    for prefix in &prefixes {
        let mut pages = Pages::new(&**repository.bare_store(), prefix);
        while let Some(page) =
            pages.next().await.map_err(Error::connector(format!("listing `{prefix}` of the repository")))?
        {
            for object in page.iter().filter(|object| !passing.iter().any(|one| object.key.as_str().starts_with(one))) {
                hasher.update(format!("{} {} {:?}\n", object.key, object.size, object.modified).as_bytes());
            }
        }
    }
    Ok(Hex(*hasher.finalize().as_bytes()))
}
