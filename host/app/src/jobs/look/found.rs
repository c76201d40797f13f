//! What is found of a subject, as a state and in words: of runs, guards, copies, origins and promises. Pure.
//!
//! Owned here: which state what was seen stands for, and the words. Refused here: seeing it (`measure` and the look itself), and what a change of state is
//! (`notify`).

use credenza_model::SnapshotId;

use super::super::file::{Job, Work};
use super::super::log::Past;
use super::super::needs::Measured;
use super::super::notify::change::Found;
use super::super::notify::{Subject, Word};
use super::super::outcome::{Ending, Step};
use super::super::promise::Kept;
use super::super::replicate::alarm::CopyState;
use super::super::replicate::silence::Silence;
use super::super::sections::replicate::Replicate;
use super::super::span;
use super::book::Known;

/// What the guard of a run has found.
pub(super) fn of_guard(job: &str, past: &Past) -> Vec<Found> {
    let suspect = |step: &Step| match step {
        Step::Suspect { source, snapshot, reason } => Some(suspected(job, source, *snapshot, reason)),
        _ => None,
    };
    past.steps.iter().filter_map(suspect).collect()
}

pub(super) fn suspected(name: &str, source: &str, snapshot: SnapshotId, reason: &str) -> Found {
    let text = format!(
        "The snapshot {snapshot} of {source} is suspect: {reason}. Nothing of that source is removed until somebody has looked: credenza jobs acknowledge {snapshot} --job {name}"
    );
    let subject = Subject::Guard { job: name.to_owned(), source: source.to_owned() };
    Found { subject, word: Some(Word::Suspect), text }
}

/// Whether a suspect snapshot is all that makes a run incomplete.
pub(super) fn is_suspect_alone(steps: &[Step]) -> bool {
    let is_incomplete = |step: &Step| match step {
        Step::BackedUp { errors, .. } | Step::Found { errors, .. } => *errors > 0,
        Step::Held { .. } | Step::Failed { .. } => true,
        _ => false,
    };
    steps.iter().any(|step| matches!(step, Step::Suspect { .. })) && !steps.iter().any(is_incomplete)
}

/// What a run says of its job; nothing where it is tried again, or says nothing of what the next will do.
pub(super) fn of_run(work: Work<'_>, past: &Past) -> Option<Found> {
    let (_, retry) = work.retries();
    let is_last_try = past.due.is_none() || past.tries.saturating_add(1) >= retry.tries;
    let word = match past.ending? {
        Ending::Done => None,
        // That is told by itself.
        Ending::Incomplete if is_suspect_alone(&past.steps) => return None,
        Ending::Incomplete => Some(Word::Incomplete),
        Ending::Damaged => Some(Word::Damage),
        Ending::Refused | Ending::Spent => Some(Word::Failed),
        Ending::Failed | Ending::Unreachable if is_last_try => Some(Word::Failed),
        Ending::Failed | Ending::Unreachable | Ending::Busy | Ending::Interrupted | Ending::Lost => return None,
    };
    let (name, began) = (work.name(), past.began);
    let not_done = match work {
        Work::Job(_) => "made no backup",
        Work::Verify(_) => "verified nothing",
        Work::Replicate(_) => "carried not all",
        Work::Mirror(_) => "mirrored nothing",
    };
    let why = past.reason.as_deref().unwrap_or("the log says no more");
    let next = format!("See what it did: credenza jobs history {name}");
    let text = match word {
        None => format!("The run of `{name}` that began at {began} did all that it should."),
        Some(Word::Incomplete) => format!("The run of `{name}` that began at {began} is incomplete: {why}. {next}"),
        Some(Word::Damage) => format!("The run of `{name}` that began at {began} found damage: {why}. {next}"),
        Some(_) => format!("The run of `{name}` that began at {began} {not_done}: {why}. {next}"),
    };
    Some(Found { subject: Subject::Job { job: name.to_owned() }, word, text })
}

/// What is to be said of a copy.
pub(super) fn of_copy(policy: &Replicate, state: &CopyState) -> Found {
    let CopyState { target, since, kept, rpo, .. } = state;
    let (name, rpo) = (policy.short_name(), span::shown(*rpo));
    let since = since.map(|since| since.to_string()).unwrap_or_default();
    let next = format!("See how far it is: credenza replicate status {name}");
    let (word, text) = match kept {
        Kept::Kept => (None, format!("The copy of `{name}` in {target} is no longer behind than it may be.")),
        Kept::Risk => (
            Some(Word::PromiseAtRisk),
            format!("The copy of `{name}` in {target} is behind since {since}, and may be for {rpo}. {next}"),
        ),
        Kept::Broken => (
            Some(Word::CopyBehind),
            format!("The copy of `{name}` in {target} is behind since {since}, longer than {rpo}. {next}"),
        ),
    };
    Found { subject: Subject::Copy { policy: policy.name.clone(), target: target.clone() }, word, text }
}

/// What is to be said of an origin.
pub(super) fn of_origin(policy: &Replicate, silence: &Silence) -> Found {
    let (name, from) = (policy.short_name(), &policy.from);
    let silent = policy.silent.map(span::shown).unwrap_or_default();
    let (word, text) = match silence.is_silent {
        false => (None, format!("There is a new snapshot in {from}, which `{name}` copies.")),
        true => (
            Some(Word::SourceSilent),
            format!(
                "The newest snapshot in {from} is of {}, longer ago than {silent}: the copies of `{name}` have nothing to follow. See what ran: credenza jobs list",
                silence.newest
            ),
        ),
    };
    Found { subject: Subject::Origin { policy: policy.name.clone() }, word, text }
}

pub(super) fn of_needs(measured: &Measured, unknown: &[(String, String)]) -> Found {
    let word = match measured.kept {
        Kept::Kept => None,
        Kept::Risk => Some(Word::PromiseAtRisk),
        Kept::Broken => Some(Word::PromiseBroken),
    };
    let Measured { promise, source, lacks, .. } = measured;
    let mut text = match word {
        None => format!("The promise `{promise}` for {source} is kept."),
        Some(Word::PromiseAtRisk) => format!("The promise `{promise}` for {source} is at risk: {}.", lacks.join("; ")),
        Some(_) => format!("The promise `{promise}` for {source} is broken: {}.", lacks.join("; ")),
    };
    for (repository, why) in unknown {
        text.push_str(&format!(" The repository {repository} cannot be asked: {why}."));
    }
    if word.is_some() {
        text.push_str(" See what there is: credenza promises");
    }
    let subject = Subject::Needs { promise: promise.clone(), source: source.clone() };
    Found { subject, word, text }
}

pub(super) fn of_promise(job: &Job, source: &str, known: &Known, kept: Kept) -> Found {
    let word = match kept {
        Kept::Kept => None,
        Kept::Risk => Some(Word::PromiseAtRisk),
        Kept::Broken => Some(Word::PromiseBroken),
    };
    let name = &job.name;
    let state = match kept {
        Kept::Kept => "kept",
        Kept::Risk => "at risk",
        Kept::Broken => "broken",
    };
    let mut text = format!("The promise of `{name}` for {source} is {state}: ");
    match known.snapshot {
        Some(_) => text.push_str(&format!("its newest good snapshot is of {}", known.time)),
        None if known.unknown.is_some() => text.push_str(&format!("no snapshot is known since {}", known.time)),
        None => text.push_str("there is no good snapshot of it"),
    }
    let promised = job.promise.map(span::shown).unwrap_or_default();
    text.push_str(&format!(", and {promised} are promised."));
    if let Some((since, why)) = &known.unknown {
        text.push_str(&format!(" Since {since} the repository {} cannot be asked: {why}.", job.repository));
    }
    if word.is_some() {
        text.push_str(&format!(" See what ran: credenza jobs history {name}"));
    }
    Found { subject: Subject::Promise { job: name.clone(), source: source.to_owned() }, word, text }
}
