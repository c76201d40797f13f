//! `login`: a code, a browser that is elsewhere, and a refresh token in the configuration; and the backup that works with it.

#![allow(clippy::indexing_slicing, reason = "what fails here is a failed test")]
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use credenza_e2e::{Setup, workspace};

/// The hostile guest, which behaves well here, with a login in its manifest.
fn component(manifest_has: &str) -> Vec<u8> {
    let path = workspace().join("tests/golden/components/hostile.wasm");
    let whole = std::fs::read(path).unwrap();
    let name = b"\x11credenza:manifest";
    let at = whole.windows(name.len()).rposition(|window| window == name).unwrap();
    let manifest = std::str::from_utf8(&whole[at + name.len()..]).unwrap();
    let bearer = r#"auth = { scheme = "bearer", token = "token" }"#;
    let manifest = manifest.replace(bearer, manifest_has) + "\n[secrets.refresh_token]\n";
    let manifest = manifest.replace(
        "[settings.behaviour]",
        "[settings.client]\ntype = \"string\"\ndefault = \"credenza\"\n[settings.behaviour]",
    );
    let before = whole[..at].iter().rposition(|byte| *byte == 0).unwrap();
    let length = name.len() + manifest.len();
    let digits = [length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8];
    [&whole[..=before], &digits, name, manifest.as_bytes()].concat()
}

fn oauth2() -> &'static str {
    r#"auth = { scheme = "oauth2", token_url = "http://{host}/token", grant = { type = "refresh-token", client_id = "client", refresh_token = "refresh_token", device_url = "http://{host}/device" } }"#
}

/// A server that begins logins and answers each question for a token with the next of these; bodies that it got.
fn serve(answers: &'static [(u16, &'static str)]) -> (String, Arc<Mutex<Vec<String>>>) {
    let mut answers = answers.iter();
    serve_by(move |_| answers.next().map_or((500, String::new()), |(status, text)| (*status, (*text).to_owned())))
}

/// What is answered to who asks for a token in these words.
type Tokens = dyn FnMut(&str) -> (u16, String) + Send;

/// A server that begins logins and answers each question for a token by a script; bodies that it got.
fn serve_by(mut tokens: impl FnMut(&str) -> (u16, String) + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away is reported nothing.
            let _ = answer(stream, &mut tokens, &log);
        }
    });
    (address, asked)
}

fn answer(mut stream: TcpStream, tokens: &mut Tokens, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    log.lock().unwrap().push(body.clone());
    let begun = r#"{"device_code":"a-device-code","user_code":"WDJB-MJHT","verification_uri":"https://example.com/device","expires_in":1800,"interval":0}"#;
    let (status, text) = if first.contains("/device") { (200, begun.to_owned()) } else { tokens(&body) };
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len())
}

const PENDING: (u16, &str) = (400, r#"{"error":"authorization_pending"}"#);
const TOKENS: (u16, &str) = (
    200,
    r#"{"access_token":"an-access-token","token_type":"Bearer","expires_in":3600,"refresh_token":"the-refresh-token"}"#,
);

/// A user with a source whose connector takes a login at that server.
fn user(address: &str, auth: &str) -> Setup {
    let setup = Setup::with_local_repository().unwrap();
    let file = setup.path("drive.wasm");
    std::fs::write(&file, component(auth)).unwrap();
    setup.credenza.ok(["connector", "install", &file.to_string_lossy(), "--yes"]).unwrap();
    let location = format!("hostile://{address}/well");
    setup.credenza.ok(["source", "add", "drive", &location, "use_tls=false"]).unwrap();
    setup
}

fn configuration(setup: &Setup) -> std::path::PathBuf {
    setup.path("user/config/config.toml")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_login_by_code_is_kept_as_a_secret_and_a_backup_works_with_it() {
    let (address, asked) = serve(&[PENDING, TOKENS, TOKENS]);
    let setup = user(&address, oauth2());
    let before = setup.credenza.run(["backup", "@drive"]).unwrap();
    assert!(before.code != Some(0) && before.stderr.contains("credenza login NAME"), "{}", before.whole());
    let done = setup.credenza.ok(["login", "drive"]).unwrap();
    for part in ["https://example.com/device", "WDJB-MJHT", "logged in: the source drive"] {
        assert!(done.stdout.contains(part), "{part}: {}", done.whole());
    }
    assert!(!done.whole().contains("the-refresh-token") && !done.whole().contains("a-device-code"), "{}", done.whole());
    let kept = std::fs::read_to_string(configuration(&setup)).unwrap();
    assert!(kept.contains("refresh_token = \"the-refresh-token\""), "{kept}");
    assert_eq!(mode(&configuration(&setup)), 0o600);
    let shown = setup.credenza.ok(["source", "show", "drive"]).unwrap().stdout;
    assert!(shown.contains("refresh_token = ***"), "{shown}");
    setup.credenza.ok(["backup", "@drive"]).unwrap();
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|body| body.contains("client_id=credenza")), "{asked:?}");
    assert_eq!(asked.iter().filter(|body| body.contains("device_code=a-device-code")).count(), 2, "{asked:?}");
}

#[test]
fn with_json_the_code_is_a_line_of_its_own_before_the_end() {
    let (address, _) = serve(&[TOKENS]);
    let setup = user(&address, oauth2());
    let lines = setup.credenza.ok(["--json", "login", "@drive", "--kind", "source"]).unwrap().lines().unwrap();
    assert_eq!((&lines[0]["type"], &lines[0]["user_code"]), (&"login".into(), &"WDJB-MJHT".into()));
    assert_eq!((&lines[1]["type"], &lines[1]["setting"]), (&"logged-in".into(), &"refresh_token".into()));
}

#[test]
fn a_login_that_fails_changes_nothing_and_says_what_to_do() {
    const DENIED: (u16, &str) = (400, r#"{"error":"access_denied"}"#);
    const WRONG: (u16, &str) = (401, r#"{"error":"invalid_client","error_description":"who is that?"}"#);
    for (answers, said) in
        [(&[PENDING, DENIED], "refused in the browser"), (&[PENDING, WRONG], "check the settings client")]
    {
        let (address, _) = serve(answers);
        let setup = user(&address, oauth2());
        let before = std::fs::read(configuration(&setup)).unwrap();
        let failed = setup.credenza.run(["login", "drive"]).unwrap().expect_code(1).unwrap();
        assert!(failed.stderr.contains(said), "{}", failed.whole());
        assert_eq!(std::fs::read(configuration(&setup)).unwrap(), before);
    }
}

#[test]
fn what_takes_no_login_is_told() {
    let (address, asked) = serve(&[]);
    let setup = user(&address, oauth2());
    let login =
        |words: &[&str]| setup.credenza.run([&["login"], words].concat()).unwrap().expect_code(2).unwrap().stderr;
    assert!(login(&["drve"]).contains("did you mean `drive`?"));
    assert!(login(&["drive", "--kind", "repository"]).contains("no repository `drive`"));
    setup.credenza.ok(["destination", "add", "drive", "/tmp/folder"]).unwrap();
    assert!(login(&["drive"]).contains("credenza login drive --kind source"));
    assert!(login(&["drive", "--kind", "destination"]).contains("is a folder"));
    let token = setup.path("token");
    std::fs::write(&token, "of-a-file").unwrap();
    let elsewhere = format!("refresh_token_file={}", token.display());
    setup.credenza.ok(["source", "set", "drive", &elsewhere]).unwrap();
    let reported = login(&["drive", "--kind", "source"]);
    assert!(reported.contains("credenza config source unset drive refresh_token_file"), "{reported}");
    let bearer = user(&address, r#"auth = { scheme = "bearer", token = "token" }"#);
    let reported = bearer.credenza.run(["login", "drive"]).unwrap().expect_code(2).unwrap().stderr;
    assert!(reported.contains("credenza connector inspect hostile"), "{reported}");
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn runs_at_the_same_time_renew_one_token_by_turns() {
    // Each refresh token counts once, as at servers that rotate them: who shows one twice has lost them all.
    let mut current = "the-first-token".to_owned();
    let mut rotated = 0;
    let (address, asked) = serve_by(move |body| {
        if !body.contains(&format!("refresh_token={current}&")) {
            return (400, r#"{"error":"invalid_grant"}"#.to_owned());
        }
        rotated += 1;
        current = format!("token-number-{rotated}");
        (200, format!(r#"{{"access_token":"an-access-token","expires_in":3600,"refresh_token":"{current}"}}"#))
    });
    let setup = user(&address, oauth2());
    setup.credenza.ok(["source", "set", "drive", "refresh_token=the-first-token"]).unwrap();
    let runs: Vec<_> = (0..3).map(|_| setup.credenza.start(["source", "check", "drive"]).unwrap()).collect();
    for run in runs {
        let done = run.wait().unwrap();
        assert!(done.stdout.contains("token server"), "{}", done.whole());
        assert!(!done.whole().contains("handed out no token"), "{}", done.whole());
    }
    let shown: Vec<String> =
        asked.lock().unwrap().iter().filter(|body| body.contains("refresh_token=")).cloned().collect();
    let different: std::collections::BTreeSet<&String> = shown.iter().collect();
    assert!(shown.len() >= 3 && different.len() == shown.len(), "{shown:?}");
    let kept: Vec<String> = std::fs::read_dir(setup.path("user/config/tokens"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .filter(|text| !text.is_empty())
        .collect();
    assert_eq!(kept, [format!("token-number-{}", shown.len())]);
}
