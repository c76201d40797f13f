//! Packs and their parity, hurt within the budget and beyond it.

use credenza_model::{ObjectId, RepositoryId};
use proptest::prelude::*;

use super::*;

const OWNER: (RepositoryId, ObjectId) = (RepositoryId::new([1; 16]), ObjectId::new([2; 16]));
const SEGMENT: usize = SEGMENT_SEALED_BYTES as usize;

fn rate(percent: u32) -> ParityRate {
    ParityRate::of_percent(percent).unwrap()
}

/// Bytes of the size of a pack with so many full segments and a rest.
fn pack(segments: usize, rest: usize) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES + segments * SEGMENT + rest + CHECKSUM_BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn parity(percent: u32, pack: &[u8]) -> Vec<u8> {
    parity_of(rate(percent), OWNER.0, OWNER.1, &[Bytes::copy_from_slice(pack)]).unwrap()
}

fn healed(percent: u32, original: &[u8], hurt: &[u8], parity: &[u8]) -> Result<usize> {
    let mut pack = hurt.to_vec();
    let healed = heal(rate(percent), OWNER, original.len() as u64, &mut pack, parity)?;
    assert!(pack == original, "healed to something else");
    Ok(healed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn as_many_parts_of_pack_and_parity_as_there_are_shards_may_be_hurt_and_not_one_more(
        segments in 0..40_usize, rest in 17..=SEGMENT, percent in 1..=50_u32, order in any::<prop::sample::Selector>(), extra in any::<bool>(),
    ) {
        let original = pack(segments, rest);
        let whole = parity(percent, &original);
        let layout = Layout::at_rate(original.len() as u64, rate(percent)).unwrap();
        let count = layout.shards + usize::from(extra);
        let mut parts: Vec<usize> = (0..layout.segments + layout.shards).collect();
        let chosen: Vec<usize> = (0..count.min(parts.len())).map(|_| {
            let place = order.select(0..parts.len());
            parts.swap_remove(place)
        }).collect();
        let (mut hurt, mut hurt_parity) = (original.clone(), whole.clone());
        for part in &chosen {
            let (bytes, range) = match part.checked_sub(layout.segments) {
                None => (&mut hurt, layout.segment(*part)),
                Some(shard) => (&mut hurt_parity, layout.shard(shard)),
            };
            bytes[range.start + (range.len() / 2)] ^= 1;
        }
        let of_pack = chosen.iter().filter(|part| **part < layout.segments).count();
        let outcome = healed(percent, &original, &hurt, &hurt_parity);
        if chosen.len() <= layout.shards || of_pack == 0 {
            prop_assert_eq!(outcome, Ok(of_pack));
        } else {
            prop_assert!(matches!(outcome, Err(Error::BeyondParity { .. })), "{:?}", outcome);
        }
    }

    #[test]
    fn hostile_heads_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), count in 0..4_u32) {
        let _ = ParityHead::decode(&bytes);
        if let Some(front) = bytes.get_mut(..16) {
            front.copy_from_slice(&[&MAGIC[..], &[1, 0, 0, 0], &count.to_le_bytes()].concat());
            let _ = ParityHead::decode(&bytes);
        }
    }
}

#[test]
fn a_pack_of_one_segment_comes_back_from_nothing() {
    let original = pack(0, 1000);
    assert_eq!(healed(5, &original, &[], &parity(5, &original)), Ok(1));
}

#[test]
fn header_and_checksum_come_back_and_what_is_behind_the_end_goes() {
    let original = pack(3, 100);
    let mut hurt = original.clone();
    hurt[..128].fill(0);
    let end = hurt.len();
    hurt[end - 32..].fill(0);
    hurt.push(7);
    assert_eq!(healed(1, &original, &hurt, &parity(1, &original)), Ok(0));
}

#[test]
fn either_head_is_enough_and_neither_is_not() {
    let original = pack(3, 100);
    let whole = parity(25, &original);
    let mut hurt = original.clone();
    hurt[200] ^= 1;
    let (mut first, mut both) = (whole.clone(), whole.clone());
    first[0] ^= 1;
    let end = both.len();
    (both[9], both[end - 1]) = (9, both[end - 1] ^ 1);
    assert_eq!(healed(25, &original, &hurt, &first), Ok(1));
    assert_eq!(healed(25, &original, &hurt, &whole[..end - 1]), Ok(1));
    assert_eq!(healed(25, &original, &hurt, &both), Err(Error::NotAnObject));
}

#[test]
fn parity_of_another_pack_or_repository_heals_nothing() {
    let original = pack(1, 100);
    let mut pack = original.clone();
    let other = (OWNER.0, ObjectId::new([3; 16]));
    let refused = heal(rate(5), other, original.len() as u64, &mut pack, &parity(5, &original));
    assert_eq!(refused, Err(Error::NotAnObject));
}

#[test]
fn every_changed_byte_of_parity_is_found() {
    let whole = parity(50, &pack(2, 50));
    assert_eq!(inspect_parity(&whole).unwrap().encode(), whole[..Layout::new(whole_size(), 2).unwrap().head_bytes()]);
    for place in (0..whole.len()).step_by(97) {
        let mut hurt = whole.clone();
        hurt[place] ^= 1;
        assert!(inspect_parity(&hurt).is_err(), "byte {place}");
    }
    assert!(
        inspect_parity(&whole[..whole.len() - 1]).is_err() && inspect_parity(&[&whole[..], &[0]].concat()).is_err()
    );
}

fn whole_size() -> u64 {
    pack(2, 50).len() as u64
}

#[test]
fn packs_in_pieces_and_in_one_have_the_same_parity() {
    let original = Bytes::from(pack(4, 9000));
    let pieces = [original.slice(..70_000), original.slice(70_000..)];
    assert_eq!(parity_of(rate(5), OWNER.0, OWNER.1, &pieces).unwrap(), parity(5, &original));
}

#[test]
fn the_size_follows_from_that_of_the_pack() {
    for (segments, rest, percent) in [(0, 17, 1), (0, 5000, 5), (19, 20, 5), (20, 20, 5), (30, 1, 50)] {
        if rest <= 16 {
            continue;
        }
        let original = pack(segments, rest);
        let expected = rate(percent).object_bytes(original.len() as u64).unwrap();
        assert_eq!(parity(percent, &original).len() as u64, expected);
    }
    assert_eq!(ParityRate::of_percent(0), None);
    assert_eq!(ParityRate::of_percent(51), None);
    assert_eq!((rate(5).shards(1), rate(5).shards(20), rate(5).shards(21), rate(50).shards(3)), (1, 1, 2, 2));
}
