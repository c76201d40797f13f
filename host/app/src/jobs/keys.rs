//! Every key that the file of the jobs may have, with its form and what it is: the one list by which unknown keys are found and the schema is made.
//!
//! Owned here: the list and [`schema`]. Refused here: what a value means (`file`). Called by `reader`.

use serde_json::{Map, Value, json};

/// What stands behind a key.
pub(super) enum Form {
    /// A text.
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// One or more texts.
    Texts,
    /// A list of texts: a program and its arguments.
    Command,
    /// A span of time, such as `10m`.
    Span,
    /// A span of time that may also be in years, such as `7y`.
    Days,
    /// Such a span, or a table with these keys.
    DaysOrTable(&'static [Key]),
    /// A span, or two: `1m..1h`.
    Range,
    /// Bytes, such as `2GiB`.
    Size,
    /// true or false.
    Flag,
    /// true or false, or a span of time.
    FlagOrSpan,
    /// A whole number, not negative.
    Count,
    /// A share, such as `40%`.
    Percent,
    /// A table with these keys.
    Table(&'static [Key]),
    /// One of these texts, or a table with these keys.
    WordOrTable(&'static [&'static str], &'static [Key]),
    /// A list of such tables.
    Tables(&'static [Key]),
    /// Such tables by names of the user's.
    Named(&'static [Key]),
}

/// One key.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    help: &'static str,
}

pub(super) const fn key(name: &'static str, form: Form, help: &'static str) -> Key {
    Key { name, form, help }
}

/// The keys at the top.
pub(super) const FILE: &[Key] = &[
    key("version", Form::Count, "The version of this form: 1."),
    key("defaults", Form::Table(DEFAULTS), "What holds for each job that says nothing else."),
    key("metrics", Form::Table(METRICS), "Where figures of the runs are written."),
    key("notify", Form::Named(NOTIFY), "Who is told when something changes for the worse or the better."),
    key("mail", Form::Table(MAIL), "The server that takes mail."),
    key("ping", Form::Named(PING), "By job: a service that waits for its runs, and alarms when they do not come."),
    key("promise", Form::Named(PROMISE), "What is promised of sources over all repositories, in numbers."),
    key("job", Form::Named(JOB), "A job: what is backed up, to where, and when."),
    key("verify", Form::Named(VERIFY), "A verification: a repository that is read again in turn, how fast, and when."),
    key(
        "replicate",
        Form::Named(REPLICATE),
        "A policy between repositories: whose snapshots go where, and what proves them there.",
    ),
    key(
        "replicate-bucket",
        Form::Named(MIRROR),
        "A mirror: a place of which others are made to be consistent cuts, and when.",
    ),
];

/// What a job may say for itself as well.
pub(super) const DEFAULTS: &[Key] = &[
    ZONE,
    JITTER,
    MISSED,
    RETRY,
    LIMITS,
    key(
        "beside",
        Form::Texts,
        "The repositories that this machine stands beside: it carries to those targets with run = \"target\" that are named here, and to no other. [none: it stands at the origins]",
    ),
];

const METRICS: &[Key] = &[
    key("textfile", Form::Text, "A file for the node exporter of Prometheus, which is written at the end of each run."),
    key("listen", Form::Text, "Where the daemon answers Prometheus, on this machine: 127.0.0.1:9185."),
];

/// The keys of a section of those who are told.
const NOTIFY: &[Key] = &[
    key("to", Form::Texts, "Who is told: webhook:https://…, ntfy:https://…/topic, mail:name@example.org."),
    key(
        "when",
        Form::Texts,
        "Of what: promise-at-risk, promise-broken, failed, incomplete, damage, suspect, copy-behind, source-silent, recovered. [all]",
    ),
    key("digest", Form::Text, "When a summary is sent: a time such as mon 08:00."),
    key("key_file", Form::Text, "A file with the key that webhooks know our messages by."),
    key("key_cmd", Form::Text, "A shell command that prints it."),
    key("token_file", Form::Text, "A file with the token of ntfy."),
    key("token_cmd", Form::Text, "A shell command that prints it."),
];

const PROMISE: &[Key] = &[
    key(
        "sources",
        Form::Texts,
        "Of which sources: @name of one in the configuration, or a location as snapshots have it; * stands for anything.",
    ),
    key("needs", Form::Table(NEEDS), "What there is to be."),
];

/// The keys of what there is to be.
const NEEDS: &[Key] = &[
    key("fresh", Form::Span, "A copy counts where its newest good snapshot is no older; one must."),
    key("copies", Form::Count, "Repositories with a good snapshot."),
    key("providers", Form::Count, "Providers of these: the setting `provider` of a repository, else its server."),
    key("regions", Form::Count, "Regions of these: the settings `site` and `region`, else the provider."),
    key("immutable", Form::Count, "Copies that nobody can delete: the repository locks what it stores."),
    key("verified", Form::Span, "Each byte of each copy was read within so much time."),
    key("restorable", Form::Span, "One copy was restored for trial within so much time."),
];

const MAIL: &[Key] = &[
    key("server", Form::Text, "Its name, with its port if it is not the usual one: mail.example.org:587."),
    key("from", Form::Text, "Whose letters are: credenza@example.org."),
    key("user", Form::Text, "Who sends, where the server asks."),
    key("password_file", Form::Text, "A file with the password."),
    key("password_cmd", Form::Text, "A shell command that prints it."),
    key(
        "tls",
        Form::Word(&["implicit", "starttls", "none"]),
        "How the way there is secured; none is for this machine alone. [implicit, or starttls at a port other than 465]",
    ),
    key("ca_file", Form::Text, "A file of certificates in PEM that are trusted beside those of the system."),
];

const PING: &[Key] =
    &[key("healthchecks", Form::Text, "The address of a check of healthchecks.io, or of a server like it.")];

pub(super) const ZONE: Key = key(
    "zone",
    Form::Text,
    "The time zone that times are meant in, such as Europe/Paris; without it that of the machine.",
);
pub(super) const JITTER: Key =
    key("jitter", Form::Span, "Runs begin up to so much later, always by the same time for a machine and a job.");
pub(super) const MISSED: Key = key(
    "missed",
    Form::Word(&["once", "skip"]),
    "What becomes of runs that were due while nothing ran: they are made up for by one, or left out. [once]",
);
pub(super) const RETRY: Key =
    key("retry", Form::Table(RETRIES), "How often and after which time a run that failed is tried again.");

pub(super) const LIMITS: Key = key(
    "limits",
    Form::Tables(LIMIT),
    "Bytes a second by the time of day: the first that fits the time holds, also while a run goes on.",
);

const LIMIT: &[Key] = &[
    key(
        "at",
        Form::Text,
        "When it holds: hours, with days before them if not every day is meant: mon-fri 08-19. [always]",
    ),
    key("up", Form::Text, "Towards remote places and the repository, such as 20MB/s; or unlimited. [unlimited]"),
    key("down", Form::Text, "From them. [unlimited]"),
];

const RETRIES: &[Key] = &[
    key("tries", Form::Count, "Tries in all, from 1 to 20. [3]"),
    key("wait", Form::Range, "The wait before the second try, and the longest; it doubles from try to try. [1m..1h]"),
];

pub(super) const AT: Key = key(
    "at",
    Form::Texts,
    "When: times such as 02:30, with days before them if not every day is meant: mon-fri 02:30.",
);
pub(super) const EVERY: Key = key("every", Form::Span, "When: each time so much has passed, from 10s on.");
pub(super) const CRON: Key = key("cron", Form::Text, "When: the five fields of cron, such as 30 2 * * *.");

/// The keys of a verification.
pub(super) const VERIFY: &[Key] = &[
    key(
        "repository",
        Form::Text,
        "The repository: a folder, a location, or @name of one in the configuration. [@NAME of the table]",
    ),
    key("read_all_within", Form::Span, "Each byte is read again at least so often. [90d]"),
    key("budget", Form::Table(READ_BUDGET), "What one run reads at most. [no bound]"),
    key("drill", Form::Table(DRILL), "Restore a sample to a scratch folder for trial, and compare it."),
    AT,
    EVERY,
    CRON,
    ZONE,
    JITTER,
    MISSED,
    RETRY,
    LIMITS,
];

const READ_BUDGET: &[Key] = &[
    key("bytes", Form::Size, "Bytes of packs and their parity, such as 20GiB."),
    key("requests", Form::Count, "Requests for them."),
];

const DRILL: &[Key] = &[
    key("every", Form::Span, "How often. [30d]"),
    key("files", Form::Count, "Files that are drawn at random, 1000 at most. [5]"),
    key("folders", Form::Count, "Folders that are drawn, each with what lies in it, 100 at most. [1]"),
    key("bytes", Form::Size, "Bytes that are restored at most; the scratch folder needs so much room. [1GiB]"),
];

/// The keys of a mirror.
const MIRROR: &[Key] = &[
    key("from", Form::Text, "What is mirrored: a folder, a location, or @name of a source in the configuration."),
    key("to", Form::Texts, "Where to: folders, locations, or @name of destinations in the configuration."),
    key(
        "via",
        Form::Text,
        "The repository that keeps the cuts: a folder, a location, or @name of one in the configuration. [the default of the configuration]",
    ),
    key(
        "deletes",
        Form::Text,
        "What becomes of what the source no longer has: keep; after:7d, when no cut of so much time has it; now. [keep]",
    ),
    key(
        "versions",
        Form::Flag,
        "Older versions and delete markers are mirrored as well, between buckets that keep them. [false]",
    ),
    key(
        "guard",
        Form::Table(GUARD),
        "From when on a cut is suspect, and is not mirrored until it is acknowledged. [the usual limits]",
    ),
    AT,
    EVERY,
    CRON,
    ZONE,
    JITTER,
    MISSED,
    RETRY,
    LIMITS,
];

/// The keys of a policy of replication.
const REPLICATE: &[Key] = &[
    key(
        "from",
        Form::Text,
        "The repository whose snapshots go: a folder, a location, or @name of one in the configuration.",
    ),
    key("where", Form::Table(WHERE), "Which snapshots go. [all]"),
    key("guard", Form::Table(VANISHING), "When nothing is removed at the targets."),
    key("to", Form::Tables(TO), "Where they go; each target is written by one policy alone."),
    key(
        "silent",
        Form::Span,
        "It is told when the newest snapshot of the origin is older: nothing comes that could go.",
    ),
    AT,
    EVERY,
    CRON,
    ZONE,
    JITTER,
    MISSED,
    RETRY,
    LIMITS,
];

const WHERE: &[Key] = &[
    key(
        "source",
        Form::Texts,
        "Of which sources: @name of one in the configuration, or a location as snapshots have it; * stands for anything.",
    ),
    key("host", Form::Texts, "Of which machines; * stands for anything."),
    key("tag", Form::Texts, "With one of these tags; !tag leaves out those that have it."),
];

const VANISHING: &[Key] = &[key(
    "vanish_max",
    Form::Count,
    "Where more snapshots are gone at the origin than at the last run, nothing is removed at the targets until it is said that this is meant.",
)];

/// The keys of a target.
const TO: &[Key] = &[
    key(
        "target",
        Form::Text,
        "The repository, which must exist: a folder, a location, or @name of one in the configuration.",
    ),
    key(
        "run",
        Form::Word(&["source", "target"]),
        "Which machine carries: the one at the origin, or one beside the target, whose file says so in defaults.beside. [source]",
    ),
    key("rpo", Form::Span, "The copy is never longer behind; from 80 % on that is told."),
    key(
        "keep",
        Form::WordOrTable(&["all", "same"], KEEP),
        "Which snapshots the target keeps: all that it gets, the same as the policy of the origin, or how many. [all]",
    ),
    key(
        "lock",
        Form::DaysOrTable(LOCK),
        "The target locks what is stored for so long at least, one that does not is told; or how long it is to lock what a rule of its retention keeps.",
    ),
    key(
        "prove",
        Form::Text,
        "What proves a copy: list (its packs are listed in their sizes), audit (they are read once), or drill:30d (and a sample is restored so often). [list]",
    ),
];

/// The keys of a job.
pub(super) const JOB: &[Key] = &[
    key("backup", Form::Texts, "What is backed up: folders, locations, or @name of a source in the configuration."),
    key("to", Form::Text, "The repository: a folder, a location, or @name of one in the configuration."),
    AT,
    EVERY,
    CRON,
    key(
        "on_change",
        Form::Range,
        "Also when something changes in its folders: after so much quiet time, and at the latest so long after the first change, such as 30s..10m.",
    ),
    ZONE,
    JITTER,
    MISSED,
    RETRY,
    LIMITS,
    key("exclude", Form::Texts, "Patterns of what is left out, as in a .gitignore."),
    key("exclude_file", Form::Texts, "Files of such patterns."),
    key("exclude_caches", Form::Flag, "Leave out what programs mark as caches."),
    key("exclude_larger_than", Form::Size, "Leave out larger files."),
    key("one_file_system", Form::Flag, "Stay on the file system of the source."),
    key("skip_if_unchanged", Form::Flag, "Make no snapshot of a source that is as its last snapshot has it."),
    key("tags", Form::Texts, "Tags of the snapshots, beside `job:NAME`."),
    key("hooks", Form::Tables(HOOK), "Commands around the run."),
    key("keep", Form::Table(KEEP), "Which snapshots of this job are kept; the others are removed after each good run."),
    key("prune", Form::Flag, "Remove snapshots of this job by the policy of the repository, after each good run."),
    key(
        "maintain",
        Form::FlagOrSpan,
        "Reclaim space after a good run: after each, or where the last time is so long ago.",
    ),
    key(
        "budget",
        Form::Table(SPENDING),
        "The most that one run may spend; it ends in good order before, and the next goes on.",
    ),
    key(
        "guard",
        Form::Table(GUARD),
        "Look at each snapshot: one in which too much is gone or changed is suspect, and nothing of its source is removed until it is acknowledged. {} takes the usual limits.",
    ),
    key("promise", Form::Span, "The newest good snapshot of each source is never older, by the time of the store."),
];

/// What a run may spend.
const SPENDING: &[Key] = &[
    key("bytes", Form::Size, "Bytes to and from remote places and the repository, such as 20GiB."),
    key("requests", Form::Count, "Requests to remote places."),
    key("money", Form::Text, "Money, such as 0.50, in the currency of the table of prices."),
];

/// Percent of the files or bytes that are gone, where the guard says nothing else.
pub(super) const GUARD_SHRINK: u32 = 40;
/// Percent of the files that are gone or have another content.
pub(super) const GUARD_CHANGED: u32 = 60;
/// Percent of the files with another content that no longer compress.
pub(super) const GUARD_INCOMPRESSIBLE: u32 = 50;

pub(super) const GUARD: &[Key] = &[
    key("shrink", Form::Percent, "So much of the files or of the bytes is gone. [40%]"),
    key("changed", Form::Percent, "So many of the files are gone or have another content. [60%]"),
    key(
        "incompressible",
        Form::Percent,
        "So many of the files with another content no longer compress, as if they were encrypted. [50%]",
    ),
    key("delete_max", Form::Count, "No run removes more snapshots than this: it removes none then, and says so."),
];

/// The keys of a hook.
pub(super) const HOOK: &[Key] = &[
    key("before", Form::Word(&["backup"]), "Run it before; where it fails, the job is not run."),
    key("after", Form::Word(&["backup"]), "Run it after."),
    key("when", Form::Texts, "After which endings: done, incomplete, failed, or always. [done, incomplete]"),
    key("run", Form::Command, "The program and its arguments. No shell is involved."),
    key("timeout", Form::Span, "It is ended after so much time. [10m; without a bound where its output is backed up]"),
    key("stdin_of", Form::Text, "Back up what it prints, as a file of this name, in a snapshot of its own."),
];

/// The keys of a policy.
pub(super) const KEEP: &[Key] = &[
    key("last", Form::Count, "The newest so many."),
    key("hourly", Form::Count, "The newest of each of the last so many hours that have any; so with the following."),
    key("daily", Form::Count, "Days."),
    key("weekly", Form::Count, "Weeks."),
    key("monthly", Form::Count, "Months."),
    key("yearly", Form::Count, "Years."),
    key("within", Form::Span, "All that are at most so much older than the newest."),
    key("tags", Form::Texts, "All with one of these tags."),
];

/// For how long what a rule of the retention keeps is locked.
const LOCK: &[Key] = &[
    key("hourly", Form::Days, "What it keeps as the one of an hour that is over; so with the following."),
    key("daily", Form::Days, "Of a day."),
    key("weekly", Form::Days, "Of a week."),
    key("monthly", Form::Days, "Of a month."),
    key("yearly", Form::Days, "Of a year."),
];

/// The JSON schema of the file, which editors complete and check by.
#[must_use]
pub fn schema() -> Value {
    let mut schema = object(FILE);
    if let Some(top) = schema.as_object_mut() {
        top.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        top.insert("title".to_owned(), "jobs.toml of credenza".into());
        top.insert("required".to_owned(), json!(["version"]));
    }
    schema
}

fn object(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), described(key))).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn described(key: &Key) -> Value {
    let mut form = form(&key.form);
    if let Some(form) = form.as_object_mut() {
        form.insert("description".to_owned(), key.help.into());
    }
    form
}

fn form(form: &Form) -> Value {
    const SPAN: &str = "^[0-9]+[smhdw]$";
    const DAYS: &str = "^[0-9]+[smhdwy]$";
    let text = || json!({ "type": "string" });
    match form {
        Form::Text => text(),
        Form::Word(words) => json!({ "enum": words }),
        Form::Texts => json!({ "oneOf": [text(), { "type": "array", "items": text() }] }),
        Form::Command => json!({ "type": "array", "minItems": 1, "items": text() }),
        Form::Span => json!({ "type": "string", "pattern": SPAN }),
        Form::Range => json!({ "type": "string", "pattern": "^[0-9]+[smhdw](\\.\\.[0-9]+[smhdw])?$" }),
        Form::Size => json!({ "type": "string", "pattern": "^[0-9]+([KMGTkmgt]i?)?[Bb]?$" }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::FlagOrSpan => json!({ "oneOf": [{ "type": "boolean" }, { "type": "string", "pattern": SPAN }] }),
        Form::Days => json!({ "type": "string", "pattern": DAYS }),
        Form::DaysOrTable(keys) => json!({ "oneOf": [{ "type": "string", "pattern": DAYS }, object(keys)] }),
        Form::Count => json!({ "type": "integer", "minimum": 0 }),
        Form::Percent => json!({ "type": "string", "pattern": "^([1-9][0-9]?|100)%$" }),
        Form::Table(keys) => object(keys),
        Form::WordOrTable(words, keys) => json!({ "oneOf": [{ "enum": words }, object(keys)] }),
        Form::Tables(keys) => json!({ "type": "array", "items": object(keys) }),
        Form::Named(keys) => json!({ "type": "object", "additionalProperties": object(keys) }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Set to write the schema again instead of comparing it.
    const WRITE: &str = "CREDENZA_WRITE_REFERENCE";

    #[test]
    fn the_published_schema_says_what_the_reader_takes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/jobs.schema.json");
        let text = format!("{:#}\n", schema());
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, text, "write it again: {WRITE}=1 cargo test -p credenza-app schema");
    }
}
