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

pub(super) fn ask(asked: &Asked) -> Result<Reply, Problem> {
    let page = Page { frame: Frame::new("Look into your backups", None), key: asked.query.text(KEY) };
    render(StatusCode::OK, &page)
}

pub(super) fn enter(site: &Site, form: &Fields) -> Result<Reply, Problem> {
    let entered = site.sessions.enter(&form.text(KEY)).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "No session could be made").because(error.to_string())
    })?;
    match entered {
        Ok(secret) => Ok(with_cookie(reply::see("/"), &format!("{}={secret}", site.cookie))),
        Err(Refused::Link) => Err(Problem::new(StatusCode::FORBIDDEN, "This link lets nobody in")
            .because("it was used, is older than 60 seconds, or another took its place")
            .next("Press Enter in the terminal where `credenza ui` runs: it prints a new link.")),
        Err(Refused::Full) => Err(Problem::limit(
            "No further browser is let in",
            format!("{} are in, and no more may be", site.limits.sessions),
        )
        .next("Leave in another browser, or start `credenza ui` again. The link can still be used.")),
    }
}

pub(super) fn leave(site: &Site, asked: &Asked) -> Result<Reply, Problem> {
    if let Some(secret) = &asked.secret {
        site.sessions.leave(secret);
    }
    let page =
        Problem::new(StatusCode::OK, "You have left").because("this browser sees nothing of your backups any more");
    Ok(with_cookie(page.reply(None), &format!("{}=; Max-Age=0", site.cookie)))
}

fn with_cookie(mut reply: Reply, cookie: &str) -> Reply {
    if let Ok(cookie) = HeaderValue::from_str(&format!("{cookie}; Path=/; HttpOnly; SameSite=Strict")) {
        reply.headers_mut().insert(SET_COOKIE, cookie);
    }
    reply
}
