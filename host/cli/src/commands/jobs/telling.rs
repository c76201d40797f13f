//! What is told of changes, printed: that something has changed, and who took the notice of it.

use std::sync::Arc;

use credenza_app::jobs::look::{Hears, Told};
use credenza_app::jobs::notify::Word;

use crate::failure::Failure;
use crate::report::{Reporter, printable};

/// Prints what is told, and whom.
pub(crate) struct Telling {
    pub(crate) reporter: Arc<Reporter>,
}

impl Hears for Telling {
    fn told(&self, told: Told<'_>) {
        let reporter = &self.reporter;
        match told {
            Told::Changed(notice) if notice.word == Word::Recovered => {
                reporter.note(format!("recovered: {}", printable(&notice.text)));
            }
            Told::Changed(notice) => reporter.warning(format!("{}: {}", notice.word.name(), printable(&notice.text))),
            Told::Taken(notice, to) => reporter.note(format!("told {} of: {}", printable(to), notice.word.name())),
            Told::NotTaken(notice, to, error, again_at) => {
                let (to, word, why) = (printable(to), notice.word.name(), printable(&error.to_string()));
                reporter.warning(match again_at {
                    Some(at) => format!("{to} could not be told of: {word}: {why}; it is tried again at {at}"),
                    None => format!("{to} was not told of: {word}: {why}"),
                });
            }
            Told::Fault(error) => reporter.failure(&Failure::of_jobs(error)),
        }
    }
}
