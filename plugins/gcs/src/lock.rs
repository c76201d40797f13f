//! Retention and holds of objects: those of an original that are restored, and the retention of a repository.
//!
//! A repository is locked in the mode that nobody can lift (`Locked`): stolen credentials must not be able to, and neither must their owner.

use credenza_sdk::{AttributeValue, Attributes, ErrorClass, Result, Timestamp, percent, time};
use serde_json::{Map, Value, json};

use crate::attributes::text_of;
use crate::bucket::{Bucket, shown};
use crate::json;
use crate::listing::FEW_FIELDS;
use crate::wire::{Endpoint, Wire};

const LOCKED: &str = "Locked";
const RETENTION: &str = "retention";
const MODE: &str = "gcs.retention-mode";
const UNTIL: &str = "gcs.retain-until";
/// Holds by field and attribute.
const HOLDS: [(&str, &str); 2] = [("temporaryHold", "gcs.temporary-hold"), ("eventBasedHold", "gcs.event-based-hold")];
/// The value of a hold that is there.
const HELD: &str = "true";

/// What protects an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Locks {
    /// Mode and end, as the service writes them.
    retention: Option<(String, String)>,
    /// Fields.
    holds: Vec<&'static str>,
}

impl Locks {
    /// Those of an object as a document describes it.
    pub(crate) fn of_resource(resource: &Value) -> Self {
        let retention = resource.get(RETENTION).and_then(|retention| {
            Some((json::text(retention, "mode")?.to_owned(), json::text(retention, "retainUntilTime")?.to_owned()))
        });
        let holds = HOLDS.into_iter().map(|(field, _)| field).filter(|field| json::is_true(resource, field)).collect();
        Self { retention, holds }
    }

    /// Those among attributes that still hold.
    pub(crate) fn of(attributes: &Attributes, now_seconds: i64) -> Self {
        let retention = text_of(attributes, MODE)
            .zip(text_of(attributes, UNTIL))
            .filter(|(_, until)| time::parse_iso(until).is_some_and(|until| until.seconds > now_seconds));
        let held = |(field, name)| (text_of(attributes, name) == Some(HELD)).then_some(field);
        Self {
            retention: retention.map(|(mode, until)| (mode.to_owned(), until.to_owned())),
            holds: HOLDS.into_iter().filter_map(held).collect(),
        }
    }

    /// Whether an attribute is one of them.
    pub(crate) fn has(name: &str) -> bool {
        name == MODE || name == UNTIL || HOLDS.iter().any(|(_, hold)| *hold == name)
    }

    pub(crate) fn attributes(&self) -> Attributes {
        let retention = self.retention.iter().flat_map(|(mode, until)| [(MODE, mode.as_str()), (UNTIL, until)]);
        let holds = HOLDS.into_iter().filter(|(field, _)| self.holds.contains(field)).map(|(_, name)| (name, HELD));
        let all = retention.chain(holds);
        all.map(|(name, text)| (name.to_owned(), AttributeValue::Text(text.to_owned()))).collect()
    }

    /// The fields of an object that is written with them.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let mut fields: Map<String, Value> =
            self.holds.iter().map(|field| ((*field).to_owned(), Value::Bool(true))).collect();
        if let Some((mode, until)) = &self.retention {
            fields.insert(RETENTION.to_owned(), json!({ "mode": mode, "retainUntilTime": until }));
        }
        fields
    }

    /// The names of those that an object has not got, as a document describes it.
    pub(crate) fn lacking(&self, resource: &Value) -> Vec<String> {
        let made = Self::of_resource(resource);
        let end = |locks: &Self| {
            locks.retention.as_ref().and_then(|(mode, until)| Some((mode.clone(), time::parse_iso(until)?)))
        };
        let is_retained = self.retention.is_none() || end(self) == end(&made);
        let retention = [MODE, UNTIL].into_iter().filter(|_| !is_retained);
        let holds = HOLDS.into_iter().filter(|(field, _)| self.holds.contains(field) && !made.holds.contains(field));
        retention.chain(holds.map(|(_, name)| name)).map(str::to_owned).collect()
    }
}

/// The fields of an object that nobody can destroy until then.
pub(crate) fn until(end: Timestamp) -> Map<String, Value> {
    Locks { retention: Some((LOCKED.to_owned(), time::format_iso(end))), holds: vec![] }.fields()
}

/// Until when nobody can destroy an object; a retention that can be lifted is none.
pub(crate) fn locked_until(resource: &Value) -> Option<Timestamp> {
    let (mode, until) = Locks::of_resource(resource).retention?;
    time::parse_iso(&until).filter(|_| mode == LOCKED)
}

impl<W: Wire> Bucket<W> {
    /// Extends the retention of an object, or of one generation of it.
    ///
    /// # Errors
    /// `not-found` when there is none; `unsupported` when the bucket keeps no retention; else the cause.
    pub(crate) fn extend_lock(&self, key: &str, generation: Option<&str>, end: Timestamp) -> Result<()> {
        let action = format!("locking {}", shown(key.as_bytes()));
        if self.place.as_of().is_some() {
            return Err(self.of_the_past(&action));
        }
        let mut pairs = vec![("fields", Some(FEW_FIELDS.as_bytes()))];
        pairs.extend(generation.map(|generation| ("generation", Some(generation.as_bytes()))));
        let target = self.place.object(key.as_bytes()) + &percent::query(&pairs);
        let document = Value::Object(until(end)).to_string();
        let asked = Endpoint::Objects.request("PATCH", target.clone()).with_header("content-type", "application/json");
        match self.ask(asked, Some(self.wire.body_of(document.into_bytes())), &action) {
            // One that ends later may not be shortened, and that is refused in several ways.
            Err(refused)
                if !matches!(
                    refused.class,
                    ErrorClass::NotFound | ErrorClass::Transient | ErrorClass::Configuration
                ) =>
            {
                let found = self.ask_for_document(Endpoint::Objects.request("GET", target), &action);
                let lasts =
                    found.is_ok_and(|found| locked_until(&found).is_some_and(|there| there.seconds >= end.seconds));
                if lasts { Ok(()) } else { Err(refused) }
            }
            other => other.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_protects_an_object_comes_back_until_it_has_run_out() {
        let resource = json!({
            "temporaryHold": true, "eventBasedHold": false,
            "retention": {"mode": "Unlocked", "retainUntilTime": "2030-01-01T00:00:00.500Z"},
        });
        let locks = Locks::of_resource(&resource);
        let attributes = locks.attributes();
        assert_eq!(attributes.len(), 3);
        assert!(attributes.iter().all(|(name, _)| Locks::has(name)));
        let back = Locks::of(&attributes, 0);
        assert_eq!(back, locks);
        assert!(back.lacking(&resource).is_empty());
        assert_eq!(back.lacking(&json!({})), [MODE, UNTIL, "gcs.temporary-hold"]);
        let later = Locks::of(&attributes, i64::MAX);
        assert_eq!(Value::Object(later.fields()), json!({"temporaryHold": true}));
    }

    #[test]
    fn only_what_nobody_can_lift_locks_a_repository() {
        let end = Timestamp { seconds: 1_893_456_000, nanoseconds: 0 };
        assert_eq!(locked_until(&Value::Object(until(end))), Some(end));
        let unlocked = json!({"retention": {"mode": "Unlocked", "retainUntilTime": "2030-01-01T00:00:00Z"}});
        assert_eq!(locked_until(&unlocked), None);
        assert_eq!(locked_until(&json!({"retention": {"mode": "Locked"}})), None);
    }
}
