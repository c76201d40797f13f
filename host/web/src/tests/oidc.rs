//! Logging in at an identity provider: a stand-in on this machine that signs what a test wants.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use credenza_app::users::Role;
use credenza_engine::Clock;
use http::header::{LOCATION, SET_COOKIE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{OUTSIDE, Page, Stand};
use crate::form::{Fields, encode};
use crate::oidc::{LOGIN_MAX, Provider};
use crate::reach::{Others, Reach, Way};

const CLIENT: &str = "credenza page";
const SECRET: &str = "a secret: with %";
const NAME: &str = "ana@example.com";

/// What the provider remembers of a login: the nonce and the challenge.
type Logins = HashMap<String, (String, String)>;

/// What becomes of the claims, and of the token that has them.
type Claims = Box<dyn Fn(&mut Value) + Send>;
type Forgery = Box<dyn Fn(String) -> String + Send>;

/// An identity provider that lets everybody in, and says of them what it is told to.
struct StandIn {
    issuer: String,
    key: EcdsaKeyPair,
    /// In seconds, as the page has it, whose clock stands.
    now: AtomicI64,
    logins: Mutex<Logins>,
    /// Changes the claims, and then the token.
    claims: Mutex<Claims>,
    token: Mutex<Forgery>,
}

impl StandIn {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let provider = Arc::new(Self {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            key,
            now: AtomicI64::default(),
            logins: Mutex::default(),
            claims: Mutex::new(Box::new(|_| ())),
            token: Mutex::new(Box::new(|token| token)),
        });
        let serving = Arc::clone(&provider);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = Arc::clone(&serving);
                let answering = service_fn(move |request| {
                    let provider = Arc::clone(&provider);
                    async move { Ok::<_, std::convert::Infallible>(provider.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answering));
            }
        });
        provider
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let form = Fields::parse(&body.collect().await.unwrap().to_bytes());
        let answer = match head.uri.path() {
            "/.well-known/openid-configuration" => json!({
                "issuer": self.issuer,
                "authorization_endpoint": format!("{}/authorize", self.issuer),
                "token_endpoint": format!("{}/token", self.issuer),
                "jwks_uri": format!("{}/keys", self.issuer),
                "end_session_endpoint": format!("{}/logout?x=1", self.issuer),
            }),
            "/keys" => {
                let point = self.key.public_key().as_ref();
                let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
                json!({ "keys": [{ "kty": "oct", "k": "x" }, { "kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "x": x, "y": y }] })
            }
            "/token" => match self.token(&form, head.headers.get("authorization").map(|proof| proof.to_str().unwrap()))
            {
                Some(token) => json!({ "access_token": "x", "token_type": "Bearer", "id_token": token }),
                None => return status(StatusCode::BAD_REQUEST),
            },
            _ => return status(StatusCode::NOT_FOUND),
        };
        Response::new(Full::from(answer.to_string()))
    }

    /// A code is used once, by the client that proves itself and the browser that has begun.
    fn token(&self, form: &Fields, proof: Option<&str>) -> Option<String> {
        let expected = base64::engine::general_purpose::STANDARD.encode("credenza%20page:a%20secret%3A%20with%20%25");
        let (nonce, challenge) = self.logins.lock().unwrap().remove(&form.text("code"))?;
        let verifier = form.text("code_verifier");
        let made = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()));
        let is_right = proof == Some(&format!("Basic {expected}")) && made == challenge;
        let is_whole = form.text("redirect_uri") == format!("https://{OUTSIDE}/login/oidc/callback");
        (is_right && is_whole).then(|| self.signed(&nonce))
    }

    fn signed(&self, nonce: &str) -> String {
        let now = self.now.load(Ordering::SeqCst);
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "sub": "7", "nonce": nonce, "iat": now, "exp": now + 300,
            "email": NAME, "email_verified": true,
        });
        self.claims.lock().unwrap()(&mut claims);
        let signed = [json!({ "alg": "ES256", "kid": "1" }), claims]
            .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()))
            .join(".");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        self.token.lock().unwrap()(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What a browser does there: it is let in, and sent back with a code.
    fn let_in(&self, href: &str) -> (String, String) {
        let query = Fields::parse(href.split_once('?').unwrap().1.as_bytes());
        assert_eq!(
            (query.text("client_id"), query.text("code_challenge_method")),
            (CLIENT.to_owned(), "S256".to_owned())
        );
        let code = format!("code of {}", query.text("state"));
        let login = (query.text("nonce"), query.text("code_challenge"));
        self.logins.lock().unwrap().insert(code.clone(), login);
        (code, query.text("state"))
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn stand(provider: &StandIn) -> Stand {
    let stand = stand_at(&provider.issuer);
    provider.now.store(stand.clock.now().wall.seconds, Ordering::SeqCst);
    stand
}

fn stand_at(issuer: &str) -> Stand {
    let provider = Provider {
        issuer: issuer.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(SECRET.as_bytes().to_vec().into()),
        claim: "email".to_owned(),
    };
    let reach =
        Reach::Others(Others { hosts: vec![OUTSIDE.to_owned()], way: Way::Proxy(None), provider: Some(provider) });
    Stand::outside(&reach, |users| users.add(NAME, Role::Viewer, None))
}

impl Stand {
    /// A login that has come back from the provider: what the browser sends on. Its cookie is kept.
    async fn back(&mut self, provider: &StandIn) -> String {
        let page = self.post("/login/oidc", "").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        self.cookie = page.header(SET_COOKIE.as_str()).split(';').next().map(str::to_owned);
        assert!(page.header(SET_COOKIE.as_str()).contains("; Max-Age=600; Path=/; HttpOnly; SameSite=Strict; Secure"));
        let (code, state) = provider.let_in(&page.link("/authorize?"));
        let back = format!("code={}&state={state}&iss={}", encode(code.as_bytes()), encode(provider.issuer.as_bytes()));
        // The way back itself lets nobody in.
        let page = self.page(&format!("/login/oidc/callback?{back}")).await;
        assert!(page.text().contains("action=\"/login/oidc/finish\"") && !page.headers.contains_key(SET_COOKIE));
        back
    }

    async fn finish(&self, back: &str) -> Page {
        self.post("/login/oidc/finish", back).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_for_whom_the_identity_provider_vouches_is_let_in_once() {
    let provider = StandIn::start().await;
    let mut stand = stand(&provider);
    assert!(stand.get("/").await.text().contains("action=\"/login/oidc\""), "the form offers it");
    let back = stand.back(&provider).await;
    let entered = stand.finish(&back).await;
    assert_eq!((entered.status, entered.header(LOCATION.as_str())), (StatusCode::SEE_OTHER, "/"), "{}", entered.text());
    assert_eq!(stand.finish(&back).await.status, StatusCode::BAD_GATEWAY, "a code is used once");
    stand.cookie = entered.header(SET_COOKIE.as_str()).split(';').next().map(str::to_owned);
    let page = stand.page("/").await;
    assert!(page.text().contains("ana@example.com, viewer"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_another_browser_has_begun_is_refused_and_so_is_one_that_is_late() {
    let provider = StandIn::start().await;
    let mut stand = stand(&provider);
    let first = stand.back(&provider).await;
    let own = stand.cookie.clone();
    let second = stand.back(&provider).await;
    let refused = stand.finish(&first).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.text().contains("this browser has begun no such login") && refused.text().contains("href=\"/login\""),
        "{}",
        refused.text()
    );
    stand.cookie = None;
    assert_eq!(stand.finish(&second).await.status, StatusCode::FORBIDDEN, "without its cookie");
    stand.cookie = own;
    for wrong in ["", "code=x&state=x", "state=&code=", &first.replace("&iss=http", "&iss=https")] {
        assert_ne!(stand.finish(wrong).await.status, StatusCode::SEE_OTHER, "{wrong}");
    }
    let denied = stand.finish(&format!("{first}&error=access_denied")).await;
    assert!(denied.text().contains("has refused: access_denied"), "{}", denied.text());
    stand.clock.advance(LOGIN_MAX);
    assert_eq!(stand.finish(&first).await.status, StatusCode::FORBIDDEN, "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_hold_lets_nobody_in() {
    let provider = StandIn::start().await;
    let mut stand = stand(&provider);
    type Change = (&'static str, Value, &'static str);
    let now = provider.now.load(Ordering::SeqCst);
    let changes: [Change; 13] = [
        ("iss", json!("https://evil.example"), "its `iss` is not"),
        ("aud", json!("another"), "its `aud` is not"),
        ("aud", json!([CLIENT, "another"]), "its `azp` is not"),
        ("azp", json!("another"), "its `azp` is not"),
        ("nonce", json!("another"), "its `nonce` is not"),
        ("nonce", Value::Null, "its `nonce` is not"),
        ("sub", json!(""), "its `sub` is not"),
        ("exp", json!(now - 61), "not of this time"),
        ("exp", Value::Null, "not of this time"),
        ("iat", json!(now + 3600), "not of this time"),
        ("nbf", json!(now + 3600), "not of this time"),
        ("email_verified", json!(false), "has not verified it"),
        ("email", json!("bo@example.com"), "is no user of this page"),
    ];
    for (claim, value, why) in changes {
        *provider.claims.lock().unwrap() = Box::new(move |claims| claims[claim] = value.clone());
        let back = stand.back(&provider).await;
        let page = stand.finish(&back).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{claim}");
        assert!(page.text().contains(why), "{claim}, {why}: {}", page.text());
    }
    *provider.claims.lock().unwrap() = Box::new(|_| ());
    let forge = |header: &'static str, signature: &'static str| {
        move |token: String| {
            let body = token.split('.').nth(1).unwrap().to_owned();
            format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode(header))
        }
    };
    let forgeries: [(Forgery, &str); 5] = [
        (Box::new(forge(r#"{"alg":"none"}"#, "")), "signed by `none`"),
        (Box::new(forge(r#"{"alg":"HS256"}"#, "AAAA")), "signed by `HS256`"),
        (Box::new(forge(r#"{"alg":"ES256","kid":"1"}"#, "AAAA")), "no key of the provider"),
        (Box::new(|token| token.replace('.', "")), "no signed token"),
        (Box::new(|token| format!("{}A{}", &token[..40], &token[41..])), ""),
    ];
    for (forgery, why) in forgeries {
        *provider.token.lock().unwrap() = forgery;
        let back = stand.back(&provider).await;
        let page = stand.finish(&back).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{why}");
        assert!(page.text().contains(why), "{why}: {}", page.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_said_with_the_way_back() {
    // Nothing listens at the first port.
    let stand = stand_at("http://127.0.0.1:1");
    let page = stand.post("/login/oidc", "").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(page.text().contains("cannot be reached") && page.text().contains("href=\"/login\""), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_led_to_leave_the_identity_provider_too() {
    let provider = StandIn::start().await;
    let mut stand = stand(&provider);
    let back = stand.back(&provider).await;
    let entered = stand.finish(&back).await;
    stand.cookie = entered.header(SET_COOKIE.as_str()).split(';').next().map(str::to_owned);
    let token = stand.token().await;
    let left = stand.post("/leave", &format!("token={token}")).await;
    assert!(left.text().contains("You have left"), "{}", left.text());
    assert_eq!(left.link("/logout"), format!("{}/logout?x=1&client_id=credenza%20page", provider.issuer));
    assert_eq!(stand.get("/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_failed_are_on_the_log_once_a_minute_with_their_number() {
    let provider = StandIn::start().await;
    let mut stand = stand(&provider);
    let back = stand.back(&provider).await;
    let refusals = |stand: &Stand| {
        let log = stand.site.activity.newest(100).unwrap();
        log.into_iter().filter_map(|entry| entry.result).collect::<Vec<_>>()
    };
    let denied = format!("{back}&error=access_denied");
    for _ in 0..4 {
        stand.finish(&denied).await;
    }
    assert_eq!(refusals(&stand), ["the identity provider has refused: access_denied"]);
    stand.clock.advance(std::time::Duration::from_mins(1));
    stand.finish(&denied).await;
    let said = refusals(&stand);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].ends_with("3 attempts more since the one before"), "{said:?}");
}
