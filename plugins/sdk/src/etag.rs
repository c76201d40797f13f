//! ETags (RFC 9110 section 8.8.3): servers quote them or not, mark weak ones or not.
//!
//! ```
//! use credenza_sdk::etag;
//!
//! assert_eq!(etag::bare("\"a1\"").as_deref(), Some("a1"));
//! assert_eq!(etag::quoted("a1"), "\"a1\"");
//! ```

/// An ETag without its quotes and without the mark of a weak one; nothing when it is empty. Two answers of one server compare by it.
#[must_use]
pub fn bare(text: &str) -> Option<String> {
    let strong = text.trim().strip_prefix("W/").unwrap_or(text.trim());
    let bare = strong.trim_matches('"');
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// An ETag as the headers of conditions want it.
#[must_use]
pub fn quoted(bare: &str) -> String {
    format!("\"{bare}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_loses_quotes_and_weakness() {
        for (text, etag) in
            [("\"x\"", Some("x")), ("W/\"x\"", Some("x")), ("x-2", Some("x-2")), ("\"\"", None), ("", None)]
        {
            assert_eq!(bare(text).as_deref(), etag);
        }
    }
}
