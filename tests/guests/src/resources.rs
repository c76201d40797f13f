//! Taking more than a call is given: time, memory, stack, handles, log lines, data.

use credenza_sdk::{Body, log};

/// Does what the behaviour says, when it is one of this file.
pub(crate) fn take(behaviour: &str) {
    match behaviour {
        "panics" => panic!("the cupboard is bare"),
        "loops" => loop_for_ever(),
        "eats-memory" => eat_memory(),
        "deep-recursion" => assert!(recurse(0) > 0),
        "leaks-handles" => leak_handles(),
        "hoards-bodies" => hoard_bodies(),
        "floods-log" => flood_log(),
        "huge-argument" => log::info(&"x".repeat(64 * 1024 * 1024)),
        _ => {}
    }
}

fn loop_for_ever() {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn eat_memory() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(std::hint::black_box(vec![1; 1024 * 1024]));
    }
}

/// Ends after 2^64 calls, that is never.
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth.wrapping_add(1)).wrapping_add(frame.iter().sum()) }
}

fn leak_handles() {
    for _ in 0..1_000_000 {
        std::mem::forget(Body::from_bytes(b"x"));
    }
}

fn hoard_bodies() {
    for _ in 0..10_000 {
        std::mem::forget(Body::from_bytes(&[1; 1024 * 1024]));
    }
}

fn flood_log() {
    for _ in 0..100_000 {
        log::warn("the same line, again and again, as often as it takes to fill a disk");
    }
}
