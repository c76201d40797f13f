//! GET and HEAD of an object, and its tags.

use super::{Storage, quirks};
use crate::Content;
use crate::buckets::{Bucket, Versioning};
use crate::object::Version;
use futures_util::stream;
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

impl Storage {
    pub(super) fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<GetObjectOutput> {
        let quirks = quirks(&request);
        let input = request.input;
        let (version, versioned) = self.with(&input.bucket, |bucket| {
            let version = find(bucket, &input.key, input.version_id.as_deref())?;
            Ok((version.clone(), bucket.versioning != Versioning::Off))
        })?;
        if !quirks.conditions_ignored {
            hold_read_conditions(&version, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        }
        if is_archived(&version) && !version.is_thawed {
            return Err(s3_error!(InvalidObjectState, "The operation is not valid for the object's storage class"));
        }
        let content = version.content.clone().unwrap_or_else(|| Vec::new().into());
        let length = content.len();
        let range = input.range.filter(|_| !quirks.range_ignored).map(|range| range.check(length)).transpose()?;
        let whole = range.is_none();
        let range = range.unwrap_or(0..length);
        let wants_checksum = input.checksum_mode.is_some() && whole;
        let checksum = if wants_checksum { version.checksum.clone() } else { Checksum::default() };
        let until = range.end.saturating_sub(1);
        Ok(GetObjectOutput {
            content_length: i64::try_from(range.end.saturating_sub(range.start)).ok(),
            content_range: (!whole).then(|| format!("bytes {}-{until}/{length}", range.start)),
            body: Some(stream_of(&content, range)),
            version_id: versioned.then(|| version.id.clone()),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..head_of(version)
        })
    }

    pub(super) async fn restore_object(&self, request: S3Request<RestoreObjectInput>) -> S3Result<RestoreObjectOutput> {
        let input = request.input;
        self.with(&input.bucket, |bucket| {
            let id = find(bucket, &input.key, input.version_id.as_deref())?.id.clone();
            let versions = bucket.objects.get_mut(&input.key).into_iter().flatten();
            let version = versions.into_iter().find(|version| version.id == id && is_archived(version));
            let version = version.ok_or_else(|| s3_error!(InvalidObjectState, "The object is not archived"))?;
            if version.is_thawed {
                return Err(s3_error!(RestoreAlreadyInProgress));
            }
            version.is_thawed = true;
            Ok(RestoreObjectOutput::default())
        })
    }

    pub(super) async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<HeadObjectOutput> {
        let quirks = quirks(&request);
        let input = request.input;
        let (version, versioned) = self.with(&input.bucket, |bucket| {
            let version = find(bucket, &input.key, input.version_id.as_deref())?;
            Ok((version.clone(), bucket.versioning != Versioning::Off))
        })?;
        if !quirks.conditions_ignored {
            hold_read_conditions(&version, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        }
        let id = versioned.then(|| version.id.clone());
        let length = i64::try_from(version.bytes()).ok();
        let wants_checksum = input.checksum_mode.is_some();
        let checksum = if wants_checksum { version.checksum.clone() } else { Checksum::default() };
        let head = head_of(version);
        Ok(HeadObjectOutput {
            accept_ranges: head.accept_ranges,
            cache_control: head.cache_control,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            content_disposition: head.content_disposition,
            content_encoding: head.content_encoding,
            content_language: head.content_language,
            content_length: length,
            content_type: head.content_type,
            e_tag: head.e_tag,
            expires: head.expires,
            last_modified: head.last_modified,
            metadata: head.metadata,
            object_lock_legal_hold_status: head.object_lock_legal_hold_status,
            object_lock_mode: head.object_lock_mode,
            object_lock_retain_until_date: head.object_lock_retain_until_date,
            parts_count: head.parts_count,
            storage_class: head.storage_class,
            version_id: id,
            website_redirect_location: head.website_redirect_location,
            ..Default::default()
        })
    }

    pub(super) async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<GetObjectTaggingOutput> {
        let input = request.input;
        self.with(&input.bucket, |bucket| {
            let version = find(bucket, &input.key, input.version_id.as_deref())?;
            let tags = version.attributes.tags.iter();
            let tag_set = tags.map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect();
            Ok(GetObjectTaggingOutput { tag_set, ..Default::default() })
        })
    }

    pub(super) async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<PutObjectTaggingOutput> {
        let input = request.input;
        let tags = input.tagging.tag_set.into_iter();
        let tags = tags.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect();
        self.with(&input.bucket, |bucket| {
            let id = find(bucket, &input.key, input.version_id.as_deref())?.id.clone();
            let versions = bucket.objects.get_mut(&input.key).into_iter().flatten();
            versions
                .filter(|version| version.id == id)
                .for_each(|version| version.attributes.tags = Clone::clone(&tags));
            Ok(PutObjectTaggingOutput::default())
        })
    }
}

/// The version that a request means.
pub(super) fn find<'a>(bucket: &'a Bucket, key: &str, version_id: Option<&str>) -> S3Result<&'a Version> {
    let Some(id) = version_id else {
        return bucket.current(key).ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."));
    };
    let versions = bucket.objects.get(key).into_iter().flatten();
    let version = versions.into_iter().find(|version| version.id == id);
    match version {
        Some(version) if version.content.is_none() => Err(s3_error!(MethodNotAllowed)),
        Some(version) => Ok(version),
        None => Err(s3_error!(NoSuchVersion)),
    }
}

fn is_archived(version: &Version) -> bool {
    matches!(version.attributes.storage_class.as_deref(), Some("GLACIER" | "DEEP_ARCHIVE"))
}

fn hold_read_conditions(
    version: &Version,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    if if_match.is_some_and(|condition| !condition_names(condition, version)) {
        return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
    }
    if if_none_match.is_some_and(|condition| condition_names(condition, version)) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

/// Whether a condition names this version.
pub(super) fn condition_names(condition: &ETagCondition, version: &Version) -> bool {
    condition.as_etag().is_none_or(|etag| etag.value() == version.etag)
}

/// The headers that GET and HEAD share; body, length and version are left to the caller.
fn head_of(version: Version) -> GetObjectOutput {
    let Version { last_modified, etag, attributes, lock, parts, .. } = version;
    GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: attributes.cache_control,
        content_disposition: attributes.content_disposition,
        content_encoding: attributes.content_encoding,
        content_language: attributes.content_language,
        content_type: Some(attributes.content_type.unwrap_or_else(|| "binary/octet-stream".to_owned())),
        e_tag: Some(ETag::Strong(etag)),
        expires: attributes.expires,
        last_modified: Some(last_modified),
        metadata: Some(attributes.metadata.into_iter().collect()),
        object_lock_legal_hold_status: lock
            .legal_hold
            .then(|| ObjectLockLegalHoldStatus::from_static(ObjectLockLegalHoldStatus::ON)),
        object_lock_mode: lock.mode.map(ObjectLockMode::from),
        object_lock_retain_until_date: lock.until,
        parts_count: i32::try_from(parts.len()).ok().filter(|count| *count > 0),
        storage_class: attributes.storage_class.map(StorageClass::from),
        tag_count: i32::try_from(attributes.tags.len()).ok().filter(|count| *count > 0),
        website_redirect_location: attributes.website_redirect,
        ..Default::default()
    }
}

fn stream_of(content: &Content, range: std::ops::Range<u64>) -> StreamingBlob {
    StreamingBlob::wrap(stream::iter(content.pieces(range).map(Ok::<_, std::io::Error>)))
}
