//! `~` at the beginning of a path that no shell has seen: in the configuration, in a setting, behind the `=` of an option.
//!
//! Owned here: what it stands for, as in a shell. Refused here: the homes of other users. A folder that is really called so is written
//! `./~`. Called by `location`, `place`, `environment`, and by programs for the paths that they are given.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A `~` that stands for nothing known. Each holds the path as it was written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// There is no home folder.
    #[error("`{0}` begins with the home folder, and there is none: HOME is not set; write the whole path")]
    None(String),
    /// It is the home folder of another user.
    #[error(
        "`{0}` begins with the home folder of another user: write the whole path, or ./{0} for what is really called so"
    )]
    OfAnother(String),
}

/// The home folder of the user.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    std::env::home_dir()
}

/// A path with the home folder in place of its `~`.
///
/// # Errors
/// [`HomeError`] where the `~` stands for nothing known.
pub fn expand(path: &Path) -> Result<PathBuf, HomeError> {
    expand_with(path, folder())
}

fn expand_with(path: &Path, home: Option<PathBuf>) -> Result<PathBuf, HomeError> {
    let Some(rest) = path.as_os_str().as_bytes().strip_prefix(b"~") else { return Ok(path.to_owned()) };
    let shown = || path.display().to_string();
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let (user, below) = rest.split_at(end);
    if user.is_empty() {
        let home = home.filter(|home| home.is_absolute()).ok_or_else(|| HomeError::None(shown()))?;
        let below = below.iter().position(|byte| *byte != b'/').and_then(|start| below.get(start..));
        return Ok(below.map_or(home.clone(), |below| home.join(OsStr::from_bytes(below))));
    }
    // What no user is called is a name like another: editors leave `~$letter.docx` beside the letter.
    let is_user = user.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
    if is_user { Err(HomeError::OfAnother(shown())) } else { Ok(path.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_folder_and_never_a_folder_of_that_name() {
        let home = || Some(PathBuf::from("/home/u"));
        let cases = [
            ("~", "/home/u"),
            ("~/", "/home/u"),
            ("~/a/b", "/home/u/a/b"),
            ("~//a", "/home/u/a"),
            ("./~/a", "./~/a"),
            ("/a/~", "/a/~"),
            ("~$letter.docx", "~$letter.docx"),
        ];
        for (path, expected) in cases {
            assert_eq!(expand_with(Path::new(path), home()), Ok(expected.into()), "{path}");
        }
        for path in ["~bob", "~bob/x"] {
            assert_eq!(expand_with(Path::new(path), home()), Err(HomeError::OfAnother(path.to_owned())));
        }
        for home in [None, Some(PathBuf::new()), Some("relative".into())] {
            assert_eq!(expand_with(Path::new("~/a"), home), Err(HomeError::None("~/a".to_owned())));
        }
    }
}
