//! Which connector read a snapshot: a member of its line of JSON, and words for a person.

use std::fmt::{self, Display};

use credenza_format::{Digest, Provenance};
use serde::Serialize;

use super::printable;

/// The connector of a snapshot.
#[derive(Serialize)]
pub(crate) struct ConnectorOut<'a> {
    name: &'a str,
    version: &'a str,
    /// BLAKE3 of the component, under which `connector install escrow:DIGEST` finds it.
    digest: Option<Digest>,
    /// BLAKE3 of what it was granted.
    grant: Option<Digest>,
}

impl<'a> ConnectorOut<'a> {
    pub(crate) fn new(provenance: &'a Provenance) -> Self {
        let Provenance { name, version, digest, grant } = provenance;
        Self { name, version, digest: *digest, grant: *grant }
    }

    /// On one line, or on one line each.
    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>, between: &str) -> fmt::Result {
        write!(f, "{} {}", printable(self.name), printable(self.version))?;
        let facts = [("escrow:", self.digest), ("granted ", self.grant)];
        let known = facts.iter().filter_map(|(word, digest)| Some((word, digest.as_ref()?)));
        known.into_iter().try_for_each(|(word, digest)| write!(f, "{between}{word}{digest}"))
    }
}

impl Display for ConnectorOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "  ")
    }
}
