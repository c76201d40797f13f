//! The way in, and out. The link itself does nothing: a button does, so that whatever opens links beforehand uses none up.

use askama::Template;
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode};

use super::Asked;
use super::frame::Frame;
use super::problem::{Problem, render};
use crate::form::Fields;
use crate::reply::{self, Reply};
use crate::session::{KEY, Refused};
use crate::site::Site;

#[derive(Template)]
#[template(path = "enter.html")]
struct Page {
    frame: Frame,
    key: String,
}

pub(super) fn ask(site: &Site, asked: &Asked) -> Result<Reply, Problem> {
    require_links(site)?;
    let page = Page { frame: Frame::new("Look into your backups", None), key: asked.query.text(KEY) };
    render(StatusCode::OK, &page)
}

pub(super) fn enter(site: &Site, asked: &Asked, form: &Fields) -> Result<Reply, Problem> {
    require_links(site)?;
    match site.sessions.enter(&form.text(KEY)).map_err(no_session)? {
        Ok(secret) => {
            asked.note(site, "", "Entered by a link", "Done");
            Ok(with_session(site, &secret))
        }
        Err(Refused::Link) => {
            asked.note_refused(site, "Enter by a link", "No such link");
            Err(Problem::new(StatusCode::FORBIDDEN, "This link lets nobody in")
                .because("it was used, is older than 60 seconds, or another took its place")
                .next("Press Enter in the terminal where `credenza ui` runs: it prints a new link."))
        }
        Err(Refused::Full) => Err(full(site)),
    }
}

/// Where there are users, no link lets in.
fn require_links(site: &Site) -> Result<(), Problem> {
    if site.door.users().is_none() { Ok(()) } else { Err(super::no_page()) }
}

/// The system gives no random numbers.
pub(super) fn no_session(error: crate::Error) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "No session could be made").because(error.to_string())
}

/// As many browsers are in as may be.
pub(super) fn full(site: &Site) -> Problem {
    let why = format!("{} are in, and no more may be", site.limits.sessions);
    Problem::limit("No further browser is let in", why)
        .next("Leave in another browser, or start `credenza ui` again. A link can still be used.")
}

/// The overview, with the secret of a new session.
pub(super) fn with_session(site: &Site, secret: &str) -> Reply {
    with_cookie(site, reply::see("/"), &format!("{}={secret}", site.cookie))
}

pub(super) fn leave(site: &Site, asked: &Asked) -> Result<Reply, Problem> {
    if let Some(secret) = &asked.secret {
        site.sessions.leave(secret);
    }
    let page =
        Problem::new(StatusCode::OK, "You have left").because("this browser sees nothing of your backups any more");
    let provider = site.door.users().and_then(|door| door.oidc()).map(|oidc| crate::shown::text(oidc.name()));
    let page = match asked.session.as_ref().and_then(|session| session.leave.clone()).zip(provider) {
        Some((href, provider)) => page
            .next(format!("You are still logged in at {provider}, which would let this browser in again."))
            .link(href, format!("Log out at {provider} too")),
        None => page,
    };
    Ok(with_cookie(site, page.reply(None), &format!("{}=; Max-Age=0", site.cookie)))
}

/// Sets a cookie that no script and no other site gets.
pub(super) fn with_cookie(site: &Site, mut reply: Reply, cookie: &str) -> Reply {
    let secure = if site.hosts.is_secure() { "; Secure" } else { "" };
    if let Ok(cookie) = HeaderValue::from_str(&format!("{cookie}; Path=/; HttpOnly; SameSite=Strict{secure}")) {
        reply.headers_mut().insert(SET_COOKIE, cookie);
    }
    reply
}
