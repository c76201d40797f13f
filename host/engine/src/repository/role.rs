//! The role of a repository: whether it takes its snapshots from another, by its config, which every command has read anyway.
//!
//! Owned here: the role, what it refuses, and changing it. Refused here: what a replica knows of its origin (`replica`). Called by everything that adds
//! snapshots, removes them or reclaims their space.

use credenza_format::{Config, ReplicaOf};
use credenza_model::{RepositoryId, Timestamp};

use super::Repository;
use super::open::{read_config, verify};
use crate::{Error, Result};

/// The role of a repository that is not, or was not always, on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum Role {
    /// It takes snapshots from its origin, and backups from nobody.
    Replica {
        /// The origin.
        origin: RepositoryId,
        /// Since when.
        since: Timestamp,
    },
    /// It was a replica, takes backups now, and nothing from what was its origin.
    Promoted {
        /// What was its origin.
        origin: RepositoryId,
        /// When it was promoted.
        at: Timestamp,
    },
}

impl From<ReplicaOf> for Role {
    fn from(ReplicaOf { origin, since, promoted }: ReplicaOf) -> Self {
        match promoted {
            None => Self::Replica { origin, since },
            Some(at) => Self::Promoted { origin, at },
        }
    }
}

impl Repository {
    /// Its role, as it was when it was opened; nothing where it never was a replica.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.config.replica_of.map(Role::from)
    }

    /// The same repository for whoever replicates from its origin: snapshots may be removed and space reclaimed there.
    pub(crate) fn in_charge(&self) -> Self {
        Self { in_charge: true, ..self.clone() }
    }

    /// Refuses what only a repository that is on its own takes, named as in "backups".
    pub(crate) fn require_primary(&self, what: &'static str) -> Result<()> {
        match self.role() {
            Some(Role::Replica { origin, .. }) => Err(Error::IsReplica { origin, what }),
            Some(Role::Promoted { .. }) | None => Ok(()),
        }
    }

    /// Refuses upkeep of a replica by others than its replication, named as in "removing snapshots".
    pub(crate) fn require_charge(&self, what: &'static str) -> Result<()> {
        if self.in_charge { Ok(()) } else { self.require_primary(what) }
    }

    /// The role as it is in the store now.
    ///
    /// # Errors
    /// When the config cannot be read, or is not what the keys prove.
    pub(crate) async fn role_now(&self) -> Result<Option<Role>> {
        let config = verify(read_config(&*self.bare).await?, &self.keys)?;
        Ok(config.replica_of.map(Role::from))
    }

    /// Writes another role into the config. The repository must be opened again to see it.
    ///
    /// # Errors
    /// [`Error::ConcurrentChange`] when the config was changed since the repository was opened.
    pub(crate) async fn set_replica_of(&self, replica_of: ReplicaOf) -> Result<()> {
        self.require_reading("the role of the repository")?;
        let config = Config { replica_of: Some(replica_of), ..self.config.clone() };
        self.replace_config(&config, self.keys.keyring()).await
    }
}
