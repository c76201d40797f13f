//! What a manifest asks for and grants.

use std::collections::BTreeSet;

use credenza_connect::conformance::{Told, ensure};
use credenza_sandbox::{Auth, Role, SettingKind, SettingSpec, Value};

use super::Package;

/// Schemes of the host itself.
const OWN_SCHEMES: [&str; 4] = ["file", "http", "https", "memory"];

fn parts(package: &Package) -> impl Iterator<Item = &str> {
    package.manifest.location.iter().map(|part| part.trim_end_matches(['?', '*']))
}

fn is_valid(name: &str, what: &str, spec: &SettingSpec, text: &str) -> Told {
    let parsed = Value::parse(spec, text);
    ensure(parsed.is_ok(), || format!("the {what} `{text}` of `{name}` cannot be used: {}", message(&parsed)))
}

fn message(parsed: &Result<Value, credenza_sandbox::InvalidValue>) -> String {
    parsed.as_ref().err().map(ToString::to_string).unwrap_or_default()
}

pub(super) fn required(package: &Package) -> Told {
    let is_told = |name: &str, spec: &SettingSpec| !spec.examples.is_empty() || parts(package).any(|part| part == name);
    package.manifest.settings.iter().filter(|(_, spec)| spec.required).try_for_each(|(name, spec)| {
        ensure(is_told(name, spec), || format!("`{name}` must be given, and there is no example of it"))
    })
}

pub(super) fn examples(package: &Package) -> Told {
    package.manifest.settings.iter().try_for_each(|(name, spec)| {
        spec.examples.iter().try_for_each(|example| is_valid(name, "example", spec, example))
    })
}

/// Templates are judged when they are filled.
pub(super) fn defaults(package: &Package) -> Told {
    package.manifest.settings.iter().try_for_each(|(name, spec)| match &spec.default {
        Some(default) if !default.contains('{') && !default.is_empty() => is_valid(name, "default", spec, default),
        _ => Ok(()),
    })
}

pub(super) fn bounds(package: &Package) -> Told {
    package.manifest.settings.iter().try_for_each(|(name, spec)| {
        let is_number = matches!(spec.kind, SettingKind::Integer | SettingKind::Duration | SettingKind::Size);
        let bounded = spec.min.is_some() || spec.max.is_some();
        ensure(is_number || !bounded, || format!("`{name}` is no number, and has bounds"))?;
        ensure(spec.min.zip(spec.max).is_none_or(|(min, max)| min <= max), || {
            format!("`{name}` has no value within its bounds")
        })
    })
}

pub(super) fn values(package: &Package) -> Told {
    package.manifest.settings.iter().try_for_each(|(name, spec)| {
        let once: BTreeSet<&String> = spec.values.iter().collect();
        ensure(once.len() == spec.values.len(), || format!("`{name}` has a value twice"))?;
        ensure(!spec.values.iter().any(|value| value.trim() != value), || {
            format!("a value of `{name}` has spaces around it")
        })
    })
}

pub(super) fn patterns(package: &Package) -> Told {
    package.manifest.settings.iter().try_for_each(|(name, spec)| {
        let Some(derive) = &spec.derive else { return Ok(()) };
        ensure(derive.from != *name, || format!("`{name}` is derived from itself"))?;
        ensure(!derive.patterns.is_empty(), || format!("`{name}` is derived by no pattern"))?;
        let bare = derive.patterns.iter().find(|pattern| pattern.trim() == "{}");
        ensure(bare.is_none(), || format!("a pattern of `{name}` fits everything"))
    })
}

pub(super) fn secret_settings(package: &Package) -> Told {
    const WORDS: [&str; 7] = ["password", "passwd", "secret", "token", "api_key", "private_key", "credential"];
    // Where a secret is had is none.
    const PLACES: [&str; 3] = ["host", "url", "endpoint"];
    package.manifest.settings.iter().try_for_each(|(name, spec)| {
        let is_place = name.rsplit('_').next().is_some_and(|last| PLACES.contains(&last));
        let is_text = matches!(spec.kind, SettingKind::String | SettingKind::List) && !is_place;
        let looks_secret =
            is_text && WORDS.iter().any(|word| name.split('_').any(|part| part == *word) || name == word);
        ensure(!looks_secret || spec.sensitive, || {
            format!(
                "`{name}` looks secret: declare it under `secrets`, which the connector never sees, or say `sensitive`"
            )
        })
    })
}

pub(super) fn presets(package: &Package) -> Told {
    for (preset, values) in &package.manifest.presets {
        for (name, text) in values.iter().filter(|(_, text)| !text.contains('{') && !text.is_empty()) {
            let Some(spec) = package.manifest.settings.get(name) else { continue };
            is_valid(name, "value", spec, text).map_err(|miss| miss.at(format_args!("preset {preset}")))?;
        }
    }
    Ok(())
}

pub(super) fn location(package: &Package) -> Told {
    let schemes = &package.manifest.schemes;
    ensure(!schemes.is_empty(), || "it serves no scheme, so that no location leads to it".to_owned())?;
    let own = schemes.iter().find(|scheme| OWN_SCHEMES.contains(&scheme.as_str()));
    ensure(own.is_none(), || format!("the scheme {own:?} is the host's"))?;
    let once: BTreeSet<&str> = parts(package).collect();
    ensure(once.len() == parts(package).count(), || "two parts of the location mean one setting".to_owned())?;
    ensure(!once.is_empty(), || "a location says nothing but the scheme; name its parts under `location`".to_owned())
}

pub(super) fn secrets_used(package: &Package) -> Told {
    let auths: Vec<&Auth> = package.manifest.endpoints.values().flat_map(|endpoint| endpoint.auths()).collect();
    package.manifest.secrets.keys().try_for_each(|name| {
        let is_used = auths.iter().any(|auth| uses(auth, name));
        ensure(is_used, || format!("the secret `{name}` is part of no `auth`"))
    })
}

fn uses(auth: &Auth, name: &str) -> bool {
    auth.secrets().contains(&name) || auth.secrets_or_settings().contains(&name)
}

pub(super) fn environment(package: &Package) -> Told {
    let names: Vec<&String> = package.manifest.secrets.values().flat_map(|spec| &spec.env).collect();
    let plain = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_') && !name.is_empty()
    };
    let odd = names.iter().find(|name| !plain(name));
    ensure(odd.is_none(), || format!("{odd:?} is no name of a variable such as SERVICE_TOKEN"))?;
    let once: BTreeSet<&&String> = names.iter().collect();
    ensure(once.len() == names.len(), || "two secrets are taken from one variable".to_owned())
}

pub(super) fn endpoints(package: &Package) -> Told {
    ensure(!package.manifest.endpoints.is_empty(), || "the manifest names no endpoint".to_owned())
}

pub(super) fn encrypted(package: &Package) -> Told {
    for (label, endpoint) in &package.manifest.endpoints {
        let sends_secrets = endpoint.auths().any(|auth| package.manifest.secrets.keys().any(|name| uses(auth, name)));
        let plain = endpoint.addresses().find(|(url, _)| url.starts_with("http://"));
        ensure(!sends_secrets || plain.is_none(), || {
            format!("endpoint `{label}` sends secrets to {plain:?}; begin it with `{{scheme}}://`")
        })?;
    }
    Ok(())
}

fn is_granted_for(claimed: &[Role], role: Role) -> bool {
    match role {
        Role::Prune => claimed.contains(&Role::Store),
        Role::Replay => claimed.contains(&Role::Destination),
        other => claimed.contains(&other),
    }
}

pub(super) fn allowed_roles(package: &Package) -> Told {
    let (claimed, endpoints) = (&package.manifest.roles, &package.manifest.endpoints);
    for (label, endpoint) in endpoints {
        let mut named = endpoint.allow.keys().chain(endpoint.headers.keys());
        let other = named.find(|role| !is_granted_for(claimed, **role));
        ensure(other.is_none(), || format!("endpoint `{label}` grants something to {other:?}, which it is not"))?;
    }
    claimed.iter().try_for_each(|role| {
        let may =
            |endpoint: &credenza_sandbox::Endpoint| endpoint.allow.get(role).is_some_and(|verbs| !verbs.is_empty());
        ensure(endpoints.values().any(may), || format!("as a {} it may ask nothing", role.name()))
    })
}

/// A POST may ask a question, so that it says nothing.
pub(super) fn source_reads(package: &Package) -> Told {
    const WRITING: [&str; 8] = ["PUT", "DELETE", "PATCH", "MKCOL", "MOVE", "COPY", "PROPPATCH", "LOCK"];
    for (label, endpoint) in &package.manifest.endpoints {
        let verbs = endpoint.allow.get(&Role::Source).into_iter().flatten().map(ToString::to_string);
        let writing =
            verbs.into_iter().find(|verb| WRITING.iter().any(|method| verb.split(' ').next() == Some(method)));
        ensure(writing.is_none(), || format!("endpoint `{label}` lets a source {writing:?}"))?;
    }
    Ok(())
}

pub(super) fn granted_once(package: &Package) -> Told {
    for (label, endpoint) in &package.manifest.endpoints {
        for (role, verbs) in &endpoint.allow {
            let once: BTreeSet<String> = verbs.iter().map(ToString::to_string).collect();
            ensure(once.len() == verbs.len(), || format!("endpoint `{label}` grants a {} a verb twice", role.name()))?;
        }
    }
    Ok(())
}

/// Less memory than this holds no listing.
const MEMORY_BYTES_MIN: usize = 1 << 20;

pub(super) fn limits(package: &Package) -> Told {
    let limits = package.manifest.limits;
    let memory = limits.memory_bytes_max.is_none_or(|bytes| bytes >= MEMORY_BYTES_MIN);
    ensure(memory, || "less than 1 MiB of memory holds no listing".to_owned())?;
    ensure(limits.call_cpu_ms_max != Some(0), || "a call gets no time".to_owned())
}
