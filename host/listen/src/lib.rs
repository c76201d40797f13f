//! Listening for programs that speak HTTP, on this machine or by TLS for others.
//!
//! Owned here: the address, the certificate, how many connections there are, how long one may take to ask, how all of them end, and
//! bodies that are written while they go out. Refused here: who is let
//! in, and what is answered. Called by `web` and `serve`.
//!
//! Bound: [`Bounds::connections`] connections, each with [`HEAD_BYTES_MAX`] of what was asked beside what its answer holds.

mod certificate;
mod error;
mod listener;
mod name;
mod speak;
mod written;

pub use certificate::Certificate;
pub use error::{Error, Result};
pub use listener::{Bounds, Caller, Listener};
pub use name::{HTTP, HTTPS, name_at, without_usual_port};
pub use speak::{HEAD_BYTES_MAX, Tls, speak};
pub use written::{BrokenOff, Pen, Written, written};
