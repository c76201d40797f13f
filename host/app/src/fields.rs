//! What a person fills in to configure a place: fields made from the manifest of its connector, and the settings that follow from what was filled in.
//!
//! Owned here: which settings a form has, of which type, and the location that some of them make. Left out is what names commands, files and components of
//! this machine: that is for who has a shell on it. Refused here: keeping settings (`kept`), and showing a form, whose texts are a connector's own (programs).

use std::collections::BTreeMap;

use credenza_sandbox::{Manifest, Role, SecretText, SettingKind, SettingSpec};

use crate::app::App;
use crate::configuration::{HOST_SETTINGS, Kind, is_command};
use crate::connectors::{Component, ConnectorsError};
use crate::error::Result;
use crate::kept::KeepError;
use crate::location::FILE;

/// The setting that names a set of others.
const PRESET: &str = "preset";
/// The setting that is the whole location, where nothing makes it.
pub(crate) const LOCATION: &str = "location";

/// A connector that serves a kind of place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name; that of folders is `file`.
    pub name: String,
    /// What it says of itself, hostile text.
    pub summary: String,
    /// The schemes of its locations; a folder has none.
    pub schemes: Vec<String>,
}

/// How a value is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Any text.
    Text,
    /// A whole number within bounds.
    Number {
        /// The least.
        min: Option<i64>,
        /// The greatest.
        max: Option<i64>,
    },
    /// `true` or `false`.
    YesNo,
    /// One of these.
    OneOf(Vec<String>),
    /// A text that is never shown again.
    Secret,
}

/// One setting to fill in. Its texts are a connector's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The setting.
    pub name: String,
    /// What it is.
    pub help: String,
    /// How it is given.
    pub input: Input,
    /// What it is when nothing is filled in.
    pub default: Option<String>,
    /// Values as they may look.
    pub examples: Vec<String>,
    /// Whether something must be filled in.
    pub is_required: bool,
    /// Whether few need it.
    pub is_advanced: bool,
}

impl App {
    /// The connectors that serve a kind of place, folders first.
    ///
    /// # Errors
    /// When what was agreed to cannot be read.
    pub fn offers(&self, kind: Kind) -> Result<Vec<Offer>> {
        let folder =
            Offer { name: FILE.to_owned(), summary: "A folder on this machine".to_owned(), schemes: Vec::new() };
        let remote = self.offered(kind)?.map(|Component { manifest, .. }| Offer {
            name: manifest.name,
            summary: manifest.summary,
            schemes: manifest.schemes,
        });
        Ok(std::iter::once(folder).chain(remote).collect())
    }

    /// What is filled in for a place of a kind that a connector is to reach.
    ///
    /// # Errors
    /// [`ConnectorsError::Unknown`] where none of that name serves such places.
    pub fn fields(&self, kind: Kind, connector: &str) -> Result<Vec<Field>> {
        if connector == FILE {
            return Ok(vec![folder_field()]);
        }
        Ok(fields_of(&self.offer(kind, connector)?))
    }

    /// The settings that follow from what was filled in, the location first. Empty values count as none.
    ///
    /// # Errors
    /// [`KeepError`] where a value belongs to no field, or no location can be made of them.
    pub fn filled(
        &self,
        kind: Kind,
        connector: &str,
        mut values: BTreeMap<String, SecretText>,
    ) -> Result<Vec<(String, SecretText)>> {
        values.retain(|_, value| !value.expose().is_empty());
        let fields = self.fields(kind, connector)?;
        let is_field = |name: &&String| fields.iter().any(|field| field.name == **name);
        if let Some(unknown) = values.keys().find(|name| !is_field(name)) {
            let known = fields.iter().map(|field| field.name.clone()).collect();
            return Err(KeepError::Unknown { setting: unknown.clone(), known }.into());
        }
        if let Some(missing) = fields.iter().find(|field| field.is_required && !values.contains_key(&field.name)) {
            return Err(KeepError::Missing { setting: missing.name.clone() }.into());
        }
        if connector == FILE {
            return Ok(values.into_iter().collect());
        }
        let manifest = self.offer(kind, connector)?;
        let location = location_of(&manifest, &mut values)?;
        Ok(std::iter::once((LOCATION.to_owned(), SecretText::new(location))).chain(values).collect())
    }

    fn offered(&self, kind: Kind) -> Result<impl Iterator<Item = Component>> {
        let role = match kind {
            Kind::Repository => Role::Store,
            Kind::Source => Role::Source,
            Kind::Destination => Role::Destination,
        };
        let all = self.connectors().all()?.into_iter().flatten();
        Ok(all.filter(move |component| {
            component.manifest.roles.contains(&role) && !component.manifest.schemes.is_empty()
        }))
    }

    fn offer(&self, kind: Kind, connector: &str) -> Result<Manifest> {
        let found = self.offered(kind)?.find(|component| component.manifest.name == connector);
        let unknown = || ConnectorsError::Unknown { name: connector.to_owned() };
        Ok(found.ok_or_else(unknown)?.manifest)
    }
}

fn folder_field() -> Field {
    Field {
        name: LOCATION.to_owned(),
        help: "The folder, as its whole path.".to_owned(),
        input: Input::Text,
        default: None,
        examples: vec!["/mnt/disk/backups".to_owned()],
        is_required: true,
        is_advanced: false,
    }
}

/// Parts of the location in their order, then what there is a preset for, secrets, and all else with what few need at the end.
fn fields_of(manifest: &Manifest) -> Vec<Field> {
    let parts: Vec<&str> = manifest.location.iter().map(|part| part.trim_end_matches(['?', '*'])).collect();
    let setting = |name: &str, spec: &SettingSpec| Field {
        name: name.to_owned(),
        help: spec.help.clone(),
        input: input_of(spec),
        // Those that follow from others are no text to show.
        default: spec.default.clone().filter(|default| !default.is_empty() && !default.contains('{')),
        examples: spec.examples.clone(),
        is_required: spec.required,
        is_advanced: spec.advanced,
    };
    let of_location = parts
        .iter()
        .filter(|name| is_harmless(manifest, name))
        .filter_map(|name| Some(setting(name, manifest.settings.get(*name)?)));
    let presets: Vec<String> = manifest.presets.keys().cloned().collect();
    let preset = (!presets.is_empty()).then(|| Field {
        name: PRESET.to_owned(),
        help: "What is known of a provider.".to_owned(),
        input: Input::OneOf(presets),
        default: None,
        examples: Vec::new(),
        is_required: false,
        is_advanced: false,
    });
    let secrets = manifest.secrets.iter().filter(|(name, _)| is_harmless(manifest, name)).map(|(name, spec)| Field {
        name: name.clone(),
        help: spec.help.clone(),
        input: Input::Secret,
        default: None,
        examples: Vec::new(),
        is_required: false,
        is_advanced: false,
    });
    let others =
        manifest.settings.iter().filter(|(name, _)| !parts.contains(&name.as_str()) && is_harmless(manifest, name));
    let (advanced, plain): (Vec<Field>, Vec<Field>) =
        others.map(|(name, spec)| setting(name, spec)).partition(|field| field.is_advanced);
    of_location.chain(preset).chain(secrets).chain(plain).chain([use_tls()]).chain(advanced).collect()
}

/// Whether a setting is the connector's own alone: none that the host reads as one of its own, or as a command or file of a secret, however the manifest
/// names it.
fn is_harmless(manifest: &Manifest, setting: &str) -> bool {
    let is_of_host = HOST_SETTINGS.iter().any(|known| known.name == setting);
    !is_of_host && !is_command(setting) && !manifest.is_secret_source(setting)
}

fn use_tls() -> Field {
    Field {
        name: "use_tls".to_owned(),
        help: "Whether to use https.".to_owned(),
        input: Input::YesNo,
        default: Some("true".to_owned()),
        examples: Vec::new(),
        is_required: false,
        is_advanced: true,
    }
}

fn input_of(spec: &SettingSpec) -> Input {
    match spec.kind {
        _ if spec.sensitive => Input::Secret,
        SettingKind::Integer => Input::Number { min: spec.min, max: spec.max },
        SettingKind::Boolean => Input::YesNo,
        SettingKind::Enum => Input::OneOf(spec.values.clone()),
        SettingKind::String | SettingKind::Url | SettingKind::Duration | SettingKind::Size | SettingKind::List => {
            Input::Text
        }
    }
}

/// The location that the values for its parts make, which are taken out. A part that may be left out stays a setting where it would be read as another.
fn location_of(manifest: &Manifest, values: &mut BTreeMap<String, SecretText>) -> Result<String> {
    let scheme = manifest.schemes.first().map_or("", String::as_str);
    let make = |with_optional: bool| {
        let mut parts = Vec::new();
        for part in &manifest.location {
            let name = part.trim_end_matches(['?', '*']);
            let value = values.get(name).map(SecretText::expose).filter(|_| with_optional || !part.ends_with('?'));
            parts.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        }
        let texts: Vec<&str> = parts.iter().map(|(_, value)| value.as_str()).collect();
        (format!("{scheme}://{}", texts.join("/")), parts)
    };
    let mut refused = None;
    for with_optional in [true, false] {
        let (location, parts) = make(with_optional);
        match manifest.settings_from_location(&location) {
            Ok(read) if parts.iter().all(|(name, value)| read.get(name) == Some(value)) => {
                parts.iter().for_each(|(name, _)| drop(values.remove(name)));
                return Ok(location);
            }
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
    }
    let parts = || manifest.location.iter().map(|part| part.trim_end_matches(['?', '*']).to_owned()).collect();
    Err(refused.map_or_else(|| KeepError::Parts { parts: parts() }, KeepError::from).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppOptions;

    const MANIFEST: &str = r#"
name = "shop"
version = "1"
api = "0.1"
roles = ["source", "store"]
schemes = ["shop"]
location = ["host?", "bucket", "prefix*"]
[settings.host]
type = "string"
default = "shop.{region}.example.com"
[settings.bucket]
type = "string"
required = true
help = "Name of the bucket."
[settings.prefix]
type = "string"
default = ""
[settings.region]
type = "string"
default = "north"
[settings.tries]
type = "integer"
min = 1
max = 9
advanced = true
[settings.mode]
type = "enum"
values = ["slow", "fast"]
default = "slow"
[settings.quiet]
type = "boolean"
default = "false"
[secrets.key]
help = "Key."
[presets.acme]
host = "acme.example.com"
"#;

    fn filled(values: &[(&str, &str)]) -> Result<(String, Vec<String>)> {
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let mut values = values.iter().map(|(name, value)| ((*name).to_owned(), SecretText::new(*value))).collect();
        let location = location_of(&manifest, &mut values)?;
        Ok((location, values.into_keys().collect()))
    }

    #[test]
    fn a_form_has_what_the_manifest_has_typed_and_in_the_order_of_need() {
        let fields = fields_of(&Manifest::parse(MANIFEST).unwrap());
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["host", "bucket", "prefix", "preset", "key", "mode", "quiet", "region", "use_tls", "tries"]);
        let of = |name: &str| fields.iter().find(|field| field.name == name).unwrap();
        assert!(of("bucket").is_required && of("bucket").help == "Name of the bucket.");
        assert_eq!((&of("host").default, &of("key").input), (&None, &Input::Secret));
        assert_eq!(of("tries").input, Input::Number { min: Some(1), max: Some(9) });
        assert_eq!(of("mode").input, Input::OneOf(vec!["slow".to_owned(), "fast".to_owned()]));
        assert_eq!(of("preset").input, Input::OneOf(vec!["acme".to_owned()]));
        assert_eq!(of("quiet").input, Input::YesNo);
    }

    #[test]
    fn parts_make_a_location_and_what_would_be_read_as_another_stays_a_setting() {
        let is = |location: &str, rest: &[&str]| {
            (location.to_owned(), rest.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        let bucket = ("bucket", "b");
        assert_eq!(filled(&[bucket]).unwrap(), is("shop://b", &[]));
        assert_eq!(
            filled(&[bucket, ("host", "h.example:9000"), ("prefix", "p/q")]).unwrap(),
            is("shop://h.example:9000/b/p/q", &[])
        );
        // Without a dot it looks like a bucket.
        assert_eq!(filled(&[bucket, ("host", "minio"), ("key", "k")]).unwrap(), is("shop://b", &["host", "key"]));
        for wrong in [&[("host", "h.example")][..], &[("bucket", "b/c")], &[("bucket", "me:secret@h")], &[]] {
            assert!(filled(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_folder_is_offered_first_and_what_is_no_field_is_refused() {
        let app = App::new(AppOptions::default());
        for kind in [Kind::Repository, Kind::Source, Kind::Destination] {
            let offers = app.offers(kind).unwrap();
            assert_eq!(offers.first().map(|offer| offer.name.as_str()), Some("file"));
            for offer in offers {
                app.fields(kind, &offer.name).unwrap();
            }
        }
        assert!(app.fields(Kind::Source, "none").is_err());
        for foreign in ["passphrase_cmd", "connector", "hook"] {
            let values = BTreeMap::from([(foreign.to_owned(), SecretText::new("x"))]);
            assert!(app.filled(Kind::Repository, "file", values).is_err(), "{foreign}");
        }
        assert!(app.filled(Kind::Repository, "file", BTreeMap::new()).is_err(), "a location is needed");
    }

    #[test]
    fn no_field_names_a_command_or_a_file_whatever_a_manifest_calls_its_settings() {
        let setting = |name: &str| format!("[settings.{name}]\ntype = \"string\"\n");
        let hostile = ["key_cmd", "key_file", "other_cmd", "passphrase_cmd", "connector", "passphrase"];
        for name in hostile {
            // Some of these names are refused as the manifest is read.
            let Ok(manifest) = Manifest::parse(&format!("{MANIFEST}{}", setting(name))) else { continue };
            assert!(fields_of(&manifest).iter().all(|field| field.name != name), "{name}");
        }
    }
}
