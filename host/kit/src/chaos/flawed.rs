//! A source with one flaw at a time, and one with none: the checks catch the former and let the latter pass.
//!
//! It reads a bucket of the S3 stand-in over a connection of its own for each request.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::CaseOutcome;
use credenza_connect::{
    Batch, Body, ByteRange, Check, Destination, Error, ErrorClass, Found, Opened, Result, ScanOptions, Scanner, Source,
    SourceDocument, SourceInfo, Store,
};
use credenza_model::{Attribute, Entry, EntryKind, Key, Timestamp};
use credenza_sandbox::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Group;
use crate::exchange::{encode, texts};
use crate::plan::Names;
use crate::stand_in::StandInKind;
use crate::subject::{Place, Subject};

const PAGE_KEYS: usize = 4;
const HEAD_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// A document that is none is a page without names.
    ErrorIsEmpty,
    /// What came is all, whatever was promised.
    BreakIsEnd,
    /// Every answer is a good one.
    AnyStatus,
    /// A busy server is its own failure.
    BusyIsInternal,
    /// A redirect is followed with all headers.
    FollowsRedirects,
    /// It asks until it is answered.
    AsksForEver,
    /// What is no content is nothing.
    OddIsMissing,
    /// A part is taken for the one that was asked for.
    AnyRange,
    /// An object without a name is passed over.
    PassesOverNameless,
    /// A shorter content is a content.
    AnySize,
    /// A page that is not full is the last.
    ShortIsLast,
    /// A page that goes on goes on.
    AnyToken,
    /// A document that breaks off says what it says.
    CutIsWhole,
}

/// Each flaw, and a check that must find it.
const CAUGHT: [(Flaw, &str); 13] = [
    (Flaw::ErrorIsEmpty, "chaos.error-in-success.source"),
    (Flaw::BreakIsEnd, "chaos.truncated.source"),
    (Flaw::AnyStatus, "chaos.bad-gateway.source"),
    (Flaw::BusyIsInternal, "chaos.unavailable.source"),
    (Flaw::FollowsRedirects, "chaos.redirect-away.source"),
    (Flaw::AsksForEver, "chaos.too-many.source"),
    (Flaw::OddIsMissing, "chaos.html-page.source"),
    (Flaw::AnyRange, "chaos.other-range.source"),
    (Flaw::PassesOverNameless, "chaos.missing-field.source"),
    (Flaw::AnySize, "chaos.length-too-short.source"),
    (Flaw::ShortIsLast, "chaos.short-pages.source"),
    (Flaw::AnyToken, "chaos.endless-pages.source"),
    (Flaw::CutIsWhole, "chaos.cut-document.source"),
];

struct Bucket(Flaw);

#[async_trait]
impl Subject for Bucket {
    async fn source(&self, at: Place<'_>) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(Objects { flaw: self.0, address: at.address.to_owned(), folder: at.folder.to_owned() }))
    }

    async fn store(&self, _at: Place<'_>) -> Result<Arc<dyn Store>> {
        Err(error(ErrorClass::Unsupported, "no store"))
    }

    async fn destination(&self, _at: Place<'_>) -> Result<Arc<dyn Destination>> {
        Err(error(ErrorClass::Unsupported, "no destination"))
    }
}

fn error(class: ErrorClass, message: &str) -> Error {
    Error::new(class, "test", message)
}

#[derive(Clone)]
struct Objects {
    flaw: Flaw,
    address: String,
    folder: String,
}

struct Answer {
    status: u16,
    head: String,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &'_ str| line.split_once(": ").is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| named(line)).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }
}

impl Objects {
    async fn ask(&self, address: &str, target: &str, headers: &str) -> Result<Answer> {
        let broken = |_| error(ErrorClass::Transient, "the connection broke off");
        let mut stream = TcpStream::connect(address).await.map_err(broken)?;
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: {address}\r\nauthorization: AWS4-HMAC-SHA256 x\r\nconnection: close\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes).await {
            Err(_) if self.flaw != Flaw::BreakIsEnd => return Err(error(ErrorClass::Transient, "it broke off")),
            _ => {}
        }
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(0);
        if end > HEAD_BYTES_MAX || end == 0 && bytes.len() > HEAD_BYTES_MAX {
            return Err(error(ErrorClass::Corrupt, "too many headers"));
        }
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| error(ErrorClass::Transient, "no answer"))?;
        let answer = Answer { status, head, body: Bytes::from(bytes).split_off(end + 4) };
        let promised = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
        if promised.is_some_and(|promised| promised != answer.body.len()) && self.flaw != Flaw::BreakIsEnd {
            return Err(error(ErrorClass::Transient, "the body broke off"));
        }
        Ok(answer)
    }

    async fn get(&self, target: &str, headers: &str) -> Result<Answer> {
        loop {
            let answer = self.ask(&self.address, target, headers).await;
            if self.flaw == Flaw::AsksForEver && !answer.as_ref().is_ok_and(|answer| answer.status < 300) {
                continue;
            }
            let answer = answer?;
            return match answer.status {
                200 | 206 => Ok(answer),
                _ if self.flaw == Flaw::AnyStatus => Ok(answer),
                429 | 500.. if self.flaw == Flaw::BusyIsInternal => Err(error(ErrorClass::Internal, "busy")),
                429 | 500.. => Err(error(ErrorClass::Transient, "the server is busy")),
                300..=399 if self.flaw == Flaw::FollowsRedirects => {
                    let to = answer.header("location").unwrap_or_default();
                    let (address, path) = to.trim_start_matches("http://").split_once('/').unwrap_or_default();
                    let address = if address.is_empty() { &self.address } else { address };
                    self.ask(address, &format!("/{path}"), headers).await
                }
                300..=399 => Err(error(ErrorClass::Configuration, "it is elsewhere")),
                _ => Err(error(ErrorClass::Unsupported, "an odd status")),
            };
        }
    }

    fn odd(&self, message: &str) -> Error {
        let class = if self.flaw == Flaw::OddIsMissing { ErrorClass::NotFound } else { ErrorClass::Corrupt };
        error(class, message)
    }

    async fn page(&self, token: Option<&str>) -> Result<(Vec<Entry>, Option<String>)> {
        let going_on = token.map(|token| format!("&continuation-token={token}")).unwrap_or_default();
        let target =
            format!("/kit?list-type=2&max-keys={PAGE_KEYS}&encoding-type=url&prefix={}/{going_on}", self.folder);
        let answer = self.get(&target, "").await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let is_page = text.contains("<ListBucketResult");
        if !is_page && !matches!(self.flaw, Flaw::ErrorIsEmpty | Flaw::AnyStatus) {
            return Err(self.odd("no page"));
        }
        if is_page && !text.ends_with("</ListBucketResult>") && self.flaw != Flaw::CutIsWhole {
            return Err(self.odd("half a page"));
        }
        let pieces: Vec<&str> = text.split("<Contents>").skip(1).collect();
        let mut entries = Vec::new();
        for piece in &pieces {
            match texts(piece, "Key").pop() {
                Some(key) => {
                    let key = crate::exchange::decode(key.as_bytes());
                    let key = key.strip_prefix(format!("{}/", self.folder).as_bytes()).map(<[u8]>::to_vec);
                    let mut entry = Entry::new(Key::new(key.ok_or_else(|| self.odd("another key"))?), EntryKind::File);
                    entry.size = texts(piece, "Size").pop().and_then(|size| size.parse().ok());
                    entry.fingerprint = texts(piece, "ETag").pop();
                    entries.push(entry);
                }
                None if self.flaw == Flaw::PassesOverNameless => {}
                None => return Err(self.odd("an object without a key")),
            }
        }
        let next = texts(&text, "NextContinuationToken").pop();
        let goes_on = match texts(&text, "IsTruncated").pop().as_deref() {
            Some(word) => word == "true",
            None if is_page && self.flaw != Flaw::CutIsWhole => return Err(self.odd("no end")),
            None => false,
        };
        if goes_on && next.is_none() {
            return Err(self.odd("no way on"));
        }
        if next.is_some() && next.as_deref() == token && self.flaw != Flaw::AnyToken {
            return Err(self.odd("a page without end"));
        }
        let is_last = !goes_on || self.flaw == Flaw::ShortIsLast && pieces.len() < PAGE_KEYS;
        Ok((entries, next.filter(|_| !is_last)))
    }
}

#[async_trait]
impl Source for Objects {
    async fn info(&self) -> Result<SourceInfo> {
        let traits = ["fingerprints", "ranged-read"].map(str::to_owned).to_vec();
        Ok(SourceInfo { identity: "test".to_owned(), namespace: "flat".to_owned(), traits })
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn scan(&self, _options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        Ok(Box::new(Walk { objects: self.clone(), token: None }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, _if_match: Option<&str>) -> Result<Opened> {
        let key = encode(&[self.folder.as_bytes(), b"/", entry.key.as_bytes()].concat());
        let last = range.map(|range| (range.offset, range.length.map(|length| range.offset + length - 1)));
        let wish = last.map(|(first, last)| {
            format!("range: bytes={first}-{}\r\n", last.map(|last| last.to_string()).unwrap_or_default())
        });
        let answer = self.get(&format!("/kit/{key}"), &wish.unwrap_or_default()).await?;
        let is_lenient = matches!(self.flaw, Flaw::BreakIsEnd | Flaw::AnyStatus);
        let tag = answer.header("etag").map(str::to_owned);
        if !is_lenient && (tag.is_none() || entry.fingerprint.is_some() && tag != entry.fingerprint) {
            return Err(self.odd("another content"));
        }
        let promised = last.map(|(first, _)| format!("bytes {first}-"));
        let stated = answer.header("content-range").unwrap_or_default();
        let is_part = promised.is_none_or(|promised| stated.starts_with(&promised));
        let length = range.and_then(|range| range.length).or(entry.size.filter(|_| range.is_none()));
        let is_long = length.is_none_or(|length| length == answer.body.len() as u64);
        if !is_lenient && !is_part && self.flaw != Flaw::AnyRange {
            return Err(error(ErrorClass::Unsupported, "another part"));
        }
        if !is_lenient && !is_long && self.flaw != Flaw::AnySize {
            return Err(error(ErrorClass::Precondition, "it has another length"));
        }
        Ok(Opened { entry: entry.clone(), body: Body::from_bytes(answer.body) })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        Ok(entries.iter().map(|_| Ok(Vec::new())).collect())
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        Ok(Vec::new())
    }
}

struct Walk {
    objects: Objects,
    token: Option<String>,
}

#[async_trait]
impl Scanner for Walk {
    async fn next(&mut self, _max: usize) -> Result<Batch> {
        let (entries, next) = self.objects.page(self.token.as_deref()).await?;
        let more = next.is_some();
        self.token = next;
        Ok(Batch { found: entries.into_iter().map(Found::Entry).collect(), more })
    }
}

async fn run(flaw: Flaw, only: Option<&str>) -> Vec<(&'static str, CaseOutcome)> {
    let names = Names { key_bytes_max: 1000, any_bytes: false };
    let group = Group { subject: Arc::new(Bucket(flaw)), kind: StandInKind::S3, names, seed: 7, only };
    let results = group.run(Role::Source).await.unwrap();
    results.into_iter().map(|result| (result.id, result.outcome)).collect()
}

#[tokio::test]
async fn a_source_without_a_flaw_gets_along_with_every_liberty() {
    let results = run(Flaw::None, None).await;
    let passed = results.iter().filter(|(_, outcome)| *outcome == CaseOutcome::Passed).count();
    assert_eq!(passed, results.len(), "{results:#?}");
}

#[tokio::test]
async fn every_flaw_is_caught() {
    for (flaw, id) in CAUGHT {
        let results = run(flaw, Some(id)).await;
        let is_caught = matches!(results.as_slice(), [(_, CaseOutcome::Failed(_))]);
        assert!(is_caught, "{flaw:?}: {results:?}");
    }
}

#[tokio::test]
async fn a_seed_repeats_what_a_server_does() {
    let id = Some("chaos.truncated.source");
    assert_eq!(run(Flaw::BreakIsEnd, id).await, run(Flaw::BreakIsEnd, id).await);
}
