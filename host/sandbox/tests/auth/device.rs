//! Logging in by a code (RFC 8628), against servers that keep to the protocol and servers that do not.

use std::time::Duration;

use credenza_sandbox::{DeviceLogin, LoginError, Manifest, RawSettings, SecretText, SettingsError, Surroundings};

use super::super::support::{Answer, MANIFEST, Server};
use super::{egress_with_manifest, pairs};

const DEVICE: &str = r#"
[settings.token_host]
type = "string"
default = "localhost:1"
[settings.client_id]
type = "string"
default = "credenza-of-a-test"
[settings.by_key]
type = "boolean"
default = "false"
[secrets.client_secret]
[secrets.refresh_token]
[[endpoints.bucket.variants]]
when = { by_key = "false" }
auth = { scheme = "oauth2", token_url = "http://{token_host}/token", scope = "offline files", grant = { type = "refresh-token", client_id = "client_id", client_secret = "client_secret", refresh_token = "refresh_token", device_url = "http://{token_host}/device" } }
"#;

const BEGUN: &str = r#"{"device_code":"a-device-code","user_code":"WDJB-MJHT","verification_uri":"https://example.com/device","expires_in":1800,"interval":0}"#;
const TOKENS: &str = r#"{"access_token":"an-access-token","token_type":"Bearer","refresh_token":"a-refresh-token"}"#;

fn error(word: &str, status: u16) -> Answer {
    Answer {
        body: format!(r#"{{"error":"{word}","error_description":"as asked"}}"#).into_bytes(),
        ..Answer::status(status)
    }
}

/// A server that begins logins so, and answers questions for the token one after the other.
async fn server(begun: &str, answers: Vec<Answer>) -> Server {
    let begun = begun.to_owned();
    Server::start(move |asked, before| match asked.line() {
        "POST /device HTTP/1.1" => Answer::ok(begun.as_bytes()),
        _ => answers.get(before - 1).or(answers.last()).unwrap().clone(),
    })
    .await
}

fn raw(server: &str, more: &[(&str, &str)]) -> RawSettings {
    let given =
        [("location", "probe://localhost:1/photos"), ("token_host", server), ("client_secret", "a-client-secret")];
    given.iter().chain(more).map(|(name, text)| ((*name).to_owned(), SecretText::new(*text))).collect()
}

fn login(server: &Server) -> DeviceLogin {
    let manifest = Manifest::parse(&format!("{MANIFEST}{DEVICE}")).unwrap();
    DeviceLogin::new(&manifest, &raw(&server.address, &[]), &Surroundings::none()).unwrap()
}

async fn log_in(server: &Server) -> Result<SecretText, LoginError> {
    let login = login(server);
    login.finish(&login.begin().await?).await
}

#[tokio::test]
async fn a_login_shows_a_code_asks_until_it_is_entered_and_hands_out_the_refresh_token() {
    let server = server(
        BEGUN,
        vec![error("authorization_pending", 400), error("authorization_pending", 428), Answer::ok(TOKENS.as_bytes())],
    )
    .await;
    let login = login(&server);
    let code = login.begin().await.unwrap();
    assert_eq!((code.user_code.as_str(), code.verification_uri.as_str()), ("WDJB-MJHT", "https://example.com/device"));
    assert_eq!((code.expires_in, code.verification_uri_complete.is_none()), (Duration::from_secs(1800), true));
    assert!(!format!("{code:?}").contains("a-device-code"), "{code:?}");
    assert_eq!((login.secret(), login.finish(&code).await.unwrap().expose()), ("refresh_token", "a-refresh-token"));
    let asked: Vec<Vec<String>> = server.asked().iter().map(|asked| pairs(&asked.body)).collect();
    assert_eq!(asked[0], ["client_id=credenza-of-a-test", "scope=offline%20files"]);
    let question = [
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code",
        "device_code=a-device-code",
        "client_id=credenza-of-a-test",
        "client_secret=a-client-secret",
    ]
    .map(str::to_owned)
    .to_vec();
    assert_eq!((asked.len(), &asked[1], &asked[3]), (4, &question, &question));
}

#[tokio::test]
async fn each_way_in_which_a_login_fails_is_told_apart_and_ends_the_questions() {
    let short = BEGUN.replace("1800", "1");
    for (begun, answer, expected) in [
        (BEGUN, error("access_denied", 403), "refused in the browser"),
        (BEGUN, error("expired_token", 400), "nobody entered the code"),
        (BEGUN, error("invalid_client", 401), "it answered 401, `invalid_client: as asked`"),
        (BEGUN, Answer::status(404), "it answered 404"),
        (BEGUN, Answer::ok(br#"{"access_token":"x","token_type":"bearer"}"#), "no refresh token"),
        (short.as_str(), error("authorization_pending", 400), "nobody entered the code"),
        // Five seconds more than the code holds.
        (short.as_str(), error("slow_down", 400), "nobody entered the code"),
        (short.as_str(), Answer { claimed_length: Some(1000), ..Answer::ok(b"{") }, "could not be asked"),
    ] {
        let server = server(begun, vec![answer]).await;
        let failed = log_in(&server).await.unwrap_err().to_string();
        assert!(failed.contains(expected), "{expected}: {failed}");
        assert!(server.asked().len() <= 5, "{expected}: {} questions", server.asked().len());
    }
}

#[tokio::test]
async fn a_server_that_passes_nothing_on_for_a_moment_is_asked_again() {
    let server = server(BEGUN, vec![Answer::status(503), Answer::ok(TOKENS.as_bytes())]).await;
    assert_eq!(log_in(&server).await.unwrap().expose(), "a-refresh-token");
}

#[tokio::test]
async fn what_begins_no_login_is_refused_and_shows_no_secret() {
    for (answer, expected) in [
        (error("invalid_client", 401), "begins no login: it answered 401, `invalid_client"),
        (error("a-client-secret", 400), "`***: as asked`"),
        (Answer::ok(b"<html>"), "it holds no device code"),
        (Answer::ok(BEGUN.replace("WDJB-MJHT", "").as_bytes()), "it holds no code to enter"),
        (Answer::ok(BEGUN.replace("https:", "file:").as_bytes()), "it holds no address"),
        (Answer::ok(BEGUN.replace("WDJB", &"W".repeat(100)).as_bytes()), "it holds no code to enter"),
    ] {
        let server = Server::start(move |_, _| answer.clone()).await;
        let failed = login(&server).begin().await.unwrap_err().to_string();
        assert!(failed.contains(expected) && !failed.contains("a-client-secret"), "{expected}: {failed}");
    }
}

#[tokio::test]
async fn a_code_cannot_turn_a_terminal() {
    let server = server(&BEGUN.replace("WDJB", r"\u001b[2J"), vec![]).await;
    assert_eq!(login(&server).begin().await.unwrap().user_code, r"\u{1b}[2J-MJHT");
}

#[test]
fn settings_decide_whether_there_is_a_login_and_without_one_a_run_says_how() {
    let manifest = Manifest::parse(&format!("{MANIFEST}{DEVICE}")).unwrap();
    let made =
        |more: &[(&str, &str)]| DeviceLogin::new(&manifest, &raw("localhost:1", more), &Surroundings::none()).map(drop);
    assert_eq!(made(&[]), Ok(()));
    assert!(matches!(made(&[("by_key", "true")]), Err(LoginError::None { connector }) if connector == "probe"));
    let run = |more: &[(&str, &str)]| egress_with_manifest(&manifest, &raw("localhost:1", more), None).map(drop);
    let refused = run(&[]).unwrap_err();
    assert!(matches!(&refused, SettingsError::NotLoggedIn { secret, .. } if secret == "refresh_token"), "{refused}");
    assert!(refused.to_string().contains("credenza login NAME"), "{refused}");
    assert_eq!(run(&[("refresh_token", "a-refresh-token")]), Ok(()));
}
