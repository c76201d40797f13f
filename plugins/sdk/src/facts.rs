//! Attributes that are facts of the place an entry came from: they cannot mean anything elsewhere, and nobody misses them after a restore.
//!
//! ```
//! use credenza_sdk::facts::is_fact;
//!
//! assert!(is_fact("s3.version-id") && !is_fact("user.version-id"));
//! ```

/// By what stands behind the name of the provider, whichever that is: an entry may come from any of them.
const FACTS: [&str; 10] = [
    "checksum-algorithm",
    "generation",
    "metageneration",
    "missing-meta",
    "part-bytes",
    "parts",
    "replication",
    "snapshot",
    "tag-count",
    "version-id",
];
/// What stands before names that a person, a browser or a file system gave.
const OF_NO_PROVIDER: [&str; 5] = ["http", "posix", "tree", "user", "xattr"];

/// Whether nobody misses an attribute of that name that a destination does not give back.
#[must_use]
pub fn is_fact(name: &str) -> bool {
    name.split_once('.').is_some_and(|(from, rest)| !OF_NO_PROVIDER.contains(&from) && FACTS.contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_wrote_or_chose_is_no_fact() {
        assert!(is_fact("s3.version-id") && is_fact("azure.tag-count"));
        for name in ["user.version-id", "s3.lock-mode", "s3.tag.parts", "http.parts", "tree.parts", "parts", ""] {
            assert!(!is_fact(name), "{name}");
        }
    }
}
