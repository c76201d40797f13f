//! Parity: heads, whole objects, and packs healed by them.

use credenza_format::{ParityHead, ParityRate, heal, inspect_parity, parity_of};
use credenza_model::{ObjectId, RepositoryId};

use super::comes_back_exactly;

const OWNER: (RepositoryId, ObjectId) = (RepositoryId::new([1; 16]), ObjectId::new([2; 16]));
/// A pack of one segment.
const PACK_BYTES: usize = 300;

fn rate() -> ParityRate {
    ParityRate::of_percent(5).expect("a rate that there is")
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let parity =
        parity_of(rate(), OWNER.0, OWNER.1, &[vec![7; PACK_BYTES].into()]).expect("it is of the size of a pack");
    let head = inspect_parity(&parity).expect("it is whole").encode();
    vec![parity, head]
}

/// An object of parity: as such, as a head, and as what heals a pack that is gone.
pub(crate) fn run(input: &[u8]) {
    let head = ParityHead::decode(input).map(|head| head.encode());
    if let Ok(head) = head {
        comes_back_exactly(&head, ParityHead::decode, |head| Ok(head.encode()));
        assert!(input.starts_with(&head));
    }
    let _ = inspect_parity(input);
    let mut pack = Vec::new();
    if heal(rate(), OWNER, PACK_BYTES as u64, &mut pack, input).is_ok() {
        assert_eq!(pack.len(), PACK_BYTES);
    }
}
