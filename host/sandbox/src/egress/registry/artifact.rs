//! A component as an artifact: the layout of the CNCF (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>), which other tools
//! for WebAssembly read and write too.
//!
//! A manifest names a config and one layer, the component's file as it is: its signature is in it, so that whoever signed it is found whichever way it
//! came. Annotations are for people who look at the registry; nothing is believed of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::reference::is_digest;
use crate::manifest::Digests;

/// What a manifest is.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What the config of a component is.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// What a component is.
const COMPONENT: &str = "application/wasm";
/// No time of making: the same file becomes the same artifact, whenever it is published.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What is published beside the bytes of a component.
#[derive(Debug, Clone, Default)]
pub struct ArtifactNotes {
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// Annotations of the manifest, such as `org.opencontainers.image.version`.
    pub annotations: BTreeMap<String, String>,
}

/// A blob of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self { media_type: media_type.to_owned(), digest: digest_of(bytes), size: bytes.len() as u64 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// An artifact that is to be published: its manifest, and its config beside the component.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
}

impl Artifact {
    pub(super) fn of(component: &[u8], notes: &ArtifactNotes) -> Self {
        let layer = Descriptor::of(COMPONENT, component);
        let config = json!({
            "created": CREATED,
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer.digest],
            "component": { "exports": notes.exports, "imports": notes.imports, "target": null },
        });
        let config = config.to_string().into_bytes();
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            config: Descriptor::of(CONFIG, &config),
            layers: vec![layer],
            annotations: notes.annotations.clone(),
        };
        // Maps of texts become JSON whatever they hold.
        Self { config, manifest: serde_json::to_vec(&manifest).unwrap_or_default() }
    }
}

/// The component that a manifest names.
///
/// # Errors
/// What it is instead.
pub(super) fn layer_of(manifest: &[u8]) -> Result<Descriptor, &'static str> {
    let kind: serde_json::Value = serde_json::from_slice(manifest).map_err(|_| "it is no JSON")?;
    if kind.get("manifests").is_some() {
        return Err("it is a list of artifacts for several platforms; a component is one for all");
    }
    let manifest: Manifest = serde_json::from_value(kind).map_err(|_| "it is no manifest with a config and layers")?;
    if manifest.config.media_type != CONFIG {
        return Err("it is no WebAssembly, but an image for containers or the like");
    }
    match <[Descriptor; 1]>::try_from(manifest.layers) {
        Ok([layer]) if layer.media_type == COMPONENT && is_digest(&layer.digest) => Ok(layer),
        _ => Err("it does not hold one component, and nothing else"),
    }
}

/// As registries write it.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    let hexadecimal: String = Digests::of(bytes).sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hexadecimal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_becomes_the_same_artifact_and_is_found_in_it() {
        let notes = ArtifactNotes {
            imports: vec!["credenza:host/http@0.1.0".to_owned()],
            exports: vec!["credenza:connector/source@0.1.0".to_owned()],
            annotations: BTreeMap::from([("org.opencontainers.image.version".to_owned(), "1".to_owned())]),
        };
        let (first, second) = (Artifact::of(b"wasm", &notes), Artifact::of(b"wasm", &notes));
        assert_eq!((&first.manifest, &first.config), (&second.manifest, &second.config));
        let layer = layer_of(&first.manifest).unwrap();
        assert_eq!((layer.digest, layer.size), (digest_of(b"wasm"), 4));
        let config: serde_json::Value = serde_json::from_slice(&first.config).unwrap();
        assert_eq!(config["layerDigests"][0], digest_of(b"wasm"));
        assert_eq!(config["component"]["exports"][0], "credenza:connector/source@0.1.0");
    }

    #[test]
    fn what_is_no_artifact_of_one_component_says_what_it_is() {
        let whole = String::from_utf8(Artifact::of(b"wasm", &ArtifactNotes::default()).manifest).unwrap();
        let layer = whole.split_once("\"layers\":[").unwrap().1.split_once(']').unwrap().0;
        for (wrong, said) in [
            (String::new(), "no JSON"),
            ("{}".to_owned(), "no manifest"),
            ("{\"manifests\": []}".to_owned(), "several platforms"),
            (whole.replace(CONFIG, "application/vnd.oci.image.config.v1+json"), "image for containers"),
            (whole.replace("\"application/wasm\"", "\"text/plain\""), "one component"),
            (whole.replace(layer, ""), "one component"),
            (whole.replace(layer, &format!("{layer},{layer}")), "one component"),
            (whole.replace(&digest_of(b"wasm"), "sha256:../../x"), "one component"),
        ] {
            let refused = layer_of(wrong.as_bytes()).unwrap_err();
            assert!(refused.contains(said), "{wrong}: {refused}");
        }
    }
}
