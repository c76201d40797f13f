//! The listener, and the connections that it takes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use credenza_engine::Stop;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::speak::Tls;
use crate::{Certificate, Error, Result};

/// How long what is under way may go on when the listener ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long nobody is let in where the system has no room for a connection.
const BREATH: Duration = Duration::from_millis(100);

/// What a listener takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections that are open at once; who comes then is told so, and has to come again.
    pub connections: usize,
    /// How long the head of a request may take, and before that to agree on TLS.
    pub head: Duration,
}

/// Who has connected.
pub struct Caller {
    /// The connection.
    pub stream: TcpStream,
    /// From where.
    pub from: IpAddr,
    /// What is to be spoken there first.
    pub tls: Option<Tls>,
}

/// Something that listens.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl Listener {
    /// Listens at an address, by TLS where there is a certificate; with port 0 the system chooses one.
    ///
    /// # Errors
    /// [`Error`]: an address that is not to be had, a certificate that is none.
    pub async fn at(address: SocketAddr, certificate: Option<&Certificate>) -> Result<Self> {
        let tls = certificate.map(Certificate::tls).transpose()?;
        let failed = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, tls })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes connections until it is to stop; those that are open have 3 seconds more.
    pub async fn run<F>(self, bounds: Bounds, stop: &Stop, receive: impl Fn(Caller) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let room = Arc::new(Semaphore::new(bounds.connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.requested() => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&room).try_acquire_owned()) {
                (Ok((stream, from)), Ok(place)) => {
                    // Without it a small answer waits 40 ms for the acknowledgement of its head.
                    let _ = stream.set_nodelay(true);
                    let received = receive(Caller { stream, from: from.ip(), tls: self.tls.clone() });
                    connections.spawn(async move {
                        received.await;
                        drop(place);
                    });
                }
                // Before TLS nothing can be said.
                (Ok(_), Err(_)) if self.tls.is_some() => {}
                (Ok((stream, _)), Err(_)) => turn_away(&stream, bounds.connections),
                (Err(error), _) => {
                    tracing::warn!("no connection could be taken: {error}");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(self.listener);
        let all = async { while connections.join_next().await.is_some() {} };
        // What is still under way is cut off, and no client takes it for whole.
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }
}

/// Says that there is no room, as far as the system takes it at once.
fn turn_away(stream: &TcpStream, max: usize) {
    let why = format!("credenza serves {max} connections at once, and has them all. Close others and try again.\n");
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\nConnection: close\r\n";
    let reply = format!("{head}Content-Length: {}\r\n\r\n{why}", why.len());
    // What was sent already is taken, so that the answer is not lost with it.
    let mut asked = [0; 4096];
    let _ = stream.try_read(&mut asked);
    let _ = stream.try_write(reply.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::speak;

    async fn said(stream: &mut TcpStream) -> String {
        let mut bytes = vec![0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    #[tokio::test]
    async fn who_comes_where_there_is_no_room_is_told_so_and_all_end_with_the_listener() {
        let listener = Listener::at("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let (address, stop) = (listener.address(), Stop::default());
        let bounds = Bounds { connections: 1, head: Duration::from_hours(1) };
        let asked = stop.clone();
        let running = tokio::spawn(async move {
            let receive = |caller: Caller| {
                let stop = asked.clone();
                async move {
                    let answer = service_fn(async |_| {
                        Ok::<_, Infallible>(http::Response::new(Full::from(Bytes::from_static(b"here"))))
                    });
                    speak(caller.stream, caller.tls.as_ref(), bounds.head, &stop, answer).await;
                }
            };
            listener.run(bounds, &asked, receive).await;
        });
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(said(&mut first).await.starts_with("HTTP/1.1 200 "));
        let mut second = TcpStream::connect(address).await.unwrap();
        let told = said(&mut second).await;
        assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("serves 1 connections at once"), "{told}");
        // A connection that is open and idle does not hold up the end.
        stop.request();
        running.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
