//! What every command has at hand: the global options, the program's handle, the printer, and the way to the repository.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use credenza_app::cost::budget::{Budget, Limits};
use credenza_app::secret::{self, SecretSources};
use credenza_app::{
    App, AppOptions, Error as AppError, Given, Kind, OpenOptions, OpenRepository, Place, PlaceError, Settings,
    StoreUse, is_secret, signing,
};
use credenza_engine::{Damage, Listener, Repository, RunContext, Secret, Spared, Stop};
use credenza_format::SigningKey;

use crate::failure::Failure;
use crate::globals::Globals;
use crate::passphrase::Terminal;
use crate::report::Reporter;
use credenza_app::shell::{place_word, shell_word};

/// Digits of a whole id.
const ID_DIGITS: usize = 32;

/// One run of the program.
pub(crate) struct Session<'a> {
    pub(crate) globals: Globals,
    pub(crate) app: App,
    pub(crate) reporter: &'a Arc<Reporter>,
    /// Asked for when the program is to end: what can end in good order does.
    pub(crate) stop: Stop,
    /// The most that may be spent, if that is bounded.
    pub(crate) budget: Option<Arc<Budget>>,
    /// What stands behind `at`.
    at: Option<OsString>,
    /// The `-o` before the command.
    settings: Settings,
    /// Repositories that were opened, and their places.
    opened: RefCell<Vec<(Repository, String)>>,
}

impl<'a> Session<'a> {
    /// Says that what was found could not be put on record.
    pub(crate) fn warn_unrecorded(&self, why: Option<&str>) {
        if let Some(why) = why {
            let what =
                "what was read could not be put on record in the repository, so that later runs do not know of it";
            self.reporter.warning(format!("{what}: {why}"));
        }
    }

    pub(crate) fn new(
        globals: Globals,
        at: Option<OsString>,
        settings: Settings,
        reporter: &'a Arc<Reporter>,
        stop: Stop,
    ) -> Self {
        let Globals { connector, allow_unpinned, .. } = globals.clone();
        let connector = connector.map(|path| Given { path, allow_unpinned });
        let options = AppOptions { connector, rates: globals.rates(), ..AppOptions::from_environment() };
        let app = App::new(options)
            .with_notices(Arc::clone(reporter) as _)
            .with_ask(Arc::new(Terminal))
            .with_stop(stop.clone());
        Self { globals, app, reporter, stop, budget: None, at, settings, opened: RefCell::default() }
    }

    /// The same run, which may spend no more than that.
    pub(crate) fn within(self, limits: Option<Limits>) -> Self {
        let Some(limits) = limits else { return self };
        let budget = Budget::new(limits, self.stop.clone());
        Self { app: self.app.with_budget(Arc::clone(&budget)), budget: Some(budget), ..self }
    }

    /// What a long operation of the engine takes: the reporter hears of it, and it ends when the program is to end.
    pub(crate) fn run_context(&self) -> RunContext {
        RunContext { events: Arc::clone(self.reporter) as Arc<dyn Listener>, stop: self.stop.clone() }
    }

    /// How many digits of an id are shown where so many tell it from all others: all of them to those who want to know more.
    pub(crate) const fn digits_shown(&self, digits: usize) -> usize {
        if self.is_verbose() { ID_DIGITS } else { digits }
    }

    /// Whether more is to be shown than most people want to know.
    pub(crate) const fn is_verbose(&self) -> bool {
        self.globals.verbose > 0
    }

    /// Tells which packs were damaged and read by their parity or from a replica, unless the command has told it; the latter is put on record, too,
    /// for a `repair` to find.
    pub(crate) async fn tell_healed(&self) {
        let opened = self.opened.take();
        for (repository, place) in &opened {
            self.reporter.healed(&repository.take_healed(), place);
            self.tell_spared(repository, &repository.take_spared(), place).await;
        }
    }

    /// Tells what was damaged and read from a replica, and puts it on record.
    pub(crate) async fn tell_spared(&self, repository: &Repository, spared: &[Spared], place: &str) {
        self.reporter.spared(spared, place);
        let damages: Vec<Damage> = spared.iter().map(|spared| spared.damage.clone()).collect();
        if let Err(cause) = repository.record_damage(&damages).await {
            self.warn_unrecorded(Some(&cause.to_string()));
        }
    }

    /// The place of the repository alone, with every `-o` of the command line.
    pub(crate) fn repository_place(&self) -> Result<Place, Failure> {
        let configuration = self.app.configuration()?;
        let word = self.app.repository_word(self.at.as_deref(), &configuration)?;
        Ok(self.app.place_in(&configuration, Kind::Repository, &word, self.settings.clone())?)
    }

    /// The same where one is named, by the command line, the environment or as the default of the configuration.
    pub(crate) fn repository_if_named(&self) -> Result<Option<Place>, Failure> {
        let configuration = self.app.configuration()?;
        match self.app.repository_word(self.at.as_deref(), &configuration) {
            Err(AppError::Place(PlaceError::NoRepositoryNamed)) => Ok(None),
            word => Ok(Some(self.app.place_in(&configuration, Kind::Repository, &word?, self.settings.clone())?)),
        }
    }

    /// The places of the repository and of another location that the command names: before the command stand the settings of the one, behind it
    /// those of the other.
    pub(crate) fn places(&self, kind: Kind, word: &OsStr, behind: Settings) -> Result<(Place, Place), Failure> {
        let configuration = self.app.configuration()?;
        let repository = self.app.repository_word(self.at.as_deref(), &configuration)?;
        let repository = self.app.place_in(&configuration, Kind::Repository, &repository, self.settings.clone())?;
        Ok((repository, self.app.place_in(&configuration, kind, word, behind)?))
    }

    /// A location that the command names beside the repository, with its own settings.
    pub(crate) fn other_place(&self, kind: Kind, word: &OsStr, settings: Settings) -> Result<Place, Failure> {
        Ok(self.app.place(kind, word, settings)?)
    }

    /// The repository as a further command names it, with the settings that were given before this one but for the secrets; nothing where none is
    /// named.
    pub(crate) fn at_repository(&self) -> Option<String> {
        let place = self.repository_place().ok()?;
        let open = self.settings.iter().filter(|(name, _)| !is_secret(name));
        let settings: String =
            open.map(|(name, value)| format!("-o {} ", shell_word(&format!("{name}={}", value.expose())))).collect();
        Some(format!("{settings}at {}", place_word(&place)))
    }

    /// A location that the command names, where no repository is involved.
    pub(crate) fn lone_place(&self, kind: Kind, word: &OsStr, behind: Settings) -> Result<Place, Failure> {
        let mut settings = self.settings.clone();
        settings.extend(behind);
        Ok(self.app.place(kind, word, settings)?)
    }

    /// The secret for the repository that is provided somewhere, so that nobody need be asked.
    pub(crate) fn secret(&self, place: &Place) -> Result<Secret, Failure> {
        Ok(secret::provided(&self.secret_sources(), &place.settings)?)
    }

    /// Where the command line says that the secret for the repository is.
    pub(crate) fn secret_sources(&self) -> SecretSources {
        let Globals { passphrase_file, passphrase_cmd, key_file, identity, .. } = self.globals.clone();
        SecretSources { passphrase_file, passphrase_cmd, key_file, identity }
    }

    /// What is committed to a place is signed with this key, if there is one.
    pub(crate) fn signing_key(&self, place: &Place) -> Result<Option<SigningKey>, Failure> {
        Ok(signing::provided(self.globals.signing_key.as_deref(), &place.settings)?)
    }

    /// Opens the repository at a place; asks for the passphrase when none is provided and a person is there.
    pub(crate) async fn open_repository(&self, place: Place, purpose: StoreUse) -> Result<OpenRepository, Failure> {
        let options = OpenOptions { purpose, secret: self.secret(&place)?, accept_plaintext: false };
        self.open_with(place, options).await
    }

    /// Opens a further repository that the command names, with a secret of its own; one in plain text only with leave, for the
    /// secret of the environment may be meant for the first repository alone.
    pub(crate) async fn open_other(
        &self,
        place: Place,
        purpose: StoreUse,
        accept_plaintext: bool,
    ) -> Result<OpenRepository, Failure> {
        let options = OpenOptions { purpose, secret: secret::provided_for_other(&place.settings)?, accept_plaintext };
        self.open_with(place, options).await
    }

    /// Opens the repository of the command for reading.
    pub(crate) async fn open_for_reading(&self) -> Result<OpenRepository, Failure> {
        self.open_repository(self.repository_place()?, StoreUse::Read).await
    }

    /// Opens the repository of the command for looking into it, or where it is gone, the first of its replicas that opens. For commands that change
    /// nothing but what they note of their own reading.
    pub(crate) async fn open_healthy(&self, purpose: StoreUse) -> Result<OpenRepository, Failure> {
        self.open_healthy_at(self.repository_place()?, purpose).await
    }

    /// The same at a place.
    pub(crate) async fn open_healthy_at(&self, place: Place, purpose: StoreUse) -> Result<OpenRepository, Failure> {
        let options = OpenOptions { purpose, secret: self.secret(&place)?, accept_plaintext: false };
        Ok(self.noted(self.app.open_healthy(place, options).await?))
    }

    /// Opens the repository of the command for changing what it holds.
    pub(crate) async fn open_for_writing(&self) -> Result<OpenRepository, Failure> {
        self.open_repository(self.repository_place()?, StoreUse::Write).await
    }

    async fn open_with(&self, place: Place, options: OpenOptions) -> Result<OpenRepository, Failure> {
        Ok(self.noted(self.app.open_repository(place, options).await?))
    }

    /// Remembers a repository whose damage is to be told.
    fn noted(&self, open: OpenRepository) -> OpenRepository {
        self.opened.borrow_mut().push((open.repository.clone(), place_word(&open.place)));
        open
    }
}
