//! The page in a browser: the real binary, asked over HTTP as a browser asks.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use credenza_e2e::browser::Ui;
use credenza_e2e::bucket::ODD_KEYS;
use credenza_e2e::{PASSPHRASE, Report, Run, Setup, memory_server, number, snapshot_of};
use credenza_s3_server::Attributes;
use rustix::process::Signal;

/// Page views over which memory is to be flat.
const VIEWS: usize = 1_000;
/// Those after which all is held that ever is.
const VIEWS_BEFORE: usize = 300;
/// Bytes that a view may leave behind, on average: less than any page has, so that none is kept. The allocator takes and gives some megabytes.
const VIEW_BYTES_MAX: u64 = 10 * 1024;
/// Repositories that are open at once, and the names in the large folder of each.
const REPOSITORIES: [&str; 3] = ["one", "two", "three"];
const NAMES: usize = 100_000;
/// The most memory that the page may hold.
const MEMORY_BYTES_MAX: u64 = 150 * 1000 * 1000;

/// It only ends a test that hangs: what is waited for comes as soon as the machine gets to it.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a server answers.
struct Answer {
    status: String,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The first link with this in it.
    fn link(&self, part: &str) -> Result<String> {
        let text = self.text();
        let links = text.split("href=\"").skip(1).filter_map(|behind| behind.split('"').next());
        let link = links.map(|link| link.replace("&#38;", "&")).find(|link| link.contains(part));
        link.with_context(|| format!("no link with {part} in {text}"))
    }
}

/// A browser that has entered, or not.
struct Browser {
    address: String,
    cookie: String,
}

impl Browser {
    fn ask(&self, method: &str, path: &str, form: &str) -> Result<Answer> {
        let Self { address, cookie } = self;
        // A name below `localhost` is this machine in browsers; here nobody looks it up.
        let port = address.rsplit(':').next().context("an address has a port")?;
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nCookie: {cookie}\r\nOrigin: null\r\n\
             Sec-Fetch-Site: same-origin\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        )?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("an answer has a head")?;
        let (head, body) = bytes.split_at(end + 4);
        let head = String::from_utf8_lossy(head).into_owned();
        let status = head.split(' ').nth(1).context("an answer has a status")?.to_owned();
        Ok(Answer { status, head, body: body.to_vec() })
    }

    /// Enters by the link that a run of `ui` prints.
    fn enter(run: &mut Run) -> Result<Self> {
        let printed = run.printed("\n")?;
        let link = printed.trim().strip_prefix("http://").context("a link is printed")?.to_owned();
        let (address, path) = link.split_once('/').context("a link has a path")?;
        let key = path.split_once('?').context("a link has a key")?.1;
        let mut browser = Self { address: address.to_owned(), cookie: String::new() };
        let entered = browser.ask("POST", "/enter", key)?;
        let cookie = entered.header("set-cookie").context("a session has a cookie")?;
        browser.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(browser)
    }

    /// Sends a form as a page has it.
    fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        // Any page has one; this one asks no repository.
        let home = self.page("/activity")?.text();
        let token = home.split("name=\"token\" value=\"").nth(1).and_then(|behind| behind.split('"').next());
        let token = token.context("a page has a form")?.to_owned();
        let encoded = fields.iter().map(|(name, value)| format!("&{name}={}", encode(value)));
        self.ask("POST", path, &format!("token={token}{}", encoded.collect::<String>()))
    }

    /// Sends a form that starts something, and looks at it until it has ended; its page and its address.
    fn run(&self, path: &str, fields: &[(&str, &str)]) -> Result<(String, String)> {
        let begun = self.form(path, fields)?;
        ensure!(begun.status == "303", "{path}: {}{}", begun.head, begun.text());
        let path = begun.header("location").context("a run has a page")?.to_owned();
        Ok((self.ended(&path)?, path))
    }

    /// The page of a run when it has ended.
    fn ended(&self, path: &str) -> Result<String> {
        Ok(self.page_without("data-events", path, "the end of the run")?.text())
    }

    /// The overview, once no repository is left that a slow machine is still opening.
    fn overview(&self) -> Result<Answer> {
        self.page_without("opening goes on", "/", "the opening of all repositories")
    }

    /// A page as soon as that is not in it any more, named for the message by what is waited for.
    fn page_without(&self, text: &str, path: &str, wanted: &str) -> Result<Answer> {
        let begun = Instant::now();
        loop {
            let page = self.page(path)?;
            if !page.text().contains(text) {
                return Ok(page);
            }
            ensure!(begun.elapsed() <= PATIENCE, "{path} goes on without {wanted}: {}", page.text());
            sleep(LOOK_EVERY);
        }
    }

    fn page(&self, path: &str) -> Result<Answer> {
        let answer = self.ask("GET", path, "")?;
        ensure!(answer.status == "200", "{path}: {}{}", answer.head, answer.text());
        ensure!(!answer.text().contains(PASSPHRASE), "the passphrase is in {path}");
        Ok(answer)
    }
}

/// A value as a form has it.
fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

/// A part of a snapshot as the pages name it: what it is, of which snapshot, and its key, encoded as in an address.
fn pick(kind: &str, snapshot: &str, key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let key = key.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    format!("{kind}:{snapshot}:{}", key.collect::<String>())
}

/// What stands beside a number on the page of a run.
fn counted(page: &str, what: &str) -> Result<String> {
    let behind = page.split(&format!("<dt>{what}</dt><dd>")).nth(1).with_context(|| format!("no {what}: {page}"))?;
    Ok(behind.split('<').next().unwrap_or_default().to_owned())
}

fn a_file_is_found_and_comes_back() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("home");
    fs::create_dir_all(source.join("letters"))?;
    let picture: Vec<u8> =
        (0..3_000_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(source.join("letters/picture <1>.raw"), &picture)?;
    fs::write(source.join("letters/a.txt"), "dear a")?;
    setup.backup(&source.to_string_lossy())?;

    let mut run = setup.credenza.start(["ui"])?;
    let printed = run.printed("\n")?;
    let link = printed.trim().strip_prefix("http://").context("a link is printed")?.to_owned();
    let (address, path) = link.split_once('/').context("a link has a path")?;
    let mut browser = Browser { address: address.to_owned(), cookie: String::new() };
    ensure!(address.contains(".localhost:"), "{address}");
    ensure!(browser.ask("GET", "/", "")?.status == "401");
    ensure!(browser.page(&format!("/{path}"))?.text().contains("Enter</button>"));
    let key = path.split_once('?').context("a link has a key")?.1;
    let entered = browser.ask("POST", "/enter", key)?;
    ensure!(entered.status == "303", "{}", entered.head);
    let cookie = entered.header("set-cookie").context("a session has a cookie")?;
    browser.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    ensure!(browser.ask("POST", "/enter", key)?.status == "403", "a link is used once");

    let home = browser.overview()?;
    ensure!(home.text().contains("<strong>Kept.</strong> It holds 1 snapshot"), "{}", home.text());
    let snapshots = browser.page(&home.link("/r/")?)?;
    let folder = browser.page(&browser.page(&snapshots.link("/s/")?)?.link("key=letters/")?)?;
    ensure!(folder.text().contains("picture &#60;1&#62;.raw"), "{}", folder.text());
    let file = browser.page(&folder.link("/file?key=letters/picture")?)?;
    let content = browser.page(&file.link("/download?")?)?;
    ensure!(content.body == picture, "{} bytes came back", content.body.len());
    ensure!(content.header("content-disposition").is_some_and(|how| how.starts_with("attachment; ")));
    let found = browser.page("/r/-/find?name=a.txt")?;
    let letter = browser.page(&found.link("/file?key=letters/a.txt")?)?;
    ensure!(letter.text().contains("dear a"), "{}", letter.text());

    run.signal(Signal::INT)?;
    let ended = run.wait()?.expect_code(0)?;
    ensure!(!ended.stdout.contains(PASSPHRASE) && !ended.stderr.contains(PASSPHRASE));
    ensure!(browser.ask("GET", "/", "").is_err(), "nothing listens any more");
    Ok(())
}

#[test]
fn backups_are_looked_into_with_a_browser() {
    let mut report = Report::default();
    report.scenario(
        "a link lets in, a file is found and comes back byte by byte, and the program ends when it is asked to",
        a_file_is_found_and_comes_back,
    );
    report.scenario("each line on standard input prints another link, and the one before lets nobody in", || {
        let setup = Setup::new()?;
        let (mut run, fed) = setup.credenza.start_with(["--json", "ui"], b"\n".to_vec())?;
        let printed = run.printed("}\n{")?;
        let links: Vec<serde_json::Value> = printed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let link =
            |number: usize| links.get(number).and_then(|line| line["link"].as_str()).context("a line has a link");
        let parts = |link: &str| {
            let (address, path) = link.strip_prefix("http://")?.split_once('/')?;
            Some((address.to_owned(), path.split_once('?')?.1.to_owned()))
        };
        let (address, first) = parts(link(0)?).context("a link")?;
        let (_, second) = parts(link(1)?).context("a link")?;
        let mut browser = Browser { address, cookie: String::new() };
        ensure!(browser.ask("POST", "/enter", &first)?.status == "403");
        let entered = browser.ask("POST", "/enter", &second)?;
        browser.cookie =
            entered.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
        ensure!(browser.page("/")?.text().contains("credenza repository add mine"), "an empty configuration teaches");
        run.signal(Signal::TERM)?;
        run.wait()?.expect_code(0)?;
        drop(fed);
        Ok(())
    });
    report.scenario("a user is added, the page is served behind a proxy under its name, and the user removed", || {
        let setup = Setup::new()?;
        let password = setup.path("password");
        fs::write(&password, "a long walk by the river\n")?;
        let password = password.to_string_lossy();
        let refused = setup.credenza.run(["ui", "--behind-proxy", "--host", "backup.example"])?.expect_code(1)?;
        refused.expect_message(&["no users yet", "credenza ui user add NAME --role admin"])?;
        setup
            .credenza
            .run(["ui", "user", "add", "ana", "--role", "operator", "--password-file", &password])?
            .expect_code(0)?;
        setup.credenza.run(["ui", "user", "add", "ana", "--role", "king", "--no-password"])?.expect_code(2)?;
        let listed = setup.credenza.run(["--json", "ui", "user", "list"])?.expect_code(0)?;
        ensure!(
            listed.stdout.trim() == r#"{"type":"user","name":"ana","role":"operator","password":true}"#,
            "{}",
            listed.stdout
        );
        let mut run =
            setup.credenza.start(["ui", "--listen", "127.0.0.1:0", "--behind-proxy", "--host", "backup.example"])?;
        ensure!(run.printed("\n")?.trim() == "https://backup.example/");
        run.signal(Signal::INT)?;
        run.wait()?.expect_code(0)?;
        setup
            .credenza
            .run(["ui", "user", "remove", "anna"])?
            .expect_code(2)?
            .expect_message(&["did you mean `ana`?"])?;
        setup.credenza.run(["ui", "user", "remove", "ana"])?.expect_code(0)?;
        Ok(())
    });
    report.scenario("other machines are not listened to, and the message says how they look in all the same", || {
        let setup = Setup::new()?;
        let refused = setup.credenza.run(["ui", "--listen", "0.0.0.0:8080"])?.expect_code(2)?;
        refused
            .expect_message(&["nothing says how they are kept apart"])?
            .expect_message(&["ssh -L 8080:127.0.0.1:8080"])?;
        Ok(())
    });
    report.finish();
}

/// One source of very many names is kept in three repositories: two are copies of the first, which is quicker and as large once they are open.
fn three_large_repositories(setup: &mut Setup) -> Result<String> {
    let source = setup.path("home");
    for (folder, names) in [("letters", 500), ("many", NAMES)] {
        fs::create_dir_all(source.join(folder))?;
        (0..names).try_for_each(|number| fs::write(source.join(folder).join(format!("{number}.txt")), ""))?;
    }
    let id = snapshot_of(&setup.backup(&source.to_string_lossy())?)?;
    let first = setup.path("repository");
    setup.credenza.unset("CREDENZA_REPOSITORY");
    for name in REPOSITORIES {
        let copy = setup.path(name);
        let copied = std::process::Command::new("cp").arg("-a").arg(&first).arg(&copy).status()?;
        ensure!(copied.success(), "cp: {copied}");
        setup.credenza.ok(["repository", "add", name, &copy.to_string_lossy()])?;
    }
    Ok(id)
}

#[test]
fn memory_is_flat_over_page_views_of_three_repositories_with_a_hundred_thousand_keys_each() -> Result<()> {
    let mut setup = Setup::with_local_repository()?;
    let id = three_large_repositories(&mut setup)?;
    let mut ui = Ui::start(&setup.credenza, &[])?;
    let link = ui.link()?;
    let (address, form) = link.strip_prefix("http://").and_then(|link| link.split_once("/enter?")).context("a link")?;
    let mut browser = Browser { address: address.to_owned(), cookie: String::new() };
    let entered = browser.ask("POST", "/enter", form)?;
    browser.cookie =
        entered.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
    let of_each = |name: &str| {
        [
            "/".to_owned(),
            format!("/r/{name}"),
            format!("/r/{name}/s/{id}?key=many/"),
            format!("/r/{name}/s/{id}?key=many/&after=many/70000.txt"),
            format!("/r/{name}/s/{id}/file?key=many/7.txt"),
            format!("/r/{name}/s/{id}/space?key=letters/"),
            format!("/r/{name}/history?key=letters/7.txt"),
            format!("/r/{name}/growth"),
            "/sources".to_owned(),
        ]
    };
    let paths: Vec<String> = REPOSITORIES.iter().flat_map(|name| of_each(name)).collect();
    let mut before = 0;
    for (number, path) in (0..VIEWS).zip(paths.iter().cycle()) {
        if number == VIEWS_BEFORE {
            before = ui.memory()?;
        }
        browser.page(path)?;
    }
    let after = ui.memory()?;
    ensure!(after <= MEMORY_BYTES_MAX, "{after} bytes are held");
    let grown = after.saturating_sub(before);
    ensure!(
        grown <= (VIEWS - VIEWS_BEFORE) as u64 * VIEW_BYTES_MAX,
        "{before} bytes after {VIEWS_BEFORE} views, {after} after {VIEWS}"
    );
    ui.end().map(drop)
}

fn a_basket_is_restored_to_a_folder_and_a_bucket() -> Result<()> {
    let (server, endpoint) = memory_server()?;
    for bucket in ["live", "repository", "copy"] {
        server.buckets.create(bucket);
    }
    let setup = Setup::with_s3_repository(&endpoint, "repository")?;
    setup.add("source", "live", &endpoint, "live")?;
    setup.add("destination", "copy", &endpoint, "copy")?;
    let put = |key: &str, body: &str| {
        server.buckets.put_object("live", key, body.as_bytes().to_vec(), Attributes::default());
    };
    ODD_KEYS.iter().for_each(|key| put(key, &format!("first {key}")));
    put("old/gone", "only in the first");
    let first = snapshot_of(&setup.backup("@live")?)?;
    put("old/gone", "changed since");
    put("new/here", "only in the second");
    let second = snapshot_of(&setup.backup("@live")?)?;

    let mut run = setup.credenza.start(["ui"])?;
    let browser = Browser::enter(&mut run)?;
    let mut items: Vec<String> = ODD_KEYS.iter().map(|key| pick("entry", &second, key)).collect();
    items.extend([pick("folder", &first, "old/"), pick("folder", &second, "new/")]);
    let fields: Vec<(&str, &str)> = items.iter().map(|item| ("item", item.as_str())).collect();
    let added = browser.form("/r/store/restore/add", &fields)?;
    ensure!(added.status == "303", "{}", added.text());
    let all = (ODD_KEYS.len() + 2).to_string();
    ensure!(browser.page("/r/store/restore")?.text().contains(&format!("{all} entries")));

    let (preview, path) = browser.run("/r/store/restore/preview", &[("destination", "copy")])?;
    ensure!(counted(&preview, "New")? == all, "{preview}");
    ensure!(server.buckets.keys("copy").is_empty(), "a preview writes nothing");
    let (done, _) = browser.run(&format!("{path}/apply"), &[])?;
    ensure!(done.contains("<strong>Done.</strong>"), "{done}");
    ensure!(counted(&done, "Requests")? != "0", "{done}");
    let mut expected: Vec<(String, String)> =
        ODD_KEYS.iter().map(|key| ((*key).to_owned(), format!("first {key}"))).collect();
    expected.push(("old/gone".to_owned(), "only in the first".to_owned()));
    expected.push(("new/here".to_owned(), "only in the second".to_owned()));
    ensure!(server.buckets.keys("copy").len() == expected.len(), "{:?}", server.buckets.keys("copy"));
    for (key, body) in &expected {
        let stored = server.buckets.get("copy", key).with_context(|| format!("{key:?} is not there"))?;
        ensure!(stored.body() == body.as_bytes(), "{key:?} is another");
    }
    // The same again replaces nothing that is there.
    let (preview, _) = browser.run("/r/store/restore/preview", &[("destination", "copy")])?;
    ensure!(counted(&preview, "New")? == "0" && counted(&preview, "Overwritten")? == "0", "{preview}");

    let target = setup.path("target");
    let folder = [("to", target.to_str().context("a path of text")?)];
    let (_, path) = browser.run("/r/store/restore/preview", &folder)?;
    ensure!(!target.exists(), "a preview writes nothing");
    let (done, _) = browser.run(&format!("{path}/apply"), &[])?;
    ensure!(counted(&done, "New")? == all && counted(&done, "Lost or refused")? == "0", "{done}");
    for (key, body) in [("old/gone", "only in the first"), ("new/here", "only in the second")] {
        ensure!(fs::read_to_string(target.join(key))? == body, "{key}");
    }
    // Of a folder, a backup knows which key each file stands for.
    setup.backup(&target.to_string_lossy())?;
    server.buckets.create("round");
    setup.add("destination", "round", &endpoint, "round")?;
    setup.credenza.run(["restore", "latest", "--source", &target.to_string_lossy(), "--to", "@round"])?;
    for (key, body) in &expected {
        let stored = server.buckets.get("round", key).with_context(|| format!("{key:?} did not come back"))?;
        ensure!(stored.body() == body.as_bytes(), "{key:?} is another");
    }
    run.signal(Signal::INT)?;
    run.wait()?.expect_code(0)?;
    Ok(())
}

fn patterns_and_removal_say_what_the_command_line_says() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let (source, target) = (setup.path("home"), setup.path("target"));
    for (folder, name, text) in [(&source, "a.txt", "a"), (&source, "b.raw", "b"), (&target, "extra.txt", "goes")] {
        fs::create_dir_all(folder.join("f"))?;
        fs::write(folder.join("f").join(name), text)?;
    }
    let id = snapshot_of(&setup.backup(&source.to_string_lossy())?)?;
    let to = target.to_str().context("a path of text")?.to_owned();
    let words = ["--json", "restore", &id, "--to", &to, "--include", "*.txt", "--delete", "--force", "--dry-run"];
    let summary = setup.credenza.run(words)?.summary()?;
    let mut run = setup.credenza.start(["ui"])?;
    let browser = Browser::enter(&mut run)?;
    browser.form("/r/-/restore/add", &[("item", &pick("folder", &id, ""))])?;
    let how = [("to", to.as_str()), ("include", "*.txt"), ("delete", "1"), ("force", "1"), ("verify", "1")];
    let (preview, path) = browser.run("/r/-/restore/preview", &how)?;
    for (what, name) in [("Removed", "extra"), ("Identical", "identical"), ("Attributes set", "attributes")] {
        ensure!(counted(&preview, what)? == number(&summary, &[name])?.to_string(), "{what} of {summary}: {preview}");
    }
    let new = number(&summary, &["entries"])? - number(&summary, &["replaced"])?;
    ensure!(counted(&preview, "New")? == new.to_string(), "{summary}: {preview}");
    let (done, _) = browser.run(&format!("{path}/apply"), &[("confirm", PASSPHRASE)])?;
    ensure!(counted(&done, "Read again")? == "1" && counted(&done, "Removed")? == "1", "{done}");
    ensure!(fs::read_to_string(target.join("f/a.txt"))? == "a" && !target.join("f/extra.txt").exists());

    // What takes the space.
    let told = setup.credenza.ok(["--json", "info", "--space", &format!("{id}:f")])?;
    let page = browser.page(&format!("/r/-/s/{id}/space?key=f/"))?.text();
    let shares = told.lines_of("share")?;
    ensure!(shares.len() == 2 && number(&told.summary()?, &["files"])? == 2, "{}", told.stdout);
    for share in shares {
        let key = share.get("key").and_then(|key| key.as_str()).context("a share has a key")?;
        ensure!(page.contains(&format!("/file?key={key}\"")), "{key} of {page}");
    }
    run.signal(Signal::INT)?;
    run.wait()?.expect_code(0)?;
    Ok(())
}

fn a_prune_is_planned_and_done() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("home");
    fs::create_dir_all(&source)?;
    for number in 0..4 {
        fs::write(source.join("file"), number.to_string())?;
        setup.backup(&source.to_string_lossy())?;
    }
    let planned = setup.credenza.ok(["--json", "prune", "--keep-last", "2"])?;
    let mut lines = planned.lines_of("decision")?;
    // The page has first what goes.
    lines.sort_by_key(|line| line.get("action").and_then(|action| action.as_str()) == Some("keep"));
    let mut run = setup.credenza.start(["ui"])?;
    let browser = Browser::enter(&mut run)?;
    let (plan, path) = browser.run("/r/-/run", &[("what", "prune"), ("keep_last", "2")])?;
    let rows: Vec<[String; 6]> = plan
        .split("<tr><td")
        .skip(1)
        .map(|row| {
            let mut cells = row.split("<bdi>").skip(1).filter_map(|cell| cell.split("</bdi>").next());
            std::array::from_fn(|_| cells.next().unwrap_or_default().to_owned())
        })
        .collect();
    ensure!(rows.len() == lines.len() && rows.len() == 4, "{rows:?} {lines:?}");
    for ([action, id, _, _, why, until], line) in rows.iter().zip(&lines) {
        let (known, whole) = (line["action"].as_str(), line["id"].as_str().unwrap_or_default());
        ensure!(known == Some(action) && whole.starts_with(id.as_str()), "{action} {id} is not {line}");
        let reasons = line["reasons"].as_array().into_iter().flatten();
        let reasons: Vec<&str> = reasons.filter_map(|why| why.as_str()).collect();
        let is_said = *why == reasons.join(", ") || reasons.is_empty() && why == "no rule keeps it";
        ensure!(is_said, "{why} is not of {line}");
        let said = match line.pointer("/until/newer").and_then(|newer| newer.as_u64()) {
            None => "",
            Some(1) => "until a newer one is made",
            Some(_) => "until 2 newer ones are made",
        };
        ensure!(until == said, "{until} is not of {line}");
    }
    let summary = planned.summary()?;
    for (what, name) in [("Kept", "kept"), ("Removed", "removed"), ("Bytes freed", "bytes_freed")] {
        ensure!(number(&summary, &[name])? == counted(&plan, what)?.parse::<u64>()?, "{what} of {summary}");
    }
    ensure!(setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?.len() == 4, "a plan removes nothing");
    ensure!(browser.form(&format!("{path}/apply"), &[("confirm", "a guess")])?.status == "403");
    let (done, _) = browser.run(&format!("{path}/apply"), &[("confirm", PASSPHRASE)])?;
    ensure!(counted(&done, "Removed")? == "2", "{done}");
    let left = setup.credenza.ok(["--json", "prune", "--keep-last", "2"])?.summary()?;
    ensure!(number(&left, &["kept"])? == 2 && number(&left, &["removed"])? == 0, "{left}");

    // A run of the command line beside one of the page: both end well, and the page shows what came.
    let begun = browser.form("/r/-/run", &[("what", "check"), ("read_data", "1")])?;
    let path = begun.header("location").context("a run has a page")?.to_owned();
    fs::write(source.join("file"), "beside")?;
    let beside = snapshot_of(&setup.backup(&source.to_string_lossy())?)?;
    ensure!(browser.ended(&path)?.contains("<strong>Done.</strong>"));
    ensure!(browser.page("/r/-")?.text().contains(&format!("/s/{beside}")), "the page lists it without a restart");

    // Killed at any moment: what was done is on record, and nothing is half done.
    run.signal(Signal::KILL)?;
    run.wait()?;
    let mut run = setup.credenza.start(["ui"])?;
    let browser = Browser::enter(&mut run)?;
    let activity = browser.page("/activity")?.text();
    ensure!(activity.contains("Prune") && activity.contains("from 127.0.0.1"), "{activity}");
    ensure!(setup.check()?.code == Some(0), "the repository is whole");
    run.signal(Signal::INT)?;
    run.wait()?.expect_code(0)?;
    Ok(())
}

#[test]
fn what_is_needed_is_restored_and_removed_from_the_page() {
    let mut report = Report::default();
    report.scenario(
        "a basket of two snapshots is previewed, and restored to a folder and to a bucket",
        a_basket_is_restored_to_a_folder_and_a_bucket,
    );
    report.scenario(
        "patterns, removal and what takes the space say on the page what they say on the command line",
        patterns_and_removal_say_what_the_command_line_says,
    );
    report.scenario(
        "a prune says on the page what it says on the command line, and does it",
        a_prune_is_planned_and_done,
    );
    report.finish();
}
