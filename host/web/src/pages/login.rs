//! The way in for users: name and password. What is wrong of the two is not said.

use std::time::Duration;

use askama::Template;
use credenza_app::users::User;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use super::Asked;
use super::enter::{full, no_session, with_session};
use super::frame::Frame;
use super::problem::{Problem, render};
use crate::form::Fields;
use crate::reply::Reply;
use crate::session::Refused;
use crate::shown::count;
use crate::site::Site;

/// The fields.
const USER: &str = "user";
const PASSWORD: &str = "password";

#[derive(Template)]
#[template(path = "login.html")]
struct Page {
    frame: Frame,
    user: String,
    /// Who else vouches for users.
    provider: Option<String>,
    failed: Option<String>,
}

/// The form; with a reason where it stands in the place of another page.
pub(super) fn form(site: &Site, status: StatusCode, user: &str, failed: Option<String>) -> Result<Reply, Problem> {
    let user = crate::shown::text(user);
    let oidc = site.door.users().and_then(|door| door.oidc());
    let provider = oidc.map(|oidc| crate::shown::text(oidc.name()));
    render(status, &Page { frame: Frame::new("Log in", None), user, provider, failed })
}

pub(super) fn ask(site: &Site) -> Result<Reply, Problem> {
    site.door.users().ok_or_else(super::no_page)?;
    form(site, StatusCode::OK, "", None)
}

pub(super) async fn log_in(site: &Site, asked: &Asked, fields: &Fields) -> Result<Reply, Problem> {
    let door = site.door.users().ok_or_else(super::no_page)?;
    let name = fields.text(USER);
    let guesses = site.throttle.at_password(&name, &asked.address);
    if let Err(wait) = site.throttle.attempt(&guesses) {
        return too_many(site, &name, wait);
    }
    let user = door.proven(&name, fields.bytes(PASSWORD).unwrap_or_default()).await.map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Nobody can log in")
            .because(error.to_string())
            .next("Whoever runs `credenza ui` sees to it: credenza ui user list")
    })?;
    let Some(user) = user else {
        // What is no name may be a password in the wrong field.
        let known = door.user(&name).map_or_else(|| "an unknown name".to_owned(), |user| user.name);
        asked.note_login(site, &known, "Wrong password");
        let failed = "No user has this name and this password.".to_owned();
        return form(site, StatusCode::FORBIDDEN, &name, Some(failed));
    };
    site.throttle.forgive(&guesses);
    site.throttle.know(&name, &asked.address);
    let_in(site, asked, user, None)
}

/// A new session of a user who is proven, with the address where the one at an identity provider ends.
pub(super) fn let_in(site: &Site, asked: &Asked, user: User, leave: Option<String>) -> Result<Reply, Problem> {
    let name = user.name.clone();
    match site.sessions.log_in(user, leave).map_err(no_session)? {
        Ok(secret) => {
            asked.note_login(site, &name, "Done");
            Ok(with_session(site, &secret))
        }
        Err(Refused::Link | Refused::Full) => {
            asked.note_login(site, &name, "No room");
            Err(full(site))
        }
    }
}

fn too_many(site: &Site, name: &str, wait: Duration) -> Result<Reply, Problem> {
    let seconds = wait.as_secs().max(1);
    let failed = format!("There were too many attempts. Try again in {}.", count(seconds, "second", "seconds"));
    let mut reply = form(site, StatusCode::TOO_MANY_REQUESTS, name, Some(failed))?;
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    Ok(reply)
}
