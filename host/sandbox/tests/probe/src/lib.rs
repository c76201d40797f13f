//! A connector for the tests of the sandbox: a thin layer over plain HTTP that misbehaves as its setting `behaviour` says.

use std::cell::{Cell, RefCell};

wit_bindgen::generate!({
    path: "../../../../wit",
    world: "full-connector",
    generate_all,
});

use credenza::connector::settings::{Config, Value};
use credenza::connector::types::*;
use credenza::host::bodies::Body;
use credenza::host::{http, log, task};
use exports::credenza::connector::{destination, lifecycle, source, store};

struct Probe;
export!(Probe);

fn setting(config: &Config, name: &str) -> String {
    let found = config.settings.iter().find(|s| s.name == name);
    match found.map(|s| &s.value) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

fn failed(class: ErrorClass, reason: &str, message: String) -> Error {
    Error { class, reason: reason.to_owned(), message, retry_after_ms: None }
}

fn send(method: &str, target: String, headers: &[(&str, &str)], data: Option<Body>) -> Result<http::Response, Error> {
    send_to("bucket", method, target, headers, data)
}

fn send_to(
    label: &str,
    method: &str,
    target: String,
    headers: &[(&str, &str)],
    data: Option<Body>,
) -> Result<http::Response, Error> {
    let request = http::Request {
        method: method.to_owned(),
        endpoint: label.to_owned(),
        target,
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
    };
    let response = http::send(&request, data)
        .map_err(|f| failed(ErrorClass::Transient, &f.reason, f.message))?;
    match response.status() {
        200..300 => Ok(response),
        404 => Err(failed(ErrorClass::NotFound, "probe.404", "nothing there".to_owned())),
        403 => Err(failed(ErrorClass::Denied, "probe.403", "refused".to_owned())),
        599 => panic!("the server said 599"),
        status => Err(failed(ErrorClass::Transient, "probe.status", format!("status {status}"))),
    }
}

fn lines(response: http::Response) -> Result<Vec<String>, Error> {
    let body = http::Response::into_body(response);
    let mut text = Vec::new();
    loop {
        let piece = body.read(65536).map_err(|e| failed(ErrorClass::Transient, &e.reason, e.message))?;
        if piece.is_empty() {
            return Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect());
        }
        text.extend(piece);
    }
}

fn entry(key: &str) -> Entry {
    Entry {
        key: key.as_bytes().to_vec(),
        kind: EntryKind::File,
        size: None,
        modified: None,
        fingerprint: None,
        locator: None,
        version: None,
        link_target: None,
        checksums: Vec::new(),
        attributes: Vec::new(),
    }
}

fn misbehave(behaviour: &str) -> Result<(), Error> {
    match behaviour {
        "panics" => {
            log::log(log::Level::Error, "panicked at 'the disc is made of cheese'", &[]);
            panic!()
        }
        "loops" => loop {
            std::hint::black_box(0);
        },
        "eats-memory" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
            }
        }
        "leaks-handles" => loop {
            std::mem::forget(Body::from_bytes(b"x"));
        },
        "passes-too-much" => {
            Body::from_bytes(&vec![0; 17 << 20]);
        }
        "asks-in-vain" => loop {
            let _ = send("DELETE", "/key".to_owned(), &[], None);
        },
        "reads-past-the-end" => {
            let body = http::Response::into_body(send("GET", "/key".to_owned(), &[], None)?);
            loop {
                let _ = body.read(65536);
            }
        }
        "hoards-bodies" => loop {
            std::mem::forget(Body::from_bytes(&vec![0; 1 << 20]));
        },
        "hoards-views" => loop {
            let body = Body::from_bytes(&vec![0; 1 << 20]);
            std::mem::forget(body.slice(0, 1));
        },
        "hoards-answers" => loop {
            std::mem::forget(send("GET", "/key".to_owned(), &[], None)?);
        },
        "two-verbs" => drop(send("POST", "/key?restore&delete".to_owned(), &[], None)?),
        "a-coded-verb" => drop(send("POST", "/key?restore&%64elete".to_owned(), &[], None)?),
        "a-header" => drop(send("GET", "/key".to_owned(), &[("x-amz-acl", "public-read")], None)?),
        "looks-for-secrets" => {
            let text = lines(send("GET", "/key".to_owned(), &[], None)?)?.join(" ");
            let bare = |mark: &str| text.split(mark).nth(1).is_some_and(|after| !after.starts_with('*'));
            let seen = text.contains("verysecretkey") || bare("Signature=");
            return Err(failed(ErrorClass::Denied, if seen { "probe.seen" } else { "probe.hidden" }, text));
        }
        "waits-to-be-told" => {
            task::status("waiting to be reported");
            let mut asked = 0;
            while !task::cancelled() {
                asked += 1;
            }
            return Err(failed(ErrorClass::Transient, "probe.cancelled", format!("asked {asked} times in vain")));
        }
        "floods-log" => (0..20_000).for_each(|n| log::log(log::Level::Info, &format!("line {n} of the flood"), &[])),
        "other-verb" => drop(send("DELETE", "/key".to_owned(), &[], None)?),
        "other-endpoint" => drop(send_to("elsewhere", "GET", "/key".to_owned(), &[], None)?),
        "other-header" => {
            let own = [("authorization", "Bearer stolen"), ("host", "evil.example"), ("x-mine", "kept")];
            drop(send("GET", "/headers".to_owned(), &own, None)?);
        }
        _ => {}
    }
    Ok(())
}

impl lifecycle::Guest for Probe {
    fn validate(config: Config) -> Vec<lifecycle::Problem> {
        let objects = setting(&config, "behaviour") == "objects";
        let problem = lifecycle::Problem { setting: Some("behaviour".to_owned()), message: "I object".to_owned() };
        if objects { vec![problem] } else { Vec::new() }
    }
}

struct Session {
    behaviour: String,
    kept: RefCell<Option<Body>>,
}

impl Session {
    fn new(config: &Config) -> Self {
        Self { behaviour: setting(config, "behaviour"), kept: RefCell::default() }
    }
}

impl source::Guest for Probe {
    type Session = Session;
    type Scanner = Scanner;
    type Reader = Reader;

    fn open(config: Config) -> Result<source::Session, Error> {
        Ok(source::Session::new(Session::new(&config)))
    }
}

impl source::GuestSession for Session {
    fn info(&self) -> Result<source::SourceInfo, Error> {
        Ok(source::SourceInfo {
            identity: "probe".to_owned(),
            namespace: "flat".to_owned(),
            traits: vec!["ordered-scan".to_owned()],
        })
    }

    fn now(&self) -> Result<Option<Timestamp>, Error> {
        Ok(None)
    }

    fn check(&self) -> Vec<Check> {
        vec![Check { name: "speak".to_owned(), outcome: Ok("ok \u{1b}[31m".to_owned()) }]
    }

    fn scan(&self, options: source::ScanOptions) -> Result<source::Scanner, Error> {
        let prefix = String::from_utf8_lossy(&options.prefix).into_owned();
        let keys = lines(send("GET", format!("?list={prefix}"), &[], None)?)?;
        Ok(source::Scanner::new(Scanner { keys, next: Cell::new(0) }))
    }

    fn read(&self, entry: Entry, range: Option<ByteRange>, _: Option<String>) -> Result<source::Opened, Error> {
        misbehave(&self.behaviour)?;
        if self.behaviour == "pulls" {
            let reader = source::Reader::new(Reader { left: Cell::new(3) });
            return Ok(source::Opened { entry, content: source::Content::Pull(reader) });
        }
        let bytes = range.map(|r| match r.length {
            Some(length) => format!("bytes={}-{}", r.offset, r.offset + length - 1),
            None => format!("bytes={}-", r.offset),
        });
        let headers: Vec<(&str, &str)> = bytes.iter().map(|b| ("range", b.as_str())).collect();
        let response = send("GET", format!("/{}", String::from_utf8_lossy(&entry.key)), &headers, None)?;
        let mut entry = entry;
        if self.behaviour == "lies-about-size" {
            entry.size = Some(7);
        }
        Ok(source::Opened { entry, content: source::Content::Ready(http::Response::into_body(response)) })
    }

    fn describe(&self, _: Vec<Entry>) -> Result<Vec<Result<Attributes, Error>>, Error> {
        Ok(Vec::new())
    }

    fn documents(&self) -> Result<Vec<source::Document>, Error> {
        let document = |name: &str, content| source::Document { name: name.to_owned(), content };
        Ok(vec![document("probe.policy", Ok("open \u{1b}[31m".to_owned()))])
    }
}

struct Reader {
    left: Cell<u8>,
}

impl source::GuestReader for Reader {
    fn read(&self, _: u32) -> Result<Vec<u8>, Error> {
        let left = self.left.replace(self.left.get().saturating_sub(1));
        Ok(vec![b'0' + left; usize::from(left)])
    }
}

struct Scanner {
    keys: Vec<String>,
    next: Cell<usize>,
}

impl source::GuestScanner for Scanner {
    fn next(&self, max: u32) -> Result<source::Batch, Error> {
        let page: Vec<_> = self.keys.iter().skip(self.next.get()).take(max as usize).collect();
        self.next.set(self.next.get() + page.len());
        let found = page.into_iter().map(|key| source::Found::Entry(entry(key))).collect();
        Ok(source::Batch { found, more: self.next.get() < self.keys.len() })
    }
}

impl store::Guest for Probe {
    type Session = Session;

    fn open(config: Config) -> Result<store::Session, Error> {
        Ok(store::Session::new(Session::new(&config)))
    }
}

impl store::GuestSession for Session {
    fn info(&self) -> Result<store::StoreInfo, Error> {
        Ok(store::StoreInfo { identity: "probe".to_owned(), traits: Vec::new(), max_object_bytes: None })
    }

    fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    fn put(&self, key: String, data: Body, options: store::PutOptions) -> Result<store::Stored, Error> {
        if self.behaviour == "keeps-bodies" {
            let earlier = self.kept.borrow_mut().replace(data);
            return match earlier.map(|body| body.read(1)) {
                Some(Err(e)) => Err(failed(ErrorClass::Denied, &e.reason, e.message)),
                Some(Ok(_)) => Err(failed(ErrorClass::Denied, "probe.kept", "it is still there".to_owned())),
                None => Ok(store::Stored { tag: None, version: None, modified: None }),
            };
        }
        let headers: &[(&str, &str)] = if options.if_absent { &[("if-none-match", "*")] } else { &[] };
        let response = send("PUT", format!("/{key}"), headers, Some(data))?;
        Ok(store::Stored { tag: response.header("etag"), version: None, modified: None })
    }

    fn get(&self, key: String, _: Option<ByteRange>, _: Option<String>) -> Result<Body, Error> {
        Ok(http::Response::into_body(send("GET", format!("/{key}"), &[], None)?))
    }

    fn stat(&self, key: String) -> Result<store::Object, Error> {
        let response = send("HEAD", format!("/{key}"), &[], None)?;
        let size = response.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(object(key, size))
    }

    fn list(&self, prefix: String, _: Option<String>, _: u32) -> Result<store::Page, Error> {
        let keys = lines(send("GET", format!("?list={prefix}"), &[], None)?)?;
        Ok(store::Page { objects: keys.into_iter().map(|key| object(key, 0)).collect(), next: None })
    }

    fn delete(&self, keys: Vec<String>) -> Result<Vec<Result<(), Error>>, Error> {
        Ok(keys.into_iter().map(|key| send("DELETE", format!("/{key}"), &[], None).map(drop)).collect())
    }

    fn retain(&self, key: String, _: Option<String>, _: Timestamp) -> Result<(), Error> {
        send("PUT", format!("/{key}?retention"), &[], None).map(drop)
    }
}

fn object(key: String, size: u64) -> store::Object {
    store::Object { key, size, modified: None, tag: None, version: None, retain_until: None }
}

impl destination::Guest for Probe {
    type Session = Session;
    type Writer = Writer;

    fn open(config: Config) -> Result<destination::Session, Error> {
        Ok(destination::Session::new(Session::new(&config)))
    }
}

impl destination::GuestSession for Session {
    fn info(&self) -> Result<destination::DestinationInfo, Error> {
        Ok(destination::DestinationInfo {
            identity: "probe".to_owned(),
            namespace: "flat".to_owned(),
            traits: Vec::new(),
        })
    }

    fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    fn stat(&self, _: Vec<u8>) -> Result<Option<Entry>, Error> {
        Ok(None)
    }

    fn create(&self, entry: Entry, _: bool) -> Result<Option<destination::Begun>, Error> {
        if entry.kind != EntryKind::File {
            return Ok(None);
        }
        let key = String::from_utf8_lossy(&entry.key).into_owned();
        let writer = destination::Writer::new(Writer { key, parts: Cell::new(0) });
        Ok(Some(destination::Begun { writer, part_bytes: Some(8) }))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>, Error>>, Error> {
        Ok(entries.iter().map(|_| Ok(vec!["posix.mode".to_owned()])).collect())
    }
}

struct Writer {
    key: String,
    parts: Cell<u32>,
}

impl destination::GuestWriter for Writer {
    fn write(&self, part: Body) -> Result<(), Error> {
        let number = self.parts.get() + 1;
        self.parts.set(number);
        send("PUT", format!("/{}?part={number}", self.key), &[], Some(part)).map(drop)
    }

    fn finish(&self, last: Body) -> Result<Vec<String>, Error> {
        self.write(last)?;
        Ok(vec![format!("{} parts", self.parts.get())])
    }

    fn abort(&self) {}
}
