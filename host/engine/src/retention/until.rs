//! For how long a snapshot is kept at least, as far as that can be said of what is not made yet.
//!
//! A rule of spans keeps so many of them that have snapshots, so that a span without one makes it keep longer; what is said here is the earliest end.

use std::fmt;

use credenza_model::Timestamp;

/// When the rules that keep a snapshot may have lapsed: all of what stands here must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Until {
    /// This moment; none where no rule goes by time.
    pub not_before: Option<Timestamp>,
    /// So many newer snapshots of its group.
    pub newer: u32,
    /// Nothing ends it but a tag that is taken away, or `rm`.
    #[serde(rename = "open")]
    pub is_open: bool,
}

impl Until {
    /// For good.
    pub(super) const OPEN: Self = Self { not_before: None, newer: 0, is_open: true };

    pub(super) const fn time(time: Timestamp) -> Self {
        Self { not_before: Some(time), newer: 0, is_open: false }
    }

    pub(super) const fn newer(newer: u32) -> Self {
        Self { not_before: None, newer, is_open: false }
    }

    /// While either holds.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            newer: self.newer.max(other.newer),
            is_open: self.is_open || other.is_open,
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let newer = match self.newer {
            0 => String::new(),
            1 => "a newer one is made".to_owned(),
            number => format!("{number} newer ones are made"),
        };
        match self.not_before {
            _ if self.is_open => f.write_str("no end"),
            None => write!(f, "until {newer}"),
            Some(time) => {
                let (year, month, day) = time.date();
                write!(f, "until {year:04}-{month:02}-{day:02}")?;
                if newer.is_empty() { Ok(()) } else { write!(f, " and {newer}") }
            }
        }
    }
}
