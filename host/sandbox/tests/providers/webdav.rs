//! The component for WebDAV, against two servers that differ: `rclone serve webdav` and WsgiDAV,
//! each over a folder that the tests look into. `tests/servers/install.sh rclone wsgidav` installs them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{CaseResult, destination, source, store};
use credenza_model::Key;
use credenza_sandbox::{Configured, Role};

use super::bed::{Bed, Component, NO_CLOCK, NOT_SEEN, Server, Service, conforms, escaped};

/// The longest name of the file systems below the servers, less what a file on its way is called besides.
const NAME_BYTES_MAX: usize = 200;

/// A server with a folder for each connector that is made.
struct Folders {
    server: Server,
    component: Component,
    prefix: &'static str,
}

impl Folders {
    fn new(kind: &str, prefix: &'static str) -> Self {
        Self { server: Server::start(kind), component: Component::of("webdav"), prefix }
    }

    /// The place of the connector made last, below the root of the server.
    fn place(&self) -> String {
        format!("{}{}", self.component.place(), self.prefix)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.server.work.path().join("data").join(self.place()).join(std::ffi::OsStr::from_bytes(key.as_bytes()))
    }

    /// What the server answers for a key.
    fn served(&self, key: &Key) -> Vec<u8> {
        let path = escaped(&[self.place().as_bytes(), b"/", key.as_bytes()].concat());
        let url = format!("http://{}/{path}", self.server.host);
        let user = format!("{}:{}", self.server.user, self.server.secret);
        Command::new("curl").args(["--silent", "--user", &user, &url]).output().unwrap().stdout
    }

    /// Whether the server knows of the folder by now.
    fn shows_folder(&self) -> bool {
        let url = format!("http://{}/{}", self.server.host, escaped(self.place().as_bytes()));
        let user = format!("{}:{}", self.server.user, self.server.secret);
        let asked = ["--silent", "--request", "PROPFIND", "--header", "depth: 0", "--user", &user, &url];
        let answer = Command::new("curl").args(asked).output().unwrap().stdout;
        String::from_utf8_lossy(&answer).contains("multistatus")
    }
}

/// rclone takes a letter with its accent behind it for the letter that has one. Documents of XML hold no control characters.
fn is_served(key: &Key) -> bool {
    let is_folded = key.as_bytes().windows(2).any(|pair| pair == "\u{308}".as_bytes());
    !is_folded && !key.as_bytes().iter().any(u8::is_ascii_control)
}

#[async_trait]
impl Service for Folders {
    const RETRIES: bool = true;

    async fn configured(&self, roles: &[Role]) -> Configured {
        self.component.next_place();
        // The connector makes the folder itself, where it writes; not what lies above it.
        let place = self.path(&Key::from(""));
        let there = if roles.contains(&Role::Source) { place.as_path() } else { place.parent().unwrap() };
        fs::create_dir_all(there).unwrap();
        let location = format!("webdav://{}/{}", self.server.host, self.place());
        let settings =
            [("location", location.as_str()), ("user", &self.server.user), ("password", &self.server.secret)];
        let configured = self.component.configured(roles, &settings).await;
        let is_shown = !roles.contains(&Role::Source) || (0..TRIES_MAX).any(|_| self.shows_folder());
        assert!(is_shown, "the server does not show `{}`", self.place());
        configured
    }

    fn put(&self, key: &Key, bytes: Bytes) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Another file in its place: what keeps its times in seconds is told apart by its number.
        let beside = path.with_extension("beside");
        fs::write(&beside, &bytes).unwrap();
        fs::rename(&beside, &path).unwrap();
        // A server may remember for a while what was there before.
        let is_there = (0..TRIES_MAX).any(|_| self.served(key) == bytes);
        assert!(is_there, "the server does not show `{key}`");
    }

    fn get(&self, key: &Key) -> Option<Bytes> {
        fs::read(self.path(key)).ok().map(Bytes::from)
    }

    fn lists(&self, key: &Key) -> bool {
        is_served(key)
    }

    fn takes(&self, key: &Key) -> bool {
        is_served(key)
    }

    fn key_bytes_max(&self) -> usize {
        NAME_BYTES_MAX
    }
}

/// Each server, once with the folder at its root and once deeper down, under a name that is written with escapes.
const BEDS: [(&str, &str); 2] = [("rclone-webdav", ""), ("wsgidav", "/deep er/p\u{fc}r%")];

/// Times that a server is asked for what lies in its folder.
const TRIES_MAX: usize = 1000;

/// Runs one part of the suite on each bed.
fn webdav(skipped: &[&str], suite: impl AsyncFn(&Bed<Folders>, u64) -> Vec<CaseResult>) {
    for (kind, prefix) in BEDS {
        let bed = Bed(Folders::new(kind, prefix));
        conforms(skipped, async |seed| suite(&bed, seed).await);
    }
}

#[test]
fn the_webdav_store_conforms() {
    webdav(&["if-match", "versions", "retention"], async |bed, seed| store(bed, seed).await);
}

#[test]
fn the_webdav_source_conforms() {
    webdav(&["!ranged-read", "flat", NO_CLOCK], async |bed, seed| source(bed, seed).await);
}

#[test]
fn the_webdav_destination_conforms() {
    let kinds = ["attributes:http", "attributes:posix", "attributes:s3", "history", "symlinks", "raw-names", NOT_SEEN];
    webdav(&kinds, async |bed, seed| destination(bed, seed).await);
}
