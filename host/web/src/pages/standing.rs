//! What the screens of policies of replication and of mirrors have in common: as of when something is shown, which places are meant, and bad days.
//!
//! Bound: [`BAD_MAX`] runs that went wrong.

use std::time::Duration;

use credenza_app::jobs::Ending;
use credenza_app::jobs::log::Past;
use credenza_app::jobs::run::Runner;
use credenza_model::Timestamp;

use super::frame::Link;
use super::jobs::{configured, of_past, unread};
use super::places::of_repository;
use super::problem::Problem;
use super::run::State;
use crate::jobs::{Book, words};
use crate::shown::{self, Time};
use crate::site::Site;

/// How long the repositories of a policy, or the targets of a mirror, are asked, whether anybody waits for it or not.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// Runs that went wrong, of each policy; and those of the record that are looked at for them.
const BAD_MAX: usize = 20;
const PAST_MAX: usize = 1000;

/// A repository, or another place.
pub(super) struct Place {
    pub(super) text: String,
    pub(super) href: Option<String>,
}

/// A run that went wrong.
pub(super) struct Bad {
    pub(super) link: Link,
    pub(super) time: Time,
    pub(super) word: &'static str,
    pub(super) says: String,
}

/// As of when something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// It was measured for whoever looks.
    Now,
    /// It was measured then, and is measured again.
    Of(Timestamp),
    /// It was never measured here: the record says it.
    Recorded,
}

impl As {
    pub(super) fn says(self, site: &Site) -> String {
        let again = "it is being measured again: look again in a while";
        match self {
            Self::Now => "Measured just now.".to_owned(),
            Self::Of(at) => format!("Measured {}; {again}.", shown::ago(at, site.clock.now().wall)),
            Self::Recorded => {
                "By the record of this machine; it is being measured where it is: look again in a while.".to_owned()
            }
        }
    }
}

/// Whether it rests now, whenever it was measured.
pub(super) fn is_paused(site: &Site, book: &Book, name: &str) -> bool {
    book.state.paused().now(site.clock.now().wall).is_ok_and(|paused| paused.contains(name))
}

pub(super) fn runner<'a>(site: &'a Site, book: &'a Book) -> Runner<'a> {
    Runner { app: site.repositories.app(), state: &book.state, clock: &*site.clock, stop: &site.stop }
}

pub(super) fn place(site: &Site, word: &str) -> Place {
    Place { text: shown::text(word), href: configured(site, word).map(of_repository) }
}

pub(super) const fn state(word: &'static str, shape: &'static str, class: &'static str) -> State {
    State { word, shape, class }
}

/// The last runs of a policy or a mirror that did not do all, the newest first.
pub(super) async fn bad(site: &Site, book: &Book, name: &str) -> Result<Vec<Bad>, Problem> {
    let past = book.past(Some(name), PAST_MAX).await.map_err(unread)?;
    let is_bad = |ending: &Ending| *ending != Ending::Done;
    let bad = past.iter().filter_map(|past| Some((past, past.ending.filter(is_bad)?)));
    let line = |(past, ending): (&Past, Ending)| Bad {
        link: Link::new(of_past(name, past.began), "What it did"),
        time: site.zone.time(past.began),
        word: words::ending(ending),
        says: words::reason(past),
    };
    Ok(bad.take(BAD_MAX).map(line).collect())
}
