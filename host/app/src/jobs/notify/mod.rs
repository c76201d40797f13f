//! Who is told when something changes for the worse or the better, and how.
//!
//! Owned here: what a change is ([`change`], pure: what is found in, notices out), who hears of which ([`section`]), the way of a notice to one who hears
//! ([`carry`](carry())), and signs of life ([`ping`]). Refused here: what is found and when it is sent (`look`), and connections (`credenza-sandbox`).
//!
//! Nothing here changes how a run ended.

mod carry;
pub mod change;
pub(super) mod ping;
pub(super) mod section;

pub use carry::CarryError;
pub(super) use carry::carry;
pub use change::{Notice, Subject, Word};
pub use section::{Mail, Notify, SecretAt, Section, Target};
