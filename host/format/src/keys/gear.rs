//! The secret table that cut points follow from.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// 256 random numbers that decide where content is cut.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct GearTable(Box<[u64; 256]>);

impl GearTable {
    /// The first 2,048 bytes of the keyed output, as 256 numbers.
    ///
    /// The `fastcdc` crate's own seed is no key: it is XORed over a public table and three known boundaries reveal it. All 256 values
    /// of this one are independent.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let mut bytes = Zeroizing::new([0; 2048]);
        blake3::Hasher::new_keyed(key).finalize_xof().fill(bytes.as_mut_slice());
        let mut table = Self(Box::new([0; 256]));
        for (value, bytes) in table.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *value = u64::from_le_bytes(*bytes);
        }
        table
    }

    pub(crate) fn values(&self) -> &[u64; 256] {
        &self.0
    }

    /// Every value doubled, for the step of two bytes at a time (FastCDC 2020, section 3.7).
    pub(crate) fn shifted(&self) -> Self {
        Self(Box::new(self.0.map(|value| value << 1)))
    }
}

impl std::fmt::Debug for GearTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GearTable(secret)")
    }
}
