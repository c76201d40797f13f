//! From a place to something that the engine can use: a built-in connector for folders, a component for all else.
//!
//! Owned here: assembling connector and wrappers. Refused here: choosing the component (`connectors`).

use std::path::Path;
use std::sync::Arc;

use credenza_connect::file::{FileDestination, FileSource, FileStore};
use credenza_connect::wrap::{Limit, LimitPolicy, Retry, RetryPolicy, Spent, Tallied, Tally, Throttle};
use credenza_connect::{Check, Destination, Error as ConnectError, Source, Store, Wait, WaitListener, Waits};
use credenza_engine::backup::BackupOptions;
use credenza_engine::{Error as EngineError, Repository};
use credenza_format::{Digest, EscrowedConnector, Hex, Provenance};
use credenza_sandbox::{Configured, LookupClient, Manifest, Role, SecretText, Surroundings, TokenKeeper, Traffic};

use crate::app::App;
use crate::aws;
use crate::configuration::{Settings, is_for_repositories};
use crate::connectors::{Component, ConnectorsError, Published, registry};
use crate::cost::Bill;
use crate::cost::prices::{Price, Prices};
use crate::credentials;
use crate::environment;
use crate::error::{Error, Result};
use crate::location::{FILE, Location};
use crate::notice::{Notice, Notices};
use crate::place::{Place, PlaceError};
use crate::profiles::Profiles;
use crate::tokens::Tokens;

/// A connector at work, and what is known of it.
pub struct Opened<T: ?Sized> {
    /// What the engine works with.
    pub connector: Arc<T>,
    /// The server and the path there, which settings may say beside the location; a folder has none.
    pub server: Option<String>,
    /// Requests that really went out; folders have none.
    pub traffic: Option<Arc<Traffic>>,
    /// What was spent on it, by class of request; of a folder that is read or restored to, nothing is counted.
    pub tally: Arc<Tally>,
    /// How it is charged, where that is known.
    pub price: Option<Arc<Price>>,
    /// Which code it is, for the record.
    pub provenance: Provenance,
    /// The component, for a backup to keep in the repository, so that what it reads can be given back when nobody offers it any more; none where it
    /// is built in.
    pub component: Option<Arc<EscrowedConnector>>,
}

impl<T: ?Sized> Opened<T> {
    /// Requests sent so far, retries included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.traffic.as_ref().map_or(0, |traffic| traffic.requests())
    }

    /// What was spent so far, by class. What the connector asked beyond its calls (a token, the tags of an object) is told as looks.
    #[must_use]
    pub fn spent(&self) -> Spent {
        let spent = self.tally.spent();
        let beyond = self.requests().saturating_sub(spent.requests());
        Spent { head: spent.head.saturating_add(beyond), ..spent }
    }

    /// A bill with what was spent here, too.
    #[must_use]
    pub fn billed(&self, bill: Bill) -> Bill {
        match self.is_folder() {
            true => bill.with_folder(self.spent()),
            false => bill.with_place(self.spent(), self.price.as_deref()),
        }
    }

    /// A backup of what it reads, as far as a snapshot records who makes it, and by which code.
    #[must_use]
    pub fn backup_options(&self) -> BackupOptions {
        BackupOptions {
            host: environment::host_name(),
            user: environment::user_name(),
            provenance: self.provenance.clone(),
            component: self.component.clone(),
            ..BackupOptions::default()
        }
    }

    /// Whether it is on this machine.
    #[must_use]
    pub const fn is_folder(&self) -> bool {
        self.component.is_none()
    }

    pub(crate) fn built_in(name: &str, connector: Arc<T>) -> Self {
        let provenance = Provenance {
            name: name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Provenance::default()
        };
        let tally = Arc::default();
        Self { connector, server: None, traffic: None, tally, price: None, provenance, component: None }
    }

    fn remote(connector: Arc<T>, configured: &Configured, code: Code, Charged { tally, price }: Charged) -> Self {
        let Code { provenance, component } = code;
        let (server, traffic) = (configured.address(), Some(configured.traffic()));
        Self { connector, server, traffic, tally, price, provenance, component: Some(component) }
    }
}

/// What counts the calls of a connector, and what they cost.
struct Charged {
    tally: Arc<Tally>,
    price: Option<Arc<Price>>,
}

/// Which component serves.
struct Code {
    provenance: Provenance,
    component: Arc<EscrowedConnector>,
}

/// What a store is opened for, which decides what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreUse {
    /// A new repository: a folder may be made.
    Create,
    /// Changing a repository: adding to it, which includes removing objects that the run itself has put, and reclaiming space.
    Write,
    /// Reading from it.
    Read,
}

/// What a destination is opened for, which decides what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationUse {
    /// Learning what a restore would do there. What would change anything is not sent.
    Preview,
    /// Writing what is restored.
    Write,
    /// The same, with the delete markers of a history.
    WriteHistory,
}

/// What a component is configured for.
struct Task<'a> {
    roles: &'a [Role],
    /// The word for the component.
    purpose: &'static str,
    is_preview: bool,
}

impl<'a> Task<'a> {
    const fn new(roles: &'a [Role], purpose: &'static str) -> Self {
        Self { roles, purpose, is_preview: false }
    }
}

impl App {
    /// Something to back up. `host` is the name of the machine that a folder is said to be of, where it is another than its own.
    ///
    /// # Errors
    /// When the place cannot be reached, its settings are refused, or no connector serves it.
    pub async fn source(&self, place: &Place, host: Option<&str>) -> Result<Opened<dyn Source>> {
        if let Location::Folder(path) = &place.location {
            let source = FileSource::new(folder(place, path)?).map_err(failed("opening the source"))?;
            let source = match host {
                Some(host) => source.of_host(host.to_owned()),
                None => source,
            };
            return Ok(Opened::built_in(FILE, Arc::new(source)));
        }
        let (configured, code) = self.component(place, Task::new(&[Role::Source], "backup")).await?;
        let charged = self.charged(place, &configured)?;
        let source = guarded(configured.source()?, &configured, &charged);
        Ok(Opened::remote(source, &configured, code, charged))
    }

    /// Somewhere to keep a repository.
    ///
    /// # Errors
    /// As for [`source`](Self::source).
    pub async fn store(&self, place: &Place, purpose: StoreUse) -> Result<Opened<dyn Store>> {
        if let Location::Folder(path) = &place.location {
            let store = self.folder_store(folder(place, path)?, purpose)?;
            let tally = Arc::new(Tally::admitting(self.budget().map(|budget| budget.admit(None, true))));
            let store = Tallied::new(store, Arc::clone(&tally));
            let store: Arc<dyn Store> = match self.rates().are_bounded() {
                true => Arc::new(Throttle::new(Arc::new(store), self.rates().clone())),
                false => Arc::new(store),
            };
            #[cfg(test)]
            let store = self.troubles().meet(path, store);
            return Ok(Opened { tally, ..Opened::built_in(FILE, store) });
        }
        let roles: &[Role] = if purpose == StoreUse::Read { &[Role::Store] } else { &[Role::Store, Role::Prune] };
        let (configured, code) = self.component(place, Task::new(roles, "repository")).await?;
        let charged = self.charged(place, &configured)?;
        let store = guarded(configured.store()?, &configured, &charged);
        Ok(Opened::remote(store, &configured, code, charged))
    }

    fn folder_store(&self, path: &Path, purpose: StoreUse) -> Result<Arc<dyn Store>> {
        #[cfg(test)]
        if let Some(store) = self.simulated().and_then(|simulated| simulated.store(path)) {
            return Ok(store);
        }
        let store = if purpose == StoreUse::Create { FileStore::create(path) } else { FileStore::open(path) };
        Ok(Arc::new(store.map_err(failed("opening the folder of the repository"))?))
    }

    /// Somewhere to restore to.
    ///
    /// # Errors
    /// As for [`source`](Self::source).
    pub async fn destination(&self, place: &Place, purpose: DestinationUse) -> Result<Opened<dyn Destination>> {
        if let Location::Folder(path) = &place.location {
            let destination = FileDestination::new(folder(place, path)?).map_err(failed("opening the destination"))?;
            return Ok(Opened::built_in(FILE, Arc::new(destination)));
        }
        let roles: &[Role] = match purpose {
            DestinationUse::WriteHistory => &[Role::Destination, Role::Replay],
            DestinationUse::Write | DestinationUse::Preview => &[Role::Destination],
        };
        let is_preview = purpose == DestinationUse::Preview;
        let (configured, code) = self.component(place, Task { is_preview, ..Task::new(roles, "restore") }).await?;
        let charged = self.charged(place, &configured)?;
        let destination = guarded(configured.destination()?, &configured, &charged);
        Ok(Opened::remote(destination, &configured, code, charged))
    }

    /// Downloads a component that is to be installed: `https://…#sha256=DIGEST`.
    ///
    /// # Errors
    /// When nobody sends it, or something else is sent.
    pub async fn download_connector(&self, url: &str) -> Result<Component> {
        let surroundings = Surroundings { variable: &environment::connector_secret, ..Surroundings::none() };
        Ok(self.connectors().download(url, &surroundings).await?)
    }

    /// Fetches a component that is to be installed from a registry, `oci://server/repository:tag`; the file holds `NAME:PASSWORD`, else docker's
    /// configuration is asked.
    ///
    /// # Errors
    /// When the registry does not give it, or gives something else.
    pub async fn fetch_connector(&self, reference: &str, login_file: Option<&Path>) -> Result<Component> {
        let surroundings = Surroundings { variable: &environment::connector_secret, ..Surroundings::none() };
        Ok(registry::fetch(reference, login_file, &surroundings).await?)
    }

    /// Publishes a component to a registry, under the tag of `oci://server/repository:tag`.
    ///
    /// # Errors
    /// When it would not run, or the registry does not take it.
    pub async fn publish_connector(
        &self,
        component: Component,
        reference: &str,
        login_file: Option<&Path>,
    ) -> Result<Published> {
        let surroundings = Surroundings { variable: &environment::connector_secret, ..Surroundings::none() };
        Ok(registry::publish(component, reference, login_file, &surroundings).await?)
    }

    /// The component that a repository keeps under a digest (BLAKE3, as snapshots name it), to be installed. Nobody vouches for it: that of the
    /// repository has the same bytes as the one that read the source, and no more is known of it.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub async fn connector_in_escrow(&self, repository: &Repository, digest: Digest) -> Result<Component> {
        let from = format!("escrow:{digest}");
        let kept = repository.escrowed_connector(digest).await?;
        let kept = kept.ok_or(ConnectorsError::NotInEscrow { digest })?;
        Ok(Component::of_bytes(Path::new(&from), kept.map_err(EngineError::from)?.component)?)
    }

    /// Tries the way to a place, step by step; a folder needs none.
    pub(crate) async fn trial(&self, place: &Place, role: Role) -> Result<Vec<Check>> {
        match &place.location {
            Location::Folder(_) => Ok(Vec::new()),
            _ => Ok(self.configured(place, Task::new(&[role], "check")).await?.0.trial().await),
        }
    }

    /// How a place is charged, and within which budget.
    fn charged(&self, place: &Place, configured: &Configured) -> Result<Charged> {
        let prices = Prices::read(self.known_folder())?;
        let price = configured.address().and_then(|server| prices.of_server(&server));
        let admit = match self.budget() {
            Some(budget) if budget.limits().money.is_some() && price.is_none() => {
                return Err(Error::NoPrice { place: place.label() });
            }
            budget => budget.map(|budget| budget.admit(price.clone(), false)),
        };
        Ok(Charged { tally: Arc::new(Tally::admitting(admit)), price })
    }

    /// A component that is ready to go out, with credentials.
    async fn component(&self, place: &Place, task: Task<'_>) -> Result<(Configured, Code)> {
        let (configured, code) = self.configured(place, task).await?;
        configured.authenticate().await?;
        Ok((configured, code))
    }

    async fn configured(&self, place: &Place, task: Task<'_>) -> Result<(Configured, Code)> {
        let Location::Remote { scheme, text } = &place.location else {
            return Err(PlaceError::Unresolved { location: place.text() }.into());
        };
        let component = self.connectors().serving(scheme, &place.settings)?;
        component.require_trust()?;
        let grant = component.grant()?;
        component.notice().into_iter().for_each(|notice| self.notice(notice));
        let Component { bytes, origin, .. } = component;
        let refused = |source| Error::Load { scheme: scheme.clone(), origin, source };
        let connector = self.sandbox().await?.load(&bytes).map_err(refused)?;
        let mut settings = place.settings.clone();
        settings.retain(|name, _| !is_for_repositories(name));
        settings.insert("location".to_owned(), SecretText::new(text.as_str()));
        credentials::gather(connector.manifest(), &mut settings)?;
        let surroundings = self.surroundings(connector.manifest(), &settings).await?;
        let surroundings = Surroundings { is_preview: task.is_preview, ..surroundings };
        let configured = connector.configure(&settings, &surroundings, task.roles, task.purpose).await?;
        let configured = configured.stopped_by(self.is_stopped());
        let configured = match self.recorder() {
            Some(recorder) => configured.recorded_by(Arc::clone(recorder)),
            None => configured,
        };
        for (server, proxy) in configured.proxies() {
            self.notice(Notice::Proxy { server, proxy });
        }
        if let Some((server, named_by)) = configured.ambient_server() {
            self.notice(Notice::AmbientServer { server, named_by: named_by.to_owned() });
        }
        let manifest = connector.manifest();
        let provenance = Provenance {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: Some(Hex(connector.digests().blake3)),
            grant: Some(Hex(grant.hash())),
        };
        let component = EscrowedConnector {
            name: provenance.name.clone(),
            release: provenance.version.clone(),
            component: bytes.into_owned(),
        };
        Ok((configured, Code { provenance, component: Arc::new(component) }))
    }

    /// What the machine offers where the settings say nothing.
    pub(crate) async fn surroundings(&self, manifest: &Manifest, settings: &Settings) -> Result<Surroundings<'static>> {
        let variable = &environment::connector_secret;
        let waits = Waits::told_to(Arc::new(WaitNotices(Arc::clone(self.notices()))));
        let token_keeper = self.known_folder().map(|folder| Arc::new(Tokens::beside(folder)) as Arc<dyn TokenKeeper>);
        let plain = Surroundings { variable, waits, token_keeper, rates: self.rates().clone(), ..Surroundings::none() };
        let Some(profile) = manifest.profile_setting() else { return Ok(plain) };
        let client = LookupClient::new(settings, &plain);
        let profile = settings.get(profile).map(SecretText::expose).filter(|name| !name.is_empty());
        let profiles = Profiles::read(profile).await;
        for (path, why) in profiles.unreadable() {
            self.notice(Notice::AwsFileUnreadable { path: path.to_owned(), why: why.to_owned() });
        }
        // Who writes keys of their own needs no profile that the environment happens to name.
        if profile.is_some() || !manifest.secrets.keys().any(|name| settings.contains_key(name)) {
            profiles.check()?;
        }
        let aws_region = aws::region(profile, &profiles).await;
        let chain = aws::Chain::new(profile, &profiles, aws_region.as_deref(), client);
        let aws_endpoint = profiles.endpoint();
        Ok(Surroundings { aws_region, aws_endpoint, aws_credentials: Some(Arc::new(chain)), ..plain })
    }
}

/// Tells waits as notices.
struct WaitNotices(Arc<dyn Notices>);

impl WaitListener for WaitNotices {
    fn on_wait(&self, wait: &Wait) {
        let next_in_ms = wait.next_in.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let Wait { reason, cause, tries, .. } = wait.clone();
        self.0.notice(Notice::Waiting { reason, cause, tries, next_in_ms });
    }
}

/// Remote places fail now and then and have enough of requests; folders do not. Who waits for another try holds no slot.
fn guarded<T: ?Sized>(connector: Arc<T>, configured: &Configured, charged: &Charged) -> Arc<Retry<Limit<Tallied<T>>>> {
    let counted = Tallied::new(connector, Arc::clone(&charged.tally));
    let limited = Limit::new(Arc::new(counted), LimitPolicy::default());
    Arc::new(Retry::new(Arc::new(limited), RetryPolicy::default()).telling(configured.waits()))
}

/// A folder has no settings but those of a repository; others are a mistake that must not pass in silence.
fn folder<'p>(place: &Place, path: &'p Path) -> Result<&'p Path> {
    match place.settings.keys().find(|name| !is_for_repositories(name)) {
        None => Ok(path),
        Some(setting) => Err(Error::FolderSetting { place: place.label(), setting: setting.clone() }),
    }
}

fn failed(doing: &'static str) -> impl FnOnce(ConnectError) -> Error {
    move |cause| Error::Connector { doing, cause }
}
