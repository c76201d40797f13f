//! A component as something to back up.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::{
    Batch, Body, ByteRange, Check, Error, ErrorClass, Found, Opened, Result, ScanOptions, Scanner, Source,
    SourceDocument, SourceInfo,
};
use credenza_model::{Attribute, Entry, Key, SkippedEntry, Timestamp};
use wasmtime::component::ResourceAny;

use crate::guest::bindings::{source, types};
use crate::guest::convert;
use crate::guest::{BodyHandle, Instance, Lease, Pool, SourceRole, State, repeatable};

/// Most bytes that a guest hands over in one `reader.read`.
const PULL_BYTES_MAX: u32 = 256 * 1024;

/// A source that runs in the sandbox.
pub(crate) struct SandboxedSource {
    pool: Arc<Pool<SourceRole>>,
    /// What the guest said of the source; a run has one answer.
    info: tokio::sync::OnceCell<SourceInfo>,
}

/// Entries that a walk may tell before a byte was received, and for each byte received: what a connector knows of a remote it
/// has received, and the densest compression of the dullest listing stays far below. A guest that makes its entries up ends there.
const ENTRIES_FREE: u64 = 10_000;
const ENTRIES_PER_BYTE_MAX: u64 = 16;

/// What a read hands on: a body of the host, or a guest that makes bytes.
enum Content {
    Ready(BodyHandle),
    Pull(ResourceAny),
}

impl SandboxedSource {
    pub(crate) fn new(pool: Arc<Pool<SourceRole>>) -> Self {
        Self { pool, info: tokio::sync::OnceCell::new() }
    }

    async fn ask_info(&self) -> Result<SourceInfo> {
        let call = self.pool.call(
            "info",
            |guest, session| {
                Box::pin(async move {
                    let exports = Arc::clone(&guest.exports);
                    exports.session().call_info(&mut guest.store, session).await
                })
            },
            |state: &mut State, info| {
                let identity = state.masker.mask(info.identity);
                Ok(SourceInfo { identity, namespace: info.namespace, traits: info.traits })
            },
        );
        call.await
    }
}

#[async_trait]
impl Source for SandboxedSource {
    async fn info(&self) -> Result<SourceInfo> {
        self.info.get_or_try_init(|| self.ask_info()).await.cloned()
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        let call = self.pool.call(
            "now",
            |guest, session| {
                Box::pin(async move {
                    let exports = Arc::clone(&guest.exports);
                    exports.session().call_now(&mut guest.store, session).await
                })
            },
            |_: &mut State, now: Option<types::Timestamp>| now.map(convert::timestamp).transpose(),
        );
        call.await
    }

    async fn check(&self) -> Vec<Check> {
        let call = self.pool.call(
            "check",
            |guest, session| {
                Box::pin(async move {
                    let exports = Arc::clone(&guest.exports);
                    exports.session().call_check(&mut guest.store, session).await.map(Ok)
                })
            },
            |state: &mut State, checks| Ok(convert::checks(state, checks)),
        );
        call.await.unwrap_or_else(convert::failed_check)
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let ordered = self.info().await?.has("ordered-scan");
        let options = source::ScanOptions {
            prefix: options.prefix.clone(),
            start_after: options.start_after.clone(),
            one_level: options.one_level,
            as_of: options.as_of.map(convert::wit_timestamp),
        };
        let mut lease = self.pool.lease("scan").await?;
        let begun = lease.run_once("scan", |guest, session| {
            let options = options.clone();
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.session().call_scan(&mut guest.store, session, &options).await
            })
        });
        let scanner = begun.await?;
        Ok(Box::new(SandboxedScanner {
            lease: Some(lease),
            scanner,
            ordered,
            last: None,
            reported: 0,
            ended: false,
            prefix: options.prefix,
        }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let asked = convert::wit_entry(entry);
        let if_match = if_match.map(str::to_owned);
        let call = repeatable(|guest: &mut Instance<SourceRole>, session| {
            let (asked, if_match) = (asked.clone(), if_match.clone());
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                let range = range.map(convert::wit_range);
                exports.session().call_read(&mut guest.store, session, &asked, range, if_match.as_deref()).await
            })
        });
        let take = |state: &mut State, opened: source::Opened| {
            let content = match opened.content {
                source::Content::Ready(body) => Content::Ready(state.table.delete(body)?),
                source::Content::Pull(reader) => Content::Pull(reader),
            };
            Ok((convert::entry(opened.entry)?, content))
        };
        let (lease, (opened, content)) = self.pool.call_and_keep("read", call, take).await?;
        if opened.key != entry.key {
            let text = format!("was asked for {} and opened {}", entry.key, opened.key);
            return Err(lease.contract_error("read", "guest.other-key", text));
        }
        let body = match content {
            Content::Ready(handle) => {
                lease.give_back();
                handle.into_body()
            }
            Content::Pull(reader) => pulled(lease, reader),
        };
        check_length(&opened, range, body.length)?;
        Ok(Opened { entry: opened, body })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        let asked: Vec<types::Entry> = entries.iter().map(convert::wit_entry).collect();
        let call = self.pool.call(
            "describe",
            |guest, session| {
                let asked = asked.clone();
                Box::pin(async move {
                    let exports = Arc::clone(&guest.exports);
                    exports.session().call_describe(&mut guest.store, session, &asked).await
                })
            },
            |state: &mut State, answers| {
                let one = |answer: Result<_, types::Error>| match answer {
                    Ok(attributes) => convert::attributes(attributes).map(Ok),
                    Err(error) => Ok(Err(convert::reported(state, error))),
                };
                convert::one_for_each(answers, entries.len())?.into_iter().map(one).collect()
            },
        );
        call.await
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        let call = self.pool.call(
            "documents",
            |guest, session| {
                Box::pin(async move {
                    let exports = Arc::clone(&guest.exports);
                    exports.session().call_documents(&mut guest.store, session).await
                })
            },
            convert::documents,
        );
        call.await
    }
}

/// A length that contradicts the entry or the range that was asked for.
fn check_length(entry: &Entry, range: Option<ByteRange>, announced: Option<u64>) -> Result<()> {
    let Some(announced) = announced else { return Ok(()) };
    let corrupt = |expected: u64| {
        let message =
            format!("reading {}: the answer holds {announced} bytes where {expected} were expected", entry.key);
        Err(Error::new(ErrorClass::Corrupt, "guest.size", message))
    };
    match (range, entry.size) {
        (None, Some(size)) if announced != size => corrupt(size),
        (Some(ByteRange { length: Some(length), .. }), _) if announced > length => corrupt(length),
        _ => Ok(()),
    }
}

/// The bytes that a guest makes, pulled by whoever reads the body. The instance returns to the pool at the end.
fn pulled(lease: Lease<SourceRole>, reader: ResourceAny) -> Body {
    let stream = futures_util::stream::try_unfold(lease, move |mut lease| async move {
        let pull = lease.run_once("reader.read", |guest, _| {
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.reader().call_read(&mut guest.store, reader, PULL_BYTES_MAX).await
            })
        });
        let piece: Vec<u8> = pull.await?;
        if piece.len() > PULL_BYTES_MAX as usize {
            let text = format!("handed over {} bytes, at most {PULL_BYTES_MAX} were asked for", piece.len());
            return Err(lease.contract_error("reader.read", "guest.size", text));
        }
        lease.count_made(piece.len());
        if piece.is_empty() {
            lease.release(reader).await;
            return Ok(None);
        }
        Ok(Some((Bytes::from(piece), lease)))
    });
    Body::from_stream(None, stream)
}

/// A walk that runs in the sandbox; it keeps its instance until it ends.
struct SandboxedScanner {
    lease: Option<Lease<SourceRole>>,
    scanner: ResourceAny,
    prefix: Vec<u8>,
    /// The source claims that keys strictly increase.
    ordered: bool,
    last: Option<Entry>,
    /// Entries so far.
    reported: u64,
    /// The guest said that there is nothing more.
    ended: bool,
}

#[async_trait]
impl Scanner for SandboxedScanner {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        // Taken out, so that a call that traps or is dropped half-way ends the walk and the instance with it.
        let Some(mut lease) = self.lease.take() else {
            return if self.ended { Ok(Batch::default()) } else { Err(broken_off()) };
        };
        let (scanner, page) = (self.scanner, u32::try_from(max).unwrap_or(u32::MAX));
        let call = lease.run_once("scanner.next", |guest, _| {
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.scanner().call_next(&mut guest.store, scanner, page).await
            })
        });
        let source::Batch { found, more } = match call.await {
            Ok(batch) => batch,
            Err(error) => {
                // A failure that the guest reported leaves it whole: the same call may be tried again.
                if error.class != ErrorClass::Internal {
                    self.lease = Some(lease);
                }
                return Err(error);
            }
        };
        if found.len() > max {
            let text = format!("answered {} entries, at most {max} were asked for", found.len());
            return Err(lease.contract_error("scanner.next", "guest.listing", text));
        }
        let found = lease.take("scanner.next", found, &|state: &mut State, found: Vec<source::Found>| {
            found.into_iter().map(|one| convert_found(state, one)).collect::<wasmtime::Result<Vec<Found>>>()
        })?;
        if let Some(text) = self.objection(&found).or_else(|| self.invention(&found, lease.bytes_received())) {
            return Err(lease.contract_error("scanner.next", "guest.listing", text));
        }
        if more {
            self.lease = Some(lease);
        } else {
            self.ended = true;
            lease.release(scanner).await;
        }
        Ok(Batch { found, more })
    }
}

/// A walk that failed never passes for one that ended: a shorter listing would look like deleted objects.
fn broken_off() -> Error {
    Error::new(ErrorClass::Internal, "guest.listing", "the listing was broken off by an earlier failure")
}

fn convert_found(state: &mut State, found: source::Found) -> wasmtime::Result<Found> {
    Ok(match found {
        source::Found::Entry(entry) => Found::Entry(convert::entry(entry)?),
        source::Found::Skipped((key, error)) => {
            Found::Skipped(SkippedEntry { key: Key::new(key), reason: convert::reported(state, error).message })
        }
    })
}

impl SandboxedScanner {
    /// Whether so many entries cannot come from what was received.
    fn invention(&mut self, page: &[Found], received: u64) -> Option<String> {
        // A batch that holds nothing counts as one too: an end that never comes is made up as well.
        self.reported = self.reported.saturating_add(page.len().max(1) as u64);
        let possible = received.saturating_mul(ENTRIES_PER_BYTE_MAX).saturating_add(ENTRIES_FREE);
        (self.reported > possible).then(|| {
            format!(
                "listed {} entries after receiving {received} bytes: it makes up a listing without end",
                self.reported
            )
        })
    }

    /// What a page lies about, if it does: keys outside the prefix, or out of the claimed order.
    fn objection(&mut self, page: &[Found]) -> Option<String> {
        for found in page {
            let Found::Entry(entry) = found else { continue };
            if !entry.key.as_bytes().starts_with(&self.prefix) {
                return Some(format!("listed {}, which is outside of the prefix that was asked for", entry.key));
            }
            let previous = self.last.replace(entry.clone());
            if let Some(previous) = previous.filter(|_| self.ordered) {
                let version_of_one = previous.key == entry.key && previous.version.is_some() && entry.version.is_some();
                if previous.key >= entry.key && !version_of_one {
                    return Some(format!("claims an ordered listing and listed {} after {}", entry.key, previous.key));
                }
            }
        }
        None
    }
}
