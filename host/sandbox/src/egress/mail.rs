//! Mail of the host's own, to whoever is to hear of something: one letter, on a connection of its own.
//!
//! Owned here: the way to the server and how it is secured, and that all of it ends within [`WHOLE_TIMEOUT`]. Refused here: retries, and what a letter says
//! (`app`). Without TLS nothing goes to another machine, and a server that offers none where it is wanted gets neither password nor letter.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::message::is_this_machine;
use crate::settings::SecretText;

/// How long a letter may take: servers make strangers wait, and some look at each letter before they take it.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A letter that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Not an address of mail.
    #[error("`{}` is no address of mail", text.escape_debug())]
    Address {
        /// What was given.
        text: String,
    },
    /// Without TLS, to another machine.
    #[error("{server} would be given mail without TLS, and is not this machine")]
    ClearText {
        /// The server.
        server: String,
    },
    /// The letter, or the certificates to trust, cannot be made.
    #[error("the letter cannot be made: {cause}")]
    Letter {
        /// Why.
        cause: String,
    },
    /// The server did not take it.
    #[error("{server} did not take the letter: {cause}")]
    Refused {
        /// Host and port.
        server: String,
        /// Why, as far as it said so.
        cause: String,
    },
    /// The whole took too long.
    #[error("{server} did not take the letter within {} s", WHOLE_TIMEOUT.as_secs())]
    Late {
        /// Host and port.
        server: String,
    },
}

/// How the way to a server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte on.
    Implicit,
    /// From `STARTTLS` on, before anything is said.
    StartTls,
    /// Not at all: for this machine alone.
    None,
}

/// Who takes mail.
#[derive(Debug, Clone)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way is secured.
    pub tls: MailTls,
    /// Certificates in PEM that are trusted beside those of the system.
    pub trusted: Option<Vec<u8>>,
    /// Who sends, where the server asks.
    pub login: Option<(String, SecretText)>,
}

/// A letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Whose it is.
    pub from: String,
    /// Whom it is for.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// What the same letter has each time that it is sent.
    pub id: String,
}

/// Whether a text is an address of mail.
///
/// # Errors
/// [`MailError::Address`].
pub fn parse_mail_address(text: &str) -> Result<(), MailError> {
    mailbox(text).map(drop)
}

fn mailbox(text: &str) -> Result<Mailbox, MailError> {
    text.parse().map_err(|_| MailError::Address { text: text.to_owned() })
}

/// Gives a letter to a server.
///
/// # Errors
/// [`MailError`] says who did not take it, and why. Whether it arrived is not known then.
pub async fn send_mail(server: &MailServer, letter: &Letter) -> Result<(), MailError> {
    if server.tls == MailTls::None && !is_this_machine(&server.host) {
        return Err(MailError::ClearText { server: server.host.clone() });
    }
    let named = format!("{}:{}", server.host, server.port);
    let message = Message::builder()
        .from(mailbox(&letter.from)?)
        .to(mailbox(&letter.to)?)
        .subject(letter.subject.as_str())
        .message_id(Some(format!("<{}@credenza>", letter.id)))
        .header(ContentType::TEXT_PLAIN)
        .body(letter.text.clone())
        .map_err(|error| MailError::Letter { cause: error.to_string() })?;
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
        .port(server.port)
        .timeout(Some(WHOLE_TIMEOUT))
        .tls(tls(server)?);
    if let Some((user, password)) = &server.login {
        transport = transport.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
    }
    let transport = transport.build();
    match tokio::time::timeout(WHOLE_TIMEOUT, transport.send(message)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(MailError::Refused { server: named, cause: error.to_string() }),
        Err(_) => Err(MailError::Late { server: named }),
    }
}

fn tls(server: &MailServer) -> Result<Tls, MailError> {
    let failed = |error: lettre::transport::smtp::Error| MailError::Letter { cause: error.to_string() };
    let parameters = || {
        let mut parameters = TlsParameters::builder(server.host.clone());
        if let Some(pem) = &server.trusted {
            parameters = parameters.add_root_certificate(Certificate::from_pem(pem).map_err(failed)?);
        }
        parameters.build_rustls().map_err(failed)
    };
    Ok(match server.tls {
        MailTls::Implicit => Tls::Wrapper(parameters()?),
        MailTls::StartTls => Tls::Required(parameters()?),
        MailTls::None => Tls::None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// Takes letters, and answers the end of one as it is told; what it has heard is kept.
    async fn server(verdict: &'static str) -> (MailServer, Arc<Mutex<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(String::new())));
        let hears = Arc::clone(&heard);
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let (reads, mut writes) = connection.into_split();
                writes.write_all(b"220 here\r\n").await.unwrap();
                let (mut lines, mut is_letter) = (BufReader::new(reads).lines(), false);
                while let Ok(Some(line)) = lines.next_line().await {
                    hears.lock().unwrap().push_str(&format!("{line}\n"));
                    let answer = match line.as_str() {
                        "." => {
                            is_letter = false;
                            verdict
                        }
                        _ if is_letter => continue,
                        "DATA" => {
                            is_letter = true;
                            "354 go on\r\n"
                        }
                        _ => "250 well\r\n",
                    };
                    writes.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        let (host, tls) = ("127.0.0.1".to_owned(), MailTls::None);
        (MailServer { host, port, tls, trusted: None, login: None }, heard)
    }

    fn letter(to: &str) -> Letter {
        let (from, to, id) = ("credenza@host.example".to_owned(), to.to_owned(), "n1".to_owned());
        Letter { from, to, subject: "promise broken: Größe".to_owned(), text: "a text\n.\nmore".to_owned(), id }
    }

    #[tokio::test]
    async fn a_letter_is_taken_whole_and_a_refusal_is_said() {
        let (to, heard) = server("250 taken\r\n").await;
        send_mail(&to, &letter("ops@example.org")).await.unwrap();
        let heard = heard.lock().unwrap().clone();
        for part in ["RCPT TO:<ops@example.org>", "Message-ID: <n1@credenza>", "a text\n..\nmore"] {
            assert!(heard.contains(part), "{part}: {heard}");
        }
        let (to, _) = server("550 no such box\r\n").await;
        let error = send_mail(&to, &letter("ops@example.org")).await.unwrap_err().to_string();
        assert!(error.contains("did not take the letter") && error.contains("no such box"), "{error}");
    }

    #[tokio::test]
    async fn nothing_goes_without_tls_to_another_machine_nor_to_a_server_that_offers_none() {
        let (to, heard) = server("250 taken\r\n").await;
        let away = MailServer { host: "mail.example.org".to_owned(), ..to.clone() };
        assert!(matches!(send_mail(&away, &letter("a@b.example")).await, Err(MailError::ClearText { .. })));
        let login = Some(("me".to_owned(), SecretText::new("hunter2")));
        let asked = MailServer { tls: MailTls::StartTls, login, ..to };
        let error = send_mail(&asked, &letter("a@b.example")).await.unwrap_err().to_string();
        let heard = heard.lock().unwrap().clone();
        assert!(
            !heard.contains("AUTH") && !heard.contains("MAIL FROM") && !error.contains("hunter2"),
            "{error} {heard}"
        );
    }

    #[test]
    fn an_address_that_would_add_to_the_letter_is_none() {
        for wrong in ["", "ops", "a@b\r\nBcc: c@d", "a@b, c@d"] {
            assert!(parse_mail_address(wrong).is_err(), "{wrong}");
        }
        assert!(parse_mail_address("Ops <ops@example.org>").is_ok());
    }
}
