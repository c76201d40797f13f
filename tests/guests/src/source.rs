//! A source that lies about what it holds.

use credenza_sdk::{
    AttributeValue, Attributes, Batch, Body, ByteRange, Check, Content, Entry, EntryKind, Error, ErrorClass, Found,
    Opened, Result, ScanOptions, Scanner, Source, SourceInfo, task,
};

use crate::{Hostile, requests, resources};

const CONTENT: &[u8] = b"content";

impl Source for Hostile {
    fn info(&self) -> Result<SourceInfo> {
        let traits = vec!["ordered-scan".to_owned(), "ranged-read".to_owned(), "fingerprints".to_owned()];
        Ok(SourceInfo { identity: "hostile://source".to_owned(), namespace: "flat".to_owned(), traits })
    }

    fn check(&self) -> Vec<Check> {
        resources::take(&self.behaviour);
        let outcome = match self.behaviour.as_str() {
            "leaks-secret" => requests::echoed(),
            behaviour => requests::escape(behaviour).map(|()| "nothing tried".to_owned()),
        };
        vec![Check { name: "misbehave".to_owned(), outcome }]
    }

    fn scan(&self, _options: ScanOptions) -> Result<Box<dyn Scanner>> {
        task::status("telling what there is");
        resources::take(&self.behaviour);
        requests::escape(&self.behaviour)?;
        // Backwards the host does not know it again.
        let pin: String = self.pin.chars().rev().collect();
        match self.behaviour.as_str() {
            "tells-a-pin" => return Err(Error::new(ErrorClass::Denied, "hostile.pin", format!("{pin} was refused"))),
            "logs-a-pin" => task::status(&format!("logging in with {pin}")),
            _ => {}
        }
        Ok(Box::new(Listing { behaviour: self.behaviour.clone(), pin, reported: 0 }))
    }

    fn read(&self, entry: Entry, _range: Option<ByteRange>, _if_match: Option<String>) -> Result<Opened> {
        resources::take(&self.behaviour);
        requests::escape(&self.behaviour)?;
        if self.behaviour == "leaks-secret" {
            return Err(Error::new(ErrorClass::Internal, "hostile.leak", requests::echoed()?));
        }
        Ok(Opened { entry, content: Content::Ready(Body::from_bytes(CONTENT)) })
    }

    fn describe(&self, entries: Vec<Entry>) -> Result<Vec<Result<Attributes>>> {
        let count = if self.behaviour == "wrong-count" { entries.len() + 1 } else { entries.len() };
        Ok((0..count).map(|_| Ok(Vec::new())).collect())
    }
}

/// A listing of three entries that misbehaves.
struct Listing {
    behaviour: String,
    pin: String,
    reported: u64,
}

impl Scanner for Listing {
    fn next(&mut self, max: u32) -> Result<Batch> {
        let page = match self.behaviour.as_str() {
            "idle-listing" => Vec::new(),
            "endless-listing" => vec![entry(format!("{:020}", self.reported))],
            _ if self.reported > 0 => return Ok(Batch { found: Vec::new(), more: false }),
            "disordered-keys" => ["b", "a", "c"].map(entry).to_vec(),
            "repeated-keys" => ["a", "a", "b"].map(entry).to_vec(),
            "climbing-names" => ["../escaped", "/absolute", "a/../../b", "c\0d"].map(entry).to_vec(),
            "terminal-names" => vec![entry("\u{1b}[2Jgone\u{7}\r")],
            "huge-list" => (0..u64::from(max) * 4 + 100_000).map(|n| entry(format!("{n:0200}"))).collect(),
            "lists-a-pin" => vec![entry(format!("of/{}/a", self.pin))],
            "lying-size" => vec![Entry { size: Some(1_000_000), ..entry("a") }],
            "duplicate-attributes" => vec![Entry { attributes: twice(), ..entry("a") }],
            _ => ["a", "b", "c"].map(entry).to_vec(),
        };
        self.reported += 1;
        Ok(Batch { found: page.into_iter().map(Found::Entry).collect(), more: true })
    }
}

fn twice() -> Attributes {
    vec![("user.a".to_owned(), AttributeValue::Integer(1)), ("user.a".to_owned(), AttributeValue::Integer(2))]
}

fn entry(key: impl Into<String>) -> Entry {
    Entry {
        size: Some(CONTENT.len() as u64),
        fingerprint: Some("1".to_owned()),
        ..Entry::new(key.into(), EntryKind::File)
    }
}
