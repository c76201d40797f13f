//! Which snapshots are to be kept: the retention policy, as the config of a repository keeps it.
//!
//! Owned here: its form. Refused here: what it means for a list of snapshots (`engine::retention`).

use serde::{Deserialize, Serialize};

/// What makes snapshots belong together: each group is judged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grouping {
    /// The identity of the source.
    Source,
    /// The machine's name.
    Host,
    /// The set of tags.
    Tags,
}

/// A retention policy: a snapshot is kept when any rule wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The newest so many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last: u32,
    /// The newest of each of the last so many hours that have any; so with the following.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hourly: u32,
    /// Days.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub daily: u32,
    /// Weeks, which begin on Monday.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weekly: u32,
    /// Months.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub monthly: u32,
    /// Years.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub yearly: u32,
    /// All that are at most so many seconds older than the newest of their group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<u64>,
    /// All with one of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What makes a group.
    pub group_by: Vec<Grouping>,
}

impl Default for Policy {
    fn default() -> Self {
        let group_by = vec![Grouping::Source, Grouping::Host];
        let (last, hourly, daily, weekly, monthly, yearly) = (0, 0, 0, 0, 0, 0);
        Self { last, hourly, daily, weekly, monthly, yearly, within_seconds: None, tags: Vec::new(), group_by }
    }
}

impl Policy {
    /// The rules that keep a number of snapshots, with their names in commands and that number.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let counts = [
            ("last", self.last),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ];
        counts.into_iter().filter(|(_, number)| *number > 0)
    }

    /// Whether no rule keeps anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { group_by: self.group_by.clone(), ..Self::default() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
