//! Structure: documents open, packs are there in the size recorded, trees lead to chunks that the index knows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use credenza_connect::{StoredObject, Strays};
use credenza_format::{
    BlobIndex, Condemned, EscrowedConnector, IndexedPack, Intent, Node, ObjectKind, PackOrdinal, PackState, ParityRate,
    Removal, Usage, body_digest, is_object_name, open_document, parity_key, parity_pack, plain_length,
};
use credenza_model::{ChunkId, ChunkRef, Content, ObjectId, Record, SnapshotId};

use super::data::{DESCRIBED_BLOBS, described, groups};
use super::users::Users;
use super::{Leftovers, ids, kind_of};
use crate::blobs::{BlobLoader, read_range};
use crate::contents::ContentChunks;
use crate::findings::Findings;
use crate::repository::{Repository, SnapshotHandle, TwoCopies, lacking};
use crate::{Damage, DamageKind, Error, Result};

/// Nodes opened at once: some 4 MiB.
const NODES_IN_WINDOW: usize = 64;

/// What the usage lists say.
#[derive(Default)]
pub(super) struct Usages {
    pub(super) users: Users,
    /// Lists without a snapshot.
    pub(super) ownerless: BTreeSet<SnapshotId>,
}

/// Opens every usage list and compares it with what its snapshot says of it.
pub(super) async fn usages(
    repository: &Repository,
    snapshots: &[SnapshotHandle],
    findings: &mut Findings<'_>,
) -> Result<Usages> {
    let mut usages = Usages::default();
    let mut missing: HashMap<ObjectId, &SnapshotHandle> =
        snapshots.iter().map(|handle| (ObjectId::new(*handle.snapshot.id.as_bytes()), handle)).collect();
    for document in repository.documents(repository.bare_store(), ObjectKind::Usage).await? {
        let Some(handle) = missing.remove(&document.id) else {
            usages.ownerless.insert(SnapshotId::new(*document.id.as_bytes()));
            document.body.err().into_iter().for_each(|damage| findings.add(damage, None));
            continue;
        };
        let id = handle.snapshot.id;
        let usage = document.body.and_then(|body| {
            if body_digest(&body) != handle.snapshot.usage {
                return Err(Damage::new(
                    &document.key,
                    DamageKind::Invalid,
                    "it is not the list that its snapshot names",
                ));
            }
            Usage::decode(&body).map_err(|cause| Damage::new(&document.key, DamageKind::Invalid, cause.to_string()))
        });
        match usage {
            Ok(usage) if usage.packs_digest() == handle.snapshot.packs.digest => usages.users.add(id, usage),
            Ok(_) => findings.add(
                Damage::new(&document.key, DamageKind::Invalid, "it names other packs than its snapshot relies on"),
                [id],
            ),
            Err(damage) => findings.add(damage, [id]),
        }
    }
    for (id, handle) in missing {
        findings.add(
            Damage::new(
                &ObjectKind::Usage.store_key(id),
                DamageKind::Missing,
                "the usage list of a snapshot is not in the store",
            ),
            [handle.snapshot.id],
        );
    }
    Ok(usages)
}

/// Opens intents, records of condemned packs and escrowed connectors; what is in them is not kept. Counts the intents.
pub(super) async fn small_objects(repository: &Repository, findings: &mut Findings<'_>) -> Result<Leftovers> {
    let (store, mut leftovers) = (repository.bare_store(), Leftovers::default());
    for kind in [ObjectKind::Intent, ObjectKind::Condemned, ObjectKind::Connector] {
        let open = |id, bytes| open_document(repository.keys(), kind, id, bytes).and_then(|body| decode(kind, &body));
        for document in repository.documents_opened(store, kind, &open).await? {
            if kind == ObjectKind::Intent {
                leftovers.intents += 1;
                leftovers.add(document.object.modified);
            }
            document.body.err().into_iter().for_each(|damage| findings.add(damage, None));
        }
    }
    Ok(leftovers)
}

/// Whether a body is that of its kind.
fn decode(kind: ObjectKind, body: &[u8]) -> credenza_format::Result<()> {
    match kind {
        ObjectKind::Intent => Intent::decode(body).map(drop),
        ObjectKind::Condemned => Condemned::decode(body).map(drop),
        ObjectKind::Connector => EscrowedConnector::decode(body).map(drop),
        _ => Ok(()),
    }
}

/// What the text documents say, each of which is kept twice.
#[derive(Default)]
pub(super) struct Texts {
    /// What is on record as removed.
    pub(super) removals: Vec<Removal>,
    /// Documents whose copy is not there, or is an older one.
    pub(super) lacking_copies: u64,
}

/// Opens and verifies the config, key slots and records of removal.
pub(super) async fn texts(repository: &Repository, findings: &mut Findings<'_>) -> Result<Texts> {
    let mut texts = Texts::default();
    texts.note(&repository.twofold_config().await?, findings);
    repository.twofold_slots().await?.iter().for_each(|slot| texts.note(slot, findings));
    for removal in repository.removals().await? {
        texts.note(&removal, findings);
        texts.removals.extend(removal.into_best().and_then(Result::ok));
    }
    Ok(texts)
}

impl Texts {
    fn note<T>(&mut self, found: &TwoCopies<T>, findings: &mut Findings<'_>) {
        found.damages().into_iter().for_each(|damage| findings.add(damage, None));
        self.lacking_copies += u64::from(found.lacks_copy());
    }
}

/// The packs that the index names, against the listing of the store.
pub(crate) struct Packs {
    /// Those that are there in the right size.
    pub(crate) present: Vec<PackOrdinal>,
    /// Those that are there and that the index does not name.
    pub(crate) undescribed: Vec<StoredObject>,
    /// What lies beside the objects of the repository.
    pub(crate) strays: Strays,
}

/// A pack that collectors have deleted as they may is no damage; afterwards the index names no place in it.
pub(super) async fn packs(
    repository: &Repository,
    index: &mut BlobIndex,
    users: &Users,
    findings: &mut Findings<'_>,
) -> Result<Packs> {
    let store = repository.bare_store();
    let (all, mut strays) = repository.list_everything(&**store).await?;
    let (mut listed, mut parities) = (BTreeMap::new(), HashMap::new());
    for object in all {
        if let Some(pack) = parity_pack(&object.key) {
            parities.insert(pack, object.size);
        }
        match kind_of(&object.key) {
            Some(ObjectKind::DataPack | ObjectKind::MetaPack) => drop(listed.insert(object.key.clone(), object)),
            None if !is_object_name(&object.key) => strays.add(object.key.as_str().as_bytes()),
            _ => {}
        }
    }
    // A record that cannot be read is found by `small_objects`.
    let (condemned, _) = repository.condemned_records().await?;
    let (mut present, mut deleted, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for (ordinal, pack) in (0..).map(PackOrdinal).zip(index.packs()) {
        let key = pack.store_key();
        let affected = users.affected(&pack.id);
        let size = listed.remove(&key).map(|object| object.size);
        let is_right = size == Some(pack.size);
        let is_deleted = size.is_none() && condemned.contains(&pack.id) && (pack.moved || affected.is_empty());
        if !is_right && !is_deleted && is_readable(repository, pack).await? {
            present.push(ordinal);
            let detail =
                "something was put over the pack or hides it; the version that was written is there and is read";
            findings.add(Damage::new(&key, DamageKind::Hidden, detail), None);
            continue;
        }
        match size {
            Some(_) if is_right => present.push(ordinal),
            Some(size) => {
                let detail = format!("it has {size} bytes where {} were written", pack.size);
                let damage = Damage::new(&key, DamageKind::Size, detail);
                match pack.moved {
                    true => moved.push((ordinal, damage)),
                    false => findings.add(damage, affected),
                }
            }
            None if is_deleted => deleted.push(pack.id),
            None => findings.add(Damage::new(&key, DamageKind::Missing, "the pack is not in the store"), affected),
        }
    }
    add_unreplaced(index, users, moved, findings)?;
    if let Some(rate) = repository.config().parity {
        let kept = present.iter().filter_map(|ordinal| index.pack(*ordinal));
        let kept = kept.filter(|pack| !pack.moved && !condemned.contains(&pack.id));
        kept.filter_map(|pack| wrong_parity(rate, pack, &parities)).for_each(|damage| findings.add(damage, None));
    }
    deleted.iter().for_each(|pack| index.demote(pack, PackState::Gone));
    let indexed: HashSet<ObjectId> = index.packs().iter().map(|pack| pack.id).collect();
    for (pack, used) in users.iter().filter(|(pack, _)| !indexed.contains(*pack)) {
        let detail = format!("no index segment describes pack {pack}, which snapshots rely on");
        findings.add(
            Damage { object: undescribed(pack), kind: DamageKind::Missing, chunk: None, detail },
            used.snapshots.clone(),
        );
    }
    Ok(Packs { present, undescribed: listed.into_values().collect(), strays })
}

/// What a listing tells of the parity of a pack that is there. It is put before the pack is described, and deleted when nobody needs the pack.
fn wrong_parity(rate: ParityRate, pack: &IndexedPack, listed: &HashMap<ObjectId, u64>) -> Option<Damage> {
    let (key, expected) = (parity_key(pack.id), rate.object_bytes(pack.size).ok()?);
    match listed.get(&pack.id) {
        None => Some(lacking(&key)),
        Some(size) if *size == expected => None,
        Some(size) => {
            let detail = format!("it has {size} bytes where the parity of its pack has {expected}");
            Some(Damage::new(&key, DamageKind::Size, detail))
        }
    }
}

/// Finds the damage of those packs that were moved and are needed still. A pass over the index for many of them.
fn add_unreplaced(
    index: &BlobIndex,
    users: &Users,
    moved: Vec<(PackOrdinal, Damage)>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let ordinals: Vec<PackOrdinal> = moved.iter().map(|(pack, _)| *pack).collect();
    let mut needed = HashSet::new();
    for group in groups(index, &ordinals, DESCRIBED_BLOBS) {
        for pack in described(index, group)? {
            if !users.has_replaced(index, &pack)? {
                needed.insert(pack.id);
            }
        }
    }
    for (ordinal, damage) in moved {
        if let Some(pack) = index.pack(ordinal).filter(|pack| needed.contains(&pack.id)) {
            findings.add(damage, users.affected(&pack.id));
        }
    }
    Ok(())
}

/// What is damaged where the index lacks a pack.
pub(crate) fn undescribed(pack: &ObjectId) -> String {
    format!("index of pack {pack}")
}

/// Whether a pack that a listing does not show as it was written can be read by its version.
async fn is_readable(repository: &Repository, pack: &IndexedPack) -> Result<bool> {
    if pack.version.is_none() {
        return Ok(false);
    }
    // Its last bytes: they are there only if all others are.
    let plain = plain_length(pack.size).unwrap_or_default();
    Ok(read_range((&**repository.bare_store(), None), pack, plain.saturating_sub(1), 1).await?.is_ok())
}

/// Walks the trees of all snapshots, each node once.
pub(crate) async fn trees(
    loader: Arc<BlobLoader>,
    snapshots: &[SnapshotHandle],
    findings: &mut Findings<'_>,
) -> Result<()> {
    let mut walk = Walk { loader, seen: HashSet::new() };
    findings.expect(ids(snapshots).count() as u64, 0);
    for handle in snapshots {
        walk.snapshot(handle, findings).await?;
        findings.progress(1, 0);
    }
    Ok(())
}

struct Walk {
    loader: Arc<BlobLoader>,
    /// Nodes and lists that were found whole with all below them.
    seen: HashSet<ChunkId>,
}

impl Walk {
    async fn snapshot(&mut self, handle: &SnapshotHandle, findings: &mut Findings<'_>) -> Result<()> {
        let tree = &handle.snapshot.tree;
        let id = handle.snapshot.id;
        let mut pending = vec![(tree.level, tree.id)];
        let mut clean = true;
        let mut visited = Vec::new();
        while !pending.is_empty() {
            let window: Vec<(u8, ChunkId)> = pending.split_off(pending.len().saturating_sub(NODES_IN_WINDOW));
            let fresh: Vec<(u8, ChunkId)> = window.into_iter().filter(|(_, node)| !self.seen.contains(node)).collect();
            let loaded = self.loader.load(fresh.iter().map(|(_, node)| *node)).await?;
            for (level, node) in fresh {
                let opened = loaded.get(&node).cloned().unwrap_or_else(|| {
                    Err(Damage::of_chunk("tree", DamageKind::Missing, node, "a tree node was not found"))
                });
                let decoded = opened.and_then(|bytes| {
                    Node::decode(&bytes, level)
                        .map_err(|cause| Damage::of_chunk("tree", DamageKind::Invalid, node, cause.to_string()))
                });
                match decoded {
                    Ok(Node::Inner(children)) => {
                        pending.extend(children.iter().map(|child| (level.saturating_sub(1), child.id)))
                    }
                    Ok(Node::Leaf(records)) => clean &= self.leaf(id, &records, findings).await?,
                    Err(damage) => {
                        clean = false;
                        findings.add(damage, [id]);
                    }
                }
                visited.push(node);
            }
        }
        // Nodes of a damaged tree are visited again for the next snapshot, which the same damage may affect.
        if clean {
            self.seen.extend(visited);
        }
        Ok(())
    }

    async fn leaf(&mut self, snapshot: SnapshotId, records: &[Record], findings: &mut Findings<'_>) -> Result<bool> {
        let mut clean = true;
        for record in records {
            let unknown = match &record.content {
                Content::None | Content::Inline(_) => None,
                Content::Chunks(refs) => self.first_unknown(refs)?,
                Content::Lists { .. } => match self.lists(&record.content).await {
                    Ok(unknown) => unknown,
                    Err(Error::Damage(damage)) => {
                        clean = false;
                        findings.add(damage, [snapshot]);
                        None
                    }
                    Err(cause) => return Err(cause),
                },
            };
            if let Some(chunk) = unknown {
                clean = false;
                let detail = format!("no index segment says where chunk {chunk} of `{}` is", record.entry.key);
                findings.add(Damage::of_chunk("index", DamageKind::Missing, chunk, detail), [snapshot]);
            }
        }
        Ok(clean)
    }

    fn first_unknown(&self, refs: &[ChunkRef]) -> Result<Option<ChunkId>> {
        for chunk in refs {
            if self.loader.index().get(&chunk.id)?.is_none() {
                return Ok(Some(chunk.id));
            }
        }
        Ok(None)
    }

    /// The first chunk of a long content that the index does not know.
    async fn lists(&self, content: &Content) -> Result<Option<ChunkId>> {
        let unknown = std::cell::Cell::new(None);
        let index = self.loader.index();
        let holds = |id: &ChunkId| {
            let known = index.get(id)?.is_some();
            if !known {
                unknown.set(Some(*id));
            }
            Ok(known)
        };
        ContentChunks::new(Arc::clone(&self.loader), content).claim_all(holds).await?;
        Ok(unknown.into_inner())
    }
}
