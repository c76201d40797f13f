//! What an exercise showed, judged.

use base64::prelude::{BASE64_STANDARD, Engine};
use credenza_connect::ErrorClass;
use credenza_connect::conformance::{Told, ensure};
use credenza_sandbox::Granted;

use super::Yard;
use super::exercise::{LARGE_BYTES, Observed};

/// The longest reason and message, as the contract has them.
const REASON_BYTES_MAX: usize = 64;
const MESSAGE_BYTES_MAX: usize = 2048;
/// Shorter words occur by chance.
const SECRET_BYTES_MIN: usize = 6;
/// What is read of documents beside a content of [`LARGE_BYTES`].
const DOCUMENTS_BYTES: u64 = 1 << 20;

/// Reasons of calls that went beyond a limit of memory, and of time.
const MEMORY: [&str; 4] = ["guest.memory", "guest.held", "guest.call-bytes", "guest.handles"];
const TIME: [&str; 2] = ["guest.cpu", "guest.requests"];

pub(super) fn grant(_: &Yard, observed: &Observed) -> Told {
    let reported = observed.errors.iter().find(|(_, error)| error.reason.starts_with("egress."));
    let reported = reported.map(|(act, error)| format!(": {act}: {error}")).unwrap_or_default();
    ensure(observed.refused == 0, || format!("{} requests were refused{reported}", observed.refused))
}

/// Endpoints that settings did not lead to are another case of use.
pub(super) fn unused(yard: &Yard, observed: &Observed) -> Told {
    let is_reached = |label: &str| observed.granted.iter().any(|granted| granted.endpoint == label && granted.is_used);
    let is_expected = |verb: &str| yard.plan.not_provoked.iter().any(|expected| expected == verb);
    // Two roles may be granted one verb.
    let same = |one: &Granted, other: &Granted| (&one.endpoint, &one.verb) == (&other.endpoint, &other.verb);
    let is_used = |one: &Granted| observed.granted.iter().any(|other| other.is_used && same(one, other));
    let in_vain = observed
        .granted
        .iter()
        .filter(|granted| !is_used(granted) && is_reached(&granted.endpoint) && !is_expected(&granted.verb));
    let verbs: Vec<String> = in_vain.map(|granted| format!("`{}` of `{}`", granted.verb, granted.endpoint)).collect();
    ensure(verbs.is_empty(), || {
        format!(
            "granted and never used: {}; take it out of the manifest, or name it under `not-provoked` of the plan, if only the real service provokes it",
            verbs.join(", ")
        )
    })
}

fn none_of(observed: &Observed, reasons: &[&str]) -> Told {
    let found = observed.errors.iter().find(|(_, error)| reasons.contains(&error.reason.as_str()));
    ensure(found.is_none(), || found.map(|(act, error)| format!("{act}: {error}")).unwrap_or_default())
}

/// Limits have cases of their own, and so has the grant.
pub(super) fn fault(_: &Yard, observed: &Observed) -> Told {
    let is_other = |reason: &str| MEMORY.contains(&reason) || TIME.contains(&reason) || reason.starts_with("egress.");
    let is_fault = |error: &credenza_connect::Error| error.class == ErrorClass::Internal && !is_other(&error.reason);
    let found = observed.errors.iter().find(|(_, error)| is_fault(error));
    ensure(found.is_none(), || found.map(|(act, error)| format!("{act}: {error}")).unwrap_or_default())
}

pub(super) fn memory(_: &Yard, observed: &Observed) -> Told {
    none_of(observed, &MEMORY).map_err(|miss| miss.at("with half of the memory"))
}

pub(super) fn time(_: &Yard, observed: &Observed) -> Told {
    none_of(observed, &TIME).map_err(|miss| miss.at("with half of the time"))
}

pub(super) fn hands_on(yard: &Yard, observed: &Observed) -> Told {
    let read = observed.read_by_guest;
    ensure(yard.plan.reads_contents || read < LARGE_BYTES as u64 - DOCUMENTS_BYTES, || {
        format!(
            "it read {read} bytes into the sandbox, where the one large content has {LARGE_BYTES}; hand bodies on, or say `reads-contents = true` in the plan, if the service wraps contents"
        )
    })
}

pub(super) fn errors(_: &Yard, observed: &Observed) -> Told {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    observed.errors.iter().try_for_each(|(act, error)| {
        let (reason, message) = (error.reason.as_str(), error.message.as_str());
        ensure(!reason.is_empty() && reason.len() <= REASON_BYTES_MAX && reason.chars().all(plain), || {
            format!("{act}: the reason `{}` is no short word", reason.escape_debug())
        })?;
        let is_line = !message.chars().any(char::is_control);
        ensure(message.contains(' ') && message.len() <= MESSAGE_BYTES_MAX && is_line, || {
            format!("{act}: the message `{}` is no sentence", message.escape_debug())
        })
    })
}

/// What the connector may know and may not show, in messages, in the log, and in the keys and attributes of what it lists: sensitive settings, in any form. Secrets it does not have, unless the service hands them back.
pub(super) fn secrets(yard: &Yard, observed: &Observed) -> Told {
    let manifest = yard.connector.manifest();
    let is_hidden = |name: &str| {
        manifest.secrets.contains_key(name) || manifest.settings.get(name).is_some_and(|spec| spec.sensitive)
    };
    let lines = yard.lines();
    let hidden = yard.plan.settings.iter().filter(|(name, text)| is_hidden(name) && text.len() >= SECRET_BYTES_MIN);
    for (name, text) in hidden {
        for form in [text.clone(), BASE64_STANDARD.encode(text), text.chars().rev().collect(), percent(text), hex(text)]
        {
            for (place, texts) in [("a message", &observed.texts), ("a key", &observed.keys), ("the log", &lines)] {
                let is_shown = texts.iter().any(|text| text.contains(&form));
                ensure(!is_shown, || format!("what `{name}` holds stands in {place}, as it is or encoded"))?;
            }
        }
    }
    Ok(())
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
