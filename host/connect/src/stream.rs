//! A stream as something to back up: one file whose content is what standard input or a command gives.
//!
//! Owned here: that the stream is read once, in constant memory, and that a command which fails leaves nothing that passes for whole. Refused here:
//! which command, and what it inherits (`app`). Called by the engine as any source.
//!
//! The file has neither size nor times, so that equal streams make equal snapshots; its mode lets nobody but the owner read it, for it may hold all of
//! a database. A stream cannot be read again: whoever would begin again ends instead (the trait `once`).

use std::fmt;
use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use credenza_model::{Attribute, AttributeValue, Entry, EntryKind, Key, Timestamp};

use crate::{
    Batch, Body, ByteRange, Check, Error, ErrorClass, Found, Opened, ProcessGroup, Result, ScanOptions, Scanner,
    Source, SourceDocument, SourceInfo, ability,
};

/// Readable for the owner alone.
const MODE: i64 = 0o600;
/// How often one looks whether a command has ended that was asked to.
const LOOK: Duration = Duration::from_millis(20);

/// One file with the content of a stream.
pub struct StreamSource {
    name: Key,
    host: String,
    input: Mutex<Option<Input>>,
    /// The command while it runs.
    running: Arc<Running>,
}

/// Where the bytes come from.
enum Input {
    Reader(Box<dyn Read + Send>),
    /// Started when it is read.
    Command(Box<Command>),
}

impl fmt::Debug for StreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSource").field("name", &self.name).field("host", &self.host).finish_non_exhaustive()
    }
}

impl StreamSource {
    /// What a reader gives, as a file of that name on that machine.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`] where the name is not that of a file in a folder.
    pub fn of_reader(name: &[u8], host: String, reader: impl Read + Send + 'static) -> Result<Self> {
        Self::new(name, host, Input::Reader(Box::new(reader)))
    }

    /// What a command writes to its standard output. It is started when the file is read, with nothing on its standard input, and is ended with
    /// the source; one that leads a process group is ended with all of that, and asked first (SIGTERM).
    ///
    /// # Errors
    /// As of [`of_reader`](Self::of_reader).
    pub fn of_command(name: &[u8], host: String, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self::new(name, host, Input::Command(Box::new(command)))
    }

    fn new(name: &[u8], host: String, input: Input) -> Result<Self> {
        let is_plain = !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0));
        let name = Key::new(name);
        if !is_plain {
            return Err(failed("name", format!("`{name}` is no name for a file: it must be one without slashes")));
        }
        Ok(Self { name, host, input: Mutex::new(Some(input)), running: Arc::default() })
    }

    fn entry(&self) -> Entry {
        let mut entry = Entry::new(self.name.clone(), EntryKind::File);
        entry.attributes = vec![("posix.mode".to_owned(), AttributeValue::Integer(MODE))];
        entry
    }
}

/// All that fails here fails the run: there is no other entry to go on with.
fn failed(reason: &str, message: String) -> Error {
    Error::new(ErrorClass::Configuration, format!("stream.{reason}"), message)
}

/// A command that was started, until it was waited for.
#[derive(Default)]
struct Running(Mutex<Option<Child>>);

impl Running {
    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody reads on: the command need not either. One that has closed its output and is waited for by its reader is left to that.
impl Drop for StreamSource {
    fn drop(&mut self) {
        if let Ok(mut running) = self.running.0.try_lock()
            && let Some(child) = running.take()
        {
            end(child);
        }
    }
}

/// Ends a command, and what it started where it leads a group of its own. Any of them may have ended by itself.
fn end(mut child: Child) {
    if let Some(group) = ProcessGroup::led_by(&child) {
        group.end(|grace| {
            let began = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && began.elapsed() < grace {
                thread::sleep(LOOK);
            }
        });
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The output of a command, and behind it the error if the command failed.
struct Output {
    name: String,
    bytes: ChildStdout,
    running: Arc<Running>,
    /// All came, and the command ended well.
    is_whole: bool,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer).map_err(|cause| self.broken(&cause));
        if self.is_whole || buffer.is_empty() || !matches!(read, Ok(0)) {
            return read;
        }
        // A child that was taken meanwhile was ended with the source.
        let mut running = self.running.lock();
        let status = running.as_mut().map(Child::wait).transpose().map_err(|cause| self.broken(&cause))?;
        running.take();
        match status {
            Some(status) if status.success() => {
                drop(running);
                self.is_whole = true;
                Ok(0)
            }
            Some(status) => Err(self.broken(&status)),
            None => Err(self.broken(&"it was ended")),
        }
    }
}

impl Output {
    fn broken(&self, cause: &dyn fmt::Display) -> io::Error {
        let message = format!("the command `{}` failed ({cause}), so that what it wrote may not be whole", self.name);
        io::Error::other(failed("command", message))
    }
}

/// A reader whose errors are those of a stream.
struct Stream<R>(R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|cause| match cause.kind() {
            io::ErrorKind::Interrupted => cause,
            _ => io::Error::other(failed("read", format!("the stream broke off: {cause}"))),
        })
    }
}

#[async_trait]
impl Source for StreamSource {
    async fn info(&self) -> Result<SourceInfo> {
        Ok(SourceInfo {
            identity: format!("stream://{}/{}", self.host, self.name),
            namespace: ability::TREE.to_owned(),
            traits: [ability::ORDERED_SCAN, ability::COMPLETE_SCAN, ability::ONCE].map(str::to_owned).to_vec(),
        })
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// Nothing: a look at the stream would take from it.
    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let key = self.name.as_bytes();
        let is_wanted = key.starts_with(&options.prefix)
            && options.start_after.as_ref().is_none_or(|after| key > after.as_slice())
            && !options.excludes.name(key);
        Ok(Box::new(One(is_wanted.then(|| self.entry()))))
    }

    /// # Errors
    /// [`ErrorClass::Configuration`] where it was read before, or the command cannot be started.
    async fn read(&self, entry: &Entry, range: Option<ByteRange>, _: Option<&str>) -> Result<Opened> {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        let body = match input.filter(|_| entry.key == self.name && range.is_none()) {
            None => return Err(failed("again", "a stream can be read once only, as a whole".to_owned())),
            Some(Input::Reader(reader)) => Body::from_reader(None, Stream(reader)),
            Some(Input::Command(command)) => Body::from_reader(None, self.start(*command)?),
        };
        Ok(Opened { entry: self.entry(), body })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        Ok(entries.iter().map(|_| Ok(Vec::new())).collect())
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        Ok(Vec::new())
    }
}

impl StreamSource {
    fn start(&self, mut command: Command) -> Result<Output> {
        let name = Key::new(command.get_program().as_encoded_bytes()).to_string();
        let unstarted =
            |cause: &dyn fmt::Display| failed("start", format!("the command `{name}` cannot be started: {cause}"));
        let mut child = command.spawn().map_err(|cause| unstarted(&cause))?;
        let bytes = child.stdout.take();
        *self.running.lock() = Some(child);
        let bytes = bytes.ok_or_else(|| unstarted(&"it has no output"))?;
        Ok(Output { name, bytes, running: Arc::clone(&self.running), is_whole: false })
    }
}

/// The one entry, until it is reported.
struct One(Option<Entry>);

#[async_trait]
impl Scanner for One {
    async fn next(&mut self, _: usize) -> Result<Batch> {
        Ok(Batch { found: self.0.take().map(Found::Entry).into_iter().collect(), more: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> StreamSource {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        StreamSource::of_command(b"dump", "h".to_owned(), command).unwrap()
    }

    async fn opened(source: &StreamSource) -> Result<Opened> {
        let mut scanner = source.scan(&ScanOptions::default()).await?;
        let found = scanner.next(10).await?.found;
        let [Found::Entry(entry)] = &found[..] else { panic!("{found:?}") };
        source.read(entry, None, None).await
    }

    async fn read(source: &StreamSource) -> Result<String> {
        let bytes = opened(source).await?.body.read_all(1 << 20).await?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_stream_is_one_file_that_is_read_once() {
        let source = StreamSource::of_reader(b"dump.sql", "h".to_owned(), &b"rows"[..]).unwrap();
        assert_eq!(source.info().await.unwrap().identity, "stream://h/dump.sql");
        assert_eq!(read(&source).await.unwrap(), "rows");
        let again = read(&source).await.unwrap_err();
        assert_eq!((again.class, again.reason.as_str()), (ErrorClass::Configuration, "stream.again"));
    }

    #[tokio::test]
    async fn a_command_is_whole_only_if_it_ends_well() {
        assert_eq!(read(&shell("echo whole")).await.unwrap(), "whole\n");
        for (script, said) in [("echo part; exit 3", "exit status: 3"), ("echo part; kill -9 $$", "signal: 9")] {
            let failed = read(&shell(script)).await.unwrap_err();
            assert_eq!(failed.class, ErrorClass::Configuration);
            assert!(failed.message.contains(said), "{}", failed.message);
        }
        let missing = StreamSource::of_command(b"x", String::new(), Command::new("/nowhere/at-all")).unwrap();
        let failed = read(&missing).await.unwrap_err();
        assert!(failed.message.contains("`/nowhere/at-all` cannot be started"), "{}", failed.message);
    }

    #[tokio::test]
    async fn a_command_whose_source_goes_is_ended() {
        let source = shell("echo $$; exec sleep 1000");
        let opened = opened(&source).await.unwrap();
        let crate::BodyReader::Blocking(mut reader) = opened.body.reader else { panic!("a local body") };
        let mut line = [0; 32];
        let length = reader.read(&mut line).unwrap();
        let process = String::from_utf8_lossy(&line[..length]).trim().to_owned();
        assert!(std::path::Path::new(&format!("/proc/{process}")).exists());
        drop(source);
        assert!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "it was killed and waited for");
        assert!(reader.read(&mut line).is_err(), "what broke off does not pass for whole");
    }

    #[tokio::test]
    async fn what_a_command_started_is_ended_with_its_group() {
        use std::os::unix::process::CommandExt;

        let mut command = Command::new("/bin/sh");
        command.args(["-c", "(sleep 300; echo late) & echo begun; wait"]).process_group(0);
        let source = StreamSource::of_command(b"dump", "h".to_owned(), command).unwrap();
        let opened = opened(&source).await.unwrap();
        let crate::BodyReader::Blocking(mut reader) = opened.body.reader else { panic!("a local body") };
        let mut line = [0; 32];
        let length = reader.read(&mut line).unwrap();
        assert_eq!(&line[..length], b"begun\n");
        drop(source);
        // The output ends when nobody is left who could write to it.
        assert!(reader.read(&mut line).is_err(), "what it started lived on");
    }

    #[test]
    fn a_name_is_that_of_one_file() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/a", b"a\0"] {
            assert!(StreamSource::of_reader(name, String::new(), io::empty()).is_err(), "{name:?}");
        }
    }
}
