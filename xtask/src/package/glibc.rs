//! The oldest glibc that a program runs on, as the versions of its symbols tell.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Such as `2.34`: the newest version among the symbols that the program asks for.
pub(super) fn oldest(program: &Path) -> Result<String> {
    let mut readelf = Command::new("readelf");
    readelf.args(["--wide", "--version-info"]).arg(program).env("LC_ALL", "C");
    let output = readelf.output().context("cannot run readelf")?;
    ensure!(output.status.success(), "readelf failed: {}", String::from_utf8_lossy(&output.stderr));
    newest(&String::from_utf8_lossy(&output.stdout)).context("the program asks for no version of glibc")
}

fn newest(printed: &str) -> Option<String> {
    let names = printed.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    let versions = names.filter_map(|name| name.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>());
    let newest = versions.max()?;
    Some(newest.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let printed =
            "0x0010: Name: GLIBC_2.9 Flags: none\n Name: GLIBC_2.34\n Name: GLIBC_2.2.5\n Name: GLIBC_PRIVATE";
        assert_eq!(newest(printed).as_deref(), Some("2.34"));
        assert_eq!(newest("Name: GCC_3.0"), None);
    }
}
