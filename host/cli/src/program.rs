//! The way from a command line to an exit code: what is understood is run, until it is done or the program is asked to end.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory;
use credenza_app::Kind;
use credenza_engine::Stop;

use crate::arguments::{self, Arguments, Command, ConfigCommand, Invocation};
use crate::commands::{Session, spending};
use crate::failure::{Exit, Failure};
use crate::globals::Globals;
use crate::interrupt;
use crate::report::{Reporter, Unheard};
use crate::settings::parse_settings;

/// How long threads that still wait for a disk or a server may hold up the end of the program.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long a run that is interrupted may take to end in good order: a backup has five packs on their way at most, 112 MiB.
const CLEARANCE: Duration = Duration::from_mins(1);

/// Runs one command line, program name included.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    let invocation = match arguments::parse(words) {
        Ok(invocation) => invocation,
        Err(answer) => {
            // Where not even this can be printed there is nobody to tell.
            let _ = answer.print();
            return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    let reporter = Arc::new(Reporter::new(&invocation.arguments.globals));
    listen_to_logs(&invocation.arguments.globals);
    let went = execute(invocation, &reporter);
    ExitCode::from(reporter.close(went) as u8)
}

fn execute(invocation: Invocation, reporter: &Arc<Reporter>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("no threads can be started").because(error.to_string()))?;
    let done = runtime.block_on(until_interrupted(invocation, reporter));
    runtime.shutdown_timeout(FAREWELL);
    done
}

/// Every store is sound wherever a run is dropped. One that has something to put in order does that first, unless it is interrupted once more.
async fn until_interrupted(invocation: Invocation, reporter: &Arc<Reporter>) -> Result<Exit, Failure> {
    let stop = Stop::default();
    // A daemon reads its file again then.
    let hangup_ends = !matches!(invocation.arguments.command, Command::Daemon(_));
    let mut work = std::pin::pin!(dispatch(invocation, reporter, stop.clone()));
    tokio::select! {
        done = &mut work => return done,
        () = interrupt::requested(hangup_ends) => stop.request(),
    }
    if stop.is_heeded() {
        reporter.note(format!(
            "interrupted: ending in good order, for {} s at most; interrupt once more to end at once",
            CLEARANCE.as_secs()
        ));
        tokio::select! {
            ended = tokio::time::timeout(CLEARANCE, work) => {
                // Where the request came too late, the command has done its work.
                if let Ok(Ok(exit)) = ended {
                    return Ok(exit);
                }
            }
            () = interrupt::requested(hangup_ends) => {}
        }
    }
    Err(Failure::interrupted())
}

async fn dispatch(invocation: Invocation, reporter: &Arc<Reporter>, stop: Stop) -> Result<Exit, Failure> {
    let Invocation { repository, arguments } = invocation;
    let settings = parse_settings(&arguments.settings)?;
    let session = Session::new(arguments.globals, repository, settings, reporter, stop);
    let session = session.within(arguments.command.budget());
    let done = perform(arguments.command, &session).await.map_err(|failure| spending::ended(failure, &session));
    session.tell_healed().await;
    done.map_err(|failure| failure.of_repository(session.at_repository().as_deref()))
}

async fn perform(command: Command, session: &Session<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Config(ConfigCommand::Repository(command)) | Command::Repository(command) => {
            command.run(session).await
        }
        Command::Config(ConfigCommand::Source(command)) | Command::Source(command) => {
            command.run(Kind::Source, session).await
        }
        Command::Config(ConfigCommand::Destination(command)) | Command::Destination(command) => {
            command.run(Kind::Destination, session).await
        }
        Command::Create(command) => command.run(session).await,
        Command::Backup(command) => command.run(session).await,
        Command::Ls(command) => command.run(session).await,
        Command::Cat(command) => command.run(session).await,
        Command::Info(command) => command.run(session).await,
        Command::Diff(command) => command.run(session).await,
        Command::Find(command) => command.run(session).await,
        Command::History(command) => command.run(session).await,
        Command::Dump(command) => command.run(session).await,
        Command::Digest(command) => command.run(session).await,
        Command::Browse(command) => command.run(session).await,
        Command::Restore(command) => command.run(session).await,
        Command::Check(command) => command.run(session).await,
        Command::Audit(command) => command.run(session).await,
        Command::Repair(command) => command.run(session).await,
        Command::Tag(command) => command.run(session).await,
        Command::Merge(command) => command.run(session).await,
        Command::Rm(command) => command.run(session).await,
        Command::Prune(command) => command.run(session).await,
        Command::Policy(command) => command.run(session).await,
        Command::Promote(command) => command.run(session).await,
        Command::Maintain(command) => command.run(session).await,
        Command::Key(command) => command.run(session).await,
        Command::Sync(command) => command.run(session).await,
        Command::Replicate(command) => command.run(session).await,
        Command::Connector(command) => command.run(session).await,
        Command::Login(command) => command.run(session).await,
        Command::Mount(command) => command.run(session).await,
        Command::Serve(command) => command.run(session).await,
        Command::Ui(command) => command.run(session).await,
        Command::Jobs(command) => command.run(session, arguments::shareable).await,
        Command::Daemon(command) => command.run(session).await,
        Command::Mirror(command) => command.run(session).await,
        Command::Bootstrap(command) => command.run(session).await,
        Command::Promises(command) => command.run(session).await,
        Command::Man(command) => command.run(Arguments::command()),
        Command::Completions(command) => command.run(Arguments::command(), session),
    }
}

/// Log lines of the libraries and of connectors go to standard error.
fn listen_to_logs(globals: &Globals) {
    let level = match (globals.quiet, globals.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::new(format!(
        "error,credenza={level},credenza_app={level},credenza_sandbox={level},credenza_connect={level},credenza_engine={level}"
    ));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Unheard)
        .log_internal_errors(false)
        .with_ansi(false)
        .without_time()
        .with_target(false);
    subscriber.init();
}
