//! Arrays: what Kubernetes, Slurm or AWS Batch are given so that many machines run one job of the file together.
//!
//! Owned here: the texts, and which jobs can be run so. Refused here: writing them (`cli`), which process of an array takes which keys
//! (`credenza_engine::shards`). Called by `cli`.
//!
//! Each text is for one run: the group's name is in it. The merge begins with the backups where nothing else can be said, and is tried again
//! until all parts are there. Secrets are named, never written: a container finds the configuration and the passphrase where its surroundings
//! put them.
//!
//! Entries that could not be read are on record in the parts, and the merge says them. Kubernetes and AWS Batch take each exit code but 0
//! for a failure, so their commands end with 0 then; Slurm lets the merge follow however the processes ended, and it refuses where one is missing.

use serde_json::{Value, json};

use super::file::{Job, LeavingOut};
use super::units::Unit;
use crate::shell::shell_word;

/// Seconds after which a process of Kubernetes or AWS Batch that does not end is ended: two days.
const SECONDS_MAX: u32 = 172_800;
/// How often one process is started again.
const RETRIES: u32 = 3;
/// How often a merge is tried while parts are missing.
const MERGE_TRIES: u32 = 10;
/// The most characters of a label of DNS, which the name of each pod is.
const LABEL_MAX: usize = 63;
/// The most characters of a name that AWS Batch takes.
const AWS_NAME_MAX: usize = 128;
/// What the name of the merge ends with.
const MERGE: &str = "-merge";
/// Where each code but 0 is a failure: what could not be read, and is on record, is none.
const ACCEPT_UNREADABLE: &str = "--accept-unreadable";

/// Who starts the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Indexed Jobs.
    Kubernetes,
    /// An array of sbatch.
    Slurm,
    /// An array job.
    AwsBatch,
}

/// One run of a job by many processes.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a> {
    /// The job.
    pub job: &'a Job,
    /// How many processes there are: two or more, as AWS Batch wants it.
    pub of: u32,
    /// What the run is called: lower case letters, digits and dashes.
    pub group: &'a str,
    /// The image of a container whose entry point is credenza; of no use for Slurm.
    pub image: &'a str,
}

/// The source of a job that can be run so.
///
/// # Errors
/// Why it cannot, for a person.
fn shared_source(job: &Job) -> Result<&str, String> {
    let LeavingOut { files, caches, .. } = &job.leaving_out;
    let [source] = job.sources.as_slice() else {
        return Err(format!("it backs up {} sources, and processes share one", job.sources.len()));
    };
    let around = [
        ("hooks", !job.hooks.is_empty()),
        ("budget", job.budget.is_some()),
        ("limits", !job.limits.is_empty()),
        ("guard", job.guard.is_some()),
        ("skip_if_unchanged", job.skip_if_unchanged),
        ("keep or prune", job.prune.is_some()),
        ("maintain", job.maintain.is_some()),
        ("ping", job.ping.is_some()),
    ];
    let around: Vec<&str> = around.into_iter().filter_map(|(key, is_there)| is_there.then_some(key)).collect();
    if !around.is_empty() {
        return Err(format!("only a run on one machine heeds what it says by {}", around.join(", ")));
    }
    if *caches || !files.is_empty() {
        return Err("what it leaves out is said by files of this machine".to_owned());
    }
    Ok(source)
}

/// Whether a platform takes the names.
///
/// # Errors
/// Why not, for a person.
fn require_name(platform: Platform, array: Array<'_>) -> Result<(), String> {
    let name = name(array);
    let (by, what, most) = match platform {
        Platform::Slurm => return Ok(()),
        Platform::Kubernetes => ("Kubernetes", "lower case letters, digits and dashes", LABEL_MAX),
        Platform::AwsBatch => ("AWS Batch", "letters, digits, dashes and underscores", AWS_NAME_MAX),
    };
    let of_aws = |byte: u8| platform == Platform::AwsBatch && (byte.is_ascii_uppercase() || byte == b'_');
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || of_aws(byte);
    if !name.bytes().all(is_plain) {
        return Err(format!("{by} takes names of {what} alone, and the run would be called `{name}`"));
    }
    // No process has a number that is longer behind it.
    let longest = name.len() + MERGE.len();
    if longest > most {
        return Err(format!("`{name}{MERGE}` has {longest} characters, and {by} takes {most}; shorten --group"));
    }
    Ok(())
}

/// What is given to a platform.
///
/// # Errors
/// Why the job cannot be run so, for a person.
pub fn array(platform: Platform, array: Array<'_>) -> Result<Vec<Unit>, String> {
    let source = shared_source(array.job)?;
    require_name(platform, array)?;
    let (mut backup, mut merge) = (backup_words(array, source), merge_words(array));
    if platform != Platform::Slurm {
        [&mut backup, &mut merge].into_iter().for_each(|words| words.push(ACCEPT_UNREADABLE.to_owned()));
    }
    Ok(match platform {
        Platform::Kubernetes => vec![json_unit("kubernetes.json", &kubernetes(array, &backup, &merge))],
        Platform::Slurm => {
            vec![Unit { name: format!("{}.slurm.sh", name(array)), text: slurm(array, &backup, &merge) }]
        }
        Platform::AwsBatch => aws_batch(array, &backup, &merge),
    })
}

fn name(array: Array<'_>) -> String {
    format!("credenza-{}-{}", array.job.name, array.group)
}

fn backup_words(array: Array<'_>, source: &str) -> Vec<String> {
    let Array { job, of, group, .. } = array;
    let mut words = vec!["at".to_owned(), job.repository.clone(), "backup".to_owned(), source.to_owned()];
    words.extend(["--shard".to_owned(), format!("/{of}"), "--group".to_owned(), group.to_owned()]);
    for tag in job.tags.iter().cloned().chain([format!("job:{}", job.name)]) {
        words.extend(["--tag".to_owned(), tag]);
    }
    for pattern in &job.leaving_out.patterns {
        words.extend(["--exclude".to_owned(), pattern.to_string_lossy().into_owned()]);
    }
    if let Some(bytes) = job.leaving_out.larger_than {
        words.extend(["--exclude-larger-than".to_owned(), bytes.to_string()]);
    }
    words
}

fn merge_words(array: Array<'_>) -> Vec<String> {
    ["at", &array.job.repository, "merge", array.group].map(str::to_owned).into()
}

fn json_unit(name: &str, value: &Value) -> Unit {
    Unit { name: name.to_owned(), text: format!("{value:#}\n") }
}

/// Two Jobs: the processes, of which each has its own retries, and the merge.
fn kubernetes(array: Array<'_>, backup: &[String], merge: &[String]) -> Value {
    let name = name(array);
    let pod = |words: &[String], restart: &str| {
        json!({
            "spec": {
                "restartPolicy": restart,
                "containers": [{
                    "name": "credenza",
                    "image": array.image,
                    "args": words,
                    "env": [{ "name": "CREDENZA_CONFIG", "value": "/etc/credenza" }],
                    "envFrom": [{ "secretRef": { "name": "credenza" } }],
                    "volumeMounts": [{ "name": "configuration", "mountPath": "/etc/credenza", "readOnly": true }],
                    "resources": { "requests": { "cpu": "1", "memory": "1Gi" } },
                }],
                "volumes": [{ "name": "configuration", "configMap": { "name": "credenza" } }],
            }
        })
    };
    let job = |name: &str, spec: Value| json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": spec });
    let backups = json!({
        "completionMode": "Indexed",
        "completions": array.of,
        "parallelism": array.of,
        "backoffLimitPerIndex": RETRIES,
        "activeDeadlineSeconds": SECONDS_MAX,
        "template": pod(backup, "Never"),
    });
    // It ends with 11 while parts are missing, and is started again later and later.
    let merged = json!({
        "backoffLimit": 2000,
        "activeDeadlineSeconds": SECONDS_MAX,
        "template": pod(merge, "OnFailure"),
    });
    let items = [job(&name, backups), job(&format!("{name}{MERGE}"), merged)];
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// A script that submits both; the merge waits for all processes to have ended, however: one that could not read all has made its part.
fn slurm(array: Array<'_>, backup: &[String], merge: &[String]) -> String {
    let line = |words: &[String]| {
        let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
        format!("credenza {}", words.join(" "))
    };
    let (name, last) = (name(array), array.of.saturating_sub(1));
    let (backup, merge) = (line(backup), line(merge));
    format!(
        "#!/bin/bash
# Submits the {of} processes of a backup, and the merge behind them: bash {name}.slurm.sh
set -euo pipefail

array=$(sbatch --parsable <<'END'
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --requeue
exec {backup}
END
)
sbatch --dependency=\"afterany:$array\" <<'END'
#!/bin/bash
#SBATCH --job-name={name}{MERGE}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
exec {merge}
END
",
        of = array.of,
    )
}

/// The definition, and what is submitted: `--depends-on jobId=…` of the merge is the id of the array.
fn aws_batch(array: Array<'_>, backup: &[String], merge: &[String]) -> Vec<Unit> {
    let name = name(array);
    let definition = json!({
        "jobDefinitionName": name,
        "type": "container",
        "containerProperties": {
            "image": array.image,
            "command": backup,
            "resourceRequirements": [{ "type": "VCPU", "value": "1" }, { "type": "MEMORY", "value": "2048" }],
        },
        "retryStrategy": { "attempts": RETRIES },
        "timeout": { "attemptDurationSeconds": SECONDS_MAX },
    });
    let submitted = |name: &str, command: &[String], own: (&str, Value)| {
        let (key, value) = own;
        json!({
            "jobName": name,
            "jobQueue": "credenza",
            "jobDefinition": self::name(array),
            "containerOverrides": { "command": command },
            key: value,
        })
    };
    let backups = submitted(&name, backup, ("arrayProperties", json!({ "size": array.of })));
    let tries = json!({ "attempts": MERGE_TRIES });
    let merged = submitted(&format!("{name}{MERGE}"), merge, ("retryStrategy", tries));
    vec![
        json_unit("register-job-definition.json", &definition),
        json_unit("submit-backup.json", &backups),
        json_unit("submit-merge.json", &merged),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::jobs::JobsFile;

    fn job(more: &str) -> Job {
        named("photos", more)
    }

    fn named(name: &str, more: &str) -> Job {
        let text = format!(
            "version = 1\n[job.\"{name}\"]\nbackup = \"@live\"\nto = \"@vault\"\nat = \"02:30\"\nexclude = [\"*.tmp 'x'\"]\n{more}"
        );
        let now = "2027-01-01T00:00:00Z".parse().unwrap();
        JobsFile::parse(Path::new("/etc/credenza/jobs.toml"), &text, now).unwrap().jobs.remove(name).unwrap()
    }

    fn units(platform: Platform) -> Vec<Unit> {
        array(platform, Array { job: &job(""), of: 4, group: "2027-01", image: "registry/credenza:1" }).unwrap()
    }

    #[test]
    fn kubernetes_is_given_an_indexed_job_and_a_merge_that_is_tried_again() {
        let [unit] = &units(Platform::Kubernetes)[..] else { panic!("one list") };
        let list: Value = serde_json::from_str(&unit.text).unwrap();
        let [backups, merge] = &list["items"].as_array().unwrap()[..] else { panic!("two jobs") };
        assert_eq!(backups["spec"]["completionMode"], "Indexed");
        assert_eq!((&backups["spec"]["completions"], &backups["spec"]["parallelism"]), (&json!(4), &json!(4)));
        let words = |job: &Value| job["spec"]["template"]["spec"]["containers"][0]["args"].clone();
        assert_eq!(
            words(backups),
            json!([
                "at",
                "@vault",
                "backup",
                "@live",
                "--shard",
                "/4",
                "--group",
                "2027-01",
                "--tag",
                "job:photos",
                "--exclude",
                "*.tmp 'x'",
                "--accept-unreadable"
            ])
        );
        assert_eq!(words(merge), json!(["at", "@vault", "merge", "2027-01", "--accept-unreadable"]));
        // Limits per index are for pods that are not started again in their place.
        assert_eq!(backups["spec"]["template"]["spec"]["restartPolicy"], "Never");
    }

    #[test]
    fn slurm_is_given_a_script_that_a_shell_and_sbatch_understand() {
        let [unit] = &units(Platform::Slurm)[..] else { panic!("one script") };
        let checked = Command::new("bash").args(["-n", "-c", &unit.text]).status().unwrap();
        assert!(checked.success(), "{}", unit.text);
        let known = ["job-name", "array", "ntasks", "cpus-per-task", "mem", "requeue"];
        let options = unit.text.lines().filter_map(|line| line.strip_prefix("#SBATCH --"));
        let options: Vec<&str> = options.map(|option| option.split('=').next().unwrap()).collect();
        assert!(options.len() == 10 && options.iter().all(|option| known.contains(option)), "{options:?}");
        assert!(unit.text.contains("#SBATCH --array=0-3\n"));
    }

    #[test]
    fn aws_batch_is_given_a_definition_an_array_and_a_merge() {
        let units = units(Platform::AwsBatch);
        let [definition, backups, merge] = &units[..] else { panic!("three documents") };
        let read = |unit: &Unit| serde_json::from_str::<Value>(&unit.text).unwrap();
        let (definition, backups, merge) = (read(definition), read(backups), read(merge));
        assert_eq!(definition["jobDefinitionName"], backups["jobDefinition"]);
        assert_eq!(backups["arrayProperties"]["size"], 4);
        assert_eq!(merge["arrayProperties"], Value::Null);
        assert_eq!(merge["containerOverrides"]["command"][2], "merge");
    }

    #[test]
    fn what_could_not_be_read_keeps_no_platform_from_the_merge() {
        let slurm = units(Platform::Slurm).remove(0).text;
        assert!(slurm.contains("--dependency=\"afterany:$array\""), "{slurm}");
        // It says by its code that something is missing, to whoever looks at the queue.
        assert!(!slurm.contains(ACCEPT_UNREADABLE), "{slurm}");
        for platform in [Platform::Kubernetes, Platform::AwsBatch] {
            let text: String = units(platform).into_iter().map(|unit| unit.text).collect();
            let commands = text.matches("\"at\"").count();
            assert_eq!(text.matches(ACCEPT_UNREADABLE).count(), commands, "{text}");
        }
    }

    #[test]
    fn a_job_that_hangs_on_one_machine_is_refused() {
        let promised = [
            "hooks = [ { before = \"backup\", run = [\"true\"] } ]",
            "budget = { requests = 1000 }",
            "limits = [ { up = \"20MB/s\" } ]",
            "guard = {}",
            "skip_if_unchanged = true",
            "keep = { last = 3 }",
            "prune = true",
            "maintain = true",
            "[ping.photos]\nhealthchecks = \"https://hc.example.org/hunter2\"",
        ];
        for more in promised {
            let refused = shared_source(&job(more)).unwrap_err();
            let key = more.trim_start_matches('[').split([' ', '.']).next().unwrap();
            assert!(refused.contains(key), "{more}: {refused}");
        }
        assert!(shared_source(&job("exclude_caches = true")).is_err());
    }

    #[test]
    fn a_name_that_the_platform_does_not_take_is_refused() {
        let made = |platform, name: &str, group: &str| {
            array(platform, Array { job: &named(name, ""), of: 10_000, group, image: "registry/credenza:1" })
        };
        for name in ["Photos", "photos_of_rome", "photos.rome"] {
            let refused = made(Platform::Kubernetes, name, "2027-01").unwrap_err();
            assert!(refused.contains("lower case letters") && refused.contains(name), "{refused}");
            assert!(made(Platform::Slurm, name, "2027-01").is_ok(), "{name}");
        }
        assert!(made(Platform::AwsBatch, "Photos_of", "2027-01").is_ok());
        assert!(made(Platform::AwsBatch, "photos.rome", "2027-01").is_err());
        // `credenza-`, the job, `-`, the group and `-merge` are 63 characters at most.
        let job = "a".repeat(40);
        assert!(made(Platform::Kubernetes, &job, "2027-01").is_ok());
        let refused = made(Platform::Kubernetes, &job, "2027-012").unwrap_err();
        assert!(refused.contains("has 64 characters"), "{refused}");
    }
}
