//! What is sent piece by piece ends with the session that has asked for it.
//!
//! A request is let in once (`guard`), and a download, an archive or the events of a run may go on for hours after that. Owned here: looking, every
//! [`EVERY`], whether the one who asked would still be let in, and breaking off what is sent where not: who has left, was removed or given another role or
//! password, or has been in for as long as anybody may. Refused here: who is in (`door`, `session`). Called by `server` for each answer that is a stream.
//!
//! Bound: what is sent ends at most [`EVERY`] after the session, or with the next piece that the browser takes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::pages::Asked;
use crate::reply::{Body, Broken, EVENTS, Reply};
use crate::session::Session;
use crate::site::Site;

/// How often is looked.
pub(crate) const EVERY: Duration = Duration::from_secs(5);

/// Has a stream end with the session of whoever asked. What is at hand as a whole is sent as it is.
pub(crate) fn bind(site: &Arc<Site>, asked: &Asked, reply: Reply) -> Reply {
    let Some(session) = asked.session.clone() else { return reply };
    if reply.body().size_hint().exact().is_some() {
        return reply;
    }
    // A download is use of the page. A page that is open somewhere and forgotten is none.
    let is_use = reply.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != EVENTS);
    let presence = Presence { site: Arc::clone(site), session, secret: asked.secret.clone(), is_use };
    let waiting = site.clock.wait(EVERY);
    reply.map(|body| Bound { body, waiting, presence }.boxed_unsync())
}

/// Who has asked for a stream.
struct Presence {
    site: Arc<Site>,
    session: Session,
    secret: Option<String>,
    is_use: bool,
}

impl Presence {
    fn lasts(&self) -> bool {
        let Self { site, session, secret, is_use } = self;
        site.door.lasts(&site.sessions, session, secret.as_deref(), *is_use)
    }
}

/// A stream, and who has asked for it.
struct Bound {
    body: Body,
    /// Until is looked again.
    waiting: BoxFuture<'static, ()>,
    presence: Presence,
}

impl HttpBody for Bound {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Self { body, waiting, presence } = self.get_mut();
        while waiting.poll_unpin(context).is_ready() {
            if !presence.lasts() {
                return Poll::Ready(Some(Err(Broken::from("the session has ended"))));
            }
            *waiting = presence.site.clock.wait(EVERY);
        }
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
