//! As much XML as the answers of S3 need: elements by name, without regard to where they stand.

/// The inner text of all elements of one name, as it is written; they do not nest.
pub fn blocks<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once(open.as_str())?;
            rest = after;
            // `<Version>` is wanted and `<VersionId>` is not.
            if let Some((_, inner)) = after.split_once('>').filter(|(tag, _)| tag.is_empty() || tag.starts_with(' ')) {
                let (inner, after) = inner.split_once(close.as_str())?;
                rest = after;
                return Some(inner);
            }
        }
    })
}

/// The texts of all elements of one name, entities resolved.
pub fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = String> + use<'a> {
    blocks(xml, name).map(plain)
}

/// The text of the first element of a name.
pub fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).next()
}

/// Text without its entities; `&amp;` last, for it may spell another.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, after) = after.split_once(';').unwrap_or((after, ""));
        plain.push_str(before);
        plain.extend(character(entity));
        rest = after;
    }
    plain + rest
}

fn character(entity: &str) -> Option<char> {
    let named = [("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("amp", '&')];
    let code = |digits: &str| match digits.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    };
    let numbered = || entity.strip_prefix('#').and_then(code).and_then(char::from_u32);
    named.iter().find(|(name, _)| *name == entity).map(|(_, plain)| *plain).or_else(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_whole_name_and_entities_are_resolved_once() {
        let xml = "<V><VId>1</VId></V><Key>a&amp;lt;&#x1f600;&#10;</Key><V x='y'>2</V>";
        assert_eq!(blocks(xml, "V").collect::<Vec<_>>(), ["<VId>1</VId>", "2"]);
        assert_eq!(element(xml, "Key").unwrap(), "a&lt;😀\n");
    }
}
