//! What runs cost: requests, bytes, and money where prices are known.
//!
//! Owned here: the table of prices ([`prices`]), the bill of a run ([`Bill`]), and ending a run before it costs more than it may ([`budget`]).
//! Refused here: counting (`credenza_connect::wrap::Tally`), what a run would ask for (`estimate`), printing. Called by `cli`, `web` and
//! `jobs`.

mod bill;
pub mod budget;
mod money;
pub mod prices;

pub use bill::{Amount, Bill};
pub use money::Money;
