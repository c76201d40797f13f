//! What patterns mean, by git's own judgement where there is a git.

use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

fn patterns(texts: &[&str]) -> Patterns {
    Patterns::new(texts).unwrap()
}

#[test]
fn patterns_mean_what_gitignore_says() {
    let cases: [(&[&str], &str, bool); 24] = [
        (&["*.tmp"], "a/b.tmp", true),
        (&["/target/"], "target/x/y", true),
        (&["/target/"], "a/target/x", false),
        (&["*.log", "!keep.log"], "keep.log", false),
        (&["cache/"], "a/cache/", true),
        (&["cache/"], "a/cache", false),
        (&[], "a", false),
        (&["*"], "", false),
        (&["a/b"], "a/b", true),
        (&["a/b"], "x/a/b", false),
        (&["**/b"], "x/a/b", true),
        (&["a/**"], "a/", false),
        (&["a/**"], "a/x/y", true),
        (&["a/**/z"], "a/z", true),
        (&["a/**/b/**/z"], "a/b/z", true),
        (&["a/*/z"], "a/b/c/z", false),
        (&["a**z"], "a/z", false),
        (&["{a,b}"], "a", false),
        (&["{a,b}"], "{a,b}", true),
        (&["[[:digit:]x]"], "7", true),
        (&["[!a-c]"], "b", false),
        (&[r"[\]]"], "]", true),
        (&[r"a\*"], "ab", false),
        (&["#a "], "#a ", true),
    ];
    for (texts, key, expected) in cases {
        assert_eq!(patterns(texts).cover(key.as_bytes()), expected, "{texts:?} {key}");
    }
}

#[test]
fn nothing_below_an_excluded_folder_comes_back() {
    let all = patterns(&["/var/", "!/var/lib/keep/", "logs/*", "!logs/keep/"]);
    for (key, expected) in [("var/lib/keep/x", true), ("logs/a", true), ("logs/keep/", false), ("logs/keep/x", false)] {
        assert_eq!(all.cover(key.as_bytes()), expected, "{key}");
    }
}

#[test]
fn names_and_patterns_need_not_be_text() {
    let all = Patterns::new([&b"caf\xe9"[..], b"?.bin", b"[\x80-\xff]x"]).unwrap();
    for (key, expected) in
        [(&b"a/caf\xe9"[..], true), ("café".as_bytes(), false), (b"\xff.bin", true), (b"\x90x", true)]
    {
        assert_eq!(all.cover(key), expected, "{}", key.escape_ascii());
    }
}

#[test]
fn a_pattern_that_can_match_nothing_is_refused() {
    for pattern in ["", "/", "!", "!/", "[", "a[b", "[]", "[[:nonsense:]]", "[z-a]", "a\\", "a\\/", "a\0b"] {
        assert!(Patterns::new([pattern]).is_err(), "{pattern}");
    }
}

fn unmatched(all: &Patterns) -> Vec<String> {
    all.unmatched().map(ToString::to_string).collect()
}

#[test]
fn a_pattern_without_any_match_is_told_whatever_the_others_say() {
    let all = patterns(&["*.log", "!keep.log", "target/", "/target/debug", "*.bak"]);
    assert_eq!(unmatched(&all), ["*.log", "!keep.log", "target/", "/target/debug", "*.bak"]);
    // A file is no match of a pattern for folders.
    for key in ["a/keep.log", "target", "x/y.txt", ""] {
        let _ = all.name(key.as_bytes());
    }
    assert_eq!(unmatched(&all), ["target/", "/target/debug", "*.bak"]);
    let (clone, fresh) = (all.clone(), all.fresh());
    assert!(clone.cover(b"target/debug/x") && clone.cover(b"target/debug/"));
    assert_eq!(unmatched(&all), ["*.bak"], "clones note together");
    assert_eq!(unmatched(&fresh).len(), 5);
    assert_eq!(unmatched(&Patterns::default()), [""; 0]);
}

#[test]
fn an_absolute_path_below_the_source_means_that_entry_and_any_other_is_anchored_at_the_source() {
    let roots = [b"/home/me/src".to_vec(), b"/data/me/src".to_vec()];
    let cases = [
        ("/home/me/src/target", "target/", true),
        ("/data/me/src/a/*.o", "a/b.o", true),
        ("!/home/me/src/target", "target/", false),
        ("/home/me/src/target/", "target", false),
        ("/home/me/src/target", "x/target", false),
        ("/home/me/srctarget", "target", false),
        ("/home/me", "home/me/", true),
        ("/home/me/src/", "home/me/src/", true),
        ("target", "x/target", true),
    ];
    for (pattern, key, expected) in cases {
        let all = Patterns::below(&roots, [pattern]).unwrap();
        assert_eq!(all.name(key.as_bytes()), expected, "{pattern} {key}");
        assert_eq!(all.texts().next().unwrap().to_string(), pattern, "it is reported as it was written");
    }
    let of_all = Patterns::below(&[Vec::new()], ["/etc/x"]).unwrap();
    assert!(of_all.name(b"etc/x"), "the source is the root of all folders");
}

/// What git leaves out, of these paths in an empty repository.
fn by_git(repository: &Path, patterns: &[String], keys: &[String]) -> Vec<bool> {
    std::fs::write(repository.join(".git/info/exclude"), patterns.join("\n")).unwrap();
    let mut git = Command::new("git")
        .args(["-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "--stdin", "-z", "-v", "-n"])
        .current_dir(repository)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked: Vec<u8> = keys.iter().flat_map(|key| key.bytes().chain([0])).collect();
    std::io::Write::write_all(&mut git.stdin.take().unwrap(), &asked).unwrap();
    let answer = git.wait_with_output().unwrap().stdout;
    // Four fields a path: file, line, pattern, path; no pattern where none matched.
    let fields: Vec<&[u8]> = answer.split(|byte| *byte == 0).collect();
    fields.chunks_exact(4).map(|fields| !fields[2].is_empty() && !fields[2].starts_with(b"!")).collect()
}

#[test]
fn what_is_left_out_is_what_git_ignores() {
    let folder = tempfile::tempdir().unwrap();
    let git = Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status();
    if !git.is_ok_and(|status| status.success()) {
        return;
    }
    let pattern = "!?/?([ab*?/]|\\*\\*|\\[[!^]?[ab-]+\\]|\\\\[ab*]){1,6}/?";
    let key = "[ab]{1,3}(/[ab-]{1,3}){0,3}";
    let tried = (prop::collection::vec(pattern, 1..4), prop::collection::vec(key, 20));
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner
        .run(&tried, |(patterns, keys)| {
            let Ok(compiled) = Patterns::new(&patterns) else { return Ok(()) };
            let ours: Vec<bool> = keys.iter().map(|key| compiled.cover(key.as_bytes())).collect();
            prop_assert_eq!(by_git(folder.path(), &patterns, &keys), ours, "{:?} {:?}", patterns, keys);
            Ok(())
        })
        .unwrap();
}

proptest! {
    #[test]
    fn a_pattern_that_can_be_used_can_be_compiled(pattern: Vec<u8>, key: Vec<u8>) {
        let compiled = Patterns::new([&pattern]);
        prop_assert_eq!(compiled.is_ok(), Patterns::check(&pattern).is_ok(), "{}", pattern.escape_ascii());
        let _ = compiled.map(|compiled| compiled.cover(&key));
    }
}
