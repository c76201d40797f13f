//! The page of credenza for a browser: what `credenza ui` serves.
//!
//! Owned here: who may ask, and for what (`guard`, `door`, `session`, `access`), which repositories are open in this process (`repositories`), how snapshots
//! are shown (`pages`, `shown`), what is started from there (`operations`, `runs`), and what was (`activity`); beside the page, figures for Prometheus (`figures`). Refused here: what an operation does. Each page
//! shows what `credenza-app` and `credenza-engine` answer, and names the command that says the same. Called by `cli`.
//!
//! Bound: [`Limits`] has what one process serves at once; a page is made in memory and has a bounded number of rows; a download is streamed. Beside
//! them each open repository has its [view](credenza_engine::view).

mod access;
mod activity;
mod assets;
mod basket;
mod command;
mod door;
mod error;
mod figures;
mod form;
mod graphics;
mod guard;
mod hosts;
mod jobs;
mod limits;
mod measured;
mod oidc;
mod operations;
mod pace;
mod pages;
mod presence;
mod reach;
mod reply;
mod repositories;
mod runs;
mod server;
mod session;
mod shown;
mod site;
#[cfg(test)]
mod tests;
mod throttle;
mod watch;

pub use credenza_listen::Certificate;
pub use error::{Error, Result};
pub use figures::{Figures, FiguresServer};
pub use http::HeaderName;
pub use limits::Limits;
pub use oidc::Provider;
pub use reach::{Others, Reach, TrustedProxy, Way};
pub use repositories::Given;
pub use server::{Options, Server};
pub use session::Links;
pub use watch::Watch;
