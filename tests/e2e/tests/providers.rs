//! The host names no provider: what it knows of one is data, in the manifest and the code of a connector. Held by the words of its sources.
//!
//! Not looked at: comments, and what is compiled for tests alone. What may stay is listed with its reason, and only as long as it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use credenza_e2e::workspace;

/// Names of providers, their services and their protocols, in lower case.
const PROVIDERS: [&str; 27] = [
    "s3",
    "aws",
    "amz",
    "amazon",
    "amazonaws",
    "azure",
    "azurite",
    "gcs",
    "google",
    "googleapis",
    "goog",
    "goog4",
    "webdav",
    "dav",
    "nextcloud",
    "owncloud",
    "minio",
    "wasabi",
    "backblaze",
    "b2",
    "hetzner",
    "cloudflare",
    "r2",
    "dropbox",
    "onedrive",
    "swift",
    "rclone",
];

const SCHEME: &str =
    "schemes of authentication are the host's: they are named after who devised them, and many providers take them";
const OF_AWS: &str = "credentials, regions and profiles of this machine are found as the tools of AWS find them, for whichever connector's manifest asks for that";
const EMBEDDED: &str = "the list of connectors that are part of the program: data, read by the build";
const EXAMPLE: &str = "an example of a location, for a person";
const STAND_IN: &str = "a stand-in for a service is that service";
const HEADER: &str = "a header that changes what a request means is known by its name, whoever the connector is";
const FRONT: &str = "a protocol that snapshots are served by, to tools of others that are named after it";
const ARRAY: &str = "who starts a job on many machines is named by its own name, and so are the variables that it sets";
const FORM: &str = "a form of documents that a manifest may name";

/// Files below `host`, the providers that each may name, and why.
const ALLOWED: [(&str, &[&str], &str); 41] = [
    ("app/build.rs", &["s3", "webdav", "azure", "gcs"], EMBEDDED),
    ("app/src/array.rs", &["aws"], ARRAY),
    ("app/src/aws.rs", &["aws"], OF_AWS),
    ("app/src/jobs/arrays.rs", &["aws"], ARRAY),
    ("app/src/lib.rs", &["aws"], OF_AWS),
    ("app/src/notice.rs", &["aws"], OF_AWS),
    ("app/src/open.rs", &["aws"], OF_AWS),
    ("app/src/profiles.rs", &["aws", "s3"], OF_AWS),
    ("author/src/sources.rs", &["dav"], "the files of the template, which are copied as they are"),
    ("app/src/configuration/settings.rs", &["s3", "wasabi"], EXAMPLE),
    ("cli/src/arguments.rs", &["s3"], EXAMPLE),
    ("cli/src/at.rs", &["s3"], EXAMPLE),
    ("app/src/cost/prices.rs", &["s3"], "the name of a price in its table"),
    ("cli/src/commands/jobs/arrays.rs", &["aws"], ARRAY),
    ("cli/src/commands/sharding.rs", &["aws"], ARRAY),
    ("cli/src/commands/serve.rs", &["aws", "dav", "rclone", "s3", "webdav"], FRONT),
    ("web/src/pages/about.rs", &["aws", "dav", "rclone", "s3", "webdav"], FRONT),
    ("serve/src/http", &["dav"], FRONT),
    ("serve/src/lib.rs", &["s3"], FRONT),
    ("serve/src/s3", &["s3"], FRONT),
    ("cli/src/commands/connector/inspect.rs", &["aws"], OF_AWS),
    ("cli/src/report/mod.rs", &["aws"], OF_AWS),
    (
        "kit/src/stand_in",
        &["dav", "webdav", "s3", "azure", "aws", "amz", "amazonaws", "gcs", "google", "googleapis", "goog"],
        STAND_IN,
    ),
    ("kit/src/chaos/flawed.rs", &["s3"], STAND_IN),
    ("connect/src/conformance/destination/mod.rs", &["s3"], "a kind of attributes that the contract names"),
    ("sandbox/src/egress/record.rs", &["amz"], HEADER),
    ("sandbox/src/lib.rs", &["aws"], OF_AWS),
    ("sandbox/src/egress/auth", &["aws", "amz", "azure", "google", "goog", "goog4", "s3"], SCHEME),
    ("sandbox/src/egress/checksum.rs", &["amz"], HEADER),
    ("sandbox/src/manifest/auth.rs", &["aws", "amz", "azure", "goog", "goog4"], SCHEME),
    ("sandbox/src/manifest/header.rs", &["amz", "goog"], HEADER),
    ("sandbox/src/manifest/schema.rs", &["aws"], OF_AWS),
    ("sandbox/src/manifest/grant.rs", &["aws"], OF_AWS),
    ("sandbox/src/manifest/allow.rs", &["s3"], FORM),
    ("sandbox/src/egress/document.rs", &["s3", "amazonaws"], FORM),
    ("sandbox/src/egress/lookup.rs", &["aws"], OF_AWS),
    ("sandbox/src/settings/endpoint.rs", &["aws"], OF_AWS),
    ("sandbox/src/settings/mod.rs", &["aws"], OF_AWS),
    ("sandbox/src/settings/resolve.rs", &["aws"], OF_AWS),
    ("sandbox/src/settings/secret.rs", &["aws"], OF_AWS),
    ("sandbox/src/settings/surroundings.rs", &["aws"], OF_AWS),
];

/// The words of a text: what stands between other characters, and between the humps of a name.
fn words(text: &str) -> impl Iterator<Item = String> {
    let characters: Vec<char> = text.chars().collect();
    let mut words = vec![String::new()];
    for (at, character) in characters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| characters.get(before));
        let begins = character.is_ascii_uppercase() && before.is_some_and(|before| !before.is_ascii_uppercase());
        if begins || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_ascii_alphanumeric()) {
            word.push(character.to_ascii_lowercase());
        }
    }
    words.into_iter().filter(|word| !word.is_empty())
}

/// The code of a file without its comments and without the tests at its end.
fn code(text: &str) -> String {
    let mut lines = text.lines();
    let mut kept = Vec::new();
    while let Some(line) = lines.next() {
        // Of what is for tests alone, a module is the end of a file, and anything else a line.
        match line {
            "#[cfg(test)]" if lines.next().is_some_and(|line| line.ends_with("mod tests {")) => break,
            "#[cfg(test)]" => {}
            line => kept.push(line),
        }
    }
    let without_comment = |line: &str| {
        let comment =
            line.match_indices("//").map(|(at, _)| at).find(|at| !line.get(..*at).unwrap_or("").ends_with(':'));
        comment.and_then(|at| line.get(..at)).unwrap_or(line).to_owned()
    };
    kept.into_iter().map(without_comment).collect::<Vec<_>>().join("\n")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && !["tests", "examples", "target"].contains(&name.as_str()) {
            sources(&path, found)?;
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "testing.rs" {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn the_host_names_no_provider_but_where_there_is_a_reason() -> Result<()> {
    let host = workspace().join("host");
    let mut files = Vec::new();
    sources(&host, &mut files)?;
    ensure!(files.len() > 200, "only {} files were found", files.len());
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let names: BTreeSet<String> =
            words(&code(&fs::read_to_string(&file)?)).filter(|word| PROVIDERS.contains(&word.as_str())).collect();
        named.insert(file.strip_prefix(&host)?.to_string_lossy().into_owned(), names);
    }
    let allowed = |file: &str, name: &str| {
        let rows = ALLOWED.iter().filter(|(path, ..)| file == *path || file.starts_with(&format!("{path}/")));
        rows.into_iter().any(|(_, names, _)| names.contains(&name))
    };
    let all = || named.iter().flat_map(|(file, names)| names.iter().map(move |name| (file, name)));
    let broken: Vec<String> = all()
        .filter(|(file, name)| !allowed(file, name))
        .map(|(file, name)| {
            format!("host/{file} names `{name}`: what is known of a provider belongs into its connector or a manifest")
        })
        .collect();
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    let used = |path: &str| {
        named.iter().any(|(file, names)| (file == path || file.starts_with(&format!("{path}/"))) && !names.is_empty())
    };
    let idle: Vec<&str> = ALLOWED.iter().map(|(path, ..)| *path).filter(|path| !used(path)).collect();
    ensure!(idle.is_empty(), "these name no provider any more; take their rows out: {idle:?}");
    Ok(())
}

#[test]
fn a_provider_is_found_however_it_is_written() {
    for text in ["\"s3://x\"", "fn of_s3()", "S3Client", "AwsRegion", "x.S3", "starts_with(\"s3.\")"] {
        assert!(words(text).any(|word| PROVIDERS.contains(&word.as_str())), "{text}");
    }
    for text in ["raws", "laws", "S33", "settings3", "let s_3"] {
        assert!(!words(text).any(|word| PROVIDERS.contains(&word.as_str())), "{text}");
    }
    assert_eq!(code("a // s3\n\"s3://x\" // b\n#[cfg(test)]\nmod tests {\nazure"), "a \n\"s3://x\" ");
    assert_eq!(code("a\n#[cfg(test)]\npub(crate) use of_s3;\nb"), "a\nb");
}
