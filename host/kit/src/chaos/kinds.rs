//! The checks by the liberty that they take: their ids, their reasons, and which errors are sensible answers to it.

use credenza_connect::{Error, ErrorClass};
use credenza_sandbox::Role;

use crate::peer::Liberty;

/// What may become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It succeeds: the server is within its rights.
    Succeed,
    /// It succeeds, or fails as what passes: the same call may succeed later.
    Pass,
    /// It succeeds, or fails.
    Fail,
}

/// A liberty, and what is said of it.
pub(super) struct Kind {
    pub(super) liberty: Liberty,
    /// Of the check of a source, of a store, of a destination.
    ids: [&'static str; 3],
    /// Why it is checked, in a line.
    pub(super) why: &'static str,
    /// What the server does, behind "a server that always".
    pub(super) does: &'static str,
    /// What a connector must ask for so that it can be done.
    pub(super) needs: &'static str,
    leave: Leave,
}

macro_rules! kind {
    ($liberty:ident, $name:literal, $leave:ident, $does:literal, $why:literal, $needs:literal) => {
        Kind {
            liberty: Liberty::$liberty,
            ids: [
                concat!("chaos.", $name, ".source"),
                concat!("chaos.", $name, ".store"),
                concat!("chaos.", $name, ".destination"),
            ],
            why: $why,
            does: $does,
            needs: $needs,
            leave: Leave::$leave,
        }
    };
}

pub(super) const KINDS: [Kind; 23] = [
    kind!(
        ResetBefore,
        "reset-before",
        Pass,
        "closes the connection instead of answering",
        "a connection that ends before anything was done is tried again",
        "requests"
    ),
    kind!(
        ResetAfter,
        "reset-after",
        Pass,
        "does what is asked and closes the connection without a word of it",
        "what was done and not answered is neither taken for undone nor done twice",
        "requests"
    ),
    kind!(
        Truncated,
        "truncated",
        Pass,
        "ends the connection within a body",
        "a body that breaks off never passes for a whole one",
        "bodies"
    ),
    kind!(
        LengthTooLong,
        "length-too-long",
        Fail,
        "promises more bytes than it sends",
        "what is promised and does not come is missing",
        "bodies"
    ),
    kind!(
        LengthTooShort,
        "length-too-short",
        Fail,
        "says that there is less than there is",
        "a content that is shorter than it was listed has changed or broken off",
        "bodies"
    ),
    kind!(
        SlowDrip,
        "slow-drip",
        Succeed,
        "sends a few bytes at a time",
        "how a body is cut on its way means nothing",
        "bodies"
    ),
    kind!(
        Unavailable,
        "unavailable",
        Pass,
        "answers 503 with a wish to wait",
        "a server that is busy is asked again later",
        "requests"
    ),
    kind!(
        TooMany,
        "too-many",
        Pass,
        "answers 429 with a wish to wait",
        "a server that is asked too often is asked again later",
        "requests"
    ),
    kind!(
        BadGateway,
        "bad-gateway",
        Pass,
        "answers 502 with a page of HTML",
        "what stands on the way speaks for itself alone, and is asked again",
        "requests"
    ),
    kind!(
        ErrorInSuccess,
        "error-in-success",
        Fail,
        "answers 200 with the document of an error",
        "a status alone proves nothing: an error is no empty page and no content",
        "answers with documents"
    ),
    kind!(
        HtmlPage,
        "html-page",
        Fail,
        "answers 200 with a page for browsers",
        "portals of hotels and logins answer everything, and hold no data",
        "answers"
    ),
    kind!(
        CutDocument,
        "cut-document",
        Fail,
        "ends documents in their middle",
        "a listing that ends early never passes for a whole one",
        "documents"
    ),
    kind!(
        MissingField,
        "missing-field",
        Fail,
        "leaves elements out of its documents",
        "what a document does not say is not made up, and no name is lost with it",
        "documents"
    ),
    kind!(
        MissingHeader,
        "missing-header",
        Fail,
        "leaves headers out of its answers",
        "what an answer does not say is not made up",
        "headers"
    ),
    kind!(
        OtherTag,
        "other-tag",
        Fail,
        "answers with the tag of another content",
        "a content with another tag is another content, or is reported as one",
        "tags"
    ),
    kind!(
        PlainAsGzip,
        "plain-as-gzip",
        Fail,
        "says that plain bytes are compressed",
        "bytes are taken as they come",
        "bodies"
    ),
    kind!(
        HugeHeaders,
        "huge-headers",
        Fail,
        "sends a megabyte of headers, or hundreds",
        "headers have a bound, and what exceeds it is an error",
        "requests"
    ),
    kind!(
        RedirectHere,
        "redirect-here",
        Fail,
        "redirects to the same place",
        "a redirect that leads nowhere ends, and is nothing that is missing",
        "requests"
    ),
    kind!(
        RedirectAway,
        "redirect-away",
        Fail,
        "redirects to another server",
        "credentials go to nobody but the server that they are for",
        "requests"
    ),
    kind!(
        RangeIgnored,
        "range-ignored",
        Fail,
        "answers with all where a part was asked for",
        "a part is the part that was asked for",
        "parts of contents"
    ),
    kind!(
        OtherRange,
        "other-range",
        Fail,
        "answers with another part than was asked for",
        "a part is the part that was asked for",
        "parts of contents"
    ),
    kind!(
        ShortPages,
        "short-pages",
        Succeed,
        "cuts its listings into pages of few names, of one and of none",
        "a page may be short or empty before the end, and only the last one is the end",
        "pages"
    ),
    kind!(
        EndlessPages,
        "endless-pages",
        Fail,
        "gives the same page again and again",
        "a listing that gets no further ends with an error",
        "pages"
    ),
];

impl Kind {
    /// The id of the check of a role.
    pub(super) fn id(&self, role: Role) -> Option<&'static str> {
        let [source, store, destination] = self.ids;
        match role {
            Role::Source => Some(source),
            Role::Store => Some(store),
            Role::Destination => Some(destination),
            Role::Prune | Role::Replay => None,
        }
    }

    /// Why an error is no sensible answer; `is_write` where a condition may fail because of what an earlier try did.
    pub(super) fn objection(&self, error: &Error, is_write: bool) -> Option<&'static str> {
        // The host's own words for a listing that never ends.
        let is_endless = error.reason == "listing.standstill";
        let is_passing = matches!(error.class, ErrorClass::Transient | ErrorClass::Corrupt);
        let is_of_condition = error.class == ErrorClass::Precondition && is_write;
        match error.class {
            _ if error.message.trim().is_empty() => Some("an error without a word"),
            ErrorClass::Internal if !is_endless => Some("the connector's own failure"),
            ErrorClass::NotFound => Some("that something is not there, which is"),
            _ if self.leave == Leave::Succeed => Some("an error, and the server was within its rights"),
            _ if self.leave == Leave::Pass && !is_passing && !is_of_condition => {
                Some("what does not pass, and this does")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_check_has_an_id_of_its_own() {
        let ids: BTreeSet<&str> = KINDS.iter().flat_map(|kind| kind.ids).collect();
        assert_eq!(ids.len(), KINDS.len() * 3);
    }
}
