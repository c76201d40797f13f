//! The one handle of a program: what is shared by all its tasks, and whom a task tells and asks.
//!
//! Owned here: the folders, the connectors at hand and the WebAssembly engine, made once, when the first component is needed. Refused here:
//! opening places (`open`) and repositories (`repository`).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credenza_connect::Rates;
use credenza_engine::Stop;
use credenza_sandbox::{IsStopped, Recorder, Sandbox, SandboxOptions};
use tokio::sync::OnceCell;

use crate::ask::{Ask, Nobody};
use crate::configuration::{Configuration, ConfigurationError, Kind, Settings};
use crate::connectors::{Connectors, Given};
use crate::cost::budget::Budget;
use crate::environment;
use crate::error::Result;
use crate::mistaken;
use crate::notice::{NoNotices, Notice, Notices};
use crate::place::{Place, PlaceError};
#[cfg(test)]
use crate::simulated::Simulated;

/// Where a program keeps what is its own.
#[derive(Debug, Clone, Default)]
pub struct AppOptions {
    /// The folder of the configuration; without one nothing is configured, and nothing is remembered of locations.
    pub configuration_folder: Option<PathBuf>,
    /// The folder of the cache; without one components are compiled at each start, and objects are fetched again.
    pub cache_folder: Option<PathBuf>,
    /// The folder of what a program notes of its own work; without one nothing is noted.
    pub state_folder: Option<PathBuf>,
    /// A component that goes before all others for the schemes that it serves.
    pub connector: Option<Given>,
    /// How many bytes a second may pass, over all places together.
    pub rates: Rates,
}

impl AppOptions {
    /// The folders that the environment names, and no component.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            configuration_folder: environment::config_folder(),
            cache_folder: environment::cache_folder(),
            state_folder: environment::state_folder(),
            connector: None,
            rates: Rates::default(),
        }
    }
}

/// A program over the engine: cheap to clone, and all clones share one WebAssembly engine.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
    notices: Arc<dyn Notices>,
    ask: Arc<dyn Ask>,
    stop: Stop,
    rates: Rates,
    recorder: Option<Arc<Recorder>>,
    budget: Option<Arc<Budget>>,
    #[cfg(test)]
    simulated: Option<Arc<Simulated>>,
}

/// What there is once a process.
struct Shared {
    configuration_folder: Option<PathBuf>,
    cache_folder: Option<PathBuf>,
    state_folder: Option<PathBuf>,
    connectors: Connectors,
    sandbox: OnceCell<Sandbox>,
    #[cfg(test)]
    troubles: crate::trouble::Troubles,
}

impl App {
    /// A program that nobody listens to and that can ask nobody.
    #[must_use]
    pub fn new(options: AppOptions) -> Self {
        let AppOptions { configuration_folder, cache_folder, state_folder, connector, rates } = options;
        let connectors = Connectors::new(connector, configuration_folder.as_deref());
        let sandbox = OnceCell::new();
        let shared = Shared {
            configuration_folder,
            cache_folder,
            state_folder,
            connectors,
            sandbox,
            #[cfg(test)]
            troubles: crate::trouble::Troubles::default(),
        };
        Self {
            shared: Arc::new(shared),
            notices: Arc::new(NoNotices),
            ask: Arc::new(Nobody),
            stop: Stop::default(),
            rates,
            recorder: None,
            budget: None,
            #[cfg(test)]
            simulated: None,
        }
    }

    /// The same program for a task that takes down what passes between connectors and services.
    #[must_use]
    pub fn with_recorder(self, recorder: Arc<Recorder>) -> Self {
        Self { recorder: Some(recorder), ..self }
    }

    /// The same program for a task that may spend no more than this at the places that it opens.
    #[must_use]
    pub fn with_budget(self, budget: Arc<Budget>) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// The same program with stores and a clock of a test.
    #[cfg(test)]
    pub(crate) fn with_simulated(self, simulated: Simulated) -> Self {
        Self { simulated: Some(Arc::new(simulated)), ..self }
    }

    /// Stores and a clock of a test.
    #[cfg(test)]
    pub(crate) const fn simulated(&self) -> Option<&Arc<Simulated>> {
        self.simulated.as_ref()
    }

    /// What may be spent, where that is bounded.
    #[must_use]
    pub const fn budget(&self) -> Option<&Arc<Budget>> {
        self.budget.as_ref()
    }

    /// Who takes down what passes.
    pub(crate) const fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.recorder.as_ref()
    }

    /// The same program for a task whose notices go there.
    #[must_use]
    pub fn with_notices(self, notices: Arc<dyn Notices>) -> Self {
        Self { notices, ..self }
    }

    /// The same program for a task that can ask there.
    #[must_use]
    pub fn with_ask(self, ask: Arc<dyn Ask>) -> Self {
        Self { ask, ..self }
    }

    /// The same program for a task that this can end: connectors that ask learn of it.
    #[must_use]
    pub fn with_stop(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    /// The same program for a task that may pass so many bytes a second.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self { rates, ..self }
    }

    /// The folder of the configuration.
    ///
    /// # Errors
    /// [`ConfigurationError::NoFolder`] where there is none.
    pub fn configuration_folder(&self) -> Result<&Path, ConfigurationError> {
        self.known_folder().ok_or(ConfigurationError::NoFolder)
    }

    /// The folder of the cache, if there is one.
    #[must_use]
    pub fn cache_folder(&self) -> Option<&Path> {
        self.shared.cache_folder.as_deref()
    }

    /// The folder of what a program notes of its own work, if there is one; it can be deleted at any time.
    #[must_use]
    pub fn state_folder(&self) -> Option<&Path> {
        self.shared.state_folder.as_deref()
    }

    /// The configuration as it is now; empty where there is no folder for one.
    ///
    /// # Errors
    /// When its file cannot be read or is no configuration.
    pub fn configuration(&self) -> Result<Configuration, ConfigurationError> {
        let Some(folder) = self.known_folder() else { return Ok(Configuration::default()) };
        let configuration = Configuration::read(folder)?;
        if configuration.is_readable_by_others() {
            self.notice(Notice::ConfigurationReadable { path: configuration.path().to_owned() });
        }
        Ok(configuration)
    }

    /// The components at hand.
    #[must_use]
    pub fn connectors(&self) -> &Connectors {
        &self.shared.connectors
    }

    /// The place that a word stands for: a folder, `scheme://…` or `@name`, with the settings given beside it.
    ///
    /// # Errors
    /// When the word is no location, or what the configuration says of it cannot be used.
    pub fn place(&self, kind: Kind, word: &OsStr, settings: Settings) -> Result<Place> {
        self.place_in(&self.configuration()?, kind, word, settings)
    }

    /// The same, by a configuration that was read already.
    ///
    /// # Errors
    /// As for [`place`](Self::place).
    pub fn place_in(
        &self,
        configuration: &Configuration,
        kind: Kind,
        word: &OsStr,
        settings: Settings,
    ) -> Result<Place> {
        mistaken::require_folder(kind, word, configuration, self.connectors())?;
        Ok(Place::resolve(kind, word, settings, configuration)?)
    }

    /// The word that names the repository: the one given, else that of the environment, else the configured default.
    ///
    /// # Errors
    /// [`PlaceError::NoRepositoryNamed`] where none of them names one.
    pub fn repository_word(&self, given: Option<&OsStr>, configuration: &Configuration) -> Result<OsString> {
        if let Some(word) = given {
            return Ok(word.to_owned());
        }
        if let Some(word) = environment::variable(environment::REPOSITORY) {
            return Ok(word);
        }
        let default = configuration.default_repository()?;
        Ok(default.map(|name| format!("@{name}").into()).ok_or(PlaceError::NoRepositoryNamed)?)
    }

    /// The folder of the configuration and of what is remembered, if there is one.
    pub(crate) fn known_folder(&self) -> Option<&Path> {
        self.shared.configuration_folder.as_deref()
    }

    /// How many bytes a second may pass.
    pub(crate) const fn rates(&self) -> &Rates {
        &self.rates
    }

    pub(crate) fn notice(&self, notice: Notice) {
        self.notices.notice(notice);
    }

    pub(crate) fn notices(&self) -> &Arc<dyn Notices> {
        &self.notices
    }

    pub(crate) fn is_stopped(&self) -> IsStopped {
        let stop = self.stop.clone();
        Arc::new(move || stop.is_requested())
    }

    pub(crate) fn ask(&self) -> &dyn Ask {
        &*self.ask
    }

    /// What is wrong with folders of repositories, on purpose.
    #[cfg(test)]
    pub(crate) fn troubles(&self) -> &crate::trouble::Troubles {
        &self.shared.troubles
    }

    /// Where compiled components are kept, if anywhere.
    #[must_use]
    pub fn compiled_folder(&self) -> Option<PathBuf> {
        self.cache_folder().map(|folder| folder.join("compiled"))
    }

    /// The engine that runs components.
    pub(crate) async fn sandbox(&self) -> Result<&Sandbox> {
        let sandbox = self.shared.sandbox.get_or_try_init(async || {
            Sandbox::new(SandboxOptions { cache_dir: self.compiled_folder(), ..SandboxOptions::default() })
        });
        let sandbox = sandbox.await?;
        if let Some(why) = sandbox.without_cache() {
            self.notice(Notice::NoCompiledCache { why: why.to_string() });
        }
        Ok(sandbox)
    }
}
