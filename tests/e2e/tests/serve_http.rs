//! Snapshots by HTTP and WebDAV: the real binary, read by curl, unzip, tar and rclone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::front::Front;
use credenza_e2e::s3::{Endpoint, S3};
use credenza_e2e::{Report, Setup, snapshot_of, tree};

/// What curl got: the status, the headers in small letters, and the body.
struct Got {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Got {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn curl(words: &[&str]) -> Result<Got> {
    let headers = tempfile::NamedTempFile::new()?;
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--path-as-is", "--dump-header"])
        .arg(headers.path())
        .args(words)
        .output()
        .context("cannot run curl")?;
    let headers = fs::read_to_string(headers.path())?.to_lowercase();
    let status = headers.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Got { status, headers, body: output.stdout })
}

/// A request with the password.
fn get(front: &Front, path: &str, more: &[&str]) -> Result<Got> {
    let url = format!("{}{path}", front.text("endpoint").trim_end_matches('/'));
    let user = format!("{}:{}", front.text("user"), front.text("password"));
    curl(&[&["--user", &user, url.as_str()], more].concat())
}

fn source_of(setup: &Setup) -> Result<std::path::PathBuf> {
    let source = setup.path("source");
    fs::create_dir_all(source.join("folder/below"))?;
    fs::create_dir_all(source.join("hollow"))?;
    for (number, name) in
        (0..).zip(["plain", "sp ace", "pl+us", "per%cent", "<b>&amp;", "folder/ünïcode ☂", "folder/below/a&b=c?d#e"])
    {
        fs::write(source.join(name), tree::noise(number, 1000 + 300_000 * number))?;
    }
    fs::write(source.join("large"), tree::noise(9, 20_000_000))?;
    fs::write(source.join("empty"), "")?;
    Ok(source)
}

#[test]
fn a_browser_reads_what_is_served_and_nobody_else() {
    let mut report = Report::default();
    report.scenario("folders as pages, files with ranges, what is not there and what cannot be done", || {
        let setup = Setup::with_local_repository()?;
        let source = source_of(&setup)?;
        setup.backup(&source.to_string_lossy())?;
        let front = Front::start(&setup.credenza, &["http"])?;
        let top = get(&front, "/", &[])?;
        ensure!(top.status == 200 && top.text().contains("./latest/"), "{}", top.text());
        let page = get(&front, "/latest/", &[])?.text();
        for link in ["./sp%20ace", "./pl%2Bus", "./per%25cent", "./%3Cb%3E%26amp%3B", "./folder/"] {
            ensure!(page.contains(&format!("'{link}'")), "{link}: {page}");
        }
        ensure!(!page.contains("<b>"), "{page}");
        let bytes = tree::noise(9, 20_000_000);
        ensure!(get(&front, "/latest/large", &[])?.body == bytes);
        let part = get(&front, "/latest/large", &["--range", "1000000-1999999"])?;
        ensure!(part.status == 206 && part.body == bytes[1_000_000..2_000_000]);
        ensure!(part.headers.contains("content-range: bytes 1000000-1999999/20000000"), "{}", part.headers);
        ensure!(get(&front, "/latest/large", &["--range", "20000000-"])?.status == 416);
        let tag = part.headers.lines().find_map(|line| line.strip_prefix("etag: ")).context("a tag")?.to_owned();
        ensure!(get(&front, "/latest/large", &["--header", &format!("If-None-Match: {tag}")])?.status == 304);
        ensure!(get(&front, "/latest/large", &["--head"])?.headers.contains("content-length: 20000000"));
        ensure!(get(&front, "/latest/folder/%C3%BCn%C3%AFcode%20%E2%98%82", &[])?.body == tree::noise(5, 1_501_000));
        ensure!(get(&front, "/latest/folder", &[])?.headers.contains("location: /latest/folder/"));
        for (path, method, status) in [
            ("/latest/fil", "GET", 404),
            ("/latest/../../etc/passwd", "GET", 404),
            ("/latest/plain", "PUT", 405),
            ("/latest/plain", "DELETE", 405),
            ("/latest/", "PROPFIND", 405),
        ] {
            ensure!(get(&front, path, &["--request", method])?.status == status, "{method} {path}");
        }
        front.end()
    });
    report.scenario("whoever has no password, another name of the host, or a link that ended, stays out", || {
        let setup = Setup::with_local_repository()?;
        let source = source_of(&setup)?;
        setup.backup(&source.to_string_lossy())?;
        let front = Front::start(&setup.credenza, &["http", "latest"])?;
        let url = format!("{}/plain", front.text("endpoint"));
        ensure!(curl(&[&url])?.status == 401);
        ensure!(curl(&["--user", "credenza:0123", &url])?.status == 401);
        ensure!(get(&front, "/plain", &["--header", "Host: elsewhere.example"])?.status == 421);
        let link = get(&front, "/plain?link=600", &[])?.text().trim().to_owned();
        ensure!(curl(&[&link])?.body == tree::noise(0, 1000), "{link}");
        ensure!(curl(&[&link.replace("/plain", "/large")])?.status == 403);
        ensure!(curl(&[get(&front, "/plain?link=0", &[])?.text().trim()])?.status == 403);
        front.end()
    });
    report.finish();
}

#[test]
fn what_is_served_in_the_background_goes_on_until_it_is_killed() {
    let mut report = Report::default();
    report.scenario("the first process says how to reach it and how it ends; a failure is that of both", || {
        let setup = Setup::with_local_repository()?;
        let source = source_of(&setup)?;
        setup.backup(&source.to_string_lossy())?;
        let said = setup.credenza.ok(["--json", "serve", "http", "latest", "--daemon"])?.lines()?;
        let [serving, background] = said.as_slice() else { anyhow::bail!("{said:?}") };
        let pid = i32::try_from(background["pid"].as_i64().context("it has a process")?)?;
        let process = rustix::process::Pid::from_raw(pid).context("it is a process")?;
        let text = |name: &str| serving[name].as_str().unwrap_or_default().to_owned();
        let user = format!("{}:{}", text("user"), text("password"));
        let got = curl(&["--user", &user, &format!("{}plain", text("endpoint"))]);
        rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
        ensure!(got?.body == tree::noise(0, 1000));
        setup.credenza.run(["serve", "http", "0000", "--daemon"])?.expect_code(1)?.expect_message(&["0000"]).map(drop)
    });
    report.scenario("what a reader meets is in its log, and damage is on record while it runs", || {
        let setup = Setup::with_local_repository()?;
        let source = source_of(&setup)?;
        setup.backup(&source.to_string_lossy())?;
        let packs = Command::new("find").arg(setup.path("repository/data")).args(["-type", "f"]).output()?;
        let said = setup.credenza.ok(["--json", "serve", "http", "latest", "--daemon"])?.lines()?;
        let [serving, background] = said.as_slice() else { anyhow::bail!("{said:?}") };
        for pack in String::from_utf8(packs.stdout)?.lines() {
            let mut bytes = fs::read(pack)?;
            bytes.iter_mut().skip(1000).for_each(|byte| *byte ^= 0x55);
            fs::set_permissions(pack, fs::Permissions::from_mode(0o600))?;
            fs::write(pack, bytes)?;
        }
        let text = |line: &serde_json::Value, name: &str| {
            line.get(name).and_then(|text| text.as_str()).unwrap_or_default().to_owned()
        };
        let pid = i32::try_from(background["pid"].as_i64().context("it has a process")?)?;
        let process = rustix::process::Pid::from_raw(pid).context("it is a process")?;
        let looked = || -> Result<()> {
            let user = format!("{}:{}", text(serving, "user"), text(serving, "password"));
            let got = curl(&["--user", &user, &format!("{}large", text(serving, "endpoint"))])?;
            ensure!(got.status == 500, "{}", got.status);
            let log = fs::read_to_string(text(background, "log"))?;
            ensure!(log.contains("warning: a reader was refused: ") && log.contains("data/"), "{log}");
            let mut looks = 0;
            while !setup.credenza.run(["check"])?.whole().contains("was found damaged on") {
                looks += 1;
                ensure!(looks < 600, "it does not come on record");
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            Ok(())
        };
        let looked = looked();
        rustix::process::kill_process(process, rustix::process::Signal::KILL)?;
        looked
    });
    report.finish();
}

#[test]
fn a_folder_is_downloaded_as_an_archive() {
    let mut report = Report::default();
    report.scenario("zip and tar of a snapshot and of a folder, as other programs unpack them", || {
        let setup = Setup::with_local_repository()?;
        let source = source_of(&setup)?;
        setup.backup(&source.to_string_lossy())?;
        let front = Front::start(&setup.credenza, &["http", "latest"])?;
        for (form, program, words) in
            [("tar", "tar", vec!["--extract", "--file"]), ("zip", "python3", vec!["-m", "zipfile", "--extract"])]
        {
            let (archive, to) = (setup.path(&format!("all.{form}")), setup.path(&format!("of-{form}")));
            let got = get(&front, &format!("/?download={form}"), &[])?;
            ensure!(got.status == 200, "{}", got.text());
            fs::write(&archive, &got.body)?;
            fs::create_dir_all(&to)?;
            let mut command = Command::new(program);
            command.args(words).arg(&archive).current_dir(&to);
            if form == "zip" {
                command.arg(&to);
            }
            let output = command.output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            tree::compare_bytes(&source, &to).with_context(|| form.to_owned())?;
            let below = get(&front, &format!("/folder/?download={form}"), &[])?;
            ensure!(below.status == 200 && !below.body.is_empty() && below.body.len() < got.body.len() / 4);
        }
        front.end()
    });
    report.scenario("one that lacks an entry breaks off, and it is said which", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("whole"), "whole")?;
        fs::write(source.join("closed"), tree::noise(1, 5000))?;
        setup.backup(&source.to_string_lossy())?;
        let packs = Command::new("find").arg(setup.path("repository/data")).args(["-type", "f"]).output()?;
        for pack in String::from_utf8(packs.stdout)?.lines() {
            fs::remove_file(pack)?;
        }
        let mut run = setup.credenza.start(["--json", "serve", "http", "latest"])?;
        let line: serde_json::Value = serde_json::from_str(&run.printed("\n")?)?;
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let user = format!("{}:{}", text("user"), text("password"));
        for form in ["zip", "tar"] {
            let url = format!("{}?download={form}", text("endpoint"));
            let output = Command::new("curl").args(["--silent", "--user", &user, &url]).output()?;
            ensure!(!output.status.success(), "curl takes a broken {form} for whole");
        }
        run.signal(rustix::process::Signal::INT)?;
        run.wait()?.expect_code(0)?.expect_message(&["a reader was refused"]).map(drop)
    });
    report.scenario("a reader that takes nothing any more holds up nobody", || {
        let setup = Setup::with_local_repository()?;
        let source = source_of(&setup)?;
        setup.backup(&source.to_string_lossy())?;
        let front = Front::start(&setup.credenza, &["http", "latest"])?;
        let link = get(&front, "/large?link=600", &[])?.text().trim().to_owned();
        let (host, path) = link.trim_start_matches("http://").split_once('/').context("a link has a path")?;
        let stopped = (0..40).map(|_| {
            let mut client = std::net::TcpStream::connect(host)?;
            std::io::Write::write_all(&mut client, format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
            std::io::Read::read_exact(&mut client, &mut [0; 12])?;
            Ok(client)
        });
        let stopped: Vec<std::net::TcpStream> = stopped.collect::<Result<_>>()?;
        ensure!(get(&front, "/large", &[])?.body == tree::noise(9, 20_000_000));
        drop(stopped);
        front.end()
    });
    report.finish();
}

/// Downloads a zip of a snapshot with a file of so many bytes, mostly a hole, and so many empty ones, and has Python read all of it.
fn zipped(bytes: u64, files: u64) -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    for number in 0..files {
        let folder = source.join(format!("{:03}", number / 1000));
        if number % 1000 == 0 {
            fs::create_dir_all(&folder)?;
        }
        fs::File::create(folder.join(format!("{number:06}")))?;
    }
    tree::build_sparse(&source.join("large"), bytes, &[(1000, 5000), (bytes - 3000, 3000)])?;
    setup.backup(&source.to_string_lossy())?;
    let mut run = setup.credenza.start(["--json", "serve", "http", "latest"])?;
    let line: serde_json::Value = serde_json::from_str(&run.printed("\n")?)?;
    let text = |name: &str| line.get(name).and_then(|text| text.as_str()).unwrap_or_default().to_owned();
    let (user, url) = (format!("{}:{}", text("user"), text("password")), format!("{}?download=zip", text("endpoint")));
    let zip = setup.path("all.zip");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--user", &user, "--output"]).arg(&zip).arg(&url);
    let output = curl.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    run.signal(rustix::process::Signal::INT)?;
    run.wait()?.expect_code(0)?.expect_memory_below(150 << 20)?;
    let read = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); f = z.open('large'); f.read(1000); print(len(z.infolist()), z.getinfo('large').file_size, f.read(5000).hex(), z.testzip())";
    let output = Command::new("python3").args(["-c", read]).arg(&zip).output()?;
    let folders = files.div_ceil(1000);
    let noise: String = tree::noise(1000, 5000).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = format!("{} {bytes} {noise} None", files + folders + 1);
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.trim() == expected, "{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn an_archive_passes_the_limits_of_zip_in_bounded_memory() {
    let mut report = Report::default();
    report.scenario("a file of more than 4 GiB among more than 65,535 members", || zipped((1 << 32) + 54_321, 65_600));
    report.finish();
}

#[test]
#[ignore = "minutes; run it by its name"]
fn an_archive_of_10_gib_is_written_in_bounded_memory() {
    let mut report = Report::default();
    report.scenario("a file of 10 GiB", || zipped(10 << 30, 10));
    report.finish();
}

#[test]
fn clients_of_webdav_read_what_is_served() {
    let mut report = Report::default();
    report.scenario("rclone copies all of it, and sees a snapshot that is made meanwhile", || {
        let setup = Setup::with_local_repository()?;
        let source = source_of(&setup)?;
        setup.backup(&source.to_string_lossy())?;
        let front = Front::start(&setup.credenza, &["webdav"])?;
        let fetched = setup.path("fetched");
        rclone(&front, &setup, &["copy", "--create-empty-src-dirs", ":webdav:latest", &fetched.to_string_lossy()])?;
        tree::compare_bytes(&source, &fetched)?;
        let listed = rclone(&front, &setup, &["lsf", ":webdav:snapshots"])?;
        ensure!(listed.lines().count() == 1, "{listed}");
        let options = get(&front, "/", &["--request", "OPTIONS"])?;
        ensure!(options.headers.contains("dav: 1"), "{}", options.headers);
        let deep = get(&front, "/", &["--request", "PROPFIND", "--header", "Depth: infinity"])?;
        ensure!(deep.status == 403 && deep.text().contains("propfind-finite-depth"), "{}", deep.text());
        front.end()
    });
    report.scenario("a snapshot of then, and of one source of two", || {
        let setup = Setup::with_local_repository()?;
        let (one, two) = (setup.path("one"), setup.path("two"));
        for (folder, text) in [(&one, "one"), (&two, "two")] {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("file"), text)?;
        }
        let first = snapshot_of(&setup.backup(&one.to_string_lossy())?)?;
        setup.backup(&two.to_string_lossy())?;
        let only = one.to_string_lossy().into_owned();
        let front = Front::start(&setup.credenza, &["http", "--latest", "--source", &only])?;
        ensure!(get(&front, "/file", &[])?.text() == "one");
        front.end()?;
        let time = time_of(&setup, &first)?;
        let front = Front::start(&setup.credenza, &["http", "latest", "--as-of", &time])?;
        ensure!(get(&front, "/file", &[])?.text() == "one");
        front.end()?;
        let outcome = setup.credenza.run(["serve", "http", "latest", "--as-of", "2001-01-01T00:00:00Z"])?;
        ensure!(outcome.expect_code(0).is_err(), "a snapshot of 2001 was found");
        Ok(())
    });
    report.finish();
}

/// When a snapshot was made, to the nanosecond.
fn time_of(setup: &Setup, snapshot: &str) -> Result<String> {
    let listed = setup.credenza.ok(["--json", "ls"])?.lines()?;
    let line = listed.iter().find(|line| line["id"].as_str() == Some(snapshot)).context("it is listed")?;
    Ok(line["time"].as_str().context("it has a time")?.to_owned())
}

fn rclone(front: &Front, setup: &Setup, words: &[&str]) -> Result<String> {
    front.client(&setup.path("clients"), ("rclone", "rclone"), words)
}

#[test]
fn other_machines_are_served_by_tls_under_a_name_and_without_it_not_at_all() {
    let mut report = Report::default();
    report.scenario("a certificate, another name, a plain client, an address of others", || {
        let setup = Setup::with_local_repository()?;
        let source = source_of(&setup)?;
        setup.backup(&source.to_string_lossy())?;
        let pem = |name: &str| format!("{}/certificates/{name}", env!("CARGO_MANIFEST_DIR"));
        let refused = setup.credenza.run(["serve", "http", "--listen", "0.0.0.0:0"])?.expect_code(2)?;
        refused.expect_message(&["--name NAME --tls-cert FILE --tls-key FILE"])?;
        let (chain, key, authority) = (pem("good.pem"), pem("servers.key"), pem("authority.pem"));
        let by_tls = ["--listen", "0.0.0.0:0", "--tls-cert", &chain, "--tls-key", &key, "--name", "127.0.0.1"];
        let front = Front::start(&setup.credenza, &[&["http", "latest"], &by_tls[..]].concat())?;
        let endpoint = front.text("endpoint").to_owned();
        ensure!(endpoint.starts_with("https://127.0.0.1:"), "{endpoint}");
        let got = get(&front, "/plain", &["--cacert", &authority])?;
        ensure!(got.body == tree::noise(0, 1000), "{}", got.text());
        let link = get(&front, "/plain?link=60", &["--cacert", &authority])?.text();
        ensure!(curl(&["--cacert", &authority, link.trim()])?.body == tree::noise(0, 1000), "{link}");
        // By another name nothing is answered, and without TLS nothing is said.
        let got = curl(&["--insecure", &endpoint.replace("127.0.0.1", "localhost")])?;
        ensure!(got.status == 421, "{}: {}", got.status, got.text());
        ensure!(curl(&[&endpoint.replace("https", "http")]).is_err(), "it speaks without TLS, too");
        front.end()?;
        let none = setup.path("none.pem");
        let none = none.to_string_lossy();
        let broken = ["serve", "s3", "--tls-cert", &none, "--tls-key", &key, "--name", "127.0.0.1"];
        setup.credenza.run(broken)?.expect_code(1)?.expect_message(&["none.pem cannot be used for TLS"])?;
        let front = Front::start(&setup.credenza, &[&["s3", "latest"], &by_tls[..]].concat())?;
        let endpoint = Endpoint { ca_file: Some(authority), ..front.endpoint() };
        let got = S3::new(endpoint)?.get(front.text("bucket"), "plain")?;
        ensure!(got.body == tree::noise(0, 1000), "{got:?}");
        front.end()
    });
    report.finish();
}
