//! Templates of a manifest: `{name}` stands for the value of a setting.

/// The names in a template; `None` for a brace that is not closed.
pub(crate) fn template_names(template: &str) -> Vec<Option<&str>> {
    template.split('{').skip(1).map(|rest| rest.split_once('}').map(|(name, _)| name)).collect()
}

/// The template with values in place of names; a name without a value stands for nothing.
pub(crate) fn expand(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = template.split('{');
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        text.push_str(&value(name).unwrap_or_default());
        text.push_str(rest);
    }
    text
}

/// What stands in the place of `{}`, when the text fits the pattern: one part without a dot.
pub(crate) fn capture<'a>(pattern: &str, text: &'a str) -> Option<&'a str> {
    let (before, after) = pattern.split_once("{}")?;
    let hole = text.strip_prefix(before)?.strip_suffix(after)?;
    (!hole.is_empty() && !hole.contains('.')).then_some(hole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_by_values() {
        let value = |name: &str| (name == "b").then(|| "B".to_owned());
        assert_eq!(expand("a{b}c{d}", value), "aBc");
        assert_eq!(template_names("a{b}c{d"), [Some("b"), None]);
    }

    #[test]
    fn a_pattern_captures_one_part() {
        assert_eq!(capture("s3.{}.amazonaws.com", "s3.eu-west-1.amazonaws.com"), Some("eu-west-1"));
        assert_eq!(capture("s3.{}.amazonaws.com", "s3.amazonaws.com"), None);
        assert_eq!(capture("s3.{}.amazonaws.com", "s3.a.b.amazonaws.com"), None);
    }
}
