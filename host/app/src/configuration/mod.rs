//! The configuration: named repositories, sources and destinations with their settings.
//!
//! Owned here: `config.toml` in the configuration folder, its layout and what may be in it. What this version does not
//! know in the file (keys, tables, comments) is kept as it is. Refused here: what a setting means (`location`,
//! `connectors`), printing. Called by `place` and by programs that change it.
//!
//! ```toml
//! default_repository = "s3"
//!
//! [repository.s3]
//! location = "s3://s3.eu-west-1.amazonaws.com/backups"
//! passphrase = "…"
//! ```

mod edit;
pub(crate) mod file;
mod known;
mod name;
mod settings;

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, TableLike};
use zeroize::Zeroizing;

pub use known::{Known, KnownRepository, Whereabouts};
pub use name::PlaceName;
pub(crate) use settings::is_command;
pub use settings::{
    HOST_SETTINGS, HostSetting, Settings, is_boolean, is_for_repositories, is_path, is_secret, suggestion,
};

const DEFAULT_REPOSITORY: &str = "default_repository";

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// No folder of the configuration is known.
    #[error("there is no folder for the configuration: neither CREDENZA_CONFIG nor XDG_CONFIG_HOME nor HOME is set")]
    NoFolder,
    /// A file or folder that the system refuses.
    #[error("{} cannot be {doing}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was to be done, as in "cannot be read".
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A file larger than any configuration.
    #[error("{} has more than {bytes_max} bytes, which no configuration needs", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The most that is read.
        bytes_max: u64,
    },
    /// A file that is no TOML. What is written there may be secret and is not repeated.
    #[error("{} is no valid TOML, line {line}: {reason}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A key with something else than it should have.
    #[error("{}: `{key}` must be {expected}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The key, with dots between its parts.
        key: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A text that can be no name.
    #[error("`{name}` is no name for a {kind}: use letters, digits, `_`, `-` and `.`, at most 64, beginning with a letter or digit", name = name.escape_debug())]
    Name {
        /// What was to be named.
        kind: Kind,
        /// The text.
        name: String,
    },
    /// No place is called so.
    #[error("there is no {kind} `{name}` in the configuration")]
    Unknown {
        /// What was looked for.
        kind: Kind,
        /// The name.
        name: String,
        /// The most similar name that there is.
        similar: Option<String>,
    },
    /// A place is called so already.
    #[error("there is a {kind} `{name}` in the configuration already")]
    Exists {
        /// What it is.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// The setting to remove is not there.
    #[error("the {kind} `{name}` has no setting `{setting}`")]
    NotSet {
        /// What it is.
        kind: Kind,
        /// The name.
        name: String,
        /// The setting.
        setting: String,
    },
}

impl ConfigurationError {
    /// The file of what locations were, when it is that which says something else than it should.
    #[must_use]
    pub fn broken_memory(&self) -> Option<&Path> {
        match self {
            Self::TooLarge { path, .. } | Self::Syntax { path, .. } | Self::Shape { path, .. } => {
                Some(path.as_path()).filter(|path| path.ends_with(known::NAME))
            }
            _ => None,
        }
    }
}

/// The kinds of place that the configuration keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Where backups are kept.
    Repository,
    /// What is backed up.
    Source,
    /// Where backups are restored to.
    Destination,
}

impl Kind {
    /// The word for a person, and the table in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The configuration as read from its file, secrets included. What was read of the file is wiped, what the parser of TOML keeps of it is not.
#[derive(Default)]
pub struct Configuration {
    path: PathBuf,
    document: DocumentMut,
}

impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configuration").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Configuration {
    /// Reads the configuration in `folder`; without a file it is empty.
    ///
    /// # Errors
    /// When the file cannot be read or is no configuration.
    pub fn read(folder: &Path) -> Result<Self, ConfigurationError> {
        let path = folder.join(file::NAME);
        let document = file::read_document(&path)?;
        Ok(Self { path, document })
    }

    /// Reads, changes and writes the configuration while no other process does; nothing is written when `change` fails.
    ///
    /// # Errors
    /// When the file cannot be read or written, and what `change` gives.
    pub fn edit<T, E: From<ConfigurationError>>(
        folder: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let _lock = file::lock(folder)?;
        let mut configuration = Self::read(folder)?;
        let answer = change(&mut configuration)?;
        file::write(&configuration.path, &Zeroizing::new(configuration.document.to_string()))?;
        Ok(answer)
    }

    /// Whether other users can read the file, and with it the secrets in it.
    #[must_use]
    pub fn is_readable_by_others(&self) -> bool {
        file::is_readable_by_others(&self.path)
    }

    /// What others can change of the file or its folder, so that what is in it may be theirs.
    #[must_use]
    pub fn writable_by_others(&self) -> Option<PathBuf> {
        file::writable_by_others(&self.path)
    }

    /// The file, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all places of a kind, in the order of the file.
    ///
    /// # Errors
    /// [`ConfigurationError::Shape`].
    pub fn names(&self, kind: Kind) -> Result<Vec<String>, ConfigurationError> {
        Ok(self.places(kind)?.map_or_else(Vec::new, |places| places.iter().map(|(name, _)| name.to_owned()).collect()))
    }

    /// The settings of a place.
    ///
    /// # Errors
    /// When there is none of that name, or something in it is no setting.
    pub fn settings(&self, kind: Kind, name: &PlaceName) -> Result<Settings, ConfigurationError> {
        let item = self.places(kind)?.and_then(|places| places.get(name.as_str()));
        let item = item.ok_or_else(|| self.unknown(kind, name))?;
        let table = item.as_table_like().ok_or_else(|| self.shape(format!("{kind}.{name}"), "a table"))?;
        let read =
            |(setting, item): (&str, &Item)| match settings::text_of(item) {
                Some(text) => Ok((setting.to_owned(), text)),
                None => Err(self
                    .shape(format!("{kind}.{name}.{setting}"), "a text, a number, true or false, or a list of texts")),
            };
        table.iter().map(read).collect()
    }

    /// Adds a place without settings.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn create(&mut self, kind: Kind, name: &PlaceName) -> Result<(), ConfigurationError> {
        let exists = self.places(kind)?.is_some_and(|places| places.contains_key(name.as_str()));
        if exists {
            return Err(ConfigurationError::Exists { kind, name: name.to_string() });
        }
        let shape = self.shape(kind.name().to_owned(), "a table");
        let mut implicit = Table::new();
        implicit.set_implicit(true);
        let places = self.document.as_table_mut().entry(kind.name()).or_insert(Item::Table(implicit));
        places.as_table_like_mut().ok_or(shape)?.insert(name.as_str(), Item::Table(Table::new()));
        Ok(())
    }

    /// Sets one setting of a place.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn set(&mut self, kind: Kind, name: &PlaceName, setting: &str, value: &str) -> Result<(), ConfigurationError> {
        edit::put(self.place_mut(kind, name)?, setting, value);
        Ok(())
    }

    /// Removes one setting of a place.
    ///
    /// # Errors
    /// When there is no such setting.
    pub fn unset(&mut self, kind: Kind, name: &PlaceName, setting: &str) -> Result<(), ConfigurationError> {
        if edit::take_out(self.item_mut(kind, name)?, setting) {
            return Ok(());
        }
        Err(ConfigurationError::NotSet { kind, name: name.to_string(), setting: setting.to_owned() })
    }

    /// Removes a place with its settings; nothing else is touched, neither data nor other places.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn remove(&mut self, kind: Kind, name: &PlaceName) -> Result<(), ConfigurationError> {
        self.place_mut(kind, name)?;
        if let Some(places) = self.document.get_mut(kind.name()).and_then(Item::as_table_like_mut) {
            places.remove(name.as_str());
        }
        if kind == Kind::Repository && self.default_repository()?.as_deref() == Some(name.as_str()) {
            self.document.remove(DEFAULT_REPOSITORY);
        }
        Ok(())
    }

    /// The name of the repository that commands use when nothing names one.
    ///
    /// # Errors
    /// [`ConfigurationError::Shape`].
    pub fn default_repository(&self) -> Result<Option<String>, ConfigurationError> {
        match self.document.get(DEFAULT_REPOSITORY) {
            None => Ok(None),
            Some(item) => match item.as_str() {
                Some(name) => Ok(Some(name.to_owned())),
                None => Err(self.shape(DEFAULT_REPOSITORY.to_owned(), "a text")),
            },
        }
    }

    /// Makes a repository the default.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn set_default_repository(&mut self, name: &PlaceName) -> Result<(), ConfigurationError> {
        self.place_mut(Kind::Repository, name)?;
        edit::put(self.document.as_table_mut(), DEFAULT_REPOSITORY, name.as_str());
        Ok(())
    }

    fn places(&self, kind: Kind) -> Result<Option<&dyn TableLike>, ConfigurationError> {
        match self.document.get(kind.name()) {
            None => Ok(None),
            Some(item) => match item.as_table_like() {
                Some(table) => Ok(Some(table)),
                None => Err(self.shape(kind.name().to_owned(), "a table")),
            },
        }
    }

    fn place_mut(&mut self, kind: Kind, name: &PlaceName) -> Result<&mut dyn TableLike, ConfigurationError> {
        let shape = self.shape(format!("{kind}.{name}"), "a table");
        self.item_mut(kind, name)?.as_table_like_mut().ok_or(shape)
    }

    fn item_mut(&mut self, kind: Kind, name: &PlaceName) -> Result<&mut Item, ConfigurationError> {
        let unknown = self.unknown(kind, name);
        let places = self.document.get_mut(kind.name()).and_then(Item::as_table_like_mut);
        places.and_then(|places| places.get_mut(name.as_str())).ok_or(unknown)
    }

    fn unknown(&self, kind: Kind, name: &PlaceName) -> ConfigurationError {
        let names = self.names(kind).unwrap_or_default();
        let similar = suggestion(name.as_str(), names.iter().map(String::as_str)).map(str::to_owned);
        ConfigurationError::Unknown { kind, name: name.to_string(), similar }
    }

    fn shape(&self, key: String, expected: &'static str) -> ConfigurationError {
        ConfigurationError::Shape { path: self.path.clone(), key, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn name(text: &str) -> PlaceName {
        PlaceName::new(Kind::Repository, text).unwrap()
    }

    fn edit(folder: &Path, change: impl FnOnce(&mut Configuration) -> Result<(), ConfigurationError>) {
        Configuration::edit(folder, change).unwrap();
    }

    #[test]
    fn what_is_set_is_read_back_and_what_is_unknown_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let before = "# mine\nfuture = [1, 2]\n\n[repository.old]\nlocation = \"/x\" # here\n";
        fs::write(folder.path().join("config.toml"), before).unwrap();
        edit(folder.path(), |c| {
            c.create(Kind::Repository, &name("s3"))?;
            c.set(Kind::Repository, &name("s3"), "passphrase", "a \"b\" \\ é")
        });
        let configuration = Configuration::read(folder.path()).unwrap();
        let settings = configuration.settings(Kind::Repository, &name("s3")).unwrap();
        assert_eq!(settings["passphrase"].expose(), "a \"b\" \\ é");
        let after = fs::read_to_string(folder.path().join("config.toml")).unwrap();
        assert!(after.starts_with(before), "{after}");
    }

    #[test]
    fn the_file_is_for_its_owner_alone_even_when_it_was_not_before() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new");
        edit(&folder, |c| c.create(Kind::Source, &name("a")));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let file = folder.join("config.toml");
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Configuration::read(&folder).unwrap().is_readable_by_others());
        edit(&folder, |c| c.create(Kind::Source, &name("b")));
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_refused_change_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        edit(folder.path(), |c| c.create(Kind::Repository, &name("a")));
        let before = fs::read(folder.path().join("config.toml")).unwrap();
        let refused = Configuration::edit(folder.path(), |c| {
            c.set(Kind::Repository, &name("a"), "location", "/x")?;
            c.create(Kind::Repository, &name("a"))
        });
        assert!(matches!(refused, Err(ConfigurationError::Exists { .. })));
        assert_eq!(fs::read(folder.path().join("config.toml")).unwrap(), before);
    }

    #[test]
    fn removing_the_default_repository_leaves_no_default() {
        let folder = tempfile::tempdir().unwrap();
        edit(folder.path(), |c| {
            c.create(Kind::Repository, &name("a"))?;
            c.set_default_repository(&name("a"))
        });
        assert_eq!(Configuration::read(folder.path()).unwrap().default_repository().unwrap(), Some("a".to_owned()));
        edit(folder.path(), |c| c.remove(Kind::Repository, &name("a")));
        assert_eq!(Configuration::read(folder.path()).unwrap().default_repository().unwrap(), None);
    }

    #[test]
    fn neither_an_error_nor_a_trace_shows_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), "[repository.a]\npassphrase = \"hunter2\" oops\n").unwrap();
        let error = Configuration::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        fs::write(folder.path().join("config.toml"), "[repository.a]\npassphrase = \"hunter2\"\n").unwrap();
        let shown = format!("{:?}", Configuration::read(folder.path()).unwrap());
        assert!(shown.contains("config.toml") && !shown.contains("hunter2"), "{shown}");
    }
}
