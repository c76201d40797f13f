//! What a store guarantees and what it does not, in plain words, from the abilities that making a repository tried.
//!
//! Owned here: what follows from each ability, and from the lack of it. Refused here: trying them (`credenza-engine`), printing.

use credenza_connect::ability;
use serde::Serialize;

/// One thing that a store can or cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Guarantee {
    /// As the config names it.
    pub name: &'static str,
    /// Whether the store can.
    pub holds: bool,
    /// What follows.
    pub means: &'static str,
}

/// An ability, what follows from it, and from the lack of it.
const ABILITIES: [(&str, &str, &str); 4] = [
    (
        ability::IF_ABSENT,
        "an object that exists is not replaced: of two creations of one name the second is refused",
        "an object can be replaced by whoever may write, also by mistake: names are drawn at random, so no two runs of credenza collide",
    ),
    (
        ability::VERSIONS,
        "what is overwritten or deleted stays as an older version, and packs are read by the version that was written",
        "what is overwritten or deleted can no longer be read: versioning is off, or parts of an older version cannot be read",
    ),
    (
        ability::RETENTION,
        "objects can be locked, so that until a time nobody can destroy them, whatever their rights",
        "nothing is locked: whoever may delete can delete all of the repository at any time",
    ),
    (
        "delete",
        "these credentials may delete, and so may whoever steals them",
        "these credentials may not delete; space is reclaimed with others that may",
    ),
];

/// Everything that is known of a store with these abilities.
#[must_use]
pub fn of(traits: &[String]) -> Vec<Guarantee> {
    let guarantee = |(name, means, lacks): &(&'static str, &'static str, &'static str)| {
        let holds = traits.iter().any(|found| found == name);
        Guarantee { name, holds, means: if holds { means } else { lacks } }
    };
    ABILITIES.iter().map(guarantee).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ability_is_told_whether_it_holds_or_not() {
        let reported = of(&["versions".to_owned(), "unknown".to_owned()]);
        let holds: Vec<(&str, bool)> = reported.iter().map(|guarantee| (guarantee.name, guarantee.holds)).collect();
        assert_eq!(holds, [("if-absent", false), ("versions", true), ("retention", false), ("delete", false)]);
        assert!(reported[2].means.starts_with("nothing is locked"), "{}", reported[2].means);
    }
}
