//! What proves who asks as parameters of the query: a key of an interface, or a query that somebody signed beforehand (a shared access signature).
//!
//! What is added is never in a message, and the parts of it that prove something are masked wherever they turn up.

use http::Uri;
use http::uri::PathAndQuery;

use super::text::{percent_decoded, percent_encoded};
use crate::egress::EgressError;
use crate::manifest::Query;
use crate::settings::{Masker, SecretText};

/// A value so long proves something; shorter ones are versions, dates and the like, which must not be hidden in what a guest reads.
const PROOF_BYTES_MIN: usize = 32;

/// Parameters to add.
pub(crate) struct Added {
    query: SecretText,
    pub(super) origin: &'static str,
}

impl Added {
    /// A query that was signed beforehand, with or without its `?`.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence; it is not repeated.
    pub(super) fn signed(query: &str, origin: &'static str, masker: &Masker) -> Result<Self, &'static str> {
        let query = query.trim().trim_start_matches('?');
        let parameters = Query::read(Some(query))?;
        for value in parameters.0.iter().filter_map(|(_, value)| *value).filter(|value| value.len() >= PROOF_BYTES_MIN)
        {
            masker.learn(SecretText::new(value));
            masker.learn(SecretText::new(String::from_utf8_lossy(&percent_decoded(value))));
        }
        masker.learn(SecretText::new(query));
        Ok(Self { query: SecretText::new(query), origin })
    }

    /// Parameters with these values, which are secret.
    ///
    /// # Errors
    /// As for [`signed`](Self::signed).
    pub(super) fn of(
        parameters: &[(&str, String)],
        origin: &'static str,
        masker: &Masker,
    ) -> Result<Self, &'static str> {
        let pair = |(name, value): &(&str, String)| {
            let value = percent_encoded(value.as_bytes());
            masker.learn(SecretText::new(value.as_str()));
            format!("{name}={value}")
        };
        let query = parameters.iter().map(pair).collect::<Vec<_>>().join("&");
        Query::read(Some(&query))?;
        Ok(Self { query: SecretText::new(query), origin })
    }

    /// Adds them behind those of the request.
    pub(super) fn add_to(&self, request: &mut http::Request<()>) -> Result<(), EgressError> {
        let unusable =
            |why: &str| EgressError::refused("egress.query", format!("a request cannot be authenticated: {why}"));
        let own = Query::read(request.uri().query()).map_err(unusable)?;
        let added = Query::read(Some(self.query.expose())).map_err(unusable)?;
        if let Some((name, _)) = added.0.iter().find(|(name, _)| own.value(name).is_some()) {
            return Err(unusable(&format!("the connector sets the parameter `{name}`, which the host adds")));
        }
        let before = request.uri().query().map_or_else(String::new, |own| format!("{own}&"));
        let whole = SecretText::new(format!("{}?{before}{}", request.uri().path(), self.query.expose()));
        let mut parts = request.uri().clone().into_parts();
        let too_long = |_| unusable("its query is too long");
        parts.path_and_query = Some(PathAndQuery::try_from(whole.expose()).map_err(too_long)?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| unusable("its address is too long"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAS: &str = "?sv=2022-11-02&ss=b&srt=co&sp=rwdl&se=2026-12-01T00:00:00Z&spr=https&sig=Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA%2BabcdefgHIJ%3D";

    fn added(query: &str, request: &str) -> Result<String, String> {
        let added = Added::signed(query, "test", &Masker::default()).map_err(str::to_owned)?;
        let mut request = http::Request::get(request).body(()).unwrap();
        added.add_to(&mut request).map_err(|error| error.to_string())?;
        Ok(request.uri().to_string())
    }

    #[test]
    fn a_signed_query_is_joined_to_that_of_the_request() {
        let plain = SAS.trim_start_matches('?');
        assert_eq!(added(SAS, "https://h/c/a%20b").unwrap(), format!("https://h/c/a%20b?{plain}"));
        assert_eq!(
            added(plain, "https://h/c?comp=list&prefix=a").unwrap(),
            format!("https://h/c?comp=list&prefix=a&{plain}")
        );
        assert_eq!(added(SAS, "https://h").unwrap(), format!("https://h/?{plain}"));
    }

    #[test]
    fn a_parameter_is_set_by_the_connector_or_by_the_host() {
        let refused = added(SAS, "https://h/c?sp=r").unwrap_err();
        assert!(refused.contains("`sp`") && !refused.contains("Zm9v"), "{refused}");
    }

    #[test]
    fn what_is_no_query_is_refused_and_not_repeated() {
        for wrong in ["", "?", "hunter2hunter2 x", "sig=hunter2+", "sig=hunter2&sig=hunter2", "https://h/?sig=hunter2"]
        {
            let refused = added(wrong, "https://h/").unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn what_proves_is_masked_in_both_forms_and_dates_are_not() {
        let masker = Masker::default();
        Added::signed(SAS, "test", &masker).unwrap();
        let text = "sig=Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA%2BabcdefgHIJ%3D Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA+abcdefgHIJ= 2026-12-01T00:00:00Z";
        assert_eq!(masker.mask(text.to_owned()), "sig=*** *** 2026-12-01T00:00:00Z");
        Added::of(&[("key", "a secret/with signs".to_owned())], "test", &masker).unwrap();
        assert_eq!(masker.mask("key=a%20secret%2Fwith%20signs".to_owned()), "key=***");
    }
}
