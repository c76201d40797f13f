//! The listener itself, over TCP.

use credenza_app::{App, AppOptions};
use credenza_engine::Stop;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::Error;
use crate::limits::Limits;
use crate::reach::Reach;
use crate::server::{Options, Server};

fn options(listen: &str, connections: usize) -> Options {
    Options {
        listen: listen.parse().unwrap(),
        reach: Reach::Machine,
        given: None,
        limits: Limits { connections, ..Limits::default() },
    }
}

async fn ask(stream: &mut TcpStream, host: &str) {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

async fn begin(stream: &mut TcpStream) -> String {
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
