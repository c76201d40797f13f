//! Names of users and groups by number, from `/etc/passwd` and `/etc/group`, read once.
//!
//! Refused here: directory services; a number without a name in the two files stays a number.

use std::collections::HashMap;

/// The names known on this machine.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Accounts {
    /// Reads both files; one that cannot be read yields no names.
    pub(super) fn read() -> Self {
        let parse = |path| std::fs::read_to_string(path).map(|text| names(&text)).unwrap_or_default();
        Self { users: parse("/etc/passwd"), groups: parse("/etc/group") }
    }

    /// The user's name.
    pub(super) fn user(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(String::as_str)
    }

    /// The group's name.
    pub(super) fn group(&self, gid: u32) -> Option<&str> {
        self.groups.get(&gid).map(String::as_str)
    }
}

/// Lines of `name:password:number:…`, the form that both files share (passwd(5), group(5)); the first name of a number wins.
fn names(text: &str) -> HashMap<u32, String> {
    let mut found = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (name, number) = (fields.next(), fields.nth(1));
        if let (Some(name), Some(Ok(number))) = (name, number.map(str::parse)) {
            found.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts_and_nonsense_is_passed_over() {
        let found = names("root:x:0:0::/root:/bin/sh\n# note\nbroken\ntoor:x:0:\nann:x:1000:1000\n");
        assert_eq!(found.get(&0).map(String::as_str), Some("root"));
        assert_eq!(found.get(&1000).map(String::as_str), Some("ann"));
        assert_eq!(found.len(), 2);
    }
}
