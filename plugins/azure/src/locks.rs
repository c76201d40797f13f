//! What protects a blob: an immutability policy and a legal hold, as attributes, as headers, and as the locks of a store.
//!
//! A store locks in the mode that nobody can lift (`Locked`): a stolen key must not be able to, and neither must its owner. The container must have
//! been made with support for immutable versions (<https://learn.microsoft.com/azure/storage/blobs/immutable-version-level-worm-policies>).

use credenza_sdk::http::Request;
use credenza_sdk::{AttributeValue, Attributes, Timestamp, time};

use crate::attributes::set;
use crate::wire::Headers;

pub(crate) const MODE_HEADER: &str = "x-ms-immutability-policy-mode";
pub(crate) const UNTIL_HEADER: &str = "x-ms-immutability-policy-until-date";
const HOLD_HEADER: &str = "x-ms-legal-hold";
const MODE: &str = "azure.immutability-mode";
const UNTIL: &str = "azure.immutable-until";
const HOLD: &str = "azure.legal-hold";
/// The attributes of all of them.
pub(crate) const NAMES: [&str; 3] = [MODE, UNTIL, HOLD];
const LOCKED: &str = "Locked";

/// The write that locks what it writes, or the request that extends a lock.
pub(crate) fn lock(asked: Request, until: Timestamp) -> Request {
    asked.with_header(UNTIL_HEADER, time::format_http(whole(until))).with_header(MODE_HEADER, LOCKED)
}

/// The service counts seconds: a lock may end later than asked for, and not earlier.
fn whole(until: Timestamp) -> Timestamp {
    let seconds = until.seconds.saturating_add(i64::from(until.nanoseconds > 0));
    Timestamp { seconds, nanoseconds: 0 }
}

/// Until when a blob is locked, as the answer to a HEAD says; a lock that can be lifted is none.
pub(crate) fn locked_until(headers: &Headers) -> Option<Timestamp> {
    headers.get(MODE_HEADER).filter(|mode| mode.eq_ignore_ascii_case(LOCKED))?;
    time::parse_http(headers.get(UNTIL_HEADER)?)
}

/// Adds what an answer says of locks.
pub(crate) fn complete(attributes: &mut Attributes, headers: &Headers) {
    if let Some(until) = headers.get(UNTIL_HEADER).and_then(time::parse_http) {
        set(attributes, UNTIL.to_owned(), AttributeValue::Time(until));
    }
    let mode = headers.get(MODE_HEADER).filter(|mode| !mode.eq_ignore_ascii_case("mutable"));
    if let Some(mode) = mode {
        set(attributes, MODE.to_owned(), AttributeValue::Text(mode.to_owned()));
    }
    if headers.get(HOLD_HEADER).is_some_and(|hold| hold.eq_ignore_ascii_case("true")) {
        set(attributes, HOLD.to_owned(), AttributeValue::Text("true".to_owned()));
    }
}

/// The locks of an entry that still hold.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    policy: Option<(String, Timestamp)>,
    is_held: bool,
}

impl Locks {
    /// Those among the attributes.
    pub(crate) fn of(attributes: &Attributes, now: Timestamp) -> Self {
        let value = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let policy = match (value(MODE), value(UNTIL)) {
            (Some(AttributeValue::Text(mode)), Some(AttributeValue::Time(until))) => Some((mode.clone(), *until)),
            _ => None,
        };
        Self {
            policy: policy.filter(|(_, until)| until.seconds > now.seconds),
            is_held: matches!(value(HOLD), Some(AttributeValue::Text(hold)) if hold == "true"),
        }
    }

    /// The headers of a write that locks what it writes so.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        if let Some((mode, until)) = &self.policy {
            headers.push((UNTIL_HEADER.to_owned(), time::format_http(whole(*until))));
            headers.push((MODE_HEADER.to_owned(), mode.clone()));
        }
        headers.extend(self.is_held.then(|| (HOLD_HEADER.to_owned(), "true".to_owned())));
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_can_be_lifted_is_none_and_one_that_has_ended_is_not_given_back() {
        let reported = |mode: &str| {
            let pairs = [(UNTIL_HEADER, "Wed, 01 Jan 2025 00:00:00 GMT"), (MODE_HEADER, mode), (HOLD_HEADER, "true")];
            Headers(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
        };
        assert_eq!(locked_until(&reported("locked")).unwrap().seconds, 1_735_689_600);
        assert_eq!(locked_until(&reported("unlocked")), None);
        let mut attributes = Attributes::new();
        complete(&mut attributes, &reported("unlocked"));
        let headers = |seconds| Locks::of(&attributes, Timestamp { seconds, nanoseconds: 0 }).headers();
        assert_eq!(headers(1_735_689_599).len(), 3);
        assert_eq!(headers(1_735_689_600), [(HOLD_HEADER.to_owned(), "true".to_owned())]);
    }

    #[test]
    fn a_lock_does_not_end_before_it_was_asked_to() {
        let until = Timestamp { seconds: 1_735_689_599, nanoseconds: 1 };
        let asked = lock(Request::new("PUT", "e", "/k"), until);
        assert!(asked.headers.contains(&(UNTIL_HEADER.to_owned(), "Wed, 01 Jan 2025 00:00:00 GMT".to_owned())));
    }
}
