//! What is Linux's alone stands behind one door, so that a port has one place to begin: `host/connect/src/file/platform`. What the rest of the host
//! has of it is little, and listed, here and in `docs/architecture.md`.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::{Path, PathBuf};

const DOOR: &str = "host/connect/src/file/platform";
/// What not every system has, or has otherwise; `rustix` is named only where its calls are wrapped.
const WORDS: [&str; 7] =
    ["rustix", "libc::", "std::os::linux", "/proc/", "OFlags::PATH", "OFlags::NOATIME", "OFlags::TMPFILE"];
/// The files outside of the connector for folders that name any of them.
const ELSEWHERE: [&str; 10] = [
    "host/app/src/configuration/file.rs",
    "host/app/src/environment.rs",
    "host/cli/src/commands/background.rs",
    "host/cli/src/commands/clock_set.rs",
    "host/cli/src/interrupt.rs",
    "host/cli/src/main.rs",
    "host/connect/src/group.rs",
    "host/sandbox/src/runtime/cache.rs",
    "host/serve/src/mount/mod.rs",
    "host/serve/src/mount/point.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files of Rust below a folder, by their paths from the root.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether the code of a file names any of the words; its tests and its comments may.
fn is_of_linux(path: &Path) -> bool {
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return false;
    }
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let code = text.split_once("#[cfg(test)]\nmod tests {").map_or(text.as_str(), |(code, _)| code);
    let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.any(|line| WORDS.iter().any(|word| line.contains(word)))
}

#[test]
fn what_is_linuxs_alone_stands_behind_one_door_or_is_listed() {
    let mut all = Vec::new();
    for part in ["model", "format", "connect", "sandbox", "engine", "author", "kit", "app", "serve", "web", "cli"] {
        files(&Path::new("host").join(part).join("src"), &mut all);
    }
    let mut found: Vec<&Path> = all.iter().map(PathBuf::as_path).filter(|path| is_of_linux(path)).collect();
    assert!(found.iter().any(|path| path.starts_with(DOOR)), "there is nothing behind {DOOR}");
    found.retain(|path| !path.starts_with(DOOR));
    found.sort_unstable();
    let listed = ELSEWHERE.map(Path::new);
    assert_eq!(found, listed, "put what is Linux's alone behind {DOOR}, or list it here and in docs/architecture.md");
}

#[test]
fn the_architecture_says_what_a_port_must_supply() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let missing: Vec<&str> =
        ELSEWHERE.into_iter().chain([DOOR]).filter(|path| !text.contains(&format!("`{path}`"))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "docs/architecture.md does not name what a port must change");
}
