//! Chunks on their way into packs: what counts as kept, what is waited for, and what a commit demands.

use std::sync::mpsc;

use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_connect::{ErrorClass, Store};
use credenza_format::{BlobKind, Compressor, Encoding};
use credenza_model::{ChunkId, ChunkRef, Content, Entry, EntryKind, EntryStatus, Record, SnapshotId};
use futures_util::FutureExt;

use super::fresh::Turn;
use super::*;
use crate::repository::Chain;
use crate::testing::{noise, open, repository, secret};
use crate::{Error, Repository, Result, Stop};
use std::sync::Arc;

async fn dedup(repository: &Repository) -> Arc<Deduplicator> {
    let index = Arc::new(repository.index_for_writing().await.unwrap());
    Deduplicator::begin(repository, index, repository.writer("", "")).await.unwrap()
}

fn keep(dedup: &Deduplicator, plain: &[u8]) -> Result<ChunkRef> {
    tokio::task::block_in_place(|| dedup.keep(&mut Compressor::new(1).unwrap(), BlobKind::Data, plain))
}

async fn is_described(repository: &Repository, id: ChunkId) -> bool {
    repository.index_for_writing().await.unwrap().get(&id).unwrap().is_some()
}

/// Commits an empty hand; fails the test if it comes as far as the snapshot.
async fn commit_nothing(repository: &Repository, dedup: &Arc<Deduplicator>) -> Error {
    let mut chain = Chain::new(repository.writer("", ""), &[]);
    let id = SnapshotId::new([7; 16]);
    let draft = Draft {
        id,
        chain: &mut chain,
        signing_key: None,
        connector: None,
        adopted: None,
        is_carried: false,
        stop: &Stop::default(),
    };
    commit(repository, dedup, draft, |_, _, _| panic!("a snapshot was announced")).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_whose_packing_was_given_up_is_packed_by_whoever_comes_next() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let dedup = dedup(&repository).await;
    let plain = noise(1, 5000);
    let id = dedup.keys().blob_id(BlobKind::Data, &plain);
    let Turn::Mine(first) = dedup.record().fresh().begin(id) else { panic!("it is new") };
    assert!(!dedup.holds(&id).unwrap(), "it is not in a pack yet");
    let other = Arc::clone(&dedup);
    let second = dedup.packs().workers().begin(move || keep(&other, &plain)).await.unwrap();
    drop(first);
    assert_eq!(second.await.unwrap().unwrap().id, id);
    assert!(dedup.holds(&id).unwrap());
    dedup.flush().await.unwrap();
    assert!(is_described(&repository, id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_waits_for_is_done_before_the_packs_are_closed() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let dedup = dedup(&repository).await;
    let (go, gone) = mpsc::channel::<()>();
    let other = Arc::clone(&dedup);
    let work = move || {
        gone.recv().unwrap();
        keep(&other, &noise(1, 5000)).unwrap();
    };
    drop(dedup.packs().workers().begin(work).await.unwrap());
    let mut closing = Box::pin(dedup.packs().close());
    assert!((&mut closing).now_or_never().is_none(), "somebody is at work");
    go.send(()).unwrap();
    closing.await.unwrap();
    dedup.flush().await.unwrap();
    assert!(is_described(&repository, dedup.keys().blob_id(BlobKind::Data, &noise(1, 5000))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_packed_after_the_last_flush() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let dedup = dedup(&repository).await;
    keep(&dedup, &noise(1, 5000)).unwrap();
    dedup.packs().close().await.unwrap();
    let late = keep(&dedup, &noise(2, 5000));
    assert!(matches!(late, Err(Error::PacksClosed)), "{late:?}");
    let late = dedup.packs().workers().work("late", || Ok(())).await;
    assert!(matches!(late, Err(Error::PacksClosed)), "{late:?}");
    assert_eq!(dedup.record().packs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_failed_fails_the_run_whoever_met_it_first() {
    let store = MemoryStore::new();
    repository(Arc::new(store.clone()), secret(), None).await;
    let denied = Fault::new(Arc::new(store), 1).one_in(call::PUT, 1, FaultKind::Fail(ErrorClass::Denied));
    let repository = open(Arc::new(denied), secret()).await;
    let dedup = dedup(&repository).await;
    keep(&dedup, &noise(1, 5000)).unwrap();
    for _ in 0..2 {
        let flushed = dedup.flush().await;
        assert!(matches!(flushed, Err(Error::Connector { .. })), "{flushed:?}");
        let kept = keep(&dedup, &noise(2, 5000));
        assert!(matches!(kept, Err(Error::Connector { .. })), "{kept:?}");
    }
    assert!(matches!(commit_nothing(&repository, &dedup).await, Error::Connector { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_not_announced_while_a_chunk_of_it_is_described_nowhere() {
    let store = MemoryStore::new();
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    let dedup = dedup(&repository).await;
    let id = dedup.keys().blob_id(BlobKind::Data, b"never packed");
    let Turn::Mine(packing) = dedup.record().fresh().begin(id) else { panic!("it is new") };
    packing.done();
    let refused = commit_nothing(&repository, &dedup).await;
    assert!(matches!(refused, Error::Unkept { chunks: 1, example } if example == id), "{refused:?}");
    assert!(store.list("snapshot/", None, 10).await.unwrap().objects.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_takes_no_record_that_names_a_chunk_which_was_not_kept() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let dedup = dedup(&repository).await;
    let kept = keep(&dedup, &noise(1, 5000)).unwrap();
    let foreign = ChunkRef { id: ChunkId::new([9; 32]), length: 5 };
    let record = |chunk| Record {
        entry: Entry::new("a".into(), EntryKind::File),
        content: Content::Chunks(vec![chunk]),
        status: EntryStatus::Stable,
    };
    let mut tree = TreeWriter::new(Arc::clone(&dedup), 1);
    tree.push(vec![record(kept)]).await.unwrap();
    let refused = tree.push(vec![record(foreign)]).await;
    assert!(matches!(refused, Err(Error::Unkept { example, .. }) if example == foreign.id), "{refused:?}");
}

/// Text that shrinks, of some bytes.
fn text(seed: u64, bytes: usize) -> Vec<u8> {
    format!("{seed}: words that come again and again; ").into_bytes().into_iter().cycle().take(bytes).collect()
}

async fn places(repository: &Repository, chunks: &[ChunkRef]) -> Vec<(Encoding, u32)> {
    let index = repository.index_for_writing().await.unwrap();
    let place = |chunk: &ChunkRef| index.get(&chunk.id).unwrap().map(|place| (place.encoding, place.offset)).unwrap();
    chunks.iter().map(place).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn small_chunks_of_one_piece_of_work_share_a_frame_and_each_is_packed_once() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let dedup = dedup(&repository).await;
    let known = keep(&dedup, &text(3, 5000)).unwrap();
    let kept = tokio::task::block_in_place(|| {
        let mut keeper = GroupKeeper::new(Arc::clone(&dedup), 1).unwrap();
        let mut kept: Vec<ChunkRef> = (0..6).map(|seed| keeper.keep(&text(seed, 5000)).unwrap()).collect();
        kept.push(keeper.keep(&text(0, 5000)).unwrap());
        kept.push(keeper.keep(&noise(1, 5000)).unwrap());
        kept.push(keeper.keep(&text(9, 200_000)).unwrap());
        assert!(
            !dedup.holds(&kept[0].id).unwrap() && dedup.holds(&known.id).unwrap(),
            "what is gathered is in no pack"
        );
        keeper.flush().unwrap();
        kept
    });
    assert!(kept.iter().all(|chunk| dedup.holds(&chunk.id).unwrap()));
    dedup.flush().await.unwrap();
    let places = places(&repository, &kept).await;
    let group = places[0];
    assert_eq!(group.0, Encoding::Group);
    assert!([1, 2, 4, 5, 6].iter().all(|member| places[*member] == group), "{places:?}");
    let alone = [places[3].0, places[7].0, places[8].0];
    assert_eq!(alone, [Encoding::Zstd, Encoding::Raw, Encoding::Zstd], "known before, noise, and large");
    assert_eq!(dedup.record().chunks_added(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tiny_chunks_than_a_group_may_have_go_into_two() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let dedup = dedup(&repository).await;
    let kept: Vec<ChunkRef> = tokio::task::block_in_place(|| {
        let mut keeper = GroupKeeper::new(Arc::clone(&dedup), 1).unwrap();
        let kept = (0..5000).map(|seed| keeper.keep(&text(seed, 40)).unwrap()).collect();
        keeper.flush().unwrap();
        kept
    });
    assert!(kept.iter().all(|chunk| dedup.holds(&chunk.id).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_packs_a_group_waits_for_nobody_before_it_is_packed() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let dedup = dedup(&repository).await;
    let chunks: Vec<Vec<u8>> = (0..3).map(|seed| text(seed, 5000)).collect();
    let ids: Vec<ChunkId> = chunks.iter().map(|plain| dedup.keys().blob_id(BlobKind::Data, plain)).collect();
    let Turn::Mine(others) = dedup.record().fresh().begin(ids[1]) else { panic!("it is new") };
    let keeping = Arc::clone(&dedup);
    let work = move || {
        let mut keeper = GroupKeeper::new(keeping, 1)?;
        chunks.iter().try_for_each(|plain| keeper.keep(plain).map(drop))?;
        keeper.flush()
    };
    let work = dedup.packs().workers().begin(work).await.unwrap();
    while !(dedup.holds(&ids[0]).unwrap() && dedup.holds(&ids[2]).unwrap()) {
        tokio::task::yield_now().await;
    }
    assert!(!work.is_finished() && !dedup.holds(&ids[1]).unwrap(), "it is the other's to pack");
    drop(others);
    work.await.unwrap().unwrap();
    assert!(dedup.holds(&ids[1]).unwrap(), "what the other gave up is packed all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_gather_the_same_chunks_in_opposite_orders_do_not_wait_for_each_other() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let dedup = dedup(&repository).await;
    let mut work = Vec::new();
    for turn in 0..4_usize {
        let keeping = Arc::clone(&dedup);
        work.push(move || {
            let mut keeper = GroupKeeper::new(keeping, 1)?;
            for round in 0..40 {
                let mut seeds: Vec<u64> = (round * 5..round * 5 + 5).collect();
                if turn % 2 == 1 {
                    seeds.reverse();
                }
                seeds.into_iter().try_for_each(|seed| keeper.keep(&text(seed, 3000)).map(drop))?;
                keeper.flush()?;
            }
            Ok::<_, Error>(())
        });
    }
    let mut begun = Vec::new();
    for work in work {
        begun.push(dedup.packs().workers().begin(work).await.unwrap());
    }
    for work in begun {
        work.await.unwrap().unwrap();
    }
    dedup.flush().await.unwrap();
    assert_eq!(dedup.record().chunks_added(), 200, "each is packed once");
}
