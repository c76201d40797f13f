//! The file of the jobs, `jobs.toml` in the folder of the configuration, understood.
//!
//! Owned here: the file as a whole, and metrics. All faults are named at once, each with line, key and remedy. Refused here: its other sections (`sections`,
//! `notify`), the form (`reader`, `keys`), whether places and secrets can be had (`preflight`).
//! Called by every command that has to do with jobs.
//!
//! Bound: [`FILE_BYTES_MAX`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use toml_edit::{Document, TableLike, TomlError};

use crate::configuration::file::writable_by_others;
use crate::configuration::is_command;

use super::clauses;
pub use super::clauses::{Missed, Retry};
use super::error::JobsError;
use super::keys;
use super::notify::{Notify, section};
use super::reader::{Part, Reading};
use super::schedule::Schedule;
pub use super::sections::job::{Hook, Job, LeavingOut, Maintain, Moment, OnChange, Prune, When};
use super::sections::mirror::{Mirror, Route};
pub use super::sections::promise::Needs;
use super::sections::replicate::Replicate;
pub use super::sections::verify::{DrillRule, Verify};
use super::sections::{job, mirror, promise, replicate, verify};
use crate::configuration::suggestion;

/// The name of the file in the folder of the configuration.
pub const NAME: &str = crate::bootstrap::JOBS;
/// Thousands of jobs; far below what would hurt.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The form that is understood here.
const VERSION: u32 = 1;

/// The jobs of a machine.
#[derive(Debug, Clone)]
pub struct JobsFile {
    /// The file.
    pub path: PathBuf,
    /// By name.
    pub jobs: BTreeMap<String, Job>,
    /// By the name that a run has: `verify.NAME`.
    pub verifies: BTreeMap<String, Verify>,
    /// By the name that a run has: `replicate.NAME`.
    pub replicates: BTreeMap<String, Replicate>,
    /// By the name that a run has: `replicate-bucket.NAME`.
    pub mirrors: BTreeMap<String, Mirror>,
    /// A file for the node exporter of Prometheus.
    pub textfile: Option<PathBuf>,
    /// What is promised of sources over all repositories, in the order of the file.
    pub promises: Vec<Needs>,
    /// Where the daemon answers Prometheus.
    pub metrics: Option<SocketAddr>,
    /// Who is told when something changes.
    pub notify: Notify,
}

/// Something that runs by itself.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// It backs up.
    Job(&'a Job),
    /// It reads again.
    Verify(&'a Verify),
    /// It carries copies.
    Replicate(&'a Replicate),
    /// It mirrors.
    Mirror(&'a Mirror),
}

impl<'a> Work<'a> {
    /// Its name: what a run, a pause and the record have.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Job(job) => &job.name,
            Self::Verify(verify) => &verify.name,
            Self::Replicate(policy) => &policy.name,
            Self::Mirror(mirror) => &mirror.name,
        }
    }

    /// The repository, as it is written; of a policy of replication the origin, and of a mirror that names none, that of the configuration.
    #[must_use]
    pub fn repository(self) -> &'a str {
        match self {
            Self::Job(job) => &job.repository,
            Self::Verify(verify) => &verify.repository,
            Self::Replicate(policy) => &policy.from,
            Self::Mirror(mirror) => mirror.via.as_deref().unwrap_or_default(),
        }
    }

    /// When it is due.
    #[must_use]
    pub const fn schedule(self) -> &'a Schedule {
        match self {
            Self::Job(job) => &job.schedule,
            Self::Verify(verify) => &verify.schedule,
            Self::Replicate(policy) => &policy.schedule,
            Self::Mirror(mirror) => &mirror.schedule,
        }
    }

    /// What becomes of runs that were due while nothing ran, and how one that failed is tried again.
    #[must_use]
    pub const fn retries(self) -> (Missed, Retry) {
        match self {
            Self::Job(job) => (job.missed, job.retry),
            Self::Verify(verify) => (verify.missed, verify.retry),
            Self::Replicate(policy) => (policy.missed, policy.retry),
            Self::Mirror(mirror) => (mirror.missed, mirror.retry),
        }
    }
}

impl JobsFile {
    /// Where its mirrors lead.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.mirrors.values().map(Mirror::route).collect()
    }

    /// The file that is named, else the one in the folder of the configuration.
    ///
    /// # Errors
    /// [`JobsError::NoFolder`] where there is neither.
    pub fn path(given: Option<&Path>, folder: Option<&Path>) -> Result<PathBuf, JobsError> {
        let path = given.map(Path::to_owned).or_else(|| Some(folder?.join(NAME))).ok_or(JobsError::NoFolder)?;
        // Two names of one file are one file.
        Ok(path.canonicalize().unwrap_or(path))
    }

    /// Reads a file. Schedules are judged by what is now: one that never comes again is a fault.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or says what cannot be meant; when it names commands and others can change it.
    pub fn read(path: &Path, now: Timestamp) -> Result<Self, JobsError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => JobsError::NoFile { path: path.to_owned() },
            _ => JobsError::Read { path: path.to_owned(), source },
        };
        let mut text = String::new();
        let file = File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(JobsError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
        }
        let file = Self::parse(path, &text, now)?;
        match (command_of(&text), writable_by_others(path)) {
            (Some(key), Some(open)) => Err(JobsError::ForeignCommand { key, open }),
            _ => Ok(file),
        }
    }

    /// Understands a text.
    ///
    /// # Errors
    /// When it says what cannot be meant.
    pub fn parse(path: &Path, text: &str, now: Timestamp) -> Result<Self, JobsError> {
        let reading = Reading::new(text);
        let document = Document::parse(text).map_err(|error: TomlError| JobsError::Syntax {
            path: path.to_owned(),
            line: reading.line(error.span().map_or(0, |span| span.start)),
            reason: error.message().to_owned(),
        })?;
        let top = reading.top(document.as_table(), keys::FILE);
        if top.count("version", VERSION..=VERSION).is_none() && !top.has("version") {
            top.problem("version", "the version of the form is missing", "begin the file with: version = 1");
        }
        let defaults = top.part("defaults");
        let read =
            |(name, part): (&str, Part<'_>)| Some((name.to_owned(), job::read(name, &part, defaults.as_ref(), now)?));
        let mut jobs: BTreeMap<String, Job> = top.named_parts("job").into_iter().filter_map(read).collect();
        for (name, part) in top.named_parts("ping") {
            match jobs.get_mut(name) {
                Some(job) => job.ping = section::ping(&part),
                None => {
                    let near = suggestion(name, jobs.keys().map(String::as_str));
                    let remedy = near.map_or_else(
                        || "name it as a job: [ping.JOB]".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    part.problem("", "there is no such job", &remedy);
                }
            }
        }
        let promises = top.named_parts("promise").into_iter().map(|(name, part)| promise::read(name, &part)).collect();
        let read = |(name, part): (&str, Part<'_>)| verify::read(name, &part, defaults.as_ref(), now);
        let verifies = top.named_parts("verify").into_iter().filter_map(read);
        let verifies = verifies.map(|verify| (verify.name.clone(), verify)).collect();
        let replicates = replicate::read(&top, defaults.as_ref(), now).into_iter();
        let replicates = replicates.map(|policy| (policy.name.clone(), policy)).collect();
        let read = |(name, part): (&str, Part<'_>)| mirror::read(name, &part, defaults.as_ref(), now);
        let mirrors = top.named_parts("replicate-bucket").into_iter().filter_map(read);
        let mirrors = mirrors.map(|mirror| (mirror.name.clone(), mirror)).collect();
        let notify = section::read(&top, &clauses::zone(defaults.as_ref()));
        let textfile = top.part("metrics").and_then(|part| part.absolute("textfile", part.text("textfile")?));
        let metrics = top.part("metrics").and_then(|part| part.parsed("listen", here));
        let problems = reading.problems();
        if problems.is_empty() {
            let path = path.to_owned();
            return Ok(Self { path, jobs, verifies, replicates, mirrors, textfile, promises, metrics, notify });
        }
        Err(JobsError::Invalid { path: path.to_owned(), problems })
    }

    /// The job of a name.
    ///
    /// # Errors
    /// [`JobsError::UnknownJob`].
    pub fn job(&self, name: &str) -> Result<&Job, JobsError> {
        self.jobs.get(name).ok_or_else(|| self.unknown(name))
    }

    /// All that runs by itself on this machine: jobs, then verifications, policies of replication, and mirrors, by name.
    pub fn works(&self) -> impl Iterator<Item = Work<'_>> {
        let replicates = self.replicates.values().filter(|policy| policy.is_here()).map(Work::Replicate);
        let verifies = self.verifies.values().map(Work::Verify);
        let mirrors = self.mirrors.values().map(Work::Mirror);
        self.jobs.values().map(Work::Job).chain(verifies).chain(replicates).chain(mirrors)
    }

    /// The policy of replication of a name, with or without `replicate.`, wherever it is run.
    ///
    /// # Errors
    /// [`JobsError::UnknownJob`].
    pub fn replicate(&self, name: &str) -> Result<&Replicate, JobsError> {
        let found = self.replicates.values().find(|policy| policy.name == name || policy.short_name() == name);
        found.ok_or_else(|| JobsError::UnknownJob {
            path: self.path.clone(),
            name: format!("{}{}", replicate::PREFIX, name.strip_prefix(replicate::PREFIX).unwrap_or(name)),
            near: suggestion(name, self.replicates.values().map(Replicate::short_name)).map(str::to_owned),
        })
    }

    /// The job of a name, or the verification: `verify.NAME`.
    ///
    /// # Errors
    /// [`JobsError::UnknownJob`].
    pub fn work(&self, name: &str) -> Result<Work<'_>, JobsError> {
        self.works().find(|work| work.name() == name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> JobsError {
        JobsError::UnknownJob {
            path: self.path.clone(),
            name: name.to_owned(),
            near: suggestion(name, self.works().map(Work::name)).map(str::to_owned),
        }
    }
}

/// An address of this machine.
fn here(text: &str) -> Result<SocketAddr, String> {
    const REMEDY: &str = "write one such as 127.0.0.1:9185; for others put a proxy before it, or use textfile";
    let address: SocketAddr = text.parse().map_err(|_| format!("it is no address with a port: {REMEDY}"))?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err(format!("other machines would reach it, and there is neither TLS nor a login: {REMEDY}")),
    }
}

/// The first key of a file that names a command to run.
fn command_of(text: &str) -> Option<String> {
    fn of(table: &dyn TableLike) -> Option<String> {
        table.iter().find_map(|(key, item)| {
            if key == "hooks" || is_command(key) {
                return Some(key.to_owned());
            }
            of(item.as_table_like()?)
        })
    }
    of(Document::parse(text).ok()?.as_table())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use credenza_engine::check::Budget;
    use credenza_engine::drill::DrillOptions;

    use super::super::sections::verify::{DRILL_EVERY, READ_ALL_WITHIN};
    use super::*;

    const WHOLE: &str = r#"
version = 1
[defaults]
zone = "UTC"
missed = "skip"
retry = { tries = 5, wait = "30s..10m" }
limits = [ { at = "mon-fri 08-19", up = "20MB/s" }, { up = "unlimited" } ]

[metrics]
textfile = "/var/lib/node_exporter/credenza.prom"

[job.shop]
backup = ["@shop", "/srv/shop"]
to = "@main"
at = ["02:30", "mon-fri 14:30"]
exclude = "*.tmp"
exclude_larger_than = "2GiB"
tags = ["nightly"]
promise = "26h"
maintain = "7d"
keep = { last = 3, daily = 14, within = "2d" }
hooks = [ { before = "backup", run = ["pg_dump", "-Fc", "shop"], stdin_of = "db.dump" },
          { after = "backup", when = ["failed"], run = ["/usr/local/bin/page"], timeout = "30s" } ]

[job.home]
backup = "/home"
to = "/mnt/disk"
every = "1h"
missed = "once"
prune = true
"#;

    fn parse(text: &str) -> Result<JobsFile, JobsError> {
        JobsFile::parse(Path::new("jobs.toml"), text, "2027-01-01T00:00:00Z".parse().unwrap())
    }

    /// The faults of a job with these lines beside what it cannot do without.
    fn faults(lines: &str) -> String {
        let text = format!("version = 1\n[job.a]\nbackup = \"/a\"\nto = \"/r\"\n{lines}\n");
        parse(&text).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_file_is_understood_and_jobs_go_before_defaults() {
        let file = parse(WHOLE).unwrap();
        let shop = file.job("shop").unwrap();
        assert_eq!(shop.sources, ["@shop", "/srv/shop"]);
        assert!(!shop.limits.is_empty() && file.textfile.as_deref().is_some_and(Path::is_absolute));
        assert_eq!((shop.missed, file.jobs["home"].missed), (Missed::Skip, Missed::Once));
        assert_eq!((shop.retry.tries, shop.retry.wait_after(1).as_secs()), (5, 30));
        assert_eq!((shop.retry.wait_after(3).as_secs(), shop.retry.wait_after(30).as_secs()), (120, 600));
        assert_eq!(shop.maintain, Some(Maintain::After(Duration::from_hours(7 * 24))));
        assert_eq!((shop.tag(), shop.promise), ("job:shop".to_owned(), Some(Duration::from_hours(26))));
        let Some(Prune::By(policy)) = &shop.prune else { panic!("{:?}", shop.prune) };
        assert_eq!((policy.last, policy.daily, policy.within_seconds), (3, 14, Some(2 * 86_400)));
        let [dump, page] = shop.hooks.as_slice() else { panic!("{:?}", shop.hooks) };
        assert_eq!((dump.moment, dump.timeout, dump.arguments.len()), (Moment::During, None, 2));
        assert_eq!((page.moment, page.timeout), (Moment::After, Some(Duration::from_secs(30))));
        assert_eq!(page.when, [When::Failed]);
        assert_eq!(file.jobs["home"].prune, Some(Prune::OfRepository));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
        let said = faults("at = \"02:30\"\nexclud = \"*.tmp\"");
        assert!(said.contains("line 6, `job.a.exclud`: there is no such key; did you mean `exclude`?"), "{said}");
        let said = parse("version = 1\nzzz = 1\n").unwrap_err().to_string();
        assert!(
            said.contains("line 2, `zzz`")
                && said.contains(
                    "there are version, defaults, metrics, notify, mail, ping, promise, job, verify, replicate"
                ),
            "{said}"
        );
        let said = faults("at = \"02:30\"\nkeep = { dayly = 3 }");
        assert!(said.contains("line 6, `job.a.keep.dayly`: there is no such key; did you mean `daily`?"), "{said}");
    }

    #[test]
    fn a_wrong_unit_a_wrong_type_and_a_word_that_is_none_say_what_to_write() {
        for (lines, parts) in [
            ("every = \"5 minutes\"", ["`job.a.every`", "no unit of time", "write a number and s, m, h, d or w"]),
            ("every = 5", ["`job.a.every`", "it is a number", "write a text in quotes"]),
            ("every = \"5s\"", ["`job.a.every`", "less than 10 s", "write 10s or more"]),
            ("at = \"25:00\"", ["`job.a.at`", "no such time of day", "write 02:30"]),
            ("at = \"02:30\"\nzone = \"Europe/Pariss\"", ["line 6, `job.a.zone`", "no such zone", "Europe/Paris"]),
            ("at = \"02:30\"\nmissed = \"twice\"", ["`job.a.missed`", "no such word", "write once or skip"]),
            ("at = \"02:30\"\nretry = { tries = 0 }", ["`job.a.retry.tries`", "no such number", "from 1 to 20"]),
            ("at = \"02:30\"\nexclude_larger_than = \"2 elephants\"", ["exclude_larger_than", "MB or GiB", ""]),
            ("cron = \"30 2 * *\"", ["`job.a.cron`", "cannot be meant", "such as 30 2 * * *"]),
            (
                "every = \"1h\"\non_change = \"0s..1m\"",
                ["line 6, `job.a.on_change`", "it is not between 1s and 366d", ""],
            ),
            (
                "every = \"1h\"\nguard = { shrink = 40 }",
                ["line 6, `job.a.guard.shrink`", "it is a number", "in quotes"],
            ),
            ("every = \"1h\"\nguard = { changed = \"140%\" }", ["`job.a.guard.changed`", "no share", "such as 40%"]),
        ] {
            let said = faults(lines);
            assert!(parts.iter().all(|part| said.contains(part)), "{lines}: {said}");
        }
    }

    #[test]
    fn a_schedule_that_never_comes_or_is_there_twice_or_not_at_all_is_a_fault() {
        assert!(faults("cron = \"0 0 30 2 *\"").contains("`job.a.cron`: that never comes"));
        assert!(faults("at = \"02:30\"\nevery = \"1h\"").contains("line 6, `job.a.every`: there are two schedules"));
        assert!(faults("").contains("line 2, `job.a`: nothing says when it is due"));
    }

    #[test]
    fn a_verification_is_nightly_and_of_the_repository_of_its_name_unless_it_says_otherwise() {
        let file = parse("version = 1\n[verify.main]\n[verify.b]\nrepository = \"/r\"\nread_all_within = \"30d\"\nevery = \"1h\"\nbudget = { bytes = \"20GiB\", requests = 20000 }\ndrill = { files = 2, bytes = \"1MB\" }\n").unwrap();
        let [b, main] = ["verify.b", "verify.main"].map(|name| &file.verifies[name]);
        assert_eq!((&*main.repository, main.read_all_within, main.drill), ("@main", READ_ALL_WITHIN, None));
        assert_eq!((main.schedule.to_string(), main.budget), ("at 04:30".to_owned(), Budget::default()));
        assert_eq!((&*b.repository, b.budget), ("/r", Budget { bytes: Some(20 << 30), requests: Some(20_000) }));
        let sample = DrillOptions { files: 2, folders: 1, bytes_max: 1_000_000 };
        assert_eq!(b.drill, Some(DrillRule { every: DRILL_EVERY, sample }));
        assert!(matches!(file.work("verify.b"), Ok(Work::Verify(verify)) if verify.repository == "/r"));
        assert!(matches!(file.work("verify.c"), Err(JobsError::UnknownJob { near: Some(_), .. })));
    }

    #[test]
    fn a_verification_that_cannot_be_meant_says_what_to_write() {
        for (lines, part) in [
            ("[verify.a]\nread_all_within = \"soon\"", "`verify.a.read_all_within`"),
            ("[verify.a]\nbudget = { bytes = \"20GiB/night\" }", "`verify.a.budget.bytes`"),
            ("[verify.a]\nbudget = { requests = 0 }", "from 1 to"),
            ("[verify.a]\ndrill = { files = 0, folders = 0 }", "it restores nothing"),
            ("[verify.a]\ndrill = { sample = \"5 files\" }", "there is no such key"),
            ("[verify.\"a b\"]", "no name for what runs by itself"),
            ("[job.\"verify.a\"]\nto = \"/r\"\nbackup = \"/a\"\nat = \"02:30\"", "so verifications are called"),
        ] {
            let said = parse(&format!("version = 1\n{lines}\n")).unwrap_err().to_string();
            assert!(said.contains(part), "{lines}: {said}");
        }
    }

    #[test]
    fn a_promise_that_no_snapshot_may_keep_is_a_fault() {
        let said = faults("at = \"02:30\"\nskip_if_unchanged = true\npromise = \"26h\"");
        assert!(said.contains("line 7, `job.a.promise`: it is measured by new snapshots"), "{said}");
        let both = "version = 1\n[job.a]\nbackup = \"/a\"\nto = \"/r\"\nat = \"02:30\"\nskip_if_unchanged = false\npromise = \"26h\"\n";
        assert!(parse(both).is_ok());
    }

    #[test]
    fn who_is_told_is_understood_and_its_faults_are_named_without_an_address() {
        let text = "at = \"02:30\"\n[notify.ops]\nto = [\"ntfy:https://ntfy.example.org/hunter2\", \"mail:ops@example.org\"]\nwhen = [\"failed\", \"recovered\"]\ndigest = \"mon 08:00\"\n[mail]\nserver = \"mail.example.org\"\nfrom = \"c@example.org\"\n[ping.a]\nhealthchecks = \"https://hc.example.org/hunter2\"\n";
        let file = parse(&format!("version = 1\n[job.a]\nbackup = \"/a\"\nto = \"/r\"\n{text}")).unwrap();
        let ops = &file.notify.sections[0];
        assert_eq!((ops.to[0].shown().as_str(), ops.when.len()), ("ntfy:https://ntfy.example.org", 2));
        assert!(ops.digest.is_some() && file.jobs["a"].ping.is_some());
        assert_eq!(file.notify.mail.as_ref().map(|mail| mail.port), Some(465));
        assert!(!format!("{file:?}").contains("hunter2"));
        for (lines, parts) in [
            ("[notify.a]", ["`notify.a.to`", "nobody is told"]),
            ("[notify.a]\nto = \"hunter2\"", ["`notify.a.to`", "write webhook:https://"]),
            ("[notify.a]\nto = \"webhook:http://hooks.example.org/hunter2\"", ["`notify.a.to`", "without TLS"]),
            ("[notify.a]\nto = \"mail:hunter2\"", ["`notify.a.to`", "no address of mail"]),
            ("[notify.a]\nto = \"mail:a@b.example\"", ["`notify`", "through which server"]),
            (
                "[notify.a]\nto = \"ntfy:https://n.example/\"\nwhen = [\"broken\"]",
                ["`notify.a.when`", "promise-broken"],
            ),
            (
                "[notify.a]\nto = \"ntfy:https://n.example/\"\nkey_file = \"/k\"\nkey_cmd = \"k\"",
                ["`notify.a.key_cmd`", "given twice"],
            ),
            ("[mail]\nserver = \"m.example\"\nfrom = \"a@b.example\"\ntls = \"none\"", ["`mail.tls`", "without TLS"]),
            ("[mail]\nserver = \"m.example\"\nfrom = \"a@b.example\"\nuser = \"a\"", ["`mail.user`", "password_file"]),
            ("[mail]\nfrom = \"a@b.example\"", ["`mail.server`", "it is missing"]),
            ("[ping.b]\nhealthchecks = \"https://hc.example.org/hunter2\"", ["`ping.b`", "no such job"]),
            ("[metrics]\nlisten = \"0.0.0.0:9185\"", ["`metrics.listen`", "other machines would reach it"]),
            ("[promise.p]\nneeds = { copies = 2 }", ["`promise.p.sources`", "about no source"]),
            ("[promise.p]\nsources = \"@a\"", ["`promise.p.needs`", "nothing is promised"]),
            (
                "[promise.p]\nsources = \"@a\"\nneeds = { copys = 2 }",
                ["`promise.p.needs.copys`", "did you mean `copies`?"],
            ),
            ("[promise.p]\nsources = \"@a\"\nneeds = { copies = 0 }", ["`promise.p.needs.copies`", "from 1 to 1000"]),
            ("[ping.a]", ["`ping.a`", "nothing says whom to tell"]),
            ("[ping.a]\nhealthchecks = \"hunter2\"", ["`ping.a.healthchecks`", "no address"]),
        ] {
            let said = faults(&format!("at = \"02:30\"\n{lines}"));
            assert!(parts.iter().all(|part| said.contains(part)) && !said.contains("hunter2"), "{lines}: {said}");
        }
    }

    #[test]
    fn two_jobs_of_one_name_and_broken_toml_name_their_line() {
        let twice = "version = 1\n[job.a]\nto = \"/r\"\n[job.a]\nto = \"/r\"\n";
        let JobsError::Syntax { line, .. } = parse(twice).unwrap_err() else { panic!() };
        assert_eq!(line, 4);
        assert!(matches!(parse("version = \n"), Err(JobsError::Syntax { line: 1, .. })));
    }

    #[test]
    fn a_hook_that_is_one_text_or_at_no_time_is_a_fault() {
        let said = faults("at = \"02:30\"\nhooks = [ { before = \"backup\", run = \"sync; ls\" } ]");
        assert!(said.contains("no shell takes it apart") && said.contains("line 6"), "{said}");
        let said = faults("at = \"02:30\"\nhooks = [ { run = [\"ls\"] } ]");
        assert!(said.contains("nothing says when it runs"), "{said}");
        let said = faults("at = \"02:30\"\nhooks = [ { after = \"backup\", run = [\"ls\"], stdin_of = \"x\" } ]");
        assert!(said.contains("what runs after the backup is not backed up"), "{said}");
    }

    #[test]
    fn all_faults_are_named_at_once_in_the_order_of_the_file() {
        let said = parse("[job.b]\nevery = \"x\"\n[job.a]\nkeep = {}\n").unwrap_err();
        let JobsError::Invalid { problems, .. } = &said else { panic!("{said}") };
        let keys: Vec<&str> = problems.iter().map(|problem| &*problem.key).collect();
        assert!(
            ["version", "job.b.backup", "job.b.to", "job.b.every", "job.a.keep"].iter().all(|key| keys.contains(key)),
            "{said}"
        );
        assert!(problems.is_sorted_by_key(|problem| problem.line), "{said}");
    }

    #[test]
    fn a_name_that_is_nearly_one_is_suggested() {
        let error = parse(WHOLE).unwrap().job("shopp").unwrap_err();
        assert!(matches!(error, JobsError::UnknownJob { near: Some(near), .. } if near == "shop"));
    }
}
