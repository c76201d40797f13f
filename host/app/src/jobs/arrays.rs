//! Arrays: what Kubernetes, Slurm or AWS Batch are given so that many machines run one job of the file together, or one command that is shared by `--shard`.
//!
//! Owned here: the texts, and which jobs can be run so. Refused here: writing them (`cli`), which commands can be shared (`cli`), which process of an array
//! takes which keys (`credenza_engine::shards`). Called by `cli`.
//!
//! Each text is for one run: the group's name is in it. What runs behind the processes begins when all have ended, where a platform can be told that. For
//! Kubernetes a merge begins at once, and is tried again until all parts are there; any other run is suspended until a person lets it go on, since it would
//! do the work of all by itself. Secrets are named, never written: a container finds the configuration and the passphrase where its surroundings put them.
//!
//! Entries that could not be read are on record in the parts, and the merge says them; what one of many restores or syncs leaves to the last, that one says.
//! Kubernetes and AWS Batch take each exit code but 0 for a failure, so their processes end with 0 then; Slurm lets the last run follow however the
//! processes ended, and it does what they have not done, or refuses.

use serde_json::{Value, json};

use super::file::{Job, LeavingOut};
use super::units::Unit;
use crate::location::Location;
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
/// The longest that stands behind a name in that of a process: a dash and its number.
const NUMBER_MAX: usize = "-9999".len();
/// What a sync takes with a share alone.
const ACCEPT_WAITING: &str = "--accept-waiting";
/// With what AWS Batch begins the name of a parameter in a command.
const AWS_PARAMETER: &str = "Ref::";

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

impl Platform {
    /// Whether processes run in containers, whose folders are gone with them.
    #[must_use]
    pub const fn has_containers(self) -> bool {
        !matches!(self, Self::Slurm)
    }
}

/// One run by many processes.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// How many processes there are: two or more, as AWS Batch wants it.
    pub of: u32,
    /// What the run is called: lower case letters, digits and dashes.
    pub group: &'a str,
    /// The image of a container whose entry point is credenza; of no use for Slurm.
    pub image: &'a str,
}

/// A command that many processes share without a part each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// `restore`.
    Restore,
    /// `sync`.
    Sync,
    /// `check --read-data`, of which nothing is left to a last run.
    Check,
}

/// What many processes do together, and what is to run behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What they do, in one word.
    what: &'static str,
    /// What it is called beside its group.
    name: String,
    /// The command of each process but for the last options.
    each: Vec<String>,
    behind: Option<Behind>,
    /// Where each code but 0 is a failure: what is on record, or left to the last run, is none.
    accept: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Behind {
    kind: BehindKind,
    words: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BehindKind {
    /// It does nothing while a process has not ended, and accepts what they accept.
    Merge,
    /// The same command without `--shard` and what only goes with it, which says what was lost.
    Last,
}

impl BehindKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Last => "last",
        }
    }
}

impl Task {
    /// A job of the file.
    ///
    /// # Errors
    /// Why many processes cannot run it, for a person.
    pub fn of_job(job: &Job, run: Run<'_>) -> Result<Self, String> {
        let source = shared_source(job)?;
        // What is written is for many eyes: no name or password may stand in it.
        for place in [source, job.repository.as_str()] {
            Location::parse(place.as_ref()).map_err(|error| error.to_string())?;
        }
        let merge = ["at", &job.repository, "merge", run.group].map(str::to_owned).into();
        Ok(Self {
            what: "backup",
            name: job.name.clone(),
            each: backup_words(job, source, run),
            behind: Some(Behind { kind: BehindKind::Merge, words: merge }),
            accept: Some("--accept-unreadable"),
        })
    }

    /// A command as it is typed for one process: the words behind the program, of UTF-8 and without `--shard`.
    #[must_use]
    pub fn of_command(command: Shared, words: Vec<String>) -> Self {
        let (what, accept) = match command {
            Shared::Restore => ("restore", Some("--accept-loss")),
            Shared::Sync => ("sync", Some(ACCEPT_WAITING)),
            Shared::Check => ("check", None),
        };
        let mut last = words.clone();
        if command == Shared::Sync {
            last.retain(|word| word != ACCEPT_WAITING);
        }
        let behind = (command != Shared::Check).then_some(Behind { kind: BehindKind::Last, words: last });
        Self { what, name: what.to_owned(), each: words, behind, accept }
    }

    /// The command of each process.
    fn each(&self, platform: Platform, of: u32) -> Vec<String> {
        let mut words = self.each.clone();
        words.extend(["--shard".to_owned(), format!("/{of}")]);
        self.accepting(platform, words)
    }

    fn accepting(&self, platform: Platform, mut words: Vec<String>) -> Vec<String> {
        let accept = self.accept.filter(|accept| platform.has_containers() && words.iter().all(|word| word != accept));
        words.extend(accept.map(str::to_owned));
        words
    }

    /// What runs behind all, with its name.
    fn behind(&self, platform: Platform, name: &str) -> Option<(BehindKind, String, Vec<String>)> {
        let Behind { kind, words } = self.behind.clone()?;
        let words = match kind {
            BehindKind::Merge => self.accepting(platform, words),
            BehindKind::Last => words,
        };
        Some((kind, format!("{name}-{}", kind.word()), words))
    }
}

/// What is given to a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// The files.
    pub units: Vec<Unit>,
    /// The command that waits for all processes to end, however, and has the last run begin, where the platform cannot be told to. It is one line.
    pub begin_last: Option<String>,
}

/// What is given to a platform.
///
/// # Errors
/// Why it takes no run that is called so, for a person.
pub fn array(platform: Platform, task: &Task, run: Run<'_>) -> Result<Array, String> {
    let name = format!("credenza-{}-{}", task.name, run.group);
    require_name(platform, task, &name)?;
    let parts = Parts { name: &name, each: task.each(platform, run.of), behind: task.behind(platform, &name), run };
    let behind = parts.behind.iter().flat_map(|(_, _, words)| words);
    parts.each.iter().chain(behind).try_for_each(|word| require_word(platform, word))?;
    let begin_last = match &parts.behind {
        Some((BehindKind::Last, last, _)) if platform == Platform::Kubernetes => Some(begin_last(&name, last)),
        _ => None,
    };
    let units = match platform {
        Platform::Kubernetes => vec![json_unit("kubernetes.json", &kubernetes(&parts))],
        Platform::Slurm => vec![Unit { name: format!("{name}.slurm.sh"), text: slurm(&parts, task.what) }],
        Platform::AwsBatch => aws_batch(&parts, task.what),
    };
    Ok(Array { units, begin_last })
}

/// Waits until the Job of the processes says that it has ended, as it does when its time is over, and lets the last run go on, which does what those that
/// failed have left.
fn begin_last(name: &str, last: &str) -> String {
    format!(
        "until kubectl get job/{name} -o 'jsonpath={{.status.conditions[?(@.status==\"True\")].type}}' | grep -Eq 'Complete|Failed'; do sleep 10; done; kubectl patch job/{last} --type=merge --patch '{{\"spec\":{{\"suspend\":false}}}}'"
    )
}

/// What the texts are made of.
struct Parts<'a> {
    name: &'a str,
    each: Vec<String>,
    behind: Option<(BehindKind, String, Vec<String>)>,
    run: Run<'a>,
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
fn require_name(platform: Platform, task: &Task, name: &str) -> Result<(), String> {
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
    let suffix = task.behind.as_ref().map_or(0, |behind| 1 + behind.kind.word().len());
    let longest = name.len() + suffix.max(NUMBER_MAX);
    if longest > most {
        return Err(format!(
            "`{name}` with what stands behind it has {longest} characters, and {by} takes {most}; shorten --group"
        ));
    }
    Ok(())
}

/// Whether a platform can hand a word to a process as it is.
///
/// # Errors
/// Why not, for a person. The word is not repeated.
fn require_word(platform: Platform, word: &str) -> Result<(), String> {
    match platform {
        // A line of its own could end the script that sbatch reads.
        Platform::Slurm if word.chars().any(char::is_control) => {
            Err("a word of its command has a line break or another control character".to_owned())
        }
        Platform::AwsBatch if word.contains(AWS_PARAMETER) => Err(format!(
            "a word of its command has `{AWS_PARAMETER}`, and AWS Batch puts the value of a parameter in the place of that"
        )),
        _ => Ok(()),
    }
}

fn backup_words(job: &Job, source: &str, run: Run<'_>) -> Vec<String> {
    let mut words = vec!["at".to_owned(), job.repository.clone(), "backup".to_owned(), source.to_owned()];
    words.extend(["--group".to_owned(), run.group.to_owned()]);
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

fn json_unit(name: &str, value: &Value) -> Unit {
    Unit { name: name.to_owned(), text: format!("{value:#}\n") }
}

/// Jobs: the processes, of which each has its own retries, and what runs behind them.
fn kubernetes(parts: &Parts<'_>) -> Value {
    let pod = |words: &[String], restart: &str| {
        // `$(NAME)` would become the value of a variable, perhaps of a secret one, and `$$` is `$`.
        let args: Vec<String> = words.iter().map(|word| word.replace('$', "$$")).collect();
        json!({
            "spec": {
                "restartPolicy": restart,
                "containers": [{
                    "name": "credenza",
                    "image": parts.run.image,
                    "args": args,
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
    let each = json!({
        "completionMode": "Indexed",
        "completions": parts.run.of,
        "parallelism": parts.run.of,
        "backoffLimitPerIndex": RETRIES,
        "activeDeadlineSeconds": SECONDS_MAX,
        "template": pod(&parts.each, "Never"),
    });
    let mut items = vec![job(parts.name, each)];
    items.extend(parts.behind.iter().map(|(kind, name, words)| {
        let (is_suspended, tries) = match kind {
            // It ends with 11 while parts are missing, and is started again later and later.
            BehindKind::Merge => (false, 2000),
            BehindKind::Last => (true, RETRIES),
        };
        let spec = json!({
            "suspend": is_suspended,
            "backoffLimit": tries,
            "activeDeadlineSeconds": SECONDS_MAX,
            "template": pod(words, "OnFailure"),
        });
        job(name, spec)
    }));
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// A script that submits both; the last run waits for all processes to have ended, however: one that could not read all has made its part. Behind the id of
/// the array `sbatch` prints the name of its cluster where there are several.
fn slurm(parts: &Parts<'_>, what: &str) -> String {
    let line = |words: &[String]| {
        let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
        format!("credenza {}", words.join(" "))
    };
    let Parts { name, run, .. } = parts;
    let (of, last, each) = (run.of, run.of.saturating_sub(1), line(&parts.each));
    let behind = parts.behind.as_ref().map(|(kind, behind, words)| (kind.word(), behind, line(words)));
    let and = behind.as_ref().map(|(word, ..)| format!(", and the {word} run behind them")).unwrap_or_default();
    let behind = behind.map(|(_, behind, command)| {
        format!(
            "sbatch --dependency=\"afterany:${{array%%;*}}\" <<'END'
#!/bin/bash
#SBATCH --job-name={behind}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
exec {command}
END
"
        )
    });
    format!(
        "#!/bin/bash
# Submits the {of} processes of a {what}{and}: bash {name}.slurm.sh
set -euo pipefail

array=$(sbatch --parsable <<'END'
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --requeue
exec {each}
END
)
echo \"submitted $array\"
{}",
        behind.unwrap_or_default()
    )
}

/// The definition, and what is submitted: `--depends-on jobId=…` of the last is the id of the array.
fn aws_batch(parts: &Parts<'_>, what: &str) -> Vec<Unit> {
    let definition = json!({
        "jobDefinitionName": parts.name,
        "type": "container",
        "containerProperties": {
            "image": parts.run.image,
            "command": parts.each,
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
            "jobDefinition": parts.name,
            "containerOverrides": { "command": command },
            key: value,
        })
    };
    let each = submitted(parts.name, &parts.each, ("arrayProperties", json!({ "size": parts.run.of })));
    let mut units =
        vec![json_unit("register-job-definition.json", &definition), json_unit(&format!("submit-{what}.json"), &each)];
    units.extend(parts.behind.iter().map(|(kind, name, words)| {
        let attempts = if *kind == BehindKind::Merge { MERGE_TRIES } else { RETRIES };
        let behind = submitted(name, words, ("retryStrategy", json!({ "attempts": attempts })));
        json_unit(&format!("submit-{}.json", kind.word()), &behind)
    }));
    units
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

    const RUN: Run<'_> = Run { of: 4, group: "2027-01", image: "registry/credenza:1" };

    fn units(platform: Platform) -> Vec<Unit> {
        array(platform, &Task::of_job(&job(""), RUN).unwrap(), RUN).unwrap().units
    }

    fn command(platform: Platform, command: Shared, words: &str) -> Array {
        let words = words.split(' ').map(str::to_owned).collect();
        array(platform, &Task::of_command(command, words), Run { group: "back", ..RUN }).unwrap()
    }

    fn read(unit: &Unit) -> Value {
        serde_json::from_str(&unit.text).unwrap()
    }

    const RESTORE: &str = "at @vault restore 4f1c09d2 --to @copy --delete";

    #[test]
    fn kubernetes_is_given_an_indexed_job_and_a_merge_that_is_tried_again() {
        let [unit] = &units(Platform::Kubernetes)[..] else { panic!("one list") };
        let list = read(unit);
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
                "--group",
                "2027-01",
                "--tag",
                "job:photos",
                "--exclude",
                "*.tmp 'x'",
                "--shard",
                "/4",
                "--accept-unreadable"
            ])
        );
        assert_eq!(words(merge), json!(["at", "@vault", "merge", "2027-01", "--accept-unreadable"]));
        // Limits per index are for pods that are not started again in their place.
        assert_eq!(backups["spec"]["template"]["spec"]["restartPolicy"], "Never");
        assert_eq!(merge["spec"]["suspend"], false, "it is tried until all parts are there");
    }

    #[test]
    fn a_restore_of_kubernetes_has_a_last_run_that_waits_until_it_is_let_go_on() {
        let Array { units, begin_last } = command(Platform::Kubernetes, Shared::Restore, RESTORE);
        let list = read(&units[0]);
        let [each, last] = &list["items"].as_array().unwrap()[..] else { panic!("two jobs") };
        let words = |job: &Value| {
            let args = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
            args.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(each), format!("{RESTORE} --shard /4 --accept-loss"));
        // What was lost for good is told by the last one, which has no share.
        assert_eq!(words(last), RESTORE);
        assert_eq!((&each["spec"]["suspend"], &last["spec"]["suspend"]), (&Value::Null, &json!(true)));
        assert_eq!(last["metadata"]["name"], "credenza-restore-back-last");
        let begin = begin_last.unwrap();
        for told in ["get job/credenza-restore-back ", "patch job/credenza-restore-back-last "] {
            assert!(begin.contains(&format!("kubectl {told}")), "{begin}");
        }
        let accepted = command(Platform::Kubernetes, Shared::Restore, "restore 4f1c09d2 --to @copy --accept-loss");
        assert_eq!(accepted.units[0].text.matches("--accept-loss").count(), 2, "it is said once to each");
    }

    #[test]
    fn the_last_run_of_kubernetes_is_let_go_on_however_the_processes_ended() {
        let begin = command(Platform::Kubernetes, Shared::Restore, RESTORE).begin_last.unwrap();
        assert_eq!(begin.lines().count(), 1, "{begin}");
        for ended in ["Complete", "FailureTarget Failed"] {
            let kubectl = format!("kubectl() {{ case $1 in get) echo '{ended}' ;; *) echo \"$@\" ;; esac; }}");
            let ran = Command::new("sh").args(["-c", &format!("{kubectl}\n{begin}")]).output().unwrap();
            let said = String::from_utf8(ran.stdout).unwrap();
            let patch = "patch job/credenza-restore-back-last --type=merge --patch {\"spec\":{\"suspend\":false}}\n";
            assert_eq!(said, patch, "{ended}");
        }
    }

    #[test]
    fn words_reach_a_process_as_they_are_or_are_refused() {
        let made = |platform, word: &str| {
            let words = ["restore", "4f1c09d2", "--to", "@copy", "--include", word].map(str::to_owned).into();
            array(platform, &Task::of_command(Shared::Restore, words), Run { group: "back", ..RUN })
        };
        let dollars = made(Platform::Kubernetes, "$(HOME)$x").unwrap();
        assert_eq!(dollars.units[0].text.matches("\"$$(HOME)$$x\"").count(), 2, "{}", dollars.units[0].text);
        assert!(made(Platform::AwsBatch, "$(HOME)$x").unwrap().units[1].text.contains("\"$(HOME)$x\""));
        assert!(made(Platform::AwsBatch, "Ref::name").unwrap_err().contains("AWS Batch"));
        assert!(made(Platform::Slurm, "a\nEND\nb").unwrap_err().contains("line break"));
        for (platform, word) in [(Platform::Kubernetes, "a\nEND"), (Platform::Slurm, "Ref::name")] {
            assert!(made(platform, word).is_ok(), "{word}");
        }
    }

    #[test]
    fn a_sync_is_carried_to_its_end_by_one_run_without_a_share() {
        let words = "at @vault sync to @paris";
        let slurm = command(Platform::Slurm, Shared::Sync, words);
        let text = &slurm.units[0].text;
        assert!(text.contains(&format!("\nexec credenza {words} --shard /4\n")), "{text}");
        assert!(text.contains(&format!("\nexec credenza {words}\n")), "{text}");
        assert!(slurm.begin_last.is_none() && text.contains("--dependency=\"afterany:${array%%;*}\""), "{text}");
        let batch = command(Platform::AwsBatch, Shared::Sync, words);
        let names: Vec<&str> = batch.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["register-job-definition.json", "submit-sync.json", "submit-last.json"]);
        let [_, each, last] = &batch.units[..] else { panic!("three documents") };
        // What waits for the others is no failure of an array.
        assert!(each.text.contains("--accept-waiting") && !last.text.contains("--accept-waiting"));
    }

    #[test]
    fn nothing_runs_behind_a_check() {
        let words = "at @vault check --read-data";
        for platform in [Platform::Kubernetes, Platform::Slurm, Platform::AwsBatch] {
            let Array { units, begin_last } = command(platform, Shared::Check, words);
            let text: String = units.into_iter().map(|unit| unit.text).collect();
            assert!(begin_last.is_none() && !text.contains("last\"") && !text.contains("--dependency"), "{text}");
            assert!(text.contains("/4"), "{text}");
        }
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
    fn the_run_behind_an_array_of_slurm_hangs_on_its_id_whatever_cluster_it_is_on() {
        let sbatch = "sbatch() { echo \"$@\" >&2; cat > /dev/null; echo '42;rome'; }";
        let script = format!("{sbatch}\n{}", units(Platform::Slurm)[0].text);
        let ran = Command::new("bash").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success() && said.ends_with("--dependency=afterany:42\n"), "{said}");
    }

    #[test]
    fn aws_batch_is_given_a_definition_an_array_and_a_merge() {
        let units = units(Platform::AwsBatch);
        let [definition, backups, merge] = &units[..] else { panic!("three documents") };
        let (definition, backups, merge) = (read(definition), read(backups), read(merge));
        assert_eq!(definition["jobDefinitionName"], backups["jobDefinition"]);
        assert_eq!(backups["arrayProperties"]["size"], 4);
        assert_eq!(merge["arrayProperties"], Value::Null);
        assert_eq!(merge["containerOverrides"]["command"][2], "merge");
    }

    #[test]
    fn what_could_not_be_read_keeps_no_platform_from_the_merge() {
        let slurm = units(Platform::Slurm).remove(0).text;
        assert!(slurm.contains("--dependency=\"afterany:${array%%;*}\""), "{slurm}");
        // It says by its code that something is missing, to whoever looks at the queue.
        assert!(!slurm.contains("--accept-unreadable"), "{slurm}");
        for platform in [Platform::Kubernetes, Platform::AwsBatch] {
            let text: String = units(platform).into_iter().map(|unit| unit.text).collect();
            let commands = text.matches("\"at\"").count();
            assert_eq!(text.matches("--accept-unreadable").count(), commands, "{text}");
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
    fn a_job_with_a_password_in_a_location_is_refused_without_repeating_it() {
        let place = "webdav://me:hunter2@example.org/r";
        let (mut to, mut from) = (job(""), job(""));
        to.repository = place.to_owned();
        from.sources = vec![place.to_owned()];
        for job in [to, from] {
            let refused = Task::of_job(&job, RUN).unwrap_err();
            assert!(refused.contains("credentials") && !refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn a_name_that_the_platform_does_not_take_is_refused() {
        let made = |platform, name: &str, group: &str| {
            let run = Run { of: 10_000, group, ..RUN };
            array(platform, &Task::of_job(&named(name, ""), run).unwrap(), run)
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
