//! A connector in another language: JavaScript on QuickJS, with the WASI that reaches nothing, from consent to the bytes of a snapshot.
//!
//! `plugins/template-javascript/build.sh` builds it, with packages of npm that are held against their digests.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use credenza_e2e::{Setup, workspace};

fn component() -> Vec<u8> {
    let path = workspace().join("target/guests/template-javascript.wasm");
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run plugins/template-javascript/build.sh", path.display()))
}

/// A server of files below `/files/`, and how many requests it had.
fn serve(files: BTreeMap<&'static str, Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let listed: Vec<serde_json::Value> = files
        .iter()
        .map(|(key, body)| serde_json::json!({ "key": key, "size": body.len(), "etag": format!("\"{}\"", body.len()) }))
        .collect();
    let index = serde_json::to_vec(&listed).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, SeqCst);
            // A client that goes away is told nothing.
            let _ = answer(stream, &files, &index);
        }
    });
    (address, requests)
}

fn answer(mut stream: TcpStream, files: &BTreeMap<&str, Vec<u8>>, index: &[u8]) -> std::io::Result<()> {
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

#[test]
fn a_connector_in_javascript_is_installed_and_backs_up() {
    let files = BTreeMap::from([
        ("a b.txt", b"a space".to_vec()),
        ("empty", Vec::new()),
        ("é/large", (0..2_000_000_u32).map(|n| (n % 251) as u8).collect()),
    ]);
    let (address, requests) = serve(files.clone());
    let setup = Setup::with_local_repository().unwrap();
    let path = setup.path("x.wasm");
    std::fs::write(&path, component()).unwrap();
    let path = path.to_string_lossy().into_owned();
    let asked = setup.credenza.run(["connector", "install", &path]).unwrap().expect_code(2).unwrap();
    assert!(asked.stderr.contains("WASI that reaches nothing"), "{}", asked.stderr);
    setup.credenza.ok(["connector", "install", &path, "--yes"]).unwrap();

    let location = format!("index://{address}/files");
    let backup =
        || setup.credenza.ok(["--json", "backup", &location, "-o", "use_tls=false"]).unwrap().summary().unwrap();
    let first = backup();
    assert_eq!((first["entries"].as_u64(), first["errors"].as_u64()), (Some(3), Some(0)), "{first}");
    let restored = setup.restore("latest", "restored").unwrap();
    for (key, body) in &files {
        assert!(std::fs::read(restored.join(key)).unwrap() == *body, "{key}");
    }
    let before = requests.load(SeqCst);
    let second = backup();
    assert_eq!((second["read"].as_u64(), requests.load(SeqCst) - before), (Some(0), 1), "{second}");
}

#[test]
fn a_component_that_does_not_say_so_gets_no_wasi() {
    let mut component = component();
    let said = b"wasi = \"inert\"";
    let at = component.windows(said.len()).rposition(|window| window == said).unwrap();
    component[at..at + said.len()].fill(b' ');
    let setup = Setup::new().unwrap();
    let path = setup.path("x.wasm");
    std::fs::write(&path, component).unwrap();
    let refused = setup.credenza.run(["connector", "install", &path.to_string_lossy(), "--yes"]).unwrap();
    let said = refused.expect_code(21).unwrap().stderr;
    for part in ["`wasi:cli/environment@0.2.", "`wasi:random/insecure-seed@0.2.", "wasi = \"inert\""] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_guest_of_another_language_sees_the_time_of_now() {
    let setup = Setup::with_local_repository().unwrap();
    let guest = workspace().join("target/guests/inert.wasm").to_string_lossy().into_owned();
    setup.credenza.ok(["connector", "install", &guest, "--yes"]).unwrap();
    let run = || {
        setup.credenza.ok(["backup", "inert://here"]).unwrap();
        let shown = setup.credenza.ok(["--json", "info", "latest"]).unwrap();
        let shown: serde_json::Value = serde_json::from_str(shown.stdout.trim()).unwrap();
        let documents = shown["documents"].as_array().unwrap().clone();
        let text = |name: &str| {
            let document = documents.iter().find(|document| document["name"] == name).unwrap();
            document["text"].as_str().unwrap().to_owned()
        };
        text("now").parse::<u64>().unwrap()
    };
    let first = run();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(now - u128::from(first) < 600_000, "{first} is not about {now}");
}
