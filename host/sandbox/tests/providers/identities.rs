//! How machines and services prove who they are without a password: the connectors with their own manifests, against servers that hand out tokens in the
//! shapes of the providers, and a service that takes nothing but that token.
//!
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>,
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
//! <https://cloud.google.com/compute/docs/access/authenticate-workloads>, <https://developers.google.com/identity/protocols/oauth2/service-account>.

#![allow(clippy::indexing_slicing, reason = "a field that is missing is a failed test")]

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use credenza_connect::{Batches, Found, ScanOptions};
use credenza_sandbox::Role;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::bed::Component;
use super::script::{Answer, Asked, Server};

const TOKEN: &str = "a-token-of-the-provider";
const SERVICE_ACCOUNT: &str = include_str!("../support/service-account.json");

fn header<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn fields(asked: &Asked) -> Vec<String> {
    String::from_utf8(asked.body.clone()).unwrap().split('&').map(str::to_owned).collect()
}

/// A server that hands the token out to who asks as the provider wants it, and to nobody else.
async fn tokens(token: Value, is_right: fn(&Asked) -> bool) -> Server {
    Server::start(move |asked, _| match is_right(asked) {
        true => Answer::ok(token.to_string().as_bytes()),
        false => Answer { status: 400, ..Answer::ok(br#"{"error":"invalid_request"}"#) },
    })
    .await
}

/// A service with one object, `hello.txt`, that lets in whoever has the token.
async fn service(kind: &'static str, listing: impl Into<Vec<u8>>) -> Server {
    let listing = listing.into();
    Server::start(move |asked, _| match header(asked, "authorization") == Some(&format!("Bearer {TOKEN}")) {
        true => Answer { headers: format!("content-type: {kind}\r\n"), ..Answer::ok(&listing) },
        false => Answer::status(401),
    })
    .await
}

async fn azure() -> Server {
    let blob = "<Name>hello.txt</Name><Properties><Last-Modified>Mon, 01 Jan 2024 00:00:00 GMT</Last-Modified><Etag>0x1</Etag><Content-Length>5</Content-Length><BlobType>BlockBlob</BlobType></Properties>";
    let listing = format!(
        "<?xml version=\"1.0\"?><EnumerationResults ContainerName=\"c\"><Blobs><Blob>{blob}</Blob></Blobs><NextMarker /></EnumerationResults>"
    );
    service("application/xml", listing).await
}

async fn google() -> Server {
    let object =
        json!({"name": "hello.txt", "generation": "1", "size": "5", "timeCreated": "2024-01-01T00:00:00.000Z"});
    service("application/json", json!({"kind": "storage#objects", "items": [object]}).to_string()).await
}

async fn listed(component: &'static str, settings: &[(&str, &str)]) -> Vec<String> {
    let source = Component::of(component).configured(&[Role::Source], settings).await.source().unwrap();
    let mut batches = Batches::new(source.scan(&ScanOptions::default()).await.unwrap());
    let mut keys = Vec::new();
    while let Some(batch) = batches.next(100).await.unwrap() {
        keys.extend(batch.into_iter().map(|found| match found {
            Found::Entry(entry) => entry.key.to_string(),
            Found::Skipped(skipped) => panic!("{skipped:?}"),
        }));
    }
    keys
}

#[tokio::test]
async fn a_machine_at_azure_proves_itself_by_its_managed_identity() {
    let token = json!({
        "access_token": TOKEN, "refresh_token": "", "expires_in": "3599", "expires_on": "1506484173", "not_before": "1506480273",
        "resource": "https://storage.azure.com/", "token_type": "Bearer",
    });
    let metadata = tokens(token, |asked| {
        let line = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F HTTP/1.1";
        asked.line() == line && header(asked, "metadata") == Some("true")
    })
    .await;
    let service = azure().await;
    let settings = [
        ("location", "azure://account/container"),
        ("host", service.address.as_str()),
        ("login", "machine"),
        ("metadata_host", &metadata.address),
    ];
    assert_eq!(listed("azure", &settings).await, ["hello.txt"]);
    assert_eq!(metadata.asked().len(), 1);
}

#[tokio::test]
async fn an_application_of_entra_proves_itself_by_its_secret() {
    let token = json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": TOKEN});
    let authority = tokens(token, |asked| {
        let expected = [
            "grant_type=client_credentials",
            "client_id=11111111-2222-3333-4444-555555555555",
            "client_secret=an%7Eapplication%2Fsecret",
            "scope=https%3A%2F%2Fstorage.azure.com%2F.default",
        ];
        let found: Vec<String> = fields(asked).iter().map(|field| field.replace('~', "%7E")).collect();
        asked.line() == "POST /contoso.onmicrosoft.com/oauth2/v2.0/token HTTP/1.1" && found == expected
    })
    .await;
    let service = azure().await;
    let settings = [
        ("location", "azure://account/container"),
        ("host", service.address.as_str()),
        ("login", "entra"),
        ("authority", &authority.address),
        ("tenant", "contoso.onmicrosoft.com"),
        ("client_id", "11111111-2222-3333-4444-555555555555"),
        ("client_secret", "an~application/secret"),
    ];
    assert_eq!(listed("azure", &settings).await, ["hello.txt"]);
}

#[tokio::test]
async fn a_machine_at_google_proves_itself_by_its_metadata_server() {
    let token = json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"});
    let metadata = tokens(token, |asked| {
        let line = "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1";
        asked.line() == line && header(asked, "metadata-flavor") == Some("Google")
    })
    .await;
    let service = google().await;
    let settings = [
        ("location", "gs://bucket"),
        ("host", service.address.as_str()),
        ("login", "machine"),
        ("metadata_host", &metadata.address),
    ];
    assert_eq!(listed("gcs", &settings).await, ["hello.txt"]);
}

/// Whether an assertion says who asks whom for what, and is signed by the key of the service account.
fn is_signed(assertion: &str, server: &str) -> bool {
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let document: Value = serde_json::from_str(SERVICE_ACCOUNT).unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(document["private_key"].as_str().unwrap().as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    claims["iss"] == document["client_email"]
        && claims["aud"] == format!("http://{server}/token")
        && claims["scope"] == "https://www.googleapis.com/auth/devstorage.read_write"
        && life <= 3600
        && public.verify(signed.as_bytes(), &signature).is_ok()
}

#[tokio::test]
async fn a_service_account_at_google_proves_itself_by_a_signed_assertion() {
    let token = json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"});
    let server = tokens(token, |asked| {
        let (fields, host) = (fields(asked), header(asked, "host").unwrap_or_default());
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        let assertion = fields.get(1).and_then(|field| field.strip_prefix("assertion="));
        asked.line() == "POST /token HTTP/1.1"
            && fields.first().is_some_and(|field| field == grant)
            && assertion.is_some_and(|assertion| is_signed(assertion, host))
    })
    .await;
    let service = google().await;
    let settings = [
        ("location", "gs://bucket"),
        ("host", service.address.as_str()),
        ("token_host", &server.address),
        ("key", SERVICE_ACCOUNT),
    ];
    assert_eq!(listed("gcs", &settings).await, ["hello.txt"]);
}
