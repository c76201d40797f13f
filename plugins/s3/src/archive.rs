//! Objects in a class of storage that cannot be read at once, and what the user wants done about them.
//!
//! Owned here: the policy, and asking for a copy that can be read. Refused here: everything that is said of the object itself (`source`).

use credenza_sdk::{Entry, Error, ErrorClass, Result};

use crate::attributes;
use crate::bucket::{Bucket, shown};
use crate::fault::ARCHIVED;
use crate::place::Archived;
use crate::wire::{Wire, request};
use credenza_sdk::percent;

/// The reason that tells the host that an entry is to be recorded without its content.
const BY_REFERENCE: &str = "by-reference";
/// How long a copy that was asked for stays; a backup a day has several chances.
const COPY_DAYS: u32 = 7;
/// The cheapest way to get one, which takes up to 12 hours, from the deepest archive up to 48
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html>).
const TIER: &str = "Bulk";

impl<W: Wire> Bucket<W> {
    /// What the failure to read an archived object is to the host; any other stays as it is.
    pub(crate) fn if_archived(&self, entry: &Entry, failure: Error) -> Error {
        if failure.reason != ARCHIVED {
            return failure;
        }
        match self.place.archived {
            Archived::Report => failure,
            Archived::Reference => {
                let message = "it is archived, and recorded without its content as the setting `archived` says";
                Error::new(ErrorClass::Denied, BY_REFERENCE, message.to_owned())
            }
            Archived::Request => {
                let reported = match self.ask_for_copy(entry) {
                    Ok(()) => format!("a copy for {COPY_DAYS} days was asked for: back up again when it is there"),
                    Err(error) if error.reason == "s3.copy-under-way" => error.message,
                    Err(error) => format!("no copy could be asked for: {}", error.message),
                };
                Error { message: format!("{}; {reported}", failure.message), ..failure }
            }
        }
    }

    fn ask_for_copy(&self, entry: &Entry) -> Result<()> {
        let action = format!("asking for a copy of {}", shown(&entry.key));
        let mut pairs = vec![("restore", None)];
        pairs.extend(entry.locator.as_deref().map(|id| ("versionId", Some(id))));
        // What this class moves back stays there, and takes no number of days.
        let is_moved = attributes::text_of(entry, "s3.storage-class") == Some("INTELLIGENT_TIERING");
        let days = if is_moved { String::new() } else { format!("<Days>{COPY_DAYS}</Days>") };
        let document = format!(
            "<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{days}<GlacierJobParameters><Tier>{TIER}</Tier></GlacierJobParameters></RestoreRequest>"
        );
        let asked = request("POST", self.place.object(&entry.key) + &percent::query(&pairs));
        let body = self.wire.body_of(document.into_bytes());
        self.ask(asked.with_header("content-type", "application/xml"), Some(body), &action).map(drop)
    }
}
