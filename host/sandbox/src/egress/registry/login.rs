//! Who asks a registry: a name and a password, and where programs for containers keep them.
//!
//! Owned here: how they are read. Refused here: files and the environment (the caller hands over texts).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::settings::SecretText;

/// A name and a password.
#[derive(Debug, Clone)]
pub struct RegistryLogin {
    /// `name:password`.
    pair: SecretText,
}

/// A text that holds no name and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLogin {
    /// Not one line `NAME:PASSWORD`.
    #[error("it must be one line: NAME:PASSWORD")]
    Line,
    /// Not the configuration of such a program.
    #[error("it is no JSON with a table `auths`")]
    Document,
    /// The password is kept by another program, which is not asked.
    #[error("the password is kept by a helper program, which credenza does not ask")]
    Helper,
}

impl RegistryLogin {
    /// Reads `NAME:PASSWORD`, one line.
    ///
    /// # Errors
    /// [`InvalidLogin::Line`].
    pub fn of_line(text: &str) -> Result<Self, InvalidLogin> {
        let line = text.trim_end_matches(['\r', '\n']);
        let is_pair = line.split_once(':').is_some_and(|(name, password)| !name.is_empty() && !password.is_empty());
        match is_pair && !line.contains(char::is_control) {
            true => Ok(Self { pair: SecretText::new(line) }),
            false => Err(InvalidLogin::Line),
        }
    }

    /// What the `config.json` of docker and its like says of a server; nothing is common.
    ///
    /// # Errors
    /// When it is no such file, or leaves the password to another program.
    pub fn of_docker(text: &str, server: &str) -> Result<Option<Self>, InvalidLogin> {
        let document: Value = serde_json::from_str(text).map_err(|_| InvalidLogin::Document)?;
        let document = document.as_object().ok_or(InvalidLogin::Document)?;
        let entry = |table: &str| {
            let table = document.get(table).and_then(Value::as_object)?;
            table.iter().find(|(name, _)| server_of(name) == server).map(|(_, entry)| entry)
        };
        if entry("credHelpers").is_some() {
            return Err(InvalidLogin::Helper);
        }
        let Some(entry) = entry("auths") else { return Ok(None) };
        let encoded = entry.get("auth").and_then(Value::as_str).filter(|auth| !auth.is_empty());
        let encoded = encoded.ok_or(InvalidLogin::Helper)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| InvalidLogin::Document)?;
        let pair = String::from_utf8(bytes).map_err(|_| InvalidLogin::Document)?;
        Self::of_line(&pair).map(Some).map_err(|_| InvalidLogin::Document)
    }

    /// The value of the header.
    pub(super) fn basic(&self) -> SecretText {
        SecretText::new(format!("Basic {}", STANDARD.encode(self.pair.expose())))
    }
}

/// Old entries are addresses: `https://registry.example.com/v1/`.
fn server_of(name: &str) -> &str {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    name.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_under_the_name_of_its_server_alone() {
        let auth = STANDARD.encode("me:se:cret");
        let text = format!(
            "{{\"auths\": {{\"a.x:5000\": {{\"auth\": \"{auth}\"}}, \"https://b.x/v1/\": {{\"auth\": \"{auth}\"}}, \"c.x\": {{}}}},
              \"credHelpers\": {{\"d.x\": \"pass\"}}, \"credsStore\": \"desktop\"}}"
        );
        for server in ["a.x:5000", "b.x"] {
            let login = RegistryLogin::of_docker(&text, server).unwrap().unwrap();
            assert_eq!(login.basic().expose(), format!("Basic {auth}"));
        }
        assert!(RegistryLogin::of_docker(&text, "a.x").unwrap().is_none());
        for server in ["c.x", "d.x"] {
            assert!(matches!(RegistryLogin::of_docker(&text, server), Err(InvalidLogin::Helper)), "{server}");
        }
        for wrong in
            ["", "[]", "{\"auths\": {\"a.x\": {\"auth\": \"?\"}}}", "{\"auths\": {\"a.x\": {\"auth\": \"bWU=\"}}}"]
        {
            assert!(matches!(RegistryLogin::of_docker(wrong, "a.x"), Err(InvalidLogin::Document)), "{wrong}");
        }
    }

    #[test]
    fn a_line_is_a_name_and_a_password_and_never_shown() {
        let login = RegistryLogin::of_line("me:hunter2\n").unwrap();
        assert!(!format!("{login:?}").contains("hunter2"));
        for wrong in ["", "me", "me:", ":p", "me:p\nme:q", "me:p\u{1b}"] {
            assert!(RegistryLogin::of_line(wrong).is_err(), "{wrong:?}");
        }
    }
}
