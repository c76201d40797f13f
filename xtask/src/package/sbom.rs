//! The bill of materials: CycloneDX 1.5 as JSON (<https://cyclonedx.org/docs/1.5/json/>), the same bytes for the same crates.

use anyhow::Result;
use serde_json::{Value, json};

use super::crates::Package;

/// The document for the program of this version and all crates in it.
pub(super) fn cyclonedx(version: &str, packages: &[Package]) -> Result<String> {
    let program = format!("credenza@{version}");
    let (own, others): (Vec<_>, Vec<_>) = packages.iter().partition(|package| package.id() == program);
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": own.first().map(|package| component(package, "application")) },
        "components": others.iter().map(|package| component(package, "library")).collect::<Vec<_>>(),
        "dependencies": packages.iter().map(edges).collect::<Vec<_>>(),
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

fn component(package: &Package, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": package.id(),
        "name": package.name,
        "version": package.version,
        "licenses": [{ "expression": package.licence }],
    });
    if let Some(fields) = component.as_object_mut().filter(|_| package.is_third_party) {
        // `+` is an escape to some readers (<https://github.com/package-url/purl-spec>).
        let version = package.version.replace('+', "%2B");
        fields.insert("purl".to_owned(), json!(format!("pkg:cargo/{}@{version}", package.name)));
    }
    component
}

fn edges(package: &Package) -> Value {
    json!({ "ref": package.id(), "dependsOn": package.uses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_subject_and_every_reference_is_a_component() {
        let package = |name: &str, is_third_party, uses: &[&str]| Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            licence: "MIT".to_owned(),
            is_third_party,
            folder: "/x".into(),
            uses: uses.iter().map(|id| (*id).to_owned()).collect(),
        };
        let packages = [package("credenza", false, &["zstd@0.1.0"]), package("zstd", true, &[])];
        let document: Value = serde_json::from_str(&cyclonedx("0.1.0", &packages).unwrap()).unwrap();
        assert_eq!(document["metadata"]["component"]["bom-ref"], "credenza@0.1.0");
        assert_eq!(document["components"][0]["purl"], "pkg:cargo/zstd@0.1.0");
        assert_eq!(document["dependencies"][0], json!({ "ref": "credenza@0.1.0", "dependsOn": ["zstd@0.1.0"] }));
    }
}
