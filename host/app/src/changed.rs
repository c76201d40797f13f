//! Other settings for a place that is in the configuration, filled in by somebody who does not see its secrets.
//!
//! Owned here: what a form begins with, and that no secret goes where whoever gave it has not sent it: with any other setting its secrets are given again.
//! Refused here: which fields there are (`fields`), keeping settings (`kept`), and showing a form (programs).

use std::collections::BTreeMap;

use credenza_sandbox::SecretText;

use crate::app::App;
use crate::configuration::{Configuration, Kind, PlaceName, Settings};
use crate::error::Result;
use crate::fields::{Field, Input, LOCATION};
use crate::kept::KeepError;
use crate::location::{FILE, Location};

/// What was filled in for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilledIn {
    /// The connector that reaches it.
    pub connector: String,
    /// Values of fields; those that are secret are left out.
    pub values: BTreeMap<String, String>,
}

impl App {
    /// What was filled in for a place with these settings.
    ///
    /// # Errors
    /// [`KeepError::Chosen`] where the place has a component of its own; and when none serves its location, or that is none.
    pub fn filled_in(&self, kind: Kind, settings: &Settings) -> Result<FilledIn> {
        if settings.contains_key("connector") {
            return Err(KeepError::Chosen.into());
        }
        let location = settings.get(LOCATION).map(SecretText::expose).unwrap_or_default();
        let (connector, parts) = match Location::parse(location.as_ref())? {
            Location::Remote { scheme, text } => {
                let manifest = self.connectors().serving(&scheme, settings)?.manifest;
                let parts = manifest.settings_from_location(&text).map_err(KeepError::from)?;
                (manifest.name, parts)
            }
            Location::Folder(_) | Location::Named(_) => {
                (FILE.to_owned(), BTreeMap::from([(LOCATION.to_owned(), location.to_owned())]))
            }
        };
        let fields = self.fields(kind, &connector)?;
        let is_shown = |name: &str| fields.iter().any(|field| field.name == name && field.input != Input::Secret);
        let set = settings.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let values = set.chain(parts).filter(|(name, _)| is_shown(name)).collect();
        Ok(FilledIn { connector, values })
    }

    /// Gives a place the settings that follow from what was filled in, in place of those that its form has; all others stay. Empty values count as none.
    ///
    /// # Errors
    /// [`KeepError`]: also where something changes and a secret is not given again, or comes from a file or a command.
    pub fn change_settings(
        &self,
        configuration: &mut Configuration,
        (kind, name): (Kind, &PlaceName),
        values: BTreeMap<String, SecretText>,
    ) -> Result<()> {
        let present = configuration.settings(kind, name)?;
        let FilledIn { connector, .. } = self.filled_in(kind, &present)?;
        let fields = self.fields(kind, &connector)?;
        let filled = self.filled(kind, &connector, values)?;
        let is_secret = |setting: &str| has(&fields, setting, true);
        let is_plain = |setting: &str| setting == LOCATION || has(&fields, setting, false);
        let given = |setting: &str| filled.iter().find(|(name, _)| name == setting).map(|(_, value)| value.expose());
        let was = |setting: &str| present.get(setting).map(SecretText::expose);
        let names = present.keys().chain(filled.iter().map(|(name, _)| name));
        let is_other = names.filter(|name| is_plain(name)).any(|name| given(name) != was(name));
        if is_other {
            let manifest_says = |setting: &&String| fields.iter().any(|field| is_source(setting, field));
            if let Some(setting) = present.keys().find(manifest_says) {
                return Err(KeepError::Elsewhere { setting: setting.clone() }.into());
            }
            let missing = present.keys().filter(|name| is_secret(name) && given(name).is_none());
            let secrets: Vec<String> = missing.cloned().collect();
            if !secrets.is_empty() {
                return Err(KeepError::Again { secrets }.into());
            }
        }
        for gone in present.keys().filter(|name| is_plain(name) && given(name).is_none()) {
            configuration.unset(kind, name, gone)?;
        }
        self.keep_settings(configuration, (kind, name), filled)
    }
}

/// Whether there is a field of that name, secret or not.
fn has(fields: &[Field], name: &str, is_secret: bool) -> bool {
    fields.iter().any(|field| field.name == name && (field.input == Input::Secret) == is_secret)
}

/// Whether a setting says from where the secret of a field is.
fn is_source(setting: &str, field: &Field) -> bool {
    let behind = setting.strip_prefix(field.name.as_str()).filter(|_| field.input == Input::Secret);
    behind.is_some_and(|behind| [credenza_sandbox::SECRET_FILE, credenza_sandbox::SECRET_COMMAND].contains(&behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppOptions;
    use crate::configuration::ConfigurationError;
    use crate::error::Error;

    const NAME: &str = "mine";

    struct Kept {
        app: App,
        folder: tempfile::TempDir,
    }

    impl Kept {
        fn new(settings: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let app =
                App::new(AppOptions { configuration_folder: Some(folder.path().to_owned()), ..AppOptions::default() });
            Configuration::edit::<_, ConfigurationError>(folder.path(), |configuration| {
                configuration.create(Kind::Source, &name())?;
                settings.iter().try_for_each(|(key, value)| configuration.set(Kind::Source, &name(), key, value))
            })
            .unwrap();
            Self { app, folder }
        }

        fn change(&self, values: &[(&str, &str)]) -> Result<()> {
            let values = values.iter().map(|(name, value)| ((*name).to_owned(), SecretText::new(*value))).collect();
            Configuration::edit(self.folder.path(), |configuration| {
                self.app.change_settings(configuration, (Kind::Source, &name()), values)
            })
        }

        fn settings(&self) -> Vec<(String, String)> {
            let settings = self.app.configuration().unwrap().settings(Kind::Source, &name()).unwrap();
            settings.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect()
        }
    }

    fn name() -> PlaceName {
        PlaceName::new(Kind::Source, NAME).unwrap()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_folder_moves_and_what_no_form_has_stays() {
        let kept = Kept::new(&[("location", "/here"), ("ca_file", "/roots")]);
        let settings = kept.app.configuration().unwrap().settings(Kind::Source, &name()).unwrap();
        let filled = kept.app.filled_in(Kind::Source, &settings).unwrap();
        let values = BTreeMap::from([(LOCATION.to_owned(), "/here".to_owned())]);
        assert_eq!(filled, FilledIn { connector: FILE.to_owned(), values });
        kept.change(&[("location", "/there")]).unwrap();
        assert_eq!(kept.settings(), pairs(&[("ca_file", "/roots"), ("location", "/there")]));
        assert!(matches!(kept.change(&[]), Err(Error::Keep(KeepError::Missing { .. }))));
        assert_eq!(kept.settings(), pairs(&[("ca_file", "/roots"), ("location", "/there")]));
    }

    #[test]
    fn a_place_with_a_component_of_its_own_is_changed_elsewhere() {
        let kept = Kept::new(&[("location", "shop://b"), ("connector", "/x.wasm")]);
        assert!(matches!(kept.change(&[("location", "/there")]), Err(Error::Keep(KeepError::Chosen))));
    }

    /// Where the connector for S3 is part of the program.
    #[test]
    fn no_secret_goes_along_with_another_setting_unless_it_is_given_again() {
        let kept = Kept::new(&[
            ("location", "s3://good.example/bucket"),
            ("access_key", "id"),
            ("secret_access_key", "secret"),
        ]);
        let good = [("host", "good.example"), ("bucket", "bucket")];
        let Ok(()) = kept.change(&good) else {
            assert!(kept.app.fields(Kind::Source, "s3").is_err(), "without that connector alone");
            return;
        };
        assert!(kept.settings().contains(&("secret_access_key".to_owned(), "secret".to_owned())), "nothing changed");
        let keys = [("access_key", "id"), ("secret_access_key", "secret")];
        let evil = [("host", "evil.example"), ("bucket", "bucket")];
        for other in [&evil[..], &[good[0], good[1], ("use_tls", "false")], &[good[0], good[1], ("region", "x")]] {
            let refused = kept.change(other);
            assert!(matches!(refused, Err(Error::Keep(KeepError::Again { .. }))), "{other:?}: {refused:?}");
            let half = [other, &keys[..1]].concat();
            assert!(matches!(kept.change(&half), Err(Error::Keep(KeepError::Again { .. }))), "{half:?}");
        }
        kept.change(&[&evil[..], &keys].concat()).unwrap();
        assert!(kept.settings().contains(&("location".to_owned(), "s3://evil.example/bucket".to_owned())));

        let kept = Kept::new(&[("location", "s3://good.example/bucket"), ("access_key_file", "/key")]);
        assert!(matches!(kept.change(&evil), Err(Error::Keep(KeepError::Elsewhere { .. }))));
        kept.change(&good).unwrap();
    }
}
