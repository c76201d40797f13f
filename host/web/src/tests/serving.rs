//! The listener itself, over TCP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use credenza_app::users::{Role, Users};
use credenza_app::{App, AppOptions};
use credenza_engine::{Secret, Stop};
use credenza_listen::{Certificate, Error as ListenError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{LISTEN, OUTSIDE, Stand, SteppedClock, patient};
use crate::door::{Door, Peer};
use crate::error::Error;
use crate::hosts::Hosts;
use crate::limits::Limits;
use crate::reach::{Others, Reach, TrustedProxy, Way};
use crate::server::{self, Entrance, Options, Server, receive};

fn options(listen: &str, connections: usize) -> Options {
    Options {
        jobs: None,
        listen: listen.parse().unwrap(),
        reach: Reach::Machine,
        given: None,
        limits: Limits { connections, ..patient() },
    }
}

async fn ask(stream: &mut (impl AsyncWriteExt + Unpin), host: &str) {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

async fn begin(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = vec![0; 4096];
    let read = stream.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[tokio::test]
async fn no_address_but_one_of_this_machine_is_listened_at() {
    for listen in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0"] {
        let app = App::new(AppOptions::default());
        let refused = Server::bind(app, options(listen, 1), Stop::default()).await;
        assert!(matches!(refused, Err(Error::NotLoopback { .. })), "{listen}");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_server_ends_when_asked() {
    let stop = Stop::default();
    let server = Server::bind(App::new(AppOptions::default()), options("127.0.0.1:0", 1), stop.clone()).await.unwrap();
    let address = server.address();
    let link = server.links().unwrap().make().unwrap();
    let host = link.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    assert!(host.ends_with(&format!(".localhost:{}", address.port())), "{link}");
    let running = tokio::spawn(server.run());
    let mut first = TcpStream::connect(address).await.unwrap();
    ask(&mut first, &host).await;
    assert!(begin(&mut first).await.starts_with("HTTP/1.1 401 "));
    let mut second = TcpStream::connect(address).await.unwrap();
    let reported = begin(&mut second).await;
    assert!(reported.starts_with("HTTP/1.1 503 ") && reported.contains("1 connections at once"), "{reported}");
    // A connection that is open and idle does not hold up the end.
    stop.request();
    running.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_open_connections_are_refused_by_the_name_of_the_cap() {
    const PLACES: usize = 64;
    let stop = Stop::default();
    // Those that hold a place say nothing, and do not lose it while others are refused.
    let server =
        Server::bind(App::new(AppOptions::default()), options("127.0.0.1:0", PLACES), stop.clone()).await.unwrap();
    let address = server.address();
    let running = tokio::spawn(server.run());
    let mut held = Vec::new();
    for _ in 0..PLACES {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    for number in 0..10_000 {
        let mut refused = TcpStream::connect(address).await.unwrap();
        let mut told = String::new();
        refused.read_to_string(&mut told).await.unwrap();
        assert!(
            told.starts_with("HTTP/1.1 503 ") && told.contains("serves 64 connections at once"),
            "{number}: {told}"
        );
    }
    stop.request();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_takes_nothing_of_a_download_gives_its_place_back() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let large: Vec<u8> = (0..4_000_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let id = stand.backup("mine", &[(b"large", &large)]).await;
    let clock = SteppedClock::new();
    let hosts = Hosts::here(LISTEN.parse().unwrap(), "secret-label");
    let entrance = Entrance { cookie: hosts.cookie(LISTEN.parse().unwrap()), hosts, door: Door::Link };
    let limits = Limits { readers: 1, ..patient() };
    let site =
        server::site(stand.app.clone(), entrance, None, limits, Arc::clone(&clock) as _, Stop::default()).unwrap();
    let site = Arc::new(site);
    let secret = site.sessions.enter(&site.sessions.new_key().unwrap()).unwrap().unwrap();
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let peer = Peer("127.0.0.1".parse().unwrap());
    let serving = tokio::spawn(receive(near, None, peer, Arc::clone(&site)));
    let head = format!("Host: {}\r\nCookie: {}={secret}", site.hosts.first(), site.cookie);
    far.write_all(format!("GET /r/mine/s/{id}/download?key=large HTTP/1.1\r\n{head}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    clock.until_waited_for().await;
    assert!(site.reader().is_none(), "it holds the place of a download");
    // The first to wait is who looks whether the session lasts (`presence`); the connection waits only once its pipe is full.
    while !serving.is_finished() {
        clock.end_all();
        tokio::task::yield_now().await;
    }
    serving.await.unwrap();
    assert!(site.sessions.find(&secret, false).is_some(), "it did not end with the session");
    assert!(site.reader().is_some(), "the place is given back");
}

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/tls").join(name)
}

fn tls(certificate: &str, key: &str) -> Reach {
    let way = Way::Tls(Certificate { chain: pem(certificate), key: pem(key) });
    Reach::Others(Others { hosts: vec![OUTSIDE.to_owned()], way, provider: None })
}

/// A program in whose configuration there is a user.
fn with_user(folder: &Path) -> App {
    Users::edit(folder, |users| users.add("ana", Role::Viewer, None)).unwrap();
    App::new(AppOptions { configuration_folder: Some(folder.to_owned()), ..AppOptions::default() })
}

#[tokio::test]
async fn others_are_served_with_tls_under_the_name_that_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    let options = Options { reach: tls("server.pem", "server.key"), ..options("127.0.0.1:0", 8) };
    let server = Server::bind(with_user(folder.path()), options, stop.clone()).await.unwrap();
    assert!(server.links().is_none());
    let address = server.address();
    assert_eq!(server.url(), format!("https://{OUTSIDE}:{}/", address.port()));
    let running = tokio::spawn(server.run());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pem("authority.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
    for (host, status, says) in [
        (format!("{OUTSIDE}:{}", address.port()), "401", "strict-transport-security: max-age="),
        (address.to_string(), "421", "--host NAME"),
    ] {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from(OUTSIDE).unwrap(), stream).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")) && told.contains(says), "{told}");
    }
    // Without TLS nothing is said.
    let mut plain = TcpStream::connect(address).await.unwrap();
    ask(&mut plain, OUTSIDE).await;
    let mut told = Vec::new();
    let _ = plain.read_to_end(&mut told).await;
    assert!(!told.starts_with(b"HTTP"), "{told:?}");
    stop.request();
    running.await.unwrap();
}

#[tokio::test]
async fn others_are_not_served_without_a_name_a_user_a_key_that_fits_or_a_secret_that_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let bind = async |folder: Option<&Path>, reach: Reach| {
        let app = App::new(AppOptions { configuration_folder: folder.map(Path::to_owned), ..AppOptions::default() });
        let options = Options { reach, ..options("0.0.0.0:0", 1) };
        Server::bind(app, options, Stop::default()).await.err()
    };
    let proxy = |secret: &[u8]| {
        let proxy = TrustedProxy { secret: secret.to_vec().into(), user_header: None };
        Reach::Others(Others { hosts: vec![OUTSIDE.to_owned()], way: Way::Proxy(Some(proxy)), provider: None })
    };
    assert!(matches!(bind(None, tls("server.pem", "server.key")).await, Some(Error::NoUsers)));
    assert!(matches!(bind(Some(folder.path()), tls("server.pem", "server.key")).await, Some(Error::NoUsers)));
    drop(with_user(folder.path()));
    let nameless = Reach::Others(Others { hosts: Vec::new(), way: Way::Proxy(None), provider: None });
    assert!(matches!(bind(Some(folder.path()), nameless).await, Some(Error::NoHost)));
    assert!(matches!(
        bind(Some(folder.path()), tls("none.pem", "server.key")).await,
        Some(Error::Listen(ListenError::Pem { .. }))
    ));
    assert!(matches!(
        bind(Some(folder.path()), tls("server.key", "server.key")).await,
        Some(Error::Listen(ListenError::Pem { .. } | ListenError::Tls { .. }))
    ));
    assert!(matches!(
        bind(Some(folder.path()), tls("authority.pem", "server.key")).await,
        Some(Error::Listen(ListenError::Tls { .. }))
    ));
    assert!(matches!(bind(Some(folder.path()), proxy(b"short")).await, Some(Error::WeakProxySecret { bytes: 5 })));
    std::fs::write(folder.path().join("users.toml"), "[ana]\n").unwrap();
    assert!(matches!(bind(Some(folder.path()), proxy(&[7; 32])).await, Some(Error::Users(_))));
}
