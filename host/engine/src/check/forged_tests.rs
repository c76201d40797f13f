//! What a stolen writer forges under seals that hold: packs with other content than their tables say, index segments that lie, and records of condemned
//! packs. `SECURITY.md` says what comes of it: never that something is deleted which a snapshot needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::random::Dice;
use credenza_connect::{PutOptions, Store};
use credenza_format::{
    Condemned, Encoding, Frame, IndexSegment, ObjectKind, PackBlob, PackBuilder, PackKind, PackRecord, seal_document,
};
use credenza_model::{ChunkId, ObjectId, SnapshotId, Timestamp};

use super::*;
use crate::gc::{self, GcOptions};
use crate::remove;
use crate::repair::{self, RepairOptions, RepairReport};
use crate::repository::random_id;
use crate::testing::{contents, expect_whole, handle, noise, open, repository, secret, snapshot};
use crate::write::put;

/// A repository, and what its honest machines have put there.
struct World {
    store: MemoryStore,
    thief: Repository,
    kept: Vec<(SnapshotId, BTreeMap<String, Vec<u8>>)>,
}

impl World {
    async fn new() -> Self {
        Self::on(MemoryStore::new()).await
    }

    async fn on(store: MemoryStore) -> Self {
        let thief = repository(Arc::new(store.clone()), secret(), None).await;
        Self { store, thief, kept: Vec::new() }
    }

    async fn open(&self) -> Repository {
        open(Arc::new(self.store.clone()), secret()).await
    }

    /// Backs up some files of 2,000 bytes, each with a seed of its own.
    async fn back_up(&mut self, seeds: &[u64]) -> SnapshotId {
        let (source, mut files) = (MemorySource::new(), BTreeMap::new());
        for seed in seeds {
            source.put(format!("{seed:03}").as_str(), noise(*seed, 2000));
            files.insert(format!("{seed:03}"), noise(*seed, 2000));
        }
        let id = snapshot(&self.open().await, &source).await;
        self.kept.push((id, files));
        id
    }

    async fn remove(&mut self, id: SnapshotId) {
        let repository = self.open().await;
        remove::run(&repository, &[handle(&repository, id).await], None).await.unwrap();
        self.kept.retain(|(kept, _)| *kept != id);
    }

    /// Demands that every honest snapshot restores.
    async fn expect_all(&self, when: &str) {
        for (id, files) in &self.kept {
            let found = contents(&self.open().await, *id).await;
            let found: BTreeMap<String, Vec<u8>> =
                found.into_iter().map(|(key, (_, bytes))| (key.to_string(), bytes)).collect();
            assert_eq!(found, *files, "{when}");
        }
    }

    /// What segments say of packs.
    async fn described(&self) -> Vec<PackRecord> {
        let mut packs: BTreeMap<ObjectId, PackRecord> = BTreeMap::new();
        for id in self.named(ObjectKind::Index) {
            for pack in self.thief.segment(id).await.unwrap().unwrap().packs {
                packs.insert(pack.id, pack);
            }
        }
        packs.into_values().collect()
    }

    fn named(&self, kind: ObjectKind) -> Vec<ObjectId> {
        let parsed = self.store.keys().into_iter().filter_map(|key| ObjectKind::parse(&key));
        parsed.filter(|(found, _)| *found == kind).map(|(_, id)| id).collect()
    }

    async fn forge(&self, kind: ObjectKind, body: Vec<u8>) {
        let id = ObjectId::new(random_id().unwrap());
        put(&self.store, seal_document(self.thief.keys(), kind, id, &body).unwrap(), None).await.unwrap();
    }

    async fn describe(&self, packs: Vec<PackRecord>, supersedes: Vec<ObjectId>) {
        self.forge(ObjectKind::Index, IndexSegment { packs, supersedes, locks: Vec::new() }.encode().unwrap()).await;
    }

    async fn condemn(&self, packs: Vec<ObjectId>) {
        let record = Condemned { packs, connectors: Vec::new(), created: Timestamp::default() };
        self.forge(ObjectKind::Condemned, record.encode().unwrap()).await;
    }

    /// A pack whose table says that it holds these chunks, and that holds other bytes.
    async fn pack_of_lies(&self, kind: PackKind, blobs: &[PackBlob]) -> PackRecord {
        let mut pack = PackBuilder::new(self.thief.keys(), kind).unwrap();
        for blob in blobs {
            let stored = noise(9999, blob.plain as usize);
            let (id, kind, encoding) = (blob.id, blob.kind, Encoding::Raw);
            pack.push(Frame { id, kind, encoding, plain_length: blob.plain, stored: &stored }).unwrap();
        }
        let sealed = pack.finish().unwrap();
        put(&self.store, sealed.object, None).await.unwrap();
        sealed.pack
    }

    async fn findings(&self) -> Vec<Finding> {
        let all = CheckOptions::reading(Sample::All);
        run(&self.open().await, &all, &RunContext::default()).await.unwrap().findings
    }

    async fn repair(&self) -> RepairReport {
        let options = RepairOptions { apply: true, read_data: true, ..RepairOptions::default() };
        repair::run(&self.open().await, &options, &RunContext::default()).await.unwrap()
    }

    /// Collects; damage may keep it from that.
    async fn collect(&self) {
        let collected = gc::run(&self.open().await, &GcOptions::default(), &RunContext::default()).await;
        assert!(matches!(collected, Ok(_) | Err(crate::Error::Damage(_))), "{:?}", collected.err());
    }
}

/// How a claim of chunks lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// There is no such pack.
    Absent,
    /// The thief's own pack says so, too, and holds something else.
    Own,
    /// The pack is another's, and says otherwise.
    Others,
}

/// A place where the thief guesses that somebody is going to back up a file.
async fn guessed(seed: u64) -> (World, World, Vec<PackBlob>) {
    let mut there = World::new().await;
    there.back_up(&[1, 2, 3, 4]).await;
    let store = MemoryStore::new();
    for key in there.store.keys() {
        let bytes = there.store.bytes(&key).unwrap();
        store.put(&key, bytes.into(), &PutOptions::default()).await.unwrap();
    }
    let thief = open(Arc::new(store.clone()), secret()).await;
    let mut elsewhere = World { store, thief, kept: Vec::new() };
    let known: BTreeSet<ObjectId> = elsewhere.described().await.into_iter().map(|pack| pack.id).collect();
    elsewhere.back_up(&[seed]).await;
    let mut brought = elsewhere.described().await;
    brought.retain(|pack| pack.kind == PackKind::Data && !known.contains(&pack.id));
    (there, elsewhere, brought.remove(0).blobs)
}

#[tokio::test]
async fn a_forged_claim_of_chunks_is_found_and_repair_and_another_backup_mend_what_relied_on_it() {
    for claim in [Claim::Absent, Claim::Own, Claim::Others] {
        let (mut world, elsewhere, blobs) = guessed(7).await;
        let pack = match claim {
            Claim::Absent => {
                let mut brought = elsewhere.described().await;
                brought.retain(|pack| pack.blobs == blobs);
                brought.remove(0)
            }
            Claim::Own => world.pack_of_lies(PackKind::Data, &blobs).await,
            Claim::Others => {
                let mut theirs = world.described().await;
                theirs.retain(|pack| pack.kind == PackKind::Data);
                PackRecord { blobs, ..theirs.remove(0) }
            }
        };
        world.describe(vec![pack.clone()], Vec::new()).await;
        let relying = world.back_up(&[7]).await;
        let damaged = |object: &str| object == pack.kind.object_kind().store_key(pack.id).to_string();
        let findings = world.findings().await;
        let found = findings.iter().map(|finding| (finding.damage.object.as_str(), finding.affects.contains(&relying)));
        match claim {
            // The pack itself refutes it, so that nobody has relied on it.
            Claim::Others => {
                assert!(found.clone().all(|(object, affects)| object.starts_with("index/") && !affects))
            }
            _ => assert!(found.clone().all(|(object, affects)| damaged(object) && affects), "{findings:?}"),
        }
        assert_eq!(found.count(), 1, "{claim:?}");
        let honest = world.kept.remove(0);
        let relying = std::mem::replace(&mut world.kept, vec![honest]);
        world.expect_all("beside the forged claim").await;
        assert_eq!(world.repair().await.mends.len(), 1, "{claim:?}");
        world.back_up(&[7]).await;
        world.kept.extend(relying);
        world.expect_all("after repair and another backup").await;
        expect_whole(&world.open().await).await;
        for _ in 0..3 {
            world.collect().await;
            world.expect_all("after maintenance").await;
        }
        expect_whole(&world.open().await).await;
    }
}

#[tokio::test]
async fn a_pack_that_a_segment_calls_moved_goes_only_when_its_chunks_were_read_elsewhere() {
    let mut world = World::new().await;
    world.back_up(&[1, 2, 3, 4]).await;
    for pack in world.described().await {
        let own = world.pack_of_lies(pack.kind, &pack.blobs).await;
        world.describe(vec![own, PackRecord { moved: true, ..pack.clone() }], Vec::new()).await;
        world.condemn(vec![pack.id]).await;
        for _ in 0..2 {
            world.collect().await;
            world.expect_all("after maintenance").await;
        }
    }
}

/// Some lies of a thief who knows what is there.
async fn lie(world: &World, random: &mut Dice) {
    let packs = world.described().await;
    let pack = packs[random.below(packs.len() as u64) as usize].clone();
    let segments = world.named(ObjectKind::Index);
    let other = packs[random.below(packs.len() as u64) as usize].clone();
    match random.below(9) {
        0 => world.describe(vec![PackRecord { moved: true, ..pack }], Vec::new()).await,
        1 => {
            let own = world.pack_of_lies(pack.kind, &pack.blobs).await;
            world.describe(vec![own, PackRecord { moved: true, ..pack }], Vec::new()).await;
        }
        2 => {
            // Whatever is in any pack is in this one, too.
            for kind in [PackKind::Data, PackKind::Meta] {
                let all: Vec<PackBlob> =
                    packs.iter().filter(|pack| pack.kind == kind).flat_map(|pack| pack.blobs.clone()).collect();
                let own = world.pack_of_lies(kind, &all).await;
                world.describe(vec![own], Vec::new()).await;
            }
        }
        3 => world.condemn(vec![pack.id]).await,
        4 => world.condemn(packs.iter().map(|pack| pack.id).collect()).await,
        5 => world.describe(Vec::new(), segments).await,
        6 => {
            // As many chunks, and all of them others.
            let blobs = pack.blobs.iter().map(|blob| {
                let id = other
                    .blobs
                    .iter()
                    .find(|other| other.kind == blob.kind)
                    .map_or(ChunkId::new([7; 32]), |one| one.id);
                PackBlob { id, ..*blob }
            });
            let blobs = blobs.collect();
            world.describe(vec![PackRecord { blobs, moved: random.below(2) == 0, ..pack }], Vec::new()).await;
        }
        7 => {
            let blobs = pack.blobs.iter().take(1).copied().collect();
            world.describe(vec![PackRecord { blobs, ..pack }], segments).await;
        }
        _ => {
            let lie = match random.below(4) {
                0 => PackRecord { sha256: [1; 32], ..pack },
                1 => PackRecord { size: pack.size + 512, ..pack },
                2 => PackRecord { header: other.header, ..pack },
                _ => PackRecord { version: Some("another".to_owned()), ..pack },
            };
            world.describe(vec![lie], Vec::new()).await;
        }
    }
}

#[tokio::test]
async fn nothing_that_a_thief_can_forge_makes_maintenance_or_repair_delete_what_a_snapshot_needs() {
    for seed in 0..40 {
        let mut random = Dice::new(seed);
        let store = if seed % 2 == 0 { MemoryStore::new() } else { MemoryStore::versioned() };
        let mut world = World::on(store).await;
        let mut removable = Vec::new();
        for number in 0..3 {
            let first = number * 4;
            world.back_up(&(first..first + 6).collect::<Vec<_>>()).await;
            removable.push(world.back_up(&(first + 3..first + 9).collect::<Vec<_>>()).await);
        }
        for _ in 0..3 {
            for _ in 0..=random.below(2) {
                lie(&world, &mut random).await;
            }
            world.expect_all(&format!("seed {seed}, after lies")).await;
            if random.below(2) == 0
                && let Some(gone) = removable.pop()
            {
                world.remove(gone).await;
            }
            world.collect().await;
            world.expect_all(&format!("seed {seed}, after maintenance")).await;
            if random.below(2) == 0 {
                world.repair().await;
                world.expect_all(&format!("seed {seed}, after repair")).await;
                world.collect().await;
                world.expect_all(&format!("seed {seed}, after repair and maintenance")).await;
            }
        }
        world.repair().await;
        world.collect().await;
        world.expect_all(&format!("seed {seed}, at the end")).await;
    }
}
