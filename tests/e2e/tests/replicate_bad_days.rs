//! Bad days of replication: one origin in a folder and a replica of it on each of three real servers at once, each by a policy of its own. Each day something
//! happens to one side; what is lost is counted, what is said is held to its words, and the table of both is printed at the end.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::relay::{Relay, Strike};
use credenza_e2e::s3::Endpoint;
use credenza_e2e::servers::{Kind, RealServer};
use credenza_e2e::{Outcome, Precious, Setup, number, tree};
use http::{Method, StatusCode};
use rustix::process::Signal;

const BUCKET: &str = "replica";
/// Replicas, by the names that they are configured under.
const ALL: [&str; 3] = ["locked", "mini", "folder"];

/// One origin, three replicas, and what happened so far.
struct World {
    precious: Precious,
    locked: RealServer,
    mini: RealServer,
    folder: RealServer,
    /// Snapshots that a policy promised to be at each replica.
    promised: usize,
    table: Vec<[String; 3]>,
}

impl World {
    fn new() -> Result<Self> {
        let precious = Precious::new(Setup::with_local_repository()?)?;
        let locked = RealServer::start(Kind::SeaweedFs)?;
        let mini = RealServer::start(Kind::MiniStack)?;
        let folder = RealServer::start(Kind::Rclone)?;
        let locking = [("x-amz-bucket-object-lock-enabled", "true")];
        locked.s3.send(Method::PUT, (BUCKET, b""), &[], &locking, "")?.success()?;
        mini.s3.create_bucket(BUCKET)?;
        folder.s3.create_bucket(BUCKET)?;
        for (name, server) in ALL.iter().zip([&locked, &mini, &folder]) {
            precious.setup.add("repository", name, server.s3.endpoint(), BUCKET)?;
        }
        let world = Self { precious, locked, mini, folder, promised: 1, table: Vec::new() };
        world.create("locked", &["--retain", "1d"])?;
        world.create("mini", &[])?;
        world.create("folder", &[])?;
        world.write("1d")?;
        world.carry_to_all()?;
        Ok(world)
    }

    /// The file of jobs: a policy for each replica, and for two behind a relay; the first asks for a lock.
    fn write(&self, lock: &str) -> Result<()> {
        let origin = self.origin().to_string_lossy().into_owned();
        let policy = |name: &str| {
            let lock = if name == "locked" { format!("lock = \"{lock}\"\n") } else { String::new() };
            format!(
                "[replicate.{name}]\nfrom = \"{origin}\"\nguard = {{ vanish_max = 2 }}\n[[replicate.{name}.to]]\ntarget = \"@{name}\"\n{lock}"
            )
        };
        let policies: String = ALL.iter().chain(&["relayed", "frozen"]).map(|name| policy(name)).collect();
        Ok(std::fs::write(self.jobs(), format!("version = 1\n{policies}"))?)
    }

    fn jobs(&self) -> PathBuf {
        self.precious.setup.path("jobs.toml")
    }

    fn create(&self, name: &str, more: &[&str]) -> Result<Outcome> {
        let origin = self.origin().to_string_lossy().into_owned();
        self.at(name, &[&["create", "--like", &origin, "--replica"], more].concat())?.expect_code(0)
    }

    fn origin(&self) -> PathBuf {
        self.precious.setup.path("repository")
    }

    fn at(&self, name: &str, words: &[&str]) -> Result<Outcome> {
        self.precious.setup.credenza.run([&["--json", "at", &format!("@{name}")], words].concat())
    }

    fn carrying<'a>(name: &'a str, jobs: &'a str) -> [&'a str; 6] {
        ["--json", "replicate", "run", name, "--jobs", jobs]
    }

    fn carry(&self, name: &str) -> Result<Outcome> {
        self.precious.setup.credenza.run(Self::carrying(name, &self.jobs().to_string_lossy()))
    }

    /// The same where somebody says that what has vanished at the origin is known.
    fn carry_knowing(&self, name: &str) -> Result<Outcome> {
        let jobs = self.jobs().to_string_lossy().into_owned();
        let words = Self::carrying(name, &jobs).into_iter().chain(["--accept-vanished"]);
        self.precious.setup.credenza.run(words)
    }

    fn carry_to_all(&self) -> Result<()> {
        ALL.iter().try_for_each(|name| self.carry(name)?.expect_code(0).map(drop))
    }

    /// A new snapshot at the origin, which is promised to be at each replica from then on.
    fn back_up(&mut self) -> Result<()> {
        self.promised += 1;
        std::fs::write(self.precious.source().join("diary"), format!("day {}", self.promised))?;
        self.precious.setup.backup(&self.precious.source().to_string_lossy())?;
        Ok(())
    }

    fn snapshots(&self, name: &str) -> Result<usize> {
        Ok(self.at(name, &["ls"])?.expect_code(0)?.lines_of("snapshot")?.len())
    }

    /// Demands of a replica all that was promised.
    fn expect_all(&self, name: &str) -> Result<()> {
        let found = self.snapshots(name)?;
        ensure!(found == self.promised, "@{name} has {found} snapshots of {}", self.promised);
        Ok(())
    }

    /// A replica behind a relay that strikes, under a name of its own.
    fn behind(&self, relay: &Relay, server: &RealServer, name: &str) -> Result<()> {
        let endpoint = Endpoint { url: format!("http://{}", relay.host), ..server.s3.endpoint().clone() };
        self.precious.setup.add("repository", name, &endpoint, BUCKET)
    }

    /// A line of the table: the others go on, and what was promised is there when the day is over.
    fn over(&mut self, day: &str, said: &str) -> Result<()> {
        self.carry_to_all().with_context(|| format!("after: {day}"))?;
        ALL.iter().try_for_each(|name| self.expect_all(name)).with_context(|| format!("after: {day}"))?;
        self.table.push([day.to_owned(), "nothing".to_owned(), said.to_owned()]);
        Ok(())
    }

    #[allow(clippy::print_stdout, reason = "the table is what the test is for")]
    fn print(&self) {
        println!("| what happened | lost | said, once |\n|---|---|---|");
        self.table.iter().for_each(|[day, lost, said]| println!("| {day} | {lost} | {said} |"));
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().context("cannot run cp")?;
    ensure!(copied.success(), "{} was not copied", from.display());
    Ok(())
}

/// How many snapshots a run has carried.
fn carried(outcome: &Outcome) -> Result<u64> {
    let steps = outcome.lines_of("step")?;
    let step = steps.iter().find(|step| step["did"] == "replicated").context("nothing was replicated")?;
    number(step, &["copied"])
}

/// What a failed run says, and why.
fn said(outcome: &Outcome) -> String {
    let last = outcome.stderr.lines().find(|line| line.contains("message")).unwrap_or_default();
    let Ok(failure) = serde_json::from_str::<serde_json::Value>(last) else { return last.to_owned() };
    let words =
        ["message", "cause"].map(|name| failure.get(name).and_then(serde_json::Value::as_str).unwrap_or_default());
    let exit = outcome.code.unwrap_or_default();
    format!("{}; exit {exit}", words.join(": ").trim_end_matches(": "))
}

#[test]
fn on_each_bad_day_nothing_is_lost_that_was_promised_and_it_is_said_once() -> Result<()> {
    let mut world = World::new()?;
    a_server_is_killed(&mut world)?;
    a_server_is_frozen(&mut world)?;
    a_server_is_slow_full_and_revokes_the_credential(&mut world)?;
    a_replica_is_put_back(&mut world)?;
    a_bucket_is_deleted_and_made_again(&mut world)?;
    a_lock_outlasts_an_attacker_at_the_replica(&mut world)?;
    the_source_is_poisoned(&mut world)?;
    the_origin_is_put_back(&mut world)?;
    an_attacker_removes_all_at_the_origin(&mut world)?;
    two_machines_carry_by_one_policy(&mut world)?;
    a_lock_is_shorter_than_the_policy_asks(&mut world)?;
    both_sides_are_written_to(&mut world)?;
    for name in ALL {
        // Where two machines carry at once to a server that does not refuse a name which is taken, the one's snapshot may be put over the other's: the same
        // snapshot, behind which the other's next one misses its own, and so may those of both.
        let found = world.at(name, &["check", "--read-data"])?;
        let damages = found.lines_of("damage")?;
        let is_fork = (1..=2).contains(&damages.len()) && damages.iter().all(|damage| damage["kind"] == "missing-link");
        ensure!(found.code == Some(0) || name == "folder" && is_fork, "{}", found.whole());
    }
    world.print();
    Ok(())
}

fn a_server_is_killed(world: &mut World) -> Result<()> {
    world.folder.signal("KILL")?;
    world.back_up()?;
    let failed = world.carry("folder")?.expect_code(1)?;
    let failed = failed.expect_message(&["refuses connections"])?;
    world.carry("locked")?.expect_code(0)?;
    world.carry("mini")?.expect_code(0)?;
    world.folder.start_again()?;
    world.over("a replica's server is killed", &said(&failed))
}

/// Nothing is measured: a run that waits for a frozen server is asked to end, and does.
fn a_server_is_frozen(world: &mut World) -> Result<()> {
    let relay = Relay::start(world.folder.s3.endpoint().url.trim_start_matches("http://"))?;
    world.behind(&relay, &world.folder, "frozen")?;
    world.folder.signal("STOP")?;
    world.back_up()?;
    relay.clear();
    let jobs = world.jobs().to_string_lossy().into_owned();
    let mut run = world.precious.setup.credenza.start(World::carrying("frozen", &jobs))?;
    world.carry("mini")?.expect_code(0)?;
    run.until("asking the server", || !relay.lines().is_empty())?;
    run.signal(Signal::INT)?;
    let ended = run.wait()?.expect_code(130)?;
    world.folder.signal("CONT")?;
    world.over("a replica's server is frozen, and the run is ended", &said(&ended))
}

fn a_server_is_slow_full_and_revokes_the_credential(world: &mut World) -> Result<()> {
    let relay = Relay::start(world.mini.s3.endpoint().url.trim_start_matches("http://"))?;
    world.behind(&relay, &world.mini, "relayed")?;
    world.back_up()?;
    relay.strike(Strike::Status(507), &["PUT"], 1);
    let full = world.carry("relayed")?.expect_code(1)?;
    let full = full.expect_message(&["is full, or its quota is spent"])?;
    relay.clear();
    world.over("a replica's store is full", &said(&full))?;

    world.back_up()?;
    relay.strike(Strike::Status(403), &[""], 1);
    let denied = world.carry("relayed")?;
    ensure!(denied.code != Some(0), "{}", denied.whole());
    relay.clear();
    world.over("the credential for a replica is revoked", &said(&denied))?;

    world.back_up()?;
    relay.strike(Strike::Late(200), &[""], 3);
    world.carry("relayed")?.expect_code(0)?;
    ensure!(relay.struck() > 0, "nothing was slow");
    world.over("a replica's server is slow", "nothing: it takes longer")
}

fn a_replica_is_put_back(world: &mut World) -> Result<()> {
    let kept = world.precious.setup.path("kept");
    copy(&world.folder.data().join(BUCKET), &kept)?;
    world.back_up()?;
    world.carry_to_all()?;
    std::fs::remove_dir_all(world.folder.data().join(BUCKET))?;
    copy(&kept, &world.folder.data().join(BUCKET))?;
    // It looks at the folder anew when it starts.
    world.folder.signal("KILL")?;
    world.folder.start_again()?;
    world.precious.setup.credenza.forget_cache()?;
    let found = world.carry("folder")?.expect_code(20)?.expect_message(&["was put back: it knew its origin"])?;
    world.over("a replica is put back to yesterday", &said(&found))
}

fn a_bucket_is_deleted_and_made_again(world: &mut World) -> Result<()> {
    let s3 = &world.mini.s3;
    s3.keys(BUCKET, "")?.iter().try_for_each(|key| s3.delete(BUCKET, key))?;
    s3.send(Method::DELETE, (BUCKET, b""), &[], &[], "")?.success()?;
    s3.create_bucket(BUCKET)?;
    world.precious.setup.credenza.forget_cache()?;
    let gone = world.carry("mini")?.expect_code(1)?;
    let gone = gone.expect_message(&["no repository"])?;
    world.create("mini", &[])?;
    let filled = world.carry("mini")?.expect_code(0)?;
    ensure!(carried(&filled)? == world.promised as u64, "{}", filled.whole());
    world.over("a replica's bucket is deleted and made again", &said(&gone))
}

/// Whoever has the credentials of a replica deletes what it can; versions under a lock stay.
fn a_lock_outlasts_an_attacker_at_the_replica(world: &mut World) -> Result<()> {
    let s3 = &world.locked.s3;
    let snapshots: Vec<_> =
        s3.versions(BUCKET)?.into_iter().filter(|one| one.key.starts_with("snapshot/") && !one.deleted).collect();
    ensure!(snapshots.len() >= world.promised, "{} versions", snapshots.len());
    for version in &snapshots {
        let id = [("versionId", version.id.as_str())];
        let answer = s3.send(Method::DELETE, (BUCKET, &version.key), &id, &[], "")?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "{}: {}", version.key, answer.status);
    }
    world.over(
        "an attacker deletes versions at a replica that locks longer than its origin",
        "AccessDenied, to the attacker",
    )
}

fn the_source_is_poisoned(world: &mut World) -> Result<()> {
    let clean = world.precious.setup.path("clean");
    copy(world.precious.source(), &clean)?;
    for file in ["diary", "ransom"] {
        std::fs::write(world.precious.source().join(file), [0xA5; 4096])?;
    }
    let good = world.at("mini", &["ls"])?.lines_of("snapshot")?;
    let good = good.last().and_then(|one| one["id"].as_str()).context("a snapshot without an id")?.to_owned();
    world.promised += 1;
    world.precious.setup.backup(&world.precious.source().to_string_lossy())?;
    world.carry_to_all()?;
    for name in ALL {
        let target = world.precious.setup.path(&format!("from {name}"));
        let words = ["restore", &good, "--accept-loss", "--to", &target.to_string_lossy()];
        world.at(name, &words)?.expect_code(0)?;
        tree::compare(&clean, &target)?;
    }
    world.over("the source is poisoned", "by the guard of its job; each replica gives back the day before")
}

fn the_origin_is_put_back(world: &mut World) -> Result<()> {
    let kept = world.precious.setup.path("origin of yesterday");
    copy(&world.origin(), &kept)?;
    world.back_up()?;
    world.carry_to_all()?;
    std::fs::remove_dir_all(world.origin())?;
    copy(&kept, &world.origin())?;
    let mut words = String::new();
    for name in ALL {
        let found =
            world.carry(name)?.expect_code(3)?.expect_message(&["was rolled back or cut", "--accept-vanished"])?;
        world.expect_all(name)?;
        words = said(&found);
    }
    world.precious.setup.credenza.ok(["sync", "from", "@mini"])?;
    ALL.iter().try_for_each(|name| world.carry_knowing(name)?.expect_code(0).map(drop))?;
    world.over("the origin is put back to yesterday", &words)
}

/// With its full rights, and then without the program that leaves a record.
fn an_attacker_removes_all_at_the_origin(world: &mut World) -> Result<()> {
    let origin = world.origin();
    let ids = world.precious.setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
    let ids: Vec<String> = ids.iter().filter_map(|one| Some(one["id"].as_str()?.to_owned())).collect();
    let half = ids.len() / 2;
    let words: Vec<&str> = ["rm"].into_iter().chain(ids.iter().take(half).map(String::as_str)).collect();
    world.precious.setup.credenza.ok(words)?;
    let mut words = String::new();
    for name in ALL {
        let held =
            world.carry(name)?.expect_code(3)?.expect_message(&["are gone at the origin", "--accept-vanished"])?;
        world.expect_all(name)?;
        words = said(&held);
    }
    std::fs::remove_dir_all(origin.join("snapshot"))?;
    std::fs::create_dir(origin.join("snapshot"))?;
    for name in ALL {
        world.carry(name)?.expect_code(3)?;
        world.expect_all(name)?;
        world.carry_knowing(name)?.expect_code(0)?;
    }
    world.over("an attacker removes all snapshots at the origin, with a record and without", &words)
}

/// Each with a record of its own: neither knows of the other.
fn two_machines_carry_by_one_policy(world: &mut World) -> Result<()> {
    world.back_up()?;
    world.back_up()?;
    let jobs = world.jobs().to_string_lossy().into_owned();
    let credenza = &mut world.precious.setup.credenza;
    let first = credenza.start(World::carrying("folder", &jobs))?;
    let state = world.precious.setup.path("another machine").to_string_lossy().into_owned();
    let credenza = &mut world.precious.setup.credenza;
    credenza.set("CREDENZA_STATE", &state);
    let second = credenza.start(World::carrying("folder", &jobs))?;
    credenza.unset("CREDENZA_STATE");
    let both = [first.wait()?, second.wait()?];
    // One that found its name taken before the other had committed says so, and its next run finds all done.
    ensure!(both.iter().any(|run| run.code == Some(0)), "{}{}", both[0].whole(), both[1].whole());
    world.expect_all("folder")?;
    world.over("two machines carry by one policy at once", "nothing, or that the other carries")
}

fn a_lock_is_shorter_than_the_policy_asks(world: &mut World) -> Result<()> {
    world.back_up()?;
    world.write("2d")?;
    let told = world.carry("locked")?.expect_code(3)?;
    let told = told.expect_message(&["locks for 1 days, and 2 days are asked for", "create --retain 2d"])?;
    world.expect_all("locked")?;
    world.write("12h")?;
    world.carry("locked")?.expect_code(0)?;
    world.over("a replica locks for a shorter time than the policy asks", &said(&told))
}

fn both_sides_are_written_to(world: &mut World) -> Result<()> {
    world.at("mini", &["promote", "--yes"])?.expect_code(0)?;
    let source = world.precious.source().to_string_lossy().into_owned();
    world.at("mini", &["backup", &source])?.expect_code(0)?;
    world.precious.setup.backup(&source)?;
    let refused = world.carry("mini")?.expect_code(1)?;
    let refused = refused.expect_message(&["was promoted at"])?;
    let both = world.snapshots("mini")?;
    ensure!(both == world.promised + 1, "@mini has {both} snapshots");
    world.table.push([
        "a replica is promoted, and both sides are written to".to_owned(),
        "nothing".to_owned(),
        said(&refused),
    ]);
    Ok(())
}
