//! A connector in Python: started, built and tested in a folder of its own, then used against a live server, from consent to the bytes of a snapshot.
//!
//! One test, because an interpreter of 18 MB takes half a minute to compile; every command after the build finds it compiled.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use credenza_e2e::author::environment;
use credenza_e2e::index_server::serve;
use credenza_e2e::{Outcome, Setup};

/// What tells of time and chance, in the place of no documents.
const TELLING: &str = r#"        told = {"now": int(time.time() * 1000), "random": [random.random(), random.random()]}
        return [source.Document(name, Ok(json.dumps(told[name]))) for name in told]
"#;

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: {text}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// What a run saw of time and chance: milliseconds since 1970, and numbers that it drew.
fn told(setup: &Setup) -> (u128, Vec<f64>) {
    let shown = setup.credenza.ok(["--json", "info", "latest"]).unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown.stdout.trim()).unwrap();
    let documents = shown.get("documents").unwrap().as_array().unwrap();
    let is_of = |document: &serde_json::Value, name: &str| document.get("name").is_some_and(|found| found == name);
    let text = |name: &str| {
        let document = documents.iter().find(|document| is_of(document, name)).unwrap();
        document.get("text").unwrap().as_str().unwrap().to_owned()
    };
    (text("now").parse().unwrap(), serde_json::from_str(&text("random")).unwrap())
}

/// The kit, of which so many checks must pass and none may fail.
fn passes(setup: &Setup, component: &str, more: &[&str], at_least: usize) {
    let words = ["--json", "connector", "test", component, "--seed", "7"];
    let tested = setup.credenza.run(words.iter().chain(more).copied()).unwrap().expect_code(0).unwrap();
    let lines = tested.lines_of("connector_case").unwrap();
    let passed = lines.iter().filter(|line| line.get("outcome").is_some_and(|outcome| outcome == "passed")).count();
    assert!(passed >= at_least, "{passed}: {}", tested.stdout);
}

#[test]
fn a_connector_in_python_is_started_built_tested_installed_and_backs_up() {
    let mut setup = Setup::with_local_repository().unwrap();
    for (name, value) in environment().unwrap() {
        setup.credenza.set(name, &value);
    }
    let folder = setup.path("my-index");
    let word = folder.to_string_lossy().into_owned();
    setup.credenza.ok(["connector", "new", "my-index", "--language", "python", "--folder", &word]).unwrap();
    let build = |code: i32| -> Outcome {
        setup.credenza.run(["connector", "build", &word]).unwrap().expect_code(code).unwrap()
    };

    // What is wrong is reported with its place.
    let source = folder.join("source.py");
    edit(&source, "class Scanner(", "class Scanner((");
    let reported = build(1).stderr;
    assert!(reported.contains("source.py") && reported.contains("does not build"), "{reported}");
    edit(&source, "class Scanner((", "class Scanner(");

    edit(&source, "        return []\n", TELLING);
    edit(&source, "import json\n", "import json\nimport random\nimport time\n");
    let built = build(0);
    assert!(built.stdout.contains("my-index 0.1.0"), "{}", built.stdout);
    let component = folder.join("my-index.wasm").to_string_lossy().into_owned();
    let inspected = setup.credenza.ok(["connector", "inspect", &component]).unwrap();
    for part in ["my-index://", "will run here", "WASI that reaches nothing"] {
        assert!(inspected.stdout.contains(part), "{part}: {}", inspected.stdout);
    }
    passes(&setup, &component, &[], 95);
    passes(&setup, &component, &["--chaos"], 15);

    let files = BTreeMap::from([
        ("a b.txt", b"a space".to_vec()),
        ("empty", Vec::new()),
        ("é/large", (0..2_000_000_u32).map(|n| (n % 251) as u8).collect()),
    ]);
    let (address, requests) = serve(files.clone()).unwrap();
    setup.credenza.ok(["connector", "install", &component, "--yes"]).unwrap();
    let location = format!("my-index://{address}/files");
    let backup = |metadata: &str| {
        let words = ["--json", "backup", &location, "-o", "use_tls=false", "--metadata", metadata];
        setup.credenza.ok(words).unwrap().summary().unwrap()
    };
    let first = backup("full");
    assert_eq!((first["entries"].as_u64(), first["errors"].as_u64()), (Some(3), Some(0)), "{first}");
    let (now, drawn) = told(&setup);
    let restored = setup.restore("latest", "restored").unwrap();
    for (key, body) in &files {
        assert!(fs::read(restored.join(key)).unwrap() == *body, "{key}");
    }
    let before = requests.load(SeqCst);
    let second = backup("full");
    assert_eq!((second["read"].as_u64(), requests.load(SeqCst) - before), (Some(0), 1), "{second}");

    // The interpreter was started when the component was built; what it tells is of now, and drawn anew.
    let (_, again) = told(&setup);
    let all = [drawn, again].concat();
    assert!(all.iter().enumerate().all(|(at, number)| !all[..at].contains(number)), "drawn twice: {all:?}");
    let passed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() - now;
    assert!(passed < 600_000, "{passed}");
}
