//! Who may use the page from elsewhere, and what each may do there.
//!
//! Owned here: what roles there are. Refused here: which action needs which of them (`credenza-web`).

use std::fmt::{self, Display};
use std::str::FromStr;

/// What a user of the page may do; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees how backups stand and what they are called, and no contents.
    Viewer,
    /// Reads contents, and restores.
    Restorer,
    /// Starts and cancels backups, checks and whatever else loses nothing.
    Operator,
    /// Removes, and changes the configuration.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Restorer, Self::Operator, Self::Admin];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Restorer => "restorer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no role: there are viewer, restorer, operator and admin", text.escape_debug())]
pub struct InvalidRole {
    /// The text.
    pub text: String,
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| InvalidRole { text: text.to_owned() })
    }
}
