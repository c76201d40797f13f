//! Random bytes, of which keys and passwords are made that last as long as the program.

use std::fmt::Write as _;

use crate::{Error, Result};

/// So many random bytes of the system.
///
/// # Errors
/// [`Error::Random`].
pub(crate) fn random<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|cause| Error::Random { reason: cause.to_string() })?;
    Ok(bytes)
}

/// The same as text of hexadecimal digits.
///
/// # Errors
/// [`Error::Random`].
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String> {
    Ok(random::<BYTES>()?.iter().fold(String::new(), |mut text, byte| {
        // A text takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
