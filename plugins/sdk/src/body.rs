//! Looking into a body, for the connectors that must: listings, error documents.

use crate::{Body, Error, ErrorClass, Result};

/// Bytes asked for in one call.
const READ_BYTES: u32 = 64 * 1024;

impl Body {
    /// All bytes of the body, when there are at most `bytes_max`.
    ///
    /// # Errors
    /// `corrupt` with reason `too-long` when there are more; `transient` when the body broke off.
    pub fn read_all(&self, bytes_max: usize) -> Result<Vec<u8>> {
        let (bytes, whole) = self.read_up_to(bytes_max)?;
        if whole {
            Ok(bytes)
        } else {
            Err(Error::new(ErrorClass::Corrupt, "too-long", format!("the answer is longer than {bytes_max} bytes")))
        }
    }

    /// The first `bytes_max` bytes of the body or fewer, and whether that is all of it.
    ///
    /// # Errors
    /// `transient` when the body broke off.
    pub fn read_up_to(&self, bytes_max: usize) -> Result<(Vec<u8>, bool)> {
        let mut bytes = Vec::new();
        loop {
            let piece = self.read(READ_BYTES).map_err(|e| Error::new(ErrorClass::Transient, e.reason, e.message))?;
            if piece.is_empty() {
                return Ok((bytes, true));
            }
            let room = bytes_max.saturating_sub(bytes.len());
            bytes.extend(piece.iter().take(room));
            if piece.len() > room {
                return Ok((bytes, false));
            }
        }
    }
}
