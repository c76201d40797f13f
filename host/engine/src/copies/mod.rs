//! Copies: what a target lacks of an origin, how much that is, and whether what it has is proven.
//!
//! ```text
//! select   snapshots of both, a policy > which are missing, newest first, and how far behind the target is   (pure)
//! lag      usage lists of the missing, both indexes > the bytes of the chunks that carrying them adds
//! proof    the packs of a snapshot at the target: listed in their sizes, or read whole, by its own record
//! lock     what a rule of the target keeps > locked for longer, with all that it stands on
//! seen     a listing > whether anything has changed since, so that all of the above need not be asked again
//! ```
//!
//! Owned here: that. Refused here: carrying (`sync`), the role of the target (`replica`), removing (`remove`), which rules keep a snapshot (`retention`), and when any of it is done
//! (`credenza_app::jobs`). A snapshot that a target's own retention does not keep is not missing there.

mod lag;
mod lock;
mod proof;
mod seen;
mod select;
#[cfg(test)]
mod tests;

pub use lag::{Lag, lag};
pub use lock::{ClassLock, ClassLocked, lock, locked};
pub use proof::{Proof, Proofs, Prove, Proven, read_new};
pub use seen::{Extent, seen};
pub use select::{Meant, Selection, fits, newest_meant, select, vanished};
