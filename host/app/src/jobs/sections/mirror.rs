//! The section `[replicate-bucket.NAME]`: which place is mirrored to which others, through which repository, when, and what becomes of what is gone.
//!
//! Owned here: what its values mean. Refused here: its keys (`keys`), whether its places can be had, and whether policies lead in a circle (`circles`). Called by `file`.

use std::time::Duration;

use credenza_engine::mirror::Deletes;
use jiff::Timestamp;

use super::super::clauses::{self, Missed, Retry};
use super::super::guard::Guard;
use super::super::keys::{GUARD_CHANGED, GUARD_INCOMPRESSIBLE, GUARD_SHRINK};
use super::super::limits::Limits;
use super::super::reader::Part;
use super::super::schedule::Schedule;
use super::super::span::parse_span;

/// What the names of mirrors begin with.
pub(in crate::jobs) const PREFIX: &str = "replicate-bucket.";

/// A place that is mirrored to others.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// Its name: `replicate-bucket.NAME`.
    pub name: String,
    /// What is mirrored, as it is written.
    pub from: String,
    /// Where to, as it is written.
    pub to: Vec<String>,
    /// The repository that keeps the cuts, as it is written; the default of the configuration without one.
    pub via: Option<String>,
    /// What becomes of what the source no longer has.
    pub deletes: Deletes,
    /// Older versions and delete markers are mirrored as well.
    pub versions: bool,
    /// From when on a cut is suspect.
    pub guard: Guard,
    /// When it is due.
    pub schedule: Schedule,
    /// What becomes of runs that were due while nothing ran.
    pub missed: Missed,
    /// How a run that failed is tried again.
    pub retry: Retry,
    /// Bytes a second by the time of day.
    pub limits: Limits,
}

/// Where a mirror leads, as it is written: what a look for circles needs of the others.
#[derive(Debug, Clone)]
pub struct Route {
    /// The name of the mirror.
    pub name: String,
    /// What is mirrored.
    pub from: String,
    /// Where to.
    pub to: Vec<String>,
}

impl Mirror {
    /// Where it leads.
    #[must_use]
    pub fn route(&self) -> Route {
        Route { name: self.name.clone(), from: self.from.clone(), to: self.to.clone() }
    }

    /// Its name without what all of them begin with.
    #[must_use]
    pub fn short_name(&self) -> &str {
        short(&self.name)
    }

    /// The tag that its cuts bear.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("mirror:{}", self.short_name())
    }
}

/// A name without what those of all mirrors begin with.
pub(in crate::jobs) fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// One mirror; nothing where what it cannot do without is missing, which is noted.
pub(in crate::jobs) fn read(
    name: &str,
    part: &Part<'_>,
    defaults: Option<&Part<'_>>,
    now: Timestamp,
) -> Option<Mirror> {
    clauses::require_name(name, part, "use letters, digits, - and _, 64 at most, such as [replicate-bucket.assets]");
    let name = format!("{PREFIX}{name}");
    let from = part.text("from").map(str::to_owned);
    if !part.has("from") {
        part.problem("from", "nothing is to be mirrored", "name a source: from = \"@assets\"");
    }
    let to: Vec<String> = part.texts("to").into_iter().map(str::to_owned).collect();
    if to.is_empty() || to.iter().any(String::is_empty) {
        part.problem("to", "no target is named", "name one or more: to = [\"@copy\"]");
    }
    for (number, target) in to.iter().enumerate() {
        if to.iter().take(number).any(|other| other == target) {
            part.problem("to", &format!("`{}` is named twice", target.escape_debug()), "name each target once");
        }
    }
    let schedule = clauses::schedule(&name, part, defaults, now);
    let usual =
        Guard { shrink: GUARD_SHRINK, changed: GUARD_CHANGED, incompressible: GUARD_INCOMPRESSIBLE, delete_max: None };
    Some(Mirror {
        from: from?,
        to,
        via: part.text("via").map(str::to_owned),
        deletes: part.parsed("deletes", deletes).unwrap_or_default(),
        versions: part.flag("versions"),
        guard: Guard::read(part).unwrap_or(usual),
        schedule: schedule?,
        missed: clauses::missed_of(part, defaults),
        retry: clauses::retry_of(part, defaults),
        limits: clauses::limits_of(part, defaults),
        name,
    })
}

fn deletes(text: &str) -> Result<Deletes, String> {
    match (text, text.strip_prefix("after:")) {
        ("keep", _) => Ok(Deletes::Keep),
        ("now", _) => Ok(Deletes::Now),
        (_, Some(span)) => match parse_span(span)? {
            Duration::ZERO => Ok(Deletes::Now),
            span => Ok(Deletes::After(span)),
        },
        _ => Err("it is no such word: write keep, now, or after: with a span, such as after:7d".to_owned()),
    }
}
