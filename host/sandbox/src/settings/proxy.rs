//! Which proxies the settings or the environment name.

use super::{RawSettings, SecretText, Surroundings};

/// The value of the setting that means none at all.
const NONE: &str = "none";

/// Addresses of proxies, as they were written: they may hold a password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For everything, without exception.
    pub(crate) choice: Option<ProxyChoice>,
    pub(crate) http: Option<Named>,
    pub(crate) https: Option<Named>,
    /// Hosts that are reached without.
    pub(crate) except: String,
}

/// What the setting `proxy` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProxyChoice {
    None,
    Proxy(Named),
}

/// An address and who names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) origin: String,
    pub(crate) address: SecretText,
}

impl ProxySettings {
    /// The setting `proxy`, else the variables that other programs heed, in small letters first.
    pub(crate) fn of(raw: &RawSettings, surroundings: &Surroundings<'_>) -> Self {
        let choice = raw.get("proxy").filter(|text| !text.is_empty()).map(|text| match text.expose() {
            NONE => ProxyChoice::None,
            _ => ProxyChoice::Proxy(Named { origin: "the setting `proxy`".to_owned(), address: text.clone() }),
        });
        let variable = |name: &str| (surroundings.variable)(name).filter(|text| !text.is_empty());
        let named = |names: &[&str]| {
            let found = names.iter().find_map(|name| Some(((*name).to_owned(), variable(name)?)));
            found.map(|(origin, address)| Named { origin, address })
        };
        let all = named(&["all_proxy", "ALL_PROXY"]);
        // A server that runs programs for web pages puts a header of the visitor into HTTP_PROXY (httpoxy.org).
        let is_served = variable("REQUEST_METHOD").is_some();
        let http: &[&str] = if is_served { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] };
        Self {
            choice,
            http: named(http).or_else(|| all.clone()),
            https: named(&["https_proxy", "HTTPS_PROXY"]).or(all),
            except: variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default().expose().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], setting: &str) -> ProxySettings {
        let variable =
            |name: &str| variables.iter().find(|(given, _)| *given == name).map(|(_, value)| SecretText::new(*value));
        let raw = RawSettings::from([("proxy".to_owned(), SecretText::new(setting))]);
        ProxySettings::of(&raw, &Surroundings { variable: &variable, ..Surroundings::none() })
    }

    fn origin(named: Option<&Named>) -> Option<&str> {
        named.map(|named| named.origin.as_str())
    }

    #[test]
    fn variables_are_heeded_in_small_and_in_capital_letters() {
        let found = of(
            &[("HTTPS_PROXY", "http://b"), ("http_proxy", "http://a"), ("HTTP_PROXY", "http://c"), ("NO_PROXY", "x")],
            "",
        );
        assert_eq!(
            (origin(found.http.as_ref()), origin(found.https.as_ref())),
            (Some("http_proxy"), Some("HTTPS_PROXY"))
        );
        assert_eq!(found.except, "x");
        assert!(found.choice.is_none());
        let all = of(&[("ALL_PROXY", "http://a")], "");
        assert_eq!((origin(all.http.as_ref()), origin(all.https.as_ref())), (Some("ALL_PROXY"), Some("ALL_PROXY")));
        assert!(of(&[("HTTP_PROXY", "http://a"), ("REQUEST_METHOD", "GET")], "").http.is_none());
    }

    #[test]
    fn the_setting_goes_before_the_variables_and_prints_no_password() {
        assert_eq!(of(&[("HTTP_PROXY", "http://a")], "none").choice, Some(ProxyChoice::None));
        let given = of(&[], "http://me:hunter2@p:3128");
        assert!(
            matches!(&given.choice, Some(ProxyChoice::Proxy(named)) if named.address == SecretText::new("http://me:hunter2@p:3128"))
        );
        assert!(!format!("{given:?}").contains("hunter2"));
    }
}
