//! The imaginary service of the guide for authors: files below `/books/`, by WebDAV and by an `index.json`, for who shows a key.
//!
//! It is as simple as a service may be, so that a connector to it is: listings of one folder, whole files, one request a connection. Its answers repeat the
//! key, as those of services do that mean well. It runs as long as the process.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// What lies below `/books/`.
pub const BOOKS: [(&str, &str); 4] =
    [(".trash/old.txt", "thrown away"), ("a.txt", "the first"), ("deep/b.txt", "the second"), ("draft.txt", "not yet")];

/// Starts it; answers host and port.
///
/// # Errors
/// When no port is free.
pub fn start(key: &str) -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    let address = listener.local_addr()?.to_string();
    let key = key.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away is reported nothing.
            let _ = answer(stream, &key);
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, key: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let asked = lines.next().transpose()?.unwrap_or_default();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut words = asked.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let shown = [headers.get("x-shelf-key").cloned(), headers.get("authorization").cloned()];
    let is_known = shown.into_iter().flatten().any(|value| value.trim_start_matches("Bearer ") == key);
    let (status, body) = match (is_known, path.strip_prefix("/books")) {
        (false, _) => ("401 Unauthorized", String::new()),
        (true, Some(below)) => {
            look(method, below.trim_start_matches('/'), headers.get("depth").is_some_and(|depth| depth == "1"))
        }
        (true, None) => ("404 Not Found", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\netag: \"{length}\"\r\nx-seen: {key}\r\nset-cookie: session={key}\r\nconnection: close\r\n\r\n",
        length = body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// What a request for a path below `/books/` is answered with.
fn look(method: &str, below: &str, is_deep: bool) -> (&'static str, String) {
    let file = BOOKS.iter().find(|(path, _)| *path == below);
    match (method, file) {
        ("GET", Some((_, text))) => ("200 OK", (*text).to_owned()),
        ("GET", None) if below == "index.json" => ("200 OK", index()),
        ("PROPFIND", Some((path, text))) => ("207 Multi-Status", listing(&[response(path, Some(text.len()))])),
        ("PROPFIND", None) if BOOKS.iter().any(|(path, _)| path.starts_with(below)) => {
            let mut found = vec![response(below, None)];
            if is_deep {
                found.extend(members(below));
            }
            ("207 Multi-Status", listing(&found))
        }
        _ => ("404 Not Found", String::new()),
    }
}

/// What lies directly below a folder, each once.
fn members(folder: &str) -> Vec<String> {
    let mut found = BTreeMap::new();
    for (path, text) in BOOKS {
        if let Some(rest) = path.strip_prefix(folder) {
            match rest.split_once('/') {
                Some((name, _)) => found.insert(format!("{folder}{name}/"), None),
                None => found.insert(path.to_owned(), Some(text.len())),
            };
        }
    }
    found.into_iter().map(|(path, size)| response(&path, size)).collect()
}

fn response(path: &str, size: Option<usize>) -> String {
    let property = match size {
        Some(size) => format!("<getcontentlength>{size}</getcontentlength><getetag>\"{size}\"</getetag>"),
        None => "<resourcetype><collection/></resourcetype>".to_owned(),
    };
    format!("<response><href>/books/{path}</href><propstat><prop>{property}</prop></propstat></response>")
}

fn listing(responses: &[String]) -> String {
    format!("<multistatus xmlns=\"DAV:\">{}</multistatus>", responses.concat())
}

fn index() -> String {
    let files = BOOKS.iter().map(|(path, text)| {
        serde_json::json!({ "key": path, "size": text.len(), "etag": format!("\"{}\"", text.len()), "draft": path.starts_with("draft") })
    });
    serde_json::Value::Array(files.collect()).to_string()
}
