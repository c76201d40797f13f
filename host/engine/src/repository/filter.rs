//! Which snapshots of a repository are meant, by where and how they were made.
//!
//! Owned here: what a filter lets through. Refused here: names and ids (`snapshots`), and how a person writes a source (`app`). Called by whatever looks
//! at some of the snapshots only.

use credenza_model::Timestamp;

use super::snapshots::{SnapshotHandle, Snapshots};

/// Lets through what has one of the wanted values of each kind; a kind without any is not asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotFilter {
    /// With one of these tags.
    pub tags: Vec<String>,
    /// Of one of these sources: the identity, or the location as it was given.
    pub sources: Vec<String>,
    /// Of one of these machines.
    pub hosts: Vec<String>,
    /// Of a source that is one of these places or one that they lie in: absolute paths, or locations of buckets and prefixes.
    pub paths: Vec<String>,
    /// Made then or before.
    pub not_after: Option<Timestamp>,
}

impl SnapshotFilter {
    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it lets a snapshot through.
    #[must_use]
    pub fn matches(&self, handle: &SnapshotHandle) -> bool {
        let any = |wanted: &[String], is_had: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|wanted| is_had(wanted))
        };
        let snapshot = &handle.snapshot;
        let source = &snapshot.source;
        any(&self.tags, &|tag| snapshot.tags.iter().any(|had| had == tag))
            && any(&self.sources, &|wanted| source.identity == wanted || source.location == wanted)
            && any(&self.hosts, &|host| snapshot.host == host)
            && self.not_after.is_none_or(|end| handle.time().unwrap_or(snapshot.finished) <= end)
            && any(&self.paths, &|path| lies_in(path, &source.location))
    }
}

impl Snapshots {
    /// Those that a filter lets through. What is damaged says nothing of where it was made, and stays.
    #[must_use]
    pub fn filtered(mut self, filter: &SnapshotFilter) -> Self {
        self.whole.retain(|handle| filter.matches(handle));
        self.ahead.retain(|id| self.whole.iter().any(|handle| handle.snapshot.id == *id));
        self
    }
}

/// Whether a path is a place or lies in it; a slash at the end of either means nothing.
fn lies_in(path: &str, place: &str) -> bool {
    let place = place.trim_end_matches('/');
    path.trim_end_matches('/').strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_in_whole_segments_of_a_place() {
        for (path, place, expected) in [
            ("/home/me", "/home/me", true),
            ("/home/me/", "/home/me", true),
            ("/home/me/letters", "/home/me/", true),
            ("/home/meadow", "/home/me", false),
            ("/home", "/home/me", false),
            ("/etc", "/", true),
            ("s3://host/bucket/2026", "s3://host/bucket", true),
        ] {
            assert_eq!(lies_in(path, place), expected, "{path} in {place}");
        }
    }
}
