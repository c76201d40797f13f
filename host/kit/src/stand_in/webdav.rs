//! WebDAV: GET, HEAD, PUT, DELETE with conditions and ranges (RFC 9110), MKCOL, MOVE and PROPFIND (RFC 4918), and partial puts.
//!
//! It is strict where servers are: a file needs its folder first, a condition holds under a lock, a range beyond the end is refused.

use http::StatusCode;

use super::content::{self, described};
use super::files::{Files, Node};
use crate::exchange::{Answer, Asked, decode, encode};

pub(super) fn answer(files: &mut Files, asked: &Asked) -> Answer {
    let path = asked.path.as_slice();
    match asked.method.as_str() {
        "GET" | "HEAD" => match files.file(path) {
            Some(file) => content::read(asked, file, asked.header("range")),
            None => Answer::plain(StatusCode::NOT_FOUND),
        },
        "PUT" => write(files, asked),
        "DELETE" => delete(files, path),
        "MKCOL" => make_folder(files, path),
        "MOVE" => relocate(files, asked),
        "PROPFIND" => describe(files, asked),
        _ => Answer::plain(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn write(files: &mut Files, asked: &Asked) -> Answer {
    let path = asked.path.as_slice();
    let is_folder = path.ends_with(b"/") || matches!(files.find(path), Some((_, Node::Folder)));
    if is_folder || !files.has_parent(path) {
        return Answer::plain(StatusCode::CONFLICT);
    }
    let there = files.file(path).cloned();
    if !content::may_write(asked, there.as_ref()) {
        return Answer::plain(StatusCode::PRECONDITION_FAILED);
    }
    let bytes = match asked.header("content-range") {
        None => asked.body.clone(),
        Some(range) => match content::put_into(there.as_ref(), range, &asked.body) {
            Some(bytes) => bytes,
            None => return Answer::plain(StatusCode::BAD_REQUEST),
        },
    };
    let status = if there.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    described(Answer::plain(status), &files.put(path, bytes))
}

fn delete(files: &mut Files, path: &[u8]) -> Answer {
    match files.find(path).map(|(key, _)| key) {
        Some(key) => {
            files.remove(&key);
            Answer::plain(StatusCode::NO_CONTENT)
        }
        None => Answer::plain(StatusCode::NOT_FOUND),
    }
}

/// Moves a file; folders stay where they are.
fn relocate(files: &mut Files, asked: &Asked) -> Answer {
    let path = asked.path.as_slice();
    let Some(to) = asked.header("destination") else { return Answer::plain(StatusCode::BAD_REQUEST) };
    let to = to.split_once("://").map_or(to, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or(""));
    let to = decode(to.trim_start_matches('/').as_bytes());
    if files.file(path).is_none() {
        return Answer::plain(StatusCode::NOT_FOUND);
    }
    let there = files.find(&to).map(|(_, node)| matches!(node, Node::Folder));
    match there {
        Some(true) => return Answer::plain(StatusCode::CONFLICT),
        Some(false) if asked.header("overwrite") == Some("F") => {
            return Answer::plain(StatusCode::PRECONDITION_FAILED);
        }
        _ if !files.has_parent(&to) => return Answer::plain(StatusCode::CONFLICT),
        _ => files.relocate(path, &to),
    }
    Answer::plain(if there.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
}

fn make_folder(files: &mut Files, path: &[u8]) -> Answer {
    let name = path.strip_suffix(b"/").unwrap_or(path);
    if files.find(name).is_some() {
        return Answer::plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    if name.is_empty() || !files.has_parent(name) {
        return Answer::plain(StatusCode::CONFLICT);
    }
    files.make_folder(&[name, b"/"].concat());
    Answer::plain(StatusCode::CREATED)
}

fn describe(files: &Files, asked: &Asked) -> Answer {
    let depth = asked.header("depth");
    if !matches!(depth, Some("0" | "1")) {
        return Answer::plain(StatusCode::FORBIDDEN);
    }
    let Some((key, node)) = files.find(&asked.path) else { return Answer::plain(StatusCode::NOT_FOUND) };
    let mut responses = response(&key, node);
    if depth == Some("1") && matches!(node, Node::Folder) {
        responses.extend(files.members(&key).map(|(path, node)| response(path, node)));
    }
    let document = format!("<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">{responses}</D:multistatus>");
    Answer::document(StatusCode::MULTI_STATUS, "application/xml", document)
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    fn asked(method: &str, path: &str, pairs: &[(&'static str, &str)], body: &'static str) -> Asked {
        let headers: HeaderMap =
            pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        Asked::new(
            method.parse::<Method>().unwrap(),
            &path.parse().unwrap(),
            headers,
            Bytes::from_static(body.as_bytes()),
        )
    }

    fn ask(files: &mut Files, method: &str, path: &str, pairs: &[(&'static str, &str)], body: &'static str) -> u16 {
        answer(files, &asked(method, path, pairs, body)).status.as_u16()
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
        let reported = answer(&mut files, &asked("HEAD", "/a", &[], ""));
        assert_eq!(reported.headers["content-length"], "0");
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
