//! `daemon`: runs the jobs when they are due, in the foreground.
//!
//! Owned here: what a service manager is told (`sd_notify`), SIGHUP and SIGUSR1, and printing. Refused here: what runs when (`credenza_app::jobs`), and the
//! page that shows it (`credenza_web`), which is served in the same process where that is asked for.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use credenza_app::environment;
use credenza_app::jobs::Step;
use credenza_app::jobs::change::Unwatched;
use credenza_app::jobs::daemon::{Daemon as Work, Listens, News, Options};
use credenza_app::jobs::look::Hears;
use credenza_app::jobs::schedule::timestamp;
use credenza_app::jobs::scheduler::{Decision, Skipped, Start};
use credenza_connect::file::WatchError;
use credenza_engine::{Listener, NoEvents, Stop, SystemClock};
use credenza_model::Timestamp;
use credenza_web::{FiguresServer, Links, Server, Watch};
use sd_notify::NotifyState;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::Session;
use super::clock_set::ClockSet;
use super::jobs::shown::{StepLine, word};
use super::jobs::telling::Telling;
use super::jobs::{JobsAt, state};
use super::ui::{LinkLine, Reaching, tell};
use crate::failure::{Exit, Failure};
use crate::report::{Reporter, printable};

/// The longest that it waits at once: the clock of the calendar may be a little faster or slower than that by which it waits.
const PULSE: Duration = Duration::from_hours(1);
/// And where nobody tells it that a machine has slept, or that its clock was set.
const PULSE_BLIND: Duration = Duration::from_mins(1);
/// Where the service manager listens.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// How long the service manager may take to make room for what it must hear.
const ROOM: Duration = Duration::from_secs(2);

/// Run the jobs of `jobs.toml` when they are due, until it is asked to end.
///
/// It stays in the foreground, for systemd (`jobs units`) or any other supervisor. SIGHUP has it read the file again; where that cannot be used, it goes on
/// by the old one and says so. SIGTERM ends it, after the runs that are under way have ended in good order.
///
/// With --listen it serves the page of `ui` too, where its runs are seen as they go, and can be cancelled. On this machine it prints a link that lets one
/// browser in, once, within 60 seconds; SIGUSR1 has it print another.
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    #[command(flatten)]
    at: JobsAt,

    /// Serve the page there, as `ui` does.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    #[command(flatten)]
    reaching: Reaching,
}

impl Daemon {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        // To be asked to end is how this ends.
        let _heeding = session.stop.heeding();
        let path = self.at.path(session)?;
        let reload = Arc::new(Notify::new());
        let mut clock_set = ClockSet::new().ok();
        let pulse = if clock_set.is_some() { PULSE } else { PULSE_BLIND };
        // Twice within the time in which systemd expects a sign of life.
        let pulse = sd_notify::watchdog_enabled().map_or(pulse, |watchdog| pulse.min(watchdog / 2));
        let options = Options {
            state: state(&path)?,
            path,
            clock: Arc::new(SystemClock),
            stop: session.stop.clone(),
            reload: Arc::clone(&reload),
            pulse,
        };
        let server = match self.listen {
            Some(listen) => Some(self.reaching.serve(listen, self.at.given(), session).await?),
            None if self.reaching.is_given() => {
                let failure = Failure::usage("options say who reaches the page, and none says that it is served");
                return Err(failure.hint("add --listen ADDRESS:PORT"));
            }
            None => None,
        };
        let links = server.as_ref().and_then(Server::links);
        let page = server.as_ref().map(Server::watch);
        let listens = Arc::new(Printing { reporter: Arc::clone(session.reporter), page });
        // Before anybody is told of this process: without them either signal ends it.
        let mut hangups = signal(SignalKind::hangup())?;
        let mut asked_for_links = signal(SignalKind::user_defined1())?;
        let daemon = Work::start(session.app.clone(), options, listens)?;
        let waker = daemon.waker();
        if let Some(server) = &server {
            tell_page(server, links.as_ref(), session.reporter)?;
        }
        if let Some(listen) = daemon.metrics() {
            tell_figures(listen, &daemon, session).await?;
        }
        let mut work = std::pin::pin!(async {
            match server {
                Some(server) => drop(tokio::join!(daemon.run(), server.run())),
                None => daemon.run().await,
            }
        });
        loop {
            tokio::select! {
                () = &mut work => return Ok(Exit::Done),
                Some(()) = hangups.recv() => reload.notify_one(),
                () = next(&mut clock_set) => waker.notify_one(),
                Some(()) = asked_for_links.recv() => {
                    // That nobody reads what it prints is no reason to end.
                    if links.as_ref().is_some_and(|links| tell(links, session.reporter).is_err()) {
                        session.reporter.warning("no link could be printed: standard output is closed or full");
                    }
                }
            }
        }
    }
}

/// Waits until the clock is set, where one hears of that.
async fn next(clock_set: &mut Option<ClockSet>) {
    match clock_set {
        Some(clock_set) => clock_set.next().await,
        None => std::future::pending().await,
    }
}

/// Answers Prometheus until the daemon ends, and says where.
async fn tell_figures(listen: SocketAddr, daemon: &Work, session: &Session<'_>) -> Result<(), Failure> {
    let figures = daemon.figures();
    let made = move || figures.text().map_err(|error| Failure::of_jobs(&error).what);
    let bound = FiguresServer::bind(listen, Arc::new(made)).await;
    let remedy = "end what listens there, or name another port in the file: [metrics] listen = \"127.0.0.1:9185\"";
    let server = bound.map_err(|error| Failure::from(error).hint(remedy))?;
    session.reporter.done(&FiguresLine { url: format!("http://{}/metrics", server.address()) });
    let _ = session.reporter.flush();
    tokio::spawn(server.run(session.stop.clone()));
    Ok(())
}

/// Says where the page is, and how one gets in.
fn tell_page(server: &Server, links: Option<&Links>, reporter: &Reporter) -> Result<(), Failure> {
    let Some(links) = links else {
        reporter.note("users log in to the page there");
        return Ok(reporter.at_once(&LinkLine { link: server.url() })?);
    };
    let process = std::process::id();
    reporter.note(format!(
        "open this in a browser; it can be used once, within 60 s. Another is printed by: kill -USR1 {process}"
    ));
    tell(links, reporter)
}

/// Prints what the daemon does, and tells the service manager and the page.
struct Printing {
    reporter: Arc<Reporter>,
    page: Option<Watch>,
}

impl Listens for Printing {
    fn hear(&self, news: News<'_>) {
        match &news {
            News::Ready(_) | News::Reloaded(_) | News::NotReloaded(_) => notify(&[NotifyState::Ready]),
            News::Alive => return notify(&[NotifyState::Watchdog]),
            News::Reloading => {
                let now = NotifyState::monotonic_usec_now();
                return notify(&[Some(NotifyState::Reloading), now.ok()].into_iter().flatten().collect::<Vec<_>>());
            }
            News::Stopping(_) => notify(&[NotifyState::Stopping]),
            _ => {}
        }
        self.print(&news);
        if let Some(page) = &self.page {
            page.hear(news);
        }
    }

    fn follow(&self, job: &str, stop: &Stop) -> Arc<dyn Listener> {
        match &self.page {
            Some(page) => page.follow(job, stop),
            None => Arc::new(NoEvents),
        }
    }
}

impl Printing {
    fn print(&self, news: &News<'_>) {
        let reporter = &self.reporter;
        match news {
            News::Ready(jobs) => reporter
                .note(format!("at work: {jobs} jobs; end it with SIGTERM or Ctrl-C, SIGHUP reads the file again")),
            News::Reloaded(jobs) => reporter.note(format!("the file was read again: {jobs} jobs")),
            News::NotReloaded(error) => {
                let failure = Failure::of_jobs(error);
                let what = format!("the file cannot be used, and the jobs go on as before: {}", failure.what);
                reporter.failure(&Failure { what, ..failure });
            }
            News::Lost(past) => reporter.warning(format!(
                "the run of `{}` that began at {} ended with its process; it is made up for",
                past.job, past.began
            )),
            News::Began(start) => self.line(&RunLine::began(start)),
            News::Did(job, step) => match step {
                Step::Failed { .. } | Step::Suspect { .. } | Step::Held { .. } => {
                    reporter.warning(format!("{job}: {}", StepLine { step }))
                }
                _ => self.line(&DidLine { job, step }),
            },
            News::Ended(job, ending) => self.line(&RunLine::ended(job, word(*ending))),
            News::Skipped(Decision::Skip { job, due, count, why }) => {
                let why = match why {
                    Skipped::Paused => "it is paused",
                    Skipped::Missed => "nothing ran at the time",
                };
                reporter.note(format!("{job}: {count} runs left out, the last of them due at {due}: {why}"));
            }
            News::Fault(error) => reporter.failure(&Failure::of_jobs(error)),
            News::Unwatched(job, why) => {
                let remedy = match why {
                    Unwatched::Watch(WatchError::Limit { sysctl }) => {
                        format!("; raise it: sudo sysctl {sysctl}=1048576")
                    }
                    _ => String::new(),
                };
                reporter.warning(format!(
                    "changes of what `{job}` backs up are not seen, and it runs by its schedule alone: {why}{remedy}"
                ));
            }
            News::Stopping(0) => reporter.note("ending"),
            News::Stopping(runs) => reporter.note(format!("ending, after {runs} runs that are under way")),
            News::Told(told) => Telling { reporter: Arc::clone(reporter) }.told(*told),
            News::Alive | News::Reloading | News::Skipped(_) | News::Looking | News::Looked => {}
        }
    }

    /// A line that somebody who watches sees at once.
    fn line(&self, line: &(impl Serialize + std::fmt::Display)) {
        self.reporter.done(line);
        // What could not be written is found at the end, which tries again.
        let _ = self.reporter.flush();
    }
}

/// Tells the service manager; without one, nobody.
fn notify(states: &[NotifyState<'_>]) {
    let Some(socket) = environment::variable(NOTIFY_SOCKET) else { return };
    // A daemon whose manager does not listen has its work to do all the same.
    let _ = send(Path::new(&socket), states);
}

/// Sends what `sd_notify::notify` would, which waits for as long as nobody reads. Here a sign of life does not wait at all, and all else for [`ROOM`].
fn send(to: &Path, states: &[NotifyState<'_>]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    match states {
        [NotifyState::Watchdog] => socket.set_nonblocking(true)?,
        _ => socket.set_write_timeout(Some(ROOM))?,
    }
    socket.connect(to)?;
    let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
    socket.send(lines.join("\n").as_bytes()).map(drop)
}

/// Where Prometheus is answered.
#[derive(Serialize)]
#[serde(tag = "type", rename = "metrics")]
struct FiguresLine {
    url: String,
}

impl std::fmt::Display for FiguresLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "figures for Prometheus: {}", self.url)
    }
}

/// A run that began or ended.
#[derive(Serialize)]
#[serde(tag = "type", rename = "run")]
struct RunLine<'a> {
    job: &'a str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_zero")]
    missed: u32,
    #[serde(skip_serializing_if = "is_zero")]
    tries: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl<'a> RunLine<'a> {
    fn began(start: &'a Start) -> Self {
        let Start { job, due, missed, tries, .. } = start;
        Self { job, event: "began", due: Some(timestamp(*due)), missed: *missed, tries: *tries }
    }

    const fn ended(job: &'a str, event: &'static str) -> Self {
        Self { job, event, due: None, missed: 0, tries: 0 }
    }
}

impl std::fmt::Display for RunLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.job, self.event)?;
        if let Some(due) = self.due {
            write!(f, ", due at {due}")?;
        }
        if self.missed > 0 {
            write!(f, ", makes up for {} before it", self.missed)?;
        }
        if self.tries > 0 { write!(f, ", try {}", self.tries.saturating_add(1)) } else { Ok(()) }
    }
}

/// Something that a run did.
#[derive(Serialize)]
#[serde(tag = "type", rename = "step")]
struct DidLine<'a> {
    job: &'a str,
    step: &'a Step,
}

impl std::fmt::Display for DidLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", printable(self.job), StepLine { step: self.step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_does_not_listen_stops_no_sign_of_life() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        // Far more than any queue holds.
        let full = (0..1_000_000).find_map(|_| send(&path, &[NotifyState::Watchdog]).err());
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
        let mut buffer = [0; 64];
        let count = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"WATCHDOG=1");
    }
}
