//! `jobs units --kubernetes` and the like: one job, or one command that can be shared, on many machines at once.
//!
//! Owned here: the options, and which commands can be shared. Refused here: the texts (`credenza_app::jobs::arrays`), the grammar of those commands
//! (`arguments`, which hands them in understood). Called by `jobs units`.
//!
//! A command is given as it would be typed for one machine, so that all its options are there and none has to be said twice. It is understood only to
//! refuse what many cannot share; the words go as they are into what is written.

use std::ffi::OsString;
use std::fmt;

use clap::Args;
use credenza_app::jobs::JobsFile;
use credenza_app::jobs::arrays::{Array, Platform, Run, Shared, Task, array};
use credenza_app::{Kind, Location, is_secret};
use credenza_engine::shards::SHARDS_MAX;

use crate::commands::Session;
use crate::commands::check::Check;
use crate::commands::restore::Restore;
use crate::commands::sync::Sync;
use crate::failure::Failure;
use crate::report::printable;
use crate::settings::{SettingWord, parse_settings};

/// What stands for the number of a process where a command is only understood.
const ANY_SHARD: [&str; 2] = ["--shard", "0/2"];

/// Who starts a job, or a command, on many machines.
#[derive(Debug, Args)]
pub(super) struct Together {
    /// Jobs of Kubernetes that run this job, or the command behind `--`, once, by as many pods as --shards says. The configuration is a ConfigMap
    /// `credenza`, the passphrase and other variables are a Secret `credenza`.
    #[arg(
        long, value_name = "JOB", num_args = 0..=1, requires_all = ["image", "group"],
        conflicts_with_all = ["timers", "slurm", "aws_batch"]
    )]
    kubernetes: Option<Option<String>>,

    /// A script that submits this job, or the command behind `--`, once to Slurm, as an array, and the last run behind it.
    #[arg(long, value_name = "JOB", num_args = 0..=1, requires = "group", conflicts_with_all = ["timers", "aws_batch"])]
    slurm: Option<Option<String>>,

    /// What `aws batch` registers and submits to run this job, or the command behind `--`, once, as an array, in the queue `credenza`. The last run is
    /// submitted with `--depends-on jobId=` and the id of the array.
    #[arg(
        long, value_name = "JOB", num_args = 0..=1, requires_all = ["image", "group"], conflicts_with = "timers"
    )]
    aws_batch: Option<Option<String>>,

    /// How many machines share it.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=i64::from(SHARDS_MAX)))]
    shards: u32,

    /// What the run is called, such as 2027-01: lower case letters, digits and dashes. No other run may be called so.
    #[arg(long, value_name = "NAME", value_parser = parse_group)]
    group: Option<String>,

    /// The image of a container that runs credenza.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// In place of a job: a `restore`, `sync` or `check --read-data` as one machine would be told it, without --shard. Behind all machines `restore` and
    /// `sync` run once more without a share.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<Typed>,
}

/// A word of a command: it may be a secret.
#[derive(Clone)]
struct Typed(OsString);

impl From<OsString> for Typed {
    fn from(word: OsString) -> Self {
        Self(word)
    }
}

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A command that many machines can share, understood.
#[derive(Debug)]
pub(crate) struct Shareable {
    /// What stands behind `at`.
    pub(crate) repository: Option<OsString>,
    /// Settings of the repository.
    pub(crate) settings: Vec<SettingWord>,
    /// Which it is.
    pub(crate) command: ShareableCommand,
}

impl Shareable {
    /// Refuses a place that is no location, as one with a name or password is none: whoever may see what runs would see that.
    fn require_places(&self) -> Result<(), Failure> {
        let other = match &self.command {
            ShareableCommand::Restore(restore) => Some(restore.destination()),
            ShareableCommand::Sync(sync) => Some(sync.other()),
            ShareableCommand::Check(_) => None,
        };
        for word in self.repository.as_deref().into_iter().chain(other) {
            Location::parse(word)?;
        }
        Ok(())
    }
}

/// The commands that can be shared.
#[derive(Debug)]
pub(crate) enum ShareableCommand {
    /// `restore`.
    Restore(Box<Restore>),
    /// `sync`.
    Sync(Box<Sync>),
    /// `check`.
    Check(Box<Check>),
}

/// What understands the words of a command, program name included.
pub(crate) type Understand = fn(Vec<OsString>) -> Result<Shareable, Failure>;

/// A name that Kubernetes takes as part of one.
fn parse_group(text: &str) -> Result<String, &'static str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    match (1..=32).contains(&text.len()) && is_plain && !text.ends_with('-') {
        true => Ok(text.to_owned()),
        false => Err("it has one to 32 lower case letters, digits and dashes, and no dash at its end"),
    }
}

impl Together {
    /// The texts, if any platform is named. `file` reads the jobs, `understand` the command behind `--`.
    pub(super) fn array(
        &self,
        session: &Session<'_>,
        file: impl FnOnce() -> Result<JobsFile, Failure>,
        understand: Understand,
    ) -> Result<Option<Array>, Failure> {
        let named = [
            (Platform::Kubernetes, &self.kubernetes),
            (Platform::Slurm, &self.slurm),
            (Platform::AwsBatch, &self.aws_batch),
        ];
        let named = named.into_iter().find_map(|(platform, job)| Some((platform, job.as_ref()?.as_deref())));
        let run = Run {
            of: self.shards,
            group: self.group.as_deref().unwrap_or_default(),
            image: self.image.as_deref().unwrap_or_default(),
        };
        let (platform, task) = match (named, self.command.as_slice()) {
            (None, []) => return Ok(None),
            (None, _) => {
                return Err(Failure::usage("a command behind `--`, and nobody named who starts it")
                    .hint("say who does: --kubernetes, --slurm or --aws-batch"));
            }
            (Some((_, None)), []) => {
                return Err(Failure::usage("neither a job nor a command is named")
                    .hint("name a job, or write the command: credenza jobs units --slurm --group NAME -- at @NAME restore ID --to @NAME"));
            }
            (Some((_, Some(name))), [_, ..]) => {
                return Err(Failure::usage(format!("both the job `{}` and a command are named", printable(name)))
                    .hint("leave one of them out"));
            }
            (Some((platform, Some(name))), []) => (platform, of_job(name, &file()?, run)?),
            (Some((platform, None)), words) => (platform, of_command(platform, words, session, understand)?),
        };
        let refused = |reason| Failure::usage(format!("this cannot be run by many machines: {reason}"));
        array(platform, &task, run).map(Some).map_err(refused)
    }
}

fn of_job(name: &str, file: &JobsFile, run: Run<'_>) -> Result<Task, Failure> {
    let job = file.jobs.get(name).ok_or_else(|| {
        let what = format!("there is no job `{}` in {}", printable(name), file.path.display());
        Failure::usage(what).hint("see which there are: credenza jobs list")
    })?;
    Task::of_job(job, run).map_err(|reason| {
        Failure::usage(format!("job `{name}` cannot be run by many machines: {reason}"))
            .hint("write a job of its own that the many machines can run")
    })
}

fn of_command(
    platform: Platform,
    words: &[Typed],
    session: &Session<'_>,
    understand: Understand,
) -> Result<Task, Failure> {
    let text = |word: &Typed| word.0.to_str().map(str::to_owned);
    let plain: Option<Vec<String>> = words.iter().map(text).collect();
    let plain =
        plain.ok_or_else(|| Failure::usage("a word of the command is not UTF-8, as what is written must be"))?;
    let words = words.iter().map(|word| word.0.clone());
    let understood = understand(
        [OsString::from("credenza")].into_iter().chain(words).chain(ANY_SHARD.map(OsString::from)).collect(),
    )?;
    understood.require_places()?;
    let (shared, settings) = match &understood.command {
        ShareableCommand::Restore(restore) => {
            restore.require_shareable()?;
            let destination = restore.destination_settings();
            if platform.has_containers() {
                require_lasting(restore, session)?;
            }
            (Shared::Restore, destination)
        }
        ShareableCommand::Sync(sync) => {
            sync.require_shareable()?;
            (Shared::Sync, sync.other_settings())
        }
        ShareableCommand::Check(check) => {
            check.require_shareable()?;
            (Shared::Check, &[][..])
        }
    };
    require_open(&[understood.settings.as_slice(), settings].concat())?;
    Ok(Task::of_command(shared, plain))
}

/// Refuses a folder as destination: each container has its own, and takes it along when it ends.
fn require_lasting(restore: &Restore, session: &Session<'_>) -> Result<(), Failure> {
    let (word, settings) = (restore.destination(), parse_settings(restore.destination_settings())?);
    let place = session.other_place(Kind::Destination, word, settings)?;
    match place.is_folder() {
        true => Err(Failure::usage(format!(
            "`{}` is a folder: each container has one of its own, which is gone when it ends",
            printable(&place.text())
        ))
        .hint("restore to a bucket, or let Slurm start machines that share the folder")),
        false => Ok(()),
    }
}

/// Refuses settings that are secrets: whoever may see what runs would see them.
fn require_open(settings: &[SettingWord]) -> Result<(), Failure> {
    match parse_settings(settings)?.iter().find(|(name, _)| is_secret(name)) {
        Some((name, _)) => Err(Failure::usage(format!(
            "the setting `{}` would be written where everybody sees it who may see what runs",
            printable(name)
        ))
        .hint("keep the place with its secrets in the configuration, and name it: @NAME")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{parse, shareable};

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_password_in_a_location_is_refused_without_repeating_it() {
        let place = "webdav://me:hunter2@example.org/r";
        for line in [
            format!("credenza at {place} sync to @paris --shard 0/2"),
            format!("credenza at {place} check --read-data --shard 0/2"),
            format!("credenza at @vault sync to {place} --shard 0/2"),
            format!("credenza at @vault restore 4f1c09d2 --to {place} --shard 0/2"),
        ] {
            let refused = shareable(words(&line)).unwrap().require_places().unwrap_err();
            assert!(refused.what.contains("credentials"), "{refused:?}");
            assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        }
    }

    /// `--accept-waiting` demands a share, and the last run has none.
    #[test]
    fn each_command_of_an_array_is_understood() {
        let run = Run { of: 4, group: "back", image: "" };
        let typed = ["at", "@vault", "sync", "to", "@paris", "--accept-waiting"].map(str::to_owned);
        let array = array(Platform::Slurm, &Task::of_command(Shared::Sync, typed.into()), run).unwrap();
        let text = array.units.into_iter().map(|unit| unit.text).collect::<String>();
        let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("exec ")).collect();
        assert_eq!(commands.len(), 2, "{text}");
        for command in commands {
            assert!(parse(words(command)).is_ok(), "{command}");
        }
    }
}
