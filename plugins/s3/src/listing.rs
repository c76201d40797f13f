//! Pages of ListObjectsV2 and ListObjectVersions: asking for one and reading it.

use std::cmp::Reverse;

use credenza_sdk::Timestamp;

use credenza_sdk::xml::Element;
use credenza_sdk::{etag, percent, time};

/// Most objects of a page; more is never given (ListObjectsV2, `max-keys`).
pub(crate) const PAGE_OBJECTS_MAX: u32 = 1000;
/// Longest page that is read: 1,000 objects with keys of 1,024 bytes, each byte escaped, and room for their other fields.
pub(crate) const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Question {
    /// First bytes of the keys.
    pub(crate) prefix: Vec<u8>,
    /// Only keys after this one; counts for the first page.
    pub(crate) start_after: Option<Vec<u8>>,
    /// Whether what lies below the next `/` is folded.
    pub(crate) one_level: bool,
    /// Whether all versions are listed.
    pub(crate) versions: bool,
    /// Objects of a page.
    pub(crate) page_objects: u32,
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// A continuation token, opaque.
    Token(String),
    /// A key, and in a listing of versions a version of it: behind them.
    After { key: Vec<u8>, version: Option<String> },
}

/// One page.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    /// Folded prefixes.
    pub(crate) folders: Vec<Vec<u8>>,
    pub(crate) next: Option<Cursor>,
}

/// One object, or one version of it, as a listing describes it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Listed {
    /// The key in the bucket.
    pub(crate) key: Vec<u8>,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<Timestamp>,
    /// Without quotes.
    pub(crate) etag: Option<String>,
    pub(crate) storage_class: Option<String>,
    /// Comma-separated, when there are several.
    pub(crate) checksum_algorithm: Option<String>,
    pub(crate) version: Option<ListedVersion>,
}

/// What a listing of versions adds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListedVersion {
    pub(crate) id: String,
    pub(crate) latest: bool,
    pub(crate) deleted: bool,
    /// It was chosen from the versions of its key as what was there at a time, and stands for the object.
    pub(crate) chosen: bool,
}

/// Why a document is no page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PageError {
    /// The root is another element.
    WrongRoot(String),
    /// It does not say whether it goes on.
    NoEnd,
    /// It goes on, but does not say where.
    NoCursor,
    /// It counts so many objects and folders, and tells fewer.
    Short { counted: u64, reported: usize },
    /// An object without a key.
    NoKey,
    /// An object without something that every listing tells.
    Lacks { key: Vec<u8>, field: &'static str },
}

impl Page {
    /// The last key that it tells, or folder.
    pub(crate) fn last_key(&self) -> Option<&[u8]> {
        let keys = self.objects.iter().map(|listed| &listed.key);
        keys.chain(&self.folders).max().map(Vec::as_slice)
    }

    /// Behind what it tells last: its last key, and of versions the oldest one of that key.
    fn behind(&self) -> Option<Cursor> {
        let key = self.last_key()?.to_vec();
        let version = self.version_of(&key);
        Some(Cursor::After { key, version })
    }

    /// The id of the last version that it tells of a key.
    fn version_of(&self, key: &[u8]) -> Option<String> {
        let last = self.objects.iter().rfind(|listed| listed.key == key)?;
        last.version.as_ref().map(|version| version.id.clone())
    }

    /// The same page, not as the last one: more is to be asked for behind it. `None` if it tells nothing.
    pub(crate) fn continued(self) -> Option<Self> {
        let next = self.behind()?;
        Some(Self { next: Some(next), ..self })
    }
}

impl Question {
    /// The query of the request for a page.
    pub(crate) fn target(&self, cursor: Option<&Cursor>) -> String {
        let count = self.page_objects.clamp(1, PAGE_OBJECTS_MAX).to_string();
        let kind = if self.versions { ("versions", None) } else { ("list-type", Some(&b"2"[..])) };
        let mut pairs = vec![kind, ("encoding-type", Some(b"url")), ("max-keys", Some(count.as_bytes()))];
        if !self.prefix.is_empty() {
            pairs.push(("prefix", Some(&self.prefix)));
        }
        if self.one_level {
            pairs.push(("delimiter", Some(b"/")));
        }
        match (cursor, &self.start_after) {
            (Some(Cursor::Token(token)), _) => pairs.push(("continuation-token", Some(token.as_bytes()))),
            (Some(Cursor::After { key, version }), _) if self.versions => {
                pairs.push(("key-marker", Some(key)));
                pairs.extend(version.iter().map(|id| ("version-id-marker", Some(id.as_bytes()))));
            }
            // A server that knows only the first version of this request takes `marker`; others pass over it.
            (Some(Cursor::After { key, .. }), _) => {
                pairs.extend([("start-after", Some(&**key)), ("marker", Some(key))])
            }
            (None, Some(key)) => pairs.push((if self.versions { "key-marker" } else { "start-after" }, Some(key))),
            (None, None) => {}
        }
        percent::query(&pairs)
    }

    /// Whether a key or folder was asked for: some servers tell others too.
    pub(crate) fn wants(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix) && self.start_after.as_deref().is_none_or(|after| key > after)
    }

    /// Demands that a page tells no key from before the one after which it is to begin: a server that does ignores that, or lists in
    /// another order. Folders may begin before it and lie behind.
    ///
    /// # Errors
    /// With the first such key.
    pub(crate) fn demand_start(&self, page: &Page) -> Result<(), Vec<u8>> {
        let Some(after) = self.start_after.as_ref().filter(|_| !self.one_level) else { return Ok(()) };
        match page.objects.iter().find(|listed| listed.key < *after) {
            Some(early) => Err(early.key.clone()),
            None => Ok(()),
        }
    }

    /// The element that the document must be.
    pub(crate) fn root(&self) -> &'static str {
        if self.versions { "ListVersionsResult" } else { "ListBucketResult" }
    }

    /// Reads a page.
    pub(crate) fn read_page(&self, root: &Element) -> Result<Page, PageError> {
        if root.name != self.root() {
            return Err(PageError::WrongRoot(root.name.chars().take(40).collect()));
        }
        // Names are decoded only when the server says that it encoded them: some ignore the wish.
        let encoded = root.text_of("EncodingType").is_some_and(|e| e.eq_ignore_ascii_case("url"));
        let name = |text: &str| if encoded { percent::decode_form(text.as_bytes()) } else { text.as_bytes().to_vec() };
        let mut page = Page::default();
        for element in &root.children {
            match element.name.as_str() {
                "Contents" if !self.versions => page.objects.push(listed(element, &name)?),
                "Version" | "DeleteMarker" if self.versions => page.objects.push(listed_version(element, &name)?),
                "CommonPrefixes" => page.folders.extend(element.all("Prefix").map(|p| name(&p.text))),
                _ => {}
            }
        }
        if self.versions {
            newest_first(&mut page.objects);
        }
        page.whole(root)?;
        page.next = self.next(root, &page, &name)?;
        Ok(page)
    }

    fn next(&self, root: &Element, page: &Page, name: &dyn Fn(&str) -> Vec<u8>) -> Result<Option<Cursor>, PageError> {
        match root.text_of("IsTruncated").map(str::trim) {
            Some("true" | "True") => {}
            Some("false" | "False") => return Ok(None),
            _ => return Err(PageError::NoEnd),
        }
        let text = |element| root.text_of(element).filter(|text| !text.is_empty());
        let cursor = if self.versions {
            text("NextKeyMarker").map(name).map(|key| {
                // A page may end among the versions of a key: they are not to be passed over where the server leaves the id out.
                let version = text("NextVersionIdMarker").map(str::to_owned).or_else(|| page.version_of(&key));
                Cursor::After { key, version }
            })
        } else {
            let token = text("NextContinuationToken").map(|token| Cursor::Token(token.to_owned()));
            // Some servers give no token: behind a page that is in order, its last key tells as much.
            token.or_else(|| page.behind().filter(|_| page.objects.is_sorted_by(|a, b| a.key < b.key)))
        };
        cursor.map(Some).ok_or(PageError::NoCursor)
    }
}

impl Page {
    /// Demands that it tells as much as the server says that it counted. Some count without folders, and some do not say.
    fn whole(&self, root: &Element) -> Result<(), PageError> {
        let reported = self.objects.len().saturating_add(self.folders.len());
        let counted = root.text_of("KeyCount").and_then(|count| count.trim().parse().ok()).unwrap_or(0);
        if counted > reported as u64 { Err(PageError::Short { counted, reported }) } else { Ok(()) }
    }
}

fn listed(element: &Element, name: &dyn Fn(&str) -> Vec<u8>) -> Result<Listed, PageError> {
    let text = |child| element.text_of(child).map(str::trim).filter(|text| !text.is_empty());
    let algorithms: Vec<&str> = element.all("ChecksumAlgorithm").map(|a| a.text.trim()).collect();
    let key = element.text_of("Key").filter(|key| !key.is_empty()).map(name).ok_or(PageError::NoKey)?;
    let size = text("Size").and_then(|size| size.parse().ok());
    if size.is_none() && element.name != "DeleteMarker" {
        return Err(PageError::Lacks { key, field: "Size" });
    }
    Ok(Listed {
        key,
        size,
        modified: text("LastModified").and_then(time::parse_iso),
        etag: text("ETag").and_then(etag::bare),
        storage_class: text("StorageClass").map(str::to_owned),
        checksum_algorithm: (!algorithms.is_empty()).then(|| algorithms.join(",")),
        version: None,
    })
}

fn listed_version(element: &Element, name: &dyn Fn(&str) -> Vec<u8>) -> Result<Listed, PageError> {
    let listed = listed(element, name)?;
    let field = |field: &'static str| {
        let text = element.text_of(field).map(str::trim).filter(|text| !text.is_empty());
        text.ok_or_else(|| PageError::Lacks { key: listed.key.clone(), field })
    };
    let latest = field("IsLatest")?.eq_ignore_ascii_case("true");
    let version = ListedVersion {
        id: field("VersionId")?.to_owned(),
        latest,
        deleted: element.name == "DeleteMarker",
        chosen: false,
    };
    // What was there at a time cannot be reported without one.
    field("LastModified")?;
    Ok(Listed { version: Some(version), ..listed })
}

/// Versions of a key together, newest first: some servers list all delete markers after all versions.
fn newest_first(objects: &mut [Listed]) {
    let latest = |object: &Listed| object.version.as_ref().is_some_and(|version| version.latest);
    let time = |object: &Listed| object.modified.map(|time| (time.seconds, time.nanoseconds));
    objects.sort_by(|a, b| {
        (&a.key, Reverse(latest(a)), Reverse(time(a))).cmp(&(&b.key, Reverse(latest(b)), Reverse(time(b))))
    });
}

/// The ETag in a fingerprint.
pub(crate) fn etag_of(fingerprint: &str) -> Option<&str> {
    fingerprint.split(' ').next().filter(|etag| !etag.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const END: &str = "<IsTruncated>false</IsTruncated>";

    fn question() -> Question {
        Question { page_objects: 1000, ..Question::default() }
    }

    fn read(question: &Question, document: &str) -> Result<Page, PageError> {
        question.read_page(&Element::parse(document.as_bytes()).unwrap())
    }

    #[test]
    fn a_page_is_asked_for_with_everything_encoded() {
        let flat = Question {
            prefix: b"a b/".to_vec(),
            start_after: Some(b"a b/\xff".to_vec()),
            one_level: true,
            ..question()
        };
        assert_eq!(
            flat.target(None),
            "?list-type=2&encoding-type=url&max-keys=1000&prefix=a%20b%2F&delimiter=%2F&start-after=a%20b%2F%FF"
        );
        assert!(flat.target(Some(&Cursor::Token("t+/=".to_owned()))).ends_with("&continuation-token=t%2B%2F%3D"));
        let versions = Question { versions: true, ..question() };
        let cursor = Cursor::After { key: b"k".to_vec(), version: Some("v".to_owned()) };
        assert_eq!(
            versions.target(Some(&cursor)),
            "?versions&encoding-type=url&max-keys=1000&key-marker=k&version-id-marker=v"
        );
    }

    #[test]
    fn names_are_decoded_only_when_the_answer_says_so() {
        let contents = "<Contents><Key>a%2Fb+c</Key><Size>3</Size><ETag>&quot;e&quot;</ETag></Contents>";
        let plain = read(&question(), &format!("<ListBucketResult>{END}{contents}</ListBucketResult>")).unwrap();
        let url = format!("<ListBucketResult>{END}<EncodingType>url</EncodingType>{contents}</ListBucketResult>");
        let encoded = read(&question(), &url).unwrap();
        assert_eq!(plain.objects[0].key, b"a%2Fb+c");
        assert_eq!(encoded.objects[0].key, b"a/b c");
        assert_eq!((encoded.objects[0].size, encoded.objects[0].etag.as_deref()), (Some(3), Some("e")));
    }

    #[test]
    fn a_page_that_goes_on_must_say_where() {
        let open = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert_eq!(read(&question(), open), Err(PageError::NoCursor));
        for silent in ["<ListBucketResult/>", "<ListBucketResult><IsTruncated/></ListBucketResult>"] {
            assert_eq!(read(&question(), silent), Err(PageError::NoEnd));
        }
        let short = "<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>2</KeyCount><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>";
        assert_eq!(read(&question(), short), Err(PageError::Short { counted: 2, reported: 1 }));
        let ended = "<ListBucketResult><IsTruncated>false</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>";
        assert_eq!(read(&question(), ended).unwrap().next, None);
    }

    #[test]
    fn another_document_is_no_listing() {
        assert_eq!(
            read(&question(), "<ListAllMyBucketsResult/>"),
            Err(PageError::WrongRoot("ListAllMyBucketsResult".to_owned()))
        );
        let nameless = format!("<ListBucketResult>{END}<Contents/></ListBucketResult>");
        assert_eq!(read(&question(), &nameless), Err(PageError::NoKey));
    }

    #[test]
    fn versions_of_a_key_are_adjacent_and_newest_first() {
        let version = |key: &str, id: &str, latest: bool, day: u8| {
            format!(
                "<Version><Key>{key}</Key><Size>1</Size><VersionId>{id}</VersionId><IsLatest>{latest}</IsLatest><LastModified>2024-01-0{day}T00:00:00Z</LastModified></Version>"
            )
        };
        let marker = "<DeleteMarker><Key>a</Key><VersionId>d</VersionId><IsLatest>true</IsLatest><LastModified>2024-01-03T00:00:00Z</LastModified></DeleteMarker>";
        let document = format!(
            "<ListVersionsResult>{END}{}{}{}{marker}</ListVersionsResult>",
            version("a", "old", false, 1),
            version("a", "new", false, 2),
            version("b", "only", true, 1)
        );
        let page = read(&Question { versions: true, ..question() }, &document).unwrap();
        let ids: Vec<_> = page.objects.iter().map(|o| o.version.as_ref().unwrap().id.as_str()).collect();
        assert_eq!(ids, ["d", "new", "old", "only"]);
    }

    proptest! {
        #[test]
        fn reading_takes_any_fields(key in any::<String>(), size in any::<String>(), time in any::<String>(), versions in any::<bool>()) {
            let field = |name: &str, text: &str| format!("<{name}>{}</{name}>", credenza_sdk::xml::escape(text).replace("&#0;", ""));
            let object = [field("Key", &key), field("Size", &size), field("LastModified", &time)].concat();
            let document = format!(
                "<ListBucketResult><EncodingType>url</EncodingType><Contents>{object}</Contents><Version>{object}</Version></ListBucketResult>"
            );
            let root = Element::parse(document.as_bytes());
            if let Some(mut root) = root {
                let question = Question { versions, ..question() };
                root.name = question.root().to_owned();
                let _ = question.read_page(&root);
            }
        }
    }
}
