//! Sentences of `SECURITY.md` that no other test shows, each by a test that is named after it, and that every test which the note names is
//! there. What hostile connectors do stands in `hostile.rs`, what is put in the place of a repository in `surroundings.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use credenza_e2e::{Credenza, Outcome, PASSPHRASE, Precious, Setup, snapshot_of, workspace};

/// Every file below a folder, as bytes.
fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let items = fs::read_dir(folder).unwrap().map(|item| item.unwrap().path());
    items.flat_map(|path| if path.is_dir() { contents(&path) } else { vec![fs::read(&path).unwrap()] }).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_owner_of_the_store_reads_nothing_of_what_was_backed_up() {
    let setup = Setup::with_local_repository().unwrap();
    let source = setup.path("a-name-that-is-nobody-elses-business");
    fs::create_dir(&source).unwrap();
    let words = "what is written in here is nobody else's business either";
    fs::write(source.join("another-name-like-it"), words).unwrap();
    let source = source.to_string_lossy();
    setup.credenza.ok(["backup", "--tag", "a-tag-of-ours", "--host", "a-machine-of-ours", &source]).unwrap();
    let objects = contents(&setup.path("repository"));
    assert!(objects.len() > 5, "{} objects", objects.len());
    for secret in ["nobody-elses", "another-name", "nobody else", "a-tag-of-ours", "a-machine-of-ours", PASSPHRASE] {
        assert!(!objects.iter().any(|object| holds(object, secret)), "{secret} is in the clear");
    }
}

/// The file of a new identity, and its public key.
fn identity(setup: &Setup) -> (String, String) {
    let file = setup.path("identity").to_string_lossy().into_owned();
    let made = setup.credenza.ok(["--json", "key", "generate", &file]).unwrap();
    let key = made.lines_of("identity").unwrap()[0]["public_key"].as_str().unwrap().to_owned();
    (file, key)
}

#[test]
fn whoever_can_write_to_the_store_can_put_a_repository_there_that_an_identity_opens() {
    let mut victim = Setup::with_local_repository().unwrap();
    let (file, public_key) = identity(&victim);
    victim.credenza.ok(["key", "add", "--recipient", &public_key]).unwrap();
    let source = victim.path("precious");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("note"), "for us alone").unwrap();
    let (place, source) = (victim.path("repository"), source.to_string_lossy().into_owned());

    let mut stranger = Setup::new().unwrap();
    stranger.credenza.set("CREDENZA_REPOSITORY", &place.to_string_lossy());
    stranger.credenza.set("CREDENZA_PASSPHRASE", "the passphrase of a stranger, 2601");
    fs::remove_dir_all(&place).unwrap();
    stranger.credenza.ok(["create"]).unwrap();
    stranger.credenza.ok(["key", "add", "--recipient", &public_key]).unwrap();

    // A passphrase opens no slot that was made without it, and a machine that knows the place refuses.
    victim.credenza.run(["backup", &source]).unwrap().expect_code(12).unwrap();
    victim.credenza.unset("CREDENZA_PASSPHRASE");
    victim.credenza.set("CREDENZA_IDENTITY", &file);
    let refused = victim.credenza.run(["backup", &source]).unwrap().expect_code(12).unwrap();
    refused.expect_message(&["not the repository that was there before"]).unwrap();
    // One without a memory does not: this is what the note says under `not protected`.
    victim.credenza.set("CREDENZA_CONFIG", &victim.path("another machine").to_string_lossy());
    let snapshot = snapshot_of(&victim.backup(&source).unwrap()).unwrap();
    let read = stranger.credenza.ok(["cat", &format!("{snapshot}:note")]).unwrap();
    assert_eq!(read.stdout, "for us alone");
}

/// A request as it came.
struct Asked {
    head: String,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Somebody on the way, who reads along: a server without TLS that answers what `answer` says, and what it was asked.
fn eavesdropper(answer: impl Fn(&Asked) -> String + Send + 'static) -> (String, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (heard, asked) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Each answer closes its connection, so that one after the other is enough.
            if let Some(request) = receive(&mut stream) {
                let _ = stream.write_all(answer(&request).as_bytes());
                let _ = heard.send(request);
            }
        }
    });
    (address, asked)
}

fn receive(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
    };
    let head = String::from_utf8(bytes.drain(..end).collect()).unwrap();
    let mut asked = Asked { head, body: bytes };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    while asked.body.len() < length {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        asked.body.extend_from_slice(&piece[..count]);
    }
    Some(asked)
}

fn reply(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

#[test]
fn without_tls_the_secret_key_does_not_travel_and_a_session_token_and_content_do() {
    let setup = Setup::with_local_repository().unwrap();
    let source = setup.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("note"), "content as it is").unwrap();
    setup.backup(&source.to_string_lossy()).unwrap();
    let (address, asked) = eavesdropper(|asked| match asked.head.starts_with("PUT") {
        true => reply(200, "etag: \"e\"\r\n", ""),
        false => reply(404, "", ""),
    });
    let (secret, token) = ("a-secret-key-of-forty-characters-or-more", "a-session-token-of-some-length");
    let to = format!("s3://{address}/bucket");
    let settings = [
        "access_key=AKIDEXAMPLE".to_owned(),
        format!("secret_access_key={secret}"),
        format!("session_token={token}"),
        "use_tls=false".to_owned(),
    ];
    let words = ["restore", "latest", "--accept-loss", "--to", &to].map(str::to_owned);
    let settings = settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]);
    setup.credenza.ok(words.into_iter().chain(settings)).unwrap();
    let asked: Vec<Asked> = asked.try_iter().collect();
    let put = asked.iter().find(|asked| asked.head.starts_with("PUT /bucket/note ")).unwrap();
    assert_eq!(put.body, b"content as it is");
    assert_eq!(put.header("x-amz-security-token"), Some(token));
    for asked in &asked {
        assert!(!holds(asked.head.as_bytes(), secret) && !holds(&asked.body, secret), "{}", asked.head);
    }
    // The signature covers the digest, and the digest is that of the body.
    let digest = ring::digest::digest(&ring::digest::SHA256, &put.body);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(put.header("x-amz-content-sha256"), Some(digest.as_str()));
    assert!(put.header("authorization").unwrap().contains("x-amz-content-sha256"), "{}", put.head);
}

fn hostile(credenza: &Credenza, words: &[&str]) -> Outcome {
    let guest = workspace().join("target/guests/hostile.wasm");
    assert!(guest.is_file(), "{} is missing: run `cargo xtask guests`", guest.display());
    let guest = guest.to_string_lossy().into_owned();
    credenza.run(["--connector", &guest, "--allow-unpinned"].iter().chain(words)).unwrap()
}

#[test]
fn a_hostile_connector_hands_on_no_secret_that_a_server_repeats() {
    let setup = Setup::with_local_repository().unwrap();
    let (address, asked) = eavesdropper(|asked| {
        let proof = asked.header("authorization").unwrap_or_default();
        reply(200, &format!("x-echo: {proof}\r\n"), &asked.head)
    });
    let location = format!("hostile://{address}/leaks-secret");
    let secret = "a-token-of-the-endpoint";
    let words = ["backup", &location, "-o", "use_tls=false", "-o", &format!("token={secret}")];
    let outcome = hostile(&setup.credenza, &words);
    let asked: Vec<Asked> = asked.try_iter().collect();
    assert!(asked.iter().any(|asked| asked.header("authorization") == Some(&format!("Bearer {secret}"))));
    assert!(!outcome.whole().replace(&format!("token={secret}"), "").contains(secret), "{}", outcome.whole());
    assert!(outcome.stderr.contains("***"), "{}", outcome.whole());
}

#[test]
fn a_hostile_connector_prints_no_control_characters() {
    let setup = Setup::with_local_repository().unwrap();
    let location = "hostile://localhost:1/terminal-names";
    let backup = hostile(&setup.credenza, &["backup", "-v", location]);
    let listed = setup.credenza.ok(["ls", "-R", "latest"]).unwrap();
    assert!(listed.stdout.contains("gone"), "{}", listed.whole());
    for text in [&backup.stdout, &backup.stderr, &listed.stdout, &listed.stderr] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\r']), "{text:?}");
    }
}

#[test]
fn a_destination_that_keeps_nothing_is_believed() {
    let precious = Precious::new(Setup::with_local_repository().unwrap()).unwrap();
    let location = "hostile://localhost:1/well";
    let outcome = hostile(&precious.setup.credenza, &["restore", "latest", "--accept-loss", "--to", location]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.whole());
    assert!(outcome.stdout.starts_with("restored "), "{}", outcome.whole());
}

#[test]
fn a_writer_changes_no_settings_keys_or_policy_and_prunes_nothing() {
    let mut precious = Precious::new(Setup::with_local_repository().unwrap()).unwrap();
    let (file, public_key) = identity(&precious.setup);
    precious.setup.credenza.ok(["key", "add", "--writer", "--recipient", &public_key]).unwrap();
    let kept = contents(&precious.setup.path("repository")).len();
    let credenza = &mut precious.setup.credenza;
    credenza.unset("CREDENZA_PASSPHRASE");
    credenza.set("CREDENZA_IDENTITY", &file);
    credenza.set("CREDENZA_NEW_PASSPHRASE", "quite another credenza, 0815");
    for refused in [
        &["key", "add"][..],
        &["key", "passwd"],
        &["key", "rotate", "--remove-others"],
        &["policy", "set", "--keep-last", "1"],
        &["prune", "--keep-last", "1", "--apply"],
        &["rm", "latest"],
        &["maintain"],
        &["repair", "--apply"],
    ] {
        let outcome = precious.setup.credenza.run(refused).unwrap();
        assert!(!matches!(outcome.code, Some(0 | 2 | 20)), "{}", outcome.whole());
    }
    assert_eq!(contents(&precious.setup.path("repository")).len(), kept);
    let source = precious.source().to_string_lossy().into_owned();
    precious.setup.credenza.ok(["backup", "--host", "a-machine-of-somebody-else", &source]).unwrap();
    precious.setup.credenza.unset("CREDENZA_IDENTITY");
    precious.setup.credenza.set("CREDENZA_PASSPHRASE", PASSPHRASE);
    let listed = precious.setup.credenza.ok(["--json", "ls"]).unwrap();
    assert!(listed.stdout.contains("a-machine-of-somebody-else"), "{}", listed.whole());
    precious.expect_intact().unwrap();
}

/// Sources of ours, without what is built.
fn sources(folder: &Path, texts: &mut String) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            if !path.file_name().is_some_and(|name| name == "target" || name == ".git") {
                sources(&path, texts);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_note_names_is_there() {
    let note = fs::read_to_string(workspace().join("SECURITY.md")).unwrap();
    let (_, table) = note.split_once("| sentence | test |").unwrap();
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    let mut texts = String::new();
    sources(&workspace(), &mut texts);
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit_once(" | ").unwrap().1;
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test for {row}");
        for name in names {
            assert!(texts.contains(&format!("fn {name}(")), "SECURITY.md names the test {name}, which is not there");
        }
    }
}
