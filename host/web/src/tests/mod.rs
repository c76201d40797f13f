//! The real router over real repositories: what a browser asks, and what it gets.

mod beginning;
mod clocks;
mod figures;
mod fuzzing;
mod jobs;
mod looking;
mod mirrors;
mod oidc;
mod outside;
mod pages;
mod presence;
mod replication;
mod restoring;
mod runs;
mod safety;
mod serving;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credenza_app::users::{Users, UsersError};
use credenza_app::{
    App, AppOptions, Configuration, ConfigurationError, Kind, OpenOptions, PlaceName, Settings, StoreUse,
};
use credenza_connect::Source;
use credenza_connect::memory::MemorySource;
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::{CreateOptions, RunContext, Secret, Stop};
use http::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tempfile::TempDir;

use crate::door::Door;
use crate::hosts::Hosts;
use crate::limits::Limits;
use crate::reach::Reach;
use crate::server::{Entrance, answer, site};
use crate::session::Links;
use crate::site::Site;

/// Where it would listen, and the name under which it is asked for.
const LISTEN: &str = "127.0.0.1:4711";
const ADDRESS: &str = "secret-label.localhost:4711";
/// The name under which others ask.
const OUTSIDE: &str = "backup.example";
const PASSPHRASE: &str = "what is precious, kept";

/// A server, a browser, and a configuration of their own.
pub(crate) use clocks::{HandClock, SteppedClock};

struct Stand {
    site: Arc<Site>,
    clock: Arc<HandClock>,
    folder: Arc<TempDir>,
    app: App,
    cookie: Option<String>,
    host: &'static str,
}

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Page {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where each link leads.
    fn links(&self) -> Vec<String> {
        let parts = self.text().split("href=\"").skip(1);
        parts.map(|part| part.split('"').next().unwrap().replace("&#38;", "&")).collect()
    }

    /// The link whose address has this in it.
    fn link(&self, part: &str) -> String {
        let links = self.links();
        links.iter().find(|link| link.contains(part)).unwrap_or_else(|| panic!("no {part} in {links:?}")).clone()
    }
}

/// Limits by which nothing is given up because the machine is slow.
fn patient() -> Limits {
    let [head, search, overview] = [Duration::from_hours(1); 3];
    Limits { head, search, overview, ..Limits::default() }
}

/// A program whose configuration and log are in that folder.
fn app_in(folder: &TempDir) -> App {
    App::new(AppOptions {
        configuration_folder: Some(folder.path().join("config")),
        state_folder: Some(folder.path().join("state")),
        ..AppOptions::default()
    })
}

impl Stand {
    fn new(limits: Limits) -> Self {
        Self::over(Arc::new(tempfile::tempdir().unwrap()), limits)
    }

    fn over(folder: Arc<TempDir>, limits: Limits) -> Self {
        let hosts = Hosts::here(LISTEN.parse().unwrap(), "secret-label");
        let entrance = Entrance { cookie: hosts.cookie(LISTEN.parse().unwrap()), hosts, door: Door::Link };
        let app = app_in(&folder);
        Self::at(entrance, ADDRESS, app, folder, limits)
    }

    /// A server for others, whose users are to be added; `users` are made before it begins.
    fn outside(reach: &Reach, users: impl FnOnce(&mut Users) -> Result<(), UsersError>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let app = app_in(&folder);
        Users::edit(app.configuration_folder().unwrap(), users).unwrap();
        let entrance = Entrance::of(&app, LISTEN.parse().unwrap(), reach).unwrap();
        Self::at(entrance, OUTSIDE, app, folder, patient())
    }

    fn at(entrance: Entrance, host: &'static str, app: App, folder: Arc<TempDir>, limits: Limits) -> Self {
        let clock = HandClock::now_standing();
        let site = site(app.clone(), entrance, None, limits, Arc::clone(&clock) as _, Stop::default()).unwrap();
        Self { site: Arc::new(site), clock, folder, app, cookie: None, host }
    }

    /// Another server over the same folders, with a browser that has entered.
    async fn again(&self) -> Self {
        let mut stand = Self::over(Arc::clone(&self.folder), patient());
        stand.enter().await;
        stand
    }

    /// A browser that has entered.
    async fn entered() -> Self {
        let mut stand = Self::new(patient());
        stand.enter().await;
        stand
    }

    fn link(&self) -> String {
        let links = Links { sessions: Arc::clone(&self.site.sessions), host: self.host.to_owned() };
        let link = links.make().unwrap();
        link.strip_prefix(&format!("http://{ADDRESS}")).unwrap().to_owned()
    }

    async fn enter(&mut self) {
        let link = self.link();
        let page = self.post("/enter", link.strip_prefix("/enter?").unwrap()).await;
        assert_eq!((page.status, page.header(LOCATION.as_str())), (StatusCode::SEE_OTHER, "/"), "{}", page.text());
        self.cookie = page.header(SET_COOKIE.as_str()).split(';').next().map(str::to_owned);
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(HOST, self.host);
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Page {
        let (parts, body) = answer(&self.site, request.body(Full::new(body.into())).unwrap()).await.into_parts();
        Page { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    async fn get(&self, path: &str) -> Page {
        self.send(self.request("GET", path), "").await
    }

    /// A page that is there.
    async fn page(&self, path: &str) -> Page {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&page.body));
        page
    }

    /// The page of a run when it has ended.
    async fn ended(&self, path: &str) -> Page {
        loop {
            let page = self.page(path).await;
            if !page.text().contains("data-events") {
                return page;
            }
            tokio::task::yield_now().await;
        }
    }

    /// A form as a browser sends it.
    async fn post(&self, path: &str, form: &str) -> Page {
        let request = self.request("POST", path).header(ORIGIN, "null").header("sec-fetch-site", "same-origin");
        self.send(request, form.to_owned()).await
    }

    /// The token in the forms of a page.
    async fn token(&self) -> String {
        let page = self.page("/").await;
        let behind = page.text().split("name=\"token\" value=\"").nth(1).unwrap();
        behind.split('"').next().unwrap().to_owned()
    }

    /// Changes a setting of a place of the configuration.
    fn set(&self, kind: Kind, name: &str, setting: &str, value: &str) {
        Configuration::edit::<_, ConfigurationError>(&self.folder.path().join("config"), |configuration| {
            configuration.set(kind, &PlaceName::new(kind, name)?, setting, value)
        })
        .unwrap();
    }

    /// A source of that name in the configuration.
    fn source(&self, name: &str, path: &std::path::Path) {
        Configuration::edit::<_, ConfigurationError>(&self.folder.path().join("config"), |configuration| {
            let name = PlaceName::new(Kind::Source, name)?;
            configuration.create(Kind::Source, &name)?;
            configuration.set(Kind::Source, &name, "location", path.to_str().unwrap())
        })
        .unwrap();
    }

    /// A repository of that name in the configuration, which is encrypted where nothing opens it there.
    async fn repository(&self, name: &str, secret: Secret) {
        let path = self.folder.path().join(name);
        Configuration::edit::<_, ConfigurationError>(&self.folder.path().join("config"), |configuration| {
            let name = PlaceName::new(Kind::Repository, name)?;
            configuration.create(Kind::Repository, &name)?;
            configuration.set(Kind::Repository, &name, "location", path.to_str().unwrap())
        })
        .unwrap();
        let place = self.app.place(Kind::Repository, format!("@{name}").as_ref(), Settings::new()).unwrap();
        let options = CreateOptions { label: "first".to_owned(), ..CreateOptions::new(secret) };
        self.app.create_repository(&place, &options, false).await.unwrap();
    }

    /// A snapshot of these contents; its id.
    async fn backup(&self, name: &str, contents: &[(&[u8], &[u8])]) -> String {
        self.backup_with(name, Secret::None, contents).await
    }

    /// The same in a repository that something opens.
    async fn backup_with(&self, name: &str, secret: Secret, contents: &[(&[u8], &[u8])]) -> String {
        let source = MemorySource::new();
        contents.iter().for_each(|(key, bytes)| source.put(credenza_model::Key::new(*key), bytes.to_vec()));
        self.backup_of(name, secret, Arc::new(source)).await
    }

    /// Backs up a source.
    async fn backup_of(&self, name: &str, secret: Secret, source: Arc<dyn Source>) -> String {
        let place = self.app.place(Kind::Repository, format!("@{name}").as_ref(), Settings::new()).unwrap();
        let options = OpenOptions { purpose: StoreUse::Write, secret, accept_plaintext: false };
        let open = self.app.open_repository(place, options).await.unwrap();
        let options =
            BackupOptions { location: "memory".to_owned(), host: "<b>host</b>".to_owned(), ..BackupOptions::default() };
        let report = backup::run(&open.repository, source, &options, &RunContext::default()).await.unwrap();
        report.snapshot.unwrap().to_string()
    }
}
