//! The versions and snapshots of each blob together, newest first: the service lists them oldest first, and a page may end among them.
//!
//! Held: those of one name that the pages so far have told.

use std::cmp::Reverse;

use credenza_sdk::{Error, ErrorClass, Result};

use crate::fault::shown;
use crate::listing::{Edition, Listed};

/// Most of one name; what has more cannot be put in order.
const OF_A_NAME_MAX: usize = 100_000;

/// Those of a name that may not be all yet.
#[derive(Debug, Default)]
pub(crate) struct Gathering(Vec<Listed>);

impl Gathering {
    /// Takes a page in, and gives those names whose versions are all there; with `is_last` all of them.
    ///
    /// # Errors
    /// `exhausted` when a name has more versions than can be held.
    pub(crate) fn of(&mut self, page: Vec<Listed>, is_last: bool) -> Result<Vec<Listed>> {
        let mut complete = Vec::new();
        for listed in page {
            if self.0.first().is_some_and(|first| first.name != listed.name) {
                complete.append(&mut newest_first(std::mem::take(&mut self.0)));
            }
            self.0.push(listed);
        }
        if is_last {
            complete.append(&mut newest_first(std::mem::take(&mut self.0)));
        }
        match self.0.first() {
            Some(first) if self.0.len() > OF_A_NAME_MAX => {
                let message = format!("listing failed: {} has more than {OF_A_NAME_MAX} versions", shown(&first.name));
                Err(Error::new(ErrorClass::Exhausted, "azure.too-many-versions", message))
            }
            _ => Ok(complete),
        }
    }
}

/// What a plain read returns comes first. Ids are times, written alike.
fn newest_first(mut editions: Vec<Listed>) -> Vec<Listed> {
    editions.sort_by(|a, b| (Reverse(rank(&a.edition))).cmp(&Reverse(rank(&b.edition))));
    editions
}

fn rank(edition: &Edition) -> (bool, &str) {
    match edition {
        Edition::Blob => (true, ""),
        Edition::Version { id, current } => (*current, id),
        Edition::Snapshot(id) => (false, id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, edition: Edition) -> Listed {
        Listed { name: name.into(), edition, ..Listed::default() }
    }

    #[test]
    fn what_a_page_ends_among_waits_for_the_next() {
        let snapshot = |id: &str| Edition::Snapshot(id.to_owned());
        let version = |id: &str, current| Edition::Version { id: id.to_owned(), current };
        let mut gathering = Gathering::default();
        let first = gathering
            .of(vec![listed("a", snapshot("1")), listed("a", Edition::Blob), listed("b", version("1", false))], false);
        assert_eq!(first.unwrap(), [listed("a", Edition::Blob), listed("a", snapshot("1"))]);
        assert!(gathering.of(Vec::new(), false).unwrap().is_empty());
        let rest = gathering
            .of(vec![listed("b", version("3", true)), listed("b", snapshot("2")), listed("c", snapshot("9"))], true);
        let expected = [
            listed("b", version("3", true)),
            listed("b", snapshot("2")),
            listed("b", version("1", false)),
            listed("c", snapshot("9")),
        ];
        assert_eq!(rest.unwrap(), expected);
    }
}
