//! From bytes to a connector that can be used: load, verify, configure.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use credenza_connect::{Check, Destination, Error, Source, Store, Waits};
use wasmtime::component::{Component, InstancePre};

use crate::adapt::{SandboxedDestination, SandboxedSource, SandboxedStore};
use crate::egress::{Egress, Granted, Permit, Recorder, Traffic};
use crate::guest::bindings::{lifecycle, settings as wit};
use crate::guest::limits::{INTERPRETERS_MAX, MEMORY_BYTES_MAX, MEMORY_KEPT_BYTES_MAX, MEMORY_OF_INTERPRETER_BYTES};
use crate::guest::{Instance, InstanceLimits, IsStopped, LogListener, Pool, PoolSpec, RoleExports, Shared, State};
use crate::manifest::{Digests, Manifest, Role};
use crate::runtime::{CacheError, Runtime, RuntimeError};
use crate::settings::{RawSettings, Settings, SettingsError, Surroundings, Value};
use crate::verify::{self, LoadError, Verified};

/// How the sandbox works, for all connectors of the process.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Folder for compiled connectors, made with mode 0700. `None` compiles at every start.
    pub cache_dir: Option<PathBuf>,
    /// Most instances of one connector in one role, which is how many of its calls run at a time; scanners and unfinished writers count.
    pub instances_max: usize,
    /// Time of a guest's own code in one call.
    pub call_cpu_ms_max: u64,
    /// Memory of an instance, at most what the contract says.
    pub memory_bytes_max: usize,
    /// How long a connection may stand still.
    pub idle_timeout: Duration,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            cache_dir: None,
            instances_max: 64,
            call_cpu_ms_max: 10_000,
            memory_bytes_max: MEMORY_BYTES_MAX,
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// A configuration that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// A setting.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The connector does not have the role.
    #[error("connector {connector} cannot be used as a {}; it can be used as {available}", role.name())]
    Role {
        /// Name and version.
        connector: String,
        /// The role.
        role: Role,
        /// What it can be used as.
        available: String,
    },
    /// The connector's own rules between settings.
    #[error("{message}")]
    Rejected {
        /// What it says, one sentence per problem.
        message: String,
    },
    /// The connector broke its contract while it looked at its settings.
    #[error(transparent)]
    Connector(#[from] credenza_connect::Error),
}

/// The one engine of the process.
pub struct Sandbox {
    runtime: Arc<Runtime>,
    options: SandboxOptions,
}

impl Sandbox {
    /// Starts the engine.
    ///
    /// # Errors
    /// [`RuntimeError`] when wasmtime cannot run here.
    pub fn new(options: SandboxOptions) -> Result<Self, RuntimeError> {
        Ok(Self { runtime: Arc::new(Runtime::new(options.cache_dir.clone())?), options })
    }

    /// Verifies and compiles a component; none of its code runs. With a warm cache nothing is compiled.
    ///
    /// # Errors
    /// [`LoadError`] names what is wrong with it.
    pub fn load(&self, component: &[u8]) -> Result<Connector, LoadError> {
        let Verified { manifest, memory_bytes } = verify::examine(component)?;
        let name: Arc<str> = format!("{} {}", manifest.name, manifest.version).into();
        let invalid = |e: wasmtime::Error| LoadError::Invalid { connector: name.to_string(), cause: format!("{e:#}") };
        let compiled = Component::new(&self.runtime.engine, component).map_err(invalid)?;
        let Runtime { linker, linker_with_wasi, .. } = &*self.runtime;
        let linker = if manifest.wasi.is_some() { linker_with_wasi } else { linker };
        let pre = linker.instantiate_pre(&compiled).map_err(invalid)?;
        Ok(Connector {
            manifest: Arc::new(manifest),
            digests: Digests::of(component),
            name,
            memory_bytes,
            pre,
            runtime: Arc::clone(&self.runtime),
            options: self.options.clone(),
        })
    }

    /// Why compiled code is not kept although a folder was given: it is compiled at every start then.
    #[must_use]
    pub fn without_cache(&self) -> Option<&CacheError> {
        self.runtime.without_cache.as_ref()
    }

    /// How many components came from the cache of compiled code since the start; `None` without a cache.
    #[must_use]
    pub fn compiled_from_cache(&self) -> Option<usize> {
        self.runtime.cache.as_ref().map(wasmtime::Cache::cache_hits)
    }
}

/// A verified, compiled connector.
pub struct Connector {
    manifest: Arc<Manifest>,
    digests: Digests,
    name: Arc<str>,
    /// Memory that each instance begins with.
    memory_bytes: u64,
    pre: InstancePre<State>,
    runtime: Arc<Runtime>,
    options: SandboxOptions,
}

impl Connector {
    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Digests of its file.
    #[must_use]
    pub const fn digests(&self) -> Digests {
        self.digests
    }

    /// Checks what a user wrote and prepares the connector for some roles; `Prune` beside `Store` grants the right to
    /// delete, `Replay` beside `Destination` that to lay delete markers.
    /// `purpose` is `backup`, `restore`, `repository` or `conformance`; `surroundings` are asked where the settings leave something out.
    ///
    /// # Errors
    /// [`ConfigureError`] names the setting or the role and what is allowed.
    pub async fn configure(
        &self,
        raw: &RawSettings,
        surroundings: &Surroundings<'_>,
        roles: &[Role],
        purpose: &str,
    ) -> Result<Configured, ConfigureError> {
        for role in roles.iter().filter(|role| !role.is_grant()) {
            self.require(*role)?;
        }
        let settings = Settings::resolve(&self.manifest, raw, surroundings)?;
        let permit = Permit { roles, is_preview: surroundings.is_preview };
        let egress = Egress::new(&self.manifest, &settings, permit, self.options.idle_timeout)?;
        let egress = egress.telling(surroundings.waits.clone()).within(surroundings.rates.clone());
        let configured = Configured {
            config: Arc::new(wit_config(&settings, purpose)),
            masker: Arc::clone(egress.masker()),
            egress: Arc::new(egress),
            shared: Arc::new(Shared::new(Arc::clone(&self.name), Arc::new(|| false), None)),
            settings,
            roles: roles.to_vec(),
            connector: Arc::clone(&self.name),
            manifest: Arc::clone(&self.manifest),
            memory_bytes: self.memory_bytes,
            pre: self.pre.clone(),
            runtime: Arc::clone(&self.runtime),
            options: self.options.clone(),
        };
        configured.validate().await?;
        Ok(configured)
    }

    /// The same connector, compiled once, held to narrower limits: half of the memory and half of the time that it has.
    #[must_use]
    pub fn at_half_its_limits(&self) -> Self {
        let SandboxOptions { call_cpu_ms_max, memory_bytes_max, .. } = self.options;
        Self {
            manifest: Arc::clone(&self.manifest),
            name: Arc::clone(&self.name),
            pre: self.pre.clone(),
            runtime: Arc::clone(&self.runtime),
            options: SandboxOptions {
                call_cpu_ms_max: call_cpu_ms_max / 2,
                memory_bytes_max: memory_bytes_max / 2,
                ..self.options.clone()
            },
            ..*self
        }
    }

    fn require(&self, role: Role) -> Result<(), ConfigureError> {
        if self.manifest.roles.contains(&role) {
            return Ok(());
        }
        let available: Vec<&str> = self.manifest.roles.iter().map(|role| role.name()).collect();
        Err(ConfigureError::Role { connector: self.name.to_string(), role, available: available.join(", ") })
    }
}

fn wit_config(settings: &Settings, purpose: &str) -> wit::Config {
    let value = |value: &Value| match value {
        Value::Text(text) => wit::Value::Text(text.clone()),
        Value::Integer(number) => wit::Value::Integer(*number),
        Value::Boolean(flag) => wit::Value::Boolean(*flag),
        Value::Texts(texts) => wit::Value::Texts(texts.clone()),
    };
    let settings_of_guest = settings.values.iter();
    wit::Config {
        settings: settings_of_guest.map(|(name, v)| wit::Setting { name: name.clone(), value: value(v) }).collect(),
        secrets_present: settings.secrets.keys().cloned().collect(),
        purpose: purpose.to_owned(),
    }
}

/// A connector with its settings, in the roles it was configured for.
pub struct Configured {
    connector: Arc<str>,
    manifest: Arc<Manifest>,
    settings: Settings,
    roles: Vec<Role>,
    config: Arc<wit::Config>,
    egress: Arc<Egress>,
    masker: Arc<crate::settings::Masker>,
    shared: Arc<Shared>,
    memory_bytes: u64,
    pre: InstancePre<State>,
    runtime: Arc<Runtime>,
    options: SandboxOptions,
}

impl Configured {
    /// The same in a run that can be ended: guests that ask learn from it whether they are to end. Before a role is taken.
    #[must_use]
    pub fn stopped_by(self, is_stopped: IsStopped) -> Self {
        let shared = Arc::new(Shared::new(Arc::clone(&self.connector), is_stopped, None));
        Self { shared, ..self }
    }

    /// The same with somebody who hears what it writes to the log. Before a role is taken; nothing ends such a run.
    #[must_use]
    pub fn heard_by(self, listener: LogListener) -> Self {
        let shared = Arc::new(Shared::new(Arc::clone(&self.connector), Arc::new(|| false), Some(listener)));
        Self { shared, ..self }
    }

    /// The same with somebody who takes down what passes between it and its service.
    #[must_use]
    pub fn recorded_by(self, recorder: Arc<Recorder>) -> Self {
        self.egress.record(recorder);
        self
    }

    /// As something to back up.
    ///
    /// # Errors
    /// When it was not configured as a source.
    pub fn source(&self) -> Result<Arc<dyn Source>, ConfigureError> {
        Ok(Arc::new(SandboxedSource::new(self.pool(Role::Source)?)))
    }

    /// As a place to keep a repository; it may delete when it was configured with [`Role::Prune`] too.
    ///
    /// # Errors
    /// When it was not configured as a store.
    pub fn store(&self) -> Result<Arc<dyn Store>, ConfigureError> {
        Ok(Arc::new(SandboxedStore::new(self.pool(Role::Store)?)))
    }

    /// As a place to restore to.
    ///
    /// # Errors
    /// When it was not configured as a destination.
    pub fn destination(&self) -> Result<Arc<dyn Destination>, ConfigureError> {
        Ok(Arc::new(SandboxedDestination::new(self.pool(Role::Destination)?)))
    }

    /// Looks up the credentials that no setting gives, so that a run without any ends before it begins.
    ///
    /// # Errors
    /// Where they were looked for and what to do.
    pub async fn authenticate(&self) -> Result<(), ConfigureError> {
        Ok(self.egress.authenticate().await?)
    }

    /// Tries the way to the endpoints without the connector: address, connection, TLS, clock, credentials. Ends with the first step that fails.
    pub async fn trial(&self) -> Vec<Check> {
        let masker = self.egress.masker();
        let mask = |check: Check| match check.outcome {
            Err(error) => Check { outcome: Err(Error { message: masker.mask(error.message), ..error }), ..check },
            Ok(_) => check,
        };
        self.egress.trial().await.into_iter().map(mask).collect()
    }

    /// Servers that are reached through a proxy, each with it and where it is named, without passwords.
    #[must_use]
    pub fn proxies(&self) -> Vec<(String, String)> {
        self.egress.proxies()
    }

    /// Those to whom it tells what it waits for, for wrappers that wait too.
    #[must_use]
    pub fn waits(&self) -> Waits {
        self.egress.waits()
    }

    /// The server that requests go to and who names it, where it is the machine and not the settings.
    #[must_use]
    pub fn ambient_server(&self) -> Option<(String, &str)> {
        Some((self.address()?, self.settings.server_named_by.as_deref()?))
    }

    /// Where it goes: the servers of its endpoints and the paths there, whatever settings they follow from.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        self.egress.address()
    }

    /// What really went out and came in, over all roles.
    #[must_use]
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(self.egress.traffic())
    }

    /// What it may ask of its endpoints with these settings in these roles, and whether it has so far.
    #[must_use]
    pub fn granted(&self) -> Vec<Granted> {
        self.egress.granted()
    }

    /// The checked settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    fn pool<R: RoleExports>(&self, role: Role) -> Result<Arc<Pool<R>>, ConfigureError> {
        if !self.roles.contains(&role) {
            let available: Vec<&str> = self.roles.iter().map(|role| role.name()).collect();
            let available = available.join(", ");
            return Err(ConfigureError::Role { connector: self.connector.to_string(), role, available });
        }
        let spec = PoolSpec {
            connector: Arc::clone(&self.connector),
            pre: self.pre.clone(),
            config: Arc::clone(&self.config),
            egress: Arc::clone(&self.egress),
            masker: Arc::clone(&self.masker),
            limits: self.limits(),
            shared: Arc::clone(&self.shared),
            ticker: self.runtime.ticker.clone(),
            instances_max: self.instances_max(),
        };
        Pool::new(spec)
            .map_err(|e| ConfigureError::Rejected { message: format!("connector {}: {e:#}", self.connector) })
    }

    /// Interpreters are fewer, because each begins with much memory.
    fn instances_max(&self) -> usize {
        match self.memory_bytes > MEMORY_OF_INTERPRETER_BYTES {
            true => self.options.instances_max.min(INTERPRETERS_MAX),
            false => self.options.instances_max,
        }
    }

    fn limits(&self) -> InstanceLimits {
        let narrower = self.manifest.limits;
        // An interpreter's instance is used again until it has doubled: to begin one costs more than a call.
        let begun = usize::try_from(self.memory_bytes).unwrap_or(usize::MAX);
        InstanceLimits {
            memory_bytes_max: narrower
                .memory_bytes_max
                .unwrap_or(MEMORY_BYTES_MAX)
                .min(self.options.memory_bytes_max)
                .min(MEMORY_BYTES_MAX),
            memory_kept_bytes_max: MEMORY_KEPT_BYTES_MAX.max(begun.saturating_mul(2)),
            call_cpu_ms_max: narrower.call_cpu_ms_max.unwrap_or(u64::MAX).min(self.options.call_cpu_ms_max),
        }
    }

    /// Asks the connector for rules between settings that its manifest cannot say.
    async fn validate(&self) -> Result<(), ConfigureError> {
        let state = State::new(
            Arc::clone(&self.connector),
            Arc::clone(&self.egress),
            Arc::clone(&self.masker),
            self.limits(),
            Arc::clone(&self.shared),
        );
        let _running = self.runtime.ticker.run();
        let problems: Vec<lifecycle::Problem> = Instance::validate(&self.pre, Arc::clone(&self.config), state).await?;
        if problems.is_empty() {
            return Ok(());
        }
        let sentence = |problem: &lifecycle::Problem| match &problem.setting {
            Some(setting) => format!("setting `{setting}`: {}", problem.message),
            None => problem.message.clone(),
        };
        let sentences: Vec<String> = problems.iter().map(sentence).collect();
        let message = self.masker.clean(sentences.join("; "), 4096);
        Err(ConfigureError::Rejected { message })
    }
}
