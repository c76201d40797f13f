//! Connectors with one flaw each, and the check of the kit that finds it. A flaw that none finds is a hole in the kit.
//!
//! Sources, stores and destinations with a flaw are those of memory behind a wrapper; packages with a flaw are the template with another manifest;
//! the component in `tests/guests` has the flaws of conduct.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bed that cannot be made is a failed test")]

mod component;
mod destination;
mod source;
mod store;

use std::sync::Mutex;

use credenza_connect::conformance::{self, CaseResult};
use destination::{DestinationBedOf, DestinationFlaw};
use source::{SourceBedOf, SourceFlaw};
use store::{StoreBedOf, StoreFlaw};

const SEED: u64 = 20_261_129;

const STORES: [(StoreFlaw, &str); 24] = [
    (StoreFlaw::DropsTheLastOfAPage, "store.list.pages-of-some"),
    (StoreFlaw::RepeatsAKeyAtACursor, "store.list.pages-of-one"),
    (StoreFlaw::ListsOutOfOrder, "store.list.order"),
    (StoreFlaw::ListsWrongSizes, "store.list.size"),
    (StoreFlaw::TakesAPrefixForAFolder, "store.list.prefix"),
    (StoreFlaw::GivesMoreThanAPage, "store.list.max"),
    (StoreFlaw::ListsLate, "store.list.after-put"),
    (StoreFlaw::ForgetsTheCursor, "store.list.max"),
    (StoreFlaw::IgnoresIfAbsent, "store.if-absent.refuses"),
    (StoreFlaw::LooksAndThenPuts, "store.if-absent.race"),
    (StoreFlaw::IgnoresIfMatch, "store.if-match.stale"),
    (StoreFlaw::RangesAreOffByOne, "store.range.inside"),
    (StoreFlaw::FailsPastTheEnd, "store.range.past-the-end"),
    (StoreFlaw::TellsStaleSizes, "store.put.replaced-size"),
    (StoreFlaw::TruncatesLongBodies, "store.put.large"),
    (StoreFlaw::TakesMissingForEmpty, "store.get.missing"),
    (StoreFlaw::TellsMissingAsDenied, "store.get.missing"),
    (StoreFlaw::DeletesTheFirstOnly, "store.delete.each"),
    (StoreFlaw::FailsToDeleteTheAbsent, "store.delete.absent"),
    (StoreFlaw::KeepsWhatWasLonger, "store.put.replaces"),
    (StoreFlaw::IgnoresLocks, "store.retain.from-put"),
    (StoreFlaw::ReadsTheLatestVersion, "store.versions.overwritten"),
    (StoreFlaw::ClaimsTwice, "store.info"),
    (StoreFlaw::LeavesTheSelfTest, "store.check.leaves-nothing"),
];

const SOURCES: [(SourceFlaw, &str); 15] = [
    (SourceFlaw::PassesOverTheEmpty, "source.read.empty"),
    (SourceFlaw::TellsTwice, "source.scan.once"),
    (SourceFlaw::TellsOutOfOrder, "source.order"),
    (SourceFlaw::TellsBatchesThatAreTooLong, "source.batch.of-one"),
    (SourceFlaw::EndsAfterAPage, "source.scan.thousand"),
    (SourceFlaw::FingerprintsBySize, "source.fingerprint.changes"),
    (SourceFlaw::IgnoresIfMatch, "source.if-match.changed"),
    (SourceFlaw::DecodesKeys, "source.keys.listed"),
    (SourceFlaw::BeginsAtTheKeyItself, "source.start-after.entry"),
    (SourceFlaw::StatesAWrongChecksum, "source.checksums"),
    (SourceFlaw::DescribesOneLess, "source.describe.each"),
    (SourceFlaw::KnowsNoLevels, "source.one-level.root"),
    (SourceFlaw::TellsThePartAsTheWhole, "source.range.entry"),
    (SourceFlaw::TakesAnErrorForTheEnd, "source.prefix.folder"),
    (SourceFlaw::ForgetsTheTime, "source.as-of.added"),
];

const DESTINATIONS: [(DestinationFlaw, &str); 14] = [
    (DestinationFlaw::OverwritesAnyway, "destination.no-overwrite.refuses"),
    (DestinationFlaw::PublishesEarly, "destination.finish.new"),
    (DestinationFlaw::LeavesWhatIsGivenUp, "destination.abort.nothing-left"),
    (DestinationFlaw::LosesTimes, "destination.metadata.time"),
    (DestinationFlaw::LosesTheLastPart, "destination.write.parts"),
    (DestinationFlaw::SwapsParts, "destination.write.parts"),
    (DestinationFlaw::FoldsCase, "destination.keys.hard"),
    (DestinationFlaw::LosesAttributes, "destination.metadata.not-http"),
    (DestinationFlaw::TellsSizesOfBefore, "destination.stat.size"),
    (DestinationFlaw::AnswersForOne, "destination.metadata.each"),
    (DestinationFlaw::LosesModes, "destination.metadata.not-posix"),
    (DestinationFlaw::KeepsTheLatestVersion, "destination.history.kept"),
    (DestinationFlaw::PassesOverDeletions, "destination.history.deleted"),
    (DestinationFlaw::PassesOverDeletions, "destination.removal.file"),
];

/// A line of the table: the flaw, the check that is for it, and what failed.
struct Line {
    flaw: String,
    check: &'static str,
    failed: Vec<&'static str>,
}

impl Line {
    fn new(flaw: impl std::fmt::Debug, check: &'static str, results: &[CaseResult]) -> Self {
        let failed = results.iter().filter(|result| result.is_failed()).map(|result| result.id).collect();
        Self { flaw: format!("{flaw:?}").trim_matches('"').to_owned(), check, failed }
    }

    fn is_caught(&self) -> bool {
        self.failed.contains(&self.check)
    }
}

#[tokio::test]
async fn each_planted_flaw_is_caught_by_the_check_that_is_for_it() {
    let mut table = Vec::new();
    for (flaw, check) in STORES {
        table.push(Line::new(flaw, check, &conformance::store(&StoreBedOf(flaw), SEED).await));
    }
    for (flaw, check) in SOURCES {
        let bed = SourceBedOf { flaw, made: Mutex::default() };
        table.push(Line::new(flaw, check, &conformance::source(&bed, SEED).await));
    }
    for (flaw, check) in DESTINATIONS {
        let bed = DestinationBedOf { flaw, made: Mutex::default() };
        table.push(Line::new(flaw, check, &conformance::destination(&bed, SEED).await));
    }
    for (flaw, check, results) in component::tested().await {
        table.push(Line::new(flaw, check, &results));
    }
    for line in &table {
        let others = line.failed.len().saturating_sub(1);
        let caught = if line.is_caught() { line.check } else { "NOTHING" };
        println!("{:40} {caught} (and {others} others)", line.flaw);
    }
    let missed: Vec<String> = table
        .iter()
        .filter(|line| !line.is_caught())
        .map(|line| format!("{} should fail {} and fails {:?}", line.flaw, line.check, line.failed))
        .collect();
    assert!(missed.is_empty(), "of {} flaws {} were not caught: {missed:#?}", table.len(), missed.len());
}
