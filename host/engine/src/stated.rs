//! Stated: what two listings say of the bytes of one key, where nobody reads them.
//!
//! Owned here: which statements prove bytes equal or different. Called by `query` and `restore`.

use credenza_model::Entry;

/// Whether digests of one algorithm agree, if both have one.
pub(crate) fn digests_agree(one: &Entry, other: &Entry) -> Option<bool> {
    one.checksums.iter().find_map(|a| {
        let b = other.checksums.iter().find(|b| a.algorithm == b.algorithm)?;
        Some(a.value == b.value)
    })
}

/// Whether the ETags of two objects agree; those of uploads in parts follow from where they were cut and prove no difference.
pub(crate) fn etags_agree(one: &str, other: &str) -> Option<bool> {
    match (etag(one), etag(other)) {
        (a, b) if a == b => Some(true),
        (a, b) if is_md5(a) && is_md5(b) => Some(false),
        _ => None,
    }
}

/// The ETag in a fingerprint: the id of a version may follow it.
fn etag(fingerprint: &str) -> &str {
    fingerprint.split(' ').next().unwrap_or_default()
}

fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}
