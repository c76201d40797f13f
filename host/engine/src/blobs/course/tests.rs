//! A long content in one pack, read by a course.

use std::sync::Arc;

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Record as Recorder, call};
use credenza_connect::{ErrorClass, Store};
use credenza_model::ChunkRef;

use super::*;
use crate::contents::ContentChunks;
use crate::repository::Repository;
use crate::testing::{handle, noise, repository, secret, snapshot};

const LENGTH: usize = 30_000_000;

/// A repository in memory, and the chunks of its one content.
async fn laid() -> (MemoryStore, Repository, Vec<ChunkRef>) {
    let store = MemoryStore::new();
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    let source = MemorySource::new();
    source.put("long", noise(1, LENGTH));
    let id = snapshot(&repository, &source).await;
    let tree = handle(&repository, id).await.snapshot.tree;
    let loader = loader(&repository, Arc::new(store.clone())).await;
    let record = repository.walk(&loader, &tree, b"").next().await.unwrap().unwrap();
    let refs = ContentChunks::new(Arc::clone(&loader), &record.content).next(u64::MAX).await.unwrap();
    (store, repository, refs)
}

async fn loader(repository: &Repository, store: Arc<dyn Store>) -> Arc<BlobLoader> {
    repository.loader_from(&store, Arc::new(repository.index_for_writing().await.unwrap()))
}

/// What a course gives of chunks, some of them at a time, and the loader where it gives nothing.
async fn taken(loader: &Arc<BlobLoader>, windows: impl Iterator<Item = &[ChunkRef]>) -> Fetched {
    let windows: Vec<&[ChunkRef]> = windows.collect();
    let ids = |refs: &[ChunkRef]| refs.iter().map(|chunk| chunk.id).collect::<Vec<_>>();
    let mut course = Course::plan(loader, windows.iter().flat_map(|refs| ids(refs)), STRETCHES_OPEN_MAX);
    let mut fetched = Fetched::new();
    for refs in windows {
        let window = loader.complete(course.take(ids(refs)).await).await.unwrap();
        assert!(refs.iter().all(|chunk| window.contains_key(&chunk.id)));
        fetched.extend(window);
    }
    fetched
}

fn is_whole(refs: &[ChunkRef], fetched: &Fetched) -> bool {
    let bytes: Vec<u8> = refs.iter().flat_map(|chunk| fetched[&chunk.id].clone().unwrap()).collect();
    bytes == noise(1, LENGTH)
}

fn gets(store: &Recorder<MemoryStore>) -> Vec<u64> {
    store.calls().iter().filter(|call| call.name == call::GET).map(|call| call.bytes).collect()
}

#[tokio::test]
async fn a_pack_that_is_wanted_whole_is_one_request_in_whatever_order_neighbours_come() {
    let (store, repository, refs) = laid().await;
    let store = Recorder::new(Arc::new(store));
    let loader = loader(&repository, Arc::new(store.clone())).await;
    let mut shuffled = refs.clone();
    shuffled.chunks_mut(40).for_each(<[ChunkRef]>::reverse);
    assert!(is_whole(&refs, &taken(&loader, shuffled.chunks(60)).await));
    assert_eq!(gets(&store).len(), 1);
}

#[tokio::test]
async fn what_a_course_does_not_give_comes_from_the_loader() {
    let (store, repository, refs) = laid().await;
    for fault in [FaultKind::Tear, FaultKind::Fail(ErrorClass::Denied), FaultKind::Flip] {
        let store = Fault::new(Arc::new(store.clone()), 1).at(call::GET, 1, fault);
        let loader = loader(&repository, Arc::new(store)).await;
        assert!(is_whole(&refs, &taken(&loader, refs.chunks(100)).await), "{fault:?}");
    }
    let loader = loader(&repository, Arc::new(store)).await;
    assert!(is_whole(&refs, &taken(&loader, refs.rchunks(100)).await), "from the end to the beginning");
}

#[tokio::test]
async fn a_bit_that_has_rotten_costs_the_chunks_of_its_segment_alone() {
    let (store, repository, refs) = laid().await;
    let pack = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    let mut bytes = store.bytes(&pack).unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.tamper(&pack, Some(bytes.into()));
    let loader = loader(&repository, Arc::new(store)).await;
    let lost = taken(&loader, refs.chunks(100)).await.values().filter(|chunk| chunk.is_err()).count();
    assert!((1..80).contains(&lost), "{lost} of {}", refs.len());
}

#[tokio::test]
async fn what_is_far_ahead_is_leapt_to() {
    let (store, repository, refs) = laid().await;
    let store = Recorder::new(Arc::new(store));
    let loader = loader(&repository, Arc::new(store.clone())).await;
    let mut course = Course::plan(&loader, refs.iter().map(|chunk| chunk.id), STRETCHES_OPEN_MAX);
    let last = *course.stops.iter().max_by_key(|(_, stop)| stop.run).unwrap().0;
    let taken = course.take(vec![last]).await;
    assert!(taken.rest.is_empty() && taken.fetched[&last].is_ok());
    let gets = gets(&store);
    assert!(gets.len() == 1 && gets[0] < LENGTH as u64 / 2, "{gets:?}");
}

/// A repository in memory with contents of 2 MB in a pack each, and their chunks.
async fn laid_apart(contents: u64) -> (MemoryStore, Repository, Vec<Vec<ChunkId>>) {
    let store = MemoryStore::new();
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    let source = MemorySource::new();
    let mut trees = Vec::new();
    for number in 0..contents {
        source.put(format!("{number}").as_str(), noise(number, 2_000_000));
        let id = snapshot(&repository, &source).await;
        trees.push(handle(&repository, id).await.snapshot.tree);
    }
    let loader = loader(&repository, Arc::new(store.clone())).await;
    let mut walk = repository.walk(&loader, trees.last().unwrap(), b"");
    let mut all = Vec::new();
    while let Some(record) = walk.next().await.unwrap() {
        let refs = ContentChunks::new(Arc::clone(&loader), &record.content).next(u64::MAX).await.unwrap();
        all.push(refs.iter().map(|chunk| chunk.id).collect());
    }
    (store, repository, all)
}

#[tokio::test]
async fn of_more_packs_than_are_open_at_once_the_others_are_left_to_the_loader() {
    let (store, repository, contents) = laid_apart(4).await;
    let loader = loader(&repository, Arc::new(store)).await;
    let window = contents.iter().flat_map(|ids| ids[..10].to_vec()).collect();
    let mut course = Course::plan(&loader, contents.concat().into_iter(), 3);
    assert_eq!(course.stretches.len(), 4);
    let taken = course.take(window).await;
    assert_eq!((taken.fetched.len(), taken.rest.len()), (30, 10));
    assert_eq!(loader.complete(taken).await.unwrap().len(), 40);
}

#[tokio::test]
async fn packs_that_come_next_are_asked_for_while_one_is_taken_from() {
    let (store, repository, contents) = laid_apart(5).await;
    let store = Recorder::new(Arc::new(store));
    let loader = loader(&repository, Arc::new(store.clone())).await;
    let before = gets(&store).len();
    let asked = async |packs: usize| {
        while gets(&store).len() < before + packs {
            tokio::task::yield_now().await;
        }
    };
    let mut course = Course::plan(&loader, contents.concat().into_iter(), 3);
    assert!(course.take(vec![contents[0][0]]).await.rest.is_empty());
    asked(3).await;
    assert!(course.take(contents[0].clone()).await.rest.len() <= 1, "the first chunk is behind");
    assert!(course.take(vec![contents[1][0]]).await.rest.is_empty());
    asked(4).await;
    assert_eq!(gets(&store).len(), before + 4);
}
