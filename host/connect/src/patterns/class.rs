//! A character class of a pattern: `[a-z]`, `[!0-9]`, `[[:space:]]`, with `\` before what is meant literally.

const OPEN: &str = "the `[` in it is never closed; write `\\[` for a bracket";
const UNKNOWN: &str = "it has a `[:…:]` that is the name of no class";
const BACKWARDS: &str = "a range in its `[…]` runs backwards";
const EMPTY: &str = "the `[…]` in it holds nothing";

/// Bytes in the class.
struct Members([bool; 256]);

impl Members {
    fn add(&mut self, wanted: impl Fn(u8) -> bool) {
        for (member, byte) in self.0.iter_mut().zip(0_u8..=255) {
            *member |= wanted(byte);
        }
    }

    /// As a class of a regular expression; a slash is in none.
    fn expression(&self, negated: bool) -> Option<String> {
        let is_member = |(byte, member): (u8, &bool)| (byte != b'/' && *member != negated).then(|| self::byte(byte));
        let members: String = (0_u8..=255).zip(&self.0).filter_map(is_member).collect();
        (!members.is_empty()).then(|| format!("[{members}]"))
    }
}

/// Translates the class behind its `[`; what follows it is left.
///
/// # Errors
/// When it can match nothing.
pub(super) fn translate<'a>(class: &'a [u8], expression: &mut String) -> Result<&'a [u8], &'static str> {
    let (negated, mut rest) = match class {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut members = Members([false; 256]);
    let mut is_first = true;
    loop {
        match rest {
            [] => return Err(OPEN),
            [b']', after @ ..] if !is_first => {
                expression.push_str(&members.expression(negated).ok_or(EMPTY)?);
                return Ok(after);
            }
            [b'[', b':', after @ ..] if named(after).is_some() => {
                let (name, after) = named(after).ok_or(OPEN)?;
                let is_in = predicate(name).ok_or(UNKNOWN)?;
                members.add(|byte| is_in(&byte));
                rest = after;
            }
            _ => rest = range(rest, &mut members)?,
        }
        is_first = false;
    }
}

/// One byte, or the bytes from one to another.
fn range<'a>(rest: &'a [u8], members: &mut Members) -> Result<&'a [u8], &'static str> {
    let (from, rest) = member(rest)?;
    if let [b'-', after @ ..] = rest
        && !matches!(after, [] | [b']', ..])
    {
        let (to, after) = member(after)?;
        if from > to {
            return Err(BACKWARDS);
        }
        members.add(|byte| (from..=to).contains(&byte));
        return Ok(after);
    }
    members.add(|byte| byte == from);
    Ok(rest)
}

fn member(rest: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    match rest {
        [b'\\', escaped, after @ ..] => Ok((*escaped, after)),
        [b'\\'] | [] => Err(OPEN),
        [byte, after @ ..] => Ok((*byte, after)),
    }
}

/// The name of a class up to its `:]`, and what follows; `None` where a bracket comes first.
fn named(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().position(|byte| *byte == b']')?;
    let name = rest.get(..end)?.strip_suffix(b":")?;
    Some((name, rest.get(end + 1..)?))
}

fn predicate(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

/// Exactly this byte.
pub(super) fn byte(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("\\x{byte:02x}") }
}
