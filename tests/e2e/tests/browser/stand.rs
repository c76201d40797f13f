//! What all scenarios look at: a home that was backed up twice into a bucket, a repository that is locked, and who looks.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use credenza_e2e::browser::{Browser, Ui, View};
use credenza_e2e::servers::{Kind, RealServer};
use credenza_e2e::{PASSPHRASE, Setup, snapshot_of, tree, workspace};

use crate::hostile::Elsewhere;

/// What opens the repository that is locked.
pub(crate) const OTHER_PASSPHRASE: &str = "nobody's business but mine, 0815";
/// The name of the repository in the bucket.
pub(crate) const STORE: &str = "store";
/// The job that backs up the home.
pub(crate) const JOB: &str = "nightly";
/// One whose hook ends when somebody ends it.
pub(crate) const SLOW: &str = "slow";
/// The name of the repository that is locked.
pub(crate) const VAULT: &str = "vault";
/// The folder with very many names, in the repository that is locked.
pub(crate) const MANY: &str = "many";
/// How many.
pub(crate) const NAMES: u64 = 100_000;
/// It only ends a test that hangs: what is waited for comes as soon as the machine gets to it.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often a page is loaded that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A PNG of 320 × 200 pixels.
const PICTURE: &[u8] = include_bytes!("snow.png");

/// The browser, what it looks at, and who keeps it.
pub(crate) struct Stand {
    pub(crate) browser: Browser,
    pub(crate) ui: Ui,
    pub(crate) setup: Setup,
    /// The folder that was backed up, the source `@home`.
    pub(crate) home: PathBuf,
    /// The snapshots of it, oldest first.
    pub(crate) snapshots: Vec<String>,
    /// A page whose configuration is empty.
    pub(crate) empty: Ui,
    /// A page whose repository is to be made.
    pub(crate) fresh: Ui,
    /// A page where users log in.
    pub(crate) others: Ui,
    /// The server of the bucket.
    pub(crate) server: RealServer,
    /// The number of a run that can be looked at.
    run: Option<String>,
    /// That of a run of a job.
    job_run: Option<String>,
    /// What the other pages are over.
    _setups: [Setup; 3],
}

impl Stand {
    pub(crate) fn new() -> Result<Self> {
        let server = RealServer::start(Kind::MiniStack)?;
        server.s3.create_bucket("backups")?;
        let mut setup = Setup::with_s3_repository(server.s3.endpoint(), "backups/main")?;
        let home = setup.path("home");
        fill(&home)?;
        let home_text = home.to_string_lossy().into_owned();
        setup.credenza.ok(["source", "add", "home", &home_text])?;
        let nowhere = setup.path("nowhere").to_string_lossy().into_owned();
        setup.credenza.ok(["source", "add", "nowhere", &nowhere])?;
        let first = snapshot_of(&setup.backup("@home")?)?;
        fs::write(home.join("letters/to-anna.txt"), "Dear Anna,\nit has begun to snow.\nYours\n")?;
        fs::write(home.join("letters/to-carl.txt"), "Dear Carl\n")?;
        fs::remove_file(home.join("letters/to-bert.txt"))?;
        let second = snapshot_of(&setup.backup("@home")?)?;

        fs::write(setup.path("user/config/jobs.toml"), jobs())?;
        let vault = setup.path(VAULT).to_string_lossy().into_owned();
        setup.credenza.ok(["repository", "add", VAULT, &vault])?;
        setup.credenza.set("CREDENZA_PASSPHRASE", OTHER_PASSPHRASE);
        setup.credenza.ok(["at", "@vault", "create"])?;
        let many = setup.path("source");
        fs::create_dir_all(many.join(MANY))?;
        (0..NAMES).try_for_each(|number| fs::write(many.join(MANY).join(format!("name-{number:06}")), ""))?;
        setup.credenza.ok(["at", "@vault", "backup", &many.to_string_lossy()])?;
        setup.credenza.set("CREDENZA_PASSPHRASE", PASSPHRASE);

        let gone = setup.path("gone").to_string_lossy().into_owned();
        setup.credenza.ok(["repository", "add", "gone", &gone])?;
        let browser = Browser::start()?;
        browser.set_view(View::DESKTOP)?;
        let empty = Setup::new()?;
        let mut fresh = Setup::new()?;
        fresh.credenza.unset("CREDENZA_PASSPHRASE");
        fresh.credenza.ok(["repository", "add", "mine", &fresh.path("disk").to_string_lossy()])?;
        let others = Setup::new()?;
        Ok(Self {
            empty: Ui::entered(&empty, &browser)?,
            fresh: Ui::entered(&fresh, &browser)?,
            others: for_others(&others)?,
            ui: Ui::entered(&setup, &browser)?,
            browser,
            setup,
            home,
            snapshots: vec![first, second],
            server,
            run: None,
            job_run: None,
            _setups: [empty, fresh, others],
        })
    }

    /// Has a basket and a run, to be looked at.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        self.show(&self.in_snapshot("?key=letters/"))?;
        self.browser.click("Add all of it to restore")?;
        self.browser.find("#to")?.fill(&self.setup.path("a preview").to_string_lossy())?;
        self.browser.click("Preview")?;
        self.browser.find(".offer")?;
        self.run = self.browser.address()?.rsplit('/').next().map(str::to_owned);
        self.cancel_slow()?;
        self.job_run = self.browser.address()?.rsplit('/').next().map(str::to_owned);
        Ok(())
    }

    /// Runs the job whose hook would not end, and cancels it.
    pub(crate) fn cancel_slow(&self) -> Result<()> {
        self.show(&format!("/jobs/{SLOW}"))?;
        self.browser.click("Run now")?;
        self.browser.expect("Running.")?;
        self.browser.click("Cancel")?;
        self.browser.expect("Cancelled.")
    }

    /// The number of the run of that job.
    pub(crate) fn job_run_number(&self) -> Result<String> {
        self.job_run.clone().context("the stand was prepared")
    }

    /// The number of that run.
    pub(crate) fn run_number(&self) -> Result<String> {
        self.run.clone().context("the stand was prepared")
    }

    /// Shows a page, and again as long as there is a repository on it that a slow machine is still opening.
    pub(crate) fn show(&self, path: &str) -> Result<()> {
        self.browser.open(&self.ui.at(path))?;
        let begun = Instant::now();
        loop {
            let shown = self.browser.text()?;
            if !shown.contains("opening goes on") {
                return Ok(());
            }
            ensure!(begun.elapsed() <= PATIENCE, "the repositories of {path} are not opened:\n{shown}");
            sleep(LOOK_EVERY);
            self.browser.reload()?;
        }
    }

    /// Opens the repository that is locked, by its page.
    pub(crate) fn unlock(&self) -> Result<()> {
        self.show(&format!("/r/{VAULT}"))?;
        self.browser.find("#passphrase")?.fill(OTHER_PASSPHRASE)?;
        self.browser.click("Open the repository")?;
        self.browser.expect("1 snapshot, newest first")
    }

    /// Locks it again.
    pub(crate) fn lock(&self) -> Result<()> {
        self.show(&format!("/r/{VAULT}"))?;
        self.browser.click("Forget its key")?;
        self.browser.expect("Locked.")
    }

    /// The address of a page of the newest snapshot of the stand.
    pub(crate) fn in_snapshot(&self, behind: &str) -> String {
        let id = self.snapshots.last().map(String::as_str).unwrap_or_default();
        format!("/r/{STORE}/s/{id}{behind}")
    }
}

/// A page for others, by TLS, where an identity provider vouches for users too.
fn for_others(setup: &Setup) -> Result<Ui> {
    setup.credenza.ok(["ui", "user", "add", "ana", "--role", "viewer", "--no-password"])?;
    let provider = Elsewhere::start("application/json", |address| {
        format!(
            r#"{{"issuer":"{address}","authorization_endpoint":"{address}/a","token_endpoint":"{address}/t","jwks_uri":"{address}/k"}}"#
        )
    })?;
    let tls = workspace().join("host/web/src/tests/tls");
    let file = |name: &str| tls.join(name).to_string_lossy().into_owned();
    let (certificate, key) = (file("server.pem"), file("server.key"));
    let words = ["--host", "others.localhost", "--tls-cert", &certificate, "--tls-key", &key];
    let by_provider = ["--oidc-issuer", &provider.address, "--oidc-client-id", "credenza"];
    Ui::start(&setup.credenza, &[words.as_slice(), &by_provider].concat())
}

/// Two jobs.
fn jobs() -> String {
    let to = format!("backup = \"@home\"\nto = \"@{STORE}\"");
    format!(
        "version = 1\n[job.{JOB}]\n{to}\nat = \"02:30\"\npromise = \"26h\"\nkeep = {{ daily = 14, weekly = 8 }}\n\
         hooks = [ {{ before = \"backup\", run = [\"echo\", \"all is quiet\"] }} ]\n\
         [job.{SLOW}]\n{to}\ncron = \"0 0 1 1 *\"\nhooks = [ {{ before = \"backup\", run = [\"sleep\", \"1000\"] }} ]\n"
    )
}

/// A home as many have one, and some that nobody wants.
fn fill(home: &Path) -> Result<()> {
    for folder in ["letters", "pictures/2026", "music", "work/drafts", "hostile"] {
        fs::create_dir_all(home.join(folder))?;
    }
    fs::write(home.join("letters/to-anna.txt"), "Dear Anna,\n")?;
    fs::write(home.join("letters/to-bert.txt"), "Dear Bert,\n")?;
    fs::write(home.join("letters/empty.txt"), "")?;
    fs::write(home.join("pictures/2026/snow.png"), PICTURE)?;
    fs::write(home.join("pictures/2026/raw.dng"), tree::noise(1, 2_000_000))?;
    fs::write(home.join("music/song.flac"), tree::noise(2, 3_000_000))?;
    for number in 0..40 {
        fs::write(
            home.join(format!("work/drafts/chapter-{number:02}.md")),
            tree::noise(number, 20_000 + 1000 * number),
        )?;
    }
    fs::write(home.join("work/gpj\u{202e}exe.txt"), "turned around")?;
    Ok(())
}
