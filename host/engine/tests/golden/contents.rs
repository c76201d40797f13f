//! What a repository restores to and what is wrong with it, as text that any reader can be compared with.

use std::fmt::Write;
use std::sync::Arc;

use credenza_connect::memory::MemoryDestination;
use credenza_engine::check::{self, CheckOptions, Sample};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::{Error, Repository, RunContext};

/// A line for each entry of each snapshot: the snapshot, the kind, the BLAKE3 of its content or of its link's target, its key.
pub(crate) async fn contents(repository: &Repository) -> String {
    let mut snapshots = repository.snapshots().await.unwrap().whole;
    snapshots.sort_by_key(|handle| handle.snapshot.id);
    let mut text = String::new();
    for handle in snapshots {
        let destination = MemoryDestination::new();
        let options = RestoreOptions::default();
        match restore::run(repository, &handle, Arc::new(destination.clone()), &options, &RunContext::default()).await {
            Ok(_) | Err(Error::Damage(_)) => {}
            Err(cause) => panic!("{cause}"),
        }
        for (key, restored) in destination.restored() {
            let content = restored.entry.link_target.as_deref().unwrap_or(&restored.bytes);
            let (kind, digest) = (restored.entry.kind.name(), blake3::hash(content));
            writeln!(text, "{} {kind} {digest} {}", handle.snapshot.id, escaped(key.as_bytes())).unwrap();
        }
    }
    text
}

/// A line for each finding of `check --read-data`: the object and what kind of damage it is.
pub(crate) async fn findings(repository: &Repository) -> String {
    let report = check::run(repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap();
    report
        .findings
        .iter()
        .map(|finding| format!("{} {}\n", finding.damage.object, finding.damage.kind.name()))
        .collect()
}

/// Everything but visible ASCII, and `%`, as %XX.
fn escaped(key: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'%' => "%25".to_owned(),
        0x21..=0x7e => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    key.iter().map(escape).collect()
}
