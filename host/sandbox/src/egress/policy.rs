//! What a guest's request must satisfy before it is signed.

use http::HeaderName;
use http::uri::PathAndQuery;

use super::route::Route;
use super::{EgressError, GuestRequest};

/// Headers that only the host sets (RFC 9110 section 7.6.1 and the AWS signature), or that change what a request means.
const HOST_HEADERS: [&str; 17] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

/// The request that may be signed and sent, or why it may not.
pub(crate) fn admit(route: &Route, request: &GuestRequest) -> Result<http::Request<()>, EgressError> {
    let target = target(route, &request.target)?;
    check_verb(route, &request.method, target.query().unwrap_or(""))?;
    let uri = http::Uri::builder()
        .scheme(route.scheme.clone())
        .authority(route.authority.clone())
        .path_and_query(target)
        .build()
        .map_err(|e| EgressError::refused("egress.path", format!("a request could not be addressed: {e}")))?;
    let mut admitted = http::Request::new(());
    *admitted.uri_mut() = uri;
    *admitted.method_mut() = request
        .method
        .parse()
        .map_err(|e| EgressError::refused("egress.verb", format!("`{}`: {e}", request.method.escape_debug())))?;
    copy_headers(route, &request.headers, admitted.headers_mut())?;
    Ok(admitted)
}

/// The bytes that go out: the base path and the guest's bytes, unchanged.
fn target(route: &Route, relative: &str) -> Result<PathAndQuery, EgressError> {
    let refused = |why: &str| {
        EgressError::refused(
            "egress.path",
            format!("the connector asked endpoint `{}` for `{}`, {why}", route.label, relative.escape_debug()),
        )
    };
    if !(relative.is_empty() || relative.starts_with(['/', '?'])) {
        return Err(refused("which does not begin with `/` or `?`"));
    }
    let path = relative.split('?').next().unwrap_or("");
    if !route.opaque_paths && path.split('/').any(is_dot_segment) {
        return Err(refused("which climbs out of the endpoint's folder"));
    }
    let root = if route.base_path.is_empty() && path.is_empty() { "/" } else { "" };
    let whole = format!("{}{root}{relative}", route.base_path);
    let parsed = PathAndQuery::try_from(whole.as_str()).map_err(|_| refused("which is not percent-encoded"))?;
    if parsed.as_str() == whole { Ok(parsed) } else { Err(refused("which holds a `#` that is not percent-encoded")) }
}

/// `.` or `..`, also escaped: servers and proxies resolve them.
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

fn check_verb(route: &Route, method: &str, query: &str) -> Result<(), EgressError> {
    if route.verbs.iter().any(|verb| verb.covers(method, query)) {
        return Ok(());
    }
    let roles: Vec<&str> = route.roles.iter().map(|role| role.name()).collect();
    let verbs: Vec<String> = route.verbs.iter().map(ToString::to_string).collect();
    Err(EgressError::refused(
        "egress.verb",
        format!(
            "the connector asked endpoint `{}` for {} as {}, which may only {}",
            route.label,
            method.escape_debug(),
            roles.join(" and "),
            if verbs.is_empty() { "do nothing there".to_owned() } else { verbs.join(", ") }
        ),
    ))
}

fn copy_headers(route: &Route, from: &[(String, String)], to: &mut http::HeaderMap) -> Result<(), EgressError> {
    for (name, value) in from {
        let refused = |why: &str| {
            EgressError::refused(
                "egress.header",
                format!("the connector set the header `{}` for endpoint `{}`, {why}", name.escape_debug(), route.label),
            )
        };
        let name: HeaderName = name.parse().map_err(|_| refused("which is not a name of a header"))?;
        if HOST_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
            continue;
        }
        // With it a PUT reads from any bucket that the credentials can read.
        if name.as_str().starts_with("x-amz-copy-source") {
            return Err(refused("which would read outside the endpoint"));
        }
        let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let value = value.parse().ok().filter(|_| printable);
        let value = value.ok_or_else(|| refused("whose value holds other characters than printable ASCII"))?;
        to.append(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::{Manifest, Role};
    use crate::settings::{RawSettings, Settings, Surroundings};

    fn route(role: Role, extra: &str) -> Route {
        let manifest = Manifest::parse(&format!("{}\n{extra}", crate::settings::S3_MANIFEST)).unwrap();
        let raw: RawSettings = BTreeMap::from([("bucket".to_owned(), "b".to_owned())]);
        let settings = Settings::resolve(&manifest, &raw, &Surroundings::none()).unwrap();
        let label = if extra.is_empty() { "bucket" } else { "plain" };
        Route::new(label, &manifest.endpoints[label], &settings, &[role], &std::sync::Arc::default()).unwrap()
    }

    fn ask(role: Role, method: &str, target: &str) -> Result<String, &'static str> {
        admit_on(&route(role, ""), method, target, &[])
    }

    fn admit_on(route: &Route, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<String, &'static str> {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let request =
            GuestRequest { method: method.to_owned(), target: target.to_owned(), headers, ..Default::default() };
        match admit(route, &request) {
            Ok(request) => Ok(request.uri().path_and_query().unwrap().as_str().to_owned()),
            Err(EgressError::Refused { reason, .. }) => Err(reason),
            Err(_) => Err("other"),
        }
    }

    #[test]
    fn every_request_stays_below_the_endpoint_and_keeps_its_bytes() {
        for (target, whole) in [
            ("", "/b"),
            ("?list-type=2", "/b?list-type=2"),
            ("/a/../c", "/b/a/../c"),
            ("//x//", "/b//x//"),
            ("/%2e%2e/%2F+", "/b/%2e%2e/%2F+"),
        ] {
            assert_eq!(ask(Role::Source, "GET", target), Ok(whole.to_owned()));
        }
        for target in ["x", "b/../..", ".evil", "@evil", "/a b", "/a\r\nHost: x", "/a#b", "http://evil/"] {
            assert_eq!(ask(Role::Source, "GET", target), Err("egress.path"), "{target}");
        }
    }

    #[test]
    fn a_role_may_only_use_its_verbs() {
        assert!(ask(Role::Source, "HEAD", "/k").is_ok());
        assert_eq!(ask(Role::Source, "PUT", "/k"), Err("egress.verb"));
        assert_eq!(ask(Role::Store, "DELETE", "/k"), Err("egress.verb"));
        assert!(ask(Role::Prune, "DELETE", "/k").is_ok());
        assert!(ask(Role::Prune, "POST", "?delete").is_ok());
        assert_eq!(ask(Role::Prune, "POST", "?acl"), Err("egress.verb"));
        assert_eq!(ask(Role::Destination, "DELETE", "/k"), Err("egress.verb"));
        assert!(ask(Role::Destination, "DELETE", "/k?uploadId=1").is_ok());
    }

    #[test]
    fn dots_climb_nowhere_where_paths_are_folders() {
        let plain = "[endpoints.plain]\nurl = 'https://h'\npath = '/base'\nallow = { source = ['GET'] }";
        let route = route(Role::Source, plain);
        assert!(admit_on(&route, "GET", "/a..b/c", &[]).is_ok());
        for target in ["/../x", "/a/%2E%2e/x", "/."] {
            assert_eq!(admit_on(&route, "GET", target, &[]), Err("egress.path"), "{target}");
        }
    }

    #[test]
    fn headers_of_the_host_are_stripped_and_dangerous_ones_refused() {
        let route = route(Role::Source, "");
        let mut headers = http::HeaderMap::new();
        let own = ["Authorization", "host", "X-Amz-Date", "content-length", "Proxy-Authorization", "Connection"];
        let given: Vec<_> = own.iter().map(|n| ((*n).to_owned(), "x".to_owned())).collect();
        copy_headers(&route, &given, &mut headers).unwrap();
        assert!(headers.is_empty(), "{headers:?}");
        copy_headers(&route, &[("If-Match".to_owned(), "\"x\"".to_owned())], &mut headers).unwrap();
        assert_eq!(headers["if-match"], "\"x\"");
        for (name, value) in [("x-amz-copy-source", "/other/k"), ("a b", "x"), ("x", "a\r\nb"), ("x", "é")] {
            assert_eq!(admit_on(&route, "GET", "/k", &[(name, value)]), Err("egress.header"));
        }
    }
}
