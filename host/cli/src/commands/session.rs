//! What every command has at hand: the global options, the configuration, the connectors, the printer, and the way to
//! the repository.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use credenza_engine::{Error as EngineError, Listener, ObjectCache, Repository, RunContext, Secret, Stop};

use crate::arguments::Globals;
use crate::configuration::{Configuration, ConfigurationError, Kind, Known, KnownRepository, Settings, Whereabouts};
use crate::connectors::Connectors;
use crate::environment;
use crate::failure::{Exit, Failure};
use crate::location::Location;
use crate::open::{Opened, Opener, StoreUse};
use crate::passphrase;
use crate::place::{self, Place};
use crate::report::Reporter;
use crate::secret;

/// Copies of small objects of remote repositories; a repository of 10⁸ chunks has an index of some 5 GB.
const CACHE_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// The setting that says which repository is meant.
const REPOSITORY_ID: &str = "repository_id";

/// One run of the program.
pub(crate) struct Session<'a> {
    pub(crate) globals: Globals,
    pub(crate) reporter: &'a Arc<Reporter>,
    /// Asked for when the program is to end: what can end in good order does.
    pub(crate) stop: Stop,
    /// What stands behind `at`.
    at: Option<OsString>,
    /// The `-o` before the command.
    settings: Settings,
    /// Repositories that were opened, and their places.
    opened: RefCell<Vec<(Repository, String)>>,
}

/// A repository, opened, and the store below it.
pub(crate) struct OpenRepository {
    pub(crate) repository: Repository,
    pub(crate) place: Place,
    pub(crate) store: Opened<dyn credenza_connect::Store>,
    /// What opened it.
    pub(crate) secret: Secret,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        globals: Globals,
        at: Option<OsString>,
        settings: Settings,
        reporter: &'a Arc<Reporter>,
        stop: Stop,
    ) -> Self {
        Self { globals, reporter, stop, at, settings, opened: RefCell::default() }
    }

    /// What a long operation of the engine takes: the reporter hears of it, and it ends when the program is to end.
    pub(crate) fn run_context(&self) -> RunContext {
        RunContext { events: Arc::clone(self.reporter) as Arc<dyn Listener>, stop: self.stop.clone() }
    }

    /// Tells which packs were damaged and read by their parity, unless the command has told it.
    pub(super) fn tell_healed(&self) {
        for (repository, place) in &*self.opened.borrow() {
            self.reporter.healed(&repository.take_healed(), place);
        }
    }

    /// The folder of the configuration.
    pub(crate) fn configuration_folder(&self) -> Result<PathBuf, Failure> {
        Ok(environment::config_folder().ok_or(ConfigurationError::NoFolder)?)
    }

    /// The configuration; empty where there is no folder for one.
    pub(crate) fn configuration(&self) -> Result<Configuration, Failure> {
        let Some(folder) = environment::config_folder() else { return Ok(Configuration::default()) };
        let configuration = Configuration::read(&folder)?;
        if configuration.is_readable_by_others() {
            let path = configuration.path().display();
            self.reporter.note(format!("warning: other users can read {path}; close it: chmod 600 {path}"));
        }
        Ok(configuration)
    }

    /// The components at hand.
    pub(crate) fn connectors(&self) -> Connectors {
        Connectors::new(self.globals.connector.clone(), environment::config_folder().as_deref())
    }

    /// The place of the repository alone, with every `-o` of the command line.
    pub(crate) fn repository_place(&self) -> Result<Place, Failure> {
        let configuration = self.configuration()?;
        let word = place::repository_word(self.at.as_deref(), &configuration)?;
        Place::resolve(Kind::Repository, &word, self.settings.clone(), &configuration)
    }

    /// The places of the repository and of another location that the command names, each with the `-o` that belong to it.
    pub(crate) fn places(
        &self,
        kind: Kind,
        word: &std::ffi::OsStr,
        behind: Settings,
    ) -> Result<(Place, Place), Failure> {
        let configuration = self.configuration()?;
        let repository = place::repository_word(self.at.as_deref(), &configuration)?;
        let mut repository = Place::resolve(Kind::Repository, &repository, Settings::new(), &configuration)?;
        let mut other = Place::resolve(kind, word, Settings::new(), &configuration)?;
        place::deal_settings(self.settings.clone(), behind, &mut repository, Some((kind, &mut other)));
        Ok((repository, other))
    }

    /// A location that the command names, where no repository is involved.
    pub(crate) fn lone_place(&self, kind: Kind, word: &std::ffi::OsStr, behind: Settings) -> Result<Place, Failure> {
        let mut settings = self.settings.clone();
        settings.extend(behind);
        Place::resolve(kind, word, settings, &self.configuration()?)
    }

    /// Opens the repository at a place; asks for the passphrase when none is provided and a person is there.
    pub(crate) async fn open_repository(
        &self,
        opener: &Opener<'_>,
        place: Place,
        purpose: StoreUse,
    ) -> Result<OpenRepository, Failure> {
        let provided = secret::provided(&self.globals, &place.settings)?;
        self.recognised(self.open_with(opener, place, purpose, provided, false).await?)
    }

    /// Opens a further repository that the command names, with a secret of its own; one in plain text only with leave, for the
    /// secret of the environment may be meant for the first repository alone.
    pub(crate) async fn open_other(
        &self,
        opener: &Opener<'_>,
        place: Place,
        purpose: StoreUse,
        allow_plaintext: bool,
    ) -> Result<OpenRepository, Failure> {
        let provided = secret::provided_for_other(&place.settings)?;
        self.recognised(self.open_with(opener, place, purpose, provided, allow_plaintext).await?)
    }

    /// Whether a secret for the repository is provided, so that nobody need be asked.
    pub(crate) fn has_secret(&self, place: &Place) -> Result<bool, Failure> {
        Ok(!matches!(secret::provided(&self.globals, &place.settings)?, Secret::None))
    }

    /// Opens the repository of the command for reading.
    pub(crate) async fn open_for_reading(&self) -> Result<OpenRepository, Failure> {
        self.open_for(StoreUse::Read).await
    }

    /// Opens the repository of the command for changing what it holds.
    pub(crate) async fn open_for_writing(&self) -> Result<OpenRepository, Failure> {
        self.open_for(StoreUse::Write).await
    }

    /// Refuses what is not the repository that the location was before; one that is new here is remembered. One without encryption is only
    /// remembered when somebody says that it is meant (`create`, `backup --plaintext`).
    fn recognised(&self, open: OpenRepository) -> Result<OpenRepository, Failure> {
        // What stood in for something else is told.
        self.reporter.despite(open.repository.opened_despite(), &open.place.word());
        self.opened.borrow_mut().push((open.repository.clone(), open.place.word()));
        let found = known_as(&open.repository);
        if let Some(pinned) = open.place.settings.get(REPOSITORY_ID).filter(|id| **id != found.id) {
            let was = format!("its setting {REPOSITORY_ID} says that it is {pinned}");
            let way = match open.place.name() {
                Some(name) => format!("credenza repository set {name} {REPOSITORY_ID} {}", found.id),
                None => format!("credenza -o {REPOSITORY_ID}={} at {} ls", found.id, open.place.word()),
            };
            return Err(swapped(&open.place, &was, &found, &way));
        }
        let server = open.store.server.as_deref();
        let known = self.known(&open.place, server)?;
        // Whoever says which one is meant has several that take turns there.
        let is_told = open.place.settings.contains_key(REPOSITORY_ID);
        match Recognition::of(&found, &known, is_told) {
            Recognition::Known => {}
            Recognition::Swapped => {
                let were: Vec<String> = known.iter().map(described).collect();
                let was = format!("this machine knows it as {}", were.join(" or "));
                let word = open.place.word();
                let mut way = format!("credenza repository forget {word}");
                if Recognition::of(&found, &known, true) == Recognition::Another {
                    way.push_str(&format!(
                        "; if several take turns there, as disks do, take this one beside the others: credenza -o {REPOSITORY_ID}={} at {word} ls",
                        found.id
                    ));
                }
                return Err(swapped(&open.place, &was, &found, &way));
            }
            Recognition::New => {
                if found.encrypted {
                    self.remember(&open.place, server, &found, false);
                }
            }
            Recognition::Another => self.remember(&open.place, server, &found, true),
        }
        Ok(open)
    }

    /// What may be at the place of a repository: what was there when it was first used here.
    pub(super) fn known(&self, place: &Place, server: Option<&str>) -> Result<Vec<KnownRepository>, Failure> {
        let Some(folder) = environment::config_folder() else { return Ok(Vec::new()) };
        Ok(Known::read(&folder)?.get(Whereabouts { location: &place.text(), server })?)
    }

    /// Remembers what is at a place now, instead of what was there or beside it. Where that cannot be kept the next use knows nothing of it,
    /// which is no reason to stop.
    pub(super) fn remember(&self, place: &Place, server: Option<&str>, repository: &KnownRepository, is_beside: bool) {
        let location = place.text();
        let whereabouts = Whereabouts { location: &location, server };
        let kept = self
            .configuration_folder()
            .and_then(|folder| Ok(Known::remember(&folder, whereabouts, repository, is_beside)?));
        if let Err(failure) = kept {
            let why = failure.why.map_or_else(String::new, |why| format!(": {why}"));
            let what = "so that another repository in its place would go unnoticed";
            self.reporter.note(format!("note: what is at {location} is not remembered, {what}: {}{why}", failure.what));
        }
    }

    async fn open_for(&self, purpose: StoreUse) -> Result<OpenRepository, Failure> {
        let connectors = self.connectors();
        self.open_repository(&Opener::new(&connectors, self.reporter), self.repository_place()?, purpose).await
    }

    async fn open_with(
        &self,
        opener: &Opener<'_>,
        place: Place,
        purpose: StoreUse,
        mut secret: Secret,
        allow_plaintext: bool,
    ) -> Result<OpenRepository, Failure> {
        let store = opener.store(&place, purpose).await?;
        let cache = cache_for(&place);
        let open = |secret: Secret| {
            let (connector, cache) = (std::sync::Arc::clone(&store.connector), cache.clone());
            async move { Repository::open(connector, &secret, cache.as_ref()).await }
        };
        let mut repository = open(secret.clone()).await;
        if matches!(repository, Err(EngineError::SecretMissing)) && passphrase::can_ask() {
            secret = Secret::Passphrase(passphrase::ask(&place.text()).await?);
            repository = open(secret.clone()).await;
        }
        if matches!(repository, Err(EngineError::NotEncrypted)) && allow_plaintext {
            secret = Secret::None;
            repository = open(Secret::None).await;
        }
        let repository = repository.map_err(|error| self.missed(explain(error, &place), &place))?;
        Ok(OpenRepository { repository, place, store, secret })
    }

    /// The failure to find a repository, where one was: a disk that is not there must not lead to a new one.
    fn missed(&self, failure: Failure, place: &Place) -> Failure {
        let was = || Known::read(&environment::config_folder()?).ok()?.at_location(&place.text()).ok();
        let was: Vec<KnownRepository> = match failure.exit {
            Exit::NoRepository => was().unwrap_or_default(),
            _ => Vec::new(),
        };
        let Some(was) = was.first() else { return failure };
        failure.because(format!("this machine knows one there: {}", described(was))).hint(format!(
            "see that its disk is mounted, or that it is the right server and bucket; only if it is gone for good, make a new one: credenza at {} create",
            place.word()
        ))
    }
}

/// What a repository is to this machine.
#[derive(Debug, PartialEq, Eq)]
enum Recognition {
    Known,
    /// Nothing was known of its place.
    New,
    /// Meant, beside those that are known.
    Another,
    /// Something else in their place.
    Swapped,
}

impl Recognition {
    /// One without encryption is never taken beside others, nor one that has the id of one that is known and not its owner: anybody can make
    /// either.
    fn of(found: &KnownRepository, known: &[KnownRepository], is_told: bool) -> Self {
        let is_other = |known: &KnownRepository| known.encrypted && known.id != found.id;
        match known {
            [] => Self::New,
            known if known.contains(found) => Self::Known,
            known if is_told && found.encrypted && known.iter().all(is_other) => Self::Another,
            _ => Self::Swapped,
        }
    }
}

/// What tells a repository from every other.
pub(super) fn known_as(repository: &Repository) -> KnownRepository {
    let config = repository.config();
    KnownRepository {
        id: config.repository.to_string(),
        owner: repository.owner().to_string(),
        encrypted: config.suite.encrypts(),
    }
}

fn described(repository: &KnownRepository) -> String {
    let kind = if repository.encrypted { "encrypted" } else { "not encrypted" };
    format!("{} ({kind})", repository.id)
}

/// `way` is the command of somebody who has put it there.
fn swapped(place: &Place, was: &str, found: &KnownRepository, way: &str) -> Failure {
    Failure::new(format!("what is at {} is not the repository that was there before", place.text()))
        .because(format!("{was}, and it is {} now", described(found)))
        .exit(Exit::WrongPassphrase)
        .hint(format!(
            "somebody may have put it there to read what you back up: do not trust it unless you know better. If it was you who put it in the place of the other: {way}"
        ))
}

/// Remote repositories have a cache of small objects; a folder is as near as its cache would be.
fn cache_for(place: &Place) -> Option<ObjectCache> {
    let remote = matches!(place.location, Location::Remote { .. });
    let folder = environment::cache_folder().filter(|_| remote)?;
    Some(ObjectCache::new(folder.join("objects"), CACHE_BYTES_MAX))
}

/// The place as the user wrote it says more than the store's own name; a missing folder is a missing repository.
pub(super) fn explain(error: EngineError, place: &Place) -> Failure {
    let no_folder = matches!(&error, EngineError::Connector { cause, .. } if cause.reason == "file.no-root");
    let failure = Failure::from(error);
    if no_folder || failure.exit == Exit::NoRepository {
        let what = format!("there is no repository in {}", place.text());
        return Failure::new(what)
            .exit(Exit::NoRepository)
            .hint(format!("make one: credenza at {} create", place.word()));
    }
    failure.of_repository(&place.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_told_takes_another_repository_and_no_forgery_of_a_known_one() {
        let repository = |id: &str, owner: &str, encrypted| KnownRepository {
            id: id.to_owned(),
            owner: owner.to_owned(),
            encrypted,
        };
        let known = [repository("a", "me", true)];
        for (found, is_told, outcome) in [
            (repository("a", "me", true), false, Recognition::Known),
            (repository("b", "me too", true), false, Recognition::Swapped),
            (repository("b", "me too", true), true, Recognition::Another),
            (repository("b", "nobody", false), true, Recognition::Swapped),
            (repository("a", "a stranger", true), true, Recognition::Swapped),
            (repository("a", "me", false), true, Recognition::Swapped),
        ] {
            assert_eq!(Recognition::of(&found, &known, is_told), outcome, "{found:?}");
        }
        let open = [repository("a", "nobody", false)];
        assert_eq!(Recognition::of(&repository("b", "me", true), &open, true), Recognition::Swapped);
        assert_eq!(Recognition::of(&repository("b", "me", true), &[], false), Recognition::New);
    }
}
