//! Finds the manifest in the bytes of a component, without compiling them, and digests those bytes.

use wasmparser::{Parser, Payload};

use super::error::{MANIFEST_BYTES_MAX, ManifestError};

pub(crate) const SECTION_NAME: &str = "credenza:manifest";

/// Digests of the bytes of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// BLAKE3, recorded in snapshots.
    pub blake3: [u8; 32],
    /// SHA-256, what publishers print and lock files hold.
    pub sha256: [u8; 32],
}

impl Digests {
    /// Digests the bytes of a component.
    #[must_use]
    pub fn of(component: &[u8]) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, component).as_ref());
        Self { blake3: *blake3::hash(component).as_bytes(), sha256 }
    }
}

/// The text of the manifest of a component.
///
/// # Errors
/// When the bytes are no component, hold no manifest or more than one, or one that is too long or not UTF-8.
pub(crate) fn manifest_text(component: &[u8]) -> Result<&str, ManifestError> {
    let mut sections = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|e| ManifestError::NotAComponent { cause: e.to_string() })? {
            Payload::Version { encoding: wasmparser::Encoding::Module, .. } if depth == 0 => {
                return Err(ManifestError::NotAComponent { cause: "it is a core module".to_owned() });
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION_NAME => {
                sections.push(section.data())
            }
            _ => {}
        }
    }
    let bytes = match sections.as_slice() {
        [] => return Err(ManifestError::Missing),
        [one] => *one,
        _ => return Err(ManifestError::Repeated),
    };
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLong { bytes: bytes.len() });
    }
    std::str::from_utf8(bytes).map_err(|e| ManifestError::Syntax { cause: e.to_string() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An empty component with custom sections after its header.
    pub(crate) fn component_with(sections: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for data in sections {
            let mut content = vec![SECTION_NAME.len() as u8];
            content.extend_from_slice(SECTION_NAME.as_bytes());
            content.extend_from_slice(data);
            bytes.push(0);
            let mut length = content.len();
            while length >= 0x80 {
                bytes.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            bytes.extend_from_slice(&content);
        }
        bytes
    }

    #[test]
    fn the_one_manifest_is_found() {
        assert_eq!(manifest_text(&component_with(&[b"name = 'x'"])).unwrap(), "name = 'x'");
    }

    #[test]
    fn no_manifest_two_or_a_huge_one_are_named() {
        assert!(matches!(manifest_text(&component_with(&[])), Err(ManifestError::Missing)));
        assert!(matches!(manifest_text(&component_with(&[b"", b""])), Err(ManifestError::Repeated)));
        let huge = vec![b' '; MANIFEST_BYTES_MAX + 1];
        assert!(matches!(manifest_text(&component_with(&[&huge])), Err(ManifestError::TooLong { .. })));
        assert!(matches!(manifest_text(b"#!/bin/sh"), Err(ManifestError::NotAComponent { .. })));
        assert!(matches!(manifest_text(b"\0asm\x01\0\0\0"), Err(ManifestError::NotAComponent { .. })));
    }
}
