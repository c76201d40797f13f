//! Which entries the user does not want, in gitignore syntax.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use credenza_model::{Entry, EntryKind};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::{Error, Result};

/// Patterns of `--exclude` and `--exclude-file`, applied to keys as if the source were the folder of a `.gitignore`.
pub(crate) struct Excludes {
    patterns: Gitignore,
}

impl Excludes {
    pub(crate) fn new(patterns: &[String]) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("/");
        for pattern in patterns {
            let invalid = |cause: ignore::Error| Error::Pattern { pattern: pattern.clone(), reason: cause.to_string() };
            builder.add_line(None, pattern).map_err(invalid)?;
        }
        let patterns = builder
            .build()
            .map_err(|cause| Error::Pattern { pattern: patterns.join(", "), reason: cause.to_string() })?;
        Ok(Self { patterns })
    }

    pub(crate) fn covers(&self, entry: &Entry) -> bool {
        let key = entry.key.as_bytes();
        let trimmed = key.strip_suffix(b"/").unwrap_or(key);
        // The matcher knows paths, and would read a leading slash as an absolute one.
        if self.patterns.is_empty() || trimmed.is_empty() || trimmed.starts_with(b"/") {
            return false;
        }
        let path = Path::new(OsStr::from_bytes(trimmed));
        self.patterns.matched_path_or_any_parents(path, entry.kind == EntryKind::Directory).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(patterns: &[&str], key: &str) -> bool {
        let kind = if key.ends_with('/') { EntryKind::Directory } else { EntryKind::File };
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        Excludes::new(&patterns).unwrap().covers(&Entry::new(key.into(), kind))
    }

    #[test]
    fn patterns_mean_what_gitignore_says() {
        assert!(covers(&["*.tmp"], "a/b.tmp"));
        assert!(covers(&["/target/"], "target/x/y"));
        assert!(!covers(&["/target/"], "a/target"));
        assert!(!covers(&["*.log", "!keep.log"], "keep.log"));
        assert!(covers(&["cache/"], "a/cache/"));
        assert!(!covers(&[], "a"));
    }
}
