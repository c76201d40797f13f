//! The connector against recorded answers.

mod check;
mod destination;
mod source;
mod store;

use credenza_sdk::wire::{Asked, Reply, Tape};
use credenza_sdk::{Entry, EntryKind, ErrorClass, Found, Result, ScanOptions, Source};

use crate::container::Container;
use crate::place::tests::config;
use crate::wire::ENDPOINT;

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let plain = Reply::new(status).with_body(body);
    headers.iter().fold(plain, |reply, (name, value)| reply.with_header(name, *value))
}

fn error(status: u16, code: &str) -> Reply {
    reply(status, &[("x-ms-error-code", code)], &format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
}

fn container(settings: &[(&str, &str)], replies: Vec<Reply>) -> Container<Tape> {
    Container::new(&config(settings), Tape::new(replies))
}

fn asked(container: &Container<Tape>) -> Vec<Asked> {
    assert_eq!(container.wire.left(), 0, "answers that nobody asked for");
    let asked = container.wire.asked();
    let is_whole = |asked: &Asked| asked.endpoint == ENDPOINT && asked.header("x-ms-version").is_some();
    assert!(asked.iter().all(is_whole));
    asked
}

fn lines(container: &Container<Tape>) -> Vec<String> {
    asked(container).iter().map(Asked::line).collect()
}

/// A blob of three bytes in a listing; `more` goes before its properties.
fn blob(name: &str, more: &str) -> String {
    format!(
        "<Blob><Name>{name}</Name>{more}<Properties><Content-Length>3</Content-Length><Last-Modified>Mon, 01 Jan 2024 00:00:05 GMT</Last-Modified><Etag>0xE</Etag><BlobType>BlockBlob</BlobType></Properties></Blob>"
    )
}

fn page_of(blobs: &str, next: Option<&str>) -> Reply {
    let next = next.unwrap_or_default();
    reply(
        200,
        &[],
        &format!(
            "\u{feff}<?xml version=\"1.0\"?><EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
        ),
    )
}

fn page(names: &[&str], next: Option<&str>) -> Reply {
    page_of(&names.iter().map(|name| blob(name, "")).collect::<String>(), next)
}

fn everything() -> ScanOptions {
    ScanOptions { prefix: Vec::new(), start_after: None, one_level: false, as_of: None }
}

/// Everything that a walk finds, `max` at a time.
fn walk(container: &Container<Tape>, options: &ScanOptions, max: u32) -> Result<Vec<Entry>> {
    let (mut scan, mut all) = (Source::scan(container, options.clone())?, Vec::new());
    loop {
        let batch = scan.next(max)?;
        assert!(batch.found.len() <= max as usize);
        all.extend(batch.found.into_iter().map(|found| match found {
            Found::Entry(entry) => entry,
            Found::Skipped((key, _)) => panic!("skipped {key:?}"),
        }));
        if !batch.more {
            return Ok(all);
        }
    }
}

fn keys(found: &[Entry]) -> Vec<String> {
    found.iter().map(|entry| String::from_utf8(entry.key.clone()).unwrap()).collect()
}

/// A blob as a listing tells it.
fn file(key: &str) -> Entry {
    walk(&container(&[], vec![page(&[key], None)]), &everything(), 10).unwrap().remove(0)
}
