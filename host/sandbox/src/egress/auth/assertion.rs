//! What the key of a service account signs to get a token: an assertion (RFC 7523) in the form of RFC 7515, with RSA and SHA-256.

use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use credenza_model::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::settings::SecretText;

/// Servers take no assertion for longer.
const LIFE: Duration = Duration::from_secs(3600);

/// The key of a service account.
pub(crate) struct ServiceKey {
    email: String,
    id: Option<String>,
    key: RsaKeyPair,
}

/// The document in which a provider hands out a key; what else is in it does not count, the address of a token server neither: the manifest says
/// where credentials go.
#[derive(Deserialize)]
struct Document {
    client_email: String,
    private_key_id: Option<String>,
    private_key: String,
}

impl ServiceKey {
    /// Reads the document of a key.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence; it is not repeated.
    pub(super) fn read(document: &str) -> Result<Self, &'static str> {
        let document: Document = serde_json::from_str(document)
            .map_err(|_| "is no JSON document with `client_email` and `private_key`, as the provider hands it out")?;
        let pem = Zeroizing::new(document.private_key);
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| "has a `private_key` that is not PKCS #8 in PEM form")?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|_| "has a `private_key` that is no RSA key of 2,048 bits or more")?;
        Ok(Self { email: document.client_email, id: document.private_key_id, key })
    }

    /// An assertion for a server.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub(super) fn assertion(&self, server: &str, scope: &str, now: SystemTime) -> Result<SecretText, &'static str> {
        let seconds = |time: SystemTime| Timestamp::from_system(time).seconds;
        let mut head = serde_json::json!({ "alg": "RS256", "typ": "JWT" });
        if let (Some(id), Some(head)) = (&self.id, head.as_object_mut()) {
            head.insert("kid".to_owned(), id.as_str().into());
        }
        let end = now.checked_add(LIFE).ok_or("cannot sign for so late a time")?;
        let mut claims =
            serde_json::json!({ "iss": self.email, "aud": server, "iat": seconds(now), "exp": seconds(end) });
        if let Some(claims) = claims.as_object_mut().filter(|_| !scope.is_empty()) {
            claims.insert("scope".to_owned(), scope.into());
        }
        let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        self.signed(&format!("{}.{}", part(&head), part(&claims)))
    }

    fn signed(&self, text: &str) -> Result<SecretText, &'static str> {
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| "cannot sign here")?;
        Ok(SecretText::new(format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// The key of RFC 7515, appendix A.2, in the document of a provider.
    const DOCUMENT: &str = include_str!("../../../tests/support/service-account.json");

    #[test]
    fn the_published_example_gets_its_published_signature() {
        let text = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let signed = ServiceKey::read(DOCUMENT).unwrap().signed(text).unwrap();
        assert_eq!(signed.expose(), format!("{text}.{signature}"));
    }

    #[test]
    fn an_assertion_says_who_asks_whom_for_what_and_until_when() {
        let key = ServiceKey::read(DOCUMENT).unwrap();
        let assertion = key.assertion("https://h/token", "read write", UNIX_EPOCH + Duration::from_secs(1000)).unwrap();
        let part = |index: usize| {
            let part = assertion.expose().split('.').nth(index).unwrap().to_owned();
            String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(part(0), r#"{"alg":"RS256","kid":"key-1","typ":"JWT"}"#);
        let claims = r#"{"aud":"https://h/token","exp":4600,"iat":1000,"iss":"backup@example.iam.gserviceaccount.com","scope":"read write"}"#;
        assert_eq!(part(1), claims);
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let broken = DOCUMENT.replace("PRIVATE KEY", "HUNTER2 KEY");
        for wrong in ["hunter2", "{}", r#"{"client_email": "a", "private_key": "hunter2"}"#, &broken] {
            let refused = ServiceKey::read(wrong).err().unwrap();
            assert!(!refused.to_lowercase().contains("hunter2"), "{refused}");
        }
    }
}
