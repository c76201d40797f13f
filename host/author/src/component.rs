//! Turns a core module that was linked against the SDK into a component with its manifest.

use memchr::memmem;
use wit_component::ComponentEncoder;

/// The custom section in which the host looks for the manifest, and the longest that it reads.
const MANIFEST_SECTION: &str = "credenza:manifest";
const MANIFEST_BYTES_MAX: usize = 256 * 1024;
/// How the names of the sections begin in which the SDK leaves the types of a connector's roles.
/// Those of its bindings, which every module has that links it, have other names.
const TYPES_SECTION: &[u8] = b"component-type:credenza:";

/// A module that is no connector, and why.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The manifest is longer than the host reads.
    #[error("the manifest has {bytes} bytes; the host reads at most {MANIFEST_BYTES_MAX}")]
    ManifestTooLong {
        /// Its length.
        bytes: usize,
    },
    /// No role is exported.
    #[error("the module exports no role of a connector")]
    NoRole,
    /// It is no module, or imports or exports what does not fit the contract.
    #[error("{0}")]
    Invalid(String),
}

/// Encodes and validates the component, and appends the manifest as its last section. Names of functions are kept.
///
/// # Errors
/// [`EncodeError`] says what is wrong with the module.
pub fn encode(module: &[u8], manifest: &str) -> Result<Vec<u8>, EncodeError> {
    if memmem::find(module, TYPES_SECTION).is_none() {
        return Err(EncodeError::NoRole);
    }
    let encode = || ComponentEncoder::default().validate(true).module(module)?.encode();
    with_manifest(encode().map_err(|error| EncodeError::Invalid(format!("{error:#}")))?, manifest)
}

/// Appends the manifest as the last section of a component.
///
/// # Errors
/// When the manifest is longer than the host reads.
pub(crate) fn with_manifest(mut component: Vec<u8>, manifest: &str) -> Result<Vec<u8>, EncodeError> {
    if manifest.len() > MANIFEST_BYTES_MAX {
        return Err(EncodeError::ManifestTooLong { bytes: manifest.len() });
    }
    append_section(&mut component, MANIFEST_SECTION, manifest.as_bytes());
    Ok(component)
}

/// A custom section: id 0, length of what follows, length of the name, name, content
/// (<https://webassembly.github.io/spec/core/binary/modules.html#custom-section>).
fn append_section(component: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut section = leb128(name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    component.push(0);
    component.extend(leb128(section.len()));
    component.extend(section);
}

fn leb128(number: usize) -> Vec<u8> {
    let mut rest = number;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_the_specification_says() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [0x7f]);
        assert_eq!(leb128(128), [0x80, 1]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn a_manifest_that_the_host_would_not_read_is_refused() {
        let refused = with_manifest(Vec::new(), &" ".repeat(MANIFEST_BYTES_MAX + 1)).unwrap_err();
        assert!(refused.to_string().contains("262144"));
    }

    /// As a registry of WIT packages takes it, and as any generator of bindings reads it.
    #[test]
    fn the_contract_is_one_package_with_what_it_builds_on() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let mut resolve = wit_parser::Resolve::default();
        let (package, _) = resolve.push_dir(&folder).unwrap();
        let names: Vec<String> = resolve.packages.iter().map(|(_, package)| package.name.to_string()).collect();
        assert_eq!(names, ["credenza:host@0.1.0", "credenza:connector@0.1.0"]);
        for world in ["source-connector", "store-connector", "destination-connector", "full-connector"] {
            resolve.select_world(&[package], Some(world)).unwrap();
        }
        let published = wit_component::encode(&resolve, package).unwrap();
        let read = wit_component::decode(&published).unwrap();
        assert_eq!(read.resolve().packages[read.package()].name.to_string(), "credenza:connector@0.1.0");
    }

    #[test]
    fn a_module_that_exports_nothing_of_the_contract_is_told_apart_from_a_broken_one() {
        for bare in [&b"\0asm\x01\0\0\0"[..], b"component-type:wit-bindgen:0.61.0:"] {
            assert!(matches!(encode(bare, ""), Err(EncodeError::NoRole)));
        }
        assert!(matches!(encode(b"component-type:credenza:nonsense", ""), Err(EncodeError::Invalid(_))));
    }
}
