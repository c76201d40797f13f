//! Whether jobs could run: their places, secrets, patterns and hooks are looked for, and nothing is opened or started.
//!
//! Owned here: what a run needs before it begins. Refused here: whether servers answer (`place check` of the command line). Called by `jobs check`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use credenza_connect::file::{Watch, WatchError, Watched};

use super::change::{self, Unwatched};
use super::file::{Hook, Job, JobsFile, Verify};
use super::mirror;
use super::notify::{Notify, SecretAt, Section};
use super::sections::mirror::Mirror;
use super::sections::replicate::{Replicate, To};
use crate::app::App;
use crate::configuration::{Kind, Settings};
use crate::environment;
use crate::error::Error;
use crate::patterns::PatternList;
use crate::secret::{self, SecretSources};
use crate::signing;

/// Something that a job needs and that cannot be had.
#[derive(Debug)]
pub struct Lack {
    /// The key of the job that names it.
    pub key: &'static str,
    /// Why.
    pub cause: LackCause,
}

/// Why something cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LackCause {
    /// A place, a secret or a file of patterns.
    #[error("{0}")]
    App(Box<Error>),
    /// A file with a secret or with certificates.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Snapshots would go to where they come from.
    #[error("{target} is the repository {from}, where the snapshots come from")]
    SameRepository {
        /// The origin, as it is written.
        from: String,
        /// The target, as it is written.
        target: String,
    },
    /// A folder to back up that is not there.
    #[error("there is no folder {}", path.display())]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The program of a hook.
    #[error("there is no program `{}`", program.to_string_lossy().escape_debug())]
    NoProgram {
        /// As it is written.
        program: OsString,
    },
    /// Changes of all sources that jobs wait for cannot be watched at once.
    #[error(
        "{folders} folders are to be watched for changes, and this machine watches {watches_max} for each user, all programs together"
    )]
    Watches {
        /// Folders that are to be watched for all jobs.
        folders: usize,
        /// What `fs.inotify.max_user_watches` says.
        watches_max: usize,
    },
    /// A source whose changes cannot be waited for.
    #[error("its changes are not seen: {0}")]
    Unwatched(Unwatched),
    /// The program of a hook is a file that nobody may run.
    #[error("{} may not be run", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
}

/// What those need who are told, and cannot be had, each with the key that names it. No command for a secret is run.
#[must_use]
pub fn lacks_of_notices(notify: &Notify) -> Vec<(String, LackCause)> {
    let of_section = |section: &Section| {
        let name = section.name.clone();
        let secrets = [("key_file", section.key.clone()), ("token_file", section.token.clone())];
        secrets.into_iter().map(move |(key, at)| (format!("notify.{name}.{key}"), at)).collect::<Vec<_>>()
    };
    let mut files: Vec<(String, Option<SecretAt>)> = notify.sections.iter().flat_map(of_section).collect();
    if let Some(mail) = &notify.mail {
        let password = mail.login.as_ref().map(|(_, password)| password.clone());
        files.push(("mail.password_file".to_owned(), password));
        files.push(("mail.ca_file".to_owned(), mail.trusted.clone().map(SecretAt::File)));
    }
    let unreadable = |(key, at)| match at {
        Some(SecretAt::File(path)) => {
            let source = std::fs::File::open(&path).err()?;
            Some((key, LackCause::Unreadable { path, source }))
        }
        _ => None,
    };
    files.into_iter().filter_map(unreadable).collect()
}

impl From<Error> for LackCause {
    fn from(error: Error) -> Self {
        Self::App(Box::new(error))
    }
}

/// What a job needs and cannot be had.
#[must_use]
pub fn lacks(app: &App, job: &Job) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut note = |key, found: Result<(), LackCause>| {
        if let Err(cause) = found {
            lacks.push(Lack { key, cause });
        }
    };
    note("to", repository(app, &job.repository).map_err(LackCause::from));
    for word in &job.sources {
        note("backup", source(app, word));
    }
    let out = &job.leaving_out;
    note(
        "exclude",
        PatternList::gather(&out.patterns, &out.files).map(drop).map_err(|error| Error::from(error).into()),
    );
    for hook in &job.hooks {
        note("hooks", program(hook));
    }
    lacks
}

/// Whether the changes that jobs wait for can be watched, where this machine watches so many folders, with the job that is concerned: each job that names
/// no folder or has more of them than are watched for one, and the one with which it is too much. What other programs watch is not known.
#[must_use]
pub fn lacks_of_changes<'f>(app: &App, file: &'f JobsFile, watches_max: usize) -> Vec<(&'f Job, LackCause)> {
    lacks_within(app, file, watches_max, Watch::FOLDERS_MAX)
}

fn lacks_within<'f>(
    app: &App,
    file: &'f JobsFile,
    watches_max: usize,
    folders_max: usize,
) -> Vec<(&'f Job, LackCause)> {
    let (mut lacks, mut folders, mut too_much) = (Vec::new(), 0, None);
    for job in file.jobs.values().filter(|job| job.on_change.is_some()) {
        let watched = match change::watched(app, job) {
            Ok(watched) => watched,
            // A place that cannot be had is named with its own key.
            Err(Unwatched::Place(_)) => continue,
            Err(why) => {
                lacks.push((job, LackCause::Unwatched(why)));
                continue;
            }
        };
        let own = watched.iter().map(Watched::count).sum::<usize>();
        if own > folders_max {
            // None of them is watched, so that they take nothing from the others.
            lacks.push((job, LackCause::Unwatched(WatchError::TooMany { folders_max }.into())));
            continue;
        }
        folders += own;
        if folders > watches_max {
            too_much = too_much.or(Some(job));
        }
    }
    // What would do is known when all were counted.
    lacks.extend(too_much.map(|job| (job, LackCause::Watches { folders, watches_max })));
    lacks
}

/// What a mirror needs and cannot be had, and whether it leads in a circle with the others of its file.
#[must_use]
pub fn lacks_of_mirror(app: &App, mirror: &Mirror, file: &JobsFile) -> Vec<Lack> {
    mirror::lacks(app, mirror, &file.routes())
        .into_iter()
        .map(|(key, error)| Lack { key, cause: error.into() })
        .collect()
}

/// What a verification needs and cannot be had.
#[must_use]
pub fn lacks_of_verify(app: &App, verify: &Verify) -> Vec<Lack> {
    let lack = repository(app, &verify.repository).err();
    lack.map(|cause| Lack { key: "repository", cause: cause.into() }).into_iter().collect()
}

/// What a policy of replication needs and cannot be had: its repositories, each of which must be another place, however it is named.
#[must_use]
pub fn lacks_of_replicate(app: &App, policy: &Replicate) -> Vec<Lack> {
    let place = |word: &str| app.place(Kind::Repository, OsStr::new(word), Settings::new()).map(|place| place.text());
    let here = policy.targets.iter().filter(|to| to.is_here);
    let from = place(&policy.from).ok();
    let lack_of = |to: &To| match repository(app, &to.target) {
        Err(cause) => Some(cause.into()),
        Ok(()) if from.is_some() && place(&to.target).ok() == from => {
            Some(LackCause::SameRepository { from: policy.from.clone(), target: to.target.clone() })
        }
        Ok(()) => None,
    };
    let of_origin = repository(app, &policy.from).err().map(|cause| Lack { key: "from", cause: cause.into() });
    of_origin.into_iter().chain(here.filter_map(lack_of).map(|cause| Lack { key: "to", cause })).collect()
}

fn repository(app: &App, word: &str) -> Result<(), Error> {
    let place = app.place(Kind::Repository, OsStr::new(word), Settings::new())?;
    secret::provided(&SecretSources::default(), &place.settings)?;
    signing::provided(None, &place.settings)?;
    Ok(())
}

fn source(app: &App, word: &str) -> Result<(), LackCause> {
    let place = app.place(Kind::Source, OsStr::new(word), Settings::new())?;
    match &place.location {
        crate::location::Location::Folder(path) if !path.exists() => Err(LackCause::NoFolder { path: path.clone() }),
        _ => Ok(()),
    }
}

/// Looks for the program as the system would.
fn program(hook: &Hook) -> Result<(), LackCause> {
    let named = Path::new(&hook.program);
    let is_file = |path: &Path| path.is_file();
    let may_run = |path: &Path| path.metadata().is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
    let missing = || LackCause::NoProgram { program: hook.program.clone() };
    if named.components().count() > 1 || named.is_absolute() {
        return match (is_file(named), may_run(named)) {
            (false, _) => Err(missing()),
            (true, false) => Err(LackCause::NotExecutable { path: named.to_owned() }),
            (true, true) => Ok(()),
        };
    }
    let folders = environment::variable("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&folders).map(|folder| folder.join(named)).any(|path| is_file(&path) && may_run(&path));
    if found { Ok(()) } else { Err(missing()) }
}

#[cfg(test)]
mod tests {
    use super::super::file::JobsFile;
    use super::*;
    use crate::app::AppOptions;

    #[test]
    fn a_secret_of_those_who_are_told_that_cannot_be_read_is_named_with_its_key() {
        let text = "version = 1\n[notify.ops]\nto = \"mail:a@b.example\"\nkey_file = \"/no/key\"\ntoken_cmd = \"false\"\n[mail]\nserver = \"m.example\"\nfrom = \"a@b.example\"\nuser = \"a\"\npassword_file = \"/no/password\"\n";
        let file = JobsFile::parse(Path::new("jobs.toml"), text, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let lacks = lacks_of_notices(&file.notify);
        assert_eq!(
            lacks.iter().map(|(key, _)| &**key).collect::<Vec<_>>(),
            ["notify.ops.key_file", "mail.password_file"]
        );
        assert!(lacks[0].1.to_string().contains("/no/key cannot be read"), "{lacks:?}");
    }

    #[test]
    fn more_folders_than_the_machine_watches_are_named_with_the_job_that_makes_them_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        for below in ["one/a", "two/b/target/c"] {
            std::fs::create_dir_all(folder.path().join(below)).unwrap();
        }
        let job = |name: &str, more: &str| {
            format!(
                "[job.{name}]\nbackup = \"{path}/{name}\"\nto = \"/r\"\nevery = \"1h\"\non_change = \"30s..5m\"\n{more}\n"
            )
        };
        let text = format!("version = 1\n{}{}", job("one", ""), job("two", "exclude = \"target/\""));
        let file = JobsFile::parse(Path::new("jobs.toml"), &text, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let app = App::new(AppOptions::default());
        assert!(lacks_of_changes(&app, &file, 4).is_empty(), "what is left out takes no watch");
        let lacks = lacks_of_changes(&app, &file, 3);
        assert!(
            matches!(lacks.as_slice(), [(job, LackCause::Watches { folders: 4, watches_max: 3 })] if job.name == "two"),
            "{lacks:?}"
        );
        let lacks = lacks_of_changes(&app, &file, 1);
        assert!(
            matches!(lacks.as_slice(), [(job, LackCause::Watches { folders: 4, .. })] if job.name == "one"),
            "what would do for all is said: {lacks:?}"
        );
        let lacks = lacks_within(&app, &file, 4, 1);
        let is_too_many = |cause: &LackCause| {
            matches!(cause, LackCause::Unwatched(Unwatched::Watch(WatchError::TooMany { folders_max: 1 })))
        };
        assert!(lacks.len() == 2 && lacks.iter().all(|(_, cause)| is_too_many(cause)), "{lacks:?}");
    }

    #[test]
    fn what_a_job_needs_and_cannot_be_had_is_named_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let (path, secret) = (folder.path().display(), folder.path().join("no-secret"));
        let script = folder.path().join("script");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        std::fs::write(
            folder.path().join("config.toml"),
            format!("[repository.main]\nlocation = \"{path}/r\"\npassphrase_file = \"{}\"\n", secret.display()),
        )
        .unwrap();
        let text = format!(
            "version = 1\n[job.a]\nbackup = [\"{path}/gone\", \"@nothing\", \"{path}\"]\nto = \"@main\"\nat = \"02:30\"\nexclude_file = \"{path}/none\"
hooks = [ {{ before = \"backup\", run = [\"no-such-program\"] }}, {{ before = \"backup\", run = [\"{}\"] }}, {{ before = \"backup\", run = [\"sh\"] }} ]\n",
            script.display()
        );
        let file = JobsFile::parse(Path::new("jobs.toml"), &text, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let options = AppOptions { configuration_folder: Some(folder.path().to_owned()), ..AppOptions::default() };
        let lacks = lacks(&App::new(options), &file.jobs["a"]);
        let keys: Vec<&str> = lacks.iter().map(|lack| lack.key).collect();
        assert_eq!(keys, ["to", "backup", "backup", "exclude", "hooks", "hooks"], "{lacks:?}");
        assert!(lacks[0].cause.to_string().contains("no-secret"), "{}", lacks[0].cause);
        assert!(matches!(lacks[5].cause, LackCause::NotExecutable { .. }));
    }
}
