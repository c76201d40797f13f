//! The golden repositories of `tests/fixtures`: written once by an earlier build, read by every later one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

mod contents;
mod make;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use credenza_connect::file::FileStore;
use credenza_engine::{Repository, Secret};
use tempfile::TempDir;

use contents::{contents, findings};

/// The passphrase of `encrypted`, published.
const PASSPHRASE: &str = "golden, published, worth nothing";

/// Repositories, each in a folder with what it restores to (`CONTENTS`) and what `check --read-data` finds (`FINDINGS`).
const REPOSITORIES: [&str; 7] =
    ["encrypted", "plaintext", "hurt-data-pack", "hurt-metadata-pack", "hurt-index", "hurt-snapshot", "hurt-config"];

/// One with parity, which was made later.
const WITH_PARITY: &str = "hurt-with-parity";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

fn secret(name: &str) -> Secret {
    match name {
        "encrypted" => Secret::Passphrase(PASSPHRASE.as_bytes().to_vec().into()),
        _ => Secret::None,
    }
}

async fn open(name: &str, secret: &Secret) -> Repository {
    open_at(&folder(name), secret).await
}

async fn open_at(folder: &Path, secret: &Secret) -> Repository {
    let store = FileStore::open(folder.join("repository")).unwrap();
    Repository::open(Arc::new(store), secret, None).await.unwrap()
}

/// A copy to work with: a check puts on record what it finds, and golden repositories stay as they are.
fn copied(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    make::copy(&folder(name), copy.path());
    copy
}

fn recorded(name: &str, what: &str) -> String {
    std::fs::read_to_string(folder(name).join(what)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_repositories_restore_what_they_always_did() {
    for name in REPOSITORIES.into_iter().chain([WITH_PARITY]) {
        let copy = copied(name);
        let repository = open_at(copy.path(), &secret(name)).await;
        assert_eq!(contents(&repository).await, recorded(name, "CONTENTS"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_golden_repositories_check_finds_what_is_hurt_and_no_more() {
    for name in REPOSITORIES.into_iter().chain([WITH_PARITY]) {
        let copy = copied(name);
        let found = findings(&open_at(copy.path(), &secret(name)).await).await;
        assert_eq!(found, recorded(name, "FINDINGS"), "{name}");
        assert_eq!(found.is_empty(), !name.starts_with("hurt-"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_golden_recipients_open_it_as_well() {
    for name in ["recipient", "hybrid"] {
        let identity = recorded("encrypted", name).trim().parse().unwrap();
        let copy = copied("encrypted");
        let repository = open_at(copy.path(), &Secret::Identity(identity)).await;
        assert_eq!(findings(&repository).await, "", "{name}");
    }
}
