//! What `jobs units` writes for Kubernetes, Slurm and AWS Batch is what these take, by their own schemas and parsers, and the commands in it do the work.

#![allow(clippy::indexing_slicing, reason = "what fails here is a failed test")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Report, Setup, bucket, memory_server, number, servers, snapshot_of};
use credenza_s3_server::Server;
use serde_json::{Value, json};

const OBJECTS: u64 = 300;
const IMAGE: [&str; 2] = ["--image", "registry/credenza:1"];

struct Machines {
    server: Server,
    setup: Setup,
    snapshot: String,
    /// Another repository, made like the first.
    other: String,
}

impl Machines {
    fn new() -> Result<Self> {
        let (server, endpoint) = memory_server()?;
        bucket::fill_many(&server.buckets, "source", OBJECTS);
        server.buckets.create("copy");
        server.buckets.create("repository");
        let setup = Setup::with_s3_repository(&endpoint, "repository")?;
        setup.add("source", "live", &endpoint, "source")?;
        setup.add("destination", "copy", &endpoint, "copy")?;
        let job = "version = 1\n[job.photos]\nbackup = \"@live\"\nto = \"@store\"\nat = \"02:30\"\nexclude = [\"*.tmp 'x'\"]\n";
        fs::write(setup.path("jobs.toml"), job)?;
        let snapshot = snapshot_of(&setup.backup("@live")?)?;
        let other = setup.path("other").to_str().context("a path in UTF-8")?.to_owned();
        setup.credenza.ok(["at", &other, "create", "--like", "@store"])?;
        Ok(Self { server, setup, snapshot, other })
    }

    /// The words behind `jobs units --PLATFORM` of all that can be written: the job, and each command.
    fn tasks(&self) -> Vec<(&'static str, Vec<&str>)> {
        let restore = vec!["--", "at", "@store", "restore", &self.snapshot, "--to", "@copy", "--include", "dir it's"];
        let sync = vec!["--", "at", "@store", "sync", "to", &self.other];
        vec![("photos", vec![]), ("", restore), ("", sync), ("", vec!["--", "at", "@store", "check", "--read-data"])]
    }

    /// What is printed for a platform.
    fn written(&self, platform: &str, job: &str, more: &[&str], command: &[&str]) -> Result<String> {
        let jobs = self.setup.path("jobs.toml").to_string_lossy().into_owned();
        let mut words = vec!["jobs", "units", platform];
        words.extend((!job.is_empty()).then_some(job));
        words.extend(["--shards", "2", "--group", "2027-01", "--jobs", &jobs]);
        Ok(self.setup.credenza.ok([words.as_slice(), more, command].concat())?.stdout)
    }

    /// The items of the list for Kubernetes. The name above it, and how the last run begins, are comments: what kubectl reads is YAML.
    fn items(&self, job: &str, command: &[&str]) -> Result<Vec<Value>> {
        let written = self.written("--kubernetes", job, &IMAGE, command)?;
        let (comments, list): (Vec<&str>, Vec<&str>) = written.lines().partition(|line| line.starts_with('#'));
        let of_last = comments.iter().filter(|line| line.contains("kubectl patch job/")).count();
        let has_last = command.iter().any(|word| matches!(*word, "restore" | "sync"));
        ensure!(comments.len() == 1 + of_last && of_last == usize::from(has_last), "{comments:?}");
        let list: Value = serde_json::from_str(&list.concat())?;
        list["items"].as_array().cloned().context("a list")
    }

    /// Runs what a container is given, as the process of a number if there is one.
    fn run(&self, job: &Value, index: Option<u32>) -> Result<Output> {
        let args = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().context("it has words")?;
        // Kubernetes makes one `$` of two.
        let args: Vec<String> = args.iter().filter_map(Value::as_str).map(|word| word.replace("$$", "$")).collect();
        let mut command = self.setup.credenza.command(&args);
        command.stdin(Stdio::null());
        if let Some(index) = index {
            command.env("JOB_COMPLETION_INDEX", index.to_string());
        }
        Ok(command.output()?)
    }

    /// Runs all that Kubernetes is given, in order; each ends with 0.
    fn run_all(&self, job: &str, command: &[&str]) -> Result<usize> {
        let items = self.items(job, command)?;
        for item in &items {
            let processes = match item["spec"]["completions"].as_u64() {
                Some(all) => (0..u32::try_from(all)?).map(Some).collect(),
                None => vec![None],
            };
            for index in processes {
                let ended = self.run(item, index)?;
                ensure!(ended.status.success(), "{index:?} of {item:#}: {}", String::from_utf8_lossy(&ended.stderr));
            }
        }
        Ok(items.len())
    }
}

/// Hands a document to a program and requires that it takes it.
fn taken(program: &Path, words: &[&str], document: &str) -> Result<std::result::Result<String, String>> {
    ensure!(program.exists(), "{} is not there: run tests/servers/install.sh", program.display());
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("it reads")?.write_all(document.as_bytes())?;
    let ended = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if ended.status.success() { Ok(text(&ended.stdout)) } else { Err(text(&ended.stderr)) })
}

#[test]
fn manifests_hold_against_the_schemas_and_parsers_of_those_who_read_them() -> Result<()> {
    let machines = Machines::new()?;
    let mut report = Report::default();
    report.scenario("Kubernetes knows every field", || {
        let python = servers::program("kubernetes-validate", "python");
        let validated = |list: &str| taken(&python, &["-c", include_str!("manifests/kubernetes.py")], list);
        let mut items = Vec::new();
        for (job, command) in machines.tasks() {
            items.extend(machines.items(job, &command)?);
        }
        let list = json!({ "items": items }).to_string();
        let read = validated(&list)?.map_err(anyhow::Error::msg).with_context(|| list.clone())?;
        ensure!(read.trim() == "7", "three arrays with a last run, and one without: {read}");
        let wrong = validated(&list.replace("backoffLimitPerIndex", "backoffLimitForIndex"))?;
        ensure!(wrong.is_err_and(|why| why.contains("backoffLimitForIndex")), "the schema is held against it");
        Ok(())
    });
    report.scenario("AWS Batch knows every member", || {
        let python = servers::program("s3-clients", "python");
        let validated = |asked: &Value| taken(&python, &["-c", include_str!("manifests/batch.py")], &asked.to_string());
        let mut asked = json!({});
        for (job, command) in machines.tasks() {
            let task = *command.get(3).unwrap_or(&job);
            let folder = machines.setup.path(&format!("batch-{task}"));
            fs::create_dir(&folder)?;
            let into = folder.to_str().context("a path in UTF-8")?;
            machines.written("--aws-batch", job, &[&IMAGE[..], &["--into", into]].concat(), &command)?;
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let name = path.file_stem().and_then(|stem| stem.to_str()).context("a name")?.to_owned();
                let operation = if name.starts_with("register") { "RegisterJobDefinition" } else { "SubmitJob" };
                asked[format!("{operation} {task} {name}")] = serde_json::from_str(&fs::read_to_string(&path)?)?;
            }
        }
        validated(&asked)?.map_err(anyhow::Error::msg).with_context(|| asked.to_string())?;
        ensure!(asked.as_object().is_some_and(|asked| asked.len() == 11), "{asked}");
        let wrong = validated(&json!({ "SubmitJob": { "jobName": "a", "jobQueue": "b", "jobDefinitions": "c" } }))?;
        ensure!(wrong.is_err_and(|why| why.contains("jobDefinitions")), "the model is held against it");
        Ok(())
    });
    report.scenario("sbatch reads every line of the scripts", || {
        let (folder, sbatch) = (machines.setup.path("slurm"), servers::program("slurm-client", "sbatch"));
        ensure!(sbatch.exists(), "{} is not there: run tests/servers/install.sh slurm", sbatch.display());
        stand_in_for_sbatch(&folder, &sbatch)?;
        for (job, command) in machines.tasks() {
            let script = machines.written("--slurm", job, &[], &command)?;
            let submitted = submit(&folder, &script)?.map_err(anyhow::Error::msg).with_context(|| script.clone())?;
            ensure!(submitted.contains("42"), "{submitted}");
            let wrong = submit(&folder, &script.replace("--array=0-1", "--arrays=0-1"))?;
            ensure!(wrong.is_err_and(|why| why.contains("--arrays")), "it is read by sbatch");
        }
        Ok(())
    });
    report.finish();
    Ok(())
}

/// A `sbatch` in a folder that has the real one read what it is given: that finds no controller, which it looks for when it has understood all.
fn stand_in_for_sbatch(folder: &Path, sbatch: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    let libraries = servers::program("slurm-wlm-basic-plugins", "");
    let (libraries, sbatch, here) = (libraries.display(), sbatch.display(), folder.display());
    let configuration = format!(
        "ClusterName=test\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=1\nSlurmctldTimeout=1\nAuthType=auth/none\nCredType=cred/none\nPluginDir={libraries}\nNodeName=localhost\nPartitionName=all Nodes=ALL Default=YES\n"
    );
    fs::write(folder.join("slurm.conf"), configuration)?;
    let text = format!(
        "#!/bin/sh
said=$(SLURM_CONF='{here}/slurm.conf' LD_LIBRARY_PATH='{libraries}' '{sbatch}' \"$@\" 2>&1)
case $said in
*'Unable to contact slurm controller'*) echo 42 ;;
*) echo \"$said\" >&2; exit 1 ;;
esac
"
    );
    let program = folder.join("sbatch");
    fs::write(&program, text)?;
    Ok(fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?)
}

/// Runs a script that submits, with the stand-in.
fn submit(folder: &Path, script: &str) -> Result<std::result::Result<String, String>> {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let ended = Command::new("bash").args(["-c", script]).env("PATH", path).stdin(Stdio::null()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if ended.status.success() { Ok(text(&ended.stdout)) } else { Err(text(&ended.stderr)) })
}

#[test]
fn processes_that_run_what_is_written_restore_carry_and_check_together() -> Result<()> {
    let machines = Machines::new()?;
    let Machines { server, setup, snapshot, other } = &machines;
    let mut report = Report::default();
    report.scenario("a backup in parts, and its merge", || {
        ensure!(machines.run_all("photos", &[])? == 2, "an array and the merge");
        let listed = setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
        ensure!(listed.len() == 2, "{listed:?}");
        Ok(())
    });
    report.scenario("a restore, and the last run behind it", || {
        let runs = machines.run_all("", &["--", "at", "@store", "restore", snapshot, "--to", "@copy"])?;
        ensure!(runs == 2, "an array and the last");
        bucket::compare(&server.buckets, "source", "copy")
    });
    report.scenario("a sync, of which no process fails although it leaves snapshots to the others", || {
        ensure!(machines.run_all("", &["--", "at", "@store", "sync", "to", other])? == 2, "an array and the last");
        let there = setup.credenza.ok(["--json", "at", other, "check", "--read-data"])?.summary()?;
        ensure!(number(&there, &["snapshots"])? == 2, "{there}");
        Ok(())
    });
    report.scenario("a check, behind which nothing is left to do", || {
        ensure!(machines.run_all("", &["--", "at", "@store", "check", "--read-data"])? == 1, "an array alone");
        Ok(())
    });
    report.finish();
    Ok(())
}

#[test]
fn what_many_machines_cannot_share_is_refused_before_it_is_written() -> Result<()> {
    let machines = Machines::new()?;
    let Machines { setup, snapshot, .. } = &machines;
    let folder = setup.path("back").to_string_lossy().into_owned();
    let refused = |words: &[&str], told: &[&str]| {
        let before = ["jobs", "units", "--kubernetes", "--group", "back", "--image", "registry/credenza:1", "--"];
        setup.credenza.run([&before[..], words].concat())?.expect_code(2)?.expect_message(told).map(drop)
    };
    refused(&["restore", "latest", "--to", "@copy"], &["latest", "id"])?;
    refused(&["restore", snapshot, "--to", &folder], &["is a folder", "container"])?;
    refused(&["restore", snapshot, "--to", "@copy", "--overwrite=never"], &["--overwrite=never"])?;
    refused(&["restore", snapshot, "--to", "@copy", "--dry-run"], &["one machine"])?;
    refused(
        &["restore", snapshot, "--to", "@copy", "--shard", "1/2"],
        &["none that many machines can share: the argument '--shard"],
    )?;
    refused(
        &["restore", snapshot, "--to", "@copy", "--tooo"],
        &["none that many machines can share: unexpected argument '--tooo"],
    )?;
    refused(&["sync", "to", "--", "@copy"], &["`--`"])?;
    refused(&["sync", "to", "@copy", "latest"], &["latest", "id"])?;
    refused(&["check", "--read-data", "--budget", "requests=10"], &["--budget"])?;
    refused(&["check"], &["none that many machines can share"])?;
    refused(&["check", "--read-data=5%"], &["--read-data"])?;
    refused(&["ls"], &["`restore`, `sync` and `check --read-data`"])?;
    refused(&["backup", "@live"], &["name its job"])?;
    let secret = ["restore", snapshot, "--to", "@copy", "-o", "secret_access_key=hunter2"];
    refused(&secret, &["secret_access_key", "configuration"])?;
    let said = setup.credenza.run([&["jobs", "units", "--slurm", "--group", "back", "--"], &secret[..]].concat())?;
    ensure!(!said.stderr.contains("hunter2") && !said.stdout.contains("hunter2"), "{}", said.whole());
    let sync = ["jobs", "units", "--slurm", "--group", "back", "--", "sync", "to", "webdav://me:hunter2@example.org/r"];
    let said = setup.credenza.run(sync)?.expect_code(2)?.expect_message(&["credentials"])?;
    ensure!(!said.stderr.contains("hunter2") && !said.stdout.contains("hunter2"), "{}", said.whole());
    // A folder that machines share is theirs.
    let words = ["jobs", "units", "--slurm", "--group", "back", "--", "restore", snapshot, "--to", &folder];
    setup.credenza.ok(words)?;
    setup.credenza.run(["jobs", "units", "--slurm", "--group", "back"])?.expect_code(2)?;
    setup.credenza.run(["jobs", "units", "--", "check", "--read-data"])?.expect_code(2)?;
    Ok(())
}
