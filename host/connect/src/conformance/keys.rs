//! Keys that are easily mistaken for each other, cleaned, decoded or cut.

use credenza_model::Key;

/// Texts that something on the way might clean, decode, fold or take for its own: forty-eight of them.
const HARD: [&str; 48] = [
    "a",
    "a/",
    "a/b",
    "a//",
    "c//d",
    "c/d",
    "e/../f",
    "e/./f",
    "../up",
    "./here",
    "/lead",
    "lead",
    "//lead",
    "+",
    "%",
    "%2F",
    "%20",
    "%zz",
    "%25",
    "with space",
    " before",
    "after ",
    "tab\there",
    "line\nbreak",
    "carriage\rreturn",
    "control\u{1}\u{1f}\u{7f}",
    "\u{fc}ml\u{e4}ut",
    "u\u{308}mla\u{308}ut",
    "\u{1f980}",
    "\u{202e}backwards",
    "\u{feff}mark",
    "ask?me=1&you=2",
    "number#one",
    "&amp;",
    "<tag attribute=\"1\"/>",
    "'single' \"double\"",
    "back\\slash",
    "co:lon;semi",
    "star*",
    "{brace} [bracket] |pipe| ^`",
    "%~looks-escaped",
    "~home",
    "CASE",
    "case",
    "dot.",
    "dot",
    ".hidden",
    "$HOME, $(id) and @host",
];

/// Keys that every faithful connector of a flat namespace tells apart, the longest of `bytes_max` bytes; those that are not
/// UTF-8 only where it can hold them.
pub(super) fn hard_keys(holds_any_bytes: bool, bytes_max: usize) -> Vec<Key> {
    let mut keys: Vec<Key> = HARD.into_iter().map(Key::from).collect();
    keys.push(long_key(bytes_max));
    if holds_any_bytes {
        keys.push(Key::new(&b"\xff\xfe"[..]));
    }
    keys
}

/// Those of them that name files of one tree: no folder has the name of a file, and no name is empty, `.` or `..`.
pub(super) fn hard_paths(holds_any_bytes: bool) -> Vec<Key> {
    let names_something = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
    let is_path = |key: &Key| key.as_bytes().split(|byte| *byte == b'/').all(names_something);
    let is_folder = |key: &Key| *key == Key::from("a");
    let keys = hard_keys(holds_any_bytes, 1);
    // The longest of one byte is in no need of a file of its own.
    keys.into_iter().filter(|key| is_path(key) && !is_folder(key) && *key != long_key(1)).collect()
}

/// A key of so many bytes.
pub(super) fn long_key(bytes: usize) -> Key {
    Key::new(vec![b'k'; bytes])
}

/// Keys that fit a tree as well as a flat namespace, in an order that is not theirs; those that a bed can hold.
pub(super) fn tree_keys(holds: impl Fn(&Key) -> bool) -> Vec<Key> {
    let keys = ["b/c/d", "b!", "b/c-", "b/a", "a", "b0", "b/c/e/f", "z/y", "caf\u{e9}"].into_iter().map(Key::from);
    keys.filter(holds).collect()
}
