//! The rules between the fields of a manifest, beyond what its schema can say. Each names the field that breaks it. Called by `schema` once it is read.

use super::schema::{HOST_SETTINGS, SECRET_SOURCES};
use super::{API_VERSION, Auth, HeaderRule, Manifest, ManifestError, SettingKind, Verb, When, template_names};

/// Headers that say how a request is framed, or to whom it goes (RFC 9110 sections 7.2 and 7.6.1).
const FRAMING: [&str; 8] =
    ["connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];

impl Manifest {
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        self.check_identity()?;
        self.check_settings()?;
        self.check_location()?;
        self.check_endpoints()?;
        self.check_presets()
    }

    fn check_identity(&self) -> Result<(), ManifestError> {
        let plain = |t: &str| {
            !t.is_empty() && t.len() <= 64 && t.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        ensure(plain(&self.name), "name", "must be 1 to 64 lower-case letters, digits or `-`")?;
        let dotted =
            !self.version.is_empty() && self.version.len() <= 64 && self.version.bytes().all(|b| b.is_ascii_graphic());
        ensure(dotted, "version", "must be a version such as `1.2.3`")?;
        if self.api != API_VERSION {
            return Err(ManifestError::Api {
                name: self.name.clone(),
                version: self.version.clone(),
                api: self.api.escape_debug().to_string(),
            });
        }
        ensure(!self.roles.is_empty(), "roles", "must name at least one of source, store, destination")?;
        ensure(
            !self.roles.iter().any(|role| role.is_grant()),
            "roles",
            "may name source, store and destination; `prune` and `replay` are grants under `allow`",
        )?;
        ensure(
            self.schemes.iter().all(|s| plain(s)),
            "schemes",
            "must hold words of 1 to 64 lower-case letters, digits or `-`",
        )
    }

    fn check_settings(&self) -> Result<(), ManifestError> {
        for name in self.settings.keys().chain(self.secrets.keys()) {
            let field = format!("settings.{name}");
            let plain = !name.is_empty() && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            ensure(plain, &field, "must have a name of lower-case letters, digits and `_`")?;
            let reserved = HOST_SETTINGS.contains(&name.as_str()) || name == "scheme";
            ensure(!reserved, &field, "has a name that the host keeps for itself")?;
        }
        let taken =
            |name: &String| SECRET_SOURCES.iter().any(|source| self.settings.contains_key(&format!("{name}{source}")));
        ensure(
            !self.secrets.keys().any(taken),
            "settings",
            "must not end a secret's name with `_file` or `_cmd`, which say where it is",
        )?;
        let both = self.settings.keys().find(|name| self.secrets.contains_key(*name));
        ensure(both.is_none(), "secrets", "must not repeat a name of `settings`")?;
        for (name, spec) in &self.settings {
            let is_enum = spec.kind == SettingKind::Enum;
            ensure(
                is_enum != spec.values.is_empty(),
                &format!("settings.{name}.values"),
                "goes with `type = \"enum\"` and must not be empty",
            )?;
            ensure(
                !(spec.required && spec.default.is_some()),
                &format!("settings.{name}"),
                "cannot be both required and have a default",
            )?;
            self.check_template(&format!("settings.{name}.default"), spec.default.as_deref().unwrap_or(""))?;
            if let Some(derive) = &spec.derive {
                self.check_setting(&format!("settings.{name}.derive.from"), &derive.from)?;
                let one_hole = derive.patterns.iter().all(|p| p.matches("{}").count() == 1);
                ensure(one_hole, &format!("settings.{name}.derive.patterns"), "must each hold `{}` once")?;
            }
        }
        Ok(())
    }

    fn check_location(&self) -> Result<(), ManifestError> {
        for (index, part) in self.location.iter().enumerate() {
            let name = part.trim_end_matches(['?', '*']);
            self.check_setting("location", name)?;
            ensure(
                !part.ends_with('*') || index + 1 == self.location.len(),
                "location",
                "may use `*` only in its last part",
            )?;
            ensure(!part.ends_with('?') || index == 0, "location", "may use `?` only in its first part")?;
        }
        Ok(())
    }

    fn check_endpoints(&self) -> Result<(), ManifestError> {
        for (label, endpoint) in &self.endpoints {
            let field = |name: &str| format!("endpoints.{label}.{name}");
            for variant in &endpoint.variants {
                variant
                    .when
                    .iter()
                    .try_for_each(|(name, value)| self.check_condition(&field("variants.when"), name, value))?;
                let says = variant.url.is_some() || (variant.auth.is_some() && variant.path.is_none());
                ensure(says, &field("variants"), "must each say a `url`, perhaps with a `path`, or an `auth`")?;
            }
            for (url, path) in endpoint.addresses() {
                self.check_address(&field("url"), url)?;
                self.check_open_template(&field("path"), path)?;
                let rooted = path.is_empty() || (path.starts_with('/') && !path.ends_with('/'));
                ensure(rooted, &field("path"), "must be empty, or begin with `/` and not end in it")?;
            }
            endpoint.auths().try_for_each(|auth| self.check_auth(&field("auth"), auth))?;
            self.check_open_template(&field("below"), &endpoint.below)?;
            let verbs = endpoint.allow.values().flatten().filter_map(Verb::when);
            let headers = endpoint.headers.values().flatten().filter_map(HeaderRule::when);
            for When { setting, value } in verbs.chain(headers) {
                self.check_condition(&format!("endpoints.{label}"), setting, value)?;
            }
        }
        Ok(())
    }

    fn check_address(&self, field: &str, url: &str) -> Result<(), ManifestError> {
        self.check_open_template(field, url)?;
        let schemed = ["{scheme}://", "https://", "http://"].iter().any(|s| url.starts_with(s));
        ensure(schemed, field, "must begin with `{scheme}://`, `https://` or `http://`")
    }

    fn check_auth(&self, field: &str, auth: &Auth) -> Result<(), ManifestError> {
        for secret in auth.secrets() {
            let known = self.secrets.contains_key(secret);
            ensure(known, field, &format!("names `{secret}`, which is not under `secrets`"))?;
        }
        let is_whole = |template: &&str| template_names(template).iter().all(Option::is_some);
        ensure(auth.secret_templates().iter().all(is_whole), field, "has a `{` without its `}`")?;
        for name in auth.secrets_or_settings() {
            let known = self.secrets.contains_key(name) || self.settings.contains_key(name);
            ensure(known, field, &format!("names `{name}`, which is neither under `secrets` nor under `settings`"))?;
        }
        for (name, template) in auth.templates() {
            self.check_open_template(&format!("{field}.{name}"), template)?;
        }
        for (name, url) in [("token_url", auth.token_url()), ("device_url", auth.device_url())] {
            url.map_or(Ok(()), |url| self.check_address(&format!("{field}.{name}"), url))?;
        }
        if let Auth::Query { parameters, signed } = auth {
            ensure(
                parameters.is_empty() == signed.is_some(),
                field,
                "must name either `parameters` or a `signed` query",
            )?;
        }
        for name in auth.header_names() {
            let usable = name.parse::<http::HeaderName>().is_ok_and(|name| !FRAMING.contains(&name.as_str()));
            ensure(usable, field, &format!("cannot set the header `{}`", name.escape_debug()))?;
        }
        let settings = auth.profile_setting().into_iter().chain(auth.anonymous_setting());
        settings.into_iter().try_for_each(|name| self.check_setting(field, name))
    }

    /// A condition names a setting, and a value that it can have.
    fn check_condition(&self, field: &str, name: &str, value: &str) -> Result<(), ManifestError> {
        self.check_setting(field, name)?;
        let possible = self.settings.get(name).is_some_and(|spec| match spec.kind {
            SettingKind::Boolean => ["true", "false"].contains(&value),
            SettingKind::Enum => spec.values.iter().any(|one| one == value),
            SettingKind::Integer | SettingKind::Size | SettingKind::Duration => value.parse::<i64>().is_ok(),
            SettingKind::String | SettingKind::Url | SettingKind::List => true,
        });
        ensure(possible, field, &format!("asks whether `{name}` is `{}`, which it cannot be", value.escape_debug()))
    }

    fn check_presets(&self) -> Result<(), ManifestError> {
        for (preset, values) in &self.presets {
            for (name, value) in values {
                let field = format!("presets.{preset}");
                self.check_setting(&field, name)?;
                self.check_template(&field, value)?;
            }
        }
        Ok(())
    }

    fn check_setting(&self, field: &str, name: &str) -> Result<(), ManifestError> {
        ensure(self.settings.contains_key(name), field, &format!("names `{name}`, which is not under `settings`"))
    }

    /// A template of what is shown to people.
    fn check_open_template(&self, field: &str, template: &str) -> Result<(), ManifestError> {
        self.check_template(field, template)?;
        let is_sensitive = |name: &&str| self.settings.get(*name).is_some_and(|spec| spec.sensitive);
        let hidden = template_names(template).into_iter().flatten().find(is_sensitive);
        let rule = || format!("names `{}`, which is sensitive, and is shown", hidden.unwrap_or_default());
        ensure(hidden.is_none(), field, &rule())
    }

    fn check_template(&self, field: &str, template: &str) -> Result<(), ManifestError> {
        for name in template_names(template) {
            match name {
                None => ensure(false, field, "has a `{` without its `}`")?,
                Some("scheme") => {}
                Some(name) => self.check_setting(field, name)?,
            }
        }
        Ok(())
    }
}

fn ensure(holds: bool, field: &str, rule: &str) -> Result<(), ManifestError> {
    if holds { Ok(()) } else { Err(ManifestError::Field { field: field.to_owned(), rule: rule.to_owned() }) }
}
