//! The names of what a connector claims to be able to do, and of the two kinds of namespace; `wit/CONTRACT.md` says what each promises.
//!
//! Owned here: the spelling. A connector may claim what is not here: nobody relies on it.

/// Keys are names and nothing else, as in a bucket.
pub const FLAT: &str = "flat";
/// Keys are paths in folders, as in a file system.
pub const TREE: &str = "tree";

/// A source lists in the order of keys.
pub const ORDERED_SCAN: &str = "ordered-scan";
/// A scan begins behind any key, and costs no more than what it tells.
pub const START_AFTER: &str = "start-after";
/// A listing says of an entry all that there is to say.
pub const COMPLETE_SCAN: &str = "complete-scan";
/// A scan that is asked to leaves out of a file with a fingerprint what a read tells as well; an equal fingerprint promises that this is as it was, too.
pub const LEAN_SCAN: &str = "lean-scan";
/// Entries have fingerprints, and equal ones promise equal content.
pub const FINGERPRINTS: &str = "fingerprints";
/// A part of a content can be read by itself.
pub const RANGED_READ: &str = "ranged-read";
/// It is on this machine: a call may block for a moment, and costs no round trip.
pub const LOCAL: &str = "local";
/// Contents can be read once only, so that a run over the source cannot begin again: that of a stream alone.
pub const ONCE: &str = "once";

/// A store refuses to replace an object that is there.
pub const IF_ABSENT: &str = "if-absent";
/// A store replaces an object only if it is the one that is meant.
pub const IF_MATCH: &str = "if-match";
/// A part of an object can be got by itself.
pub const RANGED_GET: &str = "ranged-get";
/// A store lists in the order of keys.
pub const ORDERED_LIST: &str = "ordered-list";
/// What was put is listed from then on.
pub const LIST_AFTER_WRITE: &str = "list-after-write";
/// A store lists everything by no more requests than as many objects of one folder.
pub const FLAT_LIST: &str = "flat-list";
/// What is overwritten or deleted stays as an older version.
pub const VERSIONS: &str = "versions";
/// Objects can be locked until a time.
pub const RETENTION: &str = "retention";

/// An entry is there whole or not at all.
pub const ATOMIC_FINISH: &str = "atomic-finish";
/// What was sent of an entry that is given up stays until the service removes it.
pub const LEAVES_PARTS: &str = "leaves-parts";
/// A destination keeps symbolic links.
pub const SYMLINKS: &str = "symlinks";
/// A destination takes every key as it is.
pub const RAW_NAMES: &str = "raw-names";
/// A destination gives entries the time of their writing.
pub const OWN_TIMES: &str = "own-times";
/// A destination keeps `posix.*` and `xattr.*`.
pub const POSIX_ATTRIBUTES: &str = "attributes:posix";
/// Versions of one key are read or written one after the other, and all are kept.
pub const HISTORY: &str = "history";
/// A destination removes what is there under a key, when it is told that it was deleted.
pub const REMOVAL: &str = "removal";
/// A destination can be read, listed and removed from.
pub const READABLE: &str = "readable";
