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

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use credenza_app::{Notice, Notices};
use credenza_connect::Check;
use credenza_engine::{Damage, Event, Listener};
use credenza_sandbox::deceives;
use serde::Serialize;

pub(crate) use entry::{EntryDetails, EntryLine};

use self::progress::Progress;
use crate::failure::{Exit, Failure};
use crate::globals::Globals;
use crate::shell::label_word;

/// Prints.
pub(crate) struct Reporter {
    json: bool,
    quiet: bool,
    out: Mutex<BufWriter<Stdout>>,
    /// Whether anything was printed for which the command was run.
    was_asked: AtomicBool,
    progress: Progress,
    /// Whether damage was told that the command went on despite.
    damaged: AtomicBool,
    /// What a person was told already; as many as a command opens places, and a few.
    noticed: Mutex<Vec<Notice>>,
}

impl Reporter {
    pub(crate) fn new(globals: &Globals) -> Self {
        let drawn = !globals.json && !globals.quiet && !globals.no_progress && io::stderr().is_terminal();
        Self {
            json: globals.json,
            quiet: globals.quiet,
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

    fn go_on(&self, damages: &[Damage], mend: &str) {
        for damage in damages {
            self.damaged.store(true, Relaxed);
            self.say(format!("credenza: {damage}\nhint: mend it: {mend}"));
        }
    }

    /// What was told by [`despite`](Self::despite) is mended.
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

    /// Bytes of a result that is no list of lines.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.was_asked.store(true, Relaxed);
        self.out().write_all(bytes)
    }

    fn line(&self, line: &(impl Serialize + Display)) -> io::Result<()> {
        self.progress.suspend(|| {
            let mut out = self.out();
            if self.json {
                serde_json::to_writer(&mut *out, line)?;
                return out.write_all(b"\n");
            }
            writeln!(out, "{line}")
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
    fn failure(&self, failure: &Failure) {
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

    fn out(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each is said once.
impl Notices for Reporter {
    fn notice(&self, notice: Notice) {
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
                self.note(format!("connectors are compiled anew at every start: {why}"));
            }
            Notice::Proxy { server, proxy } => {
                self.note(format!("requests to {server} go through the proxy {proxy}"));
            }
            Notice::ConfigurationReadable { path } => {
                let path = path.display();
                self.note(format!("warning: other users can read {path}; close it: chmod 600 {path}"));
            }
            Notice::NotRemembered { location, why } => self.note(format!(
                "note: what is at {location} is not remembered, so that another repository in its place would go unnoticed: {why}"
            )),
            Notice::OpenedDespite { place, damages } => self.despite(&damages, &label_word(&place)),
        }
    }
}

impl Listener for Reporter {
    fn on(&self, event: Event) {
        match event {
            Event::Phase(phase) => self.progress.begin(phase),
            Event::Expected { bytes, .. } => self.progress.expect(bytes),
            Event::Progress { entries, bytes } => self.progress.advance(entries, bytes),
            Event::EntryFailed { key, reason } => {
                let line = EntryFailed { key: JsonKey(&key), reason: &reason };
                if self.json { self.done(&line) } else { self.say(&line) }
            }
            Event::Damage(_) | Event::Committed(_) => {}
        }
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

/// A key for JSON: a text, or an object's `key_base64` when it is not UTF-8. To be flattened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonKey<'a>(pub(crate) &'a credenza_model::Key);

impl Serialize for JsonKey<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::prelude::{BASE64_STANDARD, Engine};
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1))?;
        match self.0.as_str() {
            Some(text) => map.serialize_entry("key", text)?,
            None => map.serialize_entry("key_base64", &BASE64_STANDARD.encode(self.0.as_bytes()))?,
        }
        map.end()
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

/// An entry that could not be read or written.
#[derive(Serialize)]
#[serde(tag = "type", rename = "entry_failed")]
struct EntryFailed<'a> {
    #[serde(flatten)]
    key: JsonKey<'a>,
    reason: &'a str,
}

impl Display for EntryFailed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key.0, self.reason)
    }
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
    let escape = |c: char| if deceives(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
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
    use credenza_model::Key;

    #[test]
    fn a_key_that_is_not_utf_8_comes_as_base64_and_type_comes_first() {
        let line = |key: &[u8]| {
            let key = Key::new(key);
            serde_json::to_string(&EntryFailed { key: JsonKey(&key), reason: "r" }).unwrap()
        };
        assert_eq!(line(b"a\"b"), r#"{"type":"entry_failed","key":"a\"b","reason":"r"}"#);
        assert_eq!(line(b"\xff"), r#"{"type":"entry_failed","key_base64":"/w==","reason":"r"}"#);
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{9b}"), "a\\u{1b}[2Jb\\u{a}c\\u{9b}");
        assert_eq!(printable_lines("a\x1b\nb\u{202e}"), "a\\u{1b}\nb\\u{202e}");
        assert_eq!(brief(&"x".repeat(500)).chars().count(), 401);
    }
}
