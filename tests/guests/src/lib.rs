//! A connector that breaks its contract, in the way that its setting `behaviour` names. For every way to misbehave there is
//! one here, and a test of the host by the same name.
//!
//! Owned here: the misbehaviour. Refused here: any judgement of it. Called by the tests of the host.

mod destination;
mod requests;
mod resources;
mod source;
mod store;

use credenza_sdk::settings::broken;
use credenza_sdk::{Config, Connector, Problem, Result};

credenza_sdk::settings! {
    /// How to misbehave.
    ///
    /// ```
    /// credenza_sdk::settings! { struct Right { behaviour: String } }
    /// ```
    ///
    /// A name that the manifest has not does not compile, and neither does another type or a secret that is none:
    ///
    /// ```compile_fail
    /// credenza_sdk::settings! { struct Wrong { behavior: String } }
    /// ```
    ///
    /// ```compile_fail
    /// credenza_sdk::settings! { struct Wrong { behaviour: bool } }
    /// ```
    ///
    /// ```compile_fail
    /// credenza_sdk::settings! { struct Wrong { behaviour: credenza_sdk::settings::Given } }
    /// ```
    pub struct Manner {
        behaviour: String,
        pin: String,
    }
}

/// A session that misbehaves.
#[derive(Debug)]
pub struct Hostile {
    behaviour: String,
    /// Something that it must not show.
    pin: String,
    memory: store::Memory,
}

credenza_sdk::export!(Hostile: source, store, destination);

impl Connector for Hostile {
    fn open(config: &Config) -> Result<Self> {
        let Manner { behaviour, pin } = Manner::of(config);
        Ok(Self { behaviour, pin, memory: store::Memory::default() })
    }

    fn validate(config: &Config) -> Vec<Problem> {
        broken([(Manner::of(config).behaviour.is_empty(), "behaviour", "say how to misbehave")])
    }
}
