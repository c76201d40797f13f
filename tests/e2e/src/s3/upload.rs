//! Uploads in parts.

use super::S3;
use super::xml::element;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::Method;

impl S3 {
    /// Stores an object in these parts.
    ///
    /// # Errors
    /// When the server refuses; the parts then stay.
    pub fn put_parts(&self, bucket: &str, key: &[u8], parts: &[Bytes], headers: &[(&str, &str)]) -> Result<()> {
        let begun = self.send(Method::POST, bucket, key, &[("uploads", "")], headers, "")?.success()?;
        let id = element(&String::from_utf8_lossy(&begun.body), "UploadId").context("the upload has no id")?;
        let mut listed = String::new();
        for (number, part) in (1..).zip(parts) {
            let number: String = i32::to_string(&number);
            let query = [("partNumber", number.as_str()), ("uploadId", id.as_str())];
            let answer = self.send(Method::PUT, bucket, key, &query, &[], part.clone())?.success()?;
            let etag = answer.header("etag").context("a part without an ETag")?;
            listed += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        }
        let document = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
        let ended = self.send(Method::POST, bucket, key, &[("uploadId", &id)], &[], document)?.success()?;
        let text = String::from_utf8_lossy(&ended.body);
        anyhow::ensure!(!text.contains("<Error>"), "the upload failed: {text}");
        Ok(())
    }
}
