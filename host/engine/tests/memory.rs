//! The memory of maintenance: a million chunks, half of each pack no longer needed.
//!
//! Steps run in processes of their own, this test binary called again, so that the peak of one is not that of another.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here is a failed test")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use common::*;
use credenza_connect::Store;
use credenza_connect::file::FileStore;
use credenza_engine::{CreateOptions, Repository, Secret};
use credenza_format::{ChunkerParams, IndexSegment, Keyring, ObjectKind, open_document};
use credenza_model::ObjectId;

const NAME: &str = "maintenance_of_a_million_chunks_stays_below_200_mb";
const STEP: &str = "CREDENZA_TEST_STEP";
const FOLDER: &str = "CREDENZA_TEST_FOLDER";

/// The most memory that maintenance may hold, in bytes.
const MEMORY_BYTES_MAX: u64 = 200 * 1000 * 1000;
const CHUNKS: usize = 1_000_000;
/// Chunks are small, so that many of them are little: 256 bytes on average.
const CHUNK_BYTES: (u32, u32, u32) = (64, 256, 1024);
const FILES: u64 = 4900;
const FILE_BYTES: usize = 64 * 1024;

#[test]
fn maintenance_of_a_million_chunks_stays_below_200_mb() {
    let Ok(step) = std::env::var(STEP) else { return run_steps() };
    let folder = std::env::var(FOLDER).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match step.as_str() {
        "build" => runtime.block_on(build(folder.as_ref())),
        _ => runtime.block_on(maintain(folder.as_ref())),
    }
}

fn run_steps() {
    let folder = tempfile::tempdir().unwrap();
    for step in ["build", "maintain"] {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME, "--nocapture"]).env(STEP, step).env(FOLDER, folder.path());
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{step}: {said}{}", String::from_utf8_lossy(&output.stderr));
        println!("{said}");
    }
}

/// Two snapshots, of which the first, which needs everything, is removed again; the second needs every other file.
async fn build(folder: &Path) {
    let store: Arc<dyn Store> = Arc::new(FileStore::create(folder).unwrap());
    let (min, avg, max) = CHUNK_BYTES;
    let chunker = ChunkerParams::new(min, avg, max).unwrap();
    let options = CreateOptions { label: "test".into(), chunker, ..CreateOptions::new(Secret::None) };
    Repository::create(Arc::clone(&store), &options).await.unwrap();
    let repository = open(store, &Secret::None).await;
    let all: Files = (0..FILES).map(|number| (format!("file-{number:05}"), noise(number, FILE_BYTES).into())).collect();
    let first = backup(&repository, "a", &all).await.unwrap();
    let half: Files = all.into_iter().step_by(2).collect();
    backup(&repository, "a", &half).await.unwrap();
    let chunks = count_chunks(folder, &repository);
    assert!(chunks >= CHUNKS, "{chunks} chunks");
    rm(&repository, first).await;
}

/// Chunks that the index segments describe, without encryption.
fn count_chunks(folder: &Path, repository: &Repository) -> usize {
    let keys = Keyring::public().keys(repository.config().repository);
    let names = std::fs::read_dir(folder.join("index")).unwrap();
    let segments = names.map(|entry| {
        let path = entry.unwrap().path();
        let id: ObjectId = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let body = open_document(&keys, ObjectKind::Index, id, std::fs::read(path).unwrap()).unwrap();
        IndexSegment::decode(&body).unwrap()
    });
    segments.flat_map(|segment| segment.packs).map(|pack| pack.blobs.len()).sum()
}

async fn maintain(folder: &Path) {
    let store = Arc::new(FileStore::open(folder).unwrap());
    let repository = open(store, &Secret::None).await;
    let report = collect(&repository).await.unwrap();
    let peak = peak_bytes();
    println!("{report:?}, {peak} bytes of memory at most");
    assert!(report.repacked > 0 && report.bytes_freed > 100_000_000, "{report:?}");
    assert!(peak > 0 && peak <= MEMORY_BYTES_MAX, "{peak} bytes of memory");
}
