//! What a guess at a passphrase costs.

use serde::{Deserialize, Serialize};

use super::SlotError;

/// Parameters of Argon2id (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdfParams {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl KdfParams {
    /// The floor: the second recommended option of RFC 9106, section 4.
    pub const MIN: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// The ceiling, so that a hostile slot cannot exhaust the machine: 1 GiB, 16 passes, 16 lanes.
    pub const MAX: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

    /// What a guess costs: KiB of memory, times passes over it.
    #[must_use]
    pub fn work(&self) -> u64 {
        u64::from(self.memory_kib).saturating_mul(u64::from(self.passes))
    }

    /// Requires that the parameters lie between floor and ceiling.
    pub(super) fn check(&self) -> Result<(), SlotError> {
        let Self { memory_kib, passes, lanes } = *self;
        let problem = if memory_kib < Self::MIN.memory_kib || passes < Self::MIN.passes || lanes == 0 {
            let Self { memory_kib, passes, .. } = Self::MIN;
            format!("guessing would be too cheap below {memory_kib} KiB and {passes} passes")
        } else if memory_kib > Self::MAX.memory_kib || passes > Self::MAX.passes || lanes > Self::MAX.lanes {
            let Self { memory_kib, passes, lanes } = Self::MAX;
            format!("it could exhaust the machine beyond {memory_kib} KiB, {passes} passes and {lanes} lanes")
        } else {
            return Ok(());
        };
        Err(SlotError::Cost { memory_kib, passes, lanes, problem })
    }
}

impl Default for KdfParams {
    fn default() -> Self {
        Self::MIN
    }
}
