//! Pages of List Blobs: asking for one and reading it.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/list-blobs>. A page goes on by a marker, which is opaque: a listing cannot begin behind a name.

use credenza_sdk::xml::Element;
use credenza_sdk::{Attributes, Checksum, Timestamp, etag, percent, time};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::attributes;

/// Most blobs of a page: the service gives 5,000, which with 8 KiB of metadata each would be too much to hold.
pub(crate) const PAGE_BLOBS_MAX: u32 = 1000;
/// Longest page that is read: 1,000 blobs with names of 1,024 characters, 8 KiB of metadata, and room for their properties.
pub(crate) const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Question {
    /// First bytes of the names.
    pub(crate) prefix: Vec<u8>,
    /// Whether what lies below the next `/` is folded.
    pub(crate) one_level: bool,
    /// Whether metadata comes along, with the case of its names.
    pub(crate) metadata: bool,
    /// Whether versions and snapshots are listed.
    pub(crate) versions: bool,
    /// Blobs of a page.
    pub(crate) page_blobs: u32,
}

/// One page.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Page {
    pub(crate) blobs: Vec<Listed>,
    /// Folded prefixes.
    pub(crate) folders: Vec<Vec<u8>>,
    /// The marker of the next page.
    pub(crate) next: Option<String>,
}

/// One blob, or one version or snapshot of it.
#[derive(Debug, Default, PartialEq, Clone)]
pub(crate) struct Listed {
    pub(crate) name: Vec<u8>,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<Timestamp>,
    /// Without quotes.
    pub(crate) etag: Option<String>,
    pub(crate) checksums: Vec<Checksum>,
    pub(crate) attributes: Attributes,
    pub(crate) edition: Edition,
}

/// Which of the contents of a name it is.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) enum Edition {
    /// What a plain read returns, in an account without versions.
    #[default]
    Blob,
    Version {
        id: String,
        current: bool,
    },
    Snapshot(String),
}

/// Why a document is no page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PageError {
    /// The root is another element.
    WrongRoot(String),
    /// It does not say whether it goes on.
    NoEnd,
    /// A blob without a name, or a name that is broken.
    NoName,
    /// A blob without something that every listing tells.
    Lacks { name: Vec<u8>, field: &'static str },
}

impl Question {
    /// The query of the request for a page.
    pub(crate) fn target(&self, marker: Option<&str>) -> String {
        let count = self.page_blobs.clamp(1, PAGE_BLOBS_MAX).to_string();
        let mut pairs =
            vec![("restype", Some(&b"container"[..])), ("comp", Some(b"list")), ("maxresults", Some(count.as_bytes()))];
        let include = match (self.metadata, self.versions) {
            (_, true) => Some(&b"metadata,snapshots,versions"[..]),
            (true, false) => Some(&b"metadata"[..]),
            (false, false) => None,
        };
        pairs.extend(include.map(|include| ("include", Some(include))));
        if !self.prefix.is_empty() {
            pairs.push(("prefix", Some(&self.prefix)));
        }
        if self.one_level {
            pairs.push(("delimiter", Some(b"/")));
        }
        pairs.extend(marker.map(|marker| ("marker", Some(marker.as_bytes()))));
        percent::query(&pairs)
    }

    /// Reads a page.
    ///
    /// # Errors
    /// What it is instead, or lacks.
    pub(crate) fn read_page(&self, root: &Element) -> Result<Page, PageError> {
        if root.name != "EnumerationResults" {
            return Err(PageError::WrongRoot(root.name.chars().take(40).collect()));
        }
        let mut page = Page::default();
        for element in root.child("Blobs").into_iter().flat_map(|blobs| &blobs.children) {
            match element.name.as_str() {
                "Blob" => page.blobs.push(listed(element)?),
                "BlobPrefix" => page.folders.push(name_of(element)?),
                _ => {}
            }
        }
        // The last page says so by an empty one.
        let next = root.text_of("NextMarker").ok_or(PageError::NoEnd)?;
        page.next = Some(next.trim().to_owned()).filter(|marker| !marker.is_empty());
        Ok(page)
    }
}

fn name_of(element: &Element) -> Result<Vec<u8>, PageError> {
    let name = element.child("Name").filter(|name| !name.text.is_empty()).ok_or(PageError::NoName)?;
    // What XML cannot hold is percent-encoded, and marked as such.
    let is_encoded = name.attribute("Encoded").is_some_and(|encoded| encoded.eq_ignore_ascii_case("true"));
    Ok(if is_encoded { percent::decode(name.text.as_bytes()) } else { name.text.clone().into_bytes() })
}

fn listed(element: &Element) -> Result<Listed, PageError> {
    let name = name_of(element)?;
    let nothing = Element::default();
    let properties = element.child("Properties").unwrap_or(&nothing);
    let own = |field: &str| element.text_of(field).map(str::trim).filter(|text| !text.is_empty());
    let property = |field: &str| properties.text_of(field).map(str::trim).filter(|text| !text.is_empty());
    let lacks = |field| PageError::Lacks { name: name.clone(), field };
    let size = property("Content-Length").and_then(|size| size.parse().ok()).ok_or_else(|| lacks("Content-Length"))?;
    let modified = property("Last-Modified").and_then(time::parse_http).ok_or_else(|| lacks("Last-Modified"))?;
    let is_current = own("IsCurrentVersion").is_some_and(|current| current.eq_ignore_ascii_case("true"));
    let edition = match (own("Snapshot"), own("VersionId")) {
        (Some(id), _) => Edition::Snapshot(id.to_owned()),
        (None, Some(id)) => Edition::Version { id: id.to_owned(), current: is_current },
        (None, None) => Edition::Blob,
    };
    let mut attributes = attributes::of_properties(&property);
    for pair in element.child("Metadata").into_iter().flat_map(|metadata| &metadata.children) {
        attributes::set_metadata(&mut attributes, &pair.name, &pair.text);
    }
    let md5 = property("Content-MD5").and_then(|text| BASE64.decode(text).ok()).filter(|digest| digest.len() == 16);
    Ok(Listed {
        name,
        size: Some(size),
        modified: Some(modified),
        etag: property("Etag").and_then(etag::bare),
        checksums: md5.map(|value| Checksum { algorithm: "md5".to_owned(), value }).into_iter().collect(),
        attributes,
        edition,
    })
}

#[cfg(test)]
mod tests {
    use credenza_sdk::AttributeValue;
    use proptest::prelude::*;

    use super::*;

    const PROPERTIES: &str = "<Content-Length>3</Content-Length><Last-Modified>Mon, 01 Jan 2024 00:00:05 GMT</Last-Modified><Etag>0x8D</Etag>";

    fn text_of<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
        attributes.iter().find_map(|(present, value)| match value {
            AttributeValue::Text(text) if present == name => Some(text.as_str()),
            _ => None,
        })
    }

    fn read(inner: &str) -> Result<Page, PageError> {
        let document = format!("<EnumerationResults>{inner}</EnumerationResults>");
        Question::default().read_page(&Element::parse(document.as_bytes()).unwrap())
    }

    fn blob(inner: &str) -> String {
        format!("<Blob>{inner}<Properties>{PROPERTIES}</Properties></Blob>")
    }

    #[test]
    fn a_page_is_asked_for_with_everything_encoded() {
        let question = Question { prefix: b"a b/".to_vec(), one_level: true, page_blobs: 9999, ..Question::default() };
        assert_eq!(
            question.target(Some("2!92!M/+=")),
            "?restype=container&comp=list&maxresults=1000&prefix=a%20b%2F&delimiter=%2F&marker=2%2192%21M%2F%2B%3D"
        );
        let all = Question { versions: true, page_blobs: 1, ..Question::default() };
        assert!(all.target(None).ends_with("&maxresults=1&include=metadata%2Csnapshots%2Cversions"));
    }

    #[test]
    fn a_name_that_xml_cannot_hold_is_decoded_and_no_other() {
        let blobs = blob("<Name Encoded=\"true\">a%EF%BF%BE+b</Name>") + &blob("<Name>a%20b</Name>");
        let folder = "<BlobPrefix><Name Encoded=\"true\">%EF%BF%BF/</Name></BlobPrefix>";
        let page = read(&format!("<Blobs>{blobs}{folder}</Blobs><NextMarker/>")).unwrap();
        assert_eq!(page.blobs[0].name, "a\u{fffe}+b".as_bytes());
        assert_eq!(page.blobs[1].name, b"a%20b");
        assert_eq!(page.folders, ["\u{ffff}/".as_bytes()]);
        assert_eq!((page.blobs[0].size, page.blobs[0].etag.as_deref(), page.next), (Some(3), Some("0x8D"), None));
    }

    #[test]
    fn metadata_keeps_the_case_of_its_names() {
        let metadata = "<Metadata><Colour>gr\u{fc}n</Colour><credenza_2dkind>tfile</credenza_2dkind></Metadata>";
        let page =
            read(&format!("<Blobs>{}</Blobs><NextMarker/>", blob(&format!("<Name>k</Name>{metadata}")))).unwrap();
        let attributes = &page.blobs[0].attributes;
        assert_eq!(text_of(attributes, "user.Colour"), Some("gr\u{fc}n"));
        assert_eq!(text_of(attributes, "tree.kind"), Some("file"));
    }

    #[test]
    fn versions_and_snapshots_are_told_apart() {
        let version = "<Name>k</Name><VersionId>2024-01-01T00:00:00.0000000Z</VersionId>";
        let blobs = [
            blob("<Name>k</Name><Snapshot>2024-01-01T00:00:00.0000000Z</Snapshot>"),
            blob(version),
            blob(&format!("{version}<IsCurrentVersion>true</IsCurrentVersion>")),
            blob("<Name>l</Name>"),
        ];
        let page = read(&format!("<Blobs>{}</Blobs><NextMarker>m</NextMarker>", blobs.concat())).unwrap();
        let id = "2024-01-01T00:00:00.0000000Z".to_owned();
        let editions: Vec<Edition> = page.blobs.into_iter().map(|listed| listed.edition).collect();
        let of = |current| Edition::Version { id: id.clone(), current };
        assert_eq!(editions, [Edition::Snapshot(id.clone()), of(false), of(true), Edition::Blob]);
        assert_eq!(page.next.as_deref(), Some("m"));
    }

    #[test]
    fn another_document_is_no_page_and_a_page_says_whether_it_goes_on() {
        let other = Element::parse(b"<html/>").unwrap();
        assert_eq!(Question::default().read_page(&other), Err(PageError::WrongRoot("html".to_owned())));
        assert_eq!(read("<Blobs/>"), Err(PageError::NoEnd));
        assert_eq!(read("<Blobs><Blob/></Blobs><NextMarker/>"), Err(PageError::NoName));
        let bare = "<Blobs><Blob><Name>k</Name></Blob></Blobs><NextMarker/>";
        assert_eq!(read(bare), Err(PageError::Lacks { name: b"k".to_vec(), field: "Content-Length" }));
    }

    proptest! {
        #[test]
        fn any_document_is_taken(inner in "(<(Blobs|Blob|Name|Properties|Etag|Metadata|NextMarker)/?>|</(Blobs|Blob|Name|Properties)>|[a-z%&;]{0,5})*") {
            if let Some(root) = Element::parse(format!("<EnumerationResults>{inner}</EnumerationResults>").as_bytes()) {
                let _ = Question::default().read_page(&root);
            }
        }
    }
}
