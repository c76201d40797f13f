//! How the golden repositories were made: one that holds everything that the format knows, one in plain text, and that one hurt.

use std::path::Path;
use std::sync::Arc;

use credenza_connect::file::FileStore;
use credenza_connect::memory::MemorySource;
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::{CreateOptions, Repository, RunContext, Secret, SnapshotHandle, SnapshotName, remove};
use credenza_format::{
    Access, ChunkerParams, EscrowedConnector, Fact, Hex, Identity, Note, ObjectKind, OriginHead, ParityRate,
    RecipientKind, Replica, SigningKey, seal_document,
};
use credenza_model::{
    AttributeValue, Checksum, Entry, EntryKind, Key, ObjectId, RepositoryId, SnapshotId, Timestamp, Version,
};

use crate::contents::{contents, findings};
use crate::{PASSPHRASE, REPOSITORIES, WITH_PARITY, folder, open, secret};

/// Bytes that do not shrink, the same for the same seed.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
    bytes
}

/// What a store keeps for a full disk is no object.
fn remove_reserve(name: &str) {
    for found in std::fs::read_dir(folder(name).join("repository")).unwrap().map(Result::unwrap) {
        if found.file_name().to_string_lossy().starts_with("~reserve") {
            std::fs::remove_file(found.path()).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the golden repositories again, which only a new version of the format needs"]
async fn the_golden_repositories_are_made() {
    for name in REPOSITORIES {
        let _ = std::fs::remove_dir_all(folder(name));
    }
    encrypted().await;
    plaintext().await;
    hurt("hurt-data-pack", "data", |path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        replace(path, &bytes);
    });
    hurt("hurt-metadata-pack", "meta", |path| replace(path, &std::fs::read(path).unwrap()[..300]));
    hurt("hurt-index", "index", |path| std::fs::remove_file(path).unwrap());
    hurt_snapshot().await;
    copy(&folder("plaintext"), &folder("hurt-config"));
    std::fs::remove_file(folder("hurt-config").join("repository/config")).unwrap();
    for name in REPOSITORIES {
        remove_reserve(name);
        let repository = open(name, &secret(name)).await;
        std::fs::write(folder(name).join("CONTENTS"), contents(&repository).await).unwrap();
        std::fs::write(folder(name).join("FINDINGS"), findings(&repository).await).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the golden repository with parity again, which only a new version of the format needs"]
async fn the_golden_repository_with_parity_is_made() {
    let _ = std::fs::remove_dir_all(folder(WITH_PARITY));
    let repository = create_with(WITH_PARITY, ChunkerParams::default(), ParityRate::of_percent(50)).await;
    let source = MemorySource::new();
    (0..10).for_each(|number| source.put(format!("file-{number}").as_str(), noise(number, 28_000)));
    back_up(&repository, "a", &source, None).await;
    remove_reserve(WITH_PARITY);
    // Five segments, of which two are hurt, and one of three shards.
    injure(WITH_PARITY, "data", |bytes| {
        (bytes[200], bytes[130_000]) = (bytes[200] ^ 1, bytes[130_000] ^ 1);
        bytes[0] ^= 1;
    });
    let data = files(&folder(WITH_PARITY).join("repository/data"))[0].file_name().unwrap().to_owned();
    injure(WITH_PARITY, &format!("parity/{}", data.to_str().unwrap()), |bytes| bytes[70_000] ^= 1);
    let repository = open(WITH_PARITY, &secret(WITH_PARITY)).await;
    let (contents, findings) = (contents(&repository).await, findings(&repository).await);
    assert_eq!((contents.lines().count(), findings.lines().count()), (10, 2), "{findings}");
    std::fs::write(folder(WITH_PARITY).join("CONTENTS"), contents).unwrap();
    std::fs::write(folder(WITH_PARITY).join("FINDINGS"), findings).unwrap();
}

/// Changes an object, or the only one in a folder.
fn injure(name: &str, object: &str, injure: impl Fn(&mut Vec<u8>)) {
    let path = folder(name).join("repository").join(object);
    let path = if path.is_dir() { files(&path).remove(0) } else { path };
    let mut bytes = std::fs::read(&path).unwrap();
    injure(&mut bytes);
    replace(&path, &bytes);
}

async fn create(name: &str, chunker: ChunkerParams) -> Repository {
    create_with(name, chunker, None).await
}

async fn create_with(name: &str, chunker: ChunkerParams, parity: Option<ParityRate>) -> Repository {
    std::fs::create_dir_all(folder(name)).unwrap();
    let store = FileStore::create(folder(name).join("repository")).unwrap();
    let options =
        CreateOptions { label: "golden".into(), chunker, compression: 3, parity, ..CreateOptions::new(secret(name)) };
    Repository::create(Arc::new(store), &options).await.unwrap();
    open(name, &secret(name)).await
}

async fn back_up(repository: &Repository, host: &str, source: &MemorySource, key: Option<&SigningKey>) -> SnapshotId {
    let options = BackupOptions {
        location: "memory:".into(),
        tags: vec!["golden".into()],
        host: host.into(),
        user: "user".into(),
        signing_key: key.cloned(),
        ..BackupOptions::default()
    };
    backup::run(repository, Arc::new(source.clone()), &options, &RunContext::default()).await.unwrap().snapshot.unwrap()
}

async fn find(repository: &Repository, id: SnapshotId) -> SnapshotHandle {
    repository.find(&SnapshotName(id.to_string())).await.unwrap()
}

/// Two epochs, four slots, notes, signed and unsigned snapshots, one that a writer committed, one that was removed, everything that an entry
/// can have, a tree with a root, and a content so long that lists name its chunks.
async fn encrypted() {
    let repository = create("encrypted", ChunkerParams::new(64, 256, 1024).unwrap()).await;
    std::fs::write(folder("encrypted").join("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
    let identities = [
        ("recipient", Access::Full, RecipientKind::X25519),
        ("writer", Access::Writer, RecipientKind::X25519),
        ("hybrid", Access::Full, RecipientKind::Hybrid),
    ];
    let mut secrets = Vec::new();
    for (name, access, kind) in identities {
        let identity = Identity::generate(kind).unwrap();
        std::fs::write(folder("encrypted").join(name), format!("{}\n", *identity.to_text())).unwrap();
        repository.add_slot(&Secret::Identity(identity.clone()).lock().unwrap(), access, name).await.unwrap();
        secrets.push(Secret::Identity(identity));
    }
    let signer = SigningKey::from_seed(&[7; 32]);
    let source = everything();
    let first = back_up(&repository, "a", &source, Some(&signer)).await;
    assert!(find(&repository, first).await.snapshot.tree.level > 0, "the tree is a leaf");
    source.put("noise", noise(2, 3000));
    let removed = back_up(&repository, "a", &source, Some(&signer)).await;
    source.put("noise", noise(3, 3000));
    source.remove(&Key::from("many/0007"));
    back_up(&repository, "a", &source, Some(&signer)).await;
    remove::run(&repository, &[find(&repository, removed).await], Some(&signer)).await.unwrap();
    let report = gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
    assert!(report.deleted > 0 && report.segments_merged > 0, "{report:?}");
    leave_notes(&repository);
    repository.rotate_keys(&secret("encrypted"), false).await.unwrap();
    let few = MemorySource::new();
    few.put("noise", noise(3, 3000));
    few.put("new", noise(4, 2000));
    back_up(&open("encrypted", &secret("encrypted")).await, "b", &few, None).await;
    few.put("newer", noise(5, 2000));
    back_up(&open("encrypted", &secrets[1]).await, "c", &few, None).await;
}

/// What nothing writes yet and everything reads: a signed note, one of a later program, and a connector in escrow.
fn leave_notes(repository: &Repository) {
    let head = OriginHead { writer: Hex([1; 16]), sequence: 7, digest: Hex([2; 32]) };
    let as_of = Timestamp { seconds: 1_800_000_000, nanoseconds: 120_000_000 };
    let replica =
        Replica { origin: RepositoryId::new([3; 16]), as_of, heads: vec![head], signer: None, signature: None };
    let fact = Fact::Replica(replica.signed(&SigningKey::from_seed(&[7; 32])));
    let note = Note { created: as_of, writer: Hex([4; 16]), fact }.encode().unwrap();
    let later = String::from_utf8(note.clone()).unwrap().replace("\"replica\"", "\"prophecy\"");
    let connector = EscrowedConnector { name: "s3".into(), release: "1".into(), component: noise(6, 3000) };
    let bodies = [
        (ObjectKind::Note, note),
        (ObjectKind::Note, later.into_bytes()),
        (ObjectKind::Connector, connector.encode().unwrap()),
    ];
    for (number, (kind, body)) in (1..).zip(bodies) {
        let sealed = seal_document(&repository.content_keys(), kind, ObjectId::new([number; 16]), &body).unwrap();
        let path = folder("encrypted").join("repository").join(sealed.key().as_str());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, sealed.pieces().concat()).unwrap();
    }
}

/// An entry of every kind, with everything that an entry can have.
fn everything() -> MemorySource {
    let source = MemorySource::new();
    let time = |nanoseconds| Timestamp { seconds: 1_800_000_000, nanoseconds };
    let mut directory = Entry::new("folder/".into(), EntryKind::Directory);
    directory.modified = Some(time(1));
    directory.attributes = vec![
        ("a-blob".into(), AttributeValue::Blob(vec![0, 255])),
        ("a-text".into(), AttributeValue::Text("ä".into())),
        ("a-time".into(), AttributeValue::Time(Timestamp { seconds: -1, nanoseconds: 999_999_999 })),
        ("an-integer".into(), AttributeValue::Integer(-5)),
    ];
    source.insert(directory, "");
    let mut link = Entry::new("folder/link".into(), EntryKind::Symlink);
    link.link_target = Some(b"../noise".to_vec());
    source.insert(link, "");
    let mut described = Entry::new("folder/described".into(), EntryKind::File);
    described.modified = Some(time(2));
    described.locator = Some(b"elsewhere".to_vec());
    described.checksums = vec![Checksum { algorithm: "crc32".into(), value: vec![1, 2, 3, 4] }];
    source.insert(described, "described\n".repeat(200));
    source.put("empty", "");
    source.put("folder/zeros", vec![0; 1_200_000]);
    source.put("noise", noise(1, 9000));
    source.put(Key::new(b"raw-\xff\xfe %".to_vec()), "not UTF-8");
    // So long that a leaf of the tree has room for ten of them.
    for number in 0..60 {
        let mut entry = Entry::new(format!("many/{number:04}").as_str().into(), EntryKind::File);
        entry.attributes = vec![("filler".into(), AttributeValue::Text("x".repeat(6000)))];
        source.insert(entry, format!("{number}"));
    }
    for (id, latest, deleted) in [("1", false, false), ("2", true, false)] {
        let mut entry = Entry::new("versioned".into(), EntryKind::File);
        entry.version = Some(Version { id: id.into(), latest, deleted });
        source.insert_version(entry, format!("version {id}"));
    }
    source
}

/// Two snapshots that share a part.
async fn plaintext() {
    let repository = create("plaintext", ChunkerParams::default()).await;
    for numbers in [0..4, 2..6] {
        let source = MemorySource::new();
        numbers.for_each(|number| source.put(format!("file-{number}").as_str(), noise(number, 700)));
        back_up(&repository, "a", &source, None).await;
    }
}

/// A copy of `plaintext` whose first object in a folder has suffered.
fn hurt(name: &str, kind: &str, suffer: impl Fn(&Path)) {
    copy(&folder("plaintext"), &folder(name));
    let mut files = files(&folder(name).join("repository").join(kind));
    files.sort();
    suffer(&files[0]);
}

/// A copy of `plaintext` whose first snapshot is gone.
async fn hurt_snapshot() {
    copy(&folder("plaintext"), &folder("hurt-snapshot"));
    let snapshots = open("hurt-snapshot", &Secret::None).await.snapshots().await.unwrap().whole;
    let first = snapshots.iter().find(|handle| handle.snapshot.sequence == 1).unwrap().store_key();
    std::fs::remove_file(folder("hurt-snapshot").join("repository").join(first.as_str())).unwrap();
}

pub(super) fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let copied = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(copied.parent().unwrap()).unwrap();
        std::fs::copy(&file, copied).unwrap();
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().map(|item| item.unwrap().path());
    all.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Objects may be read-only.
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}
