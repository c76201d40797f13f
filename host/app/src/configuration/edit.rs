//! Changes of one table of the file that leave the user's comments, and the order of what is not changed.
//!
//! Owned here: where a comment goes when its setting does. Refused here: which table it is. Called by `configuration`.

use toml_edit::{Decor, Item, Table, TableLike, Value};

/// Sets a value; where it replaces one, it takes over its place and the comments around it.
pub(super) fn put(table: &mut dyn TableLike, key: &str, text: &str) {
    let mut value = Value::from(text);
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => drop(table.insert(key, Item::Value(value))),
    }
}

/// Removes a value, but not the comments above it: they may speak of more than one setting. `false` when there is none.
pub(super) fn take_out(place: &mut Item, key: &str) -> bool {
    let Some(table) = place.as_table_like() else { return false };
    let above = comments(table, key);
    if above.contains('#')
        && let Some(decor) = decor_before(place, key)
    {
        decor.set_suffix(format!("{}\n{}", suffix(decor), above.trim_end()));
    }
    place.as_table_like_mut().is_some_and(|table| table.remove(key).is_some())
}

/// The lines above a setting, and those that [`take_out`] has moved behind it.
fn comments(table: &dyn TableLike, key: &str) -> String {
    let prefix = table.key(key).and_then(|key| key.leaf_decor().prefix()?.as_str()).unwrap_or_default();
    let value = table.get(key).and_then(Item::as_value).map(|value| suffix(value.decor()));
    let moved = value.and_then(|suffix| suffix.split_once('\n')).map_or("", |(_, moved)| moved);
    format!("{prefix}{moved}")
}

fn suffix(decor: &Decor) -> &str {
    decor.suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default()
}

/// What is written behind the value before `key`, or behind the head of its table.
fn decor_before<'a>(place: &'a mut Item, key: &str) -> Option<&'a mut Decor> {
    let before = place.as_table_like()?.iter().take_while(|(name, _)| *name != key);
    let last = before.filter(|(_, item)| item.is_value()).last().map(|(name, _)| name.to_owned());
    match last {
        Some(name) => place.as_table_like_mut()?.get_mut(&name)?.as_value_mut().map(Value::decor_mut),
        None => place.as_table_mut().map(Table::decor_mut),
    }
}

#[cfg(test)]
mod tests {
    use toml_edit::DocumentMut;

    use super::*;

    const FILE: &str = "\
# All of mine.

[source.a] # the first
# Where it is,
location = '/a' # until May

# and how it is read.
region = \"x\"
use_tls = true
# The end.

[source.b]
location = '/b'
";

    fn changed(change: impl FnOnce(&mut Item)) -> String {
        let mut document: DocumentMut = FILE.parse().unwrap();
        change(&mut document["source"]["a"]);
        let text = document.to_string();
        assert!(text.parse::<DocumentMut>().is_ok(), "{text}");
        text
    }

    #[test]
    fn a_value_that_is_replaced_keeps_its_place_and_its_comments() {
        let text = changed(|place| put(place.as_table_like_mut().unwrap(), "location", "/new"));
        assert_eq!(text, FILE.replace("'/a'", "\"/new\""));
        let text = changed(|place| put(place.as_table_like_mut().unwrap(), "use_tls", "false"));
        assert_eq!(text, FILE.replace("true", "\"false\""));
    }

    #[test]
    fn a_new_value_comes_last_in_its_table() {
        let text = changed(|place| put(place.as_table_like_mut().unwrap(), "new", "y"));
        assert_eq!(text, FILE.replace("true\n", "true\nnew = \"y\"\n"));
    }

    #[test]
    fn a_value_that_is_removed_leaves_the_comments_above_it() {
        for (key, line) in [
            ("location", "location = '/a' # until May\n"),
            ("region", "region = \"x\"\n"),
            ("use_tls", "use_tls = true\n"),
        ] {
            assert_eq!(changed(|place| assert!(take_out(place, key))), FILE.replace(line, ""), "{key}");
        }
        let none = changed(|place| {
            for key in ["region", "location", "use_tls"] {
                assert!(take_out(place, key) && !take_out(place, key));
            }
        });
        for comment in ["# All of mine.", "# the first", "# Where it is,", "# and how it is read.", "# The end."] {
            assert!(none.contains(comment), "{none}");
        }
    }
}
