//! Rules one by one, and all of them against a plain count.

use credenza_model::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::testing::unsealed as snapshot;

const DAY: i64 = 86_400;
/// 2026-01-31T12:00:00Z, a Saturday.
const NOON: i64 = 1_769_860_800;

fn known(whole: Vec<SnapshotHandle>) -> Snapshots {
    Snapshots { whole, ..Snapshots::default() }
}

fn daily(days: i64) -> Vec<SnapshotHandle> {
    (0..days).map(|day| snapshot(u8::try_from(day).unwrap(), "h", NOON - day * DAY)).collect()
}

/// The numbers of what is kept, with its reasons.
fn kept(snapshots: Vec<SnapshotHandle>, policy: &Policy) -> Vec<(u64, String)> {
    let plan = plan(known(snapshots), policy, &SnapshotFilter::default());
    let kept = plan.decisions().filter(|decision| decision.is_kept());
    kept.map(|decision| {
        let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
        (decision.snapshot.snapshot.sequence, reasons.join(","))
    })
    .collect()
}

#[test]
fn a_snapshot_that_is_ahead_of_time_is_kept_and_takes_no_good_ones_place() {
    let mut snapshots = daily(2);
    snapshots.push(snapshot(9, "h", NOON + 4000 * DAY));
    let ahead = [snapshots[2].snapshot.id].into();
    let policy = Policy { last: 1, within_seconds: Some(1), ..Policy::default() };
    let plan = plan(Snapshots { ahead, ..known(snapshots) }, &policy, &SnapshotFilter::default());
    let decisions: Vec<(u64, &[Reason])> =
        plan.decisions().map(|decision| (decision.snapshot.snapshot.sequence, &*decision.reasons)).collect();
    assert_eq!(decisions, [(9, &[Reason::Ahead][..]), (0, &[Reason::Last, Reason::Within]), (1, &[])]);
}

fn expected(list: &[(u64, &str)]) -> Vec<(u64, String)> {
    list.iter().map(|(number, reasons)| (*number, (*reasons).to_owned())).collect()
}

#[test]
fn each_rule_keeps_what_it_says_and_says_why() {
    let rule = |change: fn(&mut Policy)| {
        let mut policy = Policy::default();
        change(&mut policy);
        kept(daily(40), &policy)
    };
    assert_eq!(rule(|policy| policy.last = 2), expected(&[(0, "last"), (1, "last")]));
    assert_eq!(rule(|policy| policy.daily = 2), expected(&[(0, "daily"), (1, "daily")]));
    assert_eq!(
        rule(|policy| policy.weekly = 2),
        expected(&[(0, "weekly"), (6, "weekly")]),
        "Saturday, then Sunday before"
    );
    assert_eq!(rule(|policy| policy.monthly = 3), expected(&[(0, "monthly"), (31, "monthly")]));
    assert_eq!(rule(|policy| policy.yearly = 3), expected(&[(0, "yearly"), (31, "yearly")]));
    assert_eq!(rule(|policy| policy.within_seconds = Some(86_400)), expected(&[(0, "within"), (1, "within")]));
    assert_eq!(rule(|policy| (policy.last, policy.daily) = (1, 1)), expected(&[(0, "last,daily")]));
}

#[test]
fn of_an_hour_the_newest_is_kept() {
    let snapshots = (0..5).map(|number| snapshot(number, "h", NOON + 1800 * i64::from(number))).collect();
    assert_eq!(kept(snapshots, &Policy { hourly: 2, ..Policy::default() }), expected(&[(4, "hourly"), (3, "hourly")]));
}

#[test]
fn machines_are_judged_apart_and_a_filter_leaves_the_others_alone() {
    let all =
        || (0..6).map(|number| snapshot(number, if number % 2 == 0 { "a" } else { "b" }, NOON + i64::from(number)));
    let policy = Policy { last: 1, ..Policy::default() };
    assert_eq!(kept(all().collect(), &policy), expected(&[(4, "last"), (5, "last")]));
    let together = Policy { group_by: vec![Grouping::Source], ..policy.clone() };
    assert_eq!(kept(all().collect(), &together), expected(&[(5, "last")]));
    let filter = SnapshotFilter { hosts: vec!["a".into()], ..SnapshotFilter::default() };
    assert!(
        plan(known(all().collect()), &policy, &filter)
            .decisions()
            .all(|decision| decision.snapshot.snapshot.host == "a")
    );
}

#[test]
fn what_has_the_tag_or_no_time_is_kept() {
    let mut snapshots = daily(3);
    snapshots[2].snapshot.tags = vec!["audit".into()];
    snapshots[1].stored = None;
    let policy = Policy { last: 1, tags: vec!["audit".into()], ..Policy::default() };
    assert_eq!(kept(snapshots, &policy), expected(&[(0, "last"), (2, "tag"), (1, "unknown time")]));
}

#[test]
fn plans_larger_than_anybody_means_are_refused() {
    let check = |snapshots, policy: &Policy| plan(known(snapshots), policy, &SnapshotFilter::default()).check();
    let policy = Policy { last: 1, ..Policy::default() };
    assert_eq!(check(daily(11), &policy), Ok(()), "ten are few");
    assert_eq!(check(daily(12), &policy), Err(Excess::Many { removed: 11, snapshots: 12 }));
    assert_eq!(check(daily(24), &Policy { last: 12, ..policy }), Ok(()), "half is not more than half");
    let nothing = Policy { tags: vec!["none".into()], ..Policy::default() };
    assert_eq!(check(flawed(daily(1), &[0]), &nothing), Ok(()), "the one made last stays");
    assert!(matches!(check(daily(2), &nothing), Err(Excess::WholeGroup { .. })), "caution keeps one, no rule does");
    assert_eq!(check(daily(1), &nothing), Ok(()), "nothing goes");
}

#[test]
fn every_group_that_would_be_lost_is_named() {
    let snapshots = ["a", "b", "c"]
        .into_iter()
        .zip(0_u8..)
        .flat_map(|(host, number)| [snapshot(2 * number, host, NOON), snapshot(2 * number + 1, host, NOON + DAY)]);
    let nothing = Policy { tags: vec!["none".into()], ..Policy::default() };
    let plan = plan(known(snapshots.collect()), &nothing, &SnapshotFilter::default());
    let excesses: Vec<Excess> = plan.excesses().collect();
    assert_eq!(excesses.len(), 3, "{excesses:?}");
    for (excess, group) in excesses.into_iter().zip(&plan.groups) {
        assert_eq!(excess, Excess::WholeGroup { group: group.name.clone() });
    }
}

/// The same, where some have entries that could not be read.
fn flawed(mut snapshots: Vec<SnapshotHandle>, numbers: &[u64]) -> Vec<SnapshotHandle> {
    let has_errors = |handle: &&mut SnapshotHandle| numbers.contains(&handle.snapshot.sequence);
    snapshots.iter_mut().filter(has_errors).for_each(|handle| handle.snapshot.statistics.errors = 1);
    snapshots
}

#[test]
fn a_snapshot_with_errors_never_costs_the_last_one_without() {
    let failing = || flawed(daily(10), &[0, 1, 2, 3, 4, 5]);
    let last = Policy { last: 2, ..Policy::default() };
    assert_eq!(kept(failing(), &last), expected(&[(0, "last"), (1, "last"), (6, "newest without errors")]));
    let within = Policy { within_seconds: Some(86_400), ..Policy::default() };
    assert_eq!(kept(failing(), &within), expected(&[(0, "within"), (1, "within"), (6, "newest without errors")]));
    let all = flawed(daily(3), &[0, 1, 2]);
    assert_eq!(kept(all, &Policy { last: 1, ..last }), expected(&[(0, "last")]), "there is none without");
}

#[test]
fn of_a_day_whose_newest_has_errors_the_newest_without_is_kept_beside_it() {
    let hours = (0..4).map(|number| snapshot(number, "h", NOON + 3600 * i64::from(number)));
    let days = (1..3).map(|day| snapshot(10 + day, "h", NOON - DAY * i64::from(day)));
    let two_days = || hours.clone().chain(days.clone());
    let policy = Policy { daily: 2, ..Policy::default() };
    assert_eq!(kept(two_days().collect(), &policy), expected(&[(3, "daily"), (11, "daily")]));
    assert_eq!(
        kept(flawed(two_days().collect(), &[2, 3]), &policy),
        expected(&[(3, "daily"), (1, "daily without errors"), (11, "daily")])
    );
    assert_eq!(
        kept(flawed(two_days().collect(), &[0, 1, 2, 3]), &policy),
        expected(&[(3, "daily"), (11, "daily")]),
        "a day of errors alone counts as it is"
    );
}

#[test]
fn the_newest_without_errors_is_the_one_that_its_writer_made_last_whatever_its_date() {
    let mut snapshots = daily(3);
    let writer = snapshots[0].snapshot.writer;
    snapshots.iter_mut().for_each(|handle| handle.snapshot.writer = writer);
    // The store's clock stood in 1972 when it was made.
    snapshots.push(SnapshotHandle {
        stored: Some(Timestamp { seconds: 1000 * DAY, nanoseconds: 0 }),
        ..snapshot(9, "h", 0)
    });
    snapshots[3].snapshot.writer = writer;
    let policy = Policy { last: 1, ..Policy::default() };
    assert_eq!(kept(snapshots, &policy), expected(&[(0, "last"), (9, "newest without errors")]));
}

#[test]
fn the_one_made_last_is_kept_whatever_its_date_where_none_is_free_of_errors() {
    let mut snapshots = daily(3);
    // The store's clock stood in 1972 when it was made.
    let stored = Some(Timestamp { seconds: 1000 * DAY, nanoseconds: 0 });
    snapshots.push(SnapshotHandle { stored, ..snapshot(9, "h", 0) });
    let writer = snapshots[0].snapshot.writer;
    snapshots.iter_mut().for_each(|handle| handle.snapshot.writer = writer);
    let policy = Policy { last: 1, ..Policy::default() };
    assert_eq!(kept(flawed(snapshots, &[0, 1, 2, 9]), &policy), expected(&[(0, "last"), (9, "made last")]));
}

proptest! {
    #[test]
    fn the_newest_is_always_kept_by_a_count_and_never_more_than_the_counts(
        times in proptest::collection::vec(-400 * DAY..400 * DAY, 1..60),
        counts in proptest::array::uniform6(0_u32..5),
    ) {
        let [last, hourly, daily, weekly, monthly, yearly] = counts;
        let policy = Policy { last, hourly, daily, weekly, monthly, yearly, ..Policy::default() };
        let snapshots: Vec<_> = (0..).zip(&times).map(|(number, time)| snapshot(number, "h", NOON + time)).collect();
        let newest = times.iter().max().unwrap();
        let plan = plan(known(snapshots), &policy, &SnapshotFilter::default());
        let kept: Vec<_> = plan.decisions().filter(|decision| decision.is_kept()).collect();
        let wanted = counts.iter().sum::<u32>() as usize;
        prop_assert!(kept.len() <= wanted.max(1), "one without errors stays in any case");
        prop_assert!(kept.len() >= (last as usize).min(times.len()));
        if wanted > 0 {
            prop_assert_eq!(kept[0].snapshot.stored.unwrap().seconds, NOON + newest);
        }
    }
}

#[test]
fn nothing_goes_of_a_source_that_is_suspect_and_it_is_said_why() {
    let mut other = daily(2);
    other.iter_mut().for_each(|handle| handle.snapshot.source.identity = "other".to_owned());
    let all: Vec<_> = daily(12).into_iter().chain(other).collect();
    let identity = all[0].snapshot.source.identity.clone();
    let policy = Policy { last: 1, ..Policy::default() };
    let plan = plan(known(all), &policy, &SnapshotFilter::default()).sparing(&[identity.clone()].into());
    for decision in plan.decisions() {
        let is_spared = decision.snapshot.snapshot.source.identity == identity;
        assert_eq!(decision.is_kept(), is_spared || decision.reasons == [Reason::Last]);
    }
    let spared = plan.decisions().filter(|decision| decision.reasons == [Reason::Suspect]).count();
    assert_eq!((spared, plan.check()), (11, Ok(())));
}

#[test]
fn until_when_each_is_kept_is_said_by_time_and_by_number() {
    let said = |policy: &Policy, now: i64| {
        let now = Timestamp { seconds: now, nanoseconds: 0 };
        let plan = plan(Snapshots { now, ..known(daily(3)) }, policy, &SnapshotFilter::default());
        let kept = plan.decisions().filter(|decision| decision.is_kept());
        kept.map(|decision| decision.until.to_string()).collect::<Vec<_>>()
    };
    let last = Policy { last: 2, ..Policy::default() };
    assert_eq!(said(&last, NOON), ["until 2 newer ones are made", "until a newer one is made"]);
    // The newest is replaced as long as its day is not over.
    let daily = Policy { daily: 2, ..Policy::default() };
    assert_eq!(said(&daily, NOON), ["until a newer one is made", "until 2026-02-01"]);
    assert_eq!(said(&daily, NOON + DAY), ["until 2026-02-02", "until 2026-02-01"]);
    let monthly = Policy { monthly: 12, ..Policy::default() };
    assert_eq!(said(&monthly, NOON + DAY), ["until 2027-01-01"]);
    let both = Policy { last: 1, yearly: 1, within_seconds: Some(30 * DAY as u64), ..Policy::default() };
    assert_eq!(said(&both, NOON)[0], "until 2026-03-02 and a newer one is made");
}

proptest! {
    /// Whatever is made later: what is removed then had come to the end that was said.
    #[test]
    fn nothing_is_removed_before_the_end_that_was_said(
        made in proptest::collection::vec((0_i64..900, any::<bool>()), 1..24),
        more in proptest::collection::vec((0_i64..900, any::<bool>()), 0..24),
        (last, hourly, daily, weekly, monthly, yearly) in (0_u32..3, 0_u32..3, 0_u32..4, 0_u32..4, 0_u32..4, 0_u32..3),
        within in proptest::option::of(0_u64..40),
    ) {
        let within_seconds = within.map(|days| days * DAY as u64);
        let policy = Policy { last, hourly, daily, weekly, monthly, yearly, within_seconds, ..Policy::default() };
        // Steps of seven hours, one after the other.
        let mut time = NOON;
        let mut number = 0_u8;
        let mut made_by = |list: &[(i64, bool)]| -> Vec<SnapshotHandle> {
            list.iter().map(|(step, has_errors)| {
                time += 1 + step * 7 * 3600 / 30;
                number += 1;
                let mut handle = snapshot(number, "h", time);
                handle.snapshot.statistics.errors = u64::from(*has_errors);
                handle
            }).collect()
        };
        let before = made_by(&made);
        let now = before.last().and_then(SnapshotHandle::time).unwrap();
        let after = [before.clone(), made_by(&more)].concat();
        let newest = after.last().and_then(SnapshotHandle::time).unwrap();
        let filter = SnapshotFilter::default();
        let first = plan(Snapshots { now, ..known(before) }, &policy, &filter);
        let second = plan(Snapshots { now: newest, ..known(after) }, &policy, &filter);
        for decision in first.decisions().filter(|decision| decision.is_kept()) {
            let id = decision.snapshot.snapshot.id;
            let later = second.decisions().find(|later| later.snapshot.snapshot.id == id).unwrap();
            if !later.is_kept() {
                let until = decision.until;
                prop_assert!(!until.is_open, "{until}");
                prop_assert!(until.newer as usize <= more.len(), "{until}, and {} were made", more.len());
                prop_assert!(until.not_before.is_none_or(|time| time <= newest), "{until}, and it is {newest}");
            }
        }
    }
}
