//! The command line: global options and the list of commands. Every word of help, of the completions and of
//! `REFERENCE.md` comes from here and from `commands`.
//!
//! Owned here: the grammar. Refused here: what a command does (`commands`), `at REPOSITORY` (`at`).

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use credenza_app::cost::budget::Limits;

use crate::at;
use crate::commands::jobs::arrays::{Shareable, ShareableCommand};
use crate::commands::{
    audit, backup, bootstrap, browse, cat, check, completions, connector, create, daemon, diff, digest, dump, find,
    info, jobs, key, login, ls, maintain, man, merge, mirror, mount, place, policy, promote, prune, repair, replicate,
    restore, rm, serve, sync, tag, ui,
};
use crate::failure::Failure;
use crate::globals::Globals;
use crate::near;
use crate::settings::SettingWord;

/// A backup engine whose connectors are sandboxed components.
#[derive(Debug, Parser)]
#[command(
    name = "credenza",
    version,
    override_usage = "credenza [OPTIONS] [at REPOSITORY] <COMMAND>",
    after_help = AFTER_HELP,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) globals: Globals,

    /// A setting of the repository, as key=value; may be given several times.
    #[arg(short = 'o', value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<SettingWord>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
REPOSITORY is a folder, a location such as s3://host[:port]/bucket[/prefix], or @name of one that `repository add`
has put into the configuration. Without `at`: the variable CREDENZA_REPOSITORY, else the configured default.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some entries could not be read, 4 ended because its budget
is spent, 10 no repository, 11 refused by a concurrent change, 12 wrong passphrase or key, 20 damage found,
21 a connector broke its contract, 130 interrupted.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep locations and their settings under a name.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Repositories in the configuration.
    #[command(subcommand)]
    Repository(place::RepositoryCommand),
    /// Sources in the configuration.
    #[command(subcommand)]
    Source(place::PlaceCommand),
    /// Destinations in the configuration.
    #[command(subcommand)]
    Destination(place::PlaceCommand),
    /// Make a new repository.
    Create(create::Create),
    /// Back up folders, buckets or configured sources.
    Backup(backup::Backup),
    /// List snapshots, or what is in one.
    Ls(ls::Ls),
    /// Print the content of files in a snapshot.
    Cat(cat::Cat),
    /// Describe the repository, a snapshot or an entry in it.
    Info(info::Info),
    /// Show what differs between two snapshots.
    Diff(diff::Diff),
    /// Find files in all snapshots.
    #[command(visible_alias = "locate")]
    Find(find::Find),
    /// Show the versions of a path over the snapshots.
    History(find::History),
    /// Write a snapshot or a part of it as a tar or zip.
    Dump(dump::Dump),
    /// Digest what a snapshot holds.
    Digest(digest::Digest),
    /// List a folder or bucket as it is now, without a snapshot.
    Browse(browse::Browse),
    /// Restore a snapshot or a part of it.
    Restore(restore::Restore),
    /// Verify the repository.
    Check(check::Check),
    /// Mend what is damaged and say what is lost.
    Repair(repair::Repair),
    /// Give tags to snapshots that are there, or take them away.
    #[command(subcommand)]
    Tag(tag::TagCommand),
    /// Remove snapshots.
    Rm(rm::Rm),
    /// Remove the snapshots that a policy does not keep.
    Prune(prune::Prune),
    /// Which snapshots `prune` keeps.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Make a replica a repository on its own, when its origin is lost.
    Promote(promote::Promote),
    /// Reclaim the space that no snapshot needs.
    Maintain(maintain::Maintain),
    /// Make one snapshot of the parts that `backup --shard` made.
    Merge(merge::Merge),
    /// Verify what can be verified without any key.
    Audit(audit::Audit),
    /// The keys of repositories and of their writers.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Carry snapshots to, from or with another repository.
    Sync(sync::Sync),
    /// Copies that `jobs.toml` says are to be in other repositories.
    #[command(subcommand)]
    Replicate(replicate::ReplicateCommand),
    /// The components that reach buckets and other remote places.
    #[command(subcommand)]
    Connector(connector::ConnectorCommand),
    /// Log in to a place of the configuration, by a code that is entered in a browser anywhere.
    Login(login::Login),
    /// Mount snapshots on a folder, to look into them with any program.
    Mount(mount::Mount),
    /// Serve snapshots to programs, to look into them without restoring.
    #[command(subcommand)]
    Serve(serve::ServeCommand),
    /// Show the repositories of the configuration in a browser on this machine.
    Ui(ui::Ui),
    /// See, run and pause what `jobs.toml` says is to run by itself.
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// Make buckets and folders what another was at one moment.
    #[command(subcommand)]
    Mirror(mirror::MirrorCommand),
    /// Run the jobs of `jobs.toml` when they are due.
    Daemon(daemon::Daemon),
    /// Write the configuration of a machine that is gone on this one.
    Bootstrap(bootstrap::Bootstrap),
    /// Measure whether backups are as new as their jobs promise.
    Promises(jobs::Promises),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
    /// Write the manual pages.
    Man(man::Man),
}

impl Command {
    /// The most that it may spend, if that is bounded.
    pub(crate) const fn budget(&self) -> Option<Limits> {
        match self {
            Self::Backup(command) => command.spending.budget,
            Self::Restore(command) => command.spending.budget,
            Self::Check(command) => command.spending.budget,
            Self::Sync(command) => command.spending.budget,
            Self::Maintain(command) => command.spending.budget,
            _ => None,
        }
    }
}

/// The kinds of place that the configuration keeps.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Repositories.
    #[command(subcommand)]
    Repository(place::RepositoryCommand),
    /// Sources.
    #[command(subcommand)]
    Source(place::PlaceCommand),
    /// Destinations.
    #[command(subcommand)]
    Destination(place::PlaceCommand),
}

/// A command line, understood.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What stands behind `at`.
    pub(crate) repository: Option<OsString>,
    pub(crate) arguments: Arguments,
}

/// Understands a command line, program name included.
///
/// # Errors
/// clap's error, which also carries the answers to `--help` and `--version`.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Invocation, clap::Error> {
    let mut command = Arguments::command();
    let at::Split { repository, rest } = at::split(words, &command)
        .map_err(|missing| command.error(clap::error::ErrorKind::MissingRequiredArgument, missing))?;
    let place = at::first_plain_word(&rest, &command);
    let rest = near::plain(rest, place);
    let named = at::first_plain_word(&rest, &command).and_then(|place| rest.get(place)).and_then(|word| word.to_str());
    let named = named.map(str::to_owned);
    let matches = command.try_get_matches_from_mut(rest);
    let matches = matches.map_err(|error| near::suggesting(error, named.as_deref()))?;
    let arguments = Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok(Invocation { repository, arguments })
}

/// Understands a command line, program name included, of a command that many machines can share.
///
/// # Errors
/// When it is none of those, or is not understood; no setting is repeated.
pub(crate) fn shareable(words: Vec<OsString>) -> Result<Shareable, Failure> {
    let refused = |error: clap::Error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let what = "the command behind `--` is none that many machines can share";
        let hint = "they can share `restore`, `sync` and `check --read-data`, as one machine would be told them";
        Failure::usage(what).because(line.trim_start_matches("error: ")).hint(hint)
    };
    let Invocation { repository, arguments } = parse(words).map_err(refused)?;
    let Arguments { settings, command, .. } = arguments;
    let command = match command {
        Command::Restore(command) => ShareableCommand::Restore(Box::new(command)),
        Command::Sync(command) => ShareableCommand::Sync(Box::new(command)),
        Command::Check(command) => ShareableCommand::Check(Box::new(command)),
        _ => {
            return Err(Failure::usage("many machines can share `restore`, `sync` and `check --read-data` alone")
                .hint("for a backup, name its job: credenza jobs units --slurm JOB --group NAME"));
        }
    };
    Ok(Shareable { repository, settings, command })
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// clap takes two arguments of one name for the same one, and reads one as the type of the other.
    #[test]
    fn no_argument_of_a_command_is_named_like_a_global_option() {
        fn collect(command: &clap::Command, taken: &[&clap::Id], twice: &mut Vec<String>) {
            for below in command.get_subcommands() {
                let names = below.get_arguments().map(clap::Arg::get_id).filter(|name| taken.contains(name));
                twice.extend(names.map(|name| format!("{} {name}", below.get_name())));
                collect(below, taken, twice);
            }
        }
        let command = Arguments::command();
        let globals: Vec<_> = command.get_arguments().filter(|a| a.is_global_set()).map(clap::Arg::get_id).collect();
        let mut twice = Vec::new();
        collect(&command, &globals, &mut twice);
        assert_eq!(twice, Vec::<String>::new());
    }

    /// The words that run every command, with what each of its arguments takes; settings are `value`.
    fn lines(command: &clap::Command, before: &[String], value: &str, found: &mut Vec<Vec<String>>) {
        let mut words = before.to_vec();
        let taken = || command.get_arguments().filter(|arg| arg.is_required_set() || is_setting(arg));
        let given = |arg: &clap::Arg| if is_setting(arg) { value } else { "x" }.to_owned();
        for arg in taken().filter(|arg| !arg.is_positional()) {
            let option = arg.get_short().map(|short| format!("-{short}"));
            words.extend([option.unwrap_or_else(|| format!("--{}", arg.get_long().unwrap())), given(arg)]);
        }
        if !command.has_subcommands() {
            words.extend(taken().filter(|arg| arg.is_positional()).map(given));
            found.push(words);
            return;
        }
        for below in command.get_subcommands() {
            lines(below, &[words.as_slice(), &[below.get_name().to_owned()]].concat(), value, found);
        }
    }

    fn is_setting(arg: &clap::Arg) -> bool {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().any(|name| ["KEY=VALUE", "SETTING"].contains(&name.as_str()))
    }

    #[test]
    fn no_argument_shows_a_secret_to_a_developer() {
        let mut found = Vec::new();
        lines(&Arguments::command(), &["credenza".to_owned()], "passphrase=hunter2", &mut found);
        let mut with_settings = 0;
        for words in found {
            let planted = words.iter().filter(|word| word.contains("hunter2")).count();
            let understood = parse(words.iter().map(OsString::from).collect());
            // A command that needs more than settings and plain words is refused, and a refusal repeats no setting either.
            let shown =
                understood.map_or_else(|refused| format!("{refused} {refused:?}"), |found| format!("{found:?}"));
            assert!(!shown.contains("hunter2"), "{words:?}: {shown}");
            with_settings += planted;
        }
        assert!(with_settings > 10, "{with_settings}");
    }

    /// However many words a setting is made of, and wherever it stands.
    #[test]
    fn every_argument_that_takes_settings_hides_them() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
                let name = format!("{} {}", command.get_name(), arg.get_id());
                assert!(arg.get_value_parser().type_id() == TypeId::of::<SettingWord>(), "{name}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Arguments::command());
    }

    #[test]
    fn global_options_are_understood_before_and_behind_the_command() {
        for line in ["credenza --json at x ls", "credenza at x --json ls", "credenza at x ls --json"] {
            let found = parse(line.split(' ').map(OsString::from).collect()).unwrap();
            assert!(found.arguments.globals.json, "{line}");
            assert_eq!(found.repository, Some("x".into()), "{line}");
        }
    }
}
