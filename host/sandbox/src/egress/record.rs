//! What passes between a connector and a service, as a tape: a text that `credenza_sdk::wire::Tape::parse` plays to the connector's code in a test.
//!
//! ```text
//! > PROPFIND files /books/
//! : depth: 1
//! < 207
//! : etag: "5"
//! | <multistatus>…
//! ```
//!
//! `>` begins a request by method, endpoint and target, `<` an answer by its status, `:` is a header and `|` a line of the body of the one that was
//! begun last; `=` is base64, for a body that is no text.
//!
//! Owned here: what goes onto it: requests as the connector wrote them, before the host signed them; answers without cookies, without what names a request
//! or an account, and with `***` in the place of every secret that is known. Refused here: what cannot be known: whoever records reads the text before
//! giving it away. Held are [`EXCHANGES_MAX`] exchanges of two bodies of [`BODY_BYTES_MAX`] each at most.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use credenza_connect::{Error, ErrorClass, Payload, Result};

use super::mask::blot;
use super::{GuestRequest, Response};
use crate::settings::{Masker, SecretText};

/// More would not be read by anybody.
const EXCHANGES_MAX: usize = 200;
/// Longest body, of a request or an answer.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a line of base64.
const BASE64_LINE_BYTES: usize = 57;
/// Headers of answers that say who asked, or which request it was, and nothing to a connector. `*` stands at the end for any more, and before and
/// behind for any place.
const LEFT_OUT: [&str; 14] = [
    "*cookie*",
    "*request-id*",
    "*requestid*",
    "*trace*",
    "*account*",
    "*owner*",
    "x-amz-id-2",
    "cf-*",
    "www-authenticate",
    "proxy-*",
    "authorization",
    "via",
    "server",
    "connection",
];

/// Takes down what passes.
#[derive(Debug, Default)]
pub struct Recorder {
    exchanges: Mutex<Vec<String>>,
}

impl Recorder {
    /// What was taken down so far.
    #[must_use]
    pub fn tape(&self) -> String {
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        format!(
            "# What a connector asked and a service answered: credenza_sdk::wire::Tape::parse plays it.\n{}",
            exchanges.concat()
        )
    }

    /// How many exchanges that are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes an exchange down, and hands the answer on with the same body.
    pub(super) async fn take_down(
        &self,
        request: &GuestRequest,
        payload: &Payload,
        mut response: Response,
        masker: &Masker,
    ) -> Result<Response> {
        let mut answer = BytesMut::new();
        while let Some(piece) = response.body.next().await? {
            if answer.len().saturating_add(piece.len()) > BODY_BYTES_MAX {
                return Err(too_long(request));
            }
            answer.extend_from_slice(&piece);
        }
        let sent: Vec<u8> =
            payload.pieces().iter().flat_map(|piece| piece.iter().copied()).take(BODY_BYTES_MAX + 1).collect();
        if sent.len() > BODY_BYTES_MAX {
            return Err(too_long(request));
        }
        let answer = answer.freeze();
        let veil = Veil { masker, proof: response.body.proof.as_ref() };
        let mut text = String::new();
        let GuestRequest { method, label, target, headers } = request;
        // Writing into a text does not fail.
        let _ = writeln!(text, "> {method} {label} {}", veil.text(target));
        veil.headers(headers.iter().filter(|(name, _)| !is_left_out(&name.to_ascii_lowercase())), &mut text);
        veil.body(&sent, &mut text);
        let _ = writeln!(text, "< {}", response.status);
        veil.headers(response.headers.iter().filter(|(name, _)| !is_left_out(name)), &mut text);
        veil.body(&answer, &mut text);
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        if exchanges.len() >= EXCHANGES_MAX {
            let message = format!("there are more than {EXCHANGES_MAX} requests: record something smaller");
            return Err(Error::new(ErrorClass::Unsupported, "record.too-many", message));
        }
        exchanges.push(text);
        drop(exchanges);
        response.body.ahead = Some(answer).filter(|bytes| !bytes.is_empty());
        Ok(response)
    }
}

fn too_long(request: &GuestRequest) -> Error {
    let line = format!("{} {}", request.method, request.target).escape_debug().to_string();
    let message = format!(
        "{line}: a body of more than {BODY_BYTES_MAX} bytes is too long to be recorded: record something smaller"
    );
    Error::new(ErrorClass::Unsupported, "record.too-long", message)
}

fn is_left_out(name: &str) -> bool {
    LEFT_OUT.iter().any(|pattern| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), _) => name.contains(rest.trim_end_matches('*')),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == *pattern,
    })
}

/// What hides secrets.
struct Veil<'a> {
    masker: &'a Masker,
    /// What proved who sent the request: an answer may repeat it.
    proof: Option<&'a SecretText>,
}

impl Veil<'_> {
    fn text(&self, text: &str) -> String {
        // A line stays one.
        self.masked(text).chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
    }

    fn masked(&self, text: &str) -> String {
        let proof = self.proof.map(SecretText::expose).filter(|proof| !proof.is_empty());
        self.masker.mask(proof.map_or_else(|| text.to_owned(), |proof| text.replace(proof, "***")))
    }

    fn headers<'h>(&self, headers: impl IntoIterator<Item = &'h (String, String)>, text: &mut String) {
        for (name, value) in headers {
            let _ = writeln!(text, ": {name}: {}", self.text(value));
        }
    }

    fn body(&self, bytes: &[u8], text: &mut String) {
        let plain = std::str::from_utf8(bytes)
            .ok()
            .filter(|body| !body.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
        match plain {
            _ if bytes.is_empty() => {}
            Some(body) => {
                // A secret may have several lines.
                for line in self.masked(body).split('\n') {
                    let _ = writeln!(text, "| {line}");
                }
            }
            None => {
                let mut bytes = Bytes::copy_from_slice(bytes).to_vec();
                for secret in self.masker.secrets().iter().chain(self.proof) {
                    blot(&mut bytes, secret.expose().as_bytes());
                }
                for piece in bytes.chunks(BASE64_LINE_BYTES) {
                    let _ = writeln!(text, "= {}", STANDARD.encode(piece));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a-secret-of-some-length";

    #[test]
    fn what_says_who_asked_is_left_out_and_what_a_connector_needs_is_not() {
        for gone in [
            "set-cookie",
            "x-amz-request-id",
            "x-ms-request-id",
            "x-goog-trace-id",
            "x-ms-account-name",
            "x-amz-expected-bucket-owner",
            "cf-ray",
            "server",
            "x-amz-id-2",
            "authorization",
            "cookie",
        ] {
            assert!(is_left_out(gone), "{gone}");
        }
        for kept in [
            "etag",
            "date",
            "last-modified",
            "content-range",
            "x-amz-meta-a",
            "x-ms-version",
            "content-type",
            "retry-after",
            "location",
        ] {
            assert!(!is_left_out(kept), "{kept}");
        }
    }

    #[test]
    fn no_secret_gets_onto_a_tape_in_any_part() {
        let masker = Masker::new([SecretText::new(SECRET), SecretText::new("hunter2")]);
        let proof = SecretText::new("Bearer proof-of-this-request");
        let veil = Veil { masker: &masker, proof: Some(&proof) };
        let mut text = String::new();
        let headers = [("x-a".to_owned(), format!("{SECRET} hunter2"))];
        veil.headers(&headers, &mut text);
        veil.body(format!("<a>\n{SECRET}hunter2 Bearer proof-of-this-request").as_bytes(), &mut text);
        assert_eq!(text, ": x-a: *** ***\n| <a>\n| ****** ***\n");
        let binary = [b"\0".as_slice(), SECRET.as_bytes(), proof.expose().as_bytes()].concat();
        let mut text = String::new();
        veil.body(&binary, &mut text);
        let decoded = STANDARD.decode(text.trim().trim_start_matches("= ")).unwrap();
        assert_eq!(decoded, [b"\0".as_slice(), &vec![b'*'; binary.len() - 1]].concat());
    }

    #[test]
    fn secrets_are_hidden_whatever_the_lines_of_a_body_end_with() {
        let masker = Masker::new(["bob1", "bob1-Winter2024", "two\nlines"].map(SecretText::new));
        let veil = Veil { masker: &masker, proof: None };
        let mut text = String::new();
        veil.body(b"it is two\nlines and bob1-Winter2024", &mut text);
        assert_eq!(text, "| it is *** and ***\n");
        let mut text = String::new();
        veil.body(b"user bob1\r\npassword bob1-Winter2024\r\n", &mut text);
        let decoded = STANDARD.decode(text.trim().trim_start_matches("= ")).unwrap();
        assert_eq!(decoded, b"user ****\r\npassword ***************\r\n");
    }

    #[test]
    fn nothing_in_an_exchange_can_pass_for_a_line_of_its_own() {
        let veil = Veil { masker: &Masker::default(), proof: None };
        let mut text = String::new();
        veil.headers(&[("a".to_owned(), "b\n< 200".to_owned())], &mut text);
        veil.body(b"x\n< 200\n", &mut text);
        assert_eq!(text, ": a: b < 200\n| x\n| < 200\n| \n");
    }
}
