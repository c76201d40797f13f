//! Who may use the page from elsewhere, and what each may do there: the file `users.toml` beside the configuration.
//!
//! Owned here: users, their roles, and what proves their passwords, which are in no file. Refused here: which action needs which role, how often one may
//! guess, and sessions (`credenza-web`); asking for passwords (the program). The file is private to its owner and replaced whole.
//!
//! ```toml
//! [ana]
//! role = "operator"
//! password = "argon2id:65536:3:4:…:…"
//! ```

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use credenza_format::PasswordProof;
use toml_edit::{DocumentMut, Item, Table};

use crate::configuration::{ConfigurationError, file, suggestion};
use crate::passphrase::{self, Weakness};

/// The file of the users, in the folder of the configuration.
const NAME: &str = "users.toml";
/// Most bytes of a user's name.
const NAME_BYTES_MAX: usize = 64;

/// What a user of the page may do; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees how backups stand and what they are called, and no contents.
    Viewer,
    /// Reads contents, and restores.
    Restorer,
    /// Starts and cancels backups, checks and whatever else loses nothing.
    Operator,
    /// Removes, and changes the configuration.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Restorer, Self::Operator, Self::Admin];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Restorer => "restorer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no role: there are viewer, restorer, operator and admin", text.escape_debug())]
pub struct InvalidRole {
    /// The text.
    pub text: String,
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| InvalidRole { text: text.to_owned() })
    }
}

/// Users that cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// Their file.
    #[error(transparent)]
    File(#[from] ConfigurationError),
    /// A text that can be no name.
    #[error("`{}` is no name for a user: use letters, digits, `_`, `-`, `.`, `+` and `@`, at most 64, beginning with a letter or digit", name.escape_debug())]
    Name {
        /// The text.
        name: String,
    },
    /// Nobody is called so.
    #[error("there is no user `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The most similar name that there is.
        similar: Option<String>,
    },
    /// Somebody is called so already.
    #[error("there is a user `{name}` already")]
    Exists {
        /// The name.
        name: String,
    },
    /// A new password that should not be used.
    #[error("the password is too weak")]
    Weak(#[from] Weakness),
    /// What proves the password cannot be made.
    #[error("the password cannot be kept")]
    Proof(#[source] credenza_format::SlotError),
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// What proves the password; none where others vouch for the user.
    proof: Option<PasswordProof>,
}

impl User {
    /// Whether the user has a password.
    #[must_use]
    pub const fn has_password(&self) -> bool {
        self.proof.is_some()
    }
}

/// All users. What is known of a password is not shown when they are formatted for a developer.
pub struct Users {
    path: PathBuf,
    document: DocumentMut,
}

impl Users {
    /// Reads the users beside the configuration in `folder`; without a file there are none.
    ///
    /// # Errors
    /// When the file cannot be read or is none of users.
    pub fn read(folder: &Path) -> Result<Self, UsersError> {
        let path = folder.join(NAME);
        let document = file::read_document(&path)?;
        Ok(Self { path, document })
    }

    /// Reads, changes and writes the users while no other process does; nothing is written when `change` fails.
    ///
    /// # Errors
    /// When the file cannot be read or written, and what `change` gives.
    pub fn edit<T, E: From<UsersError>>(folder: &Path, change: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let _lock = file::lock(folder).map_err(UsersError::from)?;
        let mut users = Self::read(folder)?;
        let answer = change(&mut users)?;
        file::write(&users.path, &users.document.to_string()).map_err(UsersError::from)?;
        Ok(answer)
    }

    /// All of them, in the order of the file.
    ///
    /// # Errors
    /// When one has no role, or a password that is none.
    pub fn all(&self) -> Result<Vec<User>, UsersError> {
        self.document.iter().map(|(name, item)| self.user(name, item)).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// When it has no role, or a password that is none.
    pub fn get(&self, name: &str) -> Result<Option<User>, UsersError> {
        self.document.get(name).map(|item| self.user(name, item)).transpose()
    }

    /// Adds a user; without a password nobody but a proxy or an identity provider that is trusted lets them in.
    ///
    /// # Errors
    /// When the name is none or taken, or the password weak.
    pub fn add(&mut self, name: &str, role: Role, password: Option<&[u8]>) -> Result<(), UsersError> {
        let begins = name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+@".contains(&byte);
        if !begins || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
            return Err(UsersError::Name { name: name.to_owned() });
        }
        if self.document.contains_key(name) {
            return Err(UsersError::Exists { name: name.to_owned() });
        }
        self.document.insert(name, Item::Table(Table::new()));
        self.set_role(name, role)?;
        password.map_or(Ok(()), |password| self.set_password(name, password))
    }

    /// Gives a user another role; sessions of the user end.
    ///
    /// # Errors
    /// [`UsersError::Unknown`].
    pub fn set_role(&mut self, name: &str, role: Role) -> Result<(), UsersError> {
        self.put(name, "role", role.name())
    }

    /// Gives a user another password; sessions of the user end.
    ///
    /// # Errors
    /// When there is no such user, or the password is weak.
    pub fn set_password(&mut self, name: &str, password: &[u8]) -> Result<(), UsersError> {
        passphrase::require_strength(password)?;
        let proof = PasswordProof::new(password).map_err(UsersError::Proof)?;
        self.put(name, "password", &proof.to_string())
    }

    /// Removes a user; sessions of the user end.
    ///
    /// # Errors
    /// [`UsersError::Unknown`].
    pub fn remove(&mut self, name: &str) -> Result<(), UsersError> {
        self.document.remove(name).map(drop).ok_or_else(|| self.unknown(name))
    }

    fn put(&mut self, name: &str, field: &str, text: &str) -> Result<(), UsersError> {
        let unknown = self.unknown(name);
        let user = self.document.get_mut(name).and_then(Item::as_table_like_mut).ok_or(unknown)?;
        user.insert(field, toml_edit::value(text));
        Ok(())
    }

    fn unknown(&self, name: &str) -> UsersError {
        let names = self.document.iter().map(|(name, _)| name);
        UsersError::Unknown { name: name.to_owned(), similar: suggestion(name, names).map(str::to_owned) }
    }

    fn user(&self, name: &str, item: &Item) -> Result<User, UsersError> {
        let shape = |field: &str, expected| ConfigurationError::Shape {
            path: self.path.clone(),
            key: format!("{name}.{field}"),
            expected,
        };
        let text = |field: &str| item.as_table_like().and_then(|table| table.get(field)).and_then(Item::as_str);
        let role = text("role").and_then(|role| role.parse().ok());
        let proof = text("password").map(str::parse).transpose();
        Ok(User {
            name: name.to_owned(),
            role: role.ok_or_else(|| shape("role", "viewer, restorer, operator or admin"))?,
            proof: proof.map_err(|_| shape("password", "what `credenza ui user password` writes"))?,
        })
    }
}

/// The user of a name and a password, if they belong together. It takes as long where there is no such user: 64 MiB and three passes over them.
///
/// # Errors
/// When the users cannot be read, or the system gives no memory.
pub fn proven(folder: &Path, name: &str, password: &[u8]) -> Result<Option<User>, UsersError> {
    let user = Users::read(folder)?.get(name)?;
    let proof = user.as_ref().and_then(|user| user.proof.clone()).unwrap_or_else(PasswordProof::of_nobody);
    let is_proven = proof.is_of(password).map_err(UsersError::Proof)?;
    Ok(user.filter(|_| is_proven))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PASSWORD: &[u8] = b"a long walk by the river";

    #[test]
    fn a_user_is_proven_by_the_own_password_alone_which_is_in_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let change = |change: fn(&mut Users) -> Result<(), UsersError>| Users::edit(folder.path(), change);
        change(|users| users.add("ana", Role::Operator, Some(PASSWORD))).unwrap();
        change(|users| users.add("bo@example.com", Role::Viewer, None)).unwrap();
        let file = folder.path().join(NAME);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("river") && text.contains("argon2id:65536:3:4:"), "{text}");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let proven = |name: &str, password: &[u8]| proven(folder.path(), name, password).unwrap();
        assert_eq!(proven("ana", PASSWORD).unwrap().role, Role::Operator);
        for (name, password) in [("ana", &b"another"[..]), ("bo@example.com", b""), ("none", PASSWORD), ("", b"")] {
            assert!(proven(name, password).is_none(), "{name}");
        }
        let before = proven("ana", PASSWORD);
        change(|users| users.set_role("ana", Role::Admin)).unwrap();
        assert_ne!(before, proven("ana", PASSWORD), "what a session knows of a user is no longer true");
        change(|users| users.remove("ana")).unwrap();
        assert!(proven("ana", PASSWORD).is_none());
    }

    #[test]
    fn what_is_no_user_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let add = |name: &str, password: &[u8]| {
            Users::edit(folder.path(), |users| users.add(name, Role::Viewer, Some(password)))
        };
        for name in ["", ".x", "a b", "a\n", "../x", &"x".repeat(65), "[a]"] {
            assert!(matches!(add(name, PASSWORD), Err(UsersError::Name { .. })), "{name}");
        }
        assert!(matches!(add("ana", b"short"), Err(UsersError::Weak(_))));
        add("ana", PASSWORD).unwrap();
        assert!(matches!(add("ana", PASSWORD), Err(UsersError::Exists { .. })));
        let unknown = Users::edit(folder.path(), |users| users.set_role("anna", Role::Admin)).unwrap_err();
        assert!(matches!(unknown, UsersError::Unknown { similar: Some(similar), .. } if similar == "ana"));
        std::fs::write(folder.path().join(NAME), "[ana]\nrole = \"king\"\n").unwrap();
        let refused = Users::read(folder.path()).unwrap().all().unwrap_err().to_string();
        assert!(refused.contains("`ana.role` must be viewer, restorer, operator or admin"), "{refused}");
    }
}
