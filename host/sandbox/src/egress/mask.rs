//! The body of an answer while a guest has it: handed on untouched, or read by the guest without the secrets that it may repeat.
//!
//! An error document may quote the request, its signature and its session token with it. Secrets are replaced by as many `*`, so that lengths
//! stay right. A piece is given out only when no secret can begin in it and end behind it.
//!
//! Not hidden: what is short or a name ([`Masker::needles`]), because it may be an ordinary part of what is read.

use bytes::{Bytes, BytesMut};
use credenza_connect::{Body, Result};
use memchr::memmem;

use super::RemoteBody;
use crate::settings::{Masker, SecretText};

/// A body and what of it has come.
pub(crate) struct Arriving {
    body: RemoteBody,
    mask: Mask,
    is_whole: bool,
}

impl Arriving {
    /// A body of which nothing was read yet.
    pub(crate) fn new(body: RemoteBody, masker: &Masker) -> Self {
        let mut needles = masker.needles();
        needles.extend(body.proof.clone());
        Self { body, mask: Mask::new(needles), is_whole: false }
    }

    /// What the remote said of its length.
    pub(crate) const fn length(&self) -> Option<u64> {
        self.body.length
    }

    /// At most `max` bytes; none at the end.
    pub(crate) async fn read_veiled(&mut self, max: usize) -> Result<Bytes> {
        while self.mask.clear == 0 && !self.is_whole && max > 0 {
            match self.body.next().await? {
                Some(piece) => self.mask.take_in(&piece),
                None => {
                    self.is_whole = true;
                    self.mask.end();
                }
            }
        }
        Ok(self.mask.give_out(max))
    }

    /// The rest, for the engine.
    pub(crate) fn into_body(self) -> Body {
        self.body.into_body(self.mask.unread.freeze())
    }
}

/// Bytes on their way to a guest.
struct Mask {
    needles: Vec<SecretText>,
    unread: BytesMut,
    /// Bytes at the front of `unread` in which no secret can begin any more.
    clear: usize,
}

/// As many `*` as the secret has bytes, wherever it is. Each place is looked at once: a secret may itself be of `*` alone.
pub(super) fn blot(bytes: &mut [u8], secret: &[u8]) {
    if secret.is_empty() {
        return;
    }
    let places: Vec<usize> = memmem::find_iter(bytes, secret).collect();
    for at in places {
        bytes.get_mut(at..at.saturating_add(secret.len())).unwrap_or_default().fill(b'*');
    }
}

impl Mask {
    fn new(needles: Vec<SecretText>) -> Self {
        Self { needles, unread: BytesMut::new(), clear: 0 }
    }

    fn take_in(&mut self, piece: &[u8]) {
        self.unread.extend_from_slice(piece);
        let longest = self.needles.iter().map(|needle| needle.expose().len()).max().unwrap_or(0);
        for needle in &self.needles {
            blot(&mut self.unread, needle.expose().as_bytes());
        }
        self.clear = self.unread.len().saturating_sub(longest.saturating_sub(1));
    }

    fn end(&mut self) {
        self.clear = self.unread.len();
    }

    fn give_out(&mut self, max: usize) -> Bytes {
        let length = max.min(self.clear);
        self.clear = self.clear.saturating_sub(length);
        self.unread.split_to(length).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a guest reads of a body that arrives in such pieces.
    fn read(pieces: &[&str], max: usize) -> String {
        let masker = Masker::new([SecretText::new("a-secret-of-some-length"), SecretText::new("short")]);
        let mut mask = Mask::new(masker.needles());
        let mut read = Vec::new();
        for piece in pieces {
            mask.take_in(piece.as_bytes());
            while mask.clear > 0 {
                read.extend_from_slice(&mask.give_out(max));
            }
        }
        mask.end();
        while mask.clear > 0 {
            read.extend_from_slice(&mask.give_out(max));
        }
        String::from_utf8(read).unwrap()
    }

    #[test]
    fn a_secret_that_is_what_hides_it_ends_the_search() {
        let mut bytes = *b"a ************ b";
        blot(&mut bytes, b"************");
        blot(&mut bytes, b"");
        assert_eq!(&bytes, b"a ************ b");
    }

    #[test]
    fn a_secret_that_is_repeated_does_not_reach_the_guest_however_it_arrives() {
        let body = "<Token>a-secret-of-some-length</Token>a-secret-of-some-lengtha-secret-of-some-length, short";
        let veiled = body.replace("a-secret-of-some-length", &"*".repeat(23));
        for size in [1, 2, 7, 22, 23, 24, 1000] {
            let pieces: Vec<String> =
                body.as_bytes().chunks(size).map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            for max in [1, 5, 1000] {
                assert_eq!(read(&pieces, max), veiled, "pieces of {size}, reads of {max}");
            }
        }
    }

    #[test]
    fn a_body_without_secrets_comes_as_it_is() {
        assert_eq!(
            read(&["a-secret-of-some-", "a-secret-of-some-lengt"], 4),
            "a-secret-of-some-a-secret-of-some-lengt"
        );
        assert_eq!(read(&[], 4), "");
    }
}
