//! Messages of the host's own to whoever is to hear of something: a body is posted to an address, once.
//!
//! Owned here: what an address may be, the proof that a message is ours, and that all of it ends within [`WHOLE_TIMEOUT`]. Refused here: redirects, which
//! could lead a message and its proof to anybody; retries, and what a message says (`app`). Addresses of such services are often secrets themselves: of
//! one, no more than the server is ever repeated. At most [`ANSWER_BYTES_MAX`] of an answer are held, and they are not shown.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use ring::hmac;

use super::exchange::{ExchangeError, exchange, server_of};
use crate::settings::{SecretText, Surroundings};

/// How long a message and its answer may take.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Answers are a word or two.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A message that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not the address of something on a server.
    #[error("that is no address: it must begin with https:// and name a server")]
    Address,
    /// Without TLS, to another machine.
    #[error("{server} would be asked without TLS, and is not this machine")]
    ClearText {
        /// Host and port.
        server: String,
    },
    /// A header that cannot be sent, such as one with a line end.
    #[error("the header `{header}` has something in it that cannot be sent")]
    Header {
        /// Its name.
        header: &'static str,
    },
    /// No answer, or one that is too long.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The whole took too long.
    #[error("{server} did not take the message within {} s", WHOLE_TIMEOUT.as_secs())]
    Late {
        /// Host and port.
        server: String,
    },
    /// The server sends on to another address.
    #[error("{server} sends on to another address (status {status}), which is not followed")]
    Redirect {
        /// Host and port.
        server: String,
        /// The status.
        status: u16,
    },
    /// The server does not take it.
    #[error("{server} answered {status}")]
    Status {
        /// Host and port.
        server: String,
        /// The status.
        status: u16,
    },
}

/// The address of whoever takes messages. Formatted, it names the server alone.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageAddress(Uri);

impl MessageAddress {
    /// Takes `https://…`; `http://…` where that is this machine.
    ///
    /// # Errors
    /// [`MessageError::Address`] and [`MessageError::ClearText`].
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let address: Uri = text.parse().map_err(|_| MessageError::Address)?;
        let host = address.host().filter(|host| !host.is_empty()).ok_or(MessageError::Address)?;
        match address.scheme_str() {
            Some("https") => Ok(Self(address)),
            Some("http") if is_this_machine(host) => Ok(Self(address)),
            Some("http") => Err(MessageError::ClearText { server: server_of(&address) }),
            _ => Err(MessageError::Address),
        }
    }

    /// The same with more at the end of its path.
    ///
    /// # Errors
    /// [`MessageError::Address`] where that makes none.
    pub fn below(&self, end: &str) -> Result<Self, MessageError> {
        let path = self.0.path().trim_end_matches('/');
        let query = self.0.query().map_or_else(String::new, |query| format!("?{query}"));
        let mut parts = self.0.clone().into_parts();
        let joined = format!("{path}/{end}{query}").parse().map_err(|_| MessageError::Address)?;
        parts.path_and_query = Some(joined);
        Uri::from_parts(parts).map(Self).map_err(|_| MessageError::Address)
    }

    /// Scheme and server, which is what a person may see of it.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}://{}", self.0.scheme_str().unwrap_or_default(), server_of(&self.0))
    }

    /// All of it, which may be a secret.
    #[must_use]
    pub fn expose(&self) -> String {
        self.0.to_string()
    }
}

impl std::fmt::Debug for MessageAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Whether a host, as an address has it, is this machine: what is sent there leaves it on no wire.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Posts a body with its headers; `surroundings` are asked for proxies.
///
/// # Errors
/// [`MessageError`] says who did not take it, and why. Whether it arrived is not known then.
pub async fn post(
    to: &MessageAddress,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
    surroundings: &Surroundings<'_>,
) -> Result<(), MessageError> {
    let mut request = Request::post(to.0.clone()).body(Bytes::from(body)).map_err(|_| MessageError::Address)?;
    for (name, value) in headers {
        let mut value = HeaderValue::from_str(value).map_err(|_| MessageError::Header { header: name })?;
        value.set_sensitive(true);
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    let server = server_of(&to.0);
    let whole = tokio::time::timeout(WHOLE_TIMEOUT, exchange(request, ANSWER_BYTES_MAX, surroundings)).await;
    match whole.map_err(|_| MessageError::Late { server: server.clone() })??.status {
        200..=299 => Ok(()),
        status @ 300..=399 => Err(MessageError::Redirect { server, status }),
        status => Err(MessageError::Status { server, status }),
    }
}

/// The proof that a message is of whoever knows the key: HMAC-SHA256 over the time in seconds, a dot and the body, in hexadecimal.
#[must_use]
pub fn message_proof(key: &SecretText, time: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{time}.").as_bytes());
    context.update(body);
    context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_has_tls_or_is_this_machine_and_is_never_shown_whole() {
        let whole = "https://user:hunter2@hooks.example.org/services/hunter2?key=hunter2";
        let address = MessageAddress::parse(whole).unwrap();
        assert_eq!(address.shown(), "https://hooks.example.org");
        assert_eq!(format!("{address:?}"), "https://hooks.example.org");
        assert_eq!(
            address.below("start").unwrap().expose(),
            "https://user:hunter2@hooks.example.org/services/hunter2/start?key=hunter2"
        );
        for here in ["http://127.0.0.1:80/x", "http://localhost/", "http://[::1]:9/"] {
            assert!(MessageAddress::parse(here).is_ok(), "{here}");
        }
        for wrong in [
            "",
            "hunter2",
            "ftp://a/hunter2",
            "http://hooks.example.org/hunter2",
            "http://127.0.0.1.example.org/hunter2",
        ] {
            let error = MessageAddress::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_proof_is_that_of_rfc_2104() {
        // Made with: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let proof = message_proof(&SecretText::new("secret"), 1_700_000_000, br#"{"a":1}"#);
        assert_eq!(proof, "49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
        assert_ne!(proof, message_proof(&SecretText::new("secret"), 1_700_000_001, br#"{"a":1}"#));
    }

    /// Takes one request after the other and answers each as it is told; what it has heard is kept.
    async fn server(answer: &'static str) -> (SocketAddr, Arc<Mutex<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (to, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(String::new())));
        let hears = Arc::clone(&heard);
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut bytes = vec![0; 4096];
                let mut text = String::new();
                while !text.ends_with("END") {
                    let length = connection.read(&mut bytes).await.unwrap();
                    if length == 0 {
                        break;
                    }
                    text.push_str(&String::from_utf8_lossy(&bytes[..length]));
                }
                hears.lock().unwrap().push_str(&text);
                if answer == "stall" {
                    std::future::pending::<()>().await;
                }
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (to, heard)
    }

    async fn posted(answer: &'static str) -> (Result<(), MessageError>, String) {
        let (to, heard) = server(answer).await;
        let address = MessageAddress::parse(&format!("http://{to}/hunter2")).unwrap();
        let headers = [("x-proof", "a b".to_owned())];
        let sent = post(&address, &headers, b"body END".to_vec(), &Surroundings::none()).await;
        let heard = heard.lock().unwrap().clone();
        (sent, heard)
    }

    #[tokio::test]
    async fn a_message_is_taken_and_whatever_else_comes_is_said_without_the_address() {
        let (sent, heard) = posted("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert!(sent.is_ok() && heard.starts_with("POST /hunter2 HTTP/1.1\r\n"), "{sent:?} {heard}");
        assert!(heard.contains("x-proof: a b\r\n") && heard.ends_with("body END"), "{heard}");
        for (answer, part) in [
            ("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", "answered 500"),
            ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "not followed"),
            ("", "does not answer"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "does not answer"),
        ] {
            let error = posted(answer).await.0.unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{answer}: {error}");
        }
    }

    #[tokio::test]
    async fn what_stands_still_is_given_up_as_a_whole() {
        let (to, heard) = server("stall").await;
        let address = MessageAddress::parse(&format!("http://{to}/")).unwrap();
        let surroundings = Surroundings::none();
        let mut sent = std::pin::pin!(post(&address, &[], b"END".to_vec(), &surroundings));
        // The request is out before the clock of the test begins to jump.
        while heard.lock().unwrap().is_empty() {
            tokio::select! {
                done = &mut sent => panic!("nobody has answered: {done:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        let error = sent.await.unwrap_err();
        assert!(matches!(error, MessageError::Late { .. }), "{error}");
        // A timer ends up to a millisecond after its time.
        assert!(begun.elapsed().as_secs() <= WHOLE_TIMEOUT.as_secs(), "{:?}", begun.elapsed());
    }
}
