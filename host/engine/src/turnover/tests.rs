//! What is counted of a source that is encrypted, thinned out, moved and worked on.

use std::sync::Arc;

use credenza_connect::memory::{MemorySource, MemoryStore};

use super::*;
use crate::testing::{handle, noise, repository, secret, snapshot};

const FILES: usize = 40;

fn text(number: usize) -> Vec<u8> {
    (0..400 + number).flat_map(|line| format!("line {line} of letter {number}\n").into_bytes()).collect()
}

fn name(number: usize) -> String {
    format!("letters/{number:03}.txt")
}

/// Forty letters and an empty file, what is done to them, and what is counted.
async fn after(change: impl FnOnce(&MemorySource)) -> Turnover {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    (0..FILES).for_each(|number| source.put(&*name(number), text(number)));
    source.put("empty", Vec::new());
    let before = snapshot(&repository, &source).await;
    change(&source);
    let after = snapshot(&repository, &source).await;
    let (before, after) = (handle(&repository, before).await, handle(&repository, after).await);
    measure(&repository, &before, &after, &RunContext::default()).await.unwrap()
}

fn counts(turnover: &Turnover) -> [u64; 4] {
    [turnover.gone, turnover.modified, turnover.compared, turnover.turned]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_counted_of_what_is_as_it_was() {
    let turnover = after(|_| {}).await;
    assert_eq!(counts(&turnover), [0; 4]);
    assert_eq!((turnover.files_before, turnover.bytes_before), (FILES as u64 + 1, turnover.bytes_after));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_encrypted_turn_in_place_and_beside_their_names() {
    let in_place = after(|source| {
        (0..10).for_each(|number| source.put(&*name(number), noise(number as u64, text(number).len())));
    })
    .await;
    assert_eq!(counts(&in_place), [0, 10, 10, 10]);
    let renamed = after(|source| {
        for number in 0..10 {
            source.remove(&name(number).as_str().into());
            source.put(&*format!("{}.locked", name(number)), noise(number as u64, text(number).len() + 300));
        }
    })
    .await;
    assert_eq!(counts(&renamed), [10, 0, 10, 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_compression_and_moves_turn_nothing() {
    let worked_on = after(|source| {
        (0..10).for_each(|number| source.put(&*name(number), [text(number), text(number + 1)].concat()));
        source.put("new.jpg", noise(1, 100_000));
    })
    .await;
    assert_eq!(counts(&worked_on), [0, 10, 10, 0]);
    let compressed = after(|source| {
        for number in 0..10 {
            source.remove(&name(number).as_str().into());
            source.put(&*format!("{}.gz", name(number)), noise(number as u64, text(number).len() / 8));
        }
    })
    .await;
    assert_eq!(counts(&compressed), [10, 0, 10, 0]);
    let moved = after(|source| {
        for number in 0..FILES {
            source.remove(&name(number).as_str().into());
            source.put(&*format!("archive/{number}"), text(number));
        }
    })
    .await;
    assert_eq!(counts(&moved), [0; 4], "nothing is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_gone_once() {
    let turnover = after(|source| {
        (0..FILES).for_each(|number| source.remove(&name(number).as_str().into()));
        source.put("PAY.txt", b"pay".to_vec());
    })
    .await;
    assert_eq!(counts(&turnover), [FILES as u64, 0, 0, 0]);
    assert_eq!(turnover.bytes_after, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_equal_files_one_that_is_gone_is_gone() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    source.put("a", text(1));
    source.put("b", text(1));
    let before = snapshot(&repository, &source).await;
    source.remove(&"a".into());
    let after = snapshot(&repository, &source).await;
    let (before, after) = (handle(&repository, before).await, handle(&repository, after).await);
    let turnover = measure(&repository, &before, &after, &RunContext::default()).await.unwrap();
    assert_eq!(turnover.gone, 1);
}
