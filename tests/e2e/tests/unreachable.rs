//! Servers that cannot be reached as the settings say: told at once, with what to do, and not waited for.

use anyhow::{Result, ensure};
use credenza_e2e::wrong_server::{Manner, WrongServer, authority_file};
use credenza_e2e::{Outcome, Report, Setup};

/// What a server without TLS says to the first bytes of TLS.
const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// What a server with TLS may say to a request without (nginx, AWS).
const ONLY_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n\
    <html><body>The plain HTTP request was sent to HTTPS port</body></html>";
const PROXY_WANTS_PASSWORD: &[u8] =
    b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const PROXY_REFUSES: &[u8] = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Lists a bucket of that server.
fn browse(setup: &Setup, server: &str, settings: &[&str]) -> Result<Outcome> {
    let location = format!("s3://{server}/bucket");
    let keys = ["access_key=KEY", "secret_access_key=SECRET"];
    let settings = settings.iter().chain(&keys).flat_map(|setting| ["-o", *setting]);
    setup.credenza.run(["-v", "browse", &location].into_iter().chain(settings).map(str::to_owned))
}

/// How often it was said that a call is made again.
fn repeats(outcome: &Outcome) -> usize {
    outcome.stderr.lines().filter(|line| line.contains("trying again")).count()
}

fn told_at_once(outcome: Outcome, words: &[&str]) -> Result<Outcome> {
    let outcome = outcome.expect_code(1)?;
    for words in words {
        ensure!(outcome.stderr.contains(words), "`{words}` is missing\n{}", outcome.whole());
    }
    ensure!(!outcome.stderr.contains("may succeed later"), "it sends a person to wait\n{}", outcome.whole());
    Ok(outcome)
}

/// What it is, how the server behaves, the settings, what is said, and how often the server is asked.
type Case<'a> = (&'a str, Manner, Vec<&'a str>, &'a [&'a str], usize);

#[test]
fn a_server_that_the_settings_do_not_fit_is_asked_once_and_told_with_what_to_do() {
    let trusted = format!("ca_file={}", authority_file().display());
    let other = authority_file().with_file_name("of-another.pem");
    let untrusted = format!("ca_file={}", other.display());
    let cases: [Case<'_>; 7] = [
        (
            "TLS to a server without",
            Manner::Answers(NO_TLS),
            vec!["use_tls=true", &trusted],
            &["speaks no TLS", "use_tls=false"],
            1,
        ),
        (
            "TLS to a server that closes, as one may that is just starting",
            Manner::Answers(b""),
            vec!["use_tls=true", &trusted],
            &["speaks no TLS", "use_tls=false"],
            2,
        ),
        (
            "HTTP to a server with TLS that answers in TLS",
            Manner::Tls("good.pem"),
            vec!["use_tls=false"],
            &["does not answer in HTTP", "use_tls=true"],
            1,
        ),
        (
            "HTTP to a server with TLS that answers in HTTP",
            Manner::Answers(ONLY_TLS),
            vec!["use_tls=false"],
            &["status 400", "use_tls=true"],
            1,
        ),
        (
            "a certificate that nobody trusts",
            Manner::Tls("good.pem"),
            vec![&untrusted],
            &["an authority that is not trusted", "set ca_file"],
            1,
        ),
        ("a certificate that has expired", Manner::Tls("expired.pem"), vec![&trusted], &["expired", "2021-01-01"], 1),
        (
            "a certificate of another name",
            Manner::Tls("of-another.pem"),
            vec![&trusted],
            &["is for another name", "elsewhere.example"],
            1,
        ),
    ];
    let mut report = Report::default();
    for (name, manner, settings, words, looks) in cases {
        report.scenario(name, || {
            let (setup, server) = (Setup::new()?, WrongServer::start(manner)?);
            let outcome = told_at_once(browse(&setup, &server.authority(), &settings)?, words)?;
            ensure!(outcome.stderr.contains(&server.authority()), "{}", outcome.whole());
            ensure!(server.taken() == looks, "{} connections\n{}", server.taken(), outcome.whole());
            Ok(())
        });
    }
    report.finish();
}

#[test]
fn a_server_that_is_not_there_is_looked_for_twice() {
    let mut report = Report::default();
    report.scenario("a port that is refused", || {
        let setup = Setup::new()?;
        // A port that no server is ever given by the system.
        let outcome = browse(&setup, "127.0.0.1:1", &["use_tls=false"])?;
        let outcome = told_at_once(outcome, &["127.0.0.1:1 refuses connections", "twice", "check host and port"])?;
        ensure!(repeats(&outcome) == 1, "{}", outcome.whole());
        Ok(())
    });
    report.scenario("a host that does not exist", || {
        let setup = Setup::new()?;
        let outcome = browse(&setup, "nobody.invalid:9000", &["use_tls=false"])?;
        let outcome = told_at_once(outcome, &["nobody.invalid is the name of no server", "twice"])?;
        ensure!(repeats(&outcome) == 1, "{}", outcome.whole());
        Ok(())
    });
    report.finish();
}

#[test]
fn what_is_waited_for_is_told_with_its_cause_and_the_time_of_the_next_try() -> Result<()> {
    let setup = Setup::new()?;
    let reported = browse(&setup, "127.0.0.1:1", &["use_tls=false"])?.expect_code(1)?;
    let waiting: Vec<&str> = reported.stderr.lines().filter(|line| line.starts_with("waiting: ")).collect();
    ensure!(waiting.len() == 1, "{}", reported.whole());
    ensure!(
        waiting[0].contains("127.0.0.1:1 refuses connections") && waiting[0].ends_with("; try 2 in 2 s"),
        "{waiting:?}"
    );
    let words = ["--json", "browse", "s3://127.0.0.1:1/bucket", "-o", "use_tls=false", "-o", "anonymous=true"];
    let reported = setup.credenza.run(words)?.expect_code(1)?;
    let lines = reported.lines_of("waiting")?;
    ensure!(lines.len() == 1 && lines[0]["reason"] == "connect" && lines[0]["tries"] == 1, "{}", reported.whole());
    ensure!(lines[0]["next_in_ms"].as_u64().is_some_and(|ms| ms.div_ceil(1000) == 2), "{}", reported.whole());
    Ok(())
}

#[test]
fn a_proxy_that_refuses_is_named() {
    let mut report = Report::default();
    report.scenario("one that wants a password, for a tunnel", || {
        let (setup, proxy) = (Setup::new()?, WrongServer::start(Manner::Answers(PROXY_WANTS_PASSWORD))?);
        let reported = format!("proxy=http://{}", proxy.authority());
        let trusted = format!("ca_file={}", authority_file().display());
        let outcome = browse(&setup, "s3.example.com", &[&reported, &trusted])?;
        let outcome = told_at_once(outcome, &[&proxy.authority(), "user and password"])?;
        ensure!(proxy.taken() == 1, "{} connections\n{}", proxy.taken(), outcome.whole());
        Ok(())
    });
    report.scenario("one that wants a password, for a request", || {
        let (setup, proxy) = (Setup::new()?, WrongServer::start(Manner::Answers(PROXY_WANTS_PASSWORD))?);
        let reported = format!("proxy=http://{}", proxy.authority());
        let outcome = browse(&setup, "s3.example.com", &[&reported, "use_tls=false"])?;
        let outcome = told_at_once(outcome, &[&proxy.authority(), "user and password"])?;
        ensure!(proxy.taken() == 1, "{} connections\n{}", proxy.taken(), outcome.whole());
        Ok(())
    });
    report.scenario("one that opens no tunnel", || {
        let (setup, proxy) = (Setup::new()?, WrongServer::start(Manner::Answers(PROXY_REFUSES))?);
        let reported = format!("proxy=http://{}", proxy.authority());
        let trusted = format!("ca_file={}", authority_file().display());
        let outcome = browse(&setup, "s3.example.com", &[&reported, &trusted])?;
        let outcome = told_at_once(outcome, &[&proxy.authority(), "s3.example.com", "twice"])?;
        ensure!(proxy.taken() == 2, "{} connections\n{}", proxy.taken(), outcome.whole());
        Ok(())
    });
    report.scenario("one that is not there", || {
        let setup = Setup::new()?;
        let outcome = browse(&setup, "s3.example.com", &["proxy=http://127.0.0.1:1", "use_tls=false"])?;
        let outcome = told_at_once(outcome, &["proxy http://127.0.0.1:1", "twice"])?;
        ensure!(repeats(&outcome) == 1, "{}", outcome.whole());
        Ok(())
    });
    report.finish();
}

#[test]
fn no_command_waits_for_a_server_that_is_not_there() {
    let mut report = Report::default();
    let commands: [(&str, &[&str]); 6] = [
        ("create", &["at", "@gone", "create"]),
        ("ls", &["at", "@gone", "ls"]),
        ("backup into it", &["at", "@gone", "backup", "."]),
        ("backup of it", &["backup", "@gone"]),
        ("restore to it", &["restore", "latest", "--to", "@gone"]),
        ("sync", &["sync", "to", "@gone"]),
    ];
    for (name, command) in commands {
        report.scenario(name, || {
            let setup = Setup::with_local_repository()?;
            for kind in ["repository", "source", "destination"] {
                let settings = ["access_key=KEY", "secret_access_key=SECRET", "use_tls=false"];
                let words = [kind, "add", "gone", "s3://127.0.0.1:1/bucket"];
                setup.credenza.ok(words.into_iter().chain(settings))?;
            }
            std::fs::create_dir(setup.path("folder"))?;
            for number in 0..40 {
                std::fs::write(setup.path("folder").join(number.to_string()), number.to_string())?;
            }
            setup.backup(&setup.path("folder").to_string_lossy())?;
            let outcome = setup.credenza.run(["-v"].iter().chain(command))?;
            let outcome = told_at_once(outcome, &["127.0.0.1:1 refuses connections"])?;
            // What goes on side by side is tried again side by side.
            ensure!(repeats(&outcome) <= 32, "{} repeats\n{}", repeats(&outcome), outcome.whole());
            Ok(())
        });
    }
    report.finish();
}
