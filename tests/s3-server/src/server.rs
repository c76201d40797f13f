//! A running server: its thread, its port, and the handles by which a test reaches into it.

use crate::buckets::Buckets;
use crate::door::{Door, bucket_of_host};
use crate::policy::CurrentPolicy;
use crate::storage::{Paging, Storage};
use crate::{Faults, Log, Policy};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::host::{S3Host, VirtualHost};
use s3s::service::S3ServiceBuilder;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The only access key that is let in.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Host name whose sub-domains are buckets, for virtual-host style requests.
    pub domain: String,
    /// With a seed the pages of listings have random sizes, as AWS may answer them: shorter than asked for, of one entry, empty.
    pub page_seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            access_key: "CREDENZATESTKEY".to_owned(),
            secret_key: "credenza-test-secret".to_owned(),
            domain: "s3.localhost".to_owned(),
            page_seed: None,
        }
    }
}

/// An S3 server on a loopback port; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The access key that is let in.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// What is stored.
    pub buckets: Buckets,
    log: Log,
    faults: Faults,
    policy: CurrentPolicy,
    runtime: Option<Runtime>,
}

impl Server {
    /// Starts a server that listens when this returns.
    ///
    /// # Errors
    /// When the port is taken or no thread can be started.
    pub fn start(options: Options) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)))?;
        let port = listener.local_addr()?.port();
        let (buckets, log, faults) = (Buckets::default(), Log::default(), Faults::default());
        let policy = CurrentPolicy::default();
        let mut builder = S3ServiceBuilder::new(Storage::new(buckets.clone(), Paging::new(options.page_seed)));
        builder.set_auth(SimpleAuth::from_single(options.access_key.as_str(), options.secret_key.as_str()));
        builder.set_host(Host { domain: options.domain.clone() });
        let door = Door {
            service: builder.build(),
            log: log.clone(),
            faults: faults.clone(),
            policy: policy.clone(),
            domain: options.domain,
        };
        runtime.spawn(accept(listener, Arc::new(door)));
        Ok(Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            port,
            access_key: options.access_key,
            secret_key: options.secret_key,
            buckets,
            log,
            faults,
            policy,
            runtime: Some(runtime),
        })
    }

    /// What was asked of the server so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Lets the access key do only what a policy grants; without one it may do everything.
    pub fn set_policy(&self, policy: Option<Policy>) {
        self.policy.set(policy);
    }

    /// The switches that make it misbehave.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Drop for Server {
    /// Ends the server without waiting for open connections: a stalled answer would last for ever.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, door: Arc<Door>) {
    loop {
        // A failed accept is a client that went away, or file handles that ran out: the next one may do better.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        tokio::spawn(serve(stream, Arc::clone(&door)));
    }
}

async fn serve(stream: TcpStream, door: Arc<Door>) {
    // Without this, small answers wait 40 ms for the acknowledgement of the header.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let door = Arc::clone(&door);
        async move { door.answer(request).await }
    });
    // An error here is a client that hung up or a fault that hung up on it; both are in the log.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// Virtual-host style for the sub-domains of one domain, path style for every other host.
struct Host {
    domain: String,
}

impl S3Host for Host {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> s3s::S3Result<VirtualHost<'a>> {
        Ok(match bucket_of_host(host, &self.domain) {
            Some(bucket) => VirtualHost::new(self.domain.as_str()).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}
