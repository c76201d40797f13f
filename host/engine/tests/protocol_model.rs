//! Every interleaving of writers and collectors, step by step: no snapshot that was promised ever loses a pack.
//!
//! The model is the order of requests of `write::commit` and `gc`, with crashes, removed snapshots, repacking, packs
//! that expire, writers that sleep for a week, listings that are cut off, and somebody who reads on what is removed. Each way to break the protocol that the design warns of is found unsafe
//! by the same search, so that the search is known to see. States are kept as hashes of 64 bits: with 10⁷ of them the chance
//! that any two collide is some 3 in 10⁶.

#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "the sizes of a model are constants of its own")]

#[path = "model/state.rs"]
mod state;
#[path = "model/steps.rs"]
mod steps;

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher};

use state::State;
use steps::{Rules, successors};

/// Hashes are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole hashes are kept");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// How a search ended.
enum Found {
    Safe { states: usize },
    Broken { path: Vec<&'static str>, state: Box<State> },
}

fn search(rules: &Rules, writers: usize, collectors: usize) -> Found {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut seen: HashSet<u64, BuildHasherDefault<AsItIs>> = HashSet::default();
    let mut pending = vec![(0_usize, "begin", State::begin(writers, collectors, rules.reads))];
    let (mut path, mut next) = (Vec::new(), Vec::new());
    while let Some((depth, name, state)) = pending.pop() {
        if !seen.insert(hasher.hash_one(state)) {
            continue;
        }
        path.truncate(depth);
        path.push(name);
        if state.broken().is_some() {
            return Found::Broken { path, state: Box::new(state) };
        }
        successors(&state, rules, &mut next);
        pending.extend(next.drain(..).map(|(name, next)| (depth + 1, name, next)));
    }
    Found::Safe { states: seen.len() }
}

fn is_safe(rules: &Rules, writers: usize, collectors: usize) {
    match search(rules, writers, collectors) {
        Found::Safe { states } => println!("{writers} writers, {collectors} collectors: {states} states, all safe"),
        Found::Broken { path, state } => panic!("broken after {path:#?}\n{state:#?}"),
    }
}

fn is_broken(rules: &Rules, writers: usize, collectors: usize) {
    if let Found::Safe { states } = search(rules, writers, collectors) {
        panic!("{states} states, and what breaks the protocol was not found: {rules:?}");
    }
}

const PROTOCOL: Rules = Rules::PROTOCOL;

#[test]
fn one_writer_beside_two_collectors_is_safe() {
    is_safe(&PROTOCOL, 1, 2);
}

#[test]
fn two_writers_beside_one_collector_are_safe() {
    is_safe(&PROTOCOL, 2, 1);
}

/// Without repacking, crashes and lateness, which the searches above have; `CREDENZA_MODEL=full` searches all of it for hours.
#[test]
fn two_writers_beside_two_collectors_are_safe() {
    let reduced = Rules { coarse: true, repack: false, crashes: false, lateness: false, removable: 1, ..PROTOCOL };
    let full = std::env::var_os("CREDENZA_MODEL").is_some_and(|size| size == "full");
    is_safe(if full { &PROTOCOL } else { &reduced }, 2, 2);
}

#[test]
fn a_collector_that_compares_two_listings_is_safe_where_listings_are_cut_off() {
    let rules = Rules { cuts: true, compares: true, ..PROTOCOL };
    is_safe(&rules, 1, 1);
    is_safe(&Rules { repack: false, ..rules }, 2, 1);
}

#[test]
fn a_collector_that_believes_one_listing_loses_data_where_listings_are_cut_off() {
    is_broken(&Rules { cuts: true, ..PROTOCOL }, 0, 1);
}

#[test]
fn a_writer_that_does_not_look_again_loses_data() {
    is_broken(&Rules { writer_looks_again: false, ..PROTOCOL }, 1, 1);
}

#[test]
fn a_collector_that_does_not_look_again_loses_data() {
    is_broken(&Rules { collector_looks_again: false, ..PROTOCOL }, 1, 1);
}

#[test]
fn without_intents_data_is_lost() {
    is_broken(&Rules { intents: false, ..PROTOCOL }, 1, 1);
}

#[test]
fn snapshots_listed_before_intents_lose_data() {
    is_broken(&Rules { intents_before_snapshots: false, ..PROTOCOL }, 1, 1);
}

#[test]
fn a_writer_that_commits_after_its_intent_expired_loses_data() {
    is_broken(&Rules { lease: false, ..PROTOCOL }, 1, 1);
}

#[test]
fn repacking_loses_data_when_need_does_not_follow_what_was_moved() {
    is_broken(&Rules { moves_are_followed: false, ..PROTOCOL }, 0, 2);
}

#[test]
fn two_collectors_that_do_not_read_each_others_records_lose_data() {
    is_broken(&Rules { condemned_last: false, ..PROTOCOL }, 1, 2);
}

/// Writers do not matter to who reads what was there before them.
const READING: Rules = Rules { reads: true, removable: 1, lateness: false, ..PROTOCOL };

#[test]
fn who_reads_a_snapshot_that_is_removed_meanwhile_is_safe_beside_two_collectors() {
    is_safe(&READING, 0, 2);
    is_safe(&Rules { coarse: true, repack: false, ..READING }, 1, 2);
}

#[test]
fn a_reader_that_does_not_look_whether_its_snapshot_is_still_there_loses_data() {
    is_broken(&Rules { reader_looks: false, ..READING }, 0, 1);
}

#[test]
fn a_reader_that_pins_only_what_was_used_before_it_was_moved_loses_data() {
    is_broken(&Rules { reader_follows: false, ..READING }, 0, 2);
}
