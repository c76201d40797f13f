//! How a connection is made, within bounds: the name is looked up, one of its addresses takes the connection, a proxy opens its tunnel, TLS begins.
//!
//! Owned here: these bounds. Refused here: which way is taken (`proxy`), and what is waited for once there is a connection (`client`, `body`).

use std::error::Error as StdError;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

/// The system asks one name server after the other, for some seconds each.
const NAME_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that does not take a connection within this time is not there. Where a name has several addresses, each has its share of it.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// All of it, with TLS, and with a proxy and its TLS before. More than each of the two above, so that these name their own failure.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(15);

/// What connects to the addresses of a name.
pub(super) type Tcp = HttpConnector<Resolver>;

/// Connects, to each address of a name in turn; those of another family are tried 0.3 s later beside (RFC 8305).
pub(super) fn tcp(connect_timeout: Duration) -> Tcp {
    let mut tcp = HttpConnector::new_with_resolver(Resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp
}

/// Looks names up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver;

impl Resolver {
    /// The addresses of a name.
    ///
    /// # Errors
    /// [`Unresolved`] names it.
    pub(super) async fn addresses(name: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
        let unresolved = |cause: String| Unresolved { name: name.to_owned(), cause };
        match tokio::time::timeout(NAME_TIMEOUT, tokio::net::lookup_host((name, port))).await {
            Ok(Ok(addresses)) => Ok(addresses.collect()),
            Ok(Err(cause)) => Err(unresolved(cause.to_string())),
            Err(_) => Err(unresolved(format!("the name service did not answer within {} s", NAME_TIMEOUT.as_secs()))),
        }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unresolved>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        // The port is set by the one that connects.
        Box::pin(async move { Ok(Self::addresses(name.as_str(), 0).await?.into_iter()) })
    }
}

/// A name without an address.
#[derive(Debug, thiserror::Error)]
#[error("{name} is the name of no server ({cause})")]
pub(super) struct Unresolved {
    name: String,
    cause: String,
}

/// A connection that was not ready in time, for all that answered on the way.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {seconds} s")]
pub(super) struct TooSlow {
    pub(super) seconds: u64,
}

/// Connections that are ready within [`WHOLE_TIMEOUT`].
#[derive(Debug, Clone)]
pub(super) struct Bounded<C>(pub(super) C);

type BoxError = Box<dyn StdError + Send + Sync>;

impl<C> Service<Uri> for Bounded<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connection = tokio::time::timeout(WHOLE_TIMEOUT, self.0.call(to));
        Box::pin(async move {
            let too_slow = || TooSlow { seconds: WHOLE_TIMEOUT.as_secs() };
            connection.await.unwrap_or_else(|_| Err(too_slow().into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Takes a connection and never comes to its end, as a server that takes TCP and does not begin TLS.
    struct Endless;

    impl Service<Uri> for Endless {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Pending<Result<(), BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Uri) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_ready_in_time_is_given_up() {
        let begun = Instant::now();
        let error = Bounded(Endless).call(Uri::from_static("https://h/")).await.unwrap_err();
        assert!(error.is::<TooSlow>());
        assert_eq!(begun.elapsed(), WHOLE_TIMEOUT);
    }
}
