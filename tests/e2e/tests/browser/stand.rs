//! What all scenarios look at: a home that was backed up twice into a bucket, a repository that is locked, and who looks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use credenza_e2e::browser::{Browser, Ui, View};
use credenza_e2e::servers::{Kind, RealServer};
use credenza_e2e::{PASSPHRASE, Setup, snapshot_of, tree};

/// What opens the repository that is locked.
pub(crate) const OTHER_PASSPHRASE: &str = "nobody's business but mine, 0815";
/// The name of the repository in the bucket.
pub(crate) const STORE: &str = "store";
/// The name of the repository that is locked.
pub(crate) const VAULT: &str = "vault";
/// The folder with very many names, in the repository that is locked.
pub(crate) const MANY: &str = "many";
/// How many.
pub(crate) const NAMES: u64 = 100_000;
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
    /// The server of the bucket.
    _server: RealServer,
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

        let vault = setup.path(VAULT).to_string_lossy().into_owned();
        setup.credenza.ok(["repository", "add", VAULT, &vault])?;
        setup.credenza.set("CREDENZA_PASSPHRASE", OTHER_PASSPHRASE);
        setup.credenza.ok(["at", "@vault", "create"])?;
        let many = setup.path("source");
        fs::create_dir_all(many.join(MANY))?;
        (0..NAMES).try_for_each(|number| fs::write(many.join(MANY).join(format!("name-{number:06}")), ""))?;
        setup.credenza.ok(["at", "@vault", "backup", &many.to_string_lossy()])?;
        setup.credenza.set("CREDENZA_PASSPHRASE", PASSPHRASE);

        let browser = Browser::start()?;
        browser.set_view(View::DESKTOP)?;
        let ui = Ui::entered(&setup, &browser)?;
        Ok(Self { browser, ui, setup, home, snapshots: vec![first, second], _server: server })
    }

    /// Shows a page.
    pub(crate) fn show(&self, path: &str) -> Result<()> {
        self.browser.open(&self.ui.at(path))
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

    /// The address of what differs between the snapshots of the stand.
    pub(crate) fn compared(&self) -> String {
        format!(
            "/r/{STORE}/diff?before={}&after={}",
            self.snapshots.first().map_or("", String::as_str),
            self.snapshots.last().map_or("", String::as_str)
        )
    }

    /// The address of a page of the newest snapshot of the stand.
    pub(crate) fn in_snapshot(&self, behind: &str) -> String {
        let id = self.snapshots.last().map(String::as_str).unwrap_or_default();
        format!("/r/{STORE}/s/{id}{behind}")
    }
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
