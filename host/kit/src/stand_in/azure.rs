//! Azure Blob Storage: one container, `kit`, with or without an account before it in the path
//! (<https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-rest-api>).
//!
//! Credentials of some kind must be there and are not verified: that is the host's, and tested there. Block blobs only; no leases, no snapshots.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{Method, StatusCode};

use super::content;
use super::files::{Details, File, Files};
use super::listing::{self, Item, Question};
use crate::exchange::{Answer, Asked, encode, escape, texts};
use crate::peer::Paging;

/// The container, as the first part of a path.
const ROOT: &[u8] = b"kit/";
/// The account that stands before it where the path names one, as that of the emulators.
const ACCOUNT: &[u8] = b"devstoreaccount1/";
const XML: &str = "application/xml";
/// Most blobs of a page.
const PAGE_BLOBS_MAX: usize = 5000;
/// Headers of a write, and those that a read gives back for them.
const CONTENT: [(&str, &str); 6] = [
    ("x-ms-blob-cache-control", "cache-control"),
    ("x-ms-blob-content-disposition", "content-disposition"),
    ("x-ms-blob-content-encoding", "content-encoding"),
    ("x-ms-blob-content-language", "content-language"),
    ("x-ms-blob-content-md5", "content-md5"),
    ("x-ms-blob-content-type", "content-type"),
];
const METADATA: &str = "x-ms-meta-";

pub(super) fn answer(files: &mut Files, asked: &Asked, paging: Paging) -> Answer {
    let mut asked = asked.clone();
    asked.path = asked.path.strip_prefix(ACCOUNT).unwrap_or(&asked.path).to_vec();
    let asked = &asked;
    let answer = if asked.header("authorization").is_none() && !asked.has("sig") {
        error(StatusCode::FORBIDDEN, "AuthenticationFailed", "the request has neither a signature nor a token")
    } else if asked.word("restype") == Some("service") || asked.path.is_empty() {
        Answer::document(StatusCode::OK, XML, "<StorageServiceProperties/>")
    } else if asked.path == b"kit" || asked.path == ROOT {
        container(files, asked, paging)
    } else if asked.path.starts_with(ROOT) {
        blob(files, asked)
    } else {
        error(StatusCode::NOT_FOUND, "ContainerNotFound", "the one container here is `kit`")
    };
    let answer = answer.with("x-ms-version", "2021-12-02");
    if asked.method == Method::HEAD { Answer { body: Bytes::new(), ..answer } } else { answer }
}

/// An error as Azure tells it.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    let document =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{}</Message></Error>", escape(message));
    Answer::document(status, XML, document).with("x-ms-error-code", code)
}

fn unsupported() -> Answer {
    error(StatusCode::BAD_REQUEST, "UnsupportedHeader", "this stand-in does not know that")
}

fn not_found() -> Answer {
    error(StatusCode::NOT_FOUND, "BlobNotFound", "there is no such blob")
}

fn container(files: &Files, asked: &Asked, paging: Paging) -> Answer {
    match asked.method.as_str() {
        "GET" if asked.word("comp") == Some("list") => list(files, asked, paging),
        "GET" | "HEAD" => Answer::plain(StatusCode::OK).with("etag", "\"0x1\""),
        "PUT" => error(StatusCode::CONFLICT, "ContainerAlreadyExists", "it is there"),
        _ => unsupported(),
    }
}

fn list(files: &Files, asked: &Asked, paging: Paging) -> Answer {
    let max = asked.word("maxresults").and_then(|max| max.parse().ok()).unwrap_or(PAGE_BLOBS_MAX);
    let question = Question {
        root: ROOT,
        prefix: asked.parameter("prefix").unwrap_or_default(),
        is_folded: asked.has("delimiter"),
        start_after: b"",
        token: asked.word("marker").filter(|marker| !marker.is_empty()),
        max: max.min(PAGE_BLOBS_MAX),
    };
    let Some(page) = listing::page(files, &question, paging) else {
        return error(StatusCode::BAD_REQUEST, "OutOfRangeInput", "the marker was never given");
    };
    let include = asked.word("include").unwrap_or_default();
    let mut blobs = String::new();
    for Item { name, file } in &page.items {
        let _ = match file {
            Some(file) => write!(blobs, "<Blob>{}{}</Blob>", shown(name), described(file, include)),
            None => write!(blobs, "<BlobPrefix>{}</BlobPrefix>", shown(name)),
        };
    }
    let next = page.next.unwrap_or_default();
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ContainerName=\"kit\"><Blobs>{blobs}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
    );
    Answer::document(StatusCode::OK, XML, document)
}

/// A name, encoded where XML could not hold it.
fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.chars().any(char::is_control) => format!("<Name>{}</Name>", escape(text)),
        _ => format!("<Name Encoded=\"true\">{}</Name>", encode(name)),
    }
}

fn described(file: &File, include: &str) -> String {
    let field = |element: &str, header: &str| {
        file.header(header).map(|value| format!("<{element}>{}</{element}>", escape(value))).unwrap_or_default()
    };
    let properties = format!(
        "<Properties><Last-Modified>{}</Last-Modified><Etag>{}</Etag><Content-Length>{}</Content-Length>{}{}{}<BlobType>BlockBlob</BlobType>{}<LeaseState>available</LeaseState></Properties>",
        file.modified(),
        file.etag().trim_matches('"'),
        file.bytes.len(),
        field("Content-Type", "content-type"),
        field("Content-Encoding", "content-encoding"),
        field("Content-MD5", "content-md5"),
        field("AccessTier", "x-ms-access-tier"),
    );
    let is_included = |what: &str| include.split(',').any(|included| included == what);
    let metadata = file.details.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix(METADATA)?, value)));
    let metadata: String = metadata.map(|(name, value)| format!("<{name}>{}</{name}>", escape(value))).collect();
    let metadata = if is_included("metadata") { format!("<Metadata>{metadata}</Metadata>") } else { String::new() };
    let tags = if is_included("tags") && !file.details.tags.is_empty() { tag_set(file) } else { String::new() };
    properties + &metadata + &tags
}

fn tag_set(file: &File) -> String {
    let tag = |(name, value): &(String, String)| {
        format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", escape(name), escape(value))
    };
    let tags: String = file.details.tags.iter().map(tag).collect();
    format!("<Tags><TagSet>{tags}</TagSet></Tags>")
}

fn blob(files: &mut Files, asked: &Asked) -> Answer {
    match (asked.method.as_str(), asked.word("comp")) {
        ("PUT", None) => put(files, asked),
        ("PUT", Some("block")) => stage(files, asked),
        ("PUT", Some("blocklist")) => commit(files, asked),
        ("PUT", Some("metadata" | "properties" | "tags" | "tier")) => amend(files, asked),
        ("GET" | "HEAD", None | Some("metadata")) => read(files, asked),
        ("GET", Some("tags")) => match files.file(&asked.path) {
            Some(file) => Answer::document(StatusCode::OK, XML, tag_set(file)),
            None => not_found(),
        },
        ("DELETE", None) => match files.file(&asked.path) {
            None => not_found(),
            Some(file) if !content::may_write(asked, Some(file)) => condition_not_met(),
            Some(_) => {
                files.hide(&asked.path);
                Answer::plain(StatusCode::ACCEPTED)
            }
        },
        _ => unsupported(),
    }
}

fn condition_not_met() -> Answer {
    error(StatusCode::PRECONDITION_FAILED, "ConditionNotMet", "a condition of the request does not hold")
}

/// Whether a write may go on, and why not.
fn refusal(files: &Files, asked: &Asked) -> Option<Answer> {
    let there = files.file(&asked.path);
    if content::may_write(asked, there) {
        return None;
    }
    let is_taken = there.is_some() && asked.header("if-none-match") == Some("*");
    let taken = || error(StatusCode::CONFLICT, "BlobAlreadyExists", "there is a blob of that name");
    Some(if is_taken { taken() } else { condition_not_met() })
}

fn read(files: &Files, asked: &Asked) -> Answer {
    let Some(file) = files.file(&asked.path) else { return not_found() };
    let range = asked.header("x-ms-range").or_else(|| asked.header("range"));
    let mut answer = content::read(asked, file, range).with("x-ms-blob-type", "BlockBlob");
    if answer.status == StatusCode::PARTIAL_CONTENT
        && let Some(whole) = answer.headers.remove("content-md5")
    {
        // Of the whole blob, which only this header may say of a part.
        answer.headers.insert("x-ms-blob-content-md5", whole);
    }
    let tags = file.details.tags.len();
    let answer = if tags > 0 { answer.with("x-ms-tag-count", &tags.to_string()) } else { answer };
    match answer.status {
        StatusCode::PRECONDITION_FAILED => condition_not_met(),
        StatusCode::RANGE_NOT_SATISFIABLE => error(answer.status, "InvalidRange", "it is not as long"),
        _ => answer,
    }
}

/// What a write says beside the bytes; `number` is that of the content.
fn details(asked: &Asked) -> Details {
    let mut headers = asked.headers_like(&["x-ms-meta-*", "x-ms-access-tier"]);
    for (sent, kept) in CONTENT {
        // The plain header counts where the whole blob is the body.
        let value = asked.header(sent).or_else(|| asked.header(kept).filter(|_| !asked.has("comp")));
        headers.extend(value.map(|value| (kept.to_owned(), value.to_owned())));
    }
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "application/octet-stream".to_owned()));
    }
    let tags = asked.header("x-ms-tags").unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let plain =
        |text: &str| String::from_utf8_lossy(&crate::exchange::decode(text.replace('+', " ").as_bytes())).into_owned();
    Details { headers, tags: tags.map(|(name, value)| (plain(name), plain(value))).collect(), ..Details::default() }
}

fn made(files: &mut Files, path: &[u8], bytes: Bytes, details: Details) -> Answer {
    let etag = Some(format!("\"0x{:X}\"", files.count()));
    let file = files.put_with(path, bytes, Details { etag, ..details });
    Answer::plain(StatusCode::CREATED).with("etag", &file.etag()).with("last-modified", &file.modified())
}

fn put(files: &mut Files, asked: &Asked) -> Answer {
    if asked.header("x-ms-copy-source").is_some() || asked.header("x-ms-blob-type") != Some("BlockBlob") {
        return unsupported();
    }
    if let Some(refused) = refusal(files, asked) {
        return refused;
    }
    let digest = BASE64.encode(super::md5(&asked.body));
    if asked.header("content-md5").is_some_and(|stated| stated != digest) {
        return error(StatusCode::BAD_REQUEST, "Md5Mismatch", "the body does not have the MD5 that is stated");
    }
    let mut details = details(asked);
    if !details.headers.iter().any(|(name, _)| name == "content-md5") {
        details.headers.push(("content-md5".to_owned(), digest.clone()));
    }
    made(files, &asked.path, asked.body.clone(), details).with("content-md5", &digest)
}

fn stage(files: &mut Files, asked: &Asked) -> Answer {
    let Some(id) = asked.word("blockid").filter(|id| BASE64.decode(id).is_ok()) else {
        return error(StatusCode::BAD_REQUEST, "InvalidQueryParameterValue", "the id of a block is Base64");
    };
    let staged = files.staged.entry(asked.path.clone()).or_default();
    staged.parts.insert(id.to_owned(), asked.body.clone());
    Answer::plain(StatusCode::CREATED).with("content-md5", &BASE64.encode(super::md5(&asked.body)))
}

/// Makes a blob of blocks that were sent before; they are named in order, each as `Latest` or `Uncommitted`.
fn commit(files: &mut Files, asked: &Asked) -> Answer {
    if let Some(refused) = refusal(files, asked) {
        return refused;
    }
    let list = String::from_utf8_lossy(&asked.body).replace("Uncommitted>", "Latest>");
    let named = texts(&list, "Latest");
    let staged = files.staged.remove(&asked.path).unwrap_or_default();
    let blocks: Option<Vec<Bytes>> = named.iter().map(|id| staged.parts.get(id).cloned()).collect();
    match blocks {
        Some(blocks) => made(files, &asked.path, blocks.concat().into(), details(asked)),
        None => {
            files.staged.insert(asked.path.clone(), staged);
            error(StatusCode::BAD_REQUEST, "InvalidBlockList", "a block was never sent")
        }
    }
}

fn amend(files: &mut Files, asked: &Asked) -> Answer {
    if files.file(&asked.path).is_none() {
        return not_found();
    }
    let reported = details(asked);
    let body = String::from_utf8_lossy(&asked.body);
    let tags: Vec<(String, String)> = texts(&body, "Key").into_iter().zip(texts(&body, "Value")).collect();
    let part = asked.word("comp").unwrap_or_default();
    let is_of_part = |name: &str| match part {
        "metadata" => name.starts_with(METADATA),
        "tier" => name == "x-ms-access-tier",
        _ => CONTENT.iter().any(|(_, kept)| *kept == name),
    };
    files.amend(&asked.path, |details| {
        if part == "tags" {
            details.tags.clone_from(&tags);
            return;
        }
        details.headers.retain(|(name, _)| !is_of_part(name));
        details.headers.extend(reported.headers.iter().filter(|(name, _)| is_of_part(name)).cloned());
    });
    Answer::plain(if part == "tags" { StatusCode::NO_CONTENT } else { StatusCode::OK })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn ask(files: &mut Files, line: &str, pairs: &[(&'static str, &str)], body: &str) -> Answer {
        let (method, target) = line.split_once(' ').unwrap();
        let pairs = pairs.iter().chain(&[("authorization", "SharedKey x"), ("x-ms-blob-type", "BlockBlob")]);
        let headers: HeaderMap = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let body = Bytes::copy_from_slice(body.as_bytes());
        answer(files, &Asked::new(method.parse().unwrap(), &target.parse().unwrap(), headers, body), Paging::default())
    }

    fn text(answer: &Answer) -> String {
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    #[test]
    fn a_blob_is_written_under_conditions_read_in_part_and_deleted() {
        let mut files = Files::default();
        let put =
            ask(&mut files, "PUT /devstoreaccount1/kit/a%20b", &[("if-none-match", "*"), ("x-ms-meta-x", "y")], "123");
        assert_eq!(put.status, 201);
        assert_eq!(ask(&mut files, "PUT /kit/a%20b", &[("if-none-match", "*")], "4").status, 409);
        assert_eq!(ask(&mut files, "PUT /kit/a%20b", &[("if-match", "\"0x99\"")], "4").status, 412);
        let got = ask(&mut files, "GET /kit/a%20b", &[("x-ms-range", "bytes=1-1")], "");
        assert_eq!(
            (got.status.as_u16(), text(&got), got.headers["x-ms-meta-x"].to_str().unwrap()),
            (206, "2".into(), "y")
        );
        assert!(got.headers.contains_key("x-ms-blob-content-md5") && !got.headers.contains_key("content-md5"));
        assert_eq!(ask(&mut files, "DELETE /kit/a%20b", &[], "").status, 202);
        let gone = ask(&mut files, "HEAD /kit/a%20b", &[], "");
        assert_eq!((gone.status.as_u16(), &gone.headers["x-ms-error-code"]), (404, &"BlobNotFound".parse().unwrap()));
        assert_eq!(ask(&mut files, "PUT /kit/a", &[("content-md5", "AAAA")], "4").status, 400);
    }

    #[test]
    fn blocks_become_a_blob_in_the_order_of_the_list() {
        let mut files = Files::default();
        for (id, block) in [("QQ==", "1"), ("Qg==", "2")] {
            let id = encode(id.as_bytes());
            assert_eq!(ask(&mut files, &format!("PUT /kit/a?comp=block&blockid={id}"), &[], block).status, 201);
        }
        let list = |ids: &[&str]| ids.iter().map(|id| format!("<Latest>{id}</Latest>")).collect::<String>();
        assert_eq!(ask(&mut files, "PUT /kit/a?comp=blocklist", &[], &list(&["Qw=="])).status, 400);
        let named = format!("<Uncommitted>Qg==</Uncommitted>{}", list(&["QQ=="])).replace("Latest", "Uncommitted");
        assert_eq!(ask(&mut files, "PUT /kit/a?comp=blocklist", &[], &named).status, 201);
        assert_eq!(text(&ask(&mut files, "GET /kit/a", &[], "")), "21");
    }

    #[test]
    fn a_listing_goes_on_with_markers_and_tells_what_is_asked_for() {
        let mut files = Files::default();
        for key in ["a/b", "c%01", "d"] {
            ask(&mut files, &format!("PUT /kit/{key}"), &[("x-ms-meta-K", "v"), ("x-ms-tags", "t=1+2")], "1");
        }
        let first = text(&ask(&mut files, "GET /kit?restype=container&comp=list&maxresults=1&delimiter=/", &[], ""));
        assert!(first.contains("<BlobPrefix><Name>a/</Name></BlobPrefix>"), "{first}");
        let marker = texts(&first, "NextMarker").remove(0);
        let line = format!("GET /kit?restype=container&comp=list&include=metadata,tags&marker={marker}");
        let rest = text(&ask(&mut files, &line, &[], ""));
        assert!(
            rest.contains("<Name Encoded=\"true\">c%01</Name>") && rest.contains("<NextMarker></NextMarker>"),
            "{rest}"
        );
        assert!(rest.contains("<k>v</k>") && rest.contains("<Value>1 2</Value>"), "{rest}");
    }

    #[test]
    fn metadata_and_tags_are_changed_without_the_bytes() {
        let mut files = Files::default();
        ask(&mut files, "PUT /kit/a", &[("x-ms-meta-old", "1")], "123");
        ask(&mut files, "PUT /kit/a?comp=metadata", &[("x-ms-meta-new", "2")], "");
        ask(
            &mut files,
            "PUT /kit/a?comp=tags",
            &[],
            "<Tags><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tags>",
        );
        let head = ask(&mut files, "HEAD /kit/a", &[], "");
        assert!(!head.headers.contains_key("x-ms-meta-old") && head.headers["x-ms-tag-count"] == "1");
        assert_eq!(head.headers["x-ms-meta-new"], "2");
        assert!(text(&ask(&mut files, "GET /kit/a?comp=tags", &[], "")).contains("<Key>k</Key>"));
        let uri = "/kit/a".parse().unwrap();
        let nobody = Asked::new(Method::GET, &uri, HeaderMap::new(), Bytes::new());
        assert_eq!(answer(&mut files, &nobody, Paging::default()).status, 403);
    }
}
