//! The way in by an identity provider: there by a button, back by a page with another, so that no link alone lets anybody in.

use askama::Template;
use http::StatusCode;

use super::Asked;
use super::enter::with_cookie;
use super::frame::Frame;
use super::login::let_in;
use super::problem::{Problem, render};
use crate::form::Fields;
use crate::oidc::{Answer, LOGIN_MAX, LoginFault, Oidc, Proven};
use crate::reply::Reply;
use crate::shown;
use crate::site::Site;

#[derive(Template)]
#[template(path = "oidc.html")]
struct Page {
    frame: Frame,
    provider: String,
    /// Where to go on; none on the way back.
    href: Option<String>,
    /// What came back, to be sent on.
    fields: Vec<(&'static str, String)>,
}

/// What a provider sends back with the browser.
const FIELDS: [&str; 4] = ["code", "state", "iss", "error"];

fn provider(site: &Site) -> Result<&Oidc, Problem> {
    site.door.users().and_then(|door| door.oidc()).ok_or_else(super::no_page)
}

pub(super) async fn begin(site: &Site) -> Result<Reply, Problem> {
    let oidc = provider(site)?;
    let (secret, href) = oidc.begin(site.clock.now()).await.map_err(|fault| failed(&fault))?;
    let provider = shown::text(oidc.name());
    let page = Page { frame: Frame::new("Log in", None), provider, href: Some(href), fields: Vec::new() };
    let reply = render(StatusCode::OK, &page)?;
    Ok(with_cookie(site, reply, &format!("{}={secret}; Max-Age={}", site.login_cookie(), LOGIN_MAX.as_secs())))
}

pub(super) fn back(site: &Site, asked: &Asked) -> Result<Reply, Problem> {
    let provider = shown::text(provider(site)?.name());
    let fields = FIELDS.into_iter().filter(|name| asked.query.bytes(name).is_some());
    let fields = fields.map(|name| (name, asked.query.text(name))).collect();
    render(StatusCode::OK, &Page { frame: Frame::new("Log in", None), provider, href: None, fields })
}

pub(super) async fn finish(site: &Site, asked: &Asked, form: &Fields) -> Result<Reply, Problem> {
    let oidc = provider(site)?;
    let [code, state, issuer, error] = FIELDS.map(|name| form.text(name));
    let given = |text: &str, name: &str| form.bytes(name).is_some().then(|| text.to_owned());
    let (issuer, error) = (given(&issuer, "iss"), given(&error, "error"));
    let answer = Answer { code: &code, state: &state, issuer: issuer.as_deref(), error: error.as_deref() };
    let cookie = asked.login.as_deref().unwrap_or_default();
    let Proven { name, leave } = oidc.finish(cookie, &answer, site.clock.now()).await.map_err(|fault| {
        asked.note_refused(site, "Log in by the identity provider", &shown::text(&fault.to_string()));
        failed(&fault)
    })?;
    let user = site.door.users().and_then(|door| door.user(&name)).ok_or_else(|| {
        asked.note_login(site, &name, "No user of this page");
        Problem::new(StatusCode::FORBIDDEN, format!("`{name}` is no user of this page"))
            .because("the identity provider says who somebody is, and whoever runs the page who may use it")
            .next(format!("Ask for it: credenza ui user add {} --role ROLE --no-password", crate::command::word(&name)))
            .link("/login", "Log in as somebody else")
    })?;
    let_in(site, asked, user, leave)
}

fn failed(fault: &LoginFault) -> Problem {
    let status = match fault {
        LoginFault::Provider(_) | LoginFault::Issuer(_) => StatusCode::BAD_GATEWAY,
        LoginFault::Busy => StatusCode::SERVICE_UNAVAILABLE,
        LoginFault::Foreign | LoginFault::Refused(_) | LoginFault::Token(_) | LoginFault::NoName(_) => {
            StatusCode::FORBIDDEN
        }
    };
    Problem::new(status, "Nobody was logged in").because(fault.to_string()).link("/login", "Log in again")
}
