//! Turns a core module that was linked against the SDK into a component with its manifest.

use anyhow::{Context, Result, ensure};
use wit_component::ComponentEncoder;

/// The custom section in which the host looks for the manifest, and the longest that it reads.
const MANIFEST_SECTION: &str = "credenza:manifest";
const MANIFEST_BYTES_MAX: usize = 256 * 1024;

/// Encodes and validates the component, and appends the manifest as its last section. Names of functions are kept.
pub(crate) fn encode(module: &[u8], manifest: &str) -> Result<Vec<u8>> {
    ensure!(
        manifest.len() <= MANIFEST_BYTES_MAX,
        "the manifest has {} bytes; the host reads at most {MANIFEST_BYTES_MAX}",
        manifest.len()
    );
    let mut component = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .context("reading the types that the SDK left in the module")?
        .encode()
        .context("encoding the component")?;
    append_section(&mut component, MANIFEST_SECTION, manifest.as_bytes())?;
    Ok(component)
}

/// A custom section: id 0, length of what follows, length of the name, name, content
/// (<https://webassembly.github.io/spec/core/binary/modules.html#custom-section>).
fn append_section(component: &mut Vec<u8>, name: &str, content: &[u8]) -> Result<()> {
    let mut section = leb128(name.len())?;
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    component.push(0);
    component.extend(leb128(section.len())?);
    component.extend(section);
    Ok(())
}

fn leb128(number: usize) -> Result<Vec<u8>> {
    let mut rest = u32::try_from(number).context("a section of WebAssembly is at most 4 GiB long")?;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_the_specification_says() {
        assert_eq!(leb128(0).unwrap(), [0]);
        assert_eq!(leb128(127).unwrap(), [0x7f]);
        assert_eq!(leb128(128).unwrap(), [0x80, 1]);
        assert_eq!(leb128(624_485).unwrap(), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn a_manifest_that_the_host_would_not_read_is_refused() {
        assert!(encode(b"", &" ".repeat(MANIFEST_BYTES_MAX + 1)).unwrap_err().to_string().contains("262144"));
    }
}
