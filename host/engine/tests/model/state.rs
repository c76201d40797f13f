//! The world that the model checks: five packs, three snapshots, two writers, two collectors, and somebody who reads snapshot 0.
//!
//! Pack `OLD` holds both chunks; `fresh(w)` is what writer `w` uploads, `copy(c)` what collector `c` repacks. Snapshot 0 is
//! there from the start and uses chunk 0 in `OLD`; writer `w` makes snapshot `1 + w` of chunk `w`.

/// A set of packs, one bit each.
pub(crate) type Packs = u8;

pub(crate) const OLD: u8 = 0;
pub(crate) const PACKS: u8 = 5;
pub(crate) const NO_PACK: u8 = 7;

pub(crate) const fn bit(pack: u8) -> Packs {
    1 << pack
}

pub(crate) const fn fresh(writer: usize) -> u8 {
    1 + writer as u8
}

pub(crate) const fn copy(collector: usize) -> u8 {
    3 + collector as u8
}

/// Which chunk a snapshot uses.
pub(crate) const fn chunk_of(snapshot: usize) -> usize {
    if snapshot == 0 { 0 } else { snapshot - 1 }
}

/// What is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) packs: Packs,
    pub(crate) described: Packs,
    pub(crate) moved: Packs,
    pub(crate) condemned: Packs,
    /// Packs that hold each chunk.
    pub(crate) holding: [Packs; 2],
    /// The pack in which each snapshot uses its chunk, or none.
    pub(crate) snapshots: [u8; 3],
    /// What the intents of writers, of collectors and of the reader name.
    pub(crate) intents: [Packs; 5],
}

/// Whose intent the reader's is.
pub(crate) const READER: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ReaderStep {
    ReadUsage,
    PutPin,
    LookForSnapshot,
    ListCondemned,
    LoadIndex,
    Reading,
    End,
}

/// Who reads snapshot 0, whatever becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    pub(crate) step: ReaderStep,
    /// The pack in which the snapshot uses its chunk.
    pub(crate) used: u8,
    /// What is to be named.
    pub(crate) wanted: Packs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum WriterStep {
    ListCondemned,
    LoadIndex,
    PutPack,
    PutIntent,
    PutIndex,
    ListCondemnedAgain,
    ReloadCondemned,
    ReloadIndex,
    CopyPack,
    CheckLease,
    PutSnapshot,
    Confirm,
    DeleteIntent,
    End,
}

impl WriterStep {
    /// In a coarse search this step follows the one before it at once.
    pub(crate) fn is_joined(self) -> bool {
        matches!(self, Self::LoadIndex | Self::ReloadIndex | Self::PutIndex | Self::Confirm | Self::DeleteIntent)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) step: WriterStep,
    /// The pack that the snapshot will use.
    pub(crate) relies: u8,
    /// Records as they were last seen.
    pub(crate) condemned: Packs,
    /// More time has passed than a run may take: collectors ignore the intent, and packs that nothing describes are old.
    pub(crate) late: bool,
    pub(crate) announced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum CollectorStep {
    ReadIndex,
    ListIntents,
    CompareIntents,
    ListSnapshots,
    CompareSnapshots,
    ListPacks,
    PutCopy,
    PutCopyIntent,
    Publish,
    WithdrawIntent,
    PutRecord,
    ListIntentsAgain,
    CompareIntentsAgain,
    ListSnapshotsAgain,
    CompareSnapshotsAgain,
    ListCondemnedAgain,
    Delete,
    Merge,
    End,
}

impl CollectorStep {
    /// In a coarse search this step follows the one before it at once.
    pub(crate) fn is_joined(self) -> bool {
        matches!(self, Self::ListIntents | Self::ListSnapshots | Self::ListPacks | Self::WithdrawIntent | Self::Merge)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Collector {
    pub(crate) step: CollectorStep,
    pub(crate) packs: Packs,
    pub(crate) described: Packs,
    pub(crate) moved: Packs,
    pub(crate) condemned: Packs,
    pub(crate) pinned: Packs,
    /// Packs in which snapshots use each chunk.
    pub(crate) used: [Packs; 2],
    /// Chunks that are being copied.
    pub(crate) copying: [bool; 2],
    /// What the listing that is to be compared showed and left out, one bit for each intent or snapshot.
    pub(crate) listed: u8,
    pub(crate) left_out: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) writers: [Writer; 2],
    pub(crate) collectors: [Collector; 2],
    pub(crate) reader: Reader,
}

impl State {
    pub(crate) fn begin(writers: usize, collectors: usize, reads: bool) -> Self {
        let writer =
            Writer { step: WriterStep::ListCondemned, relies: NO_PACK, condemned: 0, late: false, announced: false };
        let collector = Collector {
            step: CollectorStep::ReadIndex,
            packs: 0,
            described: 0,
            moved: 0,
            condemned: 0,
            pinned: 0,
            used: [0; 2],
            copying: [false; 2],
            listed: 0,
            left_out: 0,
        };
        let absent = |at_work: bool, step| if at_work { step } else { WriterStep::End };
        let store = Store {
            packs: bit(OLD),
            described: bit(OLD),
            moved: 0,
            condemned: 0,
            holding: [bit(OLD) | bit(fresh(0)), bit(OLD) | bit(fresh(1))],
            snapshots: [OLD, NO_PACK, NO_PACK],
            intents: [0; 5],
        };
        let step = if reads { ReaderStep::ReadUsage } else { ReaderStep::End };
        let reader = Reader { step, used: NO_PACK, wanted: 0 };
        let mut state = Self { store, writers: [writer; 2], collectors: [collector; 2], reader };
        for (number, writer) in state.writers.iter_mut().enumerate() {
            writer.step = absent(number < writers, writer.step);
        }
        for collector in state.collectors.iter_mut().skip(collectors) {
            collector.step = CollectorStep::End;
        }
        state
    }

    /// Which snapshot is promised, or read by somebody, and cannot be read, if any.
    pub(crate) fn broken(&self) -> Option<usize> {
        let store = &self.store;
        if self.reader.step == ReaderStep::Reading && store.packs & store.described & store.holding[0] == 0 {
            return Some(0);
        }
        (0..3).find(|&snapshot| {
            let named = store.snapshots[snapshot];
            let promised = snapshot == 0 || {
                let writer = &self.writers[snapshot - 1];
                writer.announced || !writer.late
            };
            let readable = store.packs & store.described & store.holding[chunk_of(snapshot)] != 0;
            named != NO_PACK && promised && !(readable && store.described & bit(named) != 0)
        })
    }
}
