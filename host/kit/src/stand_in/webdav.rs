//! A WebDAV server: GET, HEAD, PUT, DELETE with conditions and ranges (RFC 9110), MKCOL and PROPFIND (RFC 4918), and partial puts.
//!
//! It is strict where servers are: a file needs its folder first, a condition holds under a lock, a range beyond the end is refused.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::files::{File, Files, Node};

/// A server that runs until it is dropped.
pub(crate) struct WebDav {
    address: String,
    files: Arc<Mutex<Files>>,
    accepting: JoinHandle<()>,
}

impl Drop for WebDav {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl WebDav {
    /// Listens on a port that is free.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let files = Arc::new(Mutex::new(Files::default()));
        let shared = Arc::clone(&files);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, files, accepting })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A folder at the root.
    pub(crate) fn make_folder(&self, name: &str) {
        lock(&self.files).make_folder(format!("{name}/").as_bytes());
    }

    /// A file, with the folders that it lies in.
    pub(crate) fn put(&self, path: &[u8], bytes: Bytes) {
        let mut files = lock(&self.files);
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for folder in ends.filter_map(|(end, _)| path.get(..=end)) {
            files.make_folder(folder);
        }
        files.put(path, bytes);
    }

    /// The names of all files below a folder at the root.
    pub(crate) fn names_below(&self, folder: &str) -> Vec<Vec<u8>> {
        lock(&self.files).names_below(format!("{folder}/").as_bytes())
    }

    /// The bytes of a file.
    pub(crate) fn get(&self, path: &[u8]) -> Option<Bytes> {
        lock(&self.files).file(path).map(|file| file.bytes.clone())
    }
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: TcpStream, files: Arc<Mutex<Files>>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let files = Arc::clone(&files);
        async move {
            let (head, body) = request.into_parts();
            let answer = match body.collect().await {
                Ok(body) => answer(&mut lock(&files), &head.method, head.uri.path(), &head.headers, body.to_bytes()),
                Err(_) => plain(StatusCode::BAD_REQUEST),
            };
            Ok::<_, Infallible>(answer)
        }
    });
    // A connection that breaks off is the client's.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

type Answer = Response<Full<Bytes>>;

fn plain(status: StatusCode) -> Answer {
    with_body(status, Bytes::new())
}

fn with_body(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
}

fn answer(files: &mut Files, method: &Method, path: &str, headers: &HeaderMap, body: Bytes) -> Answer {
    let path = decode(path.trim_start_matches('/').as_bytes());
    match method.as_str() {
        "GET" | "HEAD" => read(files, &path, headers),
        "PUT" => write(files, &path, headers, body),
        "DELETE" => delete(files, &path),
        "MKCOL" => make_folder(files, &path),
        "MOVE" => relocate(files, &path, headers),
        "PROPFIND" => describe(files, &path, headers),
        _ => plain(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn described(mut answer: Answer, file: &File) -> Answer {
    for (name, value) in [(header::ETAG, file.etag()), (header::LAST_MODIFIED, file.modified())] {
        if let Ok(value) = value.parse() {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn read(files: &Files, path: &[u8], headers: &HeaderMap) -> Answer {
    let Some(file) = files.file(path) else { return plain(StatusCode::NOT_FOUND) };
    let length = file.bytes.len();
    let Some((first, last)) = text(headers, "range").and_then(|range| parse_range(range, length)) else {
        let mut whole = with_body(StatusCode::OK, file.bytes.clone());
        // Said of an empty file, too, in the answer to a HEAD.
        whole.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        return described(whole, file);
    };
    if first >= length || last < first {
        return plain(StatusCode::RANGE_NOT_SATISFIABLE);
    }
    let mut part = with_body(StatusCode::PARTIAL_CONTENT, file.bytes.slice(first..=last));
    if let Ok(value) = format!("bytes {first}-{last}/{length}").parse() {
        part.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    described(part, file)
}

/// First and last byte of a range; the last is within the file unless the first is not either.
fn parse_range(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let end = length.saturating_sub(1);
    let last = if last.is_empty() { end } else { last.parse::<usize>().ok()?.min(end) };
    Some((first, last))
}

fn write(files: &mut Files, path: &[u8], headers: &HeaderMap, body: Bytes) -> Answer {
    let is_folder = path.ends_with(b"/") || matches!(files.find(path), Some((_, Node::Folder)));
    if is_folder || !files.has_parent(path) {
        return plain(StatusCode::CONFLICT);
    }
    let there = files.file(path).cloned();
    let is_absent_wanted = text(headers, "if-none-match") == Some("*");
    let is_other = text(headers, "if-match").is_some_and(|tag| there.as_ref().is_none_or(|file| file.etag() != tag));
    if is_other || is_absent_wanted && there.is_some() {
        return plain(StatusCode::PRECONDITION_FAILED);
    }
    let bytes = match text(headers, "content-range") {
        None => body,
        Some(range) => match put_into(there.as_ref(), range, &body) {
            Some(bytes) => bytes,
            None => return plain(StatusCode::BAD_REQUEST),
        },
    };
    let status = if there.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    described(plain(status), &files.put(path, bytes))
}

/// A file with a part of it replaced or put behind it; nothing where it would have a hole, or the part is not as long as it says.
fn put_into(there: Option<&File>, range: &str, part: &Bytes) -> Option<Bytes> {
    let (first, last) = range.strip_prefix("bytes ")?.strip_suffix("/*")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1)?;
    let old = &there?.bytes;
    if end.checked_sub(first)? != part.len() {
        return None;
    }
    let (head, tail) = (old.get(..first)?, old.get(end..).unwrap_or_default());
    Some([head, part, tail].concat().into())
}

fn delete(files: &mut Files, path: &[u8]) -> Answer {
    match files.find(path).map(|(key, _)| key) {
        Some(key) => {
            files.remove(&key);
            plain(StatusCode::NO_CONTENT)
        }
        None => plain(StatusCode::NOT_FOUND),
    }
}

/// Moves a file; folders stay where they are.
fn relocate(files: &mut Files, path: &[u8], headers: &HeaderMap) -> Answer {
    let Some(to) = text(headers, "destination") else { return plain(StatusCode::BAD_REQUEST) };
    let to = to.split_once("://").map_or(to, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or(""));
    let to = decode(to.trim_start_matches('/').as_bytes());
    if files.file(path).is_none() {
        return plain(StatusCode::NOT_FOUND);
    }
    let there = files.find(&to).map(|(_, node)| matches!(node, Node::Folder));
    match there {
        Some(true) => return plain(StatusCode::CONFLICT),
        Some(false) if text(headers, "overwrite") == Some("F") => return plain(StatusCode::PRECONDITION_FAILED),
        _ if !files.has_parent(&to) => return plain(StatusCode::CONFLICT),
        _ => files.relocate(path, &to),
    }
    plain(if there.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

fn make_folder(files: &mut Files, path: &[u8]) -> Answer {
    let name = path.strip_suffix(b"/").unwrap_or(path);
    if files.find(name).is_some() {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    if name.is_empty() || !files.has_parent(name) {
        return plain(StatusCode::CONFLICT);
    }
    files.make_folder(&[name, b"/"].concat());
    plain(StatusCode::CREATED)
}

fn describe(files: &Files, path: &[u8], headers: &HeaderMap) -> Answer {
    let depth = text(headers, "depth");
    if !matches!(depth, Some("0" | "1")) {
        return plain(StatusCode::FORBIDDEN);
    }
    let Some((key, node)) = files.find(path) else { return plain(StatusCode::NOT_FOUND) };
    let mut responses = response(&key, node);
    if depth == Some("1") && matches!(node, Node::Folder) {
        responses.extend(files.members(&key).map(|(path, node)| response(path, node)));
    }
    let document = format!("<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">{responses}</D:multistatus>");
    let mut answer = with_body(StatusCode::MULTI_STATUS, document.into());
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
    answer
}

fn response(path: &[u8], node: &Node) -> String {
    let properties = match node {
        Node::Folder => "<D:resourcetype><D:collection/></D:resourcetype>".to_owned(),
        Node::File(file) => format!(
            "<D:resourcetype/><D:getcontentlength>{}</D:getcontentlength><D:getlastmodified>{}</D:getlastmodified><D:getetag>{}</D:getetag>",
            file.bytes.len(),
            file.modified(),
            file.etag().replace('"', "&quot;")
        ),
    };
    format!(
        "<D:response><D:href>/{}</D:href><D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>",
        encode(path)
    )
}

fn encode(path: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.iter().map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.split_at_checked(2).filter(|_| first == b'%').and_then(|(code, after)| {
            let code = std::str::from_utf8(code).ok()?;
            Some((u8::from_str_radix(code, 16).ok()?, after))
        });
        let (byte, after) = code.unwrap_or((first, tail));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_file_is_moved_over_another_unless_that_is_forbidden() {
        let mut files = Files::default();
        ask(&mut files, "PUT", "/a", &[], "1");
        ask(&mut files, "PUT", "/b", &[], "2");
        let to = |to| [("destination", to), ("overwrite", "F")];
        assert_eq!(ask(&mut files, "MOVE", "/a", &to("/b"), ""), 412);
        assert_eq!(ask(&mut files, "MOVE", "/a", &to("/none/b"), ""), 409);
        assert_eq!(ask(&mut files, "MOVE", "/none", &to("/c"), ""), 404);
        assert_eq!(ask(&mut files, "MOVE", "/a", &to("http://h/c%20d"), ""), 201);
        assert_eq!(ask(&mut files, "MOVE", "/c%20d", &[("destination", "/b")], ""), 204);
        assert_eq!(files.file(b"b").unwrap().bytes, "1");
    }

    fn ask(files: &mut Files, method: &str, path: &str, pairs: &[(&'static str, &str)], body: &'static str) -> u16 {
        let method = method.parse().unwrap();
        answer(files, &method, path, &headers(pairs), body.into()).status().as_u16()
    }

    #[test]
    fn conditions_hold_and_a_file_needs_its_folder() {
        let mut files = Files::default();
        assert_eq!(ask(&mut files, "PUT", "/f/a", &[], "1"), 409);
        assert_eq!(ask(&mut files, "MKCOL", "/f/", &[], ""), 201);
        assert_eq!(ask(&mut files, "MKCOL", "/f", &[], ""), 405);
        assert_eq!(ask(&mut files, "PUT", "/f/a%20b", &[("if-none-match", "*")], "1"), 201);
        assert_eq!(ask(&mut files, "PUT", "/f/a%20b", &[("if-none-match", "*")], "2"), 412);
        assert_eq!(ask(&mut files, "PUT", "/f/a%20b", &[("if-match", "\"9\"")], "2"), 412);
        assert_eq!(ask(&mut files, "PUT", "/f/a%20b", &[("if-match", "\"1\"")], "2"), 204);
        assert_eq!(ask(&mut files, "PUT", "/f", &[], "2"), 409);
        assert_eq!(files.file(b"f/a b").unwrap().bytes, "2");
        assert_eq!(ask(&mut files, "DELETE", "/f/", &[], ""), 204);
        assert_eq!(ask(&mut files, "GET", "/f/a%20b", &[], ""), 404);
    }

    #[test]
    fn the_size_of_an_empty_file_is_told() {
        let mut files = Files::default();
        files.put(b"a", Bytes::new());
        let told = answer(&mut files, &Method::HEAD, "/a", &HeaderMap::new(), Bytes::new());
        assert_eq!(text(told.headers(), "content-length"), Some("0"));
    }

    #[test]
    fn parts_are_put_behind_each_other_and_leave_no_hole() {
        let mut files = Files::default();
        ask(&mut files, "PUT", "/a", &[], "12345");
        assert_eq!(ask(&mut files, "PUT", "/a", &[("content-range", "bytes 5-6/*")], "67"), 204);
        assert_eq!(ask(&mut files, "PUT", "/a", &[("content-range", "bytes 9-9/*")], "9"), 400);
        assert_eq!(ask(&mut files, "PUT", "/a", &[("content-range", "bytes 0-9/*")], "9"), 400);
        assert_eq!(files.file(b"a").unwrap().bytes, "1234567");
        assert_eq!(ask(&mut files, "GET", "/a", &[("range", "bytes=7-8")], ""), 416);
        assert_eq!(ask(&mut files, "GET", "/a", &[("range", "bytes=6-99")], ""), 206);
    }
}
