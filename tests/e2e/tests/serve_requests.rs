//! What each client of each front costs in requests at the store, held against the table of `docs/guide/mount.md`.
//!
//! Where no file system can be mounted its rows are not run, and it is said so.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use credenza_e2e::front::Front;
use credenza_e2e::{Report, Run, Setup, can_mount, memory_server, tree, workspace};
use credenza_s3_server::Server;
use rustix::process::Signal;

const FILES: u64 = 300;
const RCLONE: (&str, &str) = ("rclone", "rclone");
const GUIDE: &str = "docs/guide/mount.md";

/// A snapshot of some folders in a repository on a server that counts.
struct Shown {
    server: Server,
    setup: Setup,
    source: std::path::PathBuf,
    counted: Rc<RefCell<Vec<Row>>>,
}

/// A front, a client, and the requests.
type Row = (&'static str, &'static str, u64);

impl Shown {
    fn new(counted: &Rc<RefCell<Vec<Row>>>) -> Result<Self> {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("store");
        let setup = Setup::with_s3_repository(&endpoint, "store")?;
        let source = setup.path("source");
        for number in 0..FILES {
            let folder = source.join(format!("{:02}", number / 30));
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("{number:03}")), tree::noise(number, 10_000))?;
        }
        setup.backup(&source.to_string_lossy())?;
        Ok(Self { server, setup, source, counted: Rc::clone(counted) })
    }

    /// Serves, has a client read all of it into a folder, and demands that it is all there for no more requests than the guide says.
    fn fetched(
        &self,
        front: &'static str,
        client: &'static str,
        read: impl FnOnce(&Front, &str) -> Result<()>,
    ) -> Result<()> {
        let to = self.setup.path("fetched");
        fs::create_dir_all(&to)?;
        let served = Front::start(&self.setup.credenza, &[front, "latest"])?;
        self.server.log().clear();
        read(&served, &to.to_string_lossy())?;
        let requests = self.server.log().requests("store");
        served.end()?;
        tree::compare_bytes(&self.source, &to).with_context(|| format!("{front}, {client}"))?;
        fs::remove_dir_all(&to)?;
        self.count(front, client, requests);
        Ok(())
    }

    fn count(&self, front: &'static str, client: &'static str, requests: u64) {
        self.counted.borrow_mut().push((front, client, requests));
    }

    /// A client of the kernel's file system.
    fn mounted(&self, client: &'static str, program: &str, words: &[&str]) -> Result<()> {
        let folder = self.setup.path("mounted");
        fs::create_dir_all(&folder)?;
        let path = folder.to_string_lossy().into_owned();
        let mut run: Run = self.setup.credenza.start(["mount", &path, "latest"])?;
        run.printed("\n")?;
        self.server.log().clear();
        let words: Vec<String> = words.iter().map(|word| word.replace("MOUNT", &path)).collect();
        let output = Command::new(program).args(words).current_dir(self.setup.path("")).output();
        let requests = self.server.log().requests("store");
        run.signal(Signal::TERM)?;
        run.wait()?.expect_code(0)?;
        let output = output?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.count("mount", client, requests);
        Ok(())
    }

    /// Another repository on this machine that has the front as a source named `front`, and a backup of that.
    fn backup(location: &str, settings: &[String]) -> Result<()> {
        let other = Setup::with_local_repository()?;
        let words = ["source", "add", "front", location].map(str::to_owned);
        other.credenza.ok([&words[..], settings].concat())?;
        other.backup("@front").map(drop)
    }
}

/// Demands that the guide has a row for each, and allows so many requests.
fn expect(counted: &[Row]) -> Result<()> {
    let guide = fs::read_to_string(workspace().join(GUIDE))?;
    let rows: Vec<Vec<&str>> =
        guide.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
    let allowed = |front: &str, client: &str| {
        rows.iter().find_map(|row| match row.as_slice() {
            [of, by, .., allowed] if (*of, *by) == (front, client) => allowed.parse::<u64>().ok(),
            _ => None,
        })
    };
    let is_kept = |(front, client, requests): &Row| allowed(front, client).is_some_and(|allowed| *requests <= allowed);
    ensure!(counted.iter().all(is_kept), "more requests than in {GUIDE}: {counted:?}");
    Ok(())
}

#[test]
fn each_client_of_a_front_costs_as_few_requests_as_the_guide_says() {
    let mut report = Report::default();
    let counted = Rc::<RefCell<Vec<Row>>>::default();
    report.scenario("by the kernel", || if can_mount() { by_kernel(&Shown::new(&counted)?) } else { Ok(()) });
    report.scenario("by S3", || by_s3(&Shown::new(&counted)?));
    report.scenario("by WebDAV", || by_webdav(&Shown::new(&counted)?));
    report.scenario("by HTTP", || by_http(&Shown::new(&counted)?));
    report.scenario("as the guide says", || expect(&counted.borrow()));
    report.finish();
}

fn by_kernel(shown: &Shown) -> Result<()> {
    shown.mounted("find", "find", &["MOUNT", "-size", "+1k"])?;
    shown.mounted("cp", "cp", &["-r", "MOUNT", "copied"])?;
    tree::compare_bytes(&shown.source, &shown.setup.path("copied"))?;
    shown.mounted("head", "head", &["-c", "4096", "MOUNT/05/150"])
}

fn by_s3(shown: &Shown) -> Result<()> {
    let home = shown.setup.path("clients");
    shown.fetched("s3", "AWS CLI", |front, to| {
        let words = ["--endpoint-url", front.text("endpoint"), "s3", "cp", "--recursive", "s3://snapshot/", to];
        front.client(&home, ("s3-clients", "aws"), &words).map(drop)
    })?;
    shown.fetched("s3", "boto3", |front, to| {
        let words = ["-c", include_str!("serve/fetch.py"), front.text("endpoint"), "snapshot", to];
        front.client(&home, ("s3-clients", "python"), &words).map(drop)
    })?;
    shown.fetched("s3", "s5cmd", |front, to| {
        let to = format!("{to}/");
        let words = ["--endpoint-url", front.text("endpoint"), "cp", "s3://snapshot/*", &to];
        front.client(&home, ("s3-clients", "s5cmd"), &words).map(drop)
    })?;
    shown.fetched("s3", "rclone", |front, to| {
        let remote = format!(":s3,provider=Other,env_auth,endpoint=\"{}\":snapshot", front.text("endpoint"));
        front.client(&home, RCLONE, &["copy", &remote, to]).map(drop)
    })?;
    let front = Front::start(&shown.setup.credenza, &["s3", "latest"])?;
    shown.server.log().clear();
    let endpoint = front.endpoint();
    let settings = [
        format!("access_key={}", endpoint.access_key),
        format!("secret_access_key={}", endpoint.secret_key),
        format!("region={}", endpoint.region),
        "use_tls=false".to_owned(),
    ];
    Shown::backup(&endpoint.location("snapshot"), &settings)?;
    shown.count("s3", "credenza", shown.server.log().requests("store"));
    front.end()
}

fn by_webdav(shown: &Shown) -> Result<()> {
    let home = shown.setup.path("clients");
    shown.fetched("webdav", "rclone", |front, to| front.client(&home, RCLONE, &["copy", ":webdav:", to]).map(drop))?;
    let front = Front::start(&shown.setup.credenza, &["webdav", "latest"])?;
    shown.server.log().clear();
    let settings = [
        format!("user={}", front.text("user")),
        format!("password={}", front.text("password")),
        "use_tls=false".to_owned(),
    ];
    Shown::backup(&front.text("endpoint").replace("http://", "webdav://"), &settings)?;
    shown.count("webdav", "credenza", shown.server.log().requests("store"));
    front.end()
}

fn by_http(shown: &Shown) -> Result<()> {
    let home = shown.setup.path("clients");
    shown.fetched("http", "rclone", |front, to| {
        let remote = format!(":http,url=\"{}\":", front.url_with_password());
        front.client(&home, RCLONE, &["copy", &remote, to]).map(drop)
    })?;
    shown.fetched("http", "curl", |front, to| unpacked(&front.url_with_password(), Path::new(to)))
}

/// All of it as a tar, unpacked as it comes.
fn unpacked(url: &str, to: &Path) -> Result<()> {
    let fetch = format!("curl --silent --fail '{url}?download=tar' | tar -x");
    let output = Command::new("bash").args(["-o", "pipefail", "-c", &fetch]).current_dir(to).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
