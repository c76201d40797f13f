//! Many processes back up one bucket at once, some of which die; `merge` makes one snapshot of what they made.

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Report, Run, Setup, bucket, memory_server, number, snapshot_of};
use credenza_s3_server::{Attributes, Fault, Hold, Operation, Rule, Server};
use rustix::process::Signal;
use serde_json::Value;

const OBJECTS: u64 = 2500;

struct Shared {
    server: Server,
    setup: Setup,
}

impl Shared {
    fn new() -> Result<Self> {
        let (server, endpoint) = memory_server()?;
        bucket::fill_many(&server.buckets, "source", OBJECTS);
        server.buckets.create("copy");
        server.buckets.create("repository");
        let setup = Setup::with_s3_repository(&endpoint, "repository")?;
        setup.add("source", "live", &endpoint, "source")?;
        setup.add("destination", "copy", &endpoint, "copy")?;
        Ok(Self { server, setup })
    }

    fn start(&self, group: &str, shard: &str) -> Result<Run> {
        self.setup.credenza.start(["--json", "backup", "@live", "--shard", shard, "--group", group])
    }

    fn run(&self, group: &str, shard: &str) -> Result<()> {
        self.start(group, shard)?.wait()?.expect_code(0).map(drop)
    }

    /// The digests of all that is in a snapshot.
    fn digests(&self, snapshot: &str) -> Result<Vec<Value>> {
        self.setup.credenza.ok(["--json", "digest", snapshot])?.lines_of("digest")
    }
}

/// Starts four processes, has each held in the midst of its work, and kills one; hands back the others, which go on. `gate` makes the rule for what
/// is held at a gate.
fn all_but(
    killed: usize,
    server: &Server,
    gate: impl Fn(Hold) -> Rule,
    start: impl Fn(u32) -> Result<Run>,
) -> Result<Vec<Run>> {
    let gates = (0..4).map(|number| {
        // In the middle of a share lies a folder that no other process takes: who is held there is known.
        let object = OBJECTS * (2 * number + 1) / 8;
        let hold = Hold::default();
        server.faults().add(gate(hold.clone()).under(&format!("dir-{:03}/", object / 200)));
        hold
    });
    let holds: Vec<Hold> = gates.collect();
    let others = kill_held(killed, &holds, start);
    // Whatever came of it, nothing of this befalls what comes next on the server.
    holds.iter().for_each(Hold::release);
    server.faults().clear();
    others
}

/// Kills one of four processes when all are held.
fn kill_held(killed: usize, holds: &[Hold], start: impl Fn(u32) -> Result<Run>) -> Result<Vec<Run>> {
    let mut runs = (0..4).map(start).collect::<Result<Vec<_>>>()?;
    for (run, hold) in runs.iter_mut().zip(holds) {
        run.held(hold, 1)?;
    }
    let victim = runs.remove(killed);
    victim.signal(Signal::KILL)?;
    let ended = victim.wait()?;
    ensure!(ended.code.is_none(), "it ended before it was killed: {}", ended.whole());
    Ok(runs)
}

#[test]
fn processes_at_once_make_one_snapshot_though_one_is_killed_and_the_source_changes() -> Result<()> {
    let shared = Shared::new()?;
    let Shared { server, setup } = &shared;
    let mut report = Report::default();
    report.scenario("four processes at once, the third killed while it reads", || {
        let reads = |hold| Rule::new(Fault::Held(hold)).in_bucket("source").on(&[Operation::GetObject]);
        let runs = all_but(2, server, reads, |number| shared.start("night", &format!("{number}/4")))?;
        server.buckets.put_object("source", "dir-000/late", "late", Attributes::default());
        for run in runs {
            run.wait()?.expect_code(0)?;
        }
        Ok(())
    });
    report.scenario("nothing is merged while a part is missing, and it is named", || {
        setup.credenza.run(["merge"])?.expect_code(11)?.expect_message(&["2", "--shard 2/4"])?;
        let listed = setup.credenza.ok(["--json", "merge", "--list"])?.lines_of("group")?;
        assert_eq!(listed[0]["missing"], serde_json::json!([2]), "{listed:?}");
        assert_eq!(setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?.len(), 0, "a part is no snapshot");
        Ok(())
    });
    report.scenario("the collector spares the parts, and the one that died is run again, twice", || {
        setup.credenza.ok(["maintain"])?;
        shared.run("night", "2/4")?;
        shared.run("night", "2/4")?;
        setup.credenza.ok(["maintain"]).map(drop)
    });
    report.scenario("the snapshot is what one process makes of the bucket as it is in each range", || {
        // Whatever changed behind a process is in the next backup: here all ranges are run once more.
        for number in 0..4 {
            shared.run("night", &format!("{number}/4"))?;
        }
        let merged = setup.credenza.ok(["--json", "merge", "night"])?.summary()?;
        assert_eq!(number(&merged, &["entries"])?, OBJECTS + 1, "{merged}");
        assert_eq!(number(&merged, &["parts"])?, 4);
        let merged = snapshot_of(&merged)?;
        let alone = snapshot_of(&setup.backup("@live")?)?;
        assert_eq!(shared.digests(&merged)?, shared.digests(&alone)?);
        setup.credenza.ok(["maintain"])?;
        setup.credenza.ok(["restore", &merged, "--to", "@copy"])?;
        bucket::compare(&server.buckets, "source", "copy")?;
        setup.credenza.ok(["check", "--read-data"]).map(drop)
    });
    report.finish();
    Ok(())
}

#[test]
fn an_array_tells_its_processes_their_numbers_and_its_name() -> Result<()> {
    let mut shared = Shared::new()?;
    for number in 0..2 {
        shared.setup.credenza.set("SLURM_ARRAY_TASK_ID", &number.to_string());
        shared.setup.credenza.set("SLURM_ARRAY_JOB_ID", "77");
        let made = shared.setup.credenza.ok(["--json", "backup", "@live", "--shard", "/2"])?.summary()?;
        assert_eq!(made["part"]["number"], number, "{made}");
    }
    shared.setup.credenza.set("SLURM_ARRAY_TASK_ID", "2");
    shared.setup.credenza.run(["backup", "@live", "--shard", "/2"])?.expect_code(2)?.expect_message(&["number 2"])?;
    let merged = shared.setup.credenza.ok(["--json", "merge", "slurm-77"])?.summary()?;
    ensure!(number(&merged, &["entries"])? == OBJECTS, "{merged}");
    shared.setup.credenza.run(["merge", "slurm-77"])?.expect_code(2)?;
    Ok(())
}

#[test]
fn an_object_that_cannot_be_read_keeps_no_process_of_an_array_from_its_part() -> Result<()> {
    let shared = Shared::new()?;
    let Shared { server, setup } = &shared;
    server.buckets.put_object("source", "private/a", "for few eyes", Attributes::default());
    server.faults().add(Rule::new(Fault::AccessDenied).in_bucket("source").under("private/"));
    for shard in ["0/2", "1/2"] {
        setup.credenza.ok(["backup", "@live", "--shard", shard, "--group", "night", "--accept-unreadable"])?;
    }
    let merged = setup.credenza.ok(["--json", "merge", "night", "--accept-unreadable"])?.summary()?;
    assert_eq!(number(&merged, &["errors"])?, 1, "{merged}");
    setup.credenza.run(["backup", "@live", "--accept-unreadable"])?.expect_code(2)?.expect_message(&["--shard"])?;
    // Who does not ask for it is told by the code.
    let codes = |shard: &str| setup.credenza.run(["backup", "@live", "--shard", shard, "--group", "plain"]);
    let ended = [codes("0/2")?.code, codes("1/2")?.code];
    ensure!(ended.contains(&Some(3)), "{ended:?}");
    setup.credenza.run(["merge", "plain"])?.expect_code(3)?;
    Ok(())
}

#[test]
fn processes_at_once_restore_into_one_bucket_though_one_is_killed() -> Result<()> {
    let shared = Shared::new()?;
    let Shared { server, setup } = &shared;
    let snapshot = snapshot_of(&setup.backup("@live")?)?;
    let start = |number: u32| {
        let shard = format!("{number}/4");
        setup.credenza.start(["--json", "restore", &snapshot, "--to", "@copy", "--shard", &shard])
    };
    let writes = |hold| Rule::new(Fault::AnswerHeld(hold)).in_bucket("copy").on(&[Operation::PutObject]);
    let runs = all_but(1, server, writes, start)?;
    let mut entries = Vec::new();
    for run in runs {
        entries.push(number(&run.wait()?.expect_code(0)?.summary()?, &["entries"])?);
    }
    let again = start(1)?.wait()?.expect_code(0)?.summary()?;
    entries.push(number(&again, &["entries"])? + number(&again, &["identical"])?);
    assert_eq!((entries.iter().sum::<u64>(), &again["shard"]["number"]), (OBJECTS, &1.into()), "{again}");
    ensure!(entries.iter().all(|share| (OBJECTS / 5..OBJECTS / 3).contains(share)), "{entries:?}");
    bucket::compare(&server.buckets, "source", "copy")?;
    let never = ["restore", &snapshot, "--to", "@copy", "--shard", "0/4", "--overwrite=never"];
    setup.credenza.run(never)?.expect_code(2)?.expect_message(&["--overwrite=never"])?;
    // What is the newest may be another snapshot for each process.
    for name in ["latest", "latest~0"] {
        let newest = ["restore", name, "--to", "@copy", "--shard", "0/4"];
        let command = format!("restore {snapshot} --to @copy --shard 0/4");
        setup.credenza.run(newest)?.expect_code(2)?.expect_message(&[command.as_str()])?;
    }
    Ok(())
}

#[test]
fn processes_at_once_carry_snapshots_and_the_last_commits_them() -> Result<()> {
    let shared = Shared::new()?;
    let Shared { server, setup } = &shared;
    setup.backup("@live")?;
    server.buckets.put_object("source", "dir-000/late", "late", Attributes::default());
    setup.backup("@live")?;
    let other = setup.path("other").to_str().context("a path in UTF-8")?.to_owned();
    setup.credenza.ok(["at", &other, "create", "--like", "@store"])?;
    let start = |number: u32| setup.credenza.start(["--json", "sync", "to", &other, "--shard", &format!("{number}/3")]);
    let mut copied = 0;
    for run in (0..3).map(start).collect::<Result<Vec<_>>>()? {
        let ended = run.wait()?;
        let waiting = number(&ended.summary()?, &["waiting"])?;
        // Whoever leaves snapshots to the others does not say that all is done.
        copied += ended.expect_code(if waiting > 0 { 3 } else { 0 })?.lines_of("copied")?.len();
    }
    ensure!(copied <= 2, "{copied} are committed once");
    let again = start(1)?.wait()?.expect_code(0)?.summary()?;
    assert_eq!((number(&again, &["skipped"])?, number(&again, &["waiting"])?), (2, 0), "{again}");
    setup.credenza.ok(["at", &other, "check", "--read-data"])?;
    Ok(())
}

#[test]
fn parts_that_nobody_merges_are_told_and_given_up_on_request() -> Result<()> {
    let shared = Shared::new()?;
    let credenza = &shared.setup.credenza;
    shared.run("night", "1/2")?;
    let told = credenza.run(["maintain"])?.expect_code(0)?.expect_message(&["1 of 2 parts", "merge", "--drop"])?;
    let command = told.stderr.split("credenza at ").last().context("a command")?.trim().to_owned();
    let group = command.split_whitespace().nth(2).context("a group")?.to_owned();
    credenza.run(["merge", "--drop"])?.expect_code(2)?;
    let dropped = credenza.ok(["--json", "merge", &group, "--drop"])?.summary()?;
    assert_eq!(number(&dropped, &["removed"])?, 1, "{dropped}");
    let quiet = credenza.ok(["--json", "maintain"])?.summary()?;
    assert_eq!(number(&quiet, &["groups_waiting"])?, 0, "{quiet}");
    Ok(())
}

#[test]
fn a_folder_is_not_shared_and_a_name_is_asked_for() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let folder = setup.path("folder");
    std::fs::create_dir(&folder).context("making a folder")?;
    let folder = folder.to_str().context("a path in UTF-8")?;
    setup.credenza.run(["backup", folder, "--shard", "0/2", "--group", "a"])?.expect_message(&["buckets can"])?;
    setup.credenza.run(["backup", folder, "--shard", "0/2"])?.expect_code(2)?.expect_message(&["--group"])?;
    setup.credenza.run(["backup", folder, "--shard", "2/2", "--group", "a"])?.expect_code(2)?;
    Ok(())
}
