//! The sections `[promise.NAME]` of the file of the jobs, understood: what is promised of sources over all repositories.
//!
//! Owned here: what their values mean. Refused here: their keys (`keys`), measuring (`needs`), and the promise of one job (`promise`). Called by `file`.

use std::time::Duration;

use super::super::reader::Part;
use super::super::span::parse_span;

/// What a `[promise.NAME]` needs; nothing where it says nothing of it.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Its name.
    pub name: String,
    /// Of which sources.
    pub sources: Vec<String>,
    /// A copy counts where its newest good snapshot is no older.
    pub fresh: Option<Duration>,
    /// Repositories with a good snapshot.
    pub copies: Option<u32>,
    /// Providers of these.
    pub providers: Option<u32>,
    /// Regions of these.
    pub regions: Option<u32>,
    /// Copies that nobody can delete.
    pub immutable: Option<u32>,
    /// Each byte of each copy was read within so much time.
    pub verified: Option<Duration>,
    /// One copy was restored for trial within so much time.
    pub restorable: Option<Duration>,
}

/// One promise; what cannot be meant is noted.
pub(in crate::jobs) fn read(name: &str, part: &Part<'_>) -> Needs {
    let sources: Vec<String> = part.texts("sources").into_iter().map(str::to_owned).collect();
    if sources.is_empty() {
        part.problem("sources", "it is about no source", "name some: sources = [\"@shop*\"]");
    }
    let Some(needs) = part.part("needs") else {
        if !part.has("needs") {
            part.problem("needs", "nothing is promised", "add such as: needs = { copies = 2, providers = 2 }");
        }
        return Needs { name: name.to_owned(), sources, ..Needs::default() };
    };
    let count = |key: &str| needs.count(key, 1..=1000);
    let span = |key: &str| needs.parsed(key, parse_span);
    Needs {
        name: name.to_owned(),
        sources,
        fresh: span("fresh"),
        copies: count("copies"),
        providers: count("providers"),
        regions: count("regions"),
        immutable: count("immutable"),
        verified: span("verified"),
        restorable: span("restorable"),
    }
}
