//! How each program is asked for the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use credenza_e2e::workspace;

const SECRET: &str = "a passphrase for measurements";

/// What a program is to do in its repository.
pub(crate) enum Work<'a> {
    Create,
    Backup {
        source: &'a Path,
        name: &'a str,
    },
    Restore {
        target: &'a Path,
        name: &'a str,
    },
    /// Reads all data.
    Check,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Credenza,
    Restic,
    Borg,
    Bupstash,
}

/// A program with a repository and a home of its own.
pub(crate) struct Program {
    /// Where it stands in each row.
    pub(crate) place: usize,
    pub(crate) name: String,
    kind: Kind,
    path: PathBuf,
    home: PathBuf,
    pub(crate) repository: PathBuf,
}

/// Those that are there, each with a folder in `room`.
///
/// # Errors
/// When a folder cannot be made.
pub(crate) fn installed(room: &Path) -> Result<Vec<Program>> {
    let candidates = [
        (Kind::Credenza, "credenza", credenza_e2e::binary()),
        (Kind::Bupstash, "bupstash", workspace().join("target/tools/peers/bin/bupstash")),
        (Kind::Borg, "borg", "borg".into()),
        (Kind::Restic, "restic", "restic".into()),
    ];
    let mut programs = Vec::new();
    for (place, (kind, name, path)) in candidates.into_iter().enumerate() {
        let Some(version) = version(kind, &path) else { continue };
        let home = room.join(name);
        std::fs::create_dir_all(&home)?;
        let repository = home.join("repository");
        programs.push(Program { place, name: format!("{name} {version}"), kind, path, home, repository });
    }
    Ok(programs)
}

/// The first word of what a program says of itself that begins with a digit.
fn version(kind: Kind, path: &Path) -> Option<String> {
    let word = if kind == Kind::Restic { "version" } else { "--version" };
    let told = Command::new(path).arg(word).output().ok().filter(|output| output.status.success())?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let number = told.split_whitespace().map(|word| word.trim_start_matches(['v', '-']));
    let version = |word: &str| word.split('-').next_back().unwrap_or(word).to_owned();
    number.map(version).find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
}

impl Program {
    /// Whether the program has a command for this: bupstash has none that reads all data.
    pub(crate) fn does(&self, work: &Work<'_>) -> bool {
        !(self.kind == Kind::Bupstash && matches!(work, Work::Check))
    }

    /// The command line, with its environment.
    ///
    /// # Errors
    /// When the program cannot do this, or a key cannot be made for it.
    pub(crate) fn command(&self, work: &Work<'_>) -> Result<Command> {
        let mut command = Command::new(&self.path);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &self.home).env("LANG", "C.UTF-8");
        match self.kind {
            Kind::Credenza => self.credenza(&mut command, work),
            Kind::Restic => self.restic(&mut command, work),
            Kind::Borg => self.borg(&mut command, work)?,
            Kind::Bupstash => self.bupstash(&mut command, work)?,
        }
        Ok(command)
    }

    fn credenza(&self, command: &mut Command, work: &Work<'_>) {
        command.env("CREDENZA_PASSPHRASE", SECRET).arg("at").arg(&self.repository);
        match work {
            Work::Create => command.arg("create"),
            Work::Backup { source, .. } => command.arg("backup").arg(source),
            Work::Restore { target, .. } => command.args(["restore", "latest", "--to"]).arg(target),
            Work::Check => command.args(["check", "--read-data"]),
        };
    }

    fn restic(&self, command: &mut Command, work: &Work<'_>) {
        command.env("RESTIC_PASSWORD", SECRET).arg("--repo").arg(&self.repository);
        match work {
            Work::Create => command.arg("init"),
            Work::Backup { source, .. } => command.arg("backup").arg(source),
            Work::Restore { target, .. } => command.args(["restore", "latest", "--target"]).arg(target),
            Work::Check => command.args(["check", "--read-data"]),
        };
    }

    fn borg(&self, command: &mut Command, work: &Work<'_>) -> Result<()> {
        command.env("BORG_PASSPHRASE", SECRET);
        let archive = |name: &str| format!("{}::{name}", self.repository.display());
        match work {
            Work::Create => command.args(["init", "--encryption=repokey-blake2"]).arg(&self.repository),
            Work::Backup { source, name } => {
                command.args(["create", "--compression=zstd,3"]).arg(archive(name)).arg(source)
            }
            Work::Restore { target, name } => command.current_dir(target).args(["extract"]).arg(archive(name)),
            Work::Check => command.args(["check", "--verify-data"]).arg(&self.repository),
        };
        Ok(())
    }

    fn bupstash(&self, command: &mut Command, work: &Work<'_>) -> Result<()> {
        let key = self.home.join("key");
        if matches!(work, Work::Create) {
            let made = Command::new(&self.path).args(["new-key", "--output"]).arg(&key).status();
            if !made.context("bupstash cannot be started")?.success() {
                bail!("bupstash makes no key");
            }
        }
        command.env("BUPSTASH_KEY", &key).env("BUPSTASH_REPOSITORY", &self.repository);
        match work {
            Work::Create => command.arg("init"),
            Work::Backup { source, name } => command.arg("put").arg(format!("name={name}")).arg(source),
            Work::Restore { target, name } => {
                command.args(["restore", "--into"]).arg(target).arg(format!("name={name}"))
            }
            Work::Check => bail!("bupstash does not read all data"),
        };
        Ok(())
    }
}
