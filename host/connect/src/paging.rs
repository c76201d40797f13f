//! The loops over a listing and over a walk, which everyone uses who wants more than one piece of them.
//!
//! Owned here: where a listing ends (a piece says so itself, and nothing else does), what a page may not hold, and the end of a listing
//! that gets no further. Refused here: trying again (`wrap::retry`). Called by `engine`, `cli` and the conformance suite.
//!
//! Bound: a piece, a cursor, a key and the names of some strays.

use credenza_model::StoreKey;

use crate::{Error, ErrorClass, Found, Page, Result, Scanner, Store, StoredObject, Strays};

/// Objects asked of a listing at once.
const PAGE_OBJECTS: usize = 1000;
/// Longest cursor.
pub const CURSOR_BYTES_MAX: usize = 8192;
/// Most pieces in a row that hold nothing: a bucket's listing passes over a thousand million delete markers in so many.
const EMPTY_PIECES_MAX: u64 = 1_000_000;

/// Every object of a listing, page by page.
pub struct Pages<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
    max: usize,
    cursor: Option<String>,
    last: Option<StoreKey>,
    strays: Strays,
    standstill: Standstill,
    /// How often the store may still be asked.
    left: u64,
    ended: bool,
}

impl<'a> Pages<'a> {
    /// A listing of the objects whose key starts with `prefix`; nothing is asked yet.
    #[must_use]
    pub fn new(store: &'a dyn Store, prefix: &'a str) -> Self {
        let (strays, standstill, ended) = (Strays::default(), Standstill::default(), false);
        Self { store, prefix, max: PAGE_OBJECTS, cursor: None, last: None, strays, standstill, left: u64::MAX, ended }
    }

    /// Of so many requests at most, those for pages that hold nothing among them: [`is_at_end`](Self::is_at_end) says whether they told all.
    #[must_use]
    pub fn within(self, requests: u64) -> Self {
        Self { left: requests, ..self }
    }

    /// With that many objects asked for at once, at least 1.
    #[must_use]
    pub fn of(self, max: usize) -> Self {
        Self { max: max.max(1), ..self }
    }

    /// The next page that holds something; `None` at the end, or when the store may be asked no more.
    ///
    /// # Errors
    /// That of the store; `Corrupt` for a page that cannot be trusted, `Internal` for a listing that gets no further.
    pub async fn next(&mut self) -> Result<Option<Vec<StoredObject>>> {
        while !self.ended && self.left > 0 {
            self.left -= 1;
            let page = self.store.list(self.prefix, self.cursor.as_deref(), self.max).await?;
            if let Some(cause) = self.objection(&page) {
                let message = format!("the listing of `{}` cannot be trusted: {cause}", self.prefix);
                return Err(Error::new(ErrorClass::Corrupt, "store.listing", message));
            }
            let Page { objects, next, strays } = page;
            self.strays.extend(strays);
            self.standstill.notice(objects.is_empty(), next.as_deref())?;
            self.ended = next.is_none();
            self.cursor = next;
            if let Some(last) = objects.last() {
                self.last = Some(last.key.clone());
                return Ok(Some(objects));
            }
        }
        Ok(None)
    }

    /// Whether the pages so far told all that there is.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.ended
    }

    /// What the pages so far passed over.
    #[must_use]
    pub fn strays(&self) -> &Strays {
        &self.strays
    }

    /// All objects that are left. Bound: some 150 bytes an object.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub async fn collect(mut self) -> Result<Vec<StoredObject>> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }

    /// What a page lies about, if it does.
    fn objection(&self, page: &Page) -> Option<String> {
        if page.objects.len() > self.max {
            return Some(format!(
                "a page holds {} objects where at most {} were asked for",
                page.objects.len(),
                self.max
            ));
        }
        if let Some(cursor) = page.next.as_ref().filter(|cursor| cursor.len() > CURSOR_BYTES_MAX) {
            return Some(format!("a cursor has {} bytes, at most {CURSOR_BYTES_MAX} are allowed", cursor.len()));
        }
        let mut last = self.last.as_ref();
        for StoredObject { key, .. } in &page.objects {
            if !key.as_str().starts_with(self.prefix) {
                return Some(format!("it holds {key}"));
            }
            if let Some(last) = last.filter(|last| *last >= key) {
                return Some(format!("{key} comes after {last}"));
            }
            last = Some(key);
        }
        None
    }
}

/// Everything that a walk finds, batch by batch.
pub struct Batches {
    scanner: Box<dyn Scanner>,
    standstill: Standstill,
    ended: bool,
}

impl Batches {
    /// Goes on with a walk where it is.
    #[must_use]
    pub fn new(scanner: Box<dyn Scanner>) -> Self {
        Self { scanner, standstill: Standstill::default(), ended: false }
    }

    /// Whether nothing comes behind the batches so far; a walk may also find that out by the next.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next batch that holds something, at most `max` findings; `None` at the end.
    ///
    /// # Errors
    /// That of the scanner; `Internal` for a walk that gets no further.
    pub async fn next(&mut self, max: usize) -> Result<Option<Vec<Found>>> {
        while !self.ended {
            let batch = self.scanner.next(max).await?;
            self.standstill.notice(batch.found.is_empty(), None)?;
            self.ended = !batch.more;
            if !batch.found.is_empty() {
                return Ok(Some(batch.found));
            }
        }
        Ok(None)
    }
}

/// Notices a listing that gets no further. Pages that hold something get further, because their keys ascend; among those that hold nothing, a
/// cursor that was there before is found with one of them remembered (Brent, 1980).
#[derive(Default)]
struct Standstill {
    empty: u64,
    remembered: Option<String>,
}

impl Standstill {
    fn notice(&mut self, is_empty: bool, next: Option<&str>) -> Result<()> {
        if !is_empty {
            *self = Self::default();
            return Ok(());
        }
        self.empty = self.empty.saturating_add(1);
        if next.is_some() && next == self.remembered.as_deref() {
            return Err(endless("it came back to where it had been before"));
        }
        if self.empty > EMPTY_PIECES_MAX {
            return Err(endless(&format!("more than {EMPTY_PIECES_MAX} pages in a row held nothing")));
        }
        if self.empty.is_power_of_two() {
            self.remembered = next.map(str::to_owned);
        }
        Ok(())
    }
}

/// The key that a cursor is, of a store whose cursor is the last key of a page.
pub(crate) fn key_of(cursor: Option<&str>) -> Result<Option<StoreKey>> {
    let untold = |_| {
        Error::new(ErrorClass::Internal, "listing.cursor", "a listing goes on from a place that was never reported")
    };
    cursor.map(StoreKey::new).transpose().map_err(untold)
}

fn endless(what: &str) -> Error {
    Error::new(ErrorClass::Internal, "listing.standstill", format!("the listing never ends: {what}"))
}
