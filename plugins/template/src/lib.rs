//! Files on a WebDAV server.
//!
//! Owned here: which requests are made, and what their answers mean. Refused here: host names, credentials, retries and the bytes of the
//! files, which are the host's.

pub mod dav;
pub mod destination;
pub mod source;
pub mod store;
pub mod walk;

use std::rc::Rc;

use credenza_sdk::settings::broken;
use credenza_sdk::wire::Host;
use credenza_sdk::{Config, Connector, Problem, Result};

use crate::dav::Dav;

credenza_sdk::settings! {
    /// What the user configured.
    pub struct Place {
        host: String,
        folder: String,
    }
}

/// A session with the server.
#[derive(Debug)]
pub struct Files(Rc<Dav<Host>>);

credenza_sdk::export!(Files: source, store, destination);

impl Connector for Files {
    fn open(config: &Config) -> Result<Self> {
        let Place { host, folder } = Place::of(config);
        let identity = format!("template://{host}/{folder}");
        Ok(Self(Rc::new(Dav::new(identity, Host))))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        let is_wrong = Place::of(config).folder.split('/').any(|part| part.is_empty() || part == "..");
        broken([(is_wrong, "folder", "a folder is a path without an empty part and without `..`")])
    }
}
