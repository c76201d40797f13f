//! A server of files below `/files/` and of the `index.json` that lists them, as the connector in JavaScript reads it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Starts one that runs as long as the process; its host and port, and how many requests it has had.
///
/// # Errors
/// When no port is free.
pub fn serve(files: BTreeMap<&'static str, Vec<u8>>) -> Result<(String, Arc<AtomicUsize>)> {
    let listed: Vec<serde_json::Value> = files
        .iter()
        .map(|(key, body)| serde_json::json!({ "key": key, "size": body.len(), "etag": format!("\"{}\"", body.len()) }))
        .collect();
    let index = serde_json::to_vec(&listed)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, SeqCst);
            // A client that goes away is reported nothing.
            let _ = answer(stream, &files, &index);
        }
    });
    Ok((address, requests))
}

fn answer(mut stream: TcpStream, files: &BTreeMap<&str, Vec<u8>>, index: &[u8]) -> Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    for line in lines.by_ref() {
        if line?.is_empty() {
            break;
        }
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    let name = path.strip_prefix("/files/").unwrap_or_default().replace("%20", " ").replace("%C3%A9", "é");
    let body = if name == "index.json" { Some(index) } else { files.get(name.as_str()).map(Vec::as_slice) };
    let (status, body) = body.map_or(("404 Not Found", &b""[..]), |body| ("200 OK", body));
    let etag = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"{etag}\"\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
