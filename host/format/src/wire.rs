//! Fields in little endian: a reader that never passes the end, and the variable-length integers of tree nodes.
//!
//! Owned here: taking bytes apart with a clear error for each way they can fall short. Called by every binary codec of the crate.

use crate::{Error, Result};

/// Bytes still to be read, and the name of the structure for messages.
pub(crate) struct Fields<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    pub(crate) fn malformed(&self, problem: impl Into<String>) -> Error {
        Error::Malformed { what: self.what, problem: problem.into() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.malformed(format!("it ends {} bytes early", length.saturating_sub(self.rest.len()))));
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned LEB128 integer in its shortest form, so that one value has one encoding.
    pub(crate) fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits || (byte == 0 && shift > 0) {
                return Err(self.malformed("an integer is too long"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("an integer is too long"))
    }

    /// A byte string after its length.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8]> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| self.malformed("a length is too large"))?;
        self.take(length)
    }

    /// A UTF-8 text after its length.
    pub(crate) fn text(&mut self) -> Result<String> {
        let bytes = self.sized()?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.malformed("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Reserved bytes, which must be zero so that they can mean something later.
    pub(crate) fn zeros(&mut self, length: usize) -> Result<()> {
        if self.take(length)?.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(self.malformed("reserved bytes are not zero"))
        }
    }

    /// Requires that nothing is left.
    pub(crate) fn end(&self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.malformed(format!("{} bytes follow its end", self.rest.len())))
        }
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A length as the format keeps it.
pub(crate) fn length_u32(what: &'static str, length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::TooLarge { what, bytes: length as u64, bytes_max: u64::from(u32::MAX) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_integer_reads_back_what_was_written(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut fields = Fields::new("test", &bytes);
            prop_assert_eq!(fields.varint().unwrap(), value);
            prop_assert!(fields.is_empty());
        }
    }

    #[test]
    fn an_integer_has_one_encoding_only() {
        for bytes in [&[0x80, 0x00][..], &[0x81, 0x80, 0x00], &[0xff; 10], &[0x80]] {
            assert!(Fields::new("test", bytes).varint().is_err(), "{bytes:x?}");
        }
    }
}
