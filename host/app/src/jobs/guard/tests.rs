//! The judgement by its limits and floors.

use proptest::prelude::*;

use super::*;

const USUAL: Guard =
    Guard { shrink: GUARD_SHRINK, changed: GUARD_CHANGED, incompressible: GUARD_INCOMPRESSIBLE, delete_max: None };

/// A hundred files of 1 MiB, and nothing amiss.
const SOURCE: Turnover = Turnover {
    files_before: 100,
    bytes_before: 100 << 20,
    bytes_after: 100 << 20,
    gone: 0,
    modified: 0,
    compared: 0,
    turned: 0,
    turned_bytes: 0,
};

fn reasons(turnover: Turnover) -> Vec<Suspicion> {
    judge(&USUAL, &turnover)
}

#[test]
fn each_limit_is_reached_and_not_before() {
    assert_eq!(reasons(SOURCE), []);
    assert_eq!(reasons(Turnover { gone: 39, ..SOURCE }), []);
    assert_eq!(reasons(Turnover { gone: 40, ..SOURCE }), [Suspicion::Gone(40, 100)]);
    assert_eq!(reasons(Turnover { bytes_after: 61 << 20, ..SOURCE }), []);
    let shrunk = Suspicion::Shrunk(100 << 20, 60 << 20);
    assert_eq!(reasons(Turnover { bytes_after: 60 << 20, ..SOURCE }), [shrunk]);
    assert_eq!(reasons(Turnover { gone: 20, modified: 39, ..SOURCE }), []);
    assert_eq!(reasons(Turnover { gone: 20, modified: 40, ..SOURCE }), [Suspicion::Changed(60, 100)]);
    assert_eq!(reasons(Turnover { modified: 21, compared: 21, turned: 10, ..SOURCE }), []);
    assert_eq!(reasons(Turnover { modified: 20, compared: 20, turned: 10, ..SOURCE }), [Suspicion::Turned(10, 20)]);
}

#[test]
fn small_sources_are_not_suspect_by_a_few_files() {
    let small = Turnover { files_before: 19, bytes_before: 1000, bytes_after: 10, gone: 19, ..SOURCE };
    assert_eq!(reasons(small), []);
    assert_eq!(reasons(Turnover { compared: 9, modified: 9, turned: 9, turned_bytes: 9, ..SOURCE }), []);
    let image = Turnover { files_before: 1, modified: 1, compared: 1, turned: 1, turned_bytes: 64 << 20, ..SOURCE };
    assert_eq!(reasons(image), [Suspicion::Turned(1, 1)], "one image of a disk that was encrypted");
    let first = Turnover { files_before: 0, bytes_before: 0, ..SOURCE };
    assert_eq!(reasons(first), [], "an empty source loses nothing");
}

#[test]
fn a_share_is_a_whole_percentage() {
    assert_eq!(parse_percent("40%"), Ok(40));
    assert_eq!(parse_percent("100%"), Ok(100));
    for text in ["40", "0%", "101%", "-1%", "4.5%", "%", ""] {
        assert!(parse_percent(text).is_err(), "{text}");
    }
}

fn turnovers() -> impl Strategy<Value = Turnover> {
    (0_u64..5000, 0_u64..1 << 40, 0_u64..1 << 40, 0_u64..5000, 0_u64..5000, 0_u64..5000, 0_u64..5000).prop_map(
        |(files_before, bytes_before, bytes_after, gone, modified, compared, turned)| {
            let gone = gone.min(files_before);
            let modified = modified.min(files_before - gone);
            let turned = turned.min(compared);
            Turnover { files_before, bytes_before, bytes_after, gone, modified, compared, turned, turned_bytes: 0 }
        },
    )
}

proptest! {
    #[test]
    fn more_loss_is_never_less_suspect(turnover in turnovers(), more in 1_u64..100) {
        let rules = |turnover: &Turnover| {
            judge(&USUAL, turnover).iter().map(std::mem::discriminant).collect::<Vec<_>>()
        };
        let before = rules(&turnover);
        let gone = turnover.gone.saturating_add(more).min(turnover.files_before - turnover.modified);
        let turned = turnover.turned.saturating_add(more).min(turnover.compared);
        let bytes_after = turnover.bytes_after.saturating_sub(more);
        for worse in [Turnover { gone, ..turnover }, Turnover { turned, ..turnover }, Turnover { bytes_after, ..turnover }] {
            let after = rules(&worse);
            prop_assert!(before.iter().all(|rule| after.contains(rule)), "{:?} {:?}", turnover, worse);
        }
    }

    #[test]
    fn a_source_that_only_grows_is_never_suspect(turnover in turnovers(), more in 0_u64..1 << 40) {
        let grown = Turnover {
            bytes_after: turnover.bytes_before.saturating_add(more),
            gone: 0,
            modified: 0,
            compared: 0,
            turned: 0,
            ..turnover
        };
        prop_assert_eq!(judge(&USUAL, &grown), []);
    }

    #[test]
    fn a_stricter_guard_lets_nothing_pass_that_a_laxer_one_does_not(turnover in turnovers(), shares in any::<[u8; 3]>()) {
        let [shrink, changed, incompressible] = shares.map(|share| u32::from(share % 100) + 1);
        let strict = Guard { shrink, changed, incompressible, delete_max: None };
        let lax = Guard { shrink: shrink.max(50), changed: changed.max(50), incompressible: incompressible.max(50), ..strict };
        let (few, many) = (judge(&lax, &turnover), judge(&strict, &turnover));
        prop_assert!(few.iter().all(|one| many.contains(one)));
    }
}
