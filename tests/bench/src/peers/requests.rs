//! What a repository in a bucket is asked for, by the programs that know S3: many small files against a server in memory that counts.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use credenza_e2e::s3::S3;
use credenza_e2e::{Setup, memory_server, tree};

use super::Count;
use crate::cpu::usage_of;
use crate::report::write;

const FILES: u64 = 100_000;
const STEPS: [&str; 3] = ["first", "unchanged", "restore"];
const SECRET: &str = "a passphrase for measurements";

/// The requests of each step, by program; what they restore lies in `restored`.
///
/// # Errors
/// When a program fails.
pub(crate) fn measure(room: &Path, restored: &Path) -> Result<Vec<Count>> {
    let source = room.join("set-small");
    tree::build_many(&source, FILES)?;
    let mut programs = vec![("credenza", credenza(&source, restored)?)];
    if Command::new("restic").arg("version").output().is_ok_and(|output| output.status.success()) {
        programs.push(("restic", restic(&source, (room, restored))?));
    }
    let counts = STEPS.iter().enumerate().map(|(step, name)| Count {
        what: format!("{FILES} small files in S3, {name}"),
        unit: "requests",
        figures: programs.iter().filter_map(|(name, counts)| Some(((*name).to_owned(), *counts.get(step)?))).collect(),
    });
    let counts: Vec<Count> = counts.collect();
    counts.iter().try_for_each(|count| write(&format!("  {}: {:?}", count.what, count.figures)))?;
    Ok(counts)
}

fn credenza(source: &Path, restored: &Path) -> Result<Vec<u64>> {
    let (server, endpoint) = memory_server()?;
    let s3 = S3::new(endpoint)?;
    s3.create_bucket("vault")?;
    let setup = Setup::with_s3_repository(s3.endpoint(), "vault")?;
    let target = restored.join("small-by-credenza");
    let (from, to) = (source.to_string_lossy(), target.to_string_lossy());
    let steps: [&[&str]; 3] = [&["backup", &from], &["backup", &from], &["restore", "latest", "--to", &to]];
    steps.iter().map(|words| counted(&server, || setup.credenza.ok(*words).map(drop))).collect()
}

fn restic(source: &Path, (room, restored): (&Path, &Path)) -> Result<Vec<u64>> {
    let (server, endpoint) = memory_server()?;
    let s3 = S3::new(endpoint)?;
    s3.create_bucket("vault")?;
    let cache = room.join("restic-cache");
    let run = |words: &[&str]| {
        let mut command = Command::new("restic");
        command.args(["--repo", &format!("s3:{}/vault", s3.endpoint().url), "--cache-dir"]).arg(&cache).args(words);
        command.env("RESTIC_PASSWORD", SECRET).env("AWS_ACCESS_KEY_ID", &s3.endpoint().access_key);
        command.env("AWS_SECRET_ACCESS_KEY", &s3.endpoint().secret_key);
        command.env("AWS_DEFAULT_REGION", &s3.endpoint().region);
        usage_of(command).map(drop)
    };
    run(&["init"])?;
    let target = restored.join("small-by-restic");
    let (from, to) = (source.to_string_lossy(), target.to_string_lossy());
    let steps: [&[&str]; 3] = [&["backup", &from], &["backup", &from], &["restore", "latest", "--target", &to]];
    steps.iter().map(|words| counted(&server, || run(words))).collect()
}

fn counted(server: &credenza_s3_server::Server, run: impl FnOnce() -> Result<()>) -> Result<u64> {
    server.log().clear();
    run()?;
    Ok(server.log().requests("vault"))
}
