//! Baskets: what was picked to be restored, from anywhere in one repository, until it is.
//!
//! Owned here: the items of each session and repository, and that no key is picked of two snapshots. Refused here: what is in a snapshot (`repositories`),
//! restoring (`operations`).
//!
//! Bound: [`BASKETS_MAX`] baskets, of which the one that was touched longest ago goes first, each with [`ITEMS_MAX`] items and [`KEY_BYTES_MAX`] of keys.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use credenza_engine::{Part, Parts};
use credenza_model::Key;

use crate::form::{decode, encode};
use crate::operations::Picked;

/// Baskets of all sessions.
const BASKETS_MAX: usize = 64;
/// Items of one.
pub(crate) const ITEMS_MAX: usize = 1000;
/// Bytes of the keys of one.
const KEY_BYTES_MAX: usize = 1024 * 1024;

/// A part of a snapshot, as a form names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    /// The whole id.
    pub(crate) snapshot: String,
    pub(crate) part: Part,
}

impl Pick {
    pub(crate) fn entry(snapshot: &str, key: &[u8]) -> Self {
        Self { snapshot: snapshot.to_owned(), part: Part::Key(Key::new(key)) }
    }

    pub(crate) fn folder(snapshot: &str, prefix: &[u8]) -> Self {
        Self { snapshot: snapshot.to_owned(), part: Part::Under(Key::new(prefix)) }
    }

    /// The value of a field: plain text, whatever the key is.
    pub(crate) fn word(&self) -> String {
        let kind = if matches!(self.part, Part::Key(_)) { "entry" } else { "folder" };
        format!("{kind}:{}:{}", self.snapshot, encode(self.part.key().as_bytes()))
    }

    pub(crate) fn parse(word: &[u8]) -> Option<Self> {
        let mut parts = word.splitn(3, |byte| *byte == b':');
        let (kind, snapshot, key) = (parts.next()?, std::str::from_utf8(parts.next()?).ok()?, parts.next()?);
        let key = decode(key);
        match kind {
            b"entry" => Some(Self::entry(snapshot, &key)),
            b"folder" => Some(Self::folder(snapshot, &key)),
            _ => None,
        }
    }
}

/// Something that was picked, and how much it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) pick: Pick,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Whether that is all; of large folders only so much is counted.
    pub(crate) is_counted: bool,
}

/// Why something is not picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unpicked {
    /// As much is picked as may be.
    Full,
    /// It would be written to where another item goes, of another snapshot.
    Taken(Pick),
}

/// What is picked in one repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Basket {
    pub(crate) items: Vec<Item>,
}

impl Basket {
    /// Adds an item, in place of those that lie in it.
    fn add(&mut self, item: Item) -> Result<(), Unpicked> {
        let own = &item.pick;
        let meets = |other: &Pick| own.part.covers_part(&other.part) || other.part.covers_part(&own.part);
        if let Some(other) = self.items.iter().find(|other| other.pick.snapshot != own.snapshot && meets(&other.pick)) {
            return Err(Unpicked::Taken(other.pick.clone()));
        }
        let is_same = |other: &Item| other.pick.snapshot == own.snapshot;
        if self.items.iter().any(|other| is_same(other) && other.pick.part.covers_part(&own.part)) {
            return Ok(());
        }
        self.items.retain(|other| !is_same(other) || !own.part.covers_part(&other.pick.part));
        let key_bytes: usize = self.items.iter().map(|item| item.pick.part.key().as_bytes().len()).sum();
        if self.items.len() >= ITEMS_MAX || key_bytes + own.part.key().as_bytes().len() > KEY_BYTES_MAX {
            return Err(Unpicked::Full);
        }
        self.items.push(item);
        Ok(())
    }

    /// What a restore takes: the parts by snapshot.
    pub(crate) fn picked(&self) -> Vec<Picked> {
        let mut parts: BTreeMap<&str, Vec<Part>> = BTreeMap::new();
        for Item { pick, .. } in &self.items {
            parts.entry(&pick.snapshot).or_default().push(pick.part.clone());
        }
        let picked = |(snapshot, parts): (&str, Vec<Part>)| Picked {
            snapshot: snapshot.to_owned(),
            parts: parts.into_iter().collect::<Parts>(),
        };
        parts.into_iter().map(picked).collect()
    }

    /// Entries and bytes in all, and whether all were counted.
    pub(crate) fn sum(&self) -> (u64, u64, bool) {
        let (entries, bytes) = (self.items.iter().map(|item| item.entries), self.items.iter().map(|item| item.bytes));
        (entries.sum(), bytes.sum(), self.items.iter().all(|item| item.is_counted))
    }
}

/// All baskets of one server.
#[derive(Default)]
pub(crate) struct Baskets(Mutex<State>);

#[derive(Default)]
struct State {
    touches: u64,
    baskets: BTreeMap<Owner, (u64, Basket)>,
}

/// The token of a session, and a repository.
type Owner = (String, String);

impl Baskets {
    /// What a session has picked in a repository.
    pub(crate) fn get(&self, token: &str, name: &str) -> Basket {
        self.state().baskets.get(&owner(token, name)).map(|(_, basket)| basket.clone()).unwrap_or_default()
    }

    pub(crate) fn add(&self, token: &str, name: &str, item: Item) -> Result<(), Unpicked> {
        self.change(token, name, |basket| basket.add(item))
    }

    /// Takes an item out.
    pub(crate) fn take(&self, token: &str, name: &str, pick: &Pick) {
        self.change(token, name, |basket| basket.items.retain(|item| item.pick != *pick));
    }

    pub(crate) fn clear(&self, token: &str, name: &str) {
        self.state().baskets.remove(&owner(token, name));
    }

    fn change<T>(&self, token: &str, name: &str, change: impl FnOnce(&mut Basket) -> T) -> T {
        let mut state = self.state();
        state.touches += 1;
        let touch = state.touches;
        let owner = owner(token, name);
        if state.baskets.len() >= BASKETS_MAX && !state.baskets.contains_key(&owner) {
            let oldest = state.baskets.iter().min_by_key(|(_, (touch, _))| *touch).map(|(owner, _)| owner.clone());
            oldest.and_then(|oldest| state.baskets.remove(&oldest));
        }
        let (last, basket) = state.baskets.entry(owner).or_default();
        *last = touch;
        change(basket)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owner(token: &str, name: &str) -> Owner {
    (token.to_owned(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(pick: Pick) -> Item {
        Item { pick, entries: 1, bytes: 10, is_counted: true }
    }

    #[test]
    fn any_key_goes_through_a_form_as_plain_text() {
        let all: Vec<u8> = (0..=255).collect();
        for key in [&b""[..], b"..", b"a/", b"a:b", b"\xff", "\u{202e}".as_bytes(), &all] {
            for pick in [Pick::entry("12ab", key), Pick::folder("12ab", key)] {
                assert!(pick.word().is_ascii());
                assert_eq!(Pick::parse(pick.word().as_bytes()), Some(pick));
            }
        }
        for wrong in [&b""[..], b"entry", b"entry:1", b"other:1:a", b"entry:\xff:a"] {
            assert_eq!(Pick::parse(wrong), None);
        }
    }

    #[test]
    fn what_lies_in_a_folder_is_picked_once_and_no_key_of_two_snapshots() {
        let baskets = Baskets::default();
        let add = |pick| baskets.add("t", "mine", item(pick));
        assert_eq!(add(Pick::entry("1", b"f/a")), Ok(()));
        assert_eq!(add(Pick::entry("2", b"g")), Ok(()));
        assert_eq!(add(Pick::folder("1", b"f/")), Ok(()));
        assert_eq!(add(Pick::entry("1", b"f/b")), Ok(()));
        assert_eq!(add(Pick::entry("2", b"f/c")), Err(Unpicked::Taken(Pick::folder("1", b"f/"))));
        assert_eq!(add(Pick::folder("1", b"")), Err(Unpicked::Taken(Pick::entry("2", b"g"))));
        // An object beside the folder of its name is another.
        assert_eq!(add(Pick::entry("2", b"f")), Ok(()));
        let basket = baskets.get("t", "mine");
        let words: Vec<String> = basket.items.iter().map(|item| item.pick.word()).collect();
        assert_eq!(words, ["entry:2:g", "folder:1:f/", "entry:2:f"]);
        assert_eq!((basket.sum(), basket.picked().len()), ((3, 30, true), 2));
        assert!(baskets.get("other", "mine").items.is_empty() && baskets.get("t", "other").items.is_empty());
        baskets.take("t", "mine", &Pick::entry("2", b"g"));
        assert_eq!(baskets.get("t", "mine").items.len(), 2);
        baskets.clear("t", "mine");
        assert!(baskets.get("t", "mine").items.is_empty());
    }

    #[test]
    fn baskets_and_what_is_in_them_are_bounded() {
        let baskets = Baskets::default();
        for number in 0..=ITEMS_MAX {
            let added = baskets.add("t", "mine", item(Pick::entry("1", number.to_string().as_bytes())));
            assert_eq!(added.is_ok(), number < ITEMS_MAX);
        }
        assert_eq!(
            baskets.add("u", "mine", item(Pick::entry("1", &vec![b'x'; KEY_BYTES_MAX + 1]))),
            Err(Unpicked::Full)
        );
        for number in 0..BASKETS_MAX {
            baskets.add(&number.to_string(), "mine", item(Pick::entry("1", b"a"))).unwrap();
        }
        assert!(baskets.get("t", "mine").items.is_empty() && !baskets.get("1", "mine").items.is_empty());
    }
}
