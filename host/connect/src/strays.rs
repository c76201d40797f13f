//! Strays: what lies in a store and is no object of the repository in it, such as a console's mark of a folder or somebody's notes.
//!
//! Nobody reads, needs or deletes it, and it stops nothing. A listing tells those that can be no object at all ([`Page`](crate::Page));
//! `check` and `audit` of the engine add those that have a key and mean nothing, count and name them. Bound: [`NAMES_MAX`] names of
//! [`NAME_BYTES_MAX`].

use std::collections::BTreeSet;

use credenza_model::Key;

/// Most names that are kept; the others are counted.
const NAMES_MAX: usize = 100;
/// What is kept of a name, before it is escaped: as much as a key of S3 can have.
const NAME_BYTES_MAX: usize = 1024;

/// How many there are, and the names of those that come first by byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strays {
    count: u64,
    names: BTreeSet<String>,
}

impl Strays {
    /// Counts one more, of whatever bytes its name is made.
    pub fn add(&mut self, name: &[u8]) {
        self.count = self.count.saturating_add(1);
        let text = match name.get(..NAME_BYTES_MAX) {
            Some(beginning) if name.len() > NAME_BYTES_MAX => format!("{}…", Key::new(beginning)),
            _ => Key::new(name).to_string(),
        };
        self.keep(text);
    }

    /// Counts those, too.
    pub fn extend(&mut self, others: Self) {
        self.count = self.count.saturating_add(others.count);
        others.names.into_iter().for_each(|name| self.keep(name));
    }

    fn keep(&mut self, name: String) {
        self.names.insert(name);
        if self.names.len() > NAMES_MAX {
            self.names.pop_last();
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The names of the first 100, escaped as a [`Key`] is shown; one longer than 1,024 bytes is cut.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_named_in_whatever_order_they_come() {
        let (mut odd, mut even) = (Strays::default(), Strays::default());
        for number in (0..600_u64).rev() {
            let strays = if number % 2 == 0 { &mut even } else { &mut odd };
            strays.add(format!("{number:03}").as_bytes());
        }
        odd.extend(even);
        assert_eq!(odd.count(), 600);
        let first: Vec<String> = (0..100).map(|number| format!("{number:03}")).collect();
        assert!(odd.names().eq(first));
    }

    #[test]
    fn a_name_is_escaped_and_cut() {
        let mut strays = Strays::default();
        strays.add(b"a\xff\n");
        strays.add(&[b'b'; 5000]);
        let expected = [r"a\xff\x0a".to_owned(), format!("{}…", "b".repeat(NAME_BYTES_MAX))];
        assert!(strays.names().eq(expected));
    }
}
