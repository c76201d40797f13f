//! Files of a configuration without what is secret in them.
//!
//! A file is written anew from its values, so comments, where somebody may have noted a password, are gone. A value is left out where its setting is
//! secret, or where the value itself gives something away: a name or password in an address, a signature or token in its query, a password among the
//! words of a command. What says where a secret is stays: the name of a file, a command, a variable.
//!
//! What has no sign of a secret is not recognised as one: `mysqldump -phunter2` stays. The note is encrypted as all else is, and whoever backs up into a
//! repository that is not encrypted keeps none.
//!
//! Owned here: what is left out. Refused here: where the files are, and where they go (`bootstrap`).

use std::collections::BTreeSet;

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::configuration::is_secret;

/// Letters and digits of a part of an address that nobody would think of: a token.
const TOKEN_LENGTH_MIN: usize = 20;
/// Words of a query that hold a signature.
const SIGNATURES: [&str; 2] = ["sig", "signature"];

/// What is left of a file.
#[derive(Debug, Default)]
pub(super) struct Redacted {
    /// Its text.
    pub(super) text: String,
    /// The keys of what was left out.
    pub(super) left_out: Vec<String>,
}

/// A file without its secrets. `hidden` says of a table, by its path, which of its settings are secret; of the others their names do.
pub(super) fn redacted(document: &DocumentMut, hidden: &dyn Fn(&str) -> Option<BTreeSet<String>>) -> Redacted {
    let mut redaction = Redaction { hidden, left_out: Vec::new() };
    let table = redaction.table(document.as_table(), "");
    Redacted { text: DocumentMut::from(table).to_string(), left_out: redaction.left_out }
}

struct Redaction<'a> {
    hidden: &'a dyn Fn(&str) -> Option<BTreeSet<String>>,
    left_out: Vec<String>,
}

impl Redaction<'_> {
    fn table(&mut self, table: &dyn TableLike, path: &str) -> Table {
        let hidden = (self.hidden)(path);
        let mut clean = Table::new();
        clean.set_implicit(table.iter().all(|(_, item)| item.is_table()));
        for (name, item) in table.iter() {
            let path = joined(path, name);
            let is_hidden = || hidden.as_ref().map_or_else(|| is_secret(name), |hidden| hidden.contains(name));
            let kept = match item {
                Item::None => None,
                Item::Table(below) => Some(Item::Table(self.table(below, &path))),
                Item::ArrayOfTables(tables) => {
                    let numbered = tables.iter().enumerate();
                    let clean = numbered.map(|(number, below)| self.table(below, &format!("{path}[{number}]")));
                    Some(Item::ArrayOfTables(clean.collect::<ArrayOfTables>()))
                }
                Item::Value(value) if value.is_inline_table() || !is_hidden() => {
                    self.value(value, name, &path).map(Item::Value)
                }
                Item::Value(_) => None,
            };
            match kept {
                Some(kept) => drop(clean.insert(name, kept)),
                None => self.left_out.push(path),
            }
        }
        clean
    }

    /// A value; nothing where it gives something away.
    fn value(&mut self, value: &Value, name: &str, path: &str) -> Option<Value> {
        match value {
            Value::String(text) => (!gives_away(name, text.value())).then(|| Value::from(text.value().as_str())),
            Value::Integer(number) => Some(Value::from(*number.value())),
            Value::Float(number) => Some(Value::from(*number.value())),
            Value::Boolean(yes) => Some(Value::from(*yes.value())),
            Value::Datetime(time) => Some(Value::from(*time.value())),
            Value::Array(list) => {
                if is_password_next(list) {
                    return None;
                }
                let mut clean = Array::new();
                for (number, value) in list.iter().enumerate() {
                    clean.push(self.value(value, name, &format!("{path}[{number}]"))?);
                }
                Some(Value::Array(clean))
            }
            Value::InlineTable(table) => {
                let mut clean = InlineTable::new();
                for (name, item) in self.table(table, path).into_iter() {
                    clean.insert(name, item.into_value().ok()?);
                }
                Some(Value::InlineTable(clean))
            }
        }
    }
}

/// An address as it is kept; nothing of one that gives something away.
pub(super) fn address(text: &str) -> String {
    if gives_away("from", text) { String::new() } else { text.to_owned() }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether a text gives a secret away, whatever it is the value of.
fn gives_away(name: &str, text: &str) -> bool {
    // A command of a shell is one text, with its words in it.
    let bare = |word: &str| word.trim_matches(['"', '\'', '`', '(', ')', ';']).to_owned();
    let words: Vec<String> = text.split_whitespace().map(bare).collect();
    text.contains("-----BEGIN")
        || text.split_whitespace().any(|word| is_telling_address(name, word))
        || words.iter().any(|word| is_assigned(word))
        || words.iter().zip(words.iter().skip(1)).any(|(word, next)| tells_next(word, next))
}

/// Whether a word is an address with something in it that opens the door.
fn is_telling_address(name: &str, word: &str) -> bool {
    let scheme = word.split("://").next().unwrap_or_default();
    let is_location = matches!(name, "location" | "backup" | "to" | "repository" | "from") && !scheme.contains(':');
    word.split("://").skip(1).any(|rest| {
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let is_token = |part: &str| {
            let has = |is: fn(&u8) -> bool| part.as_bytes().iter().any(is);
            part.len() >= TOKEN_LENGTH_MIN && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
        };
        let is_open = |parameter: &str| {
            let name = parameter.split('=').next().unwrap_or_default();
            !is_secret(name) && !SIGNATURES.iter().any(|signature| name.to_ascii_lowercase().ends_with(signature))
        };
        authority.contains('@')
            || !query.split(['&', ';']).all(is_open)
            || (!is_location && path.split('/').any(is_token))
    })
}

/// Whether a word of a command sets a password: `PGPASSWORD=…`, `--password=…`.
fn is_assigned(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, value)| !value.is_empty() && is_secret_word(name))
}

/// Whether of the words of a command one is followed by a password.
fn is_password_next(words: &Array) -> bool {
    let pairs = words.iter().zip(words.iter().skip(1));
    pairs.filter_map(|(word, next)| Some((word.as_str()?, next.as_str()?))).any(|(word, next)| tells_next(word, next))
}

/// Whether a word says that the next is a password: `--password …`, `Bearer …`, `-u name:…`.
fn tells_next(word: &str, next: &str) -> bool {
    let is_flag = word.starts_with('-') && !word.contains('=') && is_secret_word(word);
    let is_user = ["-u", "--user"].contains(&word)
        && next.split_once(':').is_some_and(|(_, password)| password.bytes().any(|byte| !byte.is_ascii_digit()));
    let is_header = ["bearer", "authorization:"].iter().any(|header| word.eq_ignore_ascii_case(header));
    !next.starts_with('-') && (is_flag || is_user || (is_header && !next.is_empty()))
}

fn is_secret_word(word: &str) -> bool {
    let name = word.trim_start_matches('-').replace('-', "_");
    // A command line is no place of the configuration: what says where a secret is ends as its settings do.
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && is_secret(&name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left(text: &str) -> Redacted {
        redacted(&text.parse().unwrap(), &|_| None)
    }

    #[test]
    fn what_is_secret_goes_and_what_says_where_it_is_stays() {
        let clean = left(
            "# the old one was hunter2
default_repository = \"main\"
[repository.main]
location = \"s3://s3.example.com/company-backups-2024-archive\" # hunter2
passphrase = \"hunter2\"
passphrase_file = \"/etc/secret\"
secret_access_key = \"hunter2\"
secret_access_key_cmd = \"pass show s3\"
proxy = \"http://me:hunter2@proxy.example.com\"
repository_id = \"00112233445566778899aabbccddeeff\"
[job.shop]
backup = [\"/srv/customer-database-2024-archive\", \"https://me:hunter2@example.com/x\"]
hooks = [ { before = \"backup\", run = [\"env\", \"PGPASSWORD=hunter2\", \"pg_dump\"] }, { after = \"backup\", run = [\"page\", \"--key-file=/k\"] } ]
[[job.shop.more]]
run = [\"curl\", \"--token\", \"hunter2\"]
[notify.ops]
to = [\"webhook:https://hooks.example.com/services/T0123/hunter2abcdefghijklmnop\"]
",
        );
        assert!(!clean.text.contains("hunter2"), "{}", clean.text);
        for kept in ["passphrase_file", "pass show s3", "company-backups", "00112233", "main", "--key-file=/k"] {
            assert!(clean.text.contains(kept), "{kept}: {}", clean.text);
        }
        assert_eq!(
            clean.left_out,
            [
                "repository.main.passphrase",
                "repository.main.secret_access_key",
                "repository.main.proxy",
                "job.shop.backup",
                "job.shop.hooks[0].run",
                "job.shop.more[0].run",
                "notify.ops.to"
            ]
        );
        assert!(clean.text.parse::<DocumentMut>().is_ok());
    }

    #[test]
    fn a_secret_within_one_text_goes_with_it() {
        for line in [
            "run = [\"sh\", \"-c\", \"dump --token hunter2\"]",
            "run = [\"sh\", \"-c\", \"'PGPASSWORD=hunter2' dump\"]",
            "run = [\"curl\", \"-H\", \"Authorization: Bearer hunter2\"]",
            "run = [\"curl\", \"-u\", \"me:hunter2\"]",
            "run = \"curl --user 'me:hunter2' https://example.com/\"",
            "phrase_cmd = \"vault --token hunter2\"",
        ] {
            let clean = left(line);
            assert!(!clean.text.contains("hunter2") && clean.left_out.len() == 1, "{line}: {}", clean.text);
        }
        for line in ["run = \"docker run -u 1000:1000 dump\"", "run = \"dump --token-file /t --verbose\""] {
            assert!(left(line).left_out.is_empty(), "{line}");
        }
    }

    #[test]
    fn a_connector_that_is_at_hand_says_which_settings_are_secret() {
        let text = "[source.a]\nkey_prefix = \"x\"\nphrase = \"hunter2\"\n";
        let hidden = |path: &str| (path == "source.a").then(|| BTreeSet::from(["phrase".to_owned()]));
        let clean = redacted(&text.parse().unwrap(), &hidden);
        assert!(clean.text.contains("key_prefix") && clean.left_out == ["source.a.phrase"], "{}", clean.text);
    }

    proptest! {
        #[test]
        fn no_secret_stays_whatever_its_value_and_wherever_it_stands(
            secret in "[A-Za-z0-9_+~]{6,40}",
            kind in prop::sample::select(vec!["repository", "source", "destination", "job", "mail", "new"]),
            place in 0..8_usize,
            setting in prop::sample::select(vec!["passphrase", "recovery_code", "proxy", "secret_access_key", "session_token", "Password", "auth"]),
        ) {
            let quoted = match place {
                0 => format!("{setting} = \"{secret}\""),
                1 => format!("{setting} = [\"{secret}\", \"x\"]"),
                2 => format!("location = \"s3://user:{secret}@example.com/bucket\""),
                3 => format!("location = \"https://example.com/bucket?x=1&X-Amz-Signature={secret}\""),
                4 => format!("below = {{ {setting} = \"{secret}\" }}"),
                5 => format!("run = [\"dump\", \"--password={secret}\"]"),
                6 => format!("run = [\"dump\", \"--db-password\", \"{secret}\"]"),
                _ => format!("passphrase_cmd = \"TOKEN={secret} get\" # {secret}"),
            };
            // What the rest of the file says does not count.
            let text = format!("[{kind}.\"0\"]\n{quoted}\n# {secret}\n");
            let clean = left(&text);
            prop_assert!(!clean.text.contains(&secret), "{}", clean.text);
            prop_assert_eq!(clean.left_out.len(), 1);
            prop_assert!(!clean.left_out[0].contains(&secret));
        }
    }
}
