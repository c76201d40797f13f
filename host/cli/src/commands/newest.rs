//! Which snapshot a name means, for the commands that read one.
//!
//! Owned here: what is said where `latest` is not what it would be in a healthy repository of one source. Refused here: what it is
//! (`credenza-engine`).

use clap::Args;
use credenza_app::OpenRepository;
use credenza_engine::{Error as EngineError, SnapshotHandle, SnapshotName, Snapshots};
use credenza_model::Timestamp;

use super::Session;
use super::filters::Filters;
use crate::failure::Failure;
use crate::report::printable;
use crate::shell::shell_word;

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

/// Snapshots of which one is to be chosen.
pub(crate) struct Choice {
    pub(crate) snapshots: Snapshots,
    /// Whether some were left out, so that somebody has said which are meant.
    is_filtered: bool,
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
        self.among(open, session).await?.choose(name, session)
    }

    /// Lists those that are meant, once for any number of names.
    pub(crate) async fn among(&self, open: &OpenRepository, session: &Session<'_>) -> Result<Choice, Failure> {
        let all = open.repository.snapshots().await?;
        Ok(Choice { or_older: self.or_older, ..Choice::of(all, &self.filters, session)? })
    }
}

impl Choice {
    /// Those of all snapshots that the filters let through.
    pub(super) fn of(all: Snapshots, filters: &Filters, session: &Session<'_>) -> Result<Self, Failure> {
        let filter = filters.filter(session)?;
        let held = all.whole.len();
        let snapshots = all.filtered(&filter);
        if snapshots.whole.is_empty() && held > 0 {
            return Err(none_fits(held));
        }
        Ok(Self { snapshots, is_filtered: !filter.is_empty(), or_older: false })
    }

    /// The one of that name. Where `latest` could be of several sources it is said which was taken.
    pub(crate) fn choose(&self, name: &SnapshotName, session: &Session<'_>) -> Result<SnapshotHandle, Failure> {
        let found = self.named(name, session)?;
        let newest = self.snapshots.newest_by_source();
        if name.is_latest() && !self.is_filtered && newest.len() > 1 {
            let others: Vec<&SnapshotHandle> = newest.into_iter().filter(|other| !is_of_one(other, &found)).collect();
            let (taken, name) = (self.described(&found), &name.0);
            session.reporter.note(format!(
                "note: `{name}` is {taken}; there is also {}: say which with --source, --host or --path",
                self.listed(&others)
            ));
        }
        Ok(found)
    }

    /// The same, for what is not easily taken back: `latest` must say of which source, where there are several.
    pub(crate) fn choose_surely(&self, name: &SnapshotName, session: &Session<'_>) -> Result<SnapshotHandle, Failure> {
        let newest = self.snapshots.newest_by_source();
        if let (true, false, [first, _, ..]) = (name.is_latest(), self.is_filtered, newest.as_slice()) {
            let (name, source) = (&name.0, shell_word(&first.snapshot.source.location));
            return Err(Failure::usage(format!("`{name}` could be a snapshot of {} sources", newest.len()))
                .because(self.listed(&newest))
                .hint(format!("add --source {source}, or --host or --path; or name the snapshot by its id")));
        }
        self.named(name, session)
    }

    fn named(&self, name: &SnapshotName, session: &Session<'_>) -> Result<SnapshotHandle, Failure> {
        let snapshots = &self.snapshots;
        match snapshots.find(name) {
            Err(doubt @ (EngineError::NewestUnreadable { .. } | EngineError::NewestAhead { .. })) if self.or_older => {
                let older = snapshots.find_or_older(name)?;
                let id = older.snapshot.id;
                session.reporter.note(format!("note: {doubt}; snapshot {id} is taken instead"));
                Ok(older)
            }
            found => {
                let found = found?;
                if name.is_latest() && snapshots.is_ahead(&found) {
                    tell_ahead(snapshots, session);
                }
                Ok(found)
            }
        }
    }

    /// The first digits of its id, as many as tell it from all others.
    pub(crate) fn short_id(&self, handle: &SnapshotHandle) -> String {
        handle.snapshot.id.to_string().chars().take(self.snapshots.short_id_digits()).collect()
    }

    fn described(&self, handle: &SnapshotHandle) -> String {
        let (source, host) = (printable(&handle.snapshot.source.location), printable(&handle.snapshot.host));
        format!("{} of {source} on {host}", self.short_id(handle))
    }

    fn listed(&self, handles: &[&SnapshotHandle]) -> String {
        let named: Vec<String> = handles.iter().take(SOURCES_MAX).map(|handle| self.described(handle)).collect();
        let more = handles.len().saturating_sub(SOURCES_MAX);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        format!("{}{more}", named.join(", "))
    }
}

fn is_of_one(a: &SnapshotHandle, b: &SnapshotHandle) -> bool {
    a.snapshot.source.identity == b.snapshot.source.identity
}

/// The failure of filters that let nothing through.
pub(super) fn none_fits(held: usize) -> Failure {
    Failure::new(format!("none of the {held} snapshots is of that host, source, tag and path"))
        .hint("see which there are: credenza at REPOSITORY ls")
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
