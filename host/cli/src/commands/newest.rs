//! The options by which a command finds the snapshot that is meant, and what is said where another may have been.
//!
//! Owned here: options and words. Refused here: which one it is (`credenza_app::Choice`).

use clap::Args;
use credenza_app::{Choice, ChoiceError, Chosen, Doubt, Error as AppError, OpenRepository};
use credenza_engine::flags::Flags;
use credenza_engine::{SnapshotFilter, SnapshotHandle, SnapshotName, Snapshots};
use credenza_model::Timestamp;

use super::Session;
use super::filters::Filters;
use crate::failure::Failure;
use crate::report::{brief, printable};

/// Most sources that are named where `latest` could be of several.
const SOURCES_MAX: usize = 5;

/// Which snapshot a name means: among which ones, and what `latest` is where the newest cannot be read, or nobody can tell which it is.
#[derive(Debug, Args)]
pub(crate) struct Newest {
    #[command(flatten)]
    filters: Filters,

    /// Where the newest snapshot cannot be read, or its date lies after now, let `latest` be the newest of the others.
    ///
    /// Without it a newest snapshot that cannot be read is damage (exit code 20), and `latest` is refused where it hangs on a date after now
    /// which snapshot is the newest: then a clock is wrong, that of this machine or that of the store when the snapshot was made.
    #[arg(long)]
    or_older: bool,
}

impl Newest {
    /// The snapshot of that name.
    pub(crate) async fn find(
        &self,
        open: &OpenRepository,
        name: &SnapshotName,
        session: &Session<'_>,
    ) -> Result<SnapshotHandle, Failure> {
        let chosen = choose(&self.among(open, session).await?, name, session)?;
        tell_suspect(open, name, &chosen, session).await?;
        Ok(chosen)
    }

    /// The filter alone, for what heeds snapshots that are made later.
    pub(super) fn filter(&self, session: &Session<'_>) -> Result<SnapshotFilter, Failure> {
        self.filters.filter(session)
    }

    /// Lists those that are meant, once for any number of names.
    pub(crate) async fn among(&self, open: &OpenRepository, session: &Session<'_>) -> Result<Choice, Failure> {
        self.among_those(open, &self.filters.filter(session)?).await
    }

    /// The same for a filter that was made of this one.
    pub(super) async fn among_those(&self, open: &OpenRepository, filter: &SnapshotFilter) -> Result<Choice, Failure> {
        Ok(Choice::among(&open.repository, filter, self.or_older).await?)
    }
}

/// The one of that name. Where `latest` could be of several sources it is said which was taken.
pub(super) fn choose(choice: &Choice, name: &SnapshotName, session: &Session<'_>) -> Result<SnapshotHandle, Failure> {
    Ok(tell(choice, choice.choose(name)?, name, session))
}

/// `latest` is the newest snapshot, also where that is suspect; then it is said.
pub(super) async fn tell_suspect(
    open: &OpenRepository,
    name: &SnapshotName,
    chosen: &SnapshotHandle,
    session: &Session<'_>,
) -> Result<(), Failure> {
    if name.0 != "latest" {
        return Ok(());
    }
    if let Some(flag) = Flags::load(&open.repository).await?.suspicion(chosen) {
        let (id, reason) = (chosen.snapshot.id, brief(&flag.reason));
        session
            .reporter
            .note(format!("note: the newest snapshot, {id}, is suspect: {reason}; `latest~1` is the one before it"));
    }
    Ok(())
}

/// The same, for what is not easily taken back.
pub(super) fn choose_surely(
    choice: &Choice,
    name: &SnapshotName,
    session: &Session<'_>,
) -> Result<SnapshotHandle, Failure> {
    let chosen = choice.choose_surely(name).map_err(|error| {
        let newest = match &error {
            AppError::Choice(ChoiceError::ManySources { newest, .. }) => newest.clone(),
            _ => return Failure::from(error),
        };
        Failure::from(error).because(listed(&newest, choice.snapshots.short_id_digits()))
    })?;
    Ok(tell(choice, chosen, name, session))
}

/// Says why another may have been meant.
fn tell(choice: &Choice, chosen: Chosen, name: &SnapshotName, session: &Session<'_>) -> SnapshotHandle {
    let Chosen { snapshot, doubts } = chosen;
    let digits = choice.snapshots.short_id_digits();
    for doubt in doubts {
        match doubt {
            Doubt::Older(why) => {
                let id = snapshot.snapshot.id;
                session.reporter.note(format!("note: {why}; snapshot {id} is taken instead"));
            }
            Doubt::Ahead => tell_ahead(&choice.snapshots, session),
            Doubt::OtherSources(others) => session.reporter.note(format!(
                "note: `{}` is {}; there is also {}: say which with --source, --host or --path",
                name.0,
                described(&snapshot, digits),
                listed(&others, digits)
            )),
        }
    }
    snapshot
}

/// A snapshot by its short id, with its source.
fn described(handle: &SnapshotHandle, digits: usize) -> String {
    let (source, host) = (printable(&handle.snapshot.source.location), printable(&handle.snapshot.host));
    format!("{:.digits$} of {source} on {host}", handle.snapshot.id.to_string())
}

/// The first of some snapshots, each with its source.
fn listed(handles: &[SnapshotHandle], digits: usize) -> String {
    let named: Vec<String> = handles.iter().take(SOURCES_MAX).map(|handle| described(handle, digits)).collect();
    let more = handles.len().saturating_sub(SOURCES_MAX);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// Says which snapshots are dated after now.
pub(super) fn tell_ahead(snapshots: &Snapshots, session: &Session<'_>) {
    let Some(last) = snapshots.whole.iter().rfind(|handle| snapshots.is_ahead(handle)) else { return };
    let to_the_second = |time: Timestamp| Timestamp { nanoseconds: 0, ..time };
    let (time, now) = (to_the_second(last.time().unwrap_or_default()), to_the_second(snapshots.now));
    let id = last.snapshot.id;
    let which = match snapshots.ahead.len() {
        1 => format!("snapshot {id} is dated {time}"),
        count => format!("{count} snapshots are dated after now, the last of them, {id}, {time}"),
    };
    session.reporter.note(format!(
        "note: {which}, and by the clock of this machine it is {now}: either this clock is behind, or that of the store was ahead then. `prune` leaves alone what is dated after now"
    ));
}
