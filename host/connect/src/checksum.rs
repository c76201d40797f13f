//! Checksums: bytes held against the one that a remote stated of them, and the one that goes with what is written.
//!
//! Owned here: which of several checksums is computed, and how. Refused here: what a difference means for an object (the engine's, which
//! calls this for what it reads, and [`Retry`](crate::Retry)'s for what it wrote), sending one (the sandbox's). Memory: the state of one digest.

use crc_fast::CrcAlgorithm;
use credenza_model::Checksum;
use md5::{Digest as _, Md5};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use crate::Payload;

/// A checksum being computed over bytes as they come, and what it is to be in the end.
pub struct Verifier {
    stated: Checksum,
    digest: Digest,
}

enum Digest {
    /// With the bytes that its value takes.
    Crc(Box<crc_fast::Digest>, usize),
    Md5(Box<Md5>),
    Sha(Box<ring::digest::Context>),
}

impl Digest {
    /// That of an algorithm by the name that S3 gives it (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>).
    fn of(algorithm: &str) -> Option<Self> {
        let crc = |algorithm, bytes| Self::Crc(Box::new(crc_fast::Digest::new(algorithm)), bytes);
        match algorithm {
            "crc64nvme" => Some(crc(CrcAlgorithm::Crc64Nvme, 8)),
            "crc32c" => Some(crc(CrcAlgorithm::Crc32Iscsi, 4)),
            "crc32" => Some(crc(CrcAlgorithm::Crc32IsoHdlc, 4)),
            "sha256" => Some(Self::Sha(Box::new(ring::digest::Context::new(&SHA256)))),
            "sha1" => Some(Self::Sha(Box::new(ring::digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY)))),
            "md5" => Some(Self::Md5(Box::new(Md5::new()))),
            _ => None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(digest, _) => digest.update(bytes),
            Self::Md5(digest) => digest.update(bytes),
            Self::Sha(context) => context.update(bytes),
        }
    }

    /// Its value, as S3 writes it: numbers in network order.
    fn value(self) -> Vec<u8> {
        match self {
            Self::Crc(digest, bytes) => {
                let value = digest.finalize().to_be_bytes();
                value.last_chunk::<4>().filter(|_| bytes == 4).map_or(value.to_vec(), |half| half.to_vec())
            }
            Self::Md5(digest) => digest.finalize().to_vec(),
            Self::Sha(context) => context.finish().as_ref().to_vec(),
        }
    }
}

/// Algorithms, the cheapest first: against chance each of them is enough.
const BY_COST: [&str; 6] = ["crc64nvme", "crc32c", "crc32", "sha256", "sha1", "md5"];

impl Verifier {
    /// For the cheapest of these checksums; `None` when no algorithm among them is known.
    #[must_use]
    pub fn new(stated: &[Checksum]) -> Option<Self> {
        let cheapest = BY_COST.iter().find_map(|name| stated.iter().find(|checksum| checksum.algorithm == *name))?;
        Some(Self { stated: cheapest.clone(), digest: Digest::of(&cheapest.algorithm)? })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// Whether all bytes together have the checksum that was stated; else the name of its algorithm.
    ///
    /// # Errors
    /// The algorithm, when they have not.
    pub fn finish(self) -> Result<(), String> {
        if self.digest.value() == self.stated.value { Ok(()) } else { Err(self.stated.algorithm) }
    }

    /// Whether a payload has one of these checksums; `None` when that cannot be known.
    #[must_use]
    pub fn verdict(stated: &[Checksum], payload: &Payload) -> Option<bool> {
        let mut verifier = Self::new(stated)?;
        payload.pieces().iter().for_each(|piece| verifier.update(piece));
        Some(verifier.finish().is_ok())
    }
}

/// The checksum of a payload by the algorithm of that name; `None` when it is not known.
#[must_use]
pub fn checksum_of(algorithm: &str, payload: &Payload) -> Option<Vec<u8>> {
    let mut digest = Digest::of(algorithm)?;
    payload.pieces().iter().for_each(|piece| digest.update(piece));
    Some(digest.value())
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("stated", &self.stated).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values over `123456789`, of the catalogue of parametrised CRC algorithms (<https://reveng.sourceforge.io/crc-catalogue/>), of
    /// RFC 1321's and FIPS 180's functions.
    const CHECKED: [(&str, &str); 6] = [
        ("crc64nvme", "ae8b14860a799888"),
        ("crc32c", "e3069283"),
        ("crc32", "cbf43926"),
        ("sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("md5", "25f9e794323b453885f5181f1b624d0b"),
    ];

    fn stated(algorithm: &str, hex: &str) -> Checksum {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        Checksum { algorithm: algorithm.to_owned(), value: (0..hex.len()).step_by(2).map(byte).collect() }
    }

    #[test]
    fn every_algorithm_takes_its_check_value_and_nothing_else() {
        for (algorithm, hex) in CHECKED {
            let checksums = [stated(algorithm, hex)];
            let of = |text: &str| Verifier::verdict(&checksums, &Payload::from(text.as_bytes().to_vec()));
            assert_eq!((of("123456789"), of("123456780")), (Some(true), Some(false)), "{algorithm}");
            let cut = [Checksum { value: checksums[0].value[1..].to_vec(), ..checksums[0].clone() }];
            assert_eq!(Verifier::verdict(&cut, &Payload::from(b"123456789".to_vec())), Some(false), "{algorithm}");
        }
    }

    #[test]
    fn the_cheapest_of_several_is_computed_and_an_unknown_one_tells_nothing() {
        let wrong_md5 = stated("md5", "00000000000000000000000000000000");
        let both = [wrong_md5, stated("crc32", "cbf43926")];
        assert_eq!(Verifier::verdict(&both, &Payload::from(b"123456789".to_vec())), Some(true));
        assert_eq!(Verifier::verdict(&[stated("crc99", "00")], &Payload::default()), None);
        let nothing = [Checksum { algorithm: "crc32".to_owned(), value: Vec::new() }];
        assert_eq!(Verifier::verdict(&nothing, &Payload::default()), Some(false));
    }
}
