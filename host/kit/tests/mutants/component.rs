//! Components with one flaw: the template with another manifest, and the hostile guest with one behaviour.

use std::path::Path;

use credenza_kit::{Candidate, CaseResult, Choice, Plan};

use super::SEED;

/// What is changed in the manifest of the template, and the check that finds it.
const MANIFESTS: [(&str, &str, &str, &str); 11] = [
    (
        "a setting without help",
        "help = \"Folder on the server, as in the address of it.\"\n",
        "",
        "package.help.settings",
    ),
    ("a secret without help", "help = \"Password at the server.\"\n", "", "package.help.secrets"),
    ("no licence", "licence = \"MIT OR Apache-2.0\"\n", "", "package.licence"),
    (
        "a default that is no value",
        "[secrets.user]",
        "[settings.size]\ntype = \"size\"\nhelp = \"Size.\"\ndefault = \"many\"\n\n[secrets.user]",
        "package.settings.defaults",
    ),
    (
        "a password that the connector is reported",
        "[secrets.user]",
        "[settings.other_password]\ntype = \"string\"\nhelp = \"Other.\"\ndefault = \"\"\n\n[secrets.user]",
        "package.settings.secrets",
    ),
    (
        "a role that is not claimed",
        "\"source\", \"store\", \"destination\"]",
        "\"source\", \"store\"]",
        "package.roles",
    ),
    ("a WASI for nothing", "location = [", "wasi = \"inert\"\nlocation = [", "package.wasi"),
    ("a source that may write", "source = [\"GET /*\",", "source = [\"PUT /*\", \"GET /*\",", "package.allow.source"),
    ("a grant for nothing", "store = [\"GET /*\",", "store = [\"GET /* ?acl\", \"GET /*\",", "sandbox.unused.store"),
    ("a grant that is missing", "\"HEAD /*\", ", "", "sandbox.grant.store"),
    (
        "a secret for nothing",
        "[endpoints.files]",
        "[secrets.pin]\nhelp = \"Pin.\"\n\n[endpoints.files]",
        "package.secrets.used",
    ),
];

/// Behaviours of the hostile guest.
const BEHAVIOURS: [(&str, &str); 8] = [
    ("panics", "sandbox.fault.source"),
    ("eats-memory", "sandbox.memory.source"),
    ("leaks-handles", "sandbox.memory.source"),
    ("escapes-verb", "sandbox.grant.source"),
    // It keeps what it is given in the memory of one instance.
    ("well", "sandbox.instances.get"),
    ("tells-a-pin", "sandbox.secrets.source"),
    ("logs-a-pin", "sandbox.secrets.source"),
    ("lists-a-pin", "sandbox.secrets.source"),
];

fn built(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run cargo xtask guests", path.display()))
}

/// A component with another manifest in the place of its own, which is its last section.
fn with_manifest(component: &[u8], old: &str, new: &str) -> Vec<u8> {
    let text = old.as_bytes();
    let at = component.windows(text.len()).rposition(|window| window == text).unwrap();
    // Before it: the name of the section with its length, and the section with its own.
    let name = b"\x11credenza:manifest";
    let content = at - name.len();
    assert_eq!(&component[content..at], name);
    let size = leb128(name.len() + text.len());
    let mut changed = component[..content - size.len() - 1].to_vec();
    changed.push(0);
    changed.extend(leb128(name.len() + new.len()));
    changed.extend_from_slice(name);
    changed.extend_from_slice(new.as_bytes());
    changed
}

fn leb128(number: usize) -> Vec<u8> {
    let (low, rest) = ((number & 0x7f) as u8, number >> 7);
    if rest == 0 { vec![low] } else { [vec![low | 0x80], leb128(rest)].concat() }
}

async fn test(component: &[u8], plan: &str, check: &str) -> Vec<CaseResult> {
    let choice = Choice { seed: SEED, only: Some(check.to_owned()), ..Choice::default() };
    Candidate::load(component, None).unwrap().test(&Plan::parse(plan).unwrap(), choice).await.unwrap()
}

/// Each flaw, the check that is for it, and how that went.
pub(crate) async fn tested() -> Vec<(&'static str, &'static str, Vec<CaseResult>)> {
    let (template, hostile) = (built("template.wasm"), built("hostile.wasm"));
    let manifest = include_str!("../../../../plugins/template/connector.toml");
    let plan = include_str!("../../../../plugins/template/kit.toml");
    let mut tested = Vec::new();
    for (flaw, from, to, check) in MANIFESTS {
        assert!(manifest.contains(from), "{flaw}");
        // No code runs, so that a role that is not claimed may still be granted something.
        let changed = manifest.replacen(from, to, 1);
        tested.push((flaw, check, test(&with_manifest(&template, manifest, &changed), plan, check).await));
    }
    for (behaviour, check) in BEHAVIOURS {
        let plan = format!(
            "stand-in = \"webdav\"\nlocation = \"hostile://{{address}}/{behaviour}\"\n[settings]\nuse_tls = \"false\"\npin = \"a-pin-of-the-kit\""
        );
        tested.push((behaviour, check, test(&hostile, &plan, check).await));
    }
    tested
}
