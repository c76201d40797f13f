//! A destination that takes everything and keeps nothing.

use credenza_sdk::{Body, Check, Destination, DestinationInfo, Entry, Result, Writer};

use crate::{Hostile, requests, resources};

impl Destination for Hostile {
    fn info(&self) -> Result<DestinationInfo> {
        Ok(DestinationInfo {
            identity: "hostile://destination".to_owned(),
            namespace: "flat".to_owned(),
            traits: Vec::new(),
        })
    }

    fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    fn stat(&self, _key: &[u8]) -> Result<Option<Entry>> {
        Ok(None)
    }

    fn create(&self, _entry: Entry, _overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        resources::take(&self.behaviour);
        requests::escape(&self.behaviour)?;
        Ok(Some(Box::new(Nowhere)))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
        let count = if self.behaviour == "wrong-count" { 0 } else { entries.len() };
        Ok((0..count).map(|_| Ok(Vec::new())).collect())
    }
}

/// Forgets what it is given.
struct Nowhere;

impl Writer for Nowhere {
    fn write(&mut self, _part: Body) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, _last: Body) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn abort(&mut self) {}
}
