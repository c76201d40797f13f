//! A connector that breaks its contract, in the way that its setting `behaviour` names. For every way to misbehave there is
//! one here, and a test of the host by the same name.
//!
//! Owned here: the misbehaviour. Refused here: any judgement of it. Called by the tests of the host.

mod destination;
mod requests;
mod resources;
mod source;
mod store;

use credenza_sdk::{Config, Connector, Problem, Result};

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
        let behaviour = config.text("behaviour").unwrap_or_default().to_owned();
        let pin = config.text("pin").unwrap_or_default().to_owned();
        Ok(Self { behaviour, pin, memory: store::Memory::default() })
    }

    fn validate(config: &Config) -> Vec<Problem> {
        let known = config.text("behaviour").is_some();
        let problem = || Problem { setting: Some("behaviour".to_owned()), message: "say how to misbehave".to_owned() };
        if known { Vec::new() } else { vec![problem()] }
    }
}
