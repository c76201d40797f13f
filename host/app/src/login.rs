//! Logging in to a place of the configuration whose connector takes a login: a code for a person, and the refresh token that comes of it, kept as the
//! setting that holds it.
//!
//! Owned here: which place is meant, that its connector may be trusted with what is sent, and keeping the token. Refused here: the protocol
//! (`credenza-sandbox`), showing the code. Called by programs.

use credenza_sandbox::{DeviceCode, DeviceLogin, LoginError, SECRET_COMMAND, SECRET_FILE, SecretText};

use crate::app::App;
use crate::configuration::{Configuration, Kind, PlaceName, Settings, is_for_repositories, suggestion};
use crate::credentials;
use crate::error::Result;
use crate::location::Location;
use crate::place::Place;

const KINDS: [Kind; 3] = [Kind::Repository, Kind::Source, Kind::Destination];

/// A place that nobody can log in to.
#[derive(Debug, thiserror::Error)]
pub enum NoLogin {
    /// No place is called so.
    #[error("there is no place `{}` in the configuration", name.escape_debug())]
    Unknown {
        /// The name.
        name: String,
        /// The most similar name that there is.
        similar: Option<String>,
    },
    /// Places of several kinds are called so.
    #[error("`{name}` names {}", kinds.iter().map(|kind| format!("a {kind}")).collect::<Vec<_>>().join(" and "))]
    Ambiguous {
        /// The name.
        name: String,
        /// Their kinds.
        kinds: Vec<Kind>,
    },
    /// A folder.
    #[error("the {kind} `{name}` is a folder, which takes no login")]
    Folder {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// A setting says already where the token is.
    #[error(
        "the setting `{setting}` of the {kind} `{name}` says where the refresh token is, so that another would not be used"
    )]
    Elsewhere {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
        /// The setting.
        setting: String,
    },
    /// The login itself.
    #[error(transparent)]
    Failed(#[from] LoginError),
}

/// A login under way.
pub struct Login {
    app: App,
    kind: Kind,
    name: PlaceName,
    device: DeviceLogin,
}

impl App {
    /// Prepares a login to a place of the configuration, of whatever kind where none is said. Nothing is sent yet.
    ///
    /// # Errors
    /// [`NoLogin`]; and when no connector serves the place, nobody has agreed to it, or its settings cannot be used.
    pub async fn login(&self, kind: Option<Kind>, name: &str) -> Result<Login> {
        let configuration = self.configuration()?;
        let name = name.strip_prefix('@').unwrap_or(name);
        let kind = kind_of(&configuration, kind, name)?;
        let name = PlaceName::new(kind, name)?;
        let place = Place::named(kind, &name, Settings::new(), &configuration)?;
        let Location::Remote { scheme, text } = &place.location else {
            return Err(NoLogin::Folder { kind, name: name.to_string() }.into());
        };
        let component = self.connectors().serving(scheme, &place.settings)?;
        component.require_trust()?;
        let manifest = &component.manifest;
        let mut settings = place.settings.clone();
        settings.retain(|name, _| !is_for_repositories(name));
        settings.insert("location".to_owned(), SecretText::new(text.as_str()));
        let mut others = settings.clone();
        credentials::gather(manifest, &mut others)?;
        let surroundings = self.surroundings(manifest, &others).await?;
        let device = DeviceLogin::new(manifest, &others, &surroundings).map_err(NoLogin::from)?;
        let elsewhere = [SECRET_FILE, SECRET_COMMAND].map(|source| format!("{}{source}", device.secret()));
        if let Some(setting) = elsewhere.into_iter().find(|setting| settings.contains_key(setting)) {
            return Err(NoLogin::Elsewhere { kind, name: name.to_string(), setting }.into());
        }
        Ok(Login { app: self.clone(), kind, name, device })
    }
}

impl Login {
    /// Asks for the code that a person enters.
    ///
    /// # Errors
    /// As for [`DeviceLogin::begin`].
    pub async fn begin(&self) -> Result<DeviceCode> {
        Ok(self.device.begin().await.map_err(NoLogin::from)?)
    }

    /// Waits until the code was entered, and keeps the refresh token in the configuration; answers with the name of its setting.
    ///
    /// # Errors
    /// As for [`DeviceLogin::finish`]; and when the configuration cannot be written.
    pub async fn finish(&self, code: &DeviceCode) -> Result<&str> {
        let token = self.device.finish(code).await.map_err(NoLogin::from)?;
        let setting = self.device.secret();
        Configuration::edit(self.app.configuration_folder()?, |configuration| {
            self.app.keep_settings(configuration, (self.kind, &self.name), [(setting.to_owned(), token)])
        })?;
        Ok(setting)
    }

    /// What is logged in to.
    #[must_use]
    pub fn place(&self) -> (Kind, &PlaceName) {
        (self.kind, &self.name)
    }
}

/// The kind of the one place that is called so.
fn kind_of(configuration: &Configuration, kind: Option<Kind>, name: &str) -> Result<Kind> {
    if let Some(kind) = kind {
        return Ok(kind);
    }
    let mut kinds = Vec::new();
    let mut names = Vec::new();
    for kind in KINDS {
        let of_kind = configuration.names(kind)?;
        kinds.extend(of_kind.iter().any(|one| one == name).then_some(kind));
        names.extend(of_kind);
    }
    match kinds.as_slice() {
        [kind] => Ok(*kind),
        [] => {
            let similar = suggestion(name, names.iter().map(String::as_str)).map(str::to_owned);
            Err(NoLogin::Unknown { name: name.to_owned(), similar }.into())
        }
        _ => Err(NoLogin::Ambiguous { name: name.to_owned(), kinds }.into()),
    }
}
