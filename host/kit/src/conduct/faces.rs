//! A service that refuses, is busy, is away, or has no such place: what each role makes of it.

use std::convert::Infallible;

use bytes::Bytes;
use credenza_connect::conformance::{Miss, Told, ensure};
use credenza_connect::{Batches, Error, ErrorClass, Payload, PutOptions, Result, ScanOptions};
use credenza_model::{Entry, EntryKind, Key, StoreKey};
use credenza_sandbox::{ConfigureError, Configured, Role};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Yard;

/// A server that answers everything alike, until it is dropped.
struct Alike {
    address: String,
    accepting: JoinHandle<()>,
}

impl Drop for Alike {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Alike {
    async fn start(status: u16) -> Told<Self> {
        let failed = |error: std::io::Error| Miss::Skipped(format!("no server can listen here: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?.to_string();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = service_fn(move |request: Request<Incoming>| async move {
                    // All of it was taken before it is refused.
                    let _ = request.into_body().collect().await;
                    let answer = Response::builder().status(status).body(Full::new(Bytes::new()));
                    Ok::<_, Infallible>(answer.unwrap_or_default())
                });
                tokio::spawn(async move {
                    // A connection that breaks off is the client's.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Ok(Self { address, accepting })
    }
}

/// What came of each thing that was tried.
type Tried = Vec<(&'static str, Result<()>)>;

/// Tries what would show an empty place if a failure passed for an answer.
async fn tried(configured: &Configured, role: Role) -> Told<Tried> {
    let unusable = |error: ConfigureError| Miss::Failed(error.to_string());
    Ok(match role {
        Role::Store => {
            let store = configured.store().map_err(unusable)?;
            let key = StoreKey::new("data/a").map_err(|error| error.to_string())?;
            let payload = Payload::from(b"x".to_vec());
            vec![
                ("list", store.list("", None, 10).await.map(drop)),
                ("put", store.put(&key, payload, &PutOptions::default()).await.map(drop)),
                ("get", store.get(&key, None, None).await.map(drop)),
                ("stat", store.stat(&key).await.map(drop)),
                ("delete", store.delete(&[key]).await.and_then(|each| each.into_iter().collect())),
            ]
        }
        Role::Destination => {
            let destination = configured.destination().map_err(unusable)?;
            let entry = Entry::new(Key::from("a"), EntryKind::File);
            let written = match destination.create(&entry, false).await {
                Ok(Some(mut writer)) => {
                    let finished = writer.finish(Payload::from(b"x".to_vec())).await.map(drop);
                    writer.abort().await;
                    finished
                }
                other => other.map(drop),
            };
            vec![("stat", destination.stat(&entry.key).await.map(drop)), ("write", written)]
        }
        _ => {
            let source = configured.source().map_err(unusable)?;
            let scanned = match source.scan(&ScanOptions::default()).await {
                Ok(scanner) => Batches::new(scanner).next(10).await.map(drop),
                Err(error) => Err(error),
            };
            let entry = Entry::new(Key::from("a"), EntryKind::File);
            vec![("scan", scanned), ("read", source.read(&entry, None, None).await.map(drop))]
        }
    })
}

fn ensure_each(tried: Tried, expected: impl Fn(&Error) -> bool, words: &str) -> Told {
    tried.into_iter().try_for_each(|(act, answer)| match answer {
        Ok(()) => Err(Miss::Failed(format!("{act} succeeded where {words}"))),
        Err(error) => ensure(expected(&error), || {
            format!("{act} failed as {:?} ({}) where {words}: {error}", error.class, error.reason)
        }),
    })
}

async fn at_alike(yard: &Yard, role: Role, status: u16) -> Told<Tried> {
    let server = Alike::start(status).await?;
    tried(&yard.towards(&server.address, "alike", role).await?, role).await
}

pub(super) async fn denied(yard: &Yard, role: Role) -> Told {
    let is_denied = |error: &Error| matches!(error.class, ErrorClass::Denied | ErrorClass::Configuration);
    ensure_each(at_alike(yard, role, 403).await?, is_denied, "the service answers status 403")
}

pub(super) async fn busy(yard: &Yard, role: Role) -> Told {
    ensure_each(at_alike(yard, role, 503).await?, Error::is_transient, "the service answers status 503")
}

pub(super) async fn away(yard: &Yard, role: Role) -> Told {
    let failed = |error: std::io::Error| Miss::Skipped(format!("no server can listen here: {error}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?.to_string();
    drop(listener);
    let is_away = |error: &Error| matches!(error.class, ErrorClass::Transient | ErrorClass::Configuration);
    ensure_each(tried(&yard.towards(&address, "away", role).await?, role).await?, is_away, "nobody listens")
}

pub(super) async fn nowhere(yard: &Yard, role: Role) -> Told {
    let mut tried = at_alike(yard, role, 404).await?;
    tried.retain(|(act, _)| *act == "scan");
    let is_other = |error: &Error| error.class != ErrorClass::NotFound && error.class != ErrorClass::Internal;
    ensure_each(tried, is_other, "the service answers status 404 to everything")
}
