//! Pages of `objects.list`: asking for one and reading it (<https://cloud.google.com/storage/docs/json_api/v1/objects/list>).
//!
//! Names come in the byte order of UTF-8, and generations of a name from the oldest to the newest.

use std::fmt;

use credenza_sdk::{Timestamp, percent};
use serde_json::Value;

use crate::json;

/// Most objects of a page; more is never given.
const PAGE_OBJECTS_MAX: u32 = 1000;
/// Longest page that is read: 1,000 objects with the longest names and 8 KiB of metadata each, and room for their other fields.
pub(crate) const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Fields of an object that a backup keeps.
pub(crate) const ALL_FIELDS: &str = "name,generation,size,timeCreated,timeDeleted,md5Hash,crc32c,contentType,contentEncoding,contentLanguage,contentDisposition,cacheControl,customTime,storageClass,kmsKeyName,temporaryHold,eventBasedHold,retention,metadata";
/// Fields of an object that a repository asks for.
pub(crate) const FEW_FIELDS: &str = "name,generation,size,timeCreated,timeDeleted,retention";

/// What is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// First bytes of the names.
    pub(crate) prefix: Vec<u8>,
    /// Only names after this one.
    pub(crate) start_after: Option<Vec<u8>>,
    /// Whether what lies below the next `/` is folded.
    pub(crate) one_level: bool,
    /// Whether generations are listed that are not live.
    pub(crate) versions: bool,
    /// Most objects of a page.
    pub(crate) objects: u32,
    /// What is reported an object.
    pub(crate) fields: &'static str,
}

/// One page.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    /// Folded prefixes.
    pub(crate) folders: Vec<Vec<u8>>,
    /// The token of the next one.
    pub(crate) next: Option<String>,
}

/// One generation of an object, as a listing describes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    /// In the bucket.
    pub(crate) name: Vec<u8>,
    pub(crate) generation: String,
    pub(crate) size: u64,
    pub(crate) created: Option<Timestamp>,
    /// When it ceased to be live; none of one that is.
    pub(crate) deleted: Option<Timestamp>,
    /// All that was reported.
    pub(crate) resource: Value,
}

/// Why a document is no page, as the object of a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PageError {
    NoListing,
    Lacks(&'static str),
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoListing => f.write_str("something else than a listing"),
            Self::Lacks(field) => write!(f, "a listing with an object that has no `{field}`"),
        }
    }
}

impl Default for Question {
    fn default() -> Self {
        Self {
            prefix: Vec::new(),
            start_after: None,
            one_level: false,
            versions: false,
            objects: PAGE_OBJECTS_MAX,
            fields: FEW_FIELDS,
        }
    }
}

impl Question {
    pub(crate) fn page_objects(&self) -> u32 {
        self.objects.clamp(1, PAGE_OBJECTS_MAX)
    }

    /// The query of the request for a page of so many objects.
    pub(crate) fn target(&self, token: Option<&str>, objects: u32) -> String {
        let fields = format!("kind,nextPageToken,prefixes,items({})", self.fields);
        let objects = objects.to_string();
        let mut pairs = vec![("fields", Some(fields.as_bytes())), ("maxResults", Some(objects.as_bytes()))];
        let prefix = text_in(&self.prefix);
        if !prefix.is_empty() {
            pairs.push(("prefix", Some(prefix)));
        }
        if self.one_level {
            pairs.push(("delimiter", Some(b"/")));
        }
        if self.versions {
            pairs.push(("versions", Some(b"true")));
        }
        // The name itself is reported too, and passed over.
        if let Some(after) = self.start_after.as_deref().map(text_in).filter(|after| !after.is_empty()) {
            pairs.push(("startOffset", Some(after)));
        }
        if let Some(token) = token {
            pairs.push(("pageToken", Some(token.as_bytes())));
        }
        percent::query(&pairs)
    }

    /// Whether a name or folder was asked for.
    pub(crate) fn wants(&self, name: &[u8]) -> bool {
        name.starts_with(&self.prefix) && self.start_after.as_deref().is_none_or(|after| name > after)
    }

    /// Reads a page.
    pub(crate) fn read_page(&self, mut document: Value) -> Result<Page, PageError> {
        if json::text(&document, "kind") != Some("storage#objects") {
            return Err(PageError::NoListing);
        }
        let next = json::text(&document, "nextPageToken").map(str::to_owned);
        let folders = json::list(&document, "prefixes").iter().filter_map(Value::as_str);
        let folders = folders.map(|folder| folder.as_bytes().to_vec()).collect();
        let items = document.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        let objects = items.into_iter().map(Listed::of).collect::<Result<_, _>>()?;
        Ok(Page { objects, folders, next })
    }
}

impl Listed {
    /// An object as a document describes it.
    ///
    /// # Errors
    /// [`PageError::Lacks`] names what every object has.
    pub(crate) fn of(resource: Value) -> Result<Self, PageError> {
        let name = json::text(&resource, "name").ok_or(PageError::Lacks("name"))?.as_bytes().to_vec();
        let generation = json::id(&resource, "generation").ok_or(PageError::Lacks("generation"))?;
        let size = json::number(&resource, "size").ok_or(PageError::Lacks("size"))?;
        let (created, deleted) = (json::instant(&resource, "timeCreated"), json::instant(&resource, "timeDeleted"));
        Ok(Self { name, generation, size, created, deleted, resource })
    }
}

/// The text that bytes begin with: names are UTF-8, and a question may end within a character. More is reported then than was asked for, and passed over.
fn text_in(bytes: &[u8]) -> &[u8] {
    let end = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    bytes.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(document: &str) -> Result<Page, PageError> {
        Question::default().read_page(serde_json::from_str(document).unwrap())
    }

    #[test]
    fn a_page_is_asked_for_with_everything_encoded() {
        let question = Question {
            prefix: b"a b/".to_vec(),
            start_after: Some(b"a b/\xc3".to_vec()),
            one_level: true,
            versions: true,
            fields: "name",
            ..Question::default()
        };
        assert_eq!(
            question.target(Some("t+/="), 7),
            "?fields=kind%2CnextPageToken%2Cprefixes%2Citems%28name%29&maxResults=7&prefix=a%20b%2F&delimiter=%2F&versions=true&startOffset=a%20b%2F&pageToken=t%2B%2F%3D"
        );
    }

    #[test]
    fn what_lies_before_the_place_to_begin_at_was_not_asked_for() {
        let question = Question { prefix: b"p/".to_vec(), start_after: Some(b"p/b".to_vec()), ..Question::default() };
        let wanted = [&b"p/b"[..], b"p/a", b"q", b"p/b\0", b"p/c"].map(|name| question.wants(name));
        assert_eq!(wanted, [false, false, false, true, true]);
    }

    #[test]
    fn a_page_says_what_it_is_and_where_it_goes_on() {
        let page = read(
            r#"{"kind": "storage#objects", "nextPageToken": "t", "prefixes": ["a/"],
                "items": [{"name": "k", "generation": "5", "size": "3", "timeCreated": "2024-01-01T00:00:00.5Z"}]}"#,
        )
        .unwrap();
        assert_eq!((page.next.as_deref(), page.folders.as_slice()), (Some("t"), &[b"a/".to_vec()][..]));
        let [object] = page.objects.as_slice() else { panic!("{page:?}") };
        assert_eq!((object.generation.as_str(), object.size, object.deleted), ("5", 3, None));
        assert_eq!(read(r#"{"kind": "storage#objects"}"#), Ok(Page::default()));
        assert_eq!(read(r#"{"kind": "storage#buckets", "items": []}"#), Err(PageError::NoListing));
        assert_eq!(read("{}"), Err(PageError::NoListing));
    }

    #[test]
    fn an_object_without_what_every_object_has_is_no_object() {
        for (field, item) in [
            ("name", r#"{"generation": "5", "size": "3"}"#),
            ("generation", r#"{"name": "k", "size": "3"}"#),
            ("size", r#"{"name": "k", "generation": "5", "size": "x"}"#),
        ] {
            let document = format!(r#"{{"kind": "storage#objects", "items": [{item}]}}"#);
            assert_eq!(read(&document), Err(PageError::Lacks(field)));
        }
    }

    proptest! {
        #[test]
        fn any_document_is_taken(text in "[\\[\\]{}:,\"a-z0-9#]{0,60}", name in any::<String>()) {
            let item = serde_json::json!({"name": name, "generation": text, "size": text});
            let page = serde_json::json!({"kind": "storage#objects", "items": [item, text], "nextPageToken": 5});
            let _ = Question::default().read_page(page);
            if let Ok(document) = serde_json::from_str(&text) {
                let _ = Question::default().read_page(document);
            }
        }
    }
}
