//! What others wrote and we link: its licences, its duplicates and its sources, held against `deny.toml`, and who may use what.
//!
//! `cargo xtask audit` asks cargo-deny the same and more; this needs nothing that is not here.

use anyhow::{Context, Result, ensure};
use credenza_e2e::workspace;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crates of others that only some of ours may name, and why. Whatever is in no line, any may.
const DOORS: [(&[&str], &[&str], &str); 12] = [
    (
        &["wasmtime", "wasmtime-wasi", "wasmparser"],
        &["credenza-sandbox"],
        "one crate knows WebAssembly, and builds its engine once",
    ),
    (&["lettre"], &["credenza-sandbox"], "one crate talks to networks, of its own accord too"),
    (&["askama"], &["credenza-web"], "one crate makes pages"),
    (&["fuser"], &["credenza-serve"], "one crate answers the kernel"),
    (&["wit-component"], &["credenza-author"], "components are encoded where they are built"),
    (
        &["hyper", "hyper-rustls", "hyper-util", "rustls", "rustls-native-certs", "tokio-rustls"],
        &[
            "credenza-sandbox",
            "credenza-kit",
            "credenza-listen",
            "credenza-serve",
            "credenza-web",
            "credenza-s3-server",
            "credenza-e2e",
        ],
        "one crate talks to networks, where requests are checked and signed; stand-ins, fronts and the page only listen",
    ),
    (
        &["argon2", "ed25519-dalek", "x25519-dalek", "ml-kem", "fastcdc", "zstd", "reed-solomon-simd"],
        &["credenza-format"],
        "what bytes of a repository mean is said in one place",
    ),
    (
        &["aws-config", "aws-runtime", "toml_edit"],
        &["credenza-app", "credenza"],
        "configuration and credentials are looked up above the engine",
    ),
    (
        &["clap", "clap_complete", "clap_mangen", "indicatif", "rpassword", "tracing-subscriber"],
        &["credenza"],
        "only the command line talks to a person",
    ),
    (
        &["anyhow"],
        &["credenza-s3-server", "credenza-e2e", "credenza-demo", "credenza-bench", "xtask"],
        "the product has typed errors",
    ),
    (&["s3s"], &["credenza-serve", "credenza-s3-server"], "one crate of the product answers clients of S3"),
    (
        &["tokio", "async-trait", "futures-util"],
        &[
            "credenza-connect",
            "credenza-sandbox",
            "credenza-engine",
            "credenza-app",
            "credenza-kit",
            "credenza-listen",
            "credenza-serve",
            "credenza-web",
            "credenza",
            "credenza-s3-server",
            "credenza-e2e",
            "credenza-bench",
        ],
        "words and codecs do no I/O and wait for nothing",
    ),
];

/// Both workspaces whose crates become part of the program.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "plugins/Cargo.toml"];

/// The one registry that crates may come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn every_licence_is_on_the_list() -> Result<()> {
    let rules = rules()?;
    let allowed = rules["licenses"]["allow"].as_array().context("deny.toml allows licences")?;
    let allowed: Vec<&str> = allowed.iter().filter_map(toml::Value::as_str).collect();
    let mut refused = BTreeSet::new();
    for package in packages()? {
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence, &allowed) {
            refused.insert(format!("{} is under {licence:?}", id(&package)));
        }
    }
    ensure!(refused.is_empty(), "no licence that deny.toml allows: {refused:#?}");
    Ok(())
}

#[test]
fn no_crate_comes_twice_but_those_that_are_listed() -> Result<()> {
    let rules = rules()?;
    let skipped = rules["bans"]["skip"].as_array().context("deny.toml lists duplicates")?;
    let skipped: Vec<&str> = skipped.iter().filter_map(|skip| skip["crate"].as_str()).collect();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages_of(WORKSPACES[0])? {
        let [name, version] = ["name", "version"].map(|field| package[field].as_str().unwrap_or_default().to_owned());
        versions.entry(name).or_default().insert(version);
    }
    let twice = versions.iter().filter(|(_, versions)| versions.len() > 1);
    let ids = twice.map(|(name, versions)| versions.iter().map(|v| format!("{name}@{v}")).collect::<Vec<_>>());
    let twice: Vec<Vec<String>> = ids.collect();
    let is_version = |id: &str, skip: &str| id.strip_prefix(skip).is_some_and(|rest| rest.starts_with('.'));
    let is_listed = |id: &String| skipped.iter().any(|skip| is_version(id, skip));
    let new: Vec<_> = twice.iter().filter(|ids| ids.iter().filter(|id| !is_listed(id)).count() > 1).collect();
    ensure!(new.is_empty(), "these come more than once: {new:?}; use one version, or give the reason in deny.toml");
    let is_needed = |skip: &&str| twice.iter().flatten().any(|id| is_version(id, skip));
    let stale: Vec<_> = skipped.into_iter().filter(|skip| !is_needed(skip)).collect();
    ensure!(stale.is_empty(), "deny.toml lists what comes once, or not at all: {stale:?}");
    Ok(())
}

#[test]
fn everything_comes_from_the_registry_and_nothing_that_is_refused() -> Result<()> {
    let rules = rules()?;
    let refused = rules["bans"]["deny"].as_array().context("deny.toml refuses crates")?;
    let refused: Vec<&str> = refused.iter().filter_map(|entry| entry["crate"].as_str()).collect();
    for package in packages()? {
        let from = package["source"].as_str().unwrap_or(REGISTRY);
        ensure!(from == REGISTRY, "{} comes from {from}", id(&package));
        let name = package["name"].as_str().unwrap_or_default();
        ensure!(!refused.contains(&name), "deny.toml refuses {name}");
    }
    Ok(())
}

#[test]
fn crates_of_others_are_used_where_they_belong() -> Result<()> {
    let mut broken = Vec::new();
    for package in packages_of(WORKSPACES[0])?.iter().filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().context("a package has a name")?;
        if name.starts_with("credenza-sdk") || name.starts_with("credenza-connector") {
            continue;
        }
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let linked = dependencies.filter(|dependency| dependency["kind"].is_null());
        for used in linked.filter_map(|dependency| dependency["name"].as_str()) {
            let door = DOORS.iter().find(|(crates, ..)| crates.contains(&used));
            if let Some((_, _, reason)) = door.filter(|(_, users, _)| !users.contains(&name)) {
                broken.push(format!("{name} uses {used}: {reason}"));
            }
        }
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

#[test]
fn expressions_of_licences_are_understood() {
    let allowed = ["MIT", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"];
    for yes in
        ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(is_allowed(yes, &allowed), "{yes}");
    }
    for no in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND GPL-2.0", "Apache-2.0"] {
        assert!(!is_allowed(no, &allowed), "{no}");
    }
}

/// Whether an SPDX expression can be fulfilled with the allowed licences alone
/// (<https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>): `AND` binds before `OR`, and old manifests write `/` for `OR`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    either(&mut words.as_slice(), allowed)
}

fn either(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut is_fulfilled = both(words, allowed);
    while take(words, "OR") {
        is_fulfilled |= both(words, allowed);
    }
    is_fulfilled
}

fn both(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut is_fulfilled = one(words, allowed);
    while take(words, "AND") {
        is_fulfilled &= one(words, allowed);
    }
    is_fulfilled
}

fn one(words: &mut &[&str], allowed: &[&str]) -> bool {
    if take(words, "(") {
        let is_fulfilled = either(words, allowed);
        return take(words, ")") && is_fulfilled;
    }
    match *words {
        [name, "WITH", exception, rest @ ..] => {
            *words = rest;
            allowed.contains(&format!("{name} WITH {exception}").as_str())
        }
        [name, rest @ ..] => {
            *words = rest;
            allowed.contains(name)
        }
        [] => false,
    }
}

fn take(words: &mut &[&str], word: &str) -> bool {
    match *words {
        [first, rest @ ..] if *first == word => {
            *words = rest;
            true
        }
        _ => false,
    }
}

fn rules() -> Result<toml::Table> {
    let path = workspace().join("deny.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().context("deny.toml is TOML")
}

fn packages() -> Result<Vec<Value>> {
    let both = WORKSPACES.iter().map(|manifest| packages_of(manifest)).collect::<Result<Vec<_>>>()?;
    Ok(both.into_iter().flatten().collect())
}

/// All packages that a workspace can use here, as `cargo metadata` describes them.
fn packages_of(manifest: &str) -> Result<Vec<Value>> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", &host])
        .args(["--manifest-path", manifest])
        .current_dir(workspace())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    Ok(metadata.get("packages").and_then(Value::as_array).context("metadata lists packages")?.clone())
}

fn id(package: &Value) -> String {
    format!("{} {}", package["name"].as_str().unwrap_or_default(), package["version"].as_str().unwrap_or_default())
}
