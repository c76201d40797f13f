//! What a restore did, or would do, in words.
//!
//! Owned here: the sentence for each number of its report, and for what it left. Refused here: how sizes, names and numbers are written (the program).

use credenza_engine::Conflict;
use credenza_engine::restore::RestoreReport;

/// Each number that is not nothing, with what it counts. `would` where nothing was done, `is_deleting` where what is not in the snapshot was to go.
#[must_use]
pub fn counts(report: &RestoreReport, would: bool, is_deleting: bool) -> Vec<(u64, &'static str)> {
    let are = |done: &'static str, planned: &'static str| if would { planned } else { done };
    let extra = match is_deleting {
        true => "entries are not in the snapshot and would be removed",
        false => "entries there are not in the snapshot",
    };
    let kept = report.extra.saturating_sub(report.removed);
    let all = [
        (report.replaced, are("of them replaced what was there", "of them would replace what is there")),
        (
            report.attributes,
            are(
                "entries were there; their times, mode, owner or attributes were set",
                "entries are there; their times, mode, owner or attributes would be set",
            ),
        ),
        (
            report.identical,
            are("entries were there as they are in the snapshot", "entries are there as they are in the snapshot"),
        ),
        (report.presumed, "of those were taken for equal by their size and time, without being read"),
        (if would { report.extra } else { 0 }, extra),
        (report.removed, "entries that are not in the snapshot were removed"),
        (if is_deleting && !would { kept } else { 0 }, "entries that are not in the snapshot were not removed"),
        (report.verified, "entries were read again after they were written"),
        (report.miswritten, "entries are not what was written when they are read again: this disk cannot be trusted"),
        (report.damaged, "entries were not restored: their content is lost"),
        (report.healed.len() as u64, "packs are damaged and were read by their parity: what was restored is right"),
        (report.spared.len() as u64, "objects are damaged and were read from a replica: what was restored is right"),
        (report.unread, "entries have no content in the snapshot"),
        (report.failed, "entries were refused by the destination, or could not be read"),
    ];
    all.into_iter().filter(|(count, _)| *count > 0).collect()
}

/// Why entries were left, and how they would not be: words of the command line for that.
#[must_use]
pub const fn left(conflict: Conflict) -> (&'static str, Option<&'static str>) {
    match conflict {
        Conflict::Content => ("entries differ from the snapshot and were left", Some("--overwrite replaces them")),
        Conflict::Kind => (
            "entries were left: a file, folder or link is where the snapshot has another kind",
            Some("--overwrite replaces files and links, a folder only you can move away"),
        ),
        Conflict::Below => ("entries were left: what is above them is no folder", None),
        Conflict::Changing => {
            ("entries were written to while they were compared and were left", Some("--overwrite replaces them"))
        }
        Conflict::Uncompared => (
            "entries exist, their content cannot be compared, and they were left",
            Some("--overwrite replaces them, --overwrite=if-changed those of another size or time"),
        ),
        Conflict::NotOlder => ("entries are not older than the snapshot's and were left", None),
        Conflict::Kept => ("entries exist and were left", None),
    }
}
