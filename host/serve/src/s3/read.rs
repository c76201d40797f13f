//! GET and HEAD of an object, its tags and attributes.

use std::ops::Range;

use credenza_engine::view::never_read;
use credenza_model::{Key, Record, SnapshotId};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Response, S3Result, s3_error};

use super::buckets::Bucket;
use super::names::hidden_key;
use super::{Storage, object};
use crate::tree::SnapshotTree;

/// An object of a snapshot.
struct Found {
    tree: SnapshotTree,
    record: Record,
    /// The version by which it is said to be found; none in a bucket that keeps none.
    version: Option<String>,
}

/// What a request lays down about what it reads.
struct Conditions {
    matches: Option<ETagCondition>,
    matches_none: Option<ETagCondition>,
    modified_since: Option<Timestamp>,
    unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Holds them against an object, in the order of RFC 9110, section 13.2.2.
    fn hold(&self, etag: &ETag, modified: &Timestamp) -> S3Result<()> {
        let names = |condition: &ETagCondition| condition.as_etag().is_none_or(|named| named.value() == etag.value());
        let is_kept = match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) => names(condition),
            (None, Some(time)) => modified <= time,
            (None, None) => true,
        };
        if !is_kept {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        let is_new = match (&self.matches_none, &self.modified_since) {
            (Some(condition), _) => !names(condition),
            (None, Some(time)) => modified > time,
            (None, None) => true,
        };
        if is_new { Ok(()) } else { Err(S3Error::new(S3ErrorCode::NotModified)) }
    }
}

/// Which bytes a request is for.
struct Wanted {
    range: Option<s3s::dto::Range>,
    part: Option<i32>,
}

impl Wanted {
    /// The bytes, and whether they are asked for as a part. Where the parts of an upload began nobody knows any more: all of an object is its first.
    fn of(&self, bytes: u64) -> S3Result<(Range<u64>, bool)> {
        match (self.range, self.part) {
            (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber")),
            (Some(range), None) => Ok((range.check(bytes)?, true)),
            (None, Some(1)) if bytes > 0 => Ok((0..bytes, true)),
            (None, None | Some(1)) => Ok((0..bytes, false)),
            (None, Some(_)) => {
                let mut error = s3_error!(InvalidPart, "The snapshot has the object as one part");
                error.set_status_code(http::StatusCode::RANGE_NOT_SATISFIABLE);
                Err(error)
            }
        }
    }
}

impl Storage {
    pub(super) async fn get_object(&self, input: GetObjectInput) -> S3Result<S3Response<GetObjectOutput>> {
        let found = self.object(&input.bucket, &input.key, input.version_id.as_deref()).await?;
        let conditions = Conditions {
            matches: input.if_match,
            matches_none: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        let wanted = Wanted { range: input.range, part: input.part_number };
        let (mut output, range) = found.head(&conditions, &wanted, input.checksum_mode.is_some())?;
        if let Some(reason) = never_read(&found.record) {
            return Err(S3Error::with_message(S3ErrorCode::InvalidObjectState, reason));
        }
        let body = self.readers.body(&found.tree, &found.record, range).await.map_err(|cause| broken(&cause))?;
        output.body = Some(StreamingBlob::from(s3s::Body::http_body(body)));
        Ok(answer(output))
    }

    pub(super) async fn head_object(&self, input: HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
        let found = self.object(&input.bucket, &input.key, input.version_id.as_deref()).await?;
        let conditions = Conditions {
            matches: input.if_match,
            matches_none: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        let wanted = Wanted { range: input.range, part: input.part_number };
        let (output, _) = found.head(&conditions, &wanted, input.checksum_mode.is_some())?;
        let is_partial = output.content_range.is_some();
        let output = object::of_head(output);
        Ok(if is_partial { S3Response::with_status(output, PARTIAL) } else { S3Response::new(output) })
    }

    pub(super) async fn get_object_tagging(
        &self,
        input: GetObjectTaggingInput,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let found = self.object(&input.bucket, &input.key, input.version_id.as_deref()).await?;
        let tag_set = object::tags(&found.record.entry);
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: found.version }))
    }

    pub(super) async fn get_object_attributes(
        &self,
        input: GetObjectAttributesInput,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let found = self.object(&input.bucket, &input.key, input.version_id.as_deref()).await?;
        // Some clients name all of them in one header.
        let asked = |name: &str| {
            let named = input.object_attributes.iter().flat_map(|attributes| attributes.as_str().split(','));
            named.map(str::trim).any(|attribute| attribute == name)
        };
        let output = GetObjectAttributesOutput {
            checksum: asked(ObjectAttributes::CHECKSUM).then(|| object::checksum(&found.record)),
            e_tag: asked(ObjectAttributes::ETAG).then(|| object::etag(&found.record)),
            last_modified: Some(object::modified(&found.record, &found.tree)),
            object_size: asked(ObjectAttributes::OBJECT_SIZE).then(|| object::size(&found.record)),
            storage_class: asked(ObjectAttributes::STORAGE_CLASS)
                .then(|| StorageClass::from(object::listed_class(&found.record))),
            version_id: found.version,
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    /// The object of a key, in the newest snapshot of a bucket or in the one that a version names.
    async fn object(&self, bucket: &str, key: &str, version: Option<&str>) -> S3Result<Found> {
        let bucket: Bucket = self.bucket(bucket).await?;
        let tree = match version.filter(|version| *version != "null") {
            None => bucket.newest.clone(),
            Some(_) if !bucket.keeps_versions => return Err(s3_error!(NoSuchVersion)),
            Some(id) => {
                let id: SnapshotId = id.parse().map_err(|_| s3_error!(NoSuchVersion, "The version is no snapshot"))?;
                bucket.history().find(|tree| tree.id() == id).cloned().ok_or_else(|| s3_error!(NoSuchVersion))?
            }
        };
        let found = match tree.entry(key.as_bytes()).await.map_err(|cause| self.broken(&cause))? {
            None => match hidden_key(key) {
                Some(hidden) => tree.entry(&hidden).await.map_err(|cause| self.broken(&cause))?,
                None => None,
            },
            found => found,
        };
        let version = bucket.keeps_versions.then(|| tree.id().to_string());
        // The folder that was backed up has no name.
        match found.filter(|record| record.entry.key != Key::default()) {
            Some(record) => Ok(Found { tree, record, version }),
            None => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
        }
    }
}

const PARTIAL: http::StatusCode = http::StatusCode::PARTIAL_CONTENT;

impl Found {
    /// All that is said of it, and which bytes are to be sent.
    fn head(
        &self,
        conditions: &Conditions,
        wanted: &Wanted,
        wants_checksum: bool,
    ) -> S3Result<(GetObjectOutput, Range<u64>)> {
        let Self { tree, record, version } = self;
        conditions.hold(&object::etag(record), &object::modified(record, tree))?;
        let bytes = u64::try_from(object::size(record)).unwrap_or_default();
        let (range, is_part) = wanted.of(bytes)?;
        let is_whole = range == (0..bytes);
        let checksum = if wants_checksum && is_whole { object::checksum(record) } else { Checksum::default() };
        let last = range.end.saturating_sub(1);
        let output = GetObjectOutput {
            content_length: i64::try_from(range.end.saturating_sub(range.start)).ok(),
            content_range: is_part.then(|| format!("bytes {}-{last}/{bytes}", range.start)),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            parts_count: wanted.part.map(|_| 1),
            version_id: version.clone(),
            ..object::head(record, tree)
        };
        Ok((output, range))
    }
}

fn answer(output: GetObjectOutput) -> S3Response<GetObjectOutput> {
    match output.content_range {
        Some(_) => S3Response::with_status(output, PARTIAL),
        None => S3Response::new(output),
    }
}

/// What a reader gets for damage: never that something is not there.
pub(super) fn broken(cause: &credenza_engine::Error) -> S3Error {
    S3Error::with_message(S3ErrorCode::InternalError, cause.to_string())
}
