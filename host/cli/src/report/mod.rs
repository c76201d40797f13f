//! What the user sees: results on standard output, all else on standard error.
//!
//! Nothing that is said decides over what is done: a message that cannot be written is lost, and a command that has done its work ends as
//! it would have ended had somebody listened. Only where what it prints is what was asked for has it failed without.
//!
//! Owned here: the two forms of a result (a line of text, a line of JSON), notes, failures, and the bar of a run that is
//! under way. Refused here: what a result holds (`commands`). Text from outside never reaches a terminal with control
//! characters in it.

mod entry;
mod progress;
mod provenance;
mod zone;

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use credenza_app::{Notice, Notices};
use credenza_connect::Check;
use credenza_engine::{Conflict, Damage, Event, Listener, Spared, Standing};
use credenza_model::Key;
use credenza_sandbox::deceives;
use indicatif::{HumanBytes, HumanDuration};
use serde::Serialize;

pub(crate) use entry::{EntryDetails, EntryLine, PrefixLine};
pub(crate) use provenance::ConnectorOut;
pub(crate) use zone::{Bytes, Zone};

use self::progress::Progress;
use crate::failure::{Exit, Failure};
use crate::globals::Globals;
use credenza_app::shell::{label_word, shell_word};

/// Prints.
pub(crate) struct Reporter {
    json: bool,
    quiet: bool,
    verbose: bool,
    out: Mutex<BufWriter<Stdout>>,
    /// Whether anything was printed for which the command was run.
    was_asked: AtomicBool,
    progress: Progress,
    /// Whether damage was reported that the command went on despite.
    damaged: AtomicBool,
    /// What a person was reported already; as many as a command opens places, and a few.
    noticed: Mutex<Vec<Notice>>,
}

impl Reporter {
    pub(crate) fn new(globals: &Globals) -> Self {
        let drawn = !globals.json && !globals.quiet && !globals.no_progress && io::stderr().is_terminal();
        Self {
            json: globals.json,
            quiet: globals.quiet,
            verbose: globals.verbose > 0,
            out: Mutex::new(BufWriter::new(io::stdout())),
            was_asked: AtomicBool::new(false),
            progress: Progress::new(drawn),
            damaged: AtomicBool::new(false),
            noticed: Mutex::default(),
        }
    }

    /// Tells damage that the command goes on despite, because something else stood in, and with what it is mended.
    pub(crate) fn despite(&self, damages: &[Damage], place: &str) {
        self.go_on(damages, &format!("credenza at {place} repair --apply"));
    }

    /// The same of packs that were read by their parity.
    pub(crate) fn healed(&self, damages: &[Damage], place: &str) {
        self.go_on(damages, &format!("credenza at {place} repair --read-data --apply"));
    }

    /// The same of what a replica had.
    pub(crate) fn spared(&self, spared: &[Spared], place: &str) {
        for Spared { damage, replica } in spared {
            let mend = format!("credenza at {place} repair --from {} --apply", shell_word(replica));
            self.go_on(std::slice::from_ref(damage), &mend);
        }
    }

    fn go_on(&self, damages: &[Damage], mend: &str) {
        for damage in damages {
            self.damaged.store(true, Relaxed);
            self.say(format!("credenza: {damage}\nhint: mend it: {mend}"));
        }
    }

    /// What was reported by [`despite`](Self::despite) is mended.
    pub(crate) fn mended(&self) {
        self.damaged.store(false, Relaxed);
    }

    /// How the program ends: no run counts as done that went on despite damage.
    fn conclude(&self, exit: Exit) -> Exit {
        match exit {
            Exit::Done | Exit::Incomplete if self.damaged.load(Relaxed) => Exit::DamageFound,
            exit => exit,
        }
    }

    /// One line of what the command was asked for: JSON with `--json`, else text.
    pub(crate) fn result(&self, line: &(impl Serialize + Display)) -> io::Result<()> {
        self.was_asked.store(true, Relaxed);
        self.line(line)
    }

    /// The same, for who waits for it while the command goes on.
    pub(crate) fn at_once(&self, line: &(impl Serialize + Display)) -> io::Result<()> {
        self.result(line)?;
        self.out().flush()
    }

    /// What stands above the lines of a table; nothing with `--json`.
    pub(crate) fn heading(&self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        self.progress.suspend(|| writeln!(self.out(), "{text}"))
    }

    /// How many there were of what was asked for: a line of JSON, else a note beside the list.
    pub(crate) fn summary(&self, line: &(impl Serialize + Display)) -> io::Result<()> {
        if self.json {
            return self.result(line);
        }
        self.note(line);
        Ok(())
    }

    /// One line of what the command has done. It is done whether or not that can be printed.
    pub(crate) fn done(&self, line: &(impl Serialize + Display)) {
        // What could not be written is found by `close`, which tries again.
        let _ = self.line(line);
    }

    /// One line of what the command has done or, where it has done nothing, would do.
    pub(crate) fn done_or_planned(&self, is_done: bool, line: &(impl Serialize + Display)) -> io::Result<()> {
        if is_done {
            self.done(line);
            return Ok(());
        }
        self.result(line)
    }

    /// A line on standard output for who wants to know more.
    fn detail(&self, line: &String) {
        if self.verbose {
            self.done(line);
        }
    }

    /// Lets out what was printed so far: somebody watches a command that does not end.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.out().flush()
    }

    /// Bytes of a result that is no list of lines.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.was_asked.store(true, Relaxed);
        self.out().write_all(bytes)
    }

    fn line(&self, line: &(impl Serialize + Display)) -> io::Result<()> {
        match self.json {
            true => self.json_line(line),
            false => self.progress.suspend(|| writeln!(self.out(), "{line}")),
        }
    }

    fn json_line(&self, line: &impl Serialize) -> io::Result<()> {
        self.progress.suspend(|| {
            let mut out = self.out();
            serde_json::to_writer(&mut *out, line)?;
            out.write_all(b"\n")
        })
    }

    /// Writes out what is buffered, and ends the command as it went.
    pub(crate) fn close(&self, went: Result<Exit, Failure>) -> Exit {
        self.progress.clear();
        let printed = self.out().flush();
        match (went.map(|exit| self.conclude(exit)), printed) {
            (Err(failure), _) => {
                self.failure(&failure);
                failure.exit
            }
            (Ok(exit), Ok(())) => exit,
            (Ok(Exit::Done), Err(error)) if self.was_asked.load(Relaxed) => self.close(Err(error.into())),
            (Ok(exit), Err(error)) => {
                self.warning(format!("what was done could not be printed on standard output: {error}"));
                exit
            }
        }
    }

    /// Something worth knowing that is no result.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Something that is wrong and does not end the command; said also to those who want to hear of nothing but results and errors.
    pub(crate) fn warning(&self, text: impl Display) {
        self.say(format!("warning: {text}"));
    }

    /// Why a command failed; with `--json` as an object.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.what.is_empty() {
            return;
        }
        if self.json {
            let object = ErrorLine {
                exit: failure.exit as i32,
                message: &failure.what,
                cause: failure.why.as_deref(),
                hint: failure.hint.as_deref(),
            };
            return write_to_stderr(&serde_json::to_string(&object).unwrap_or_default());
        }
        let why = failure.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        self.say(format!("credenza: {}{why}", failure.what));
        if let Some(hint) = &failure.hint {
            self.say(format!("hint: {hint}"));
        }
    }

    fn say(&self, text: impl Display) {
        self.progress.suspend(|| write_to_stderr(&printable_lines(&text.to_string())));
    }

    /// What is waited for; with `--json` as an object.
    fn waiting(&self, line: &Waiting<'_>) {
        if self.json { self.done(line) } else { self.note(line) }
    }

    fn out(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each is said once.
impl Notices for Reporter {
    fn notice(&self, notice: Notice) {
        if let Notice::Waiting { reason, cause, tries, next_in_ms } = &notice {
            // It comes as often as it is to be said.
            return self.waiting(&Waiting { reason, cause, tries: *tries, next_in_ms: *next_in_ms });
        }
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.contains(&notice) {
            return;
        }
        noticed.push(notice.clone());
        drop(noticed);
        match notice {
            Notice::ForeignConnector { name, version, path, sha256 } => {
                let (name, version) = (brief(&name), brief(&version));
                self.note(format!("connector {name} {version} is {}, sha256 {sha256}", path.display()));
            }
            Notice::NoCompiledCache { why } => {
                self.note(format!("connectors are compiled again at every start: {why}"));
            }
            Notice::Proxy { server, proxy } => {
                self.note(format!("requests to {server} go through the proxy {proxy}"));
            }
            Notice::AmbientServer { server, named_by } => {
                self.note(format!("requests go to {server}, which {named_by} names"));
            }
            Notice::AwsFileUnreadable { path, why } => {
                self.note(format!("warning: {} cannot be read, and nothing is taken from it: {why}", path.display()));
            }
            Notice::Waiting { .. } => {}
            Notice::ConfigurationReadable { path } => {
                let path = path.display();
                self.note(format!("warning: other users can read {path}; close it: chmod 600 {path}"));
            }
            Notice::UnjudgedSetting { setting } => self.note(format!(
                "note: there is no connector here to say whether `{setting}` is one of its settings; it is kept"
            )),
            Notice::NotRemembered { location, why } => self.note(format!(
                "note: what is at {location} is not remembered, so that another repository in its place would go unnoticed: {why}"
            )),
            Notice::KnownBefore { place, known } => self.note(format!(
                "note: this machine knows another repository in {place}: {known}; from now on it is the new one that is expected there, and the other would be refused"
            )),
            Notice::ReplicaPassedOver { replica, why } => self.warning(format!("the replica {replica} is passed over: {why}")),
            Notice::ReplicaInstead { place, replica, why, behind_seconds, .. } => {
                let age = match behind_seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
                    Some(seconds) => format!("its newest snapshot is {} old", HumanDuration(Duration::from_secs(seconds))),
                    None => "it has no snapshot".to_owned(),
                };
                self.warning(format!("{place} cannot be read, and {replica} is read instead, {age}: {why}"));
            }
            Notice::OpenedDespite { place, damages } => self.despite(&damages, &label_word(&place)),
        }
    }
}

impl Listener for Reporter {
    fn on(&self, event: Event) {
        match event {
            Event::Phase { phase } => self.progress.begin(phase),
            Event::Expected { bytes, .. } => self.progress.expect(bytes),
            Event::Progress { entries, bytes } => self.progress.advance(entries, bytes),
            // What could not be written is found by `close`, which tries again.
            Event::EntryFailed { .. } | Event::Compared { .. } | Event::Left { .. } | Event::PartsLeft { .. }
                if self.json =>
            {
                drop(self.json_line(&event));
            }
            Event::EntryFailed { key, reason } => self.say(format!("{key}: {reason}")),
            Event::PartsLeft { key } => self.warning(format!(
                "{key}: what was sent of it stays at the destination until the service removes it, and may be paid for until then"
            )),
            Event::Kept { bytes } => self.note(format!(
                "{} that this run has uploaded are in the repository: the same command, run again, uploads the rest only",
                HumanBytes(bytes)
            )),
            Event::Compared { key, standing, .. } => self.detail(&compared(standing, &key)),
            Event::Left { key, conflict } => self.detail(&left_alone(&key, conflict)),
            Event::Damage(_) | Event::Committed { .. } => {}
        }
    }

    fn shows_progress(&self) -> bool {
        self.progress.is_drawn()
    }
}

/// A line for a person. Where it cannot be written (a full disk, a pipe that nobody reads) there is nobody to tell.
fn write_to_stderr(line: &str) {
    let _ = writeln!(Unheard, "{line}");
}

/// Standard error, on which nothing fails: log lines go there too, and the library that writes them would end the program.
pub(crate) struct Unheard;

impl Write for Unheard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "error")]
struct ErrorLine<'a> {
    exit: i32,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// Something that is waited for.
#[derive(Serialize)]
#[serde(tag = "type", rename = "waiting")]
struct Waiting<'a> {
    reason: &'a str,
    cause: &'a str,
    tries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_in_ms: Option<u64>,
}

impl Display for Waiting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "waiting: {}", brief(self.cause))?;
        match self.next_in_ms {
            Some(ms) => write!(f, "; try {} in {} s", self.tries.saturating_add(1), ms.div_ceil(1000)),
            None => Ok(()),
        }
    }
}

/// How an entry stands to what is at the destination.
fn compared(standing: Standing, key: &Key) -> String {
    let word = match standing {
        Standing::New => "new",
        Standing::Changed => "changed",
        Standing::Attributes => "attributes",
        Standing::Identical => "identical",
        Standing::Extra => "extra",
    };
    format!("{word:<10} {}", named(key))
}

/// What was left as it is, and why.
fn left_alone(key: &Key, conflict: Conflict) -> String {
    let why = match conflict {
        Conflict::Content => "it differs",
        Conflict::Kind => "something of another kind is there",
        Conflict::Below => "what is above it is no folder",
        Conflict::Changing => "it was written to while it was compared",
        Conflict::Uncompared => "it exists, and its content cannot be compared",
        Conflict::NotOlder => "what is there is not older",
        Conflict::Kept => "it exists",
    };
    format!("left       {}: {why}", named(key))
}

/// A key for a person; the folder that was restored itself has an empty one.
pub(crate) fn named(key: &Key) -> String {
    if key.as_bytes().is_empty() { ".".to_owned() } else { key.to_string() }
}

/// One line of a connector's self-test.
#[derive(Serialize)]
#[serde(tag = "type", rename = "check")]
pub(crate) struct CheckLine {
    name: String,
    ok: bool,
    detail: String,
}

impl From<&Check> for CheckLine {
    fn from(check: &Check) -> Self {
        let detail = match &check.outcome {
            Ok(found) => found.clone(),
            Err(error) => error.message.clone(),
        };
        Self { name: check.name.clone(), ok: check.outcome.is_ok(), detail }
    }
}

impl Display for CheckLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.ok { "ok    " } else { "FAILED" };
        write!(f, "{verdict} {}: {}", printable(&self.name), printable(&self.detail))
    }
}

/// A text on one line, without characters that could make it look like another.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match deceives(character) {
            true => shown.extend(character.escape_unicode()),
            false => shown.push(character),
        }
    }
    shown
}

/// The same of a text of several lines, each of which was made here.
fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Longest text of a stranger that is shown in one place, in characters.
const BRIEF_CHARACTERS_MAX: usize = 400;

/// A stranger's text on one line, cut to a length that pushes nothing else away.
pub(crate) fn brief(text: &str) -> String {
    let mut brief = printable(&text.chars().take(BRIEF_CHARACTERS_MAX).collect::<String>());
    if text.chars().nth(BRIEF_CHARACTERS_MAX).is_some() {
        brief.push('…');
    }
    brief
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{9b}"), "a\\u{1b}[2Jb\\u{a}c\\u{9b}");
        assert_eq!(printable_lines("a\x1b\nb\u{202e}"), "a\\u{1b}\nb\\u{202e}");
        assert_eq!(brief(&"x".repeat(500)).chars().count(), 401);
    }
}
