//! Who is told when something changes for the worse or the better, and how.
//!
//! Owned here: what a change is ([`change`], pure: what is found in, notices out), who hears of which ([`section`]), what is known and what waits to be sent
//! ([`book`]), the way to each who hears ([`carry`]), and the look at all jobs that puts it together ([`look`]). Refused here: what a run did (`log`), how a
//! promise stands (`promise`), and connections (`credenza-sandbox`). Called by `daemon` and by whoever runs one job.
//!
//! A state is said when it changes, once, and in the order of what happened, also over a restart. What is known may be deleted: then the states that are bad
//! are said once more. Nothing here changes how a run ended.

pub mod book;
mod carry;
pub mod change;
mod digest;
pub mod look;
pub mod ping;
pub mod section;

pub use carry::CarryError;
pub use change::{Notice, Subject, Word};
pub use section::{Notify, Section, Target};
