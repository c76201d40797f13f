//! One step of anybody: what the engine does between two requests, in the order of `write::commit` and `gc`.

use super::state::*;

/// The protocol, and ways to break it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) writer_looks_again: bool,
    pub(crate) collector_looks_again: bool,
    pub(crate) intents: bool,
    pub(crate) intents_before_snapshots: bool,
    /// A collector reads the records of others after it has put its own.
    pub(crate) condemned_last: bool,
    /// A writer refuses to commit when it is late, and takes back what it committed while it became so.
    pub(crate) lease: bool,
    /// The index says where chunks went before the old pack is condemned, and need follows them there.
    pub(crate) moves_are_followed: bool,
    pub(crate) repack: bool,
    pub(crate) crashes: bool,
    /// So many of the snapshots, the oldest first, may be removed at any time.
    pub(crate) removable: usize,
    pub(crate) lateness: bool,
    /// Listings of intents and snapshots may be cut off anywhere.
    pub(crate) cuts: bool,
    /// A collector lists them a second time, in another way that never leaves out the same, and stops where both disagree.
    pub(crate) compares: bool,
    /// Somebody reads a snapshot, pins it, and goes on when it is removed.
    pub(crate) reads: bool,
    /// Who reads looks whether the snapshot is still there once it is pinned.
    pub(crate) reader_looks: bool,
    /// Who reads pins where chunks were moved to, too.
    pub(crate) reader_follows: bool,
    /// Requests between which nobody else's step matters much are made at once, so that more actors fit into the search.
    pub(crate) coarse: bool,
}

impl Rules {
    pub(crate) const PROTOCOL: Self = Self {
        writer_looks_again: true,
        collector_looks_again: true,
        intents: true,
        intents_before_snapshots: true,
        condemned_last: true,
        lease: true,
        moves_are_followed: true,
        repack: true,
        crashes: true,
        removable: 3,
        lateness: true,
        cuts: false,
        compares: false,
        reads: false,
        reader_looks: true,
        reader_follows: true,
        coarse: false,
    };
}

/// Every state that one step leads to.
pub(crate) fn successors(state: &State, rules: &Rules, out: &mut Vec<(&'static str, State)>) {
    for actor in 0..2 {
        mishap(state, rules, actor, out);
        let own = out.len();
        write(state, rules, actor, out);
        settle(
            rules,
            own,
            out,
            |next| next.writers[actor].step.is_joined(),
            |next, out| write(next, rules, actor, out),
        );
        let own = out.len();
        collect(state, rules, actor, out);
        if rules.cuts {
            cut_off(state, rules, actor, out);
        }
        settle(
            rules,
            own,
            out,
            |next| next.collectors[actor].step.is_joined(),
            |next, out| collect(next, rules, actor, out),
        );
    }
    read(state, rules, out);
    for snapshot in 0..rules.removable {
        if state.store.snapshots[snapshot] != NO_PACK {
            let mut next = *state;
            next.store.snapshots[snapshot] = NO_PACK;
            out.push(("a snapshot is removed", next));
        }
    }
}

/// Who reads goes on: `Pin::keep` of the engine.
fn read(state: &State, rules: &Rules, out: &mut Vec<(&'static str, State)>) {
    use ReaderStep::*;
    let mut next = *state;
    let (store, me) = (&mut next.store, &mut next.reader);
    match me.step {
        ReadUsage => {
            me.used = store.snapshots[0];
            (me.wanted, me.step) = match me.used {
                NO_PACK => (0, End),
                used => (bit(used), PutPin),
            };
        }
        PutPin => {
            store.intents[READER] |= me.wanted;
            me.step = ListCondemned;
        }
        LookForSnapshot => {
            let is_lost = rules.reader_looks && store.snapshots[0] == NO_PACK;
            me.step = if is_lost { End } else { Reading };
            store.intents[READER] &= if me.step == End { 0 } else { u8::MAX };
        }
        ListCondemned => {
            let is_moved = rules.reader_follows && store.condemned & bit(me.used) != 0;
            me.step = if is_moved { LoadIndex } else { LookForSnapshot };
        }
        LoadIndex => {
            me.wanted = store.described & store.holding[0];
            me.step = if me.wanted & !store.intents[READER] == 0 { LookForSnapshot } else { PutPin };
        }
        Reading => (store.intents[READER], me.step) = (0, End),
        End => return,
    }
    out.push(("a reader goes on", next));
}

/// In a coarse search, goes on from states in which the same actor is to go on at once.
fn settle(
    rules: &Rules,
    from: usize,
    out: &mut Vec<(&'static str, State)>,
    is_joined: impl Fn(&State) -> bool,
    go_on: impl Fn(&State, &mut Vec<(&'static str, State)>),
) {
    let mut at = from;
    while let Some((_, next)) = out.get(at).copied() {
        if rules.coarse && is_joined(&next) {
            out.swap_remove(at);
            go_on(&next, out);
        } else {
            at += 1;
        }
    }
}

/// What befalls a writer or a collector.
fn mishap(state: &State, rules: &Rules, number: usize, out: &mut Vec<(&'static str, State)>) {
    use WriterStep::*;
    let writer = state.writers[number];
    if rules.lateness
        && !writer.late
        && writer.step != ListCondemned
        && (writer.step != End || state.store.intents[number] != 0)
    {
        let mut next = *state;
        next.writers[number].late = true;
        out.push(("a week passes for a writer", next));
    }
    if rules.crashes && writer.step != End {
        let mut next = *state;
        next.writers[number].step = End;
        out.push(("a writer crashes", next));
    }
    if rules.crashes
        && matches!(
            state.collectors[number].step,
            CollectorStep::Publish | CollectorStep::PutRecord | CollectorStep::Delete
        )
    {
        let mut next = *state;
        next.collectors[number].step = CollectorStep::End;
        // Its intents expire.
        next.store.intents[2 + number] = 0;
        out.push(("a collector crashes", next));
    }
}

fn write(state: &State, rules: &Rules, number: usize, out: &mut Vec<(&'static str, State)>) {
    use WriterStep::*;
    let writer = state.writers[number];
    if writer.step == End {
        return;
    }
    let mut next = *state;
    let (store, me) = (&mut next.store, &mut next.writers[number]);
    let holding = store.holding[number];
    match writer.step {
        ListCondemned | ReloadCondemned => {
            me.condemned = store.condemned;
            me.step = if writer.step == ListCondemned { LoadIndex } else { ReloadIndex };
        }
        LoadIndex | ReloadIndex => {
            let known = store.described & holding & !me.condemned;
            let best = lowest(known & !store.moved).or_else(|| lowest(known));
            me.step = match best {
                Some(pack) => {
                    me.relies = pack;
                    PutIntent
                }
                None if writer.step == LoadIndex => PutPack,
                None => CopyPack,
            };
        }
        PutPack => {
            store.packs |= bit(fresh(number));
            (me.relies, me.step) = (fresh(number), PutIntent);
        }
        CopyPack => {
            let source = store.packs & bit(writer.relies) != 0 && writer.relies != fresh(number);
            if source && store.packs & bit(fresh(number)) == 0 && store.condemned & bit(fresh(number)) == 0 {
                store.packs |= bit(fresh(number));
                (me.relies, me.step) = (fresh(number), PutIntent);
            } else {
                (store.intents[number], me.step) = (0, End);
            }
        }
        PutIntent => {
            store.intents[number] |= if rules.intents { bit(me.relies) } else { 0 };
            me.step = PutIndex;
        }
        PutIndex => {
            store.described |= if me.relies == fresh(number) { bit(me.relies) } else { 0 };
            me.step = ListCondemnedAgain;
        }
        ListCondemnedAgain => {
            let taken = rules.writer_looks_again && store.condemned & bit(me.relies) != 0;
            me.condemned = 0;
            me.step = if taken { ReloadCondemned } else { CheckLease };
        }
        CheckLease => {
            me.step = if me.late && rules.lease { DeleteIntent } else { PutSnapshot };
        }
        PutSnapshot => {
            store.snapshots[1 + number] = me.relies;
            me.step = Confirm;
        }
        Confirm => {
            let lost = me.late && rules.lease;
            if lost {
                store.snapshots[1 + number] = NO_PACK;
            }
            (me.announced, me.step) = (!lost, DeleteIntent);
        }
        DeleteIntent => (store.intents[number], me.step) = (0, End),
        End => {}
    }
    out.push(("a writer goes on", next));
}

/// A collector copies what is needed of the old pack, and says where it went.
fn repack(me: &mut Collector, store: &mut Store, number: usize) {
    use CollectorStep::*;
    let copied = bit(copy(number));
    me.step = match me.step {
        PutCopy => {
            me.copying = [me.used[0] & bit(OLD) != 0, me.used[1] & bit(OLD) != 0];
            let there = store.packs & bit(OLD) != 0;
            if there {
                store.packs |= copied;
                (0..2).filter(|&chunk| me.copying[chunk]).for_each(|chunk| store.holding[chunk] |= copied);
            }
            if there { PutCopyIntent } else { PutRecord }
        }
        PutCopyIntent => {
            store.intents[2 + number] = copied;
            Publish
        }
        Publish => {
            store.described |= copied;
            store.moved |= bit(OLD);
            (me.described, me.moved) = (me.described | copied, me.moved | bit(OLD));
            WithdrawIntent
        }
        _ => {
            store.intents[2 + number] = 0;
            PutRecord
        }
    };
}

/// A collector condemns what nothing needs.
fn condemn(me: &mut Collector, store: &mut Store, rules: &Rules, late: [bool; 2]) {
    let described_or_old =
        me.described | (0..2).filter(|&owner| late[owner]).fold(0, |packs, owner| packs | bit(fresh(owner)));
    let stay = must_stay(me, &store.holding, rules);
    let candidates = me.packs & described_or_old & !me.condemned & !stay;
    store.condemned |= candidates;
    me.condemned |= candidates;
    me.step = match () {
        () if !rules.collector_looks_again => CollectorStep::Delete,
        () if rules.intents_before_snapshots => CollectorStep::ListIntentsAgain,
        () => CollectorStep::ListSnapshotsAgain,
    };
}

fn collect(state: &State, rules: &Rules, number: usize, out: &mut Vec<(&'static str, State)>) {
    use CollectorStep::*;
    let step = state.collectors[number].step;
    if step == End {
        return;
    }
    let late = [state.writers[0].late, state.writers[1].late];
    let mut next = *state;
    let (store, me) = (&mut next.store, &mut next.collectors[number]);
    match step {
        ReadIndex => {
            (me.condemned, me.described, me.moved) = (store.condemned, store.described, store.moved);
            me.step = ListIntents;
        }
        ListIntents | ListIntentsAgain => {
            (me.listed, me.left_out) = (intents(store), 0);
            see_intents(me, store, me.listed, late);
            me.step = if rules.compares { compared(step) } else { after_listing(step, rules) };
        }
        ListSnapshots | ListSnapshotsAgain => {
            (me.listed, me.left_out) = (snapshots(store), 0);
            see_snapshots(me, store, me.listed);
            me.step = if rules.compares { compared(step) } else { after_listing(step, rules) };
        }
        CompareIntents | CompareIntentsAgain | CompareSnapshots | CompareSnapshotsAgain => {
            let of_intents = matches!(step, CompareIntents | CompareIntentsAgain);
            let now = if of_intents { intents(store) } else { snapshots(store) };
            if now & me.left_out != 0 {
                me.step = End;
                return out.push(("a collector sees two listings that disagree", next));
            }
            match of_intents {
                true => see_intents(me, store, now, late),
                false => see_snapshots(me, store, now),
            }
            (me.listed, me.left_out) = (0, 0);
            me.step = after_listing(step, rules);
        }
        ListPacks => {
            me.packs = store.packs;
            // What is used and not there is damage: nothing is done.
            let Some(needed) = needed(me, &store.holding, rules) else {
                me.step = End;
                return out.push(("a collector refuses", next));
            };
            let movable = bit(OLD) & needed & me.packs & !me.moved & !me.pinned;
            me.step = PutRecord;
            if rules.repack && movable != 0 {
                out.push(("a collector does not repack", next));
                next.collectors[number].step = PutCopy;
            }
        }
        PutCopy | PutCopyIntent | Publish | WithdrawIntent => repack(me, store, number),
        PutRecord => condemn(me, store, rules, late),
        ListCondemnedAgain => {
            me.condemned |= if rules.condemned_last { store.condemned } else { 0 };
            me.step = Delete;
        }
        Delete => {
            let doomed = me.condemned & me.packs & !must_stay(me, &store.holding, rules);
            match lowest(doomed) {
                Some(pack) => {
                    store.packs &= !bit(pack);
                    me.packs &= !bit(pack);
                }
                None => me.step = Merge,
            }
        }
        Merge => {
            let named = me.used[0] | me.used[1] | me.pinned;
            store.described &= !(me.condemned & me.described & !me.packs & !named & !bit(copy(number)));
            me.step = End;
        }
        End => {}
    }
    out.push(("a collector goes on", next));
}

/// The listing leaves out some of what is there.
fn cut_off(state: &State, rules: &Rules, number: usize, out: &mut Vec<(&'static str, State)>) {
    use CollectorStep::*;
    let step = state.collectors[number].step;
    let there = match step {
        ListIntents | ListIntentsAgain => intents(&state.store),
        ListSnapshots | ListSnapshotsAgain => snapshots(&state.store),
        _ => return,
    };
    // Cut off after the first so many.
    for border in (0..5).filter(|border| there >> border != 0) {
        let mut next = *state;
        let (store, me) = (&next.store, &mut next.collectors[number]);
        (me.listed, me.left_out) = (there & ((1 << border) - 1), there >> border << border);
        match step {
            ListIntents | ListIntentsAgain => {
                see_intents(me, store, me.listed, [state.writers[0].late, state.writers[1].late]);
            }
            _ => see_snapshots(me, store, me.listed),
        }
        me.step = if rules.compares { compared(step) } else { after_listing(step, rules) };
        out.push(("a listing is cut off", next));
    }
}

/// Owners of intents that are there.
fn intents(store: &Store) -> u8 {
    (0..5).filter(|&owner| store.intents[owner] != 0).fold(0, |owners, owner| owners | 1 << owner)
}

/// Snapshots that are there.
fn snapshots(store: &Store) -> u8 {
    (0..3).filter(|&snapshot| store.snapshots[snapshot] != NO_PACK).fold(0, |all, snapshot| all | 1 << snapshot)
}

fn see_intents(me: &mut Collector, store: &Store, listed: u8, late: [bool; 2]) {
    let live = (0..5).filter(|&owner| listed & 1 << owner != 0 && (owner >= 2 || !late[owner]));
    me.pinned |= live.fold(0, |packs, owner| packs | store.intents[owner]);
}

fn see_snapshots(me: &mut Collector, store: &Store, listed: u8) {
    for snapshot in (0..3).filter(|&snapshot| listed & 1 << snapshot != 0) {
        me.used[chunk_of(snapshot)] |= bit(store.snapshots[snapshot]);
    }
}

/// The step that compares a listing with a second one.
fn compared(step: CollectorStep) -> CollectorStep {
    use CollectorStep::*;
    match step {
        ListIntents => CompareIntents,
        ListIntentsAgain => CompareIntentsAgain,
        ListSnapshots => CompareSnapshots,
        _ => CompareSnapshotsAgain,
    }
}

fn after_listing(step: CollectorStep, rules: &Rules) -> CollectorStep {
    use CollectorStep::*;
    match step {
        ListIntents | CompareIntents => ListSnapshots,
        ListSnapshots | CompareSnapshots => ListPacks,
        ListIntentsAgain | CompareIntentsAgain if rules.intents_before_snapshots => ListSnapshotsAgain,
        ListIntentsAgain | CompareIntentsAgain => ListCondemnedAgain,
        _ if rules.intents_before_snapshots => ListCondemnedAgain,
        _ => ListIntentsAgain,
    }
}

/// Described packs that are not there: neither listed nor written by this collector.
fn gone(me: &Collector) -> Packs {
    // Copies of this collector come after the listing; they are in `described` and in no listing.
    let own = me.described & (bit(copy(0)) | bit(copy(1))) & !me.condemned;
    !(me.packs | own)
}

/// `View::needs` of the engine; none when a needed chunk is nowhere.
fn needed(me: &Collector, holding: &[Packs; 2], rules: &Rules) -> Option<Packs> {
    let mut needed = 0;
    for (used, homes) in me.used.iter().zip(holding) {
        for pack in (0..PACKS).filter(|pack| used & bit(*pack) != 0) {
            if me.described & bit(pack) == 0 {
                continue;
            }
            if me.moved & bit(pack) == 0 || !rules.moves_are_followed {
                if me.packs & bit(pack) == 0 && me.moved & bit(pack) == 0 {
                    return None;
                }
                needed |= if me.moved & bit(pack) == 0 { bit(pack) } else { 0 };
                continue;
            }
            let places = me.described & homes & !gone(me);
            match lowest(places & !me.moved & !me.condemned) {
                Some(best) => needed |= bit(best),
                None if places == 0 => return None,
                None => needed |= places,
            }
        }
    }
    Some(needed)
}

fn must_stay(me: &Collector, holding: &[Packs; 2], rules: &Rules) -> Packs {
    let undescribed = (me.used[0] | me.used[1]) & !me.described;
    // What cannot be found any more keeps everything.
    needed(me, holding, rules).map_or(u8::MAX, |needed| needed | undescribed | me.pinned)
}

fn lowest(packs: Packs) -> Option<u8> {
    (packs != 0).then(|| packs.trailing_zeros() as u8)
}
