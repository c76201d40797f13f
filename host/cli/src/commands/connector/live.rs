//! `connector test --live`: the checks against a real service, in folders of their own at a place that a person names.
//!
//! Owned here: what is said and asked before anything is written, and what is told of the end. Refused here: the checks and their cleaning (`credenza-kit`), reaching
//! the place (`credenza-app`).

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use clap::Args;
use credenza_app::shell::shell_word;
use credenza_app::{App, AppOptions, DestinationUse, Error as AppError, Given, Kind, Location, Place, StoreUse};
use credenza_connect::{Destination, Error, ErrorClass, Result as ConnectResult, Source, Store};
use credenza_kit::{CaseResult, Choice, Live, LiveRun};

use super::super::agree::agreed;
use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::settings::{SettingWord, parse_settings};

/// A test against a real service.
#[derive(Debug, Args)]
pub(crate) struct LiveTest {
    /// Test it against its real service instead, at this empty place: a location, or @name of a repository. What is written there is shown first,
    /// and removed afterwards.
    #[arg(long, value_name = "LOCATION", conflicts_with_all = ["kit", "chaos", "list"])]
    pub(super) live: Option<OsString>,
    /// A setting of that place, as key=value; may be given several times.
    #[arg(short = 'o', long = "setting", value_name = "KEY=VALUE", requires = "live")]
    settings: Vec<SettingWord>,
    /// Write there without asking.
    #[arg(long, requires = "live")]
    yes: bool,
}

/// How it ended.
pub(super) struct LiveEnd {
    pub(super) results: Vec<CaseResult>,
    /// Folders that still hold something.
    left: Vec<String>,
    place: String,
    was_stopped: bool,
}

impl LiveEnd {
    /// # Errors
    /// When something could not be removed, or the run was interrupted.
    pub(super) fn require_clean(&self) -> Result<(), Failure> {
        if let Some(folder) = self.left.first() {
            let more = self.left.len().saturating_sub(1);
            let more = if more > 0 { format!(" and {more} others") } else { String::new() };
            return Err(Failure::new(format!("what the test wrote at {} could not all be removed", self.place))
                .because(format!("the folder `{folder}`{more} still holds something"))
                .hint("remove it with the tools of the service")
                .exit(Exit::Incomplete));
        }
        if self.was_stopped { Err(Failure::interrupted()) } else { Ok(()) }
    }
}

/// The component at folders of a place.
struct Service {
    app: App,
    place: Place,
}

impl Service {
    fn at(&self, folder: &str) -> Place {
        let mut place = self.place.clone();
        if let Location::Remote { text, .. } = &mut place.location
            && !folder.is_empty()
        {
            *text = format!("{}/{folder}", text.trim_end_matches('/'));
        }
        place
    }
}

fn refused(error: AppError) -> Error {
    Error::new(ErrorClass::Configuration, "live.refused", Failure::from(error).what)
}

#[async_trait]
impl Live for Service {
    async fn source(&self, folder: &str) -> ConnectResult<Arc<dyn Source>> {
        Ok(self.app.source(&self.at(folder), None).await.map_err(refused)?.connector)
    }

    async fn store(&self, folder: &str) -> ConnectResult<Arc<dyn Store>> {
        Ok(self.app.store(&self.at(folder), StoreUse::Write).await.map_err(refused)?.connector)
    }

    async fn destination(&self, folder: &str) -> ConnectResult<Arc<dyn Destination>> {
        let destination = self.app.destination(&self.at(folder), DestinationUse::WriteHistory).await;
        Ok(destination.map_err(refused)?.connector)
    }
}

impl LiveTest {
    /// Tests a component at a place, once the person has agreed.
    ///
    /// # Errors
    /// When it cannot be reached, is not empty, or nobody agreed.
    pub(super) async fn run(
        &self,
        file: &Path,
        location: &OsStr,
        choice: &Choice,
        session: &Session<'_>,
    ) -> Result<LiveEnd, Failure> {
        // Whoever names the file and agrees lets it run, this once.
        let connector = Some(Given { path: path_word(file).into(), allow_unpinned: true });
        let options = AppOptions { connector, ..AppOptions::from_environment() };
        let app = App::new(options).with_notices(Arc::clone(session.reporter) as _);
        let component = app.connectors().named(&path_word(file))?;
        let place = app.place(Kind::Repository, location, parse_settings(&self.settings)?)?;
        let serves = match &place.location {
            Location::Remote { scheme, .. } => component.manifest.schemes.contains(scheme),
            _ => false,
        };
        if !serves {
            return Err(Failure::usage(format!("{} does not serve {}", file.display(), place.text())).hint(format!(
                "see which locations it serves: credenza connector inspect {}",
                shell_word(&path_word(file))
            )));
        }
        let text = place.text();
        let service = Arc::new(Service { app, place });
        let prefix = format!("credenza-kit-{}", choice.seed);
        let run = LiveRun::new(service, &component.manifest.roles, prefix.clone()).ok_or_else(|| {
            Failure::usage(format!("{} cannot be tested against its service", file.display()))
                .because("it has no role `store`, and nothing else removes what a test writes")
                .hint(format!("test it against a stand-in: credenza connector test {}", shell_word(&path_word(file))))
        })?;
        self.agree(&run, &text, &prefix, session).await?;
        let is_empty = run.is_empty().await;
        if !is_empty.map_err(|error| Failure::of_connector(format!("looking at {text}"), &error))? {
            return Err(Failure::usage(format!("{text} is not empty, and nothing was written there"))
                .hint("name a folder or bucket that holds nothing"));
        }
        let stop = session.stop.clone();
        let _heeding = session.stop.heeding();
        let (results, left) = run.run(choice, stop.requested()).await;
        Ok(LiveEnd { results, left, place: text, was_stopped: stop.is_requested() })
    }

    async fn agree(&self, run: &LiveRun, place: &str, prefix: &str, session: &Session<'_>) -> Result<(), Failure> {
        let roles: Vec<&str> = run.roles().iter().map(|role| role.name()).collect();
        session.reporter.note(format!(
            "the component is run against {place}, as {}\nit writes up to 6,000 objects and 60 MB there, in folders named {prefix}-1, {prefix}-2 and so on\nand removes them; requests and storage may be paid for",
            roles.join(", ")
        ));
        if self.yes {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::usage("nobody is there to agree to what is written").hint("to agree, add --yes"));
        }
        match agreed("do you agree?").await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::new("nothing was written: you did not agree")),
            Err(error) => Err(Failure::new("no answer could be read").because(error.to_string())),
        }
    }

    /// The command that does the same once more; settings may be secret, and are not repeated.
    pub(super) fn again(&self, file: &Path, location: &OsStr) -> String {
        let settings = if self.settings.is_empty() { "" } else { " -o …" };
        let location = shell_word(&location.to_string_lossy());
        format!("credenza connector test {} --live {location}{settings} --yes", shell_word(&path_word(file)))
    }
}

/// A path as the program reads it where a name could stand, too.
fn path_word(file: &Path) -> String {
    let text = file.to_string_lossy().into_owned();
    if text.contains('/') { text } else { format!("./{text}") }
}
