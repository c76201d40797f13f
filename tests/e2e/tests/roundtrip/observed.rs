//! What a bucket holds, as an independent client reads it.

use anyhow::{Context, Result};
use bytes::Bytes;
use credenza_e2e::s3::xml::{blocks, element};
use credenza_e2e::s3::{Answer, S3};
use http::Method;
use std::collections::BTreeMap;

/// What is known of an object beside its body, by the names that a fidelity report uses.
pub(crate) type Facts = BTreeMap<String, String>;

/// Every key with its versions, the oldest first; one where the bucket has no versions.
pub(crate) type Observed = BTreeMap<String, Vec<Seen>>;

/// Headers and the attributes that they are.
const HEADERS: [(&str, &str); 12] = [
    ("content-type", "http.content-type"),
    ("content-encoding", "http.content-encoding"),
    ("content-language", "http.content-language"),
    ("content-disposition", "http.content-disposition"),
    ("cache-control", "http.cache-control"),
    ("expires", "http.expires"),
    ("x-amz-website-redirect-location", "s3.website-redirect"),
    ("x-amz-storage-class", "s3.storage-class"),
    ("x-amz-server-side-encryption", "s3.sse"),
    ("x-amz-object-lock-mode", "s3.lock-mode"),
    ("x-amz-object-lock-retain-until-date", "s3.lock-until"),
    ("x-amz-object-lock-legal-hold", "s3.legal-hold"),
];

/// The ETag: it tells in which parts an object was uploaded.
pub(crate) const ETAG: &str = "s3.etag";
pub(crate) const CHECKSUM: &str = "s3.checksum-algorithm";
const ACL: &str = "s3.acl";

/// A version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Object {
        body: Bytes,
        facts: Facts,
    },
    DeleteMarker,
    /// It is listed, and the server does not give it.
    Unreadable(String),
}

/// All that a bucket shows without versions.
pub(crate) fn observe(s3: &S3, bucket: &str) -> Result<Observed> {
    let keys = s3.keys(bucket, "")?;
    keys.into_iter().map(|key| Ok((key.clone(), vec![look(s3, bucket, &key, None)?]))).collect()
}

/// All that a bucket with versions shows.
pub(crate) fn observe_versions(s3: &S3, bucket: &str) -> Result<Observed> {
    let mut observed = Observed::new();
    for version in s3.versions(bucket)? {
        let seen = match version.deleted {
            true => Seen::DeleteMarker,
            false => look(s3, bucket, &version.key, Some(&version.id))?,
        };
        observed.entry(version.key).or_default().push(seen);
    }
    Ok(observed)
}

fn look(s3: &S3, bucket: &str, key: &str, version: Option<&str>) -> Result<Seen> {
    let ask = |sub_resource: Option<&'static str>| {
        let query = version.map(|id| ("versionId", id)).into_iter().chain(sub_resource.map(|name| (name, "")));
        let (query, headers) = (query.collect::<Vec<_>>(), [("x-amz-checksum-mode", "ENABLED")]);
        let get = || s3.send(Method::GET, (bucket, key.as_bytes()), &query, &headers, "");
        // A server may end a connection that was kept, just as it is used again.
        get().or_else(|_| get()).with_context(|| format!("reading {key:?}"))
    };
    let answer = ask(None)?;
    if !answer.status.is_success() {
        return Ok(Seen::Unreadable(answer.status.to_string()));
    }
    let mut facts = facts_of(&answer);
    facts.extend(tags_of(&ask(Some("tagging"))?));
    facts.extend(acl_of(&ask(Some("acl"))?));
    Ok(Seen::Object { body: answer.body, facts })
}

fn facts_of(answer: &Answer) -> Facts {
    let names = answer.headers.keys().map(http::HeaderName::as_str);
    let facts = names.filter_map(|name| fact(name, &answer.header(name)?));
    let etag = answer.header("etag").map(|etag| (ETAG.to_owned(), etag.trim_matches('"').to_owned()));
    facts.chain(etag).collect()
}

/// The attribute that a header is; none for one that is a fact of the answer, or says what is so without it.
pub(crate) fn fact(header: &str, value: &str) -> Option<(String, String)> {
    if let Some(name) = header.strip_prefix("x-amz-meta-") {
        return Some((format!("user.{name}"), value.to_owned()));
    }
    if let Some(algorithm) =
        header.strip_prefix("x-amz-checksum-").filter(|name| !matches!(*name, "type" | "algorithm"))
    {
        return Some((CHECKSUM.to_owned(), format!("{algorithm} {value}")));
    }
    let (_, name) = HEADERS.iter().find(|(known, _)| *known == header)?;
    let value = value.replace(".000Z", "Z");
    let is_usual = matches!((*name, value.as_str()), ("s3.storage-class", "STANDARD") | ("s3.legal-hold", "OFF"));
    (!is_usual).then(|| ((*name).to_owned(), value))
}

/// Some servers answer the object itself when asked for its tags.
fn tags_of(answer: &Answer) -> Facts {
    let text = String::from_utf8_lossy(&answer.body);
    let tagging = blocks(&text, "Tagging").next().filter(|_| answer.status.is_success()).unwrap_or_default();
    let pair =
        |tag: &str| Some((format!("s3.tag.{}", element(tag, "Key")?), element(tag, "Value").unwrap_or_default()));
    blocks(tagging, "Tag").filter_map(pair).collect()
}

/// What others than the owner may do.
fn acl_of(answer: &Answer) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(&answer.body);
    let policy = blocks(&text, "AccessControlPolicy").next().filter(|_| answer.status.is_success())?;
    let owner = blocks(policy, "Owner").next().and_then(|owner| element(owner, "ID"));
    let grants = blocks(policy, "Grant").filter_map(|grant| {
        let whom = element(grant, "URI").or_else(|| element(grant, "ID")).filter(|id| Some(id) != owner.as_ref())?;
        Some(format!("{} {}", whom.rsplit('/').next().unwrap_or(&whom), element(grant, "Permission")?))
    });
    let grants = grants.collect::<Vec<_>>().join(", ");
    (!grants.is_empty()).then(|| (ACL.to_owned(), grants))
}

/// The facts that an object has that was put with these headers.
pub(crate) fn wished(headers: &[(&'static str, String)]) -> Facts {
    let mut facts: Facts = headers.iter().filter_map(|(name, value)| fact(name, value)).collect();
    for (name, value) in headers {
        match (*name, value.as_str()) {
            ("x-amz-tagging", tags) => facts.extend(tags.split('&').filter_map(tag)),
            // Its value is the server's to compute.
            ("x-amz-checksum-algorithm", name) => drop(facts.insert(CHECKSUM.to_owned(), name.to_ascii_lowercase())),
            ("x-amz-acl", "public-read") => drop(facts.insert(ACL.to_owned(), "AllUsers READ".to_owned())),
            _ => {}
        }
    }
    facts
}

fn tag(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=')?;
    Some((format!("s3.tag.{}", credenza_e2e::s3::decode(name)), credenza_e2e::s3::decode(value)))
}
