//! The way of one notice to one who hears.
//!
//! Owned here: what each kind of service is sent, and reading the secrets for it, anew each time. Refused here: connections (`credenza-sandbox`), and when it
//! is tried again (`look`). A secret is never shown, and neither is an address that may be one.

use std::time::Duration;

use credenza_model::Timestamp;
use credenza_sandbox::{
    Letter, MailError, MailServer, MessageError, SecretText, Surroundings, message_proof, post, send_mail,
};
use serde::Serialize;

use super::change::{Notice, Word};
use super::section::{Notify, SecretAt, Section, Target};
use crate::environment;
use crate::passphrase::{PassphraseError, from_command_within, from_file, from_variable};

/// How long a command for a secret may take.
const SECRET_TIMEOUT: Duration = Duration::from_secs(10);
/// Certificates that are trusted have some kilobytes each.
const TRUSTED_BYTES_MAX: u64 = 1024 * 1024;

/// When a message was made, in seconds since 1970; its proof covers it.
const TIME_HEADER: &str = "credenza-timestamp";
/// The proof: `v1=` and HMAC-SHA256 in hexadecimal, over the time, a dot and the body.
const PROOF_HEADER: &str = "credenza-signature";

/// A notice that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// By a service on a server.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// By a server of mail.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// Nothing says which server takes mail.
    #[error("nothing says which server takes mail")]
    NoServer,
    /// The secret that it needs cannot be read.
    #[error("{what} cannot be had: {source}")]
    Secret {
        /// Which secret.
        what: &'static str,
        /// Why.
        source: PassphraseError,
    },
    /// The secret that it needs is no text, or is not there.
    #[error("{what} is no text, or is not set")]
    NoText {
        /// Which secret.
        what: &'static str,
    },
    /// The certificates to trust cannot be read.
    #[error("the certificates to trust cannot be read: {cause}")]
    Trusted {
        /// Why.
        cause: String,
    },
}

/// What a webhook is sent.
#[derive(Serialize)]
struct Message<'a> {
    host: &'a str,
    title: &'a str,
    #[serde(flatten)]
    notice: &'a Notice,
}

/// Gives a notice to one who hears.
pub(in crate::jobs) async fn carry(
    notify: &Notify,
    section: &Section,
    to: &Target,
    notice: &Notice,
    now: Timestamp,
) -> Result<(), CarryError> {
    let host = environment::host_name();
    let title = title(notice.word, &host);
    match to {
        Target::Webhook(address) => {
            let body = serde_json::to_vec(&Message { host: &host, title: &title, notice }).unwrap_or_default();
            let mut headers = vec![("content-type", "application/json".to_owned())];
            if let Some(key) = &section.key {
                let key = secret("the key of the webhook", key).await?;
                headers.push((TIME_HEADER, now.seconds.to_string()));
                headers.push((PROOF_HEADER, format!("v1={}", message_proof(&key, now.seconds, &body))));
            }
            Ok(post(address, &headers, body, &surroundings()).await?)
        }
        Target::Ntfy(address) => {
            let mut headers = vec![("title", ascii(&title)), ("priority", priority(notice.word).to_owned())];
            if let Some(token) = &section.token {
                let token = secret("the token of ntfy", token).await?;
                headers.push(("authorization", format!("Bearer {}", token.expose())));
            }
            Ok(post(address, &headers, notice.text.clone().into_bytes(), &surroundings()).await?)
        }
        Target::Mail(address) => mail(notify, address, &title, notice).await,
    }
}

async fn mail(notify: &Notify, to: &str, title: &str, notice: &Notice) -> Result<(), CarryError> {
    let mail = notify.mail.as_ref().ok_or(CarryError::NoServer)?;
    let login = match &mail.login {
        None => None,
        Some((user, password)) => Some((user.clone(), secret("the password for mail", password).await?)),
    };
    let trusted = mail.trusted.as_ref().map(|path| {
        let failed = |cause: String| CarryError::Trusted { cause: format!("{}: {cause}", path.display()) };
        match std::fs::metadata(path) {
            Ok(found) if found.len() > TRUSTED_BYTES_MAX => Err(failed(format!("more than {TRUSTED_BYTES_MAX} bytes"))),
            _ => std::fs::read(path).map_err(|error| failed(error.to_string())),
        }
    });
    let (host, port, tls) = (mail.host.clone(), mail.port, mail.tls);
    let server = MailServer { host, port, tls, trusted: trusted.transpose()?, login };
    let (from, to, subject) = (mail.from.clone(), to.to_owned(), title.to_owned());
    let letter = Letter { from, to, subject, text: format!("{}\n", notice.text), id: notice.id.clone() };
    Ok(send_mail(&server, &letter).await?)
}

/// One line that says what it is about.
fn title(word: Word, host: &str) -> String {
    format!("credenza on {host}: {}", word.name().replace('-', " "))
}

/// What a header can hold.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// As ntfy has it: what wakes people is rare.
const fn priority(word: Word) -> &'static str {
    match word {
        Word::PromiseBroken | Word::Damage | Word::Suspect | Word::CopyBehind => "urgent",
        Word::PromiseAtRisk | Word::Failed | Word::SourceSilent => "high",
        Word::Incomplete | Word::Recovered | Word::Test => "default",
        Word::Digest => "low",
    }
}

/// Proxies are those of the surroundings.
pub(super) fn surroundings() -> Surroundings<'static> {
    Surroundings { variable: &environment::connector_secret, ..Surroundings::none() }
}

async fn secret(what: &'static str, at: &SecretAt) -> Result<SecretText, CarryError> {
    let at = at.clone();
    let read = move || match &at {
        SecretAt::File(path) => from_file(path).map(Some),
        SecretAt::Command(command) => from_command_within(command.as_ref(), SECRET_TIMEOUT).map(Some),
        SecretAt::Variable(name) => Ok(from_variable(name)),
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(|_| CarryError::NoText { what })?;
    let bytes = read.map_err(|source| CarryError::Secret { what, source })?;
    let text = bytes.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.map(SecretText::new).ok_or(CarryError::NoText { what })
}
