//! The direction of dependencies between the crates, held against `cargo metadata`: no crate of the host depends on a plugin
//! (they share only `wit/`), the engine on the sandbox, or anything on the command line.

use anyhow::{Context, Result, ensure};
use credenza_e2e::workspace;
use serde_json::Value;
use std::process::Command;

/// Each crate with the crates of ours that it may depend on, and why no others.
const CRATES: [(&str, &[&str], &str); 17] = [
    ("credenza-model", &[], "the words and numbers depend on nothing of ours"),
    ("credenza-format", &["credenza-model"], "pure codecs: no I/O, no connector, no engine"),
    ("credenza-connect", &["credenza-model"], "traits and wrappers know neither WebAssembly nor the repository"),
    ("credenza-sandbox", &["credenza-model", "credenza-connect"], "the only crate that knows WebAssembly"),
    (
        "credenza-engine",
        &["credenza-model", "credenza-format", "credenza-connect"],
        "the engine meets connectors through traits; the app joins it with the sandbox",
    ),
    (
        "credenza-app",
        &["credenza-model", "credenza-format", "credenza-connect", "credenza-sandbox", "credenza-engine"],
        "what every program needs is assembled here, of everything below and of no program",
    ),
    ("credenza-author", &[], "a connector is started and built without the host that will run it"),
    (
        "credenza-kit",
        &["credenza-model", "credenza-connect", "credenza-sandbox"],
        "a component is tested by the doors and the sandbox alone, without repository or configuration",
    ),
    (
        "credenza-listen",
        &["credenza-engine"],
        "a listener ends as runs of the engine do, and knows nothing of what is answered",
    ),
    (
        "credenza-serve",
        &["credenza-model", "credenza-connect", "credenza-engine", "credenza-listen"],
        "snapshots are shown by the view alone, under the names that a restore to a folder gives",
    ),
    (
        "credenza-web",
        &["credenza-model", "credenza-engine", "credenza-app", "credenza-listen"],
        "the web page works over the app",
    ),
    (
        "credenza",
        &[
            "credenza-model",
            "credenza-format",
            "credenza-connect",
            "credenza-sandbox",
            "credenza-engine",
            "credenza-app",
            "credenza-author",
            "credenza-kit",
            "credenza-serve",
            "credenza-web",
        ],
        "the command line prints what the host does, and knows nothing of plugins or tests",
    ),
    ("credenza-s3-server", &[], "a server under the code under test must share none of it"),
    ("credenza-e2e", &["credenza-s3-server"], "end to end tests know the binary, not its crates"),
    ("credenza-demo", &["credenza-s3-server", "credenza-e2e"], "the demo drives the binary as a user would"),
    (
        "credenza-bench",
        &[
            "credenza-model",
            "credenza-format",
            "credenza-connect",
            "credenza-sandbox",
            "credenza-engine",
            "credenza-s3-server",
            "credenza-e2e",
            "credenza-sdk",
            "credenza-connector-s3",
        ],
        "only a measurement of the sandbox links what runs on both of its sides; requests are counted by the server",
    ),
    ("xtask", &["credenza-author"], "tasks build and run things, and build connectors as their authors do"),
];

#[test]
fn crates_depend_only_downwards() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("metadata lists packages")?;
    let mut broken = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("a package has a name")?;
        let Some((_, allowed, reason)) = CRATES.iter().find(|(krate, ..)| *krate == name) else {
            broken.push(format!("{name} is in no row: add it to this table with its reason"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let built = dependencies.filter(|dependency| dependency["kind"] != "dev");
        // What lies in a folder is ours, connectors included, which are a workspace of their own.
        let ours = built.filter(|dependency| dependency["path"].is_string());
        let names = ours.filter_map(|dependency| dependency["name"].as_str());
        broken.extend(
            names
                .filter(|used| !allowed.contains(used))
                .map(|used| format!("{name} depends on {used}, which it may not: {reason}")),
        );
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}
