//! Components by way of a registry of containers, Debian's `docker-registry`: published, installed, pinned, updated, and what goes wrong on the way.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::fs;
use std::path::PathBuf;

use credenza_e2e::Setup;
use credenza_e2e::guests::{built, hostile};
use credenza_e2e::servers::RegistryServer;

/// A publisher and a user in one, and the registry that both know.
struct Fair {
    server: RegistryServer,
    setup: Setup,
    login: String,
}

impl Fair {
    fn new() -> Self {
        let (server, setup) = (RegistryServer::start().unwrap(), Setup::new().unwrap());
        let login = setup.path("login");
        fs::write(&login, format!("{}:{}\n", server.user.0, server.user.1)).unwrap();
        setup.credenza.ok(["key", "signer", &setup.path("mine").to_string_lossy()]).unwrap();
        Self { server, setup, login: login.to_string_lossy().into_owned() }
    }

    fn address(&self, tag: &str) -> String {
        format!("oci://{}/tests/hostile{tag}", self.server.host)
    }

    fn file(&self, name: &str, component: &[u8]) -> String {
        let path: PathBuf = self.setup.path(name);
        fs::write(&path, component).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// A component that this publisher has signed.
    fn signed(&self, component: &[u8]) -> String {
        let file = self.file("signed.wasm", component);
        let key = self.setup.path("mine").to_string_lossy().into_owned();
        self.connector(&["sign", &file, "--signing-key", &key], 0);
        file
    }

    fn connector(&self, words: &[&str], code: i32) -> String {
        let outcome = self.setup.credenza.run([&["connector"], words].concat()).unwrap();
        outcome.expect_code(code).unwrap().whole()
    }

    fn with_login(&self, words: &[&str], code: i32) -> String {
        self.connector(&[words, &["--login-file", &self.login]].concat(), code)
    }

    /// Publishes and answers the address that holds the digest.
    fn publish(&self, file: &str, tag: &str) -> String {
        let words = ["--json", "connector", "publish", file, &self.address(tag), "--login-file", &self.login];
        let line = self.setup.credenza.ok(words).unwrap().lines_of("connector_published").unwrap().remove(0);
        line.get("reference").unwrap().as_str().unwrap().to_owned()
    }
}

#[test]
fn a_component_is_published_installed_pinned_and_updated() {
    let fair = Fair::new();
    let file = fair.signed(&built("guests/hostile.wasm").unwrap());
    let first = fair.publish(&file, ":1");
    assert!(first.starts_with(&fair.address(":1@sha256:")), "{first}");
    // The same file is the same artifact.
    assert_eq!(fair.publish(&file, ":1"), first);

    let asked = fair.with_login(&["install", &fair.address(":1")], 2);
    assert!(asked.contains("bearer with token token") && asked.contains("signed by "), "{asked}");
    fair.with_login(&["install", &fair.address(":1"), "--yes"], 0);
    assert!(fair.with_login(&["update", "hostile"], 0).contains("is installed as it is"));
    fair.connector(&["verify"], 0);

    let newer = fair.signed(&hostile("version = \"0.1.0\"", "version = \"0.2.0\"").unwrap());
    fair.publish(&newer, ":1");
    let silent = fair.with_login(&["update", "hostile"], 0);
    assert!(silent.contains("installed: hostile 0.2.0") && !silent.contains("bearer"), "{silent}");

    let wider = hostile("source = [\"GET /*\"", "source = [\"DELETE /*\", \"GET /*\"").unwrap();
    fair.publish(&fair.signed(&wider), ":1");
    let asked = fair.with_login(&["update", "hostile"], 2);
    assert!(asked.contains("more than you agreed to") && asked.contains("as source: DELETE /*"), "{asked}");

    // What a tag leads to may change; what a digest names does not.
    assert!(fair.with_login(&["update", "hostile", &first], 0).contains("hostile 0.1.0"));

    // Nobody else can put another one there, whoever may write to the registry.
    let unsigned = fair.file("unsigned.wasm", &built("guests/hostile.wasm").unwrap());
    let reported = fair.with_login(&["publish", &unsigned, &fair.address(":1")], 0);
    assert!(reported.contains("nobody signed it") && reported.contains("connector sign "), "{reported}");
    let refused = fair.with_login(&["update", "hostile", &fair.address(":1"), "--yes"], 1);
    assert!(refused.contains("another publisher"), "{refused}");
}

#[test]
fn what_a_registry_changed_or_does_not_have_is_not_installed() {
    let fair = Fair::new();
    let component = built("guests/hostile.wasm").unwrap();
    let file = fair.file("x.wasm", &component);
    let published = fair.publish(&file, ":1");
    let (_, manifest) = published.rsplit_once("sha256:").unwrap();

    for (missing, said) in [
        (fair.address(":2"), "has no 2 in tests/hostile"),
        (fair.address(&format!("@sha256:{}", "0".repeat(64))), "has no sha256:0000"),
        (format!("oci://{}/tests/other:1", fair.server.host), "has no 1 in tests/other"),
    ] {
        let reported = fair.with_login(&["install", &missing, "--yes"], 1);
        assert!(reported.contains(said), "{reported}");
    }
    let reported = fair.with_login(&["publish", &file, &published], 2);
    assert!(reported.contains("names no tag") || reported.contains("with a tag"), "{reported}");
    for wrong in [fair.address(""), fair.address(":"), "oci://h/UPPER:1".to_owned()] {
        assert!(fair.with_login(&["install", &wrong, "--yes"], 2).contains("no address in a registry"), "{wrong}");
    }
    let nobody = fair.with_login(&["install", "oci://127.0.0.1:1/tests/hostile:1", "--yes"], 1);
    assert!(nobody.contains("does not answer"), "{nobody}");

    let digest = ring::digest::digest(&ring::digest::SHA256, &component);
    let layer: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    for blob in [layer.as_str(), manifest] {
        let path = fair.server.blob(blob);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        // The last byte that is no brace, so that a manifest stays one.
        let at = changed.iter().rposition(|byte| byte.is_ascii_digit()).unwrap();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        fs::write(&path, changed).unwrap();
        let reported = fair.with_login(&["install", &published, "--yes"], 1);
        assert!(reported.contains("has the digest sha256:") || reported.contains("answered 5"), "{blob}: {reported}");
        fs::write(&path, whole).unwrap();
    }
    assert!(!fair.setup.path("user/config/connectors.lock").exists());
    fair.with_login(&["install", &published, "--yes"], 0);
}

#[test]
fn a_registry_is_told_who_asks_by_a_file_or_by_what_docker_keeps() {
    let mut fair = Fair::new();
    let file = fair.file("x.wasm", &built("guests/hostile.wasm").unwrap());
    let address = fair.address(":1");
    for words in [["publish", &file, &address].as_slice(), &["install", &address, "--yes"]] {
        let reported = fair.connector(words, 1);
        assert!(
            reported.contains("wants a name and a password") && reported.contains("--login-file FILE"),
            "{reported}"
        );
        assert!(reported.contains(&format!("docker login {}", fair.server.host)), "{reported}");
    }
    let wrong = fair.file("wrong", b"CREDENZATESTKEY00001:hunter2-hunter2");
    let reported = fair.connector(&["publish", &file, &address, "--login-file", &wrong], 1);
    assert!(reported.contains("does not let this name and password") && !reported.contains("hunter2"), "{reported}");
    let empty = fair.file("empty", b"\n");
    assert!(fair.connector(&["publish", &file, &address, "--login-file", &empty], 2).contains("NAME:PASSWORD"));
    let absent = fair.setup.path("absent").to_string_lossy().into_owned();
    assert!(fair.connector(&["publish", &file, &address, "--login-file", &absent], 1).contains("cannot be read"));

    let docker = fair.setup.path("docker");
    fs::create_dir(&docker).unwrap();
    let pair = format!("{}:{}", fair.server.user.0, fair.server.user.1);
    let pair = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
    let text = serde_json::json!({ "auths": { &fair.server.host: { "auth": pair } } });
    fs::write(docker.join("config.json"), text.to_string()).unwrap();
    fair.setup.credenza.set("DOCKER_CONFIG", &docker.to_string_lossy());
    fair.connector(&["publish", &file, &address], 0);
    fair.connector(&["install", &address, "--yes"], 0);
}
