//! What each request must pass before any page is asked, and what each answer carries.
//!
//! In this order: a proxy that is trusted proves itself; the `Host` that is asked for is this server, which defeats a foreign name that was made to point here (DNS rebinding); nothing is
//! used by another site; what changes anything comes from a page of this server; whoever asks has entered. Refused here: which pages there are, and what they say of a refusal (`pages`).

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, STRICT_TRANSPORT_SECURITY};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::assets;
use crate::door::Refusal;
use crate::hosts::Hosts;
use crate::reply::Reply;
use crate::session::Session;
use crate::site::Site;

/// Where a browser enters.
pub(crate) const ENTER: &str = "/enter";
/// Where a user logs in.
pub(crate) const LOGIN: &str = "/login";
/// Where one does by an identity provider.
const OIDC: &str = "/login/oidc";
/// Browsers that have spoken TLS with this host speak nothing else with it for half a year.
const TLS_ALONE: HeaderValue = HeaderValue::from_static("max-age=15768000");

/// Nothing is loaded and nothing is run but what this server embeds, nobody frames the page, and forms come back here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 7] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), usb=(), clipboard-read=()"),
];

/// What every answer carries.
pub(crate) fn harden(hosts: &Hosts, reply: &mut Reply) {
    let headers = reply.headers_mut();
    if hosts.is_secure() {
        headers.insert(STRICT_TRANSPORT_SECURITY, TLS_ALONE);
    }
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // What is stricter yet, or may be kept, says so itself.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Whether a request may be answered, and in which session it is asked; none for the way in and what pages are dressed in.
pub(crate) fn admit(site: &Site, request: &Parts) -> Result<Option<Session>, Refusal> {
    site.door.require_proxy(&request.headers)?;
    require_host(&site.hosts, request)?;
    require_own_use(&request.headers)?;
    match request.method {
        Method::GET | Method::HEAD => {}
        Method::POST => require_own_page(&site.hosts, &request.headers)?,
        _ => return Err(Refusal::Method),
    }
    let path = request.uri.path();
    if path == ENTER || path == LOGIN || path.starts_with(OIDC) || path.starts_with(assets::FOLDER) {
        return Ok(None);
    }
    match site.door.session(&site.sessions, &request.headers, &site.cookie) {
        Some(session) => Ok(Some(session)),
        None if site.door.users().is_some() => Err(Refusal::NotLoggedIn),
        None => Err(Refusal::NoSession),
    }
}

fn require_host(hosts: &Hosts, request: &Parts) -> Result<(), Refusal> {
    let mut named = request.headers.get_all(HOST).iter();
    let is_named = named.next().and_then(|name| name.to_str().ok()).is_some_and(|name| hosts.has(name));
    let is_other = request.uri.authority().is_some_and(|authority| !hosts.has(authority.as_str()));
    if is_named && !is_other && named.next().is_none() { Ok(()) } else { Err(Refusal::Host) }
}

/// Another site may link here, and neither embed anything of this one nor listen to it: a browser says what it asks for, and for whom.
fn require_own_use(headers: &HeaderMap) -> Result<(), Refusal> {
    let said = |name| headers.get(name).map(HeaderValue::as_bytes);
    let is_own = matches!(said("sec-fetch-site"), None | Some(b"same-origin" | b"none"));
    let is_link = said("sec-fetch-mode") == Some(b"navigate") && said("sec-fetch-dest") == Some(b"document");
    if is_own || is_link { Ok(()) } else { Err(Refusal::Foreign) }
}

/// A browser says from which page a form is. One says `null` as its origin where the page may not be named, as is the rule here, and which
/// site it is all the same.
fn require_own_page(hosts: &Hosts, headers: &HeaderMap) -> Result<(), Refusal> {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let is_own = match (site, origin) {
        (Some(b"same-origin"), None | Some("null")) => true,
        (None | Some(b"same-origin"), Some(origin)) => hosts.is_origin(origin),
        _ => false,
    };
    if is_own { Ok(()) } else { Err(Refusal::Foreign) }
}
