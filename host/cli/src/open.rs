//! From a place to something that the engine can use: a built-in connector for folders, a component for all else.
//!
//! Owned here: assembling connector and wrappers. Refused here: choosing the component (`connectors`).

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use credenza_connect::file::{FileDestination, FileSource, FileStore};
use credenza_connect::wrap::{Limit, LimitPolicy, Retry, RetryPolicy};
use credenza_connect::{Check, Destination, Source, Store};
use credenza_format::{Hex, Provenance};
use credenza_sandbox::{
    ConfigureError, Configured, LookupClient, Manifest, Role, Sandbox, SandboxOptions, Surroundings, Traffic,
};

use crate::aws;
use crate::configuration::{Settings, is_for_repositories};
use crate::connectors::{Component, Connectors};
use crate::environment;
use crate::failure::{Exit, Failure};
use crate::location::Location;
use crate::place::Place;
use crate::profiles::Profiles;
use crate::report::Reporter;

/// A connector at work, and what is known of it.
pub(crate) struct Opened<T: ?Sized> {
    pub(crate) connector: Arc<T>,
    /// The server and the path there, which settings may say beside the location; a folder has none.
    pub(crate) server: Option<String>,
    /// Requests that really went out; folders have none.
    pub(crate) traffic: Option<Arc<Traffic>>,
    /// Which code it is, for the record.
    pub(crate) provenance: Provenance,
}

impl<T: ?Sized> Opened<T> {
    /// Requests sent so far, retries included.
    pub(crate) fn requests(&self) -> u64 {
        self.traffic.as_ref().map_or(0, |traffic| traffic.requests())
    }
}

/// What a store is opened for, which decides what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreUse {
    /// A new repository: a folder may be made.
    Create,
    /// Changing a repository: adding to it, which includes removing objects that the run itself has put, and reclaiming space.
    Write,
    /// Reading from it.
    Read,
}

/// Opens places for one run of the program.
pub(crate) struct Opener<'a> {
    connectors: &'a Connectors,
    reporter: &'a Reporter,
    /// What a person was told already.
    told: RefCell<BTreeSet<String>>,
    /// The one engine of the process, started with the first component.
    sandbox: OnceCell<Sandbox>,
    /// The machine that folders are said to be of, where it is another name than its own.
    host: Option<String>,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(connectors: &'a Connectors, reporter: &'a Reporter) -> Self {
        Self { connectors, reporter, told: RefCell::default(), sandbox: OnceCell::new(), host: None }
    }

    /// With folders as those of a machine of this name, if one is given.
    pub(crate) fn of_host(self, host: Option<String>) -> Self {
        Self { host, ..self }
    }

    /// Says something once.
    fn tell(&self, line: impl IntoIterator<Item = String>) {
        for line in line {
            if self.told.borrow_mut().insert(line.clone()) {
                self.reporter.note(line);
            }
        }
    }

    /// Something to back up.
    pub(crate) async fn source(&self, place: &Place) -> Result<Opened<dyn Source>, Failure> {
        match &place.location {
            Location::Folder(path) => {
                let source = FileSource::new(folder(place, path)?);
                let source = source.map_err(|error| Failure::of_connector("opening the source", &error))?;
                let source = match &self.host {
                    Some(host) => source.of_host(host.clone()),
                    None => source,
                };
                Ok(built_in(Arc::new(source)))
            }
            _ => {
                let (configured, provenance) = self.component(place, &[Role::Source], "backup").await?;
                let source = configured.source().map_err(refused)?;
                Ok(Opened {
                    connector: guarded(source),
                    server: configured.address(),
                    traffic: Some(configured.traffic()),
                    provenance,
                })
            }
        }
    }

    /// Somewhere to keep a repository.
    pub(crate) async fn store(&self, place: &Place, purpose: StoreUse) -> Result<Opened<dyn Store>, Failure> {
        match &place.location {
            Location::Folder(path) => {
                let path = folder(place, path)?;
                let store = if purpose == StoreUse::Create { FileStore::create(path) } else { FileStore::open(path) };
                let store =
                    store.map_err(|error| Failure::of_connector("opening the folder of the repository", &error))?;
                Ok(built_in(Arc::new(store)))
            }
            _ => {
                let roles: &[Role] =
                    if purpose == StoreUse::Read { &[Role::Store] } else { &[Role::Store, Role::Prune] };
                let (configured, provenance) = self.component(place, roles, "repository").await?;
                let store = configured.store().map_err(refused)?;
                Ok(Opened {
                    connector: guarded(store),
                    server: configured.address(),
                    traffic: Some(configured.traffic()),
                    provenance,
                })
            }
        }
    }

    /// Somewhere to restore to; `replay` grants the right to lay delete markers.
    pub(crate) async fn destination(&self, place: &Place, replay: bool) -> Result<Opened<dyn Destination>, Failure> {
        match &place.location {
            Location::Folder(path) => {
                let destination = FileDestination::new(folder(place, path)?);
                let destination =
                    destination.map_err(|error| Failure::of_connector("opening the destination", &error))?;
                Ok(built_in(Arc::new(destination)))
            }
            _ => {
                let roles: &[Role] = if replay { &[Role::Destination, Role::Replay] } else { &[Role::Destination] };
                let (configured, provenance) = self.component(place, roles, "restore").await?;
                let destination = configured.destination().map_err(refused)?;
                Ok(Opened {
                    connector: guarded(destination),
                    server: configured.address(),
                    traffic: Some(configured.traffic()),
                    provenance,
                })
            }
        }
    }

    fn sandbox(&self) -> Result<&Sandbox, Failure> {
        if let Some(sandbox) = self.sandbox.get() {
            return Ok(sandbox);
        }
        let cache_dir = environment::cache_folder().map(|folder| folder.join("compiled"));
        let sandbox = Sandbox::new(SandboxOptions { cache_dir, ..SandboxOptions::default() });
        let sandbox =
            sandbox.map_err(|error| Failure::new("connectors cannot be run here").because(error.to_string()))?;
        self.tell(sandbox.without_cache().map(|why| format!("connectors are compiled anew at every start: {why}")));
        Ok(self.sandbox.get_or_init(|| sandbox))
    }

    /// Tries the way to a place, step by step; a folder needs none.
    pub(crate) async fn trial(&self, place: &Place, role: Role) -> Result<Vec<Check>, Failure> {
        match &place.location {
            Location::Folder(_) => Ok(Vec::new()),
            _ => Ok(self.configured(place, &[role], "check").await?.0.trial().await),
        }
    }

    /// A component that is ready to go out, with credentials.
    async fn component(
        &self,
        place: &Place,
        roles: &[Role],
        purpose: &str,
    ) -> Result<(Configured, Provenance), Failure> {
        let (configured, provenance) = self.configured(place, roles, purpose).await?;
        configured.authenticate().await.map_err(refused)?;
        Ok((configured, provenance))
    }

    async fn configured(
        &self,
        place: &Place,
        roles: &[Role],
        purpose: &str,
    ) -> Result<(Configured, Provenance), Failure> {
        let Location::Remote { scheme, text } = &place.location else {
            return Err(Failure::usage(format!("{} is no location", place.text())));
        };
        let component = self.connectors.serving(scheme, &place.settings)?;
        self.tell(component.told());
        let Component { bytes, origin, .. } = component;
        let cannot = |why: String| {
            Failure::new(format!("the connector for `{scheme}://` ({origin}) cannot be used")).because(why)
        };
        let connector =
            self.sandbox()?.load(&bytes).map_err(|error| cannot(error.to_string()).exit(Exit::ContractBroken))?;
        let mut settings = place.settings.clone();
        settings.retain(|name, _| !is_for_repositories(name));
        settings.insert("location".to_owned(), text.clone());
        let surroundings = surroundings(connector.manifest(), &settings).await?;
        let configured = connector.configure(&settings, &surroundings, roles, purpose).await.map_err(refused)?;
        self.tell(configured.ways());
        let ambient = configured.ambient_server();
        self.tell(ambient.map(|(server, named_by)| format!("requests go to {server}, which {named_by} names")));
        let manifest = connector.manifest();
        let provenance = Provenance {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: Some(Hex(connector.digests().blake3)),
            ..Provenance::default()
        };
        Ok((configured, provenance))
    }
}

/// What the machine offers where the settings say nothing.
async fn surroundings(manifest: &Manifest, settings: &Settings) -> Result<Surroundings<'static>, Failure> {
    let variable = &environment::connector_secret;
    let plain = Surroundings { variable, ..Surroundings::none() };
    let Some(profile) = manifest.profile_setting() else { return Ok(plain) };
    let client = LookupClient::new(settings, &plain);
    let profile = settings.get(profile).map(String::as_str).filter(|name| !name.is_empty());
    let profiles = Profiles::read(profile).await;
    // Who writes keys of their own needs no profile that the environment happens to name.
    if profile.is_some() || !manifest.secrets.keys().any(|name| settings.contains_key(name)) {
        profiles.check().map_err(|error| Failure::usage(error.to_string()))?;
    }
    let aws_region = aws::region(profile, &profiles).await;
    let chain = aws::Chain::new(profile, &profiles, aws_region.as_deref(), client);
    let aws_endpoint = profiles.endpoint();
    Ok(Surroundings { variable, aws_region, aws_endpoint, aws_credentials: Some(Arc::new(chain)), ..plain })
}

/// Remote places fail now and then and have enough of requests; folders do not. Who waits for another try holds no slot.
fn guarded<T: ?Sized>(connector: Arc<T>) -> Arc<Retry<Limit<T>>> {
    let limited = Limit::new(connector, LimitPolicy::default());
    Arc::new(Retry::new(Arc::new(limited), RetryPolicy::default()))
}

fn built_in<T: ?Sized>(connector: Arc<T>) -> Opened<T> {
    let provenance =
        Provenance { name: "file".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..Provenance::default() };
    Opened { connector, server: None, traffic: None, provenance }
}

/// A folder has no settings but those of a repository; others are a mistake that must not pass in silence.
fn folder<'p>(place: &Place, path: &'p Path) -> Result<&'p Path, Failure> {
    match place.settings.keys().find(|name| !is_for_repositories(name)) {
        None => Ok(path),
        Some(name) => {
            Err(Failure::usage(format!("the folder {} has no setting `{}`", place.text(), name.escape_debug())))
        }
    }
}

fn refused(error: ConfigureError) -> Failure {
    match &error {
        ConfigureError::Connector(cause) => Failure::of_connector("looking at the settings", cause),
        ConfigureError::Settings(_) | ConfigureError::Rejected { .. } | ConfigureError::Role { .. } => {
            Failure::usage(error.to_string())
        }
    }
}
