//! Text documents that are read before anything is unlocked: the config, key slots and records of removal.
//!
//! Four lines: a title with the format version, one line of JSON, a seal over the exact bytes of the first two, and a checksum of the
//! first three. So a person can read them with any tool, what is authenticated needs no canonical form, and damage shows without a key.

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
    let checksum = lines.next().unwrap_or_default();
    if lines.next().is_some() {
        return Err(LinesError::Shape("something follows its fourth line"));
    }
    if text.strip_suffix(checksum).map(checksum_line).as_deref() != Some(checksum) {
        return Err(LinesError::Shape("the checksum in its fourth line does not fit the lines before"));
    }
    let sealed_bytes = first.map_or(0, str::len) + json.len();
    let sealed = bytes.get(..sealed_bytes).unwrap_or_default();
    Ok(Lines { sealed, json, seal })
}

/// The first two lines of a document.
pub(crate) fn unsealed<T: Serialize>(title: &str, version: u32, json: &T) -> Result<String, serde_json::Error> {
    Ok(format!("{title} {version}\n{}\n", serde_json::to_string(json)?))
}

/// A whole document: its first two lines, and the seal over them.
pub(crate) fn sealed(mut lines: String, seal_word: &str, seal: impl std::fmt::Display) -> Vec<u8> {
    lines.push_str(&format!("{seal_word} {seal}\n"));
    lines.push_str(&checksum_line(&lines));
    lines.into_bytes()
}

fn checksum_line(lines: &str) -> String {
    format!("blake3 {}\n", blake3::hash(lines.as_bytes()).to_hex())
}

/// The JSON line as a value.
pub(crate) fn parse<T: DeserializeOwned>(lines: &Lines<'_>) -> Result<T, String> {
    serde_json::from_str(lines.json).map_err(|error| error.to_string())
}

/// Length of the last line: its word, a space, 64 digits and its end.
#[cfg(test)]
pub(crate) const CHECKSUM_LINE_BYTES: usize = 72;

/// What somebody without a key can do after a change: make the checksum fit again.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn mended(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes.clone()) else { return bytes };
    let lines: String = text.split_inclusive('\n').take(3).collect();
    let checksum = checksum_line(&lines);
    (lines + &checksum).into_bytes()
}
