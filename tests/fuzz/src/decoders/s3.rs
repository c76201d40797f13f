//! Answers of S3: status, headers and documents, through the whole connector.

use std::rc::Rc;

use credenza_connector_s3::bucket::Bucket;
use credenza_connector_s3::wire::{Answer, Headers, Wire};
use credenza_sdk::http::Request;
use credenza_sdk::{ByteRange, Config, Entry, EntryKind, Result, ScanOptions, Scanner as _, Setting, Value};

/// Pages of a listing that are read: an answer that says that it goes on says so for ever.
const PAGES_MAX: usize = 3;

const LISTING: &str = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents><Key>a%2Fb</Key><LastModified>2026-11-25T01:02:03.456Z</LastModified><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>";
const VERSIONS: &str = "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker><Version><Key>a</Key><VersionId>1</VersionId><IsLatest>false</IsLatest><LastModified>2026-11-25T01:02:03.456Z</LastModified><Size>1</Size></Version><DeleteMarker><Key>a</Key><VersionId>2</VersionId><IsLatest>true</IsLatest><LastModified>2026-11-25T01:02:03.456Z</LastModified></DeleteMarker></ListVersionsResult>";
const REFUSAL: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
const HEADERS: &str = "content-length: 5\ncontent-range: bytes 1-5/10\netag: \"d41d8cd98f00b204e9800998ecf8427e-2\"\nlast-modified: Wed, 25 Nov 2026 01:02:03 GMT\nx-amz-checksum-crc32: AAAAAA==\nx-amz-meta-colour: green\nx-amz-version-id: 1\nretry-after: 5\nx-amz-object-lock-retain-until-date: 2026-11-25T01:02:03Z\n";

/// An answer: status in the first byte, headers as lines, an empty line, the body.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let answers = [(0, LISTING), (0, VERSIONS), (1, "hello"), (2, REFUSAL), (3, REFUSAL), (4, "")];
    answers.map(|(status, body)| [&[status], HEADERS.as_bytes(), b"\n", body.as_bytes()].concat()).to_vec()
}

/// A listing and a read that are answered so.
pub(crate) fn run(input: &[u8]) {
    let Some((&status, rest)) = input.split_first() else { return };
    let wire =
        CannedWire { status: [200, 206, 503, 400, 304, 404, 301, 500][usize::from(status % 8)], answer: rest.into() };
    for versions in [false, true] {
        let bucket = Bucket::new(&config(versions), wire.clone());
        let mut scan =
            bucket.scan(&ScanOptions { prefix: Vec::new(), start_after: None, one_level: versions, as_of: None });
        for _ in 0..PAGES_MAX {
            match scan.next(1000) {
                Ok(batch) if batch.more => {}
                _ => break,
            }
        }
        let _ = (bucket.now(), bucket.documents());
        let entry = Entry::new("a", EntryKind::File);
        let _ = bucket.describe(&[entry.clone()]);
        let _ = bucket.read(entry.clone(), None, None);
        let _ = bucket.read(entry, Some(ByteRange { offset: 1, length: Some(5) }), Some("etag"));
    }
}

fn config(versions: bool) -> Config {
    let setting = |name: &str, value| Setting { name: name.to_owned(), value };
    let settings = vec![
        setting("host", Value::Text("s3.example".to_owned())),
        setting("bucket", Value::Text("bucket".to_owned())),
        setting("versions", Value::Boolean(versions)),
    ];
    Config { settings, secrets_present: Vec::new(), purpose: "backup".to_owned() }
}

/// Answers every request with the same bytes.
#[derive(Clone)]
struct CannedWire {
    status: u16,
    answer: Rc<[u8]>,
}

impl CannedWire {
    /// Lines up to an empty one, and what follows it.
    fn parts(&self) -> (Headers, Vec<u8>) {
        let end = self.answer.windows(2).position(|pair| pair == b"\n\n").unwrap_or(self.answer.len());
        let (head, body) = self.answer.split_at(end);
        let text = String::from_utf8_lossy(head).into_owned();
        let header = |line: &str| line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
        (Headers(text.lines().filter_map(header).collect()), body.get(2..).unwrap_or_default().to_vec())
    }
}

impl Wire for CannedWire {
    type Body = Vec<u8>;

    fn send(&self, _: Request, _: Option<Vec<u8>>) -> Result<Answer<Vec<u8>>> {
        let (headers, body) = self.parts();
        Ok(Answer { status: self.status, headers, body })
    }

    fn now_seconds(&self) -> i64 {
        0
    }

    fn unique_word(&self) -> String {
        "word".to_owned()
    }

    fn body_of(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn read_up_to(&self, body: &Vec<u8>, bytes_max: usize) -> Result<(Vec<u8>, bool)> {
        Ok((body.get(..bytes_max).unwrap_or(body).to_vec(), body.len() <= bytes_max))
    }

    fn length(&self, body: &Vec<u8>) -> Option<u64> {
        Some(body.len() as u64)
    }
}
