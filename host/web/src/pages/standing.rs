//! What the screens of policies of replication and of mirrors have in common: as of when something is shown, which places are meant, and bad days.
//!
//! Bound: [`BAD_MAX`] runs that went wrong, and what was measured within [`OLDEST`].

use std::sync::Arc;
use std::time::Duration;

use credenza_app::jobs::Ending;
use credenza_app::jobs::log::Past;
use credenza_app::jobs::runner::Runner;
use credenza_model::Timestamp;

use super::frame::Link;
use super::jobs::{configured, of_past, unread};
use super::places::of_repository;
use super::problem::Problem;
use super::run::State;
use crate::jobs::{Book, words};
use crate::measured::{Found, Looked};
use crate::shown::{self, Time};
use crate::site::Site;

/// How long the repositories of a policy, or the targets of a mirror, are asked, whether anybody waits for it or not.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// How long what was measured is shown, where measuring takes longer than whoever looks waits. What is older says less than the record of runs.
const OLDEST: Duration = Duration::from_mins(10);
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
    /// The record says it: it was not measured here of late, or a run has ended since.
    Recorded,
    /// The record says it, and measuring failed.
    Failed,
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
            Self::Failed => {
                "By the record of this machine: the program failed to measure it where it is. Whoever looks again has it tried again."
                    .to_owned()
            }
        }
    }
}

/// What is shown of what was measured, and as of when; nothing where the record of this machine says more.
pub(super) async fn taken<T>(site: &Site, book: &Book, name: &str, looked: Looked<T>) -> (Option<Arc<T>>, As) {
    let Looked { last, goes_on, is_new } = looked;
    let otherwise = if goes_on || is_new { As::Recorded } else { As::Failed };
    let Some(Found { began, at, what }) = last else { return (None, otherwise) };
    if is_new {
        return (Some(what), As::Now);
    }
    // It is asked for only here: mostly what is measured is there in time.
    let is_current = match book.past(Some(name), PAST_MAX).await {
        Ok(past) => is_current((began, at), &past, site.clock.now().wall),
        Err(_) => false,
    };
    if is_current { (Some(what), As::Of(at)) } else { (None, otherwise) }
}

/// Whether what was measured from then until then still says how it stands: it is not old, and no run has ended since it began.
fn is_current((began, at): (Timestamp, Timestamp), past: &[Past], now: Timestamp) -> bool {
    let age = now.seconds.saturating_sub(at.seconds);
    let is_young = u64::try_from(age).is_ok_and(|age| age <= OLDEST.as_secs());
    is_young && past.iter().filter_map(|past| past.ended).all(|ended| ended <= began)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn ended(at: i64) -> Past {
        Past {
            job: "replicate.main".to_owned(),
            began: second(0),
            ended: Some(second(at)),
            due: None,
            missed: 0,
            tries: 0,
            ending: Some(Ending::Done),
            reason: None,
            steps: Vec::new(),
        }
    }

    #[test]
    fn what_was_measured_long_ago_or_before_a_run_ended_is_not_shown_over_the_record() {
        let found = (second(1000), second(1100));
        let is_current = |past: &[Past], now| super::is_current(found, past, second(now));
        assert!(is_current(&[], 1100) && is_current(&[ended(900)], 1200));
        assert!(!is_current(&[ended(1050), ended(900)], 1200), "a run ended while it was measured");
        assert!(!is_current(&[ended(1150)], 1200));
        assert!(!is_current(&[], 1101 + 600), "it is old");
        assert!(!is_current(&[], 1000), "the clock was set back: nobody knows how old it is");
    }
}
