//! What proves that a repository gives back what it was given: damage on record, when all was read again, and the last restore for trial; and what comes
//! next of that.
//!
//! It is on record in the repository, whichever machine has looked. What cannot be asked in time is not shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use credenza_app::PlaceLabel;
use credenza_app::jobs::schedule::{instant, timestamp};
use credenza_engine::Drill;
use credenza_engine::check::Readings;
use futures_util::future::join_all;

use super::frame::Link;
use super::jobs::{configured, of_job};
use super::places::of_repository;
use super::run::State;
use crate::command;
use crate::jobs::Book;
use credenza_app::Error as AppError;

use crate::repositories::Look;
use crate::shown::{self, Time, count};
use crate::site::Site;

/// What a repository holds, or why that is not known; none where it does not say so in time.
pub(super) type Looked = Option<Result<Look, AppError>>;

/// How the proof of a repository stands.
pub(super) struct Proof {
    pub(super) state: State,
    pub(super) says: String,
    /// When the next run proves more of it, if one does by itself.
    pub(super) due: Option<Time>,
    pub(super) next: Link,
    pub(super) command: Option<String>,
    /// What is on record as damaged, in words; nothing where nothing is.
    pub(super) damage: Option<String>,
}

/// By the name of the repository in addresses.
pub(super) type Proofs = BTreeMap<String, Arc<Proof>>;

/// What is on record of those that could be looked into, asked for all at once.
pub(super) async fn proofs(site: &Site, looked: &[(String, Looked)], book: Option<&Book>) -> Proofs {
    let one = async |name: &String, look: &Look| {
        let asking = look.view.readings_and_drill();
        let (readings, drill) = tokio::time::timeout(site.limits.overview, asking).await.ok()?.ok()?;
        let label = site.repositories.place(name).ok()?.label();
        Some((name.clone(), Arc::new(proof(site, (name, &label), (readings, drill.as_ref()), book))))
    };
    let looks = looked.iter().filter_map(|(name, looked)| Some((name, looked.as_ref()?.as_ref().ok()?)));
    join_all(looks.map(|(name, look)| one(name, look))).await.into_iter().flatten().collect()
}

fn proof(
    site: &Site,
    (name, label): (&str, &PlaceLabel),
    (readings, drill): (Readings, Option<&Drill>),
    book: Option<&Book>,
) -> Proof {
    let says = [of_damage(site, &readings), of_reading(site, &readings), of_drill(site, drill)].join(" ");
    let is_damaged = readings.packs_damaged > 0;
    let has_failed = drill.is_some_and(|drill| drill.errors > 0 || drill.reason.is_some());
    let is_read = readings.packs_never_read == 0;
    let is_proven = is_read && drill.is_some_and(|drill| drill.entries > 0);
    let state = match (is_damaged, has_failed, is_proven) {
        (true, _, _) => State { word: "Damaged", shape: "■", class: "bad" },
        (_, true, _) => State { word: "A trial failed", shape: "■", class: "bad" },
        (_, _, true) => State { word: "Proven", shape: "●", class: "good" },
        (_, _, false) => State { word: "Not proven yet", shape: "◆", class: "still" },
    };
    let (due, by_itself) = coming(site, name, book);
    let (next, command) = match (is_damaged, has_failed, by_itself) {
        (true, _, _) => (Link::new(format!("{}/care", of_repository(name)), "Mend it"), Some("repair")),
        (_, true, _) => (Link::new(of_repository(name), "Read all of it"), Some("check --read-data")),
        (_, _, Some(next)) => (next, None),
        (_, _, None) if is_read => (Link::new("/jobs", "Let it be verified by itself"), None),
        (_, _, None) => (Link::new(of_repository(name), "Read all of it"), Some("check --read-data")),
    };
    Proof {
        state,
        says,
        due,
        next,
        command: command.map(|words| command::at(label, words)),
        damage: is_damaged.then(|| of_damage(site, &readings)),
    }
}

fn of_damage(site: &Site, readings: &Readings) -> String {
    let found = readings.damage_found.map(|found| site.zone.time(found).text);
    match (readings.packs_damaged, found) {
        (0, None) => "No damage is on record.".to_owned(),
        (0, Some(found)) => format!("Damage was found last on {found}, and is mended."),
        (packs, found) => {
            let since = found.map_or_else(String::new, |found| format!(", found last on {found}"));
            format!("{} damaged by the record{since}.", count(packs, "pack is", "packs are"))
        }
    }
}

fn of_reading(site: &Site, readings: &Readings) -> String {
    let packs = count(readings.packs, "pack", "packs");
    match (readings.packs, readings.packs_never_read, readings.oldest) {
        (0, _, _) => "There is nothing to read again yet.".to_owned(),
        (_, 0, Some(oldest)) => format!("All was read again since {}.", site.zone.time(oldest).text),
        (all, never, _) if never == all => "None of it was read again yet.".to_owned(),
        (_, never, _) => format!("Of {packs} {never} were never read again."),
    }
}

fn of_drill(site: &Site, drill: Option<&Drill>) -> String {
    let Some(drill) = drill else { return "It was never restored for trial.".to_owned() };
    let (ago, entries) = (shown::ago(drill.at, site.clock.now().wall), count(drill.entries, "entry", "entries"));
    match (&drill.reason, drill.errors, drill.entries) {
        (None, 0, 0) => format!("A restore for trial {ago} found nothing to restore."),
        (None, 0, _) => format!("{entries} came back unchanged in a restore for trial {ago}."),
        (reason, _, _) => {
            let why = reason.as_deref().map_or_else(String::new, |reason| format!(": {}", shown::text(reason)));
            format!("A restore for trial {ago} failed{why}.")
        }
    }
}

/// When a run of the schedule verifies it next, and the page of that.
fn coming(site: &Site, name: &str, book: Option<&Book>) -> (Option<Time>, Option<Link>) {
    let verifies = book.into_iter().flat_map(|book| book.file.verifies.values());
    let own = verifies.filter(|verify| configured(site, &verify.repository) == Some(name));
    let dues = own.filter_map(|verify| Some((verify.schedule.next_after(instant(site.clock.now().wall))?, verify)));
    match dues.min_by_key(|(due, _)| *due) {
        Some((due, verify)) => {
            let link = Link::new(of_job(&verify.name), format!("See to {}", verify.name));
            (Some(site.zone.time(timestamp(due))), Some(link))
        }
        None => (None, None),
    }
}
