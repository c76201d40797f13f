//! Files over plain HTTP, to be read: what was put there, and of each folder an index, `index.json` for programs and a page for browsers.

use http::{Method, StatusCode};
use serde::Serialize;

use super::content;
use super::files::{Files, Node};
use crate::exchange::{Answer, Asked, encode, escape};

/// The name of the index of a folder: a list of all files below it.
const INDEX: &[u8] = b"index.json";

#[derive(Serialize)]
struct Listed<'a> {
    key: &'a str,
    size: usize,
    etag: String,
    modified: String,
}

pub(super) fn answer(files: &Files, asked: &Asked) -> Answer {
    if !matches!(asked.method, Method::GET | Method::HEAD) {
        return Answer::plain(StatusCode::METHOD_NOT_ALLOWED).with("allow", "GET, HEAD");
    }
    let path = asked.path.as_slice();
    if let Some(file) = files.file(path) {
        return content::read(asked, file, asked.header("range"));
    }
    let index = match path.strip_suffix(INDEX) {
        Some(folder) => Answer::document(StatusCode::OK, "application/json", list(files, folder)),
        None => match files.find(path) {
            Some((folder, Node::Folder)) => Answer::document(StatusCode::OK, "text/html", page(files, &folder)),
            _ => return Answer::plain(StatusCode::NOT_FOUND),
        },
    };
    let length = index.body.len().to_string();
    if asked.method == Method::HEAD {
        return Answer { body: bytes::Bytes::new(), ..index.with("content-length", &length) };
    }
    index
}

/// Every file below a folder whose name is text, as JSON.
fn list(files: &Files, folder: &[u8]) -> Vec<u8> {
    let listed = files.below(folder).filter_map(|(path, file)| {
        let key = path.strip_prefix(folder).and_then(|key| std::str::from_utf8(key).ok())?;
        Some(Listed { key, size: file.bytes.len(), etag: file.etag(), modified: file.modified_iso() })
    });
    serde_json::to_vec(&listed.collect::<Vec<_>>()).unwrap_or_default()
}

/// What lies directly in a folder, in the manner of nginx.
fn page(files: &Files, folder: &[u8]) -> String {
    let line = |(path, node): (&[u8], &Node)| {
        let name = path.strip_prefix(folder).unwrap_or(path);
        let shown = escape(&String::from_utf8_lossy(name));
        let reported = match node {
            Node::Folder => "-".to_owned(),
            Node::File(file) => format!("{} {}", file.modified(), file.bytes.len()),
        };
        format!("<a href=\"{}\">{shown}</a> {reported}\n", encode(name))
    };
    let lines: String = files.members(folder).map(line).collect();
    let title = escape(&String::from_utf8_lossy(folder));
    format!(
        "<html><head><title>Index of /{title}</title></head><body><h1>Index of /{title}</h1><pre>\n<a href=\"../\">../</a>\n{lines}</pre></body></html>"
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn ask(files: &Files, method: Method, path: &str, pairs: &[(&'static str, &str)]) -> Answer {
        let headers: HeaderMap =
            pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        answer(files, &Asked::new(method, &path.parse().unwrap(), headers, Bytes::new()))
    }

    fn files() -> Files {
        let mut files = Files::default();
        files.make_folder(b"f/");
        files.put(b"f/a b", "12345".into());
        files.put(b"f/c/d", "1".into());
        files
    }

    #[test]
    fn an_index_lists_what_lies_below_and_a_page_what_lies_in_a_folder() {
        let files = files();
        let index = ask(&files, Method::GET, "/f/index.json", &[]);
        let listed: serde_json::Value = serde_json::from_slice(&index.body).unwrap();
        assert_eq!(listed[0]["key"], "a b");
        assert_eq!((listed[0]["size"].as_u64(), listed[1]["key"].as_str()), (Some(5), Some("c/d")));
        let page = ask(&files, Method::GET, "/f/", &[]).body;
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains("<a href=\"a%20b\">a b</a>") && !page.contains("c/d"), "{page}");
        assert_eq!(ask(&files, Method::HEAD, "/f/", &[]).headers["content-length"], page.len().to_string());
    }

    #[test]
    fn a_file_is_read_in_parts_and_under_conditions_and_never_written() {
        let files = files();
        let part = ask(&files, Method::GET, "/f/a%20b", &[("range", "bytes=1-2")]);
        assert_eq!(
            (part.status.as_u16(), &part.body[..], &part.headers["content-range"]),
            (206, &b"23"[..], &"bytes 1-2/5".parse().unwrap())
        );
        assert_eq!(ask(&files, Method::GET, "/f/a%20b", &[("if-match", "\"9\"")]).status, 412);
        assert_eq!(ask(&files, Method::GET, "/f/a%20b", &[("if-none-match", "\"1\"")]).status, 304);
        assert_eq!(ask(&files, Method::GET, "/f/none", &[]).status, 404);
        assert_eq!(ask(&files, Method::PUT, "/f/none", &[]).status, 405);
    }
}
