//! A connector in another language: JavaScript on QuickJS, with the WASI that reaches nothing, from consent to the bytes of a snapshot.
//!
//! `plugins/template-javascript/build.sh` builds it, with packages of npm that are held against their digests.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;

use credenza_e2e::index_server::serve;
use credenza_e2e::{Setup, workspace};

fn component() -> Vec<u8> {
    let path = workspace().join("target/guests/template-javascript.wasm");
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run plugins/template-javascript/build.sh", path.display()))
}

#[test]
fn a_connector_in_javascript_is_installed_and_backs_up() {
    let files = BTreeMap::from([
        ("a b.txt", b"a space".to_vec()),
        ("empty", Vec::new()),
        ("é/large", (0..2_000_000_u32).map(|n| (n % 251) as u8).collect()),
    ]);
    let (address, requests) = serve(files.clone()).unwrap();
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
fn a_guest_of_another_language_sees_the_time_of_now_and_draws_other_numbers_in_each_run() {
    let setup = Setup::with_local_repository().unwrap();
    let guest = workspace().join("target/guests/inert.wasm").to_string_lossy().into_owned();
    setup.credenza.ok(["connector", "install", &guest, "--yes"]).unwrap();
    let run = || {
        // Documents of a run before are taken over, unless all metadata is read.
        setup.credenza.ok(["backup", "--metadata", "full", "inert://here"]).unwrap();
        let shown = setup.credenza.ok(["--json", "info", "latest"]).unwrap();
        let shown: serde_json::Value = serde_json::from_str(shown.stdout.trim()).unwrap();
        let documents = shown["documents"].as_array().unwrap().clone();
        let text = |name: &str| {
            let document = documents.iter().find(|document| document["name"] == name).unwrap();
            document["text"].as_str().unwrap().to_owned()
        };
        let drawn: Vec<f64> = text("random").split(',').map(|number| number.parse().unwrap()).collect();
        (text("now").parse::<u64>().unwrap(), drawn)
    };
    let (first, drawn) = run();
    assert!(drawn.iter().all(|number| (0.0..1.0).contains(number)), "{drawn:?}");
    let (_, again) = run();
    let all = [drawn, again].concat();
    let differ = all.iter().enumerate().all(|(at, number)| !all[..at].contains(number));
    assert!(differ, "drawn twice: {all:?}");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(now - u128::from(first) < 600_000, "{first} is not about {now}");
}
