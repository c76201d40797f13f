//! Commands of the user's around a run: a program and its arguments, never a shell.
//!
//! Owned here: starting and ending them, what they are told, and what is kept of what they print. They inherit none of our secrets. Refused here: when they
//! run (`run`). A hook has a process group of its own, so that what it starts ends with it.
//!
//! Bound: [`OUTPUT_BYTES_MAX`] of the end of what it prints.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use credenza_connect::ProcessGroup;
use credenza_engine::Stop;
use credenza_model::SnapshotId;
use serde::Serialize;

use super::file::{Hook, Moment};
use super::outcome::Ending;
use crate::environment;

/// What is kept of what a hook prints: its end.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// How long one waits for what was made to end, and for the rest of its output, which a process of its own session may keep open.
const REST: Duration = Duration::from_secs(1);

/// What a hook is told: as JSON on its standard input, and in variables.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Facts {
    pub(super) job: String,
    pub(super) run: String,
    pub(super) repository: String,
    pub(super) moment: Moment,
    /// How the run ended, if it has.
    pub(super) ending: Option<Ending>,
    /// Why, where it is not well.
    pub(super) reason: Option<String>,
    /// What it made.
    pub(super) snapshots: Vec<SnapshotId>,
}

impl Facts {
    /// The same as variables.
    pub(super) fn variables(&self) -> [(&'static str, String); 6] {
        let word = |value: serde_json::Result<serde_json::Value>| {
            value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let snapshots: Vec<String> = self.snapshots.iter().map(ToString::to_string).collect();
        [
            ("CREDENZA_JOB", self.job.clone()),
            ("CREDENZA_RUN", self.run.clone()),
            (environment::REPOSITORY, self.repository.clone()),
            ("CREDENZA_MOMENT", word(serde_json::to_value(self.moment))),
            ("CREDENZA_ENDING", self.ending.map(|ending| word(serde_json::to_value(ending))).unwrap_or_default()),
            ("CREDENZA_SNAPSHOTS", snapshots.join(" ")),
        ]
    }
}

/// A hook that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It cannot be started.
    #[error("the hook `{}` cannot be started", program.to_string_lossy().escape_debug())]
    Start {
        /// The program.
        program: OsString,
        /// Why.
        source: io::Error,
    },
    /// It says that it failed.
    #[error("the hook `{}` failed ({status}){}", program.to_string_lossy().escape_debug(), printed(output))]
    Failed {
        /// The program.
        program: OsString,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        output: String,
    },
    /// It took too long, and was ended.
    #[error("the hook `{}` was ended after {} s", program.to_string_lossy().escape_debug(), after.as_secs())]
    TimedOut {
        /// The program.
        program: OsString,
        /// What it was given.
        after: Duration,
    },
    /// The run is to end.
    #[error("the hook `{}` was ended with the run", program.to_string_lossy().escape_debug())]
    Stopped {
        /// The program.
        program: OsString,
    },
}

fn printed(output: &str) -> String {
    let last = output.trim_end().lines().next_back().unwrap_or_default();
    if last.is_empty() { String::new() } else { format!(": {}", last.escape_debug()) }
}

/// What ends the wait for a hook.
enum Heard {
    Exited(io::Result<ExitStatus>),
    Stop,
}

/// Runs a hook to its end; the answer is the end of what it printed.
pub(super) async fn run(hook: &Hook, facts: &Facts, stop: &Stop) -> Result<String, HookError> {
    let (sender, receiver) = channel();
    let (mut command, timeout, program) = (command(hook, facts), hook.timeout, hook.program.clone());
    let facts = serde_json::to_vec(facts).unwrap_or_default();
    let exited = sender.clone();
    let work = tokio::task::spawn_blocking(move || {
        let failed = |source| HookError::Start { program: program.clone(), source };
        let child = command.spawn().map_err(failed)?;
        supervise(child, facts, timeout, (exited, &receiver)).map_err(|fault| fault.of(&program))
    });
    let mut work = std::pin::pin!(work);
    let done = tokio::select! {
        done = &mut work => done,
        () = stop.requested() => {
            // Where it has ended meanwhile, nobody hears that.
            let _ = sender.send(Heard::Stop);
            work.await
        }
    };
    done.unwrap_or_else(|error| {
        Err(HookError::Start { program: hook.program.clone(), source: io::Error::other(error) })
    })
}

fn command(hook: &Hook, facts: &Facts) -> Command {
    let mut command = Command::new(&hook.program);
    command.args(&hook.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    for name in environment::SECRETS {
        command.env_remove(name);
    }
    command.envs(facts.variables());
    command
}

/// Why a hook that was started did not do its work.
enum Fault {
    Wait(io::Error),
    Failed(ExitStatus, String),
    TimedOut(Duration),
    Stopped,
}

impl Fault {
    fn of(self, program: &OsString) -> HookError {
        let program = program.clone();
        match self {
            Self::Wait(source) => HookError::Start { program, source },
            Self::Failed(status, output) => HookError::Failed { program, status, output },
            Self::TimedOut(after) => HookError::TimedOut { program, after },
            Self::Stopped => HookError::Stopped { program },
        }
    }
}

fn supervise(
    mut child: Child,
    facts: Vec<u8>,
    timeout: Option<Duration>,
    (sender, heard): (Sender<Heard>, &Receiver<Heard>),
) -> Result<String, Fault> {
    let output = Arc::new(Mutex::new(Vec::new()));
    let (ended, rest) = channel::<()>();
    if let Some(stdout) = child.stdout.take() {
        keep(stdout, &output, ended.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        keep(stderr, &output, ended.clone());
    }
    drop(ended);
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not listen, and what it is told may be more than a pipe holds.
        thread::spawn(move || stdin.write_all(&facts));
    }
    let group = ProcessGroup::led_by(&child);
    thread::spawn(move || sender.send(Heard::Exited(child.wait())));
    let first = match timeout {
        Some(timeout) => heard.recv_timeout(timeout),
        None => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    match first {
        Ok(Heard::Exited(status)) => {
            let status = status.map_err(Fault::Wait)?;
            // Both readers drop their end when there is nothing more to read.
            let _ = rest.recv_timeout(REST);
            let text = String::from_utf8_lossy(&output.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
            if status.success() { Ok(text) } else { Err(Fault::Failed(status, text)) }
        }
        ended => {
            end(group, heard);
            Err(match (ended, timeout) {
                (Err(_), Some(timeout)) => Fault::TimedOut(timeout),
                _ => Fault::Stopped,
            })
        }
    }
}

/// Ends what a hook has started, and waits until it is gone.
fn end(group: Option<ProcessGroup>, heard: &Receiver<Heard>) {
    let Some(group) = group else { return };
    let is_out = |grace| matches!(heard.recv_timeout(grace), Ok(Heard::Exited(_)));
    let mut is_gone = false;
    group.end(|grace| is_gone = is_out(grace));
    if !is_gone {
        is_out(REST);
    }
}

/// Keeps the end of what is read, on a thread of its own.
fn keep(mut from: impl Read + Send + 'static, into: &Arc<Mutex<Vec<u8>>>, ended: Sender<()>) {
    let into = Arc::clone(into);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let excess = kept.len().saturating_sub(OUTPUT_BYTES_MAX);
            kept.drain(..excess);
        }
        drop(ended);
    });
}

#[cfg(test)]
mod tests {
    use super::super::file::When;
    use super::*;

    fn hook(script: &str, timeout: Option<Duration>) -> Hook {
        let arguments = vec!["-c".into(), script.into()];
        let (program, when) = ("/bin/sh".into(), vec![When::Always]);
        Hook { moment: Moment::After, when, program, arguments, timeout, stdin_of: None }
    }

    fn facts() -> Facts {
        Facts {
            job: "shop".to_owned(),
            run: "shop@1".to_owned(),
            repository: "@main".to_owned(),
            moment: Moment::After,
            ending: Some(Ending::Failed),
            reason: Some("it \"broke\"".to_owned()),
            snapshots: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_hook_is_told_by_variables_and_by_json_and_what_it_prints_is_kept() {
        let script = "echo $CREDENZA_JOB $CREDENZA_ENDING $CREDENZA_REPOSITORY; cat; echo oh >&2";
        let printed = run(&hook(script, None), &facts(), &Stop::default()).await.unwrap();
        assert!(printed.contains("shop failed @main\n") && printed.contains("oh\n"), "{printed}");
        let json = printed.lines().find(|line| line.starts_with('{')).unwrap();
        let told: serde_json::Value = serde_json::from_str(json.trim_end_matches("oh")).unwrap();
        assert_eq!((told["reason"].as_str(), told["moment"].as_str()), (Some("it \"broke\""), Some("after")));
    }

    #[tokio::test]
    async fn a_hook_that_fails_says_so_with_the_end_of_its_output() {
        let error =
            run(&hook("seq 100000; echo no room >&2; exit 3", None), &facts(), &Stop::default()).await.unwrap_err();
        let HookError::Failed { output, status, .. } = &error else { panic!("{error}") };
        assert!(output.len() <= OUTPUT_BYTES_MAX && status.code() == Some(3), "{error}");
        let missing = Hook { program: "/no/such/hook".into(), ..hook("", None) };
        let error = run(&missing, &facts(), &Stop::default()).await.unwrap_err();
        assert!(error.to_string().contains("`/no/such/hook` cannot be started"), "{error}");
    }

    #[tokio::test]
    async fn a_hook_that_hangs_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! >{0}.new; mv {0}.new {0}; wait", pid.display());
        let hook = hook(&script, Some(Duration::from_secs(2)));
        let error = run(&hook, &facts(), &Stop::default()).await.unwrap_err();
        assert!(matches!(error, HookError::TimedOut { .. }), "{error}");
        // Where the machine is so slow that it had not begun, there is nothing to end.
        if let Ok(pid) = std::fs::read_to_string(&pid) {
            let stat = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            // A signal is on its way before a process is gone.
            let is_gone = |stat: &str| stat.is_empty() || stat.contains(") Z ");
            for _ in 0..1200 {
                if is_gone(&stat()) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(is_gone(&stat()), "{}", stat());
        }
    }

    #[tokio::test]
    async fn a_hook_that_is_told_much_gets_all_of_it_and_need_not_listen() {
        let much = Facts { reason: Some("x".repeat(1024 * 1024)), ..facts() };
        let printed = run(&hook("wc -c", None), &much, &Stop::default()).await.unwrap();
        assert_eq!(printed.trim().parse(), Ok(serde_json::to_vec(&much).unwrap().len()));
        let deaf = hook("exec sleep 1000", Some(Duration::from_millis(100)));
        let error = run(&deaf, &much, &Stop::default()).await.unwrap_err();
        assert!(matches!(error, HookError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_hook_ends_with_its_run() {
        let stop = Stop::default();
        stop.request();
        let error = run(&hook("sleep 1000", None), &facts(), &stop).await.unwrap_err();
        assert!(matches!(error, HookError::Stopped { .. }), "{error}");
    }
}
