//! What the user has agreed to: the file `connectors.lock` beside the configuration, one table for each installed connector.
//!
//! Owned here: its layout, and that it says one thing. Refused here: consent (`install`), and what follows from it (`connectors`). The file is
//! replaced whole, and changed by one process at a time.
//!
//! ```toml
//! [shop]
//! version = "1.0.0"
//! sha256 = "…"
//! publisher = "…"
//! from = "https://example.com/shop.wasm"
//! grant = "…"
//! granted = ['endpoints.api.allow.source = "GET /*"']
//! ```

use std::path::{Path, PathBuf};

use credenza_format::{Hex, PublicKey};
use credenza_sandbox::Grant;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike};

use super::component::hexadecimal;
use crate::configuration::{ConfigurationError, file};

pub(super) const NAME: &str = "connectors.lock";
const HEAD: &str = "# Which connectors may run, and what was agreed that they may do. Change it with: credenza connector install, update, remove\n";

/// A connector that was agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Who signed it.
    pub publisher: Option<PublicKey>,
    /// Where it was installed from.
    pub from: String,
    /// What it was granted, in the form that is kept.
    pub granted: Vec<String>,
    /// Whether it goes before the connector of the same name, or of the same scheme, that is part of the program.
    pub overrides_embedded: bool,
}

impl Pin {
    /// Whether it was agreed that it serves such locations.
    pub(super) fn serves(&self, scheme: &str) -> bool {
        self.granted.contains(&format!("schemes = \"{scheme}\""))
    }

    /// The name of its file, in which no two versions meet: a crash between file and lock leaves the old one whole.
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}.wasm", self.name, self.sha256.get(..16).unwrap_or_default())
    }
}

/// All that was agreed to.
#[derive(Debug)]
pub(super) struct Pins {
    path: PathBuf,
    document: DocumentMut,
}

impl Pins {
    /// Reads the lock in the folder of the configuration; without a file it is empty.
    pub(super) fn read(folder: &Path) -> Result<Self, ConfigurationError> {
        let path = folder.join(NAME);
        let document = file::read_document(&path)?;
        Ok(Self { path, document })
    }

    /// Those of the file, in the order of their names.
    pub(super) fn all(&self) -> Result<Vec<Pin>, ConfigurationError> {
        let mut pins = self.document.iter().map(|(name, item)| self.pin(name, item)).collect::<Result<Vec<_>, _>>()?;
        pins.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pins)
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<Pin>, ConfigurationError> {
        self.document.get(name).map(|item| self.pin(name, item)).transpose()
    }

    fn pin(&self, name: &str, item: &Item) -> Result<Pin, ConfigurationError> {
        let shape = |field: &str, expected| ConfigurationError::Shape {
            path: self.path.clone(),
            key: if field.is_empty() { name.to_owned() } else { format!("{name}.{field}") },
            expected,
        };
        // A name becomes that of a file.
        let plain = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) && !name.is_empty();
        let table = item.as_table_like().filter(|_| plain);
        let table = table.ok_or_else(|| shape("", "a table with the name of a connector"))?;
        let text = |field: &str| table.get(field).and_then(Item::as_str).map(str::to_owned);
        let sha256 = text("sha256").filter(|text| is_digest(text));
        let publisher = table.get("publisher").map(|item| item.as_str().and_then(|text| text.parse().ok()));
        let granted = list(table, "granted").ok_or_else(|| shape("granted", "a list of texts"))?;
        let pin = Pin {
            name: name.to_owned(),
            version: text("version").ok_or_else(|| shape("version", "a text"))?,
            sha256: sha256.ok_or_else(|| shape("sha256", "64 hexadecimal digits"))?,
            publisher: match publisher {
                None => None,
                Some(key) => Some(key.ok_or_else(|| shape("publisher", "a public key of 64 hexadecimal digits"))?),
            },
            from: text("from").ok_or_else(|| shape("from", "a text"))?,
            overrides_embedded: match table.get("overrides_embedded") {
                None => false,
                Some(item) => item.as_bool().ok_or_else(|| shape("overrides_embedded", "true or false"))?,
            },
            granted,
        };
        if text("grant") != Some(hexadecimal(&Grant::hash_of(&pin.granted))) {
            return Err(shape("grant", "the hash of what is granted: somebody has changed what was agreed to"));
        }
        Ok(pin)
    }

    /// Reads, changes and writes the lock while no other process does; nothing is written when `change` fails.
    pub(super) fn edit<T, E: From<ConfigurationError>>(
        folder: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let _lock = file::lock(folder)?;
        let mut pins = Self::read(folder)?;
        let answer = change(&mut pins)?;
        let text = pins.document.to_string();
        let head = if text.starts_with(HEAD) { "" } else { HEAD };
        file::write(&pins.path, &format!("{head}{text}"))?;
        Ok(answer)
    }

    /// Adds a pin, in the place of one of its name.
    pub(super) fn put(&mut self, pin: &Pin) {
        let mut table = Table::new();
        let mut put = |field: &str, text: &str| table.insert(field, toml_edit::value(text));
        put("version", &pin.version);
        put("sha256", &pin.sha256);
        pin.publisher.iter().for_each(|key| drop(put("publisher", &key.to_string())));
        put("from", &pin.from);
        put("grant", &Hex(Grant::hash_of(&pin.granted)).to_string());
        if pin.overrides_embedded {
            table.insert("overrides_embedded", toml_edit::value(true));
        }
        let mut granted: Array = pin.granted.iter().map(String::as_str).collect();
        granted.iter_mut().for_each(|line| line.decor_mut().set_prefix("\n    "));
        granted.set_trailing("\n");
        granted.set_trailing_comma(true);
        table.insert("granted", toml_edit::value(granted));
        self.document.insert(&pin.name, Item::Table(table));
    }

    /// Takes a pin out; `false` when there is none of that name.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.document.remove(name).is_some()
    }
}

/// Whether a text is a SHA-256 in hexadecimal.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn list(table: &dyn TableLike, field: &str) -> Option<Vec<String>> {
    table.get(field)?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pin(name: &str) -> Pin {
        Pin {
            name: name.to_owned(),
            version: "1".to_owned(),
            sha256: "ab".repeat(32),
            publisher: None,
            from: "/x \"y\"\n".to_owned(),
            granted: vec!["schemes = \"shop\"".to_owned(), "roles = \"source\"".to_owned()],
            overrides_embedded: true,
        }
    }

    fn kept(folder: &Path, pins: &[Pin]) -> String {
        Pins::edit(folder, |kept| {
            pins.iter().for_each(|pin| kept.put(pin));
            Ok::<_, ConfigurationError>(())
        })
        .unwrap();
        fs::read_to_string(folder.join(NAME)).unwrap()
    }

    #[test]
    fn a_pin_reads_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let signer = credenza_format::SigningKey::from_seed(&[1; 32]).public();
        let pins = [pin("a"), Pin { publisher: Some(signer), overrides_embedded: false, ..pin("b-2") }];
        let text = kept(folder.path(), &pins);
        assert!(text.starts_with(HEAD), "{text}");
        assert_eq!(Pins::read(folder.path()).unwrap().all().unwrap(), pins);
        assert!(pins[0].serves("shop") && !pins[0].serves("sho"));
        assert_eq!(kept(folder.path(), &pins), text);
    }

    #[test]
    fn a_lock_that_is_damaged_or_was_widened_by_hand_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let whole = kept(folder.path(), &[pin("a")]);
        for (from, to) in [
            ("[a]", "[\"../a\"]"),
            ("[a]", "[A]"),
            ("sha256 = \"ab", "sha256 = \"AB"),
            ("sha256 = \"ab", "sha256 = \""),
            ("version = \"1\"", "version = 1"),
            ("roles = ", "secrets.x = "),
            ("overrides_embedded = true", "overrides_embedded = \"yes\""),
            ("version = \"1\"", "version = \"1\"\npublisher = \"me\""),
            ("granted = [", "grunted = ["),
            ("[a]", "[a"),
        ] {
            let damaged = whole.replacen(from, to, 1);
            assert_ne!(damaged, whole, "{from}");
            fs::write(folder.path().join(NAME), damaged).unwrap();
            assert!(Pins::read(folder.path()).and_then(|pins| pins.all()).is_err(), "{to}");
        }
        for length in 1..whole.len() {
            if !whole.is_char_boundary(length) {
                continue;
            }
            fs::write(folder.path().join(NAME), &whole[..length]).unwrap();
            let read = Pins::read(folder.path()).and_then(|pins| pins.all());
            assert!(read.is_err() || read.is_ok_and(|pins| pins.is_empty() || pins == [pin("a")]), "{length}");
        }
    }
}
