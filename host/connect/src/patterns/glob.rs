//! One pattern of gitignore as a regular expression over bytes.
//!
//! Owned here: what `*`, `**`, `?`, `[…]` and `\` mean, as git's wildmatch has it where `/` separates. Refused here: `!`, the leading
//! and the trailing slash (the rule's). Matching takes time linear in the path, whatever the pattern.

use super::class::{self, byte};

/// The expression that matches what the glob matches, whole.
///
/// # Errors
/// Why the glob can match nothing.
pub(super) fn expression(glob: &[u8]) -> Result<String, &'static str> {
    let mut expression = String::from(r"\A");
    let mut rest = glob;
    let mut begins_segment = true;
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match first {
            b'*' => rest = stars(more, begins_segment, &mut expression),
            b'?' => expression.push_str("[^/]"),
            b'[' => rest = class::translate(more, &mut expression)?,
            b'\\' => {
                let (escaped, more) = more.split_first().ok_or("nothing follows the `\\` at its end")?;
                expression.push_str(&byte(*escaped));
                rest = more;
            }
            literal => expression.push_str(&byte(*literal)),
        }
        begins_segment = *first == b'/' || (*first == b'*' && expression.ends_with(FOLDERS));
    }
    expression.push_str(r"\z");
    Ok(expression)
}

/// No folder, or any number of them.
const FOLDERS: &str = "(?:.*/)?";

/// Translates a run of stars of which the first is gone: two or more that are a whole segment cross slashes. What follows it is left.
fn stars<'a>(more: &'a [u8], begins_segment: bool, expression: &mut String) -> &'a [u8] {
    let further = more.iter().take_while(|byte| **byte == b'*').count();
    let rest = more.get(further..).unwrap_or_default();
    match rest.split_first() {
        None if begins_segment && further > 0 => expression.push_str(".*"),
        Some((b'/', rest)) if begins_segment && further > 0 => {
            expression.push_str(FOLDERS);
            return rest;
        }
        _ => expression.push_str("[^/]*"),
    }
    rest
}
