//! The name that the history of a source goes by: what a person may give, and what to say when a run begins another history.
//!
//! Called by `backup`.

use credenza_engine::backup::OtherSource;

/// A name that can stand in an identity before a path.
pub(super) fn parse_host(text: &str) -> Result<String, &'static str> {
    let is_plain = !text.is_empty() && !text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
    if is_plain { Ok(text.to_owned()) } else { Err("a host has a name without spaces and slashes") }
}

pub(super) fn parse_source(text: &str) -> Result<String, &'static str> {
    let is_plain = !text.trim().is_empty() && !text.contains(char::is_control);
    if is_plain { Ok(text.to_owned()) } else { Err("a source is called by at least one word, on one line") }
}

/// What a person must know who wants one history and has begun a second; `host` is what this machine was called.
pub(super) fn begun_anew(other: &OtherSource, host: &str) -> String {
    let OtherSource { identity, host: other_host, instead } = other;
    let path = |identity: &str, host: &str| {
        identity.strip_prefix("file://").and_then(|rest| rest.strip_prefix(host)).map(str::to_owned)
    };
    let is_host_alone = path(identity, other_host).is_some_and(|other| path(instead, host) == Some(other));
    let option = match is_host_alone {
        true => format!("--host {other_host}"),
        false => format!("--as '{}'", identity.replace('\'', r"'\''")),
    };
    format!(
        "note: this is the first snapshot of `{instead}`; it was compared with the newest one of `{identity}`, of host `{other_host}`. If both are the same, keep one history: add {option} to `backup`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_that_is_named_leads_to_the_other_history() {
        let cases = [
            ("file://a/x", "file://b/x", "add --host a to"),
            ("file://a/x's", "file://b/y", r"add --as 'file://a/x'\''s' to"),
            ("file://b/link/x", "file://b/x", "add --as 'file://b/link/x' to"),
            ("letters", "file://b/x", "add --as 'letters' to"),
        ];
        for (identity, instead, expected) in cases {
            let host = if identity.starts_with("file://b") { "b" } else { "a" };
            let other =
                OtherSource { identity: identity.to_owned(), host: host.to_owned(), instead: instead.to_owned() };
            assert!(begun_anew(&other, "b").contains(expected), "{}", begun_anew(&other, "b"));
        }
    }

    #[test]
    fn names_that_could_be_mistaken_are_refused() {
        for host in ["", "a b", "a/b", "a\n"] {
            assert!(parse_host(host).is_err(), "{host:?}");
        }
        for source in ["", " ", "a\nb"] {
            assert!(parse_source(source).is_err(), "{source:?}");
        }
        assert_eq!(parse_source("my letters"), Ok("my letters".to_owned()));
    }
}
