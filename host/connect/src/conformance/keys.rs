//! Keys that are easily mistaken for each other, cleaned, decoded or cut.

use credenza_model::Key;

/// Keys that every faithful connector of a flat namespace tells apart, the longest of `bytes_max` bytes; those that are not
/// UTF-8 only where it can hold them.
pub(super) fn hard_keys(holds_any_bytes: bool, bytes_max: usize) -> Vec<Key> {
    let text: [&[u8]; 16] = [
        b"a",
        b"a/",
        b"a/b",
        b"c//d",
        b"c/d",
        b"e/../f",
        b"e/./f",
        b"/lead",
        b"lead",
        b"+",
        b"%2F",
        b"with space",
        "\u{fc}ml\u{e4}ut".as_bytes(),
        "u\u{308}mlaut".as_bytes(),
        b"control\x01\t\n\x7f",
        b"%~looks-escaped",
    ];
    let mut keys: Vec<Key> = text.into_iter().map(Key::new).collect();
    keys.push(Key::new(vec![b'k'; bytes_max]));
    if holds_any_bytes {
        keys.push(Key::new(&b"\xff\xfe"[..]));
    }
    keys
}

/// Keys that fit a tree as well as a flat namespace, in an order that is not theirs.
pub(super) fn tree_keys() -> Vec<Key> {
    ["b/c/d", "b!", "b/c-", "b/a", "a", "b0", "b/c/e/f", "z/y", "caf\u{e9}"].into_iter().map(Key::from).collect()
}
