//! What a guest's request must satisfy before it is signed.

use credenza_connect::Payload;
use http::HeaderName;
use http::uri::PathAndQuery;

use super::address::{encode_name, encode_segment};
use super::route::Route;
use super::{EgressError, GuestRequest, document};
use crate::manifest::{HeaderRule, Paths, Query, Reach, Verb};

/// Headers that only the host sets (RFC 9110 section 7.6.1), or that change what a request means. An endpoint's authentication has more
/// (`Auth::owned_headers`).
const HOST_HEADERS: [&str; 14] = [
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
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

/// Headers of HTTP that describe a body or what is asked for (RFC 9110 sections 8, 12.5, 13.1 and 14): every role may send them. All else a manifest
/// must name, because it may mean anything: `x-amz-acl` makes an object public.
const PLAIN_HEADERS: [&str; 17] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-range",
    "content-type",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];

/// Most headers of a request, and their names and values together.
const HEADERS_MAX: usize = 128;
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Longest target of a request; what is longer no server takes.
const TARGET_BYTES_MAX: usize = 64 * 1024;

/// The request that may be signed and sent, or why it may not.
pub(crate) fn admit(
    route: &Route,
    request: &GuestRequest,
    payload: &Payload,
) -> Result<http::Request<()>, EgressError> {
    let target = target(route, &request.target)?;
    let verb = permitted(route, request, &target)?;
    if verb.document().is_some_and(|document| !document::is_within(document, &payload.to_bytes(), &route.below)) {
        let message =
            format!("the connector sent endpoint `{}` a document that reaches further than {verb}", route.label);
        return Err(EgressError::refused("egress.document", message));
    }
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
    if relative.len() > TARGET_BYTES_MAX {
        return Err(EgressError::refused(
            "egress.path",
            format!("a request is for {} bytes of address", relative.len()),
        ));
    }
    if !(relative.is_empty() || relative.starts_with(['/', '?'])) {
        return Err(refused("which does not begin with `/` or `?`"));
    }
    let path = relative.split('?').next().unwrap_or("");
    if route.paths != Paths::Opaque && path.split('/').any(is_dot_segment) {
        return Err(refused("which climbs out of the endpoint's folder"));
    }
    let name = path.strip_prefix('/').unwrap_or_default();
    if route.paths == Paths::Names && name.contains('/') {
        return Err(refused("which is more than one name; write `/` in a name as `%2F`"));
    }
    let folder = match route.paths {
        Paths::Folders | Paths::Opaque => encode_segment(&route.below),
        Paths::Names => encode_name(&route.below),
    };
    if !name.is_empty() && !name.starts_with(&folder) {
        return Err(refused("which is not below the folder that it was given"));
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

/// The verb that covers a request.
fn permitted<'r>(route: &'r Route, request: &GuestRequest, target: &PathAndQuery) -> Result<&'r Verb, EgressError> {
    let asked = |why: &str| {
        let roles: Vec<&str> = route.roles.iter().map(|role| role.name()).collect();
        let (method, relative) = (request.method.escape_debug(), request.target.escape_debug());
        let message = format!(
            "the connector asked endpoint `{}` for {method} `{relative}` as {}, {why}",
            route.label,
            roles.join(" and ")
        );
        EgressError::refused("egress.verb", message)
    };
    let query = Query::read(target.query()).map_err(asked)?;
    let is_below = request.target.split('?').next().is_some_and(|path| path.len() > 1);
    let covering = route.verbs.iter().find(|granted| granted.verb.covers(&request.method, is_below, &query));
    let Some(granted) = covering else {
        if route.is_preview {
            let (method, relative) = (request.method.escape_debug(), request.target.escape_debug());
            let message = format!(
                "a dry run changes nothing, and the next step would be {method} `{relative}` at endpoint `{}`",
                route.label
            );
            return Err(EgressError::refused("egress.preview", message));
        }
        let verbs: Vec<String> = route.verbs.iter().map(|granted| granted.verb.to_string()).collect();
        let verbs = if verbs.is_empty() { "do nothing there".to_owned() } else { verbs.join(", ") };
        return Err(asked(&format!("which may only {verbs}")));
    };
    let verb = &granted.verb;
    let folder =
        route.below_parameter.as_deref().filter(|name| !is_below && !route.below.is_empty() && verb.takes(name));
    let beginning = encode_name(&route.below);
    match folder.map(|name| query.value(name).unwrap_or_default()) {
        Some(value) if !value.starts_with(&beginning) => Err(asked("which is not below the folder that it was given")),
        _ => {
            granted.notice();
            Ok(verb)
        }
    }
}

fn copy_headers(route: &Route, from: &[(String, String)], to: &mut http::HeaderMap) -> Result<(), EgressError> {
    let bytes: usize = from.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum();
    if from.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let message = format!(
            "the connector set {} headers of {bytes} bytes for endpoint `{}`; {HEADERS_MAX} of {HEADER_BYTES_MAX} are sent",
            from.len(),
            route.label
        );
        return Err(EgressError::refused("egress.header", message));
    }
    for (name, value) in from {
        let refused_for = |reason, why: &str| {
            let (name, label) = (name.escape_debug(), &route.label);
            EgressError::refused(reason, format!("the connector set the header `{name}` for endpoint `{label}`, {why}"))
        };
        let refused = |why: &str| refused_for("egress.header", why);
        let name: HeaderName = name.parse().map_err(|_| refused("which is not a name of a header"))?;
        let is_owned = HOST_HEADERS.contains(&name.as_str()) || route.owned.iter().any(|owned| name == owned.as_str());
        if is_owned || name.as_str().starts_with("proxy-") {
            continue;
        }
        let rule = route.headers.iter().find(|rule| rule.covers(name.as_str()));
        if rule.is_none() && !PLAIN_HEADERS.contains(&name.as_str()) {
            return Err(refused_for("egress.header-name", "which its manifest does not grant here"));
        }
        let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let value = match rule.and_then(HeaderRule::reach) {
            Some(reach) => reached(route, value, reach)?.parse().ok(),
            None => value.parse().ok().filter(|_| printable),
        };
        let value = value.ok_or_else(|| refused("whose value holds other characters than printable ASCII"))?;
        to.append(name, value);
    }
    Ok(())
}

/// The address or path that a header names by a target: one that a request could have, of something below the endpoint.
fn reached(route: &Route, relative: &str, reach: Reach) -> Result<String, EgressError> {
    let target = target(route, relative)?;
    if relative.len() <= 1 || target.query().is_some() {
        let message = format!(
            "the connector names `{}` in a header for endpoint `{}`, which is nothing below it",
            relative.escape_debug(),
            route.label
        );
        return Err(EgressError::refused("egress.path", message));
    }
    Ok(match reach {
        Reach::Address => format!("{}://{}{target}", route.scheme, route.authority),
        Reach::Path => target.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::route::Permit;
    use super::*;
    use crate::manifest::{Manifest, Role};
    use crate::settings::{RawSettings, SecretText, Settings, Surroundings};

    fn route_of(roles: &[Role], settings: &[(&str, &str)]) -> Route {
        let manifest = Manifest::parse(crate::settings::S3_MANIFEST).unwrap();
        let mut raw: RawSettings = BTreeMap::from([("bucket".to_owned(), SecretText::new("b"))]);
        raw.extend(settings.iter().map(|(name, text)| ((*name).to_owned(), SecretText::new(*text))));
        let settings = Settings::resolve(&manifest, &raw, &Surroundings::none()).unwrap();
        Route::new("bucket", &manifest.endpoints["bucket"], &settings, Permit::of(roles), &std::sync::Arc::default())
            .unwrap()
    }

    /// A route of the connector that is embedded.
    fn route_of_s3(permit: Permit<'_>, settings: &[(&str, &str)]) -> Route {
        let manifest = Manifest::parse(include_str!("../../../../plugins/s3/connector.toml")).unwrap();
        let mut raw: RawSettings = BTreeMap::from([("bucket".to_owned(), SecretText::new("b"))]);
        raw.extend(settings.iter().map(|(name, text)| ((*name).to_owned(), SecretText::new(*text))));
        let settings = Settings::resolve(&manifest, &raw, &Surroundings::none()).unwrap();
        Route::new("bucket", &manifest.endpoints["bucket"], &settings, permit, &std::sync::Arc::default()).unwrap()
    }

    fn ask(role: Role, method: &str, target: &str) -> Result<String, &'static str> {
        admit_on(&route_of(&[role], &[]), method, target, &[])
    }

    fn admit_on(route: &Route, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<String, &'static str> {
        admit_with(route, method, target, headers, b"")
    }

    fn admit_with(
        route: &Route,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<String, &'static str> {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let request =
            GuestRequest { method: method.to_owned(), target: target.to_owned(), headers, ..Default::default() };
        match admit(route, &request, &Payload::from(body.to_vec())) {
            Ok(request) => Ok(request.uri().path_and_query().unwrap().as_str().to_owned()),
            Err(EgressError::Refused { reason, .. }) => Err(reason),
            Err(_) => Err("other"),
        }
    }

    #[test]
    fn every_request_stays_below_the_endpoint_and_keeps_its_bytes() {
        for (target, whole) in [
            ("?list-type=2", "/b?list-type=2"),
            ("/a/../c", "/b/a/../c"),
            ("//x//", "/b//x//"),
            ("/%2e%2e/%2F+", "/b/%2e%2e/%2F+"),
        ] {
            assert_eq!(ask(Role::Source, "GET", target), Ok(whole.to_owned()));
        }
        assert_eq!(ask(Role::Destination, "HEAD", ""), Ok("/b".to_owned()));
        let long = format!("/{}", "x".repeat(70_000));
        for target in ["x", "b/../..", ".evil", "@evil", "/a b", "/a\r\nHost: x", "/a#b", "http://evil/", &long] {
            assert_eq!(ask(Role::Source, "GET", target), Err("egress.path"), "{target}");
        }
    }

    #[test]
    fn a_role_may_only_use_its_verbs() {
        assert!(ask(Role::Source, "HEAD", "/k").is_ok());
        assert_eq!(ask(Role::Source, "PUT", "/k"), Err("egress.verb"));
        assert_eq!(ask(Role::Store, "DELETE", "/k"), Err("egress.verb"));
        assert!(ask(Role::Prune, "DELETE", "/k").is_ok());
        assert_eq!(ask(Role::Destination, "DELETE", "/k"), Err("egress.verb"));
        assert!(ask(Role::Destination, "DELETE", "/k?uploadId=1").is_ok());
        assert!(ask(Role::Source, "POST", "/k?restore").is_ok());
    }

    #[test]
    fn a_dry_run_reads_and_changes_nothing() {
        let preview = Permit { is_preview: true, ..Permit::of(&[Role::Destination]) };
        let route = route_of_s3(preview, &[("create_bucket", "true")]);
        assert!(admit_on(&route, "HEAD", "/k", &[]).is_ok());
        for (method, target) in [("PUT", ""), ("PUT", "/k"), ("POST", "/k?uploads"), ("DELETE", "/k?uploadId=1")] {
            assert_eq!(admit_on(&route, method, target, &[]), Err("egress.preview"), "{method} {target}");
        }
    }

    #[test]
    fn the_embedded_connector_may_ask_for_what_it_asks_for_and_no_more() {
        let restore = b"<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Days>7</Days><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters></RestoreRequest>";
        let select =
            b"<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Type>SELECT</Type></RestoreRequest>";
        let (create, request) = (("create_bucket", "true"), ("archived", "request"));
        for (role, setting, method, target, body, outcome) in [
            (Role::Source, None, "HEAD", "/k?partNumber=1&versionId=v", &b""[..], Ok(())),
            (Role::Source, None, "HEAD", "/k", b"", Err("egress.verb")),
            (Role::Source, None, "GET", "/k?acl&versionId=v", b"", Ok(())),
            (Role::Source, None, "GET", "?object-lock", b"", Ok(())),
            (Role::Source, None, "POST", "/k?restore", restore, Err("egress.verb")),
            (Role::Source, Some(request), "POST", "/k?restore&versionId=v", restore, Ok(())),
            (Role::Source, Some(request), "POST", "/k?restore", select, Err("egress.document")),
            (Role::Store, None, "GET", "?versioning", b"", Err("egress.verb")),
            (
                Role::Store,
                None,
                "GET",
                "?versions&encoding-type=url&max-keys=9&key-marker=k&version-id-marker=v",
                b"",
                Ok(()),
            ),
            (Role::Store, None, "GET", "/k?versionId=v", b"", Ok(())),
            (Role::Store, None, "PUT", "/k?retention&versionId=v", b"", Ok(())),
            (Role::Store, None, "POST", "/k?uploads", b"", Err("egress.verb")),
            (Role::Destination, None, "HEAD", "", b"", Err("egress.verb")),
            (Role::Destination, None, "PUT", "", b"", Err("egress.verb")),
            (Role::Destination, Some(create), "HEAD", "", b"", Ok(())),
            (Role::Destination, Some(create), "PUT", "", b"", Ok(())),
            (Role::Destination, None, "GET", "?versioning", b"", Ok(())),
            (Role::Destination, None, "PUT", "/k?partNumber=1&uploadId=u", b"", Ok(())),
            (Role::Destination, None, "GET", "/k", b"", Err("egress.verb")),
        ] {
            let route = route_of_s3(Permit::of(&[role]), setting.as_slice());
            assert_eq!(admit_with(&route, method, target, &[], body).map(drop), outcome, "{role:?}: {method} {target}");
        }
    }

    #[test]
    fn a_sub_resource_is_denied_unless_it_is_listed() {
        for parameter in ["policy", "acl", "lifecycle", "cors", "versioning", "retention", "legal-hold", "x"] {
            for target in [format!("?{parameter}"), format!("/k?{parameter}"), format!("/?{parameter}")] {
                assert_eq!(ask(Role::Store, "PUT", &target), Err("egress.verb"), "{target}");
                assert_eq!(ask(Role::Prune, "DELETE", &target), Err("egress.verb"), "{target}");
            }
        }
        // The bucket itself.
        for target in ["", "/"] {
            assert_eq!(ask(Role::Store, "PUT", target), Err("egress.verb"));
            assert_eq!(ask(Role::Prune, "DELETE", target), Err("egress.verb"));
        }
        assert_eq!(ask(Role::Prune, "DELETE", "/k?versionId=1"), Err("egress.verb"), "a version is destroyed for good");
    }

    #[test]
    fn a_permitted_parameter_opens_no_door_for_another() {
        for target in [
            "?delete&restore",
            "/k?delete&restore",
            "/k?restore&delete",
            "/k?restore&restore",
            "/k?restore&%64elete",
            "/k?%64elete&restore",
            "/k?restore&&delete",
            "/k?restore;delete",
            "/k?restore&=1",
            "/k?restore&",
            "/k?&restore",
            "/k?restore=1;delete",
            "/k?RESTORE",
        ] {
            assert_eq!(ask(Role::Source, "POST", target), Err("egress.verb"), "{target}");
        }
    }

    #[test]
    fn nothing_outside_the_granted_prefix_is_asked_for() {
        let roles = [Role::Store, Role::Prune];
        let route = route_of(&roles, &[("prefix", "my photos/2026")]);
        for target in ["/my%20photos/2026/x", "/my%20photos/2026//x", "?list-type=2&prefix=my%20photos%2F2026%2Fdata"] {
            assert!(admit_on(&route, "GET", target, &[]).is_ok(), "{target}");
        }
        for target in [
            "/x",
            "/my%20photos/x",
            "/my%20photos/2026",
            "/my%20photos/2026x",
            "//my%20photos/2026/x",
            "/my photos/2026/x",
        ] {
            assert_eq!(admit_on(&route, "GET", target, &[]), Err("egress.path"), "{target}");
        }
        for target in
            ["?list-type=2", "?list-type=2&prefix=", "?list-type=2&prefix=my%20photos%2F2026", "?list-type=2&prefix=x"]
        {
            assert_eq!(admit_on(&route, "GET", target, &[]), Err("egress.verb"), "{target}");
        }
    }

    #[test]
    fn a_batch_of_deletions_names_what_lies_below_and_no_versions() {
        let route = route_of(&[Role::Store, Role::Prune], &[("prefix", "p")]);
        let delete = |objects: &str| {
            let body = format!("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{objects}</Delete>");
            admit_with(&route, "POST", "?delete", &[], body.as_bytes())
        };
        assert!(delete("<Object><Key>p/a</Key></Object>").is_ok());
        assert_eq!(delete("<Object><Key>q/a</Key></Object>"), Err("egress.document"));
        assert_eq!(delete("<Object><Key>p/a</Key><VersionId>1</VersionId></Object>"), Err("egress.document"));
    }

    #[test]
    fn dots_climb_nowhere_where_paths_are_folders() {
        let plain = "[endpoints.plain]\nurl = 'https://h'\npath = '/base'\nallow = { source = ['GET /*'] }";
        let manifest = Manifest::parse(&format!("{}\n{plain}", crate::settings::S3_MANIFEST)).unwrap();
        let raw: RawSettings = BTreeMap::from([("bucket".to_owned(), SecretText::new("b"))]);
        let settings = Settings::resolve(&manifest, &raw, &Surroundings::none()).unwrap();
        let endpoint = &manifest.endpoints["plain"];
        let route =
            Route::new("plain", endpoint, &settings, Permit::of(&[Role::Source]), &std::sync::Arc::default()).unwrap();
        assert!(admit_on(&route, "GET", "/a..b/c", &[]).is_ok());
        for target in ["/../x", "/a/%2E%2e/x", "/."] {
            assert_eq!(admit_on(&route, "GET", target, &[]), Err("egress.path"), "{target}");
        }
    }

    #[test]
    fn headers_of_the_host_are_stripped_and_dangerous_ones_refused() {
        let route = route_of(&[Role::Source], &[]);
        let mut headers = http::HeaderMap::new();
        let own = ["Authorization", "host", "X-Amz-Date", "content-length", "Proxy-Authorization", "Connection"];
        let given: Vec<_> = own.iter().map(|n| ((*n).to_owned(), "x".to_owned())).collect();
        copy_headers(&route, &given, &mut headers).unwrap();
        assert!(headers.is_empty(), "{headers:?}");
        copy_headers(&route, &[("If-Match".to_owned(), "\"x\"".to_owned())], &mut headers).unwrap();
        assert_eq!(headers["if-match"], "\"x\"");
        for (name, value) in [("a b", "x"), ("if-match", "a\r\nb"), ("range", "é")] {
            assert_eq!(admit_on(&route, "GET", "/k", &[(name, value)]), Err("egress.header"));
        }
        let many: Vec<(String, &str)> = (0..200).map(|n| (format!("x-{n}"), "x")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(admit_on(&route, "GET", "/k", &many), Err("egress.header"));
        let long = "x".repeat(70_000);
        assert_eq!(admit_on(&route, "GET", "/k", &[("range", &long)]), Err("egress.header"));
    }

    #[test]
    fn a_header_of_the_provider_is_sent_only_where_its_role_lists_it() {
        let put =
            |role, settings: &[(&str, &str)], name| admit_on(&route_of(&[role], settings), "PUT", "/k", &[(name, "x")]);
        for name in [
            "x-amz-acl",
            "x-amz-bypass-governance-retention",
            "x-amz-grant-read",
            "x-amz-website-redirect-location",
            "x-amz-copy-source",
            "x-ms-copy-source",
            "x-goog-copy-source",
            "destination",
            "x-mine",
        ] {
            assert_eq!(put(Role::Store, &[], name), Err("egress.header-name"), "{name}");
        }
        assert!(put(Role::Store, &[], "x-amz-storage-class").is_ok());
        assert!(put(Role::Destination, &[], "X-Amz-Meta-Owner").is_ok());
        assert_eq!(
            put(Role::Destination, &[], "x-amz-acl"),
            Err("egress.header-name"),
            "only where the setting asks for it"
        );
        assert!(put(Role::Destination, &[("acl", "true")], "x-amz-acl").is_ok());
    }

    /// A route of an endpoint that is written like this.
    fn route_to(endpoint: &str) -> Route {
        let head = "name = 'x'\nversion = '1'\napi = '0.1'\nroles = ['source']\n[secrets.a]\n[secrets.b]\n[settings.folder]\ntype = 'string'\ndefault = 'f'";
        let manifest =
            Manifest::parse(&format!("{head}\n[endpoints.e]\nurl = 'https://h'\npath = '/base'\n{endpoint}")).unwrap();
        let raw = [("a", "an-id"), ("b", "Zm9v")].map(|(name, text)| (name.to_owned(), SecretText::new(text))).into();
        let settings = Settings::resolve(&manifest, &raw, &Surroundings::none()).unwrap();
        Route::new("e", &manifest.endpoints["e"], &settings, Permit::of(&[Role::Source]), &std::sync::Arc::default())
            .unwrap()
    }

    #[test]
    fn a_path_is_opaque_where_the_manifest_says_so_whatever_the_authentication() {
        let allow = "allow = { source = ['GET /*'] }";
        let opaque = route_to(&format!("paths = 'opaque'\nauth = {{ scheme = 'bearer', token = 'b' }}\n{allow}"));
        for target in ["/../x", "/a/./b", "/%2e%2e", "//x//"] {
            assert_eq!(admit_on(&opaque, "GET", target, &[]), Ok(format!("/base{target}")));
        }
        let folders = format!("auth = {{ scheme = 'goog4-hmac', key = 'a', secret = 'b' }}\n{allow}");
        assert_eq!(admit_on(&route_to(&folders), "GET", "/../x", &[]), Err("egress.path"));
    }

    #[test]
    fn a_name_is_one_segment_below_the_folder_where_the_manifest_says_that_paths_are_names() {
        let route = route_to("paths = 'names'\nbelow = '{folder}/ü'\nallow = { source = ['GET /* [alt]'] }");
        for target in ["/f%2F%C3%BC%2Fa", "/f%2F%C3%BC%2F..%2Fa?alt=media", "/f%2F%C3%BC%2F%2F"] {
            assert_eq!(admit_on(&route, "GET", target, &[]), Ok(format!("/base{target}")));
        }
        for target in [
            "/f%2F%C3%BC/a",
            "/f%2f%C3%BC%2Fa",
            "/f%2F%C3%BC",
            "/f/%C3%BC/a",
            "/a",
            "/f%2F%C3%BC%2Fa/acl",
            "/%2e%2e",
            "/..",
            "//f%2F%C3%BC%2Fa",
        ] {
            assert_eq!(admit_on(&route, "GET", target, &[]), Err("egress.path"), "{target}");
        }
    }

    #[test]
    fn the_headers_of_an_authentication_are_the_hosts() {
        let headers = "headers = { source = ['x-ms-*', 'x-goog-*', 'x-account'] }\nallow = { source = ['GET /*'] }";
        for (auth, name) in [
            ("{ scheme = 'azure-shared-key', account = 'a', key = 'b' }", "x-ms-date"),
            ("{ scheme = 'goog4-hmac', key = 'a', secret = 'b' }", "X-Goog-Date"),
            ("{ scheme = 'header', headers = { X-Account = '{a}' } }", "x-account"),
        ] {
            let route = route_to(&format!("auth = {auth}\n{headers}"));
            let mut copied = http::HeaderMap::new();
            copy_headers(&route, &[(name.to_owned(), "of the guest".to_owned())], &mut copied).unwrap();
            assert!(copied.is_empty(), "{auth}: {copied:?}");
        }
    }

    #[test]
    fn a_header_that_reaches_further_is_a_target_below_the_endpoint() {
        let allow = "paths = 'folders'\nbelow = '{folder}'\nallow = { source = ['MOVE /*'] }";
        let route = route_to(&format!(
            "headers = {{ source = ['destination <address>', 'x-amz-copy-source <path>'] }}\n{allow}"
        ));
        let copied = |name: &str, value: &str| {
            let mut headers = http::HeaderMap::new();
            let copied = copy_headers(&route, &[(name.to_owned(), value.to_owned())], &mut headers);
            copied.map(|()| headers[name].to_str().unwrap().to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(copied("destination", "/f/a%20b").unwrap(), "https://h/base/f/a%20b");
        assert_eq!(copied("x-amz-copy-source", "/f/a").unwrap(), "/base/f/a");
        for wrong in [
            "",
            "/",
            "f/a",
            "/g/a",
            "/f/../../x",
            "https://elsewhere/f/a",
            "/f/a?b",
            "/f/a b",
            "/f/a\r\nx: y",
            "@elsewhere/f/a",
        ] {
            copied("destination", wrong).unwrap_err();
        }
        assert!(copied("x-ms-copy-source", "/f/a").unwrap_err().contains("does not grant"));
    }
}
