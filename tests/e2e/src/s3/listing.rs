//! What a bucket lists: its keys, its versions, its unfinished uploads.

use super::xml::{blocks, element, elements};
use super::{S3, decode};
use anyhow::{Result, bail, ensure};
use http::Method;

/// Pages after which a listing is said not to end.
const PAGES_MAX: usize = 10_000;

/// A version, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// The key.
    pub key: String,
    /// The id of the version.
    pub id: String,
    /// Whether it is the newest of its key.
    pub latest: bool,
    /// Whether it is a delete marker.
    pub deleted: bool,
    /// When it was made, as the server writes it.
    pub modified: String,
}

impl S3 {
    /// All keys under `prefix`, sorted, whatever order the server lists them in.
    ///
    /// # Errors
    /// When the server refuses, or its listing does not come to an end.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut token: Option<String> = None;
        for _page in 0..PAGES_MAX {
            let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)];
            query.extend(token.as_deref().map(|token| ("continuation-token", token)));
            let text = self.ask(bucket, &query, "ListBucketResult")?;
            keys.extend(elements(&text, "Key").map(|key| named(&text, key)));
            token = element(&text, "NextContinuationToken");
            if token.is_none() {
                keys.sort();
                keys.dedup();
                return Ok(keys);
            }
        }
        bail!("the listing of {bucket}/{prefix} does not end")
    }

    /// All versions and delete markers; those of a key together and oldest first.
    ///
    /// # Errors
    /// When the server refuses, or lists objects instead.
    pub fn versions(&self, bucket: &str) -> Result<Vec<ListedVersion>> {
        let text = self.ask(bucket, &[("versions", ""), ("encoding-type", "url")], "ListVersionsResult")?;
        ensure!(element(&text, "IsTruncated").as_deref() != Some("true"), "more than a page of versions");
        let listed = |name, deleted| {
            blocks(&text, name).map(move |block| ListedVersion { deleted, ..version(block) }).collect::<Vec<_>>()
        };
        let mut versions = [listed("Version", false), listed("DeleteMarker", true)].concat();
        versions.iter_mut().for_each(|version| version.key = named(&text, std::mem::take(&mut version.key)));
        // Newest first, as S3 lists them, then turned: what one second saw keeps the order in which it was listed.
        versions.sort_by(|a, b| (&a.key, b.latest, &b.modified).cmp(&(&b.key, a.latest, &a.modified)));
        versions.reverse();
        versions.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(versions)
    }

    /// The keys of uploads in parts that were neither completed nor aborted.
    ///
    /// # Errors
    /// When the server refuses, or lists objects instead.
    pub fn uploads(&self, bucket: &str) -> Result<Vec<String>> {
        let text = self.ask(bucket, &[("uploads", "")], "ListMultipartUploadsResult")?;
        Ok(blocks(&text, "Upload").filter_map(|upload| element(upload, "Key")).collect())
    }

    /// The document about a bucket whose root has this name.
    fn ask(&self, bucket: &str, query: &[(&str, &str)], root: &str) -> Result<String> {
        let answer = self.send(Method::GET, (bucket, b""), query, &[], "")?.success()?;
        let text = String::from_utf8(answer.body.to_vec())?;
        ensure!(text.contains(&format!("<{root}")), "no {root}: {}", text.get(..200).unwrap_or(&text));
        Ok(text)
    }
}

fn version(block: &str) -> ListedVersion {
    let text = |name| element(block, name).unwrap_or_default();
    ListedVersion {
        key: text("Key"),
        id: text("VersionId"),
        latest: text("IsLatest") == "true",
        deleted: false,
        modified: text("LastModified"),
    }
}

/// A key, which is encoded only when the answer says so.
fn named(answer: &str, key: String) -> String {
    if answer.contains("<EncodingType>url") { decode(&key) } else { key }
}
