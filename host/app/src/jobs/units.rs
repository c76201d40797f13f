//! Units for systemd: one service for the daemon, or a service and a timer for each job.
//!
//! Owned here: the texts. Refused here: writing them (`cli`). A service reads the file systems and is kept from all else that a backup needs not; `after`
//! hooks run in it too, and may have to be given more. Its records are where those of whoever asks for the unit are, so that `jobs pause` and `jobs history`
//! are about the same jobs.

use std::fmt::Write;
use std::path::Path;

use super::error::Problem;
use super::file::{JobsFile, Missed, Work};
use super::schedule::{At, Times};
use crate::environment;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What holds for every service here. To be asked to end is for the program alone, which ends its hooks in good order; what is left then is killed.
const HARDENING: &str = "\
NoNewPrivileges=yes
PrivateTmp=no
ProtectSystem=no
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectClock=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077
KillMode=mixed
CacheDirectory=credenza
Environment=CREDENZA_CACHE=%C/credenza
Nice=10
IOSchedulingClass=idle
";

/// What units are about.
#[derive(Debug, Clone, Copy)]
pub struct Paths<'a> {
    /// The program that they run.
    pub program: &'a Path,
    /// The folder of its records; absolute.
    pub state: &'a Path,
}

/// The one service that runs the daemon of a file of jobs.
#[must_use]
pub fn daemon(paths: Paths<'_>, jobs: &Path) -> Unit {
    let (program, jobs, state) = (quoted(paths.program), quoted(jobs), with_state(paths.state));
    let text = format!(
        "[Unit]
Description=Backups by credenza
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart={program} daemon --jobs {jobs}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=30s
WatchdogSec=5min
TimeoutStopSec=90s
{state}
{HARDENING}
[Install]
WantedBy=default.target
"
    );
    Unit { name: "credenza.service".to_owned(), text }
}

/// A service and a timer for each job.
///
/// # Errors
/// A timer has no line of cron, and counts no span while the machine sleeps: such a job is for the daemon.
pub fn timers(paths: Paths<'_>, file: &JobsFile) -> Result<Vec<Unit>, Vec<Problem>> {
    let mut units = Vec::new();
    let mut problems = Vec::new();
    for job in file.works() {
        let (way, what) = match job.schedule().times() {
            Times::At(times) => {
                units.extend([service(paths, &file.path, job), timer(job, times)]);
                continue;
            }
            Times::Every(_) => ("every", "a timer of systemd counts no time in which the machine sleeps"),
            Times::Cron(_) => ("cron", "a timer of systemd has no line of cron"),
        };
        problems.push(Problem {
            line: 0,
            key: format!("{}.{way}", key(job)),
            what: what.to_owned(),
            remedy: "write it with `at`, or leave --timers out and run the daemon".to_owned(),
        });
    }
    if problems.is_empty() { Ok(units) } else { Err(problems) }
}

/// What runs a job when its timer says so; again a minute after another run was in its way.
fn service(paths: Paths<'_>, jobs: &Path, job: Work<'_>) -> Unit {
    let (program, jobs, state, name) = (quoted(paths.program), quoted(jobs), with_state(paths.state), job.name());
    let text = format!(
        "[Unit]
Description=`{name}` by credenza
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
ExecStart={program} jobs run {name} --due --jobs {jobs}
SuccessExitStatus=3
RestartForceExitStatus=11
RestartSec=1min
{state}
{HARDENING}"
    );
    Unit { name: format!("credenza-{name}.service"), text }
}

/// As the file has it.
fn key(job: Work<'_>) -> String {
    match job {
        Work::Job(job) => format!("job.{}", job.name),
        Work::Verify(_) | Work::Replicate(_) | Work::Mirror(_) => job.name().to_owned(),
    }
}

fn timer(job: Work<'_>, times: &[At]) -> Unit {
    let zone = job.schedule().zone().iana_name().map(|zone| format!(" {zone}")).unwrap_or_default();
    let mut when = String::new();
    for at in times {
        let text = at.to_string();
        let (days, time) = text.rsplit_once(' ').unwrap_or(("", &text));
        let days = if days.is_empty() { String::new() } else { format!("{days} ") };
        let _ = writeln!(when, "OnCalendar={days}*-*-* {time}:00{zone}");
    }
    let offset = job.schedule().offset().as_secs();
    let jitter =
        if offset > 0 { format!("RandomizedDelaySec={offset}s\nFixedRandomDelay=yes\n") } else { String::new() };
    let persistent = if job.retries().0 == Missed::Once { "Persistent=yes\n" } else { "" };
    let name = job.name();
    let text = format!(
        "[Unit]\nDescription=When `{name}` is backed up by credenza\n\n[Timer]\n{when}{jitter}{persistent}\n[Install]\nWantedBy=timers.target\n"
    );
    Unit { name: format!("credenza-{name}.timer"), text }
}

/// The line that says where records are. Variables stand for themselves there, other than in a command.
fn with_state(folder: &Path) -> String {
    let text = folder.to_string_lossy().replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"");
    format!("Environment=\"{}={text}\"", environment::STATE)
}

/// A path as the lines of commands have it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    if text.contains([' ', '\t', '\'', '"', ';']) { format!("\"{text}\"") } else { text }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const FILE: &str = r#"
version = 1
[job.shop]
backup = "/srv/shop"
to = "/mnt/disk"
at = ["02:30", "mon-fri 14:30"]
zone = "Europe/Paris"
[job.home]
backup = "/home"
to = "/mnt/disk"
at = "12:00"
"#;

    fn paths(program: &Path) -> Paths<'_> {
        Paths { program, state: Path::new("/home/me/my $tate/50%") }
    }

    fn file(text: &str) -> JobsFile {
        let now = "2027-01-01T00:00:00Z".parse().unwrap();
        JobsFile::parse(Path::new("/etc/credenza/my jobs.toml"), text, now).unwrap()
    }

    #[test]
    fn units_say_what_is_run_and_when() {
        let file = file(FILE);
        let daemon = daemon(paths(Path::new("/usr/bin/credenza")), &file.path);
        assert!(daemon.text.contains("KillMode=mixed\n"), "hooks are ended by the program");
        assert!(daemon.text.contains("ExecStart=/usr/bin/credenza daemon --jobs \"/etc/credenza/my jobs.toml\"\n"));
        let units = timers(paths(Path::new("/usr/bin/credenza")), &file).unwrap();
        let text = |name: &str| &units.iter().find(|unit| unit.name == name).unwrap().text;
        let shop = text("credenza-shop.timer");
        assert!(shop.contains("OnCalendar=*-*-* 02:30:00 Europe/Paris\n"), "{shop}");
        assert!(shop.contains("OnCalendar=mon,tue,wed,thu,fri *-*-* 14:30:00 Europe/Paris\n"), "{shop}");
        let service = text("credenza-shop.service");
        assert!(service.contains("jobs run shop --due --jobs"), "it heeds a pause: {service}");
        assert!(service.contains("RestartForceExitStatus=11\n"), "another run is waited for: {service}");
    }

    #[test]
    fn a_service_has_its_records_where_those_of_the_caller_are() {
        let file = file(FILE);
        let mut services = timers(paths(Path::new("/usr/bin/credenza")), &file).unwrap();
        services.retain(|unit| unit.name.ends_with(".service"));
        services.push(daemon(paths(Path::new("/usr/bin/credenza")), &file.path));
        assert_eq!(services.len(), 3);
        for service in services {
            let line = "\nEnvironment=\"CREDENZA_STATE=/home/me/my $tate/50%%\"\n";
            assert!(service.text.contains(line) && !service.text.contains("StateDirectory"), "{}", service.text);
        }
    }

    #[test]
    fn a_line_of_cron_and_a_span_are_for_the_daemon() {
        for (way, value) in [("cron", "30 2 * * *"), ("every", "6h")] {
            let text = format!("version = 1\n[job.a]\nbackup = \"/a\"\nto = \"/r\"\n{way} = \"{value}\"\n");
            let problems = timers(paths(Path::new("credenza")), &file(&text)).unwrap_err();
            assert_eq!(problems[0].key, format!("job.a.{way}"));
        }
    }

    #[test]
    fn systemd_finds_no_fault_with_the_units_where_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(FILE);
        let program = std::env::current_exe().unwrap();
        let mut units = timers(paths(&program), &file).unwrap();
        units.push(daemon(paths(&program), &file.path));
        let mut paths = Vec::new();
        for unit in units {
            let path = folder.path().join(&unit.name);
            std::fs::write(&path, unit.text).unwrap();
            paths.push(path);
        }
        let Ok(verified) = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(paths).output() else {
            return;
        };
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("credenza")).collect();
        assert!(ours.is_empty(), "{said}");
    }
}
