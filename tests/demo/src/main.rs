//! A demonstration that proves itself: a bucket is backed up through the S3 component into an encrypted
//! repository, changed, backed up again, restored, compared, and damaged.
//!
//! `cargo xtask demo` builds what this needs and runs it. It drives the real binary, prints what each step did
//! with the requests and bytes that the server counted, and ends with an error as soon as anything is not as it
//! should be. Bucket and server live in memory, the repository in a temporary folder; nothing stays behind. With `--ui` the page
//! of the sample is served at the end, until the input ends.

mod narrator;
mod sample;

use anyhow::{Context, Result, ensure};
use credenza_e2e::bucket::compare;
use credenza_e2e::{Setup, memory_server, number, snapshot_of};
use credenza_s3_server::{Operation, Server};
use narrator::Narrator;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The bucket that is backed up.
const SHOP: &str = "shop";
/// The bucket that it is restored to.
const COPY: &str = "shop-restored";

fn main() -> Result<()> {
    let demo = Demo::start()?;
    demo.create()?;
    let first = demo.back_up_all()?;
    demo.back_up_unchanged()?;
    let second = demo.back_up_changed()?;
    demo.list(&first, &second)?;
    demo.restore_to_bucket(&second)?;
    demo.restore_first_to_folder(&first)?;
    demo.damage_and_find(&second)?;
    demo.narrator.end()?;
    if std::env::args().skip(1).any(|word| word == "--ui") { demo.serve_page() } else { Ok(()) }
}

struct Demo {
    server: Server,
    setup: Setup,
    narrator: Narrator,
    /// The bucket as it was first: keys with bodies.
    original: sample::Objects,
}

impl Demo {
    fn start() -> Result<Self> {
        let (server, endpoint) = memory_server()?;
        let original = sample::fill(&server.buckets, SHOP);
        server.buckets.create(COPY);
        let mut setup = Setup::new()?;
        let repository = setup.path("repository").to_string_lossy().into_owned();
        setup.credenza.set("CREDENZA_REPOSITORY", &repository);
        setup.add("source", SHOP, &endpoint, SHOP)?;
        setup.add("destination", "copy", &endpoint, COPY)?;
        let narrator = Narrator::new(server.log().clone());
        narrator.say(&format!(
            "An S3 server at {} serves {} objects in bucket {SHOP}.",
            endpoint.url,
            original.len()
        ))?;
        Ok(Self { server, setup, narrator, original })
    }

    fn create(&self) -> Result<()> {
        self.narrator.step("Create an encrypted repository in a folder", || {
            self.setup.credenza.ok(["create"])?;
            ensure!(self.repository().join("config").is_file(), "the repository has no config");
            Ok("created".to_owned())
        })
    }

    fn back_up_all(&self) -> Result<String> {
        let mut snapshot = String::new();
        self.narrator.step("Back up the bucket through the S3 component", || {
            let summary = self.setup.backup(&format!("@{SHOP}"))?;
            let (entries, reads) = (number(&summary, &["entries"])?, self.reads());
            let objects = self.original.len() as u64;
            ensure!(entries == objects && reads == objects, "{entries} entries, {reads} reads of {objects} objects");
            snapshot = snapshot_of(&summary)?;
            Ok(format!("{entries} objects, one GET each; {} bytes added", number(&summary, &["bytes_added"])?))
        })?;
        Ok(snapshot)
    }

    fn back_up_unchanged(&self) -> Result<()> {
        self.narrator.step("Back it up again, unchanged", || {
            let summary = self.setup.backup(&format!("@{SHOP}"))?;
            let added = number(&summary, &["bytes_added"])?;
            ensure!(self.reads() == 0, "{} objects were read again", self.reads());
            ensure!(added <= 4096, "{added} bytes were added");
            Ok(format!("no object read; {added} bytes added"))
        })
    }

    fn back_up_changed(&self) -> Result<String> {
        sample::change(&self.server.buckets, SHOP);
        let mut snapshot = String::new();
        self.narrator.step("One object changes, one appears, one is deleted; back up", || {
            let summary = self.setup.backup(&format!("@{SHOP}"))?;
            ensure!(self.reads() == 2, "{} objects were read, not 2", self.reads());
            snapshot = snapshot_of(&summary)?;
            Ok(format!("2 objects read; {} bytes added", number(&summary, &["bytes_added"])?))
        })?;
        Ok(snapshot)
    }

    fn list(&self, first: &str, second: &str) -> Result<()> {
        self.narrator.step("List the snapshots and what they hold", || {
            let snapshots = self.setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
            ensure!(snapshots.len() == 3, "{} snapshots, not 3", snapshots.len());
            let (before, after) = (self.bytes_of(first)?, self.bytes_of(second)?);
            ensure!(before == self.original.values().map(|body| body.len() as u64).sum::<u64>(), "{before} bytes");
            Ok(format!("3 snapshots; the first holds {before} bytes, the last {after}"))
        })
    }

    fn restore_to_bucket(&self, snapshot: &str) -> Result<()> {
        self.narrator.step("Restore the last snapshot into another bucket", || {
            self.setup.credenza.ok(["restore", snapshot, "--to", "@copy"])?;
            compare(&self.server.buckets, SHOP, COPY)?;
            Ok("keys, bodies and metadata are equal".to_owned())
        })
    }

    fn restore_first_to_folder(&self, snapshot: &str) -> Result<()> {
        self.narrator.step("Restore the first snapshot, with the deleted object, into a folder", || {
            let target = self.setup.restore(snapshot, "restored")?;
            for (key, body) in &self.original {
                let restored = fs::read(target.join(key)).with_context(|| format!("{key} is not there"))?;
                ensure!(restored == *body, "{key} has other bytes");
            }
            Ok(format!("{} files are equal, byte for byte", self.original.len()))
        })
    }

    fn damage_and_find(&self, snapshot: &str) -> Result<()> {
        let pack = largest_file(&self.repository().join("data"))?;
        let name = pack.strip_prefix(self.repository())?.to_string_lossy().into_owned();
        let mut bytes = fs::read(&pack)?;
        let middle = bytes.len() / 2;
        bytes.get_mut(middle).into_iter().for_each(|byte| *byte ^= 1);
        fs::remove_file(&pack)?;
        fs::write(&pack, &bytes)?;
        self.setup.credenza.forget_cache()?;
        self.narrator.step(&format!("Flip one bit of {name} and check"), || {
            let check = self.setup.check()?.expect_code(20)?;
            let damage = check.lines_of("damage")?;
            let named = damage.iter().any(|line| line["object"] == name.as_str());
            ensure!(named, "the damaged object is not named\n{}", check.whole());
            Ok("exit code 20, and the damaged object is named".to_owned())
        })?;
        self.narrator.step("Restore from the damaged repository", || {
            let target = self.setup.path("from damaged").to_string_lossy().into_owned();
            let restore = self.setup.credenza.run(["restore", snapshot, "--to", &target])?;
            ensure!(restore.code != Some(0), "a damaged restore passed for a good one\n{}", restore.whole());
            let wrong = self.wrong_files(Path::new(&target))?;
            ensure!(wrong.is_empty(), "wrong bytes were written: {wrong:?}");
            Ok(format!("exit code {}, no wrong byte written", restore.code.unwrap_or(-1)))
        })
    }

    /// Serves the page, with the damage in it, for as long as there is input.
    fn serve_page(&self) -> Result<()> {
        self.narrator.say("\nThe page of all this; Enter prints another link, Ctrl-D ends it:")?;
        let mut page = self.setup.credenza.command(["ui"]).stdin(Stdio::piped()).spawn().context("cannot start ui")?;
        let mut links = page.stdin.take().context("it has an input")?;
        for line in std::io::stdin().lines() {
            line?;
            links.write_all(b"\n")?;
        }
        // It holds nothing that is lost with it.
        page.kill()?;
        page.wait()?;
        Ok(())
    }

    fn wrong_files(&self, target: &Path) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        for key in self.server.buckets.keys(SHOP) {
            let file = target.join(&key);
            let stored = self.server.buckets.get(SHOP, &key).context("just listed")?;
            if file.is_file() && fs::read(&file)? != stored.body() {
                wrong.push(key);
            }
        }
        Ok(wrong)
    }

    fn repository(&self) -> PathBuf {
        self.setup.path("repository")
    }

    fn reads(&self) -> u64 {
        self.server.log().count(SHOP, Operation::GetObject).requests
    }

    fn bytes_of(&self, snapshot: &str) -> Result<u64> {
        let entries = self.setup.credenza.ok(["--json", "ls", "-R", snapshot])?.lines_of("entry")?;
        entries.iter().map(|entry| number(entry, &["size"])).sum()
    }
}

fn largest_file(folder: &Path) -> Result<PathBuf> {
    let mut largest = (0, PathBuf::new());
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.len() > largest.0 {
                largest = (metadata.len(), entry.path());
            }
        }
    }
    ensure!(largest.0 > 0, "no pack in {}", folder.display());
    Ok(largest.1)
}
