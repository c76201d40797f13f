//! `audit`: whether a repository is what its writers made it, without any key.

use std::fmt::{self, Display};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use credenza_app::{StoreUse, signing};
use credenza_engine::audit::{self, AuditOptions, AuditReport, Head};
use credenza_format::PublicKey;
use credenza_model::RepositoryId;
use indicatif::HumanBytes;
use serde::{Deserialize, Serialize};

use super::Session;
use super::check::{report_findings, report_strays};
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;

/// More than the output of any audit has: some 100,000 writers.
const HEADS_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Verify what can be verified without any key: every byte against its checksum, every name, the chain of every writer's
/// snapshots, and their signatures.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Read names, sizes, headers and snapshots only, not every byte.
    #[arg(long)]
    quick: bool,

    /// Accept nothing but what this key has signed; may be given several times. Else the setting trusted_signers, else anyone.
    #[arg(long, value_name = "PUBLIC_KEY")]
    trust: Vec<PublicKey>,

    /// The output of an earlier `--json audit`, kept elsewhere: report what the repository has lost since.
    #[arg(long, value_name = "FILE", value_parser = path_parser())]
    head: Vec<PathBuf>,
}

/// The newest snapshot of a writer.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "head")]
struct HeadLine {
    #[serde(flatten)]
    head: Head,
}

impl Display for HeadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Head { writer, sequence, snapshot, digest } = &self.head;
        write!(f, "head of writer {writer}: snapshot {snapshot}, number {sequence}, SHA-256 {digest}")
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    repository: RepositoryId,
    objects: u64,
    bytes: u64,
    snapshots: u64,
    damages: u64,
    quick: bool,
    trusted_signers: usize,
    /// What is no object of the repository; harmless.
    strays: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let depth = if self.quick { "headers of" } else { "every byte of" };
        let (objects, snapshots) = (self.objects, self.snapshots);
        write!(f, "audited {depth} {objects} objects ({}), {snapshots} snapshots", HumanBytes(self.bytes))?;
        match self.trusted_signers {
            0 => f.write_str(", whoever wrote them: ")?,
            count => write!(f, ", trusting {count} signers: ")?,
        }
        match self.damages {
            0 => f.write_str("nothing found"),
            count => write!(f, "{count} findings"),
        }
    }
}

impl Audit {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let place = session.repository_place()?;
        let mut options = AuditOptions { quick: self.quick, trusted: self.trust, remembered: Vec::new() };
        if options.trusted.is_empty() {
            options.trusted = signing::trusted(&place.settings).map_err(credenza_app::Error::from)?;
        }
        for path in &self.head {
            options.remembered.extend(read_heads(path)?);
        }
        let store = session.app.store(&place, StoreUse::Read).await?;
        let report = audit::run(store.connector.clone(), &options, &session.run_context()).await?;
        tell(report, &options, session)
    }
}

fn tell(report: AuditReport, options: &AuditOptions, session: &Session<'_>) -> Result<Exit, Failure> {
    report_findings(&report.findings, session);
    report_strays(&report.strays, session);
    for head in report.heads {
        session.reporter.result(&HeadLine { head })?;
    }
    session.reporter.result(&Summary {
        repository: report.repository,
        objects: report.objects,
        bytes: report.bytes,
        snapshots: report.snapshots,
        damages: report.findings.len() as u64,
        quick: options.quick,
        trusted_signers: options.trusted.len(),
        strays: report.strays.count(),
    })?;
    Ok(if report.findings.is_empty() { Exit::Done } else { Exit::DamageFound })
}

/// The heads among the lines of an earlier audit.
fn read_heads(path: &Path) -> Result<Vec<Head>, Failure> {
    let failed = |why: String| Failure::new(format!("the heads in {} cannot be read", path.display())).because(why);
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(HEADS_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| failed(error.to_string()))?;
    let heads: Vec<Head> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).map(|HeadLine { head }| head).collect();
    if heads.is_empty() {
        let hint = "keep the output of `credenza --json at REPOSITORY audit` and give that";
        return Err(failed("no line of it is one".to_owned()).hint(hint));
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use credenza_format::Hex;
    use credenza_model::SnapshotId;

    use super::*;

    #[test]
    fn heads_are_read_from_what_an_audit_prints_and_a_file_without_any_is_refused() {
        let head = Head { writer: Hex([1; 16]), sequence: 2, snapshot: SnapshotId::new([3; 16]), digest: Hex([4; 32]) };
        let line = serde_json::to_string(&HeadLine { head }).unwrap();
        assert!(line.starts_with(r#"{"type":"head","writer":"#), "{line}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{line}\n{{\"type\":\"summary\"}}\n")).unwrap();
        assert_eq!(read_heads(file.path()).unwrap(), [head]);
        std::fs::write(file.path(), "{\"type\":\"summary\"}\n").unwrap();
        assert!(read_heads(file.path()).is_err());
    }
}
