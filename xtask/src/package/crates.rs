//! Which crates become part of the program: those of the host, and those of the connectors that are embedded.
//!
//! Owned here: the walk through `cargo metadata`. Crates that only build others are left out; procedural macros stay, because they
//! cannot be reported from what is linked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::step;

/// The package of the program, and those of the embedded connectors with the manifest of their workspace.
const PROGRAM: &str = "credenza";
const CONNECTORS: [&str; 4] =
    ["credenza-connector-azure", "credenza-connector-gcs", "credenza-connector-s3", "credenza-connector-webdav"];
const CONNECTORS_MANIFEST: &str = "plugins/Cargo.toml";

/// A crate that is part of the program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// The SPDX expression of its manifest, `/` written as `OR`.
    pub(super) licence: String,
    /// Whether it comes from a registry.
    pub(super) is_third_party: bool,
    /// Where its files are.
    pub(super) folder: PathBuf,
    /// `name@version` of what it uses.
    pub(super) uses: BTreeSet<String>,
}

impl Package {
    /// `name@version`.
    pub(super) fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// All of them, in the order of their names.
pub(super) fn linked() -> Result<Vec<Package>> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut all = reachable(&metadata("Cargo.toml", &host)?, PROGRAM)?;
    let plugins = metadata(CONNECTORS_MANIFEST, credenza_author::TARGET)?;
    for connector in CONNECTORS {
        all.extend(reachable(&plugins, connector)?);
    }
    let by_id: BTreeMap<String, Package> = all.into_iter().map(|package| (package.id(), package)).collect();
    Ok(by_id.into_values().collect())
}

fn metadata(manifest: &str, platform: &str) -> Result<Value> {
    let arguments = ["metadata", "--format-version=1", "--locked", "--manifest-path", manifest, "--filter-platform"];
    let mut cargo: Command = step::cargo(&arguments);
    let output = cargo.arg(platform).current_dir(step::workspace()).output().context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("cargo metadata prints JSON")
}

/// The package of that name and what it uses, directly or not.
fn reachable(metadata: &Value, root: &str) -> Result<Vec<Package>> {
    let packages = indexed(&metadata["packages"]);
    let nodes = indexed(metadata.pointer("/resolve/nodes").unwrap_or(&Value::Null));
    let start = packages.iter().find(|(_, package)| package["name"] == root);
    let mut to_visit = vec![*start.with_context(|| format!("no package {root}"))?.0];
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(id) = to_visit.pop() {
        if !seen.insert(id) {
            continue;
        }
        let package = packages.get(id).with_context(|| format!("no package {id}"))?;
        let used: Vec<&str> = nodes.get(id).map(|node| normal_dependencies(node)).unwrap_or_default();
        let uses = used.iter().filter_map(|id| packages.get(id)).map(|used| name_and_version(used)).collect();
        found.push(read(package, uses)?);
        to_visit.extend(used);
    }
    Ok(found)
}

fn indexed(list: &Value) -> BTreeMap<&str, &Value> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| Some((item["id"].as_str()?, item))).collect()
}

fn normal_dependencies(node: &Value) -> Vec<&str> {
    let dependencies = node["deps"].as_array().into_iter().flatten();
    let is_normal =
        |used: &&Value| used["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"].is_null());
    dependencies.filter(is_normal).filter_map(|used| used["pkg"].as_str()).collect()
}

fn name_and_version(package: &Value) -> String {
    format!("{}@{}", package["name"].as_str().unwrap_or_default(), package["version"].as_str().unwrap_or_default())
}

fn read(package: &Value, uses: BTreeSet<String>) -> Result<Package> {
    let field = |name: &str| package[name].as_str().map(str::to_owned);
    let name = field("name").context("a package has a name")?;
    let manifest = field("manifest_path").with_context(|| format!("{name} has a manifest"))?;
    Ok(Package {
        version: field("version").with_context(|| format!("{name} has a version"))?,
        licence: field("license").with_context(|| format!("{name} names no licence"))?.replace('/', " OR "),
        is_third_party: !package["source"].is_null(),
        folder: Path::new(&manifest).parent().map(Path::to_path_buf).unwrap_or_default(),
        name,
        uses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_followed_and_what_only_builds_is_not() {
        let package = |name: &str| serde_json::json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "manifest_path": format!("/x/{name}/Cargo.toml"), "source": "registry" });
        let metadata = serde_json::json!({
            "packages": [package("root"), package("linked"), package("deeper"), package("builder"), package("stranger")],
            "resolve": { "nodes": [
                { "id": "root", "deps": [
                    { "pkg": "linked", "dep_kinds": [{ "kind": null }, { "kind": "build" }] },
                    { "pkg": "builder", "dep_kinds": [{ "kind": "build" }, { "kind": "dev" }] },
                ] },
                { "id": "linked", "deps": [{ "pkg": "deeper", "dep_kinds": [{ "kind": null }] }] },
            ] },
        });
        let found = reachable(&metadata, "root").unwrap();
        assert_eq!(found.iter().map(Package::id).collect::<Vec<_>>(), ["root@1.0.0", "linked@1.0.0", "deeper@1.0.0"]);
        assert_eq!(found[0].uses, BTreeSet::from(["linked@1.0.0".to_owned()]));
        assert_eq!(found[0].licence, "MIT OR Apache-2.0");
    }
}
