//! The chains of snapshots, one a writer, judged by what is stated in the clear.
//!
//! Pure: facts in, damage out. Memory: some 200 bytes a snapshot, live or removed.

use std::collections::{BTreeMap, BTreeSet};

use credenza_format::{ChainLink, Digest, Hex, ObjectKind, PublicKey, Removal, RemovedSnapshot, removal_key};
use credenza_model::{ObjectId, SnapshotId, StoreKey};
use serde::{Deserialize, Serialize};

use super::SnapshotHandle;
use crate::{Damage, DamageKind};

type Writer = Hex<[u8; 16]>;

/// Places of one chain that are put on record at once without anybody naming them: a number may be a lie.
const PLACES_MAX: usize = 10_000;

/// The newest snapshot of a writer: what to remember, so that a later audit can tell a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    /// Who committed it.
    pub writer: Hex<[u8; 16]>,
    /// Its number among the writer's.
    pub sequence: u64,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// SHA-256 of its whole object.
    pub digest: Digest,
}

/// What the object of a snapshot states, its signature verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stated {
    pub(crate) snapshot: SnapshotId,
    pub(crate) link: ChainLink,
    pub(crate) signer: Option<PublicKey>,
    pub(crate) digest: Digest,
}

impl From<&SnapshotHandle> for Stated {
    fn from(handle: &SnapshotHandle) -> Self {
        let snapshot = &handle.snapshot;
        Self { snapshot: snapshot.id, link: snapshot.link(), signer: snapshot.signer, digest: handle.digest }
    }
}

impl Stated {
    fn head(&self) -> Head {
        let ChainLink { writer, sequence, .. } = self.link;
        Head { writer, sequence, snapshot: self.snapshot, digest: self.digest }
    }

    fn damage(&self, kind: DamageKind, detail: impl Into<String>) -> (Damage, Option<SnapshotId>) {
        (Damage::new(&snapshot_key(self.snapshot), kind, detail), Some(self.snapshot))
    }
}

/// Whose word counts: everybody's, when nobody is named.
pub(crate) struct Trust<'a>(pub(crate) &'a [PublicKey]);

impl Trust<'_> {
    /// What is wrong with something that this one signed.
    fn complaint(&self, signer: Option<PublicKey>) -> Option<(DamageKind, String)> {
        match signer {
            _ if self.0.is_empty() => None,
            None => {
                Some((DamageKind::Unsigned, "it bears no signature, and only trusted signers are accepted".to_owned()))
            }
            Some(signer) if self.0.contains(&signer) => None,
            Some(signer) => Some((DamageKind::Intruder, format!("it is signed by {signer}, who is not trusted"))),
        }
    }

    fn accepts(&self, signer: Option<PublicKey>) -> bool {
        self.complaint(signer).is_none()
    }
}

/// What was found, and the snapshot that it affects.
pub(crate) type Found = Vec<(Damage, Option<SnapshotId>)>;

/// Everything that the objects of a repository state about chains.
#[derive(Default)]
pub(crate) struct Chains {
    live: Vec<Stated>,
    removals: Vec<Removal>,
}

impl Chains {
    pub(crate) fn add(&mut self, stated: Stated) {
        self.live.push(stated);
    }

    /// A record and its copy are one.
    pub(crate) fn add_removal(&mut self, removal: Removal) {
        if !self.removals.contains(&removal) {
            self.removals.push(removal);
        }
    }

    /// The newest trusted snapshot of each writer.
    pub(crate) fn heads(&self, trust: &Trust<'_>) -> Vec<Head> {
        let mut heads: BTreeMap<Writer, Head> = BTreeMap::new();
        for head in self.live.iter().filter(|stated| trust.accepts(stated.signer)).map(Stated::head) {
            let newest = heads.entry(head.writer).or_insert(head);
            *newest = head.max(*newest);
        }
        heads.into_values().collect()
    }

    /// Everything that is wrong with the chains, also against heads remembered from earlier audits.
    pub(crate) fn judge(&self, trust: &Trust<'_>, remembered: &[Head]) -> Found {
        let mut found = self.strangers(trust);
        let chains = self.by_writer(trust);
        for chain in chains.values() {
            found.extend(chain.broken_links());
            found.extend(chain.forks(trust));
            found.extend(chain.replayed());
        }
        let lost = remembered.iter().filter(|head| !chains.get(&head.writer).is_some_and(|chain| chain.knows(head)));
        found.extend(lost.map(rolled_back));
        found
    }

    /// Snapshots that miss the one before them, to whoever trusts everybody.
    pub(crate) fn gaps(&self) -> Found {
        self.by_writer(&Trust(&[])).values().flat_map(Chain::broken_links).collect()
    }

    /// What snapshots miss before them, as it would stand on record if it had been removed. Ids are not known, and digests only of those
    /// that a snapshot names.
    pub(crate) fn missing(&self) -> Vec<RemovedSnapshot> {
        self.by_writer(&Trust(&[])).into_iter().flat_map(|(writer, chain)| chain.missing(writer)).collect()
    }

    fn by_writer(&self, trust: &Trust<'_>) -> BTreeMap<Writer, Chain<'_>> {
        let mut chains: BTreeMap<Writer, Chain<'_>> = BTreeMap::new();
        for stated in &self.live {
            chains.entry(stated.link.writer).or_default().live.push(stated);
        }
        for removed in self.removed(trust) {
            chains.entry(removed.writer).or_default().removed.push(removed);
        }
        chains
    }

    /// What bears no trusted signature.
    fn strangers(&self, trust: &Trust<'_>) -> Found {
        let snapshots = self
            .live
            .iter()
            .filter_map(|stated| trust.complaint(stated.signer).map(|(kind, detail)| stated.damage(kind, detail)));
        let removals = self.removals.iter().filter_map(|removal| {
            let (kind, detail) = trust.complaint(removal.signer)?;
            Some((Damage::new(&removal_key(removal.id), kind, detail), None))
        });
        snapshots.chain(removals).collect()
    }

    fn removed(&self, trust: &Trust<'_>) -> impl Iterator<Item = &RemovedSnapshot> {
        self.removals.iter().filter(|removal| trust.accepts(removal.signer)).flat_map(|removal| &removal.snapshots)
    }
}

/// The chain of one writer: what is there, and what was removed on record.
#[derive(Default)]
struct Chain<'a> {
    live: Vec<&'a Stated>,
    removed: Vec<&'a RemovedSnapshot>,
}

impl Chain<'_> {
    /// Sequence and digest of all that was ever committed, as far as is known.
    fn known(&self) -> BTreeSet<(u64, Digest)> {
        let live = self.live.iter().map(|stated| (stated.link.sequence, stated.digest));
        live.chain(self.removed.iter().map(|removed| (removed.sequence, removed.digest))).collect()
    }

    fn knows(&self, head: &Head) -> bool {
        self.known().contains(&(head.sequence, head.digest))
    }

    fn broken_links(&self) -> Found {
        let known = self.known();
        let sequences: BTreeSet<u64> = known.iter().map(|(sequence, _)| *sequence).collect();
        let mut live = self.live.clone();
        live.sort_unstable_by_key(|stated| stated.link.sequence);
        let (mut found, mut below) = (Found::new(), 0);
        for stated in live {
            let ChainLink { writer, sequence, previous } = stated.link;
            let gap = sequence.saturating_sub(below).saturating_sub(1);
            let accounted =
                sequences.range(below.saturating_add(1)..sequence.max(below.saturating_add(1))).count() as u64;
            let follows = match previous {
                None => sequence == 1,
                Some(digest) => known.contains(&(sequence.saturating_sub(1), digest)),
            };
            if !follows || gap > accounted {
                let missing = gap.saturating_sub(accounted).max(1);
                let detail = format!(
                    "it is number {sequence} of writer {writer}, and {missing} of those before it are neither there as they were nor on record as removed"
                );
                found.push(stated.damage(DamageKind::MissingLink, detail));
            }
            below = sequence;
        }
        found
    }

    fn missing(&self, writer: Writer) -> Vec<RemovedSnapshot> {
        let known = self.known();
        let named =
            self.live.iter().filter_map(|stated| Some((stated.link.sequence.checked_sub(1)?, stated.link.previous?)));
        let mut places: BTreeMap<u64, BTreeSet<Digest>> = BTreeMap::new();
        for (sequence, digest) in named.filter(|place| !known.contains(place)) {
            places.entry(sequence).or_default().insert(digest);
        }
        let newest = self.live.iter().map(|stated| stated.link.sequence).max().unwrap_or_default();
        let known: BTreeSet<u64> = known.into_iter().map(|(sequence, _)| sequence).collect();
        for sequence in (1..newest).filter(|sequence| !known.contains(sequence)).take(PLACES_MAX) {
            places.entry(sequence).or_insert_with(|| [Hex([0; 32])].into());
        }
        let removed =
            |sequence, digest| RemovedSnapshot { snapshot: SnapshotId::new([0; 16]), writer, sequence, digest };
        places
            .into_iter()
            .flat_map(|(sequence, digests)| digests.into_iter().map(move |digest| removed(sequence, digest)))
            .collect()
    }

    /// Trusted snapshots that claim one place. What was removed has left its place to the next.
    fn forks(&self, trust: &Trust<'_>) -> Found {
        let mut places: BTreeMap<u64, Vec<&Stated>> = BTreeMap::new();
        let removed = self.removed_digests();
        let live = self.live.iter().filter(|stated| !removed.contains(&stated.digest));
        for stated in live.filter(|stated| trust.accepts(stated.signer)) {
            places.entry(stated.link.sequence).or_default().push(stated);
        }
        let forked = places.into_values().filter(|claimants| claimants.len() > 1).flatten();
        let fork = |stated: &Stated| {
            let ChainLink { writer, sequence, .. } = stated.link;
            stated.damage(DamageKind::Fork, format!("it is not the only number {sequence} of writer {writer}"))
        };
        forked.map(fork).collect()
    }

    fn removed_digests(&self) -> BTreeSet<Digest> {
        self.removed.iter().map(|removed| removed.digest).collect()
    }

    fn replayed(&self) -> Found {
        let removed = self.removed_digests();
        let replayed = self.live.iter().filter(|stated| removed.contains(&stated.digest));
        let detail =
            "it is on record as removed: either its removal was interrupted (remove it again), or somebody put it back";
        replayed.map(|stated| stated.damage(DamageKind::Replayed, detail)).collect()
    }
}

fn rolled_back(head: &Head) -> (Damage, Option<SnapshotId>) {
    let Head { writer, sequence, snapshot, digest } = head;
    let detail = format!(
        "it was number {sequence} of writer {writer} with SHA-256 {digest}, and is neither there as it was nor on record as removed"
    );
    (Damage::new(&snapshot_key(*snapshot), DamageKind::Rollback, detail), Some(*snapshot))
}

fn snapshot_key(snapshot: SnapshotId) -> StoreKey {
    ObjectKind::Snapshot.store_key(ObjectId::new(*snapshot.as_bytes()))
}
