//! Uploads in parts.

use super::S3;
use super::xml::element;
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use http::Method;

impl S3 {
    /// Stores an object in these parts, each with its checksum where the headers name CRC32 as the algorithm.
    ///
    /// # Errors
    /// When the server refuses; the parts then stay.
    pub fn put_parts(&self, bucket: &str, key: &[u8], parts: &[Bytes], headers: &[(&str, &str)]) -> Result<()> {
        let begun = self.send(Method::POST, (bucket, key), &[("uploads", "")], headers, "")?.success()?;
        let id = element(&String::from_utf8_lossy(&begun.body), "UploadId").context("the upload has no id")?;
        let is_summed = headers.iter().any(|(name, value)| (*name, *value) == ("x-amz-checksum-algorithm", "CRC32"));
        let mut listed = String::new();
        for (number, part) in (1..).zip(parts) {
            let number: String = i32::to_string(&number);
            let query = [("partNumber", number.as_str()), ("uploadId", id.as_str())];
            let sum = is_summed.then(|| crc32(part));
            let headers: Vec<_> = sum.iter().map(|sum| ("x-amz-checksum-crc32", sum.as_str())).collect();
            let answer = self.send(Method::PUT, (bucket, key), &query, &headers, part.clone())?.success()?;
            let etag = answer.header("etag").context("a part without an ETag")?;
            let sum = sum.map(|sum| format!("<ChecksumCRC32>{sum}</ChecksumCRC32>")).unwrap_or_default();
            listed += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{sum}</Part>");
        }
        let document = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
        let ended = self.send(Method::POST, (bucket, key), &[("uploadId", &id)], &[], document)?.success()?;
        let text = String::from_utf8_lossy(&ended.body);
        anyhow::ensure!(!text.contains("<Error>"), "the upload failed: {text}");
        Ok(())
    }
}

/// As S3 writes it: in network order, as Base64.
fn crc32(bytes: &[u8]) -> String {
    let sum = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, bytes).to_be_bytes();
    BASE64.encode(sum.last_chunk::<4>().map(<[u8; 4]>::as_slice).unwrap_or_default())
}
