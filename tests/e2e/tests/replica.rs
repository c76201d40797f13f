//! A repository that is a replica: what it refuses and in which words, what it finds when either side was put back, and the day when it is promoted.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Outcome, Precious, Setup, tree};
use serde_json::Value;

/// An origin in a folder with one snapshot, which is the default of every command, and a replica of it in another.
struct Pair {
    precious: Precious,
    replica: String,
}

impl Pair {
    fn new() -> Result<Self> {
        let precious = Precious::new(Setup::with_local_repository()?)?;
        let replica = precious.setup.path("replica").to_string_lossy().into_owned();
        let pair = Self { precious, replica };
        let created =
            pair.at(&pair.replica, &["--json", "create", "--like", &pair.origin(), "--replica"])?.expect_code(0)?;
        let line = created.lines_of("created")?.into_iter().next().context("nothing was created")?;
        ensure!(line.get("replica_of").and_then(Value::as_str) == Some(&*pair.id()?), "{line}");
        pair.sync()?.expect_code(0)?;
        Ok(pair)
    }

    fn origin(&self) -> String {
        self.precious.setup.path("repository").to_string_lossy().into_owned()
    }

    fn at(&self, repository: &str, words: &[&str]) -> Result<Outcome> {
        self.precious.setup.credenza.run([&["at", repository], words].concat())
    }

    fn sync(&self) -> Result<Outcome> {
        self.at(&self.origin(), &["--json", "sync", "to", &self.replica])
    }

    /// The id of the origin.
    fn id(&self) -> Result<String> {
        let info = self.info(&self.origin())?;
        Ok(info.get("id").and_then(Value::as_str).context("a repository without an id")?.to_owned())
    }

    fn info(&self, repository: &str) -> Result<Value> {
        let info = self.at(repository, &["--json", "info"])?.expect_code(0)?;
        info.lines_of("repository")?.into_iter().next().context("no repository is described")
    }

    fn back_up(&self, repository: &str, name: &str) -> Result<()> {
        std::fs::write(self.precious.source().join(name), name)?;
        self.at(repository, &["backup", &self.precious.source().to_string_lossy()])?.expect_code(0).map(drop)
    }

    fn snapshots(&self, repository: &str) -> Result<usize> {
        Ok(self.at(repository, &["--json", "ls"])?.expect_code(0)?.lines_of("snapshot")?.len())
    }

    /// Keeps a folder as it is now, to be put back later.
    fn keep(&self, folder: &str) -> Result<PathBuf> {
        let kept = self.precious.setup.path("yesterday");
        copy(Path::new(folder), &kept)?;
        Ok(kept)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().context("cannot run cp")?;
    ensure!(copied.success(), "{} was not copied", from.display());
    Ok(())
}

fn put_back(kept: &Path, folder: &str) -> Result<()> {
    std::fs::remove_dir_all(folder)?;
    copy(kept, Path::new(folder))
}

#[test]
fn a_replica_is_read_by_all_and_refuses_what_is_for_its_origin_to_do() -> Result<()> {
    let pair = Pair::new()?;
    let (replica, id) = (&pair.replica, pair.id()?);
    let source = pair.precious.source().to_string_lossy().into_owned();
    let refused = |words: &[&str], what: &str| {
        let outcome = pair.at(replica, words)?.expect_code(11)?;
        let why =
            format!("this repository is a replica of {id}: {what} is for its replication to do; nothing was done");
        outcome.expect_message(&[&why])?.expect_message(&[&format!("credenza at {replica} promote")])
    };
    refused(&["backup", &source], "backing up")?;
    refused(&["rm", "latest"], "removing snapshots")?;
    refused(&["tag", "add", "mine", "latest"], "changing tags")?;
    refused(&["maintain"], "reclaiming space")?;
    let info = pair.info(replica)?;
    ensure!(info["role"] == "replica" && info["origin"] == id.as_str() && !info["heads"].is_null(), "{info}");
    ensure!(pair.info(&pair.origin())?.get("role").is_none(), "the origin has no role");
    let target = pair.precious.setup.path("restored");
    pair.at(replica, &["restore", "latest", "--accept-loss", "--to", &target.to_string_lossy()])?.expect_code(0)?;
    tree::compare(pair.precious.source(), &target)?;
    pair.at(replica, &["check", "--read-data"])?.expect_code(0)?;
    pair.at(replica, &["repair"])?.expect_code(0)?;
    ensure!(pair.snapshots(replica)? == 1, "something came or went");
    Ok(())
}

#[test]
fn a_replica_takes_nothing_from_another_repository() -> Result<()> {
    let pair = Pair::new()?;
    let other = pair.precious.setup.path("other").to_string_lossy().into_owned();
    pair.at(&other, &["create"])?.expect_code(0)?;
    pair.back_up(&other, "strange")?;
    let strange = pair.info(&other)?["id"].as_str().unwrap_or_default().to_owned();
    let (id, replica) = (pair.id()?, &pair.replica);
    let refused = pair.at(&other, &["sync", "to", replica])?.expect_code(11)?;
    let why = format!(
        "the target is a replica of repository {id}, and these snapshots are from {strange}; nothing was carried"
    );
    refused.expect_message(&[&why])?.expect_message(&[&format!("credenza at {replica} promote")])?;
    pair.at(&other, &["sync", "from", replica])?.expect_code(0)?;
    ensure!((pair.snapshots(replica)?, pair.snapshots(&other)?) == (1, 2), "only the other took something");
    Ok(())
}

#[test]
fn an_origin_that_was_put_back_to_yesterday_is_told_once_and_nothing_is_lost() -> Result<()> {
    let pair = Pair::new()?;
    let yesterday = pair.keep(&pair.origin())?;
    pair.back_up(&pair.origin(), "today")?;
    pair.sync()?.expect_code(0)?;
    put_back(&yesterday, &pair.origin())?;
    let found = pair.sync()?.expect_code(20)?;
    let lines = found.lines_of("origin-rolled-back")?;
    ensure!(lines.len() == 1 && lines[0]["became"] == "cut" && lines[0]["newest"] == 1, "{lines:?}");
    ensure!(pair.snapshots(&pair.replica)? == 2, "the replica keeps what its origin lost");
    ensure!(pair.sync()?.expect_code(0)?.lines_of("origin-rolled-back")?.is_empty(), "it is told once");
    // The way back, for a person who sees it.
    pair.at(&pair.origin(), &["sync", "from", &pair.replica])?.expect_code(0)?;
    ensure!(pair.snapshots(&pair.origin())? == 2, "what was lost is back");
    Ok(())
}

#[test]
fn a_replica_that_was_put_back_is_told_by_the_machine_that_carries_and_filled_again() -> Result<()> {
    let pair = Pair::new()?;
    let yesterday = pair.keep(&pair.replica)?;
    pair.back_up(&pair.origin(), "today")?;
    pair.sync()?.expect_code(0)?;
    put_back(&yesterday, &pair.replica)?;
    let found = pair.sync()?.expect_code(20)?;
    let lines = found.lines_of("replica-rolled-back")?;
    ensure!(lines.len() == 1, "{}", found.whole());
    ensure!(pair.snapshots(&pair.replica)? == 2, "what it had lost was carried again");
    ensure!(pair.sync()?.expect_code(0)?.lines_of("replica-rolled-back")?.is_empty(), "it is told once");
    Ok(())
}

#[test]
fn an_origin_that_was_deleted_and_made_again_gives_the_replica_nothing() -> Result<()> {
    let pair = Pair::new()?;
    let (origin, id) = (pair.origin(), pair.id()?);
    std::fs::remove_dir_all(&origin)?;
    pair.sync()?.expect_code(10)?.expect_message(&["no repository"])?;
    pair.at(&origin, &["create"])?.expect_code(0)?;
    pair.back_up(&origin, "anew")?;
    pair.sync()?.expect_code(11)?.expect_message(&[&format!("the target is a replica of repository {id}")])?;
    ensure!(pair.snapshots(&pair.replica)? == 1, "the replica keeps what it had");
    Ok(())
}

#[test]
fn a_promoted_replica_is_a_repository_of_its_own_and_the_old_origin_is_sent_away() -> Result<()> {
    let pair = Pair::new()?;
    let (replica, origin, id) = (&pair.replica, pair.origin(), pair.id()?);
    let refused = pair.at(replica, &["promote"])?.expect_code(2)?;
    refused
        .expect_message(&["nobody is there to agree"])?
        .expect_message(&[&format!("credenza at {replica} promote --yes")])?;
    ensure!(pair.info(replica)?["role"] == "replica", "nothing was changed");
    let promoted = pair.at(replica, &["--json", "promote", "--yes"])?.expect_code(0)?;
    let line = promoted.lines_of("promoted")?.into_iter().next().context("nothing was promoted")?;
    ensure!(line["origin"] == id.as_str() && line["unchanged"] == false, "{line}");
    let again = pair.at(replica, &["--json", "promote", "--yes"])?.expect_code(0)?.lines_of("promoted")?;
    ensure!(again[0]["unchanged"] == true && again[0]["at"] == line["at"], "{again:?}");

    pair.back_up(replica, "at the new primary")?;
    pair.back_up(&origin, "at the old one")?;
    let at = line["at"].as_str().unwrap_or_default();
    let refused = pair.sync()?.expect_code(11)?;
    let why =
        format!("it was a replica of repository {id} and was promoted at {at}: it takes nothing from there since");
    let way = format!("credenza at {origin} sync from {replica}");
    refused.expect_message(&[&why])?.expect_message(&[&way])?;
    // The command works as it is printed.
    let words: Vec<&str> = way.split(' ').skip(1).collect();
    pair.precious.setup.credenza.ok(words)?;
    ensure!((pair.snapshots(replica)?, pair.snapshots(&origin)?) == (2, 3), "the old origin has both");
    pair.at(replica, &["maintain"])?.expect_code(0)?;
    pair.at(&origin, &["promote", "--yes"])?.expect_code(11)?.expect_message(&["is no replica"])?;
    Ok(())
}
