//! Consent: what a person is asked before a component runs, what is kept of the answer, and what happens when the component is another one.
//!
//! Owned here: the way of a user, with the real program. What widens a grant, and damage of the lock byte by byte, are tested where they are kept.

#![allow(clippy::indexing_slicing, reason = "what fails here is a failed test")]
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::PathBuf;

use credenza_e2e::Setup;
use credenza_e2e::guests::{built, hostile};
use credenza_e2e::wrong_server::{Manner, WrongServer};

const LOCATION: &str = "hostile://localhost:1/well";

struct User {
    setup: Setup,
    file: PathBuf,
}

impl User {
    fn new(component: &[u8]) -> Self {
        let setup = Setup::with_local_repository().unwrap();
        let file = setup.path("hostile.wasm");
        std::fs::write(&file, component).unwrap();
        Self { setup, file }
    }

    fn replace(&self, component: &[u8]) {
        std::fs::write(&self.file, component).unwrap();
    }

    fn connector(&self, words: &[&str], code: i32) -> String {
        let outcome = self.setup.credenza.run([&["connector"], words].concat()).unwrap();
        outcome.expect_code(code).unwrap().whole()
    }

    fn install(&self, words: &[&str], code: i32) -> String {
        self.connector(&[&["install", &self.file.to_string_lossy()], words].concat(), code)
    }

    fn backup(&self, code: i32) -> String {
        self.setup.credenza.run(["backup", LOCATION]).unwrap().expect_code(code).unwrap().whole()
    }
}

/// The command that a message suggests, without the program's name.
fn suggested(said: &str) -> Vec<String> {
    let command = said.rsplit_once("credenza connector ").unwrap().1.lines().next().unwrap();
    command.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_component_runs_once_its_grant_was_agreed_to() {
    let user = User::new(&built("guests/hostile.wasm").unwrap());
    let file = user.file.to_string_lossy().into_owned();
    let nothing = user.backup(1);
    assert!(nothing.contains("credenza connector install FILE"), "{nothing}");
    let given = user.setup.credenza.run(["--connector", &file, "backup", LOCATION]).unwrap().expect_code(2).unwrap();
    assert!(given.stderr.contains("is not installed") && given.stderr.contains("--allow-unpinned"), "{}", given.stderr);

    let asked = user.install(&[], 2);
    for part in ["to `service`: bearer with token token", "`service`: {scheme}://{host}/allowed", "PUT /*", "--grant"] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert!(asked.find("bearer").unwrap() < asked.find("{host}/allowed").unwrap(), "{asked}");
    user.backup(1);
    user.install(&["--grant", &"0".repeat(64)], 2);

    // The command that the message holds works as it stands.
    let words = suggested(&asked);
    user.connector(&words.iter().map(String::as_str).collect::<Vec<_>>(), 0);
    user.backup(0);
    let again = user.install(&[], 0);
    assert!(again.contains("is installed as it is"), "{again}");
    let listed = user.connector(&["list"], 0);
    assert!(listed.lines().any(|line| line.starts_with("hostile ") && line.ends_with(", installed")), "{listed}");

    user.connector(&["remove", "hostile"], 0);
    user.backup(1);
    user.connector(&["remove", "hostile"], 1);
}

#[test]
fn a_snapshot_names_the_component_and_what_it_was_granted() {
    let user = User::new(&built("guests/hostile.wasm").unwrap());
    let installed = user.setup.credenza.ok(["--json", "connector", "install", &user.file.to_string_lossy(), "--yes"]);
    let installed: serde_json::Value = serde_json::from_str(installed.unwrap().stdout.trim()).unwrap();
    user.backup(0);
    let shown = user.setup.credenza.ok(["--json", "info", "latest"]).unwrap().stdout;
    let grant = installed["grant"].as_str().unwrap();
    assert!(shown.contains(grant) && shown.contains("hostile"), "{grant}: {shown}");
    let digest: serde_json::Value = serde_json::from_str(shown.trim()).unwrap();
    let digest = digest["connector"]["digest"].as_str().unwrap();
    let listed = user.setup.credenza.ok(["ls", "-v"]).unwrap().stdout;
    let line = format!("read by hostile 0.1.0  escrow:{digest}  granted {grant}");
    assert!(listed.contains(&line), "{line}: {listed}");
    assert!(!user.setup.credenza.ok(["ls"]).unwrap().stdout.contains("read by"));
}

#[test]
fn an_update_asks_where_it_wants_more_and_where_nobody_signed_it() {
    let user = User::new(&built("guests/hostile.wasm").unwrap());
    user.install(&["--yes"], 0);
    user.replace(&hostile("version = \"0.1.0\"", "version = \"0.2.0\"").unwrap());
    let asked = user.connector(&["update", "hostile"], 2);
    for part in
        ["another file", "before  0.1.0, sha256 ", "now     0.2.0, sha256 ", "nothing that you have not agreed to"]
    {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let agreed = user.connector(&["update", "hostile", "--yes"], 0);
    assert!(agreed.contains("installed: hostile 0.2.0") && !agreed.contains("bearer"), "{agreed}");

    user.replace(&hostile("source = [\"GET /*\"", "source = [\"DELETE /*\", \"GET /*\"").unwrap());
    let asked = user.connector(&["update", "hostile"], 2);
    assert!(asked.contains("more than you agreed to") && asked.contains("as source: DELETE /*"), "{asked}");
    assert!(!asked.contains("bearer"), "{asked}");
    let verified = user.connector(&["verify"], 0);
    assert!(verified.contains("as agreed: hostile"), "{verified}");
    user.connector(&["update", "hostile", "--yes"], 0);
}

#[test]
fn a_file_or_a_lock_that_was_changed_runs_nothing() {
    let user = User::new(&built("guests/hostile.wasm").unwrap());
    user.install(&["--yes"], 0);
    let folder = user.setup.path("user/config");
    let installed = std::fs::read_dir(folder.join("connectors")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&installed, hostile("GET /*", "DELETE /*").unwrap()).unwrap();
    for said in [user.backup(1), user.connector(&["verify"], 1), user.connector(&["list"], 1)] {
        assert!(said.contains("is not what was installed") && said.contains("connector remove hostile"), "{said}");
    }
    // What is part of the program is listed all the same.
    assert!(user.connector(&["list"], 1).contains("s3://"));

    std::fs::write(&installed, built("guests/hostile.wasm").unwrap()).unwrap();
    user.backup(0);
    let lock = folder.join("connectors.lock");
    let text = std::fs::read_to_string(&lock).unwrap();
    std::fs::write(&lock, text.replacen("PUT /*", "DELETE /*", 1)).unwrap();
    let said = user.backup(1);
    assert!(said.contains("connectors.lock") && said.contains("somebody has changed"), "{said}");
}

#[test]
fn a_publisher_is_pinned_with_the_first_component_of_a_name() {
    let user = User::new(&built("guests/hostile.wasm").unwrap());
    let file = user.file.to_string_lossy().into_owned();
    let key = |name: &str| user.setup.path(name).to_string_lossy().into_owned();
    for name in ["mine", "other"] {
        user.setup.credenza.ok(["key", "signer", &key(name)]).unwrap();
    }
    let sign = |name: &str| user.connector(&["sign", &file, "--signing-key", &key(name)], 0);
    sign("mine");
    let installed = user.install(&["--yes"], 0);
    assert!(installed.contains("signed by "), "{installed}");
    user.backup(0);
    // What the pinned publisher signed and wants no more is agreed to already.
    user.replace(&hostile("version = \"0.1.0\"", "version = \"0.2.0\"").unwrap());
    sign("mine");
    let silent = user.connector(&["update", "hostile"], 0);
    assert!(silent.contains("installed: hostile 0.2.0") && !silent.contains("bearer"), "{silent}");
    sign("other");
    for said in [user.install(&["--yes"], 1), user.connector(&["update", "hostile", "--yes"], 1)] {
        assert!(said.contains("another publisher"), "{said}");
    }
    user.replace(&built("guests/hostile.wasm").unwrap());
    assert!(user.install(&["--yes"], 1).contains("nobody signed it"));
    sign("mine");
    let mut broken = std::fs::read(&user.file).unwrap();
    *broken.last_mut().unwrap() ^= 1;
    user.replace(&broken);
    assert!(user.install(&["--yes"], 1).contains("changed after it was signed"));
}

#[test]
fn no_text_of_a_component_reaches_the_terminal_as_it_is() {
    let forged = hostile("path = \"/allowed\"", "path = \"/allowed\\u001b[2K\\u202e\\r\\nreaches nothing\"").unwrap();
    let user = User::new(&forged);
    let asked = user.install(&[], 2);
    assert!(!asked.contains(['\u{1b}', '\u{202e}', '\r']), "{asked:?}");
    assert!(!asked.lines().any(|line| line.trim_start().starts_with("reaches nothing")), "{asked}");
}

#[test]
fn what_will_not_run_is_refused_with_all_that_it_asks_for() {
    // The names of two imports, each as long as before.
    let mut component = built("guests/hostile.wasm").unwrap();
    for (from, to) in [
        ("credenza:host/http@0.1.0", "wasi:http/handler@0.2.00"),
        ("credenza:host/log@0.1.0", "wasi:other/stuff@0.2.00"),
    ] {
        let at = component.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        component[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let user = User::new(&component);
    for said in [user.install(&["--yes"], 21), user.connector(&["inspect", &user.file.to_string_lossy()], 0)] {
        for part in ["`wasi:http/handler@0.2.00`", "`wasi:other/stuff@0.2.00`", "which connectors do not get"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert!(!user.setup.path("user/config/connectors.lock").exists());
}

#[test]
fn a_component_is_downloaded_by_its_digest_from_wherever_it_is() {
    static COMPONENT: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let component = built("guests/hostile.wasm").unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &component);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", component.len());
    let answer = COMPONENT.get_or_init(|| [head.as_bytes(), &component].concat());
    let server = WrongServer::start(Manner::Answers(answer)).unwrap();
    let user = User::new(&component);
    let address = format!("http://{}/x.wasm", server.authority());
    let said = user.connector(&["install", &address, "--yes"], 2);
    assert!(said.contains("#sha256="), "{said}");
    let other = "0".repeat(64);
    let said = user.connector(&["install", &format!("{address}#sha256={other}"), "--yes"], 1);
    assert!(said.contains(&digest) && said.contains(&other), "{said}");
    let right = format!("{address}#sha256={digest}");
    user.connector(&["install", &right, "--yes"], 0);
    user.backup(0);
    let again = user.connector(&["update", "hostile"], 0);
    assert!(again.contains("is installed as it is"), "{again}");
    let nobody = user.connector(&["install", &format!("http://127.0.0.1:1/x.wasm#sha256={digest}"), "--yes"], 1);
    assert!(nobody.contains("cannot be downloaded"), "{nobody}");
}

#[test]
fn a_component_that_is_gone_is_installed_from_the_repository_that_it_wrote_and_from_one_that_was_synced() {
    let user = User::new(&built("guests/hostile.wasm").unwrap());
    user.install(&["--yes"], 0);
    user.backup(0);
    user.connector(&["remove", "hostile"], 0);
    std::fs::remove_file(&user.file).unwrap();
    user.backup(1);

    let shown = user.setup.credenza.ok(["info", "latest"]).unwrap().stdout;
    let escrow = shown.split_whitespace().find(|word| word.starts_with("escrow:")).unwrap().to_owned();
    let asked = user.connector(&["install", &escrow], 2);
    assert!(asked.contains("bearer with token token"), "{asked}");
    user.connector(&["install", &escrow, "--yes"], 0);
    user.backup(0);
    user.connector(&["remove", "hostile"], 0);

    let second = user.setup.path("second").to_string_lossy().into_owned();
    user.setup.credenza.ok(["at", &second, "create"]).unwrap();
    user.setup.credenza.ok(["sync", "to", &second]).unwrap();
    user.setup.credenza.ok(["maintain"]).unwrap();
    for repository in [second.as_str(), &user.setup.path("repository").to_string_lossy()] {
        user.setup.credenza.ok(["at", repository, "check", "--read-data"]).unwrap();
        user.setup.credenza.ok(["at", repository, "connector", "install", &escrow, "--yes"]).unwrap();
        user.backup(0);
        user.connector(&["remove", "hostile"], 0);
    }
    let other = format!("escrow:{}", "0".repeat(64));
    assert!(user.connector(&["install", &other, "--yes"], 1).contains("keeps no connector"));
}
