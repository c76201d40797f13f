//! Text documents that are read before anything is unlocked: the config and key slots.
//!
//! Three lines: a title with the format version, one line of JSON, and a seal over the exact bytes of the first two. So a person can
//! read them with any tool, and what is authenticated needs no canonical form.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest text document that is read: most are below 2 KiB, a keyring of many epochs takes more.
pub(crate) const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A text document taken apart.
pub(crate) struct Lines<'a> {
    /// The first two lines with their line ends: what the seal covers.
    pub(crate) sealed: &'a [u8],
    /// The line of JSON.
    pub(crate) json: &'a str,
    /// What follows the seal's word.
    pub(crate) seal: &'a str,
}

/// Why bytes are not the text document that they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinesError {
    /// The title has another version.
    Version(String),
    /// The shape is wrong.
    Shape(&'static str),
}

/// Takes a document apart whose title is `title` and whose seal begins with `seal_word`.
pub(crate) fn split<'a>(bytes: &'a [u8], title: &str, version: u32, seal_word: &str) -> Result<Lines<'a>, LinesError> {
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(LinesError::Shape("it is too long"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| LinesError::Shape("it is not text"))?;
    let mut lines = text.split_inclusive('\n');
    let (first, json, seal) = (lines.next(), lines.next(), lines.next());
    let found = first.and_then(|line| line.strip_suffix('\n')).and_then(|line| line.strip_prefix(title));
    let found =
        found.and_then(|rest| rest.strip_prefix(' ')).ok_or(LinesError::Shape("its first line is not its title"))?;
    if found != version.to_string() {
        return Err(LinesError::Version(found.chars().take(20).collect()));
    }
    let json = json.filter(|line| line.ends_with('\n')).ok_or(LinesError::Shape("its second line is cut off"))?;
    let seal = seal.and_then(|line| line.strip_suffix('\n')).and_then(|line| line.strip_prefix(seal_word));
    let seal = seal.and_then(|rest| rest.strip_prefix(' ')).ok_or(LinesError::Shape("its third line is no seal"))?;
    if lines.next().is_some() {
        return Err(LinesError::Shape("something follows its third line"));
    }
    let sealed_bytes = first.map_or(0, str::len) + json.len();
    let sealed = bytes.get(..sealed_bytes).unwrap_or_default();
    Ok(Lines { sealed, json, seal })
}

/// The first two lines of a document.
pub(crate) fn unsealed<T: Serialize>(title: &str, version: u32, json: &T) -> Result<String, serde_json::Error> {
    Ok(format!("{title} {version}\n{}\n", serde_json::to_string(json)?))
}

/// The JSON line as a value.
pub(crate) fn parse<T: DeserializeOwned>(lines: &Lines<'_>) -> Result<T, String> {
    serde_json::from_str(lines.json).map_err(|error| error.to_string())
}
