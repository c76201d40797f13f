//! Strays: what lies in a store and is no object of the repository in it, such as a console's mark of a folder or somebody's notes.
//!
//! Nobody reads, needs or deletes it, and it stops nothing. `check` and `audit` count and name it.

use std::fmt::Display;

/// Most names that are kept; the others are counted.
const NAMES_MAX: usize = 100;

/// What was seen of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strays {
    /// How many there are.
    pub count: u64,
    /// The names of the first 100.
    pub names: Vec<String>,
}

impl Strays {
    pub(crate) fn add(&mut self, name: impl Display) {
        self.count += 1;
        if self.names.len() < NAMES_MAX {
            self.names.push(name.to_string());
        }
    }
}
