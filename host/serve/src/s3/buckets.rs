//! Which buckets there are, and of which snapshots each shows its objects and their history.
//!
//! | bucket | objects of | history |
//! |---|---|---|
//! | `latest` | the newest snapshot | all snapshots of its source |
//! | `NAME-DIGEST` | the newest snapshot of a source, by the end of its location | all snapshots of that source |
//! | `time-id` | one snapshot | none |
//! | `snapshot` | the one that was chosen, which is then the only bucket | none |

use std::collections::BTreeMap;
use std::sync::Arc;

use credenza_model::Timestamp;

use crate::shelf::{Standing, name_of, time_of};
use crate::tree::SnapshotTree;

/// The bucket of the newest snapshot.
pub(super) const LATEST: &str = "latest";
/// The bucket of the one that was chosen.
pub(super) const CHOSEN: &str = "snapshot";
/// Characters of a bucket's name that a location gives; with the digest it stays below the 63 of S3.
const LOCATION_CHARACTERS_MAX: usize = 40;
/// Digits that tell sources of one name apart.
const DIGEST_DIGITS: usize = 8;

/// A bucket.
#[derive(Clone)]
pub(super) struct Bucket {
    /// Whose objects it shows.
    pub(super) newest: SnapshotTree,
    /// What was before it, the newest first.
    pub(super) older: Arc<[SnapshotTree]>,
    /// Whether it shows the history at all.
    pub(super) keeps_versions: bool,
}

impl Bucket {
    fn alone(tree: &SnapshotTree) -> Self {
        Self { newest: tree.clone(), older: Arc::from([]), keeps_versions: false }
    }

    /// Its snapshots, the newest first.
    pub(super) fn history(&self) -> impl Iterator<Item = &SnapshotTree> {
        std::iter::once(&self.newest).chain(self.older.iter())
    }

    /// When it became what it is.
    pub(super) fn time(&self) -> Timestamp {
        time_of(self.newest.snapshot())
    }
}

/// The buckets of what is shown at a moment.
pub(super) struct Buckets {
    pub(super) by_name: BTreeMap<String, Bucket>,
}

impl Buckets {
    pub(super) fn of(standing: &Standing, follows: bool) -> Self {
        let mut by_name = BTreeMap::new();
        let mut sources: BTreeMap<(&str, &str), Vec<&SnapshotTree>> = BTreeMap::new();
        for tree in standing.newest_first() {
            if standing.alone.is_some() {
                by_name.insert(if follows { LATEST } else { CHOSEN }.to_owned(), Bucket::alone(tree));
                return Self { by_name };
            }
            by_name.insert(name_of(tree.snapshot()).to_lowercase(), Bucket::alone(tree));
            sources.entry(source_of(tree)).or_default().push(tree);
        }
        let newest = standing.newest_first().next().map(source_of);
        for (source, trees) in sources {
            let Some((first, older)) = trees.split_first() else { continue };
            let older = older.iter().map(|tree| (*tree).clone()).collect();
            let bucket = Bucket { newest: (*first).clone(), older, keeps_versions: true };
            if newest == Some(source) {
                by_name.insert(LATEST.to_owned(), bucket.clone());
            }
            by_name.insert(source_name(&first.snapshot().snapshot.source.location, source), bucket);
        }
        Self { by_name }
    }
}

/// What snapshots of one source have in common.
fn source_of(tree: &SnapshotTree) -> (&str, &str) {
    let snapshot = &tree.snapshot().snapshot;
    (&snapshot.host, &snapshot.source.identity)
}

/// The bucket of a source: the end of its location, as far as a name of S3 can hold it, and digits that no other source has.
fn source_name(location: &str, (host, identity): (&str, &str)) -> String {
    let last = location.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase();
    let words = last.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name: String = words.collect::<Vec<_>>().join("-");
    name.truncate(LOCATION_CHARACTERS_MAX);
    let name = if name.is_empty() { "source" } else { name.trim_end_matches('-') };
    let digest = blake3::hash([host, identity].join("\0").as_bytes()).to_hex();
    format!("{name}-{digest:.DIGEST_DIGITS$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_becomes_a_name_that_s3_allows() {
        for (location, begins) in [
            ("/srv/Shop Data", "shop-data-"),
            ("s3://host/bucket/", "bucket-"),
            ("/", "source-"),
            ("/ünï", "n-"),
            ("/..", "source-"),
        ] {
            let name = source_name(location, ("host", "identity"));
            assert!(name.starts_with(begins) && name.len() == begins.len() + DIGEST_DIGITS, "{location}: {name}");
        }
        assert!(source_name(&"a-".repeat(100), ("", "")).len() <= 63);
        assert_ne!(source_name("/srv", ("a", "b")), source_name("/srv", ("b", "a")));
    }
}
