//! PUT, copy and DELETE of objects, with their conditions, checksums and locks.

use super::read::{condition_names, find};
use super::{Storage, quirks};
use crate::buckets::{Bucket, Versioning, etag_of, hex, md5};
use crate::object::{Attributes, Lock, Version, now};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use s3s::checksum::ChecksumHasher;
use s3s::dto::*;
use s3s::{S3Request, S3Result, TrailingHeaders, s3_error};
use std::collections::BTreeMap;

impl Storage {
    pub(super) async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let quirks = quirks(&request);
        let trailers = request.trailing_headers;
        let mut input = request.input;
        let claimed = Claimed {
            md5: input.content_md5.take(),
            algorithm: input.checksum_algorithm.take(),
            checksum: Checksum {
                checksum_crc32: input.checksum_crc32.take(),
                checksum_crc32c: input.checksum_crc32c.take(),
                checksum_crc64nvme: input.checksum_crc64nvme.take(),
                checksum_sha1: input.checksum_sha1.take(),
                checksum_sha256: input.checksum_sha256.take(),
                checksum_type: None,
            },
        };
        let has_digest = claimed.md5.is_some() || claimed.checksum != Checksum::default();
        let (body, checksum) = receive(input.body.take(), claimed, trailers).await?;
        let content = body.into();
        let etag = etag_of(&content);
        let version = Version {
            attributes: attributes_of_put(&mut input),
            lock: Lock {
                mode: input.object_lock_mode.map(|mode| mode.as_str().to_owned()),
                until: input.object_lock_retain_until_date,
                legal_hold: input.object_lock_legal_hold_status.is_some_and(|status| status.as_str() == "ON"),
            },
            checksum: checksum.clone(),
            ..Version::new(content, etag.clone())
        };
        let version_id = self.with(&input.bucket, |bucket| {
            if !quirks.conditions_ignored {
                hold_write_conditions(bucket, &input.key, input.if_match.as_ref(), input.if_none_match.as_ref())?;
            }
            hold_lock_demands(bucket, &version.lock, has_digest)?;
            Ok(bucket.push(&input.key, version))
        })?;
        Ok(PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            version_id,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..Default::default()
        })
    }

    pub(super) async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
        let input = request.input;
        let CopySource::Bucket { bucket, key, version_id } = input.copy_source else {
            return Err(s3_error!(NotImplemented, "copies come from a bucket only"));
        };
        let mut version = self.with(&bucket, |bucket| Ok(find(bucket, &key, version_id.as_deref())?.clone()))?;
        if input.copy_source_if_match.as_ref().is_some_and(|condition| !condition_names(condition, &version)) {
            return Err(s3_error!(PreconditionFailed));
        }
        version.last_modified = now();
        version.lock = Lock::default();
        if input.metadata_directive.is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE) {
            version.attributes = Attributes {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_language: input.content_language,
                content_disposition: input.content_disposition,
                cache_control: input.cache_control,
                expires: input.expires,
                website_redirect: input.website_redirect_location,
                storage_class: input.storage_class.map(|class| class.as_str().to_owned()),
                metadata: input.metadata.unwrap_or_default().into_iter().collect(),
                tags: version.attributes.tags,
                acl: input.acl.map(|acl| acl.as_str().to_owned()),
            };
        }
        let result = CopyObjectResult {
            e_tag: Some(ETag::Strong(version.etag.clone())),
            last_modified: Some(version.last_modified.clone()),
            ..Default::default()
        };
        let version_id = self.with(&input.bucket, |bucket| Ok(bucket.push(&input.key, version)))?;
        Ok(CopyObjectOutput { copy_object_result: Some(result), version_id, ..Default::default() })
    }

    pub(super) async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<DeleteObjectOutput> {
        let input = request.input;
        let bypass = input.bypass_governance_retention.unwrap_or(false);
        self.with(&input.bucket, |bucket| {
            // What is not there is deleted, whatever the condition.
            if bucket.current(&input.key).is_some() {
                hold_write_conditions(bucket, &input.key, input.if_match.as_ref(), None)?;
            }
            let removed = remove(bucket, &input.key, input.version_id.as_deref(), bypass)?;
            let delete_marker = removed.marker.then_some(true);
            Ok(DeleteObjectOutput { delete_marker, version_id: removed.version_id, ..Default::default() })
        })
    }

    pub(super) async fn delete_objects(&self, request: S3Request<DeleteObjectsInput>) -> S3Result<DeleteObjectsOutput> {
        let input = request.input;
        let bypass = input.bypass_governance_retention.unwrap_or(false);
        let quiet = input.delete.quiet.unwrap_or(false);
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        self.with(&input.bucket, |bucket| {
            for object in input.delete.objects {
                match remove(bucket, &object.key, object.version_id.as_deref(), bypass) {
                    Ok(removed) => deleted.push(DeletedObject {
                        key: Some(object.key),
                        version_id: object.version_id,
                        delete_marker: removed.marker.then_some(true),
                        delete_marker_version_id: removed.version_id.filter(|_| removed.marker),
                    }),
                    Err(error) => errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        message: error.message().map(str::to_owned),
                        key: Some(object.key),
                        version_id: object.version_id,
                    }),
                }
            }
            Ok(())
        })?;
        let deleted = Some(deleted).filter(|_| !quiet);
        Ok(DeleteObjectsOutput { deleted, errors: Some(errors), ..Default::default() })
    }
}

/// What a client says about a body, to be held against what arrives.
pub(super) struct Claimed {
    pub(super) md5: Option<String>,
    pub(super) algorithm: Option<ChecksumAlgorithm>,
    pub(super) checksum: Checksum,
}

/// Reads a whole body into memory and verifies what was claimed of it, in headers or in trailers.
pub(super) async fn receive(
    body: Option<StreamingBlob>,
    mut claimed: Claimed,
    trailers: Option<TrailingHeaders>,
) -> S3Result<(Bytes, Checksum)> {
    let mut bytes = BytesMut::new();
    let mut body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(
            &piece.map_err(|error| s3s::S3Error::with_source(s3s::S3ErrorCode::IncompleteBody, error))?,
        );
    }
    if let Some(trailers) = trailers.and_then(|trailers| trailers.take()) {
        let trailer = |name| trailers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let checksum = &mut claimed.checksum;
        checksum.checksum_crc32 = trailer("x-amz-checksum-crc32").or(checksum.checksum_crc32.take());
        checksum.checksum_crc32c = trailer("x-amz-checksum-crc32c").or(checksum.checksum_crc32c.take());
        checksum.checksum_crc64nvme = trailer("x-amz-checksum-crc64nvme").or(checksum.checksum_crc64nvme.take());
        checksum.checksum_sha1 = trailer("x-amz-checksum-sha1").or(checksum.checksum_sha1.take());
        checksum.checksum_sha256 = trailer("x-amz-checksum-sha256").or(checksum.checksum_sha256.take());
    }
    let checksum = verify(&bytes, &claimed)?;
    Ok((bytes.freeze(), checksum))
}

fn verify(bytes: &[u8], claimed: &Claimed) -> S3Result<Checksum> {
    if claimed.md5.as_ref().is_some_and(|md5_base64| *md5_base64 != BASE64.encode(md5(bytes))) {
        return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
    }
    let sums = &claimed.checksum;
    let asked = |name: &str| claimed.algorithm.as_ref().is_some_and(|algorithm| algorithm.as_str() == name);
    let computed = compute(bytes, |name| asked(name) || stated(sums, name).is_some());
    let pairs = [
        (&sums.checksum_crc32, &computed.checksum_crc32),
        (&sums.checksum_crc32c, &computed.checksum_crc32c),
        (&sums.checksum_crc64nvme, &computed.checksum_crc64nvme),
        (&sums.checksum_sha1, &computed.checksum_sha1),
        (&sums.checksum_sha256, &computed.checksum_sha256),
    ];
    let agree = pairs.into_iter().all(|(claimed, computed)| claimed.is_none() || claimed == computed);
    agree.then_some(computed).ok_or_else(|| s3_error!(BadDigest, "The checksum you specified did not match."))
}

/// The checksums of some bytes by the algorithms that are wanted.
pub(super) fn compute(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Checksum {
    let mut hasher = ChecksumHasher {
        crc32: wanted("CRC32").then(Default::default),
        crc32c: wanted("CRC32C").then(Default::default),
        crc64nvme: wanted("CRC64NVME").then(Default::default),
        sha1: wanted("SHA1").then(Default::default),
        sha256: wanted("SHA256").then(Default::default),
    };
    hasher.update(bytes);
    hasher.finalize()
}

/// The value by an algorithm.
pub(super) fn stated<'a>(checksum: &'a Checksum, algorithm: &str) -> Option<&'a String> {
    match algorithm {
        "CRC32" => checksum.checksum_crc32.as_ref(),
        "CRC32C" => checksum.checksum_crc32c.as_ref(),
        "CRC64NVME" => checksum.checksum_crc64nvme.as_ref(),
        "SHA1" => checksum.checksum_sha1.as_ref(),
        "SHA256" => checksum.checksum_sha256.as_ref(),
        _ => None,
    }
}

/// What S3 demands of a PUT that locks.
fn hold_lock_demands(bucket: &Bucket, lock: &Lock, has_digest: bool) -> S3Result<()> {
    let complaint = match lock {
        lock if *lock == Lock::default() => return Ok(()),
        _ if !bucket.lock_enabled => "Bucket is missing Object Lock Configuration",
        _ if !has_digest => {
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
        }
        lock if lock.until.as_ref().is_some_and(|until| *until <= now()) => {
            "The retain until date must be in the future!"
        }
        _ => return Ok(()),
    };
    Err(s3_error!(InvalidRequest, "{complaint}"))
}

/// Holds `If-Match` and `If-None-Match` of a write against the current object.
pub(super) fn hold_write_conditions(
    bucket: &Bucket,
    key: &str,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let current = bucket.current(key);
    if if_none_match.is_some() && current.is_some() {
        return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
    }
    match (if_match, current) {
        (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
        (Some(condition), Some(version)) if !condition_names(condition, version) => {
            Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"))
        }
        _ => Ok(()),
    }
}

struct Removed {
    marker: bool,
    version_id: Option<String>,
}

/// Deletes one version, or hides the object behind a delete marker.
fn remove(bucket: &mut Bucket, key: &str, version_id: Option<&str>, bypass: bool) -> S3Result<Removed> {
    let Some(id) = version_id else {
        return Ok(match bucket.versioning {
            Versioning::Off => {
                bucket.objects.remove(key);
                Removed { marker: false, version_id: None }
            }
            _ => Removed { marker: true, version_id: bucket.push(key, Version::delete_marker()) },
        });
    };
    let Some(versions) = bucket.objects.get_mut(key) else {
        return Ok(Removed { marker: false, version_id: Some(id.to_owned()) });
    };
    if versions.iter().any(|version| version.id == id && version.lock.holds(now(), bypass)) {
        return Err(s3_error!(AccessDenied, "Access Denied because object protected by object lock."));
    }
    let marker = versions.iter().any(|version| version.id == id && version.content.is_none());
    versions.retain(|version| version.id != id);
    if versions.is_empty() {
        bucket.objects.remove(key);
    }
    Ok(Removed { marker, version_id: Some(id.to_owned()) })
}

fn attributes_of_put(input: &mut PutObjectInput) -> Attributes {
    Attributes {
        content_type: input.content_type.take(),
        content_encoding: input.content_encoding.take(),
        content_language: input.content_language.take(),
        content_disposition: input.content_disposition.take(),
        cache_control: input.cache_control.take(),
        expires: input.expires.take(),
        website_redirect: input.website_redirect_location.take(),
        storage_class: input.storage_class.take().map(|class| class.as_str().to_owned()),
        metadata: input.metadata.take().unwrap_or_default().into_iter().collect(),
        tags: input.tagging.take().map(|header| tags_of_header(&header)).unwrap_or_default(),
        acl: input.acl.take().map(|acl| acl.as_str().to_owned()),
    }
}

/// The tags of an `x-amz-tagging` header, which is encoded like a query.
pub(super) fn tags_of_header(header: &str) -> BTreeMap<String, String> {
    let pairs = header.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        rest = match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                after.get(2..).unwrap_or_default()
            }
            (b'+', _) => {
                bytes.push(b' ');
                after
            }
            (byte, _) => {
                bytes.push(*byte);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The ETag of a multipart upload: the MD5 of the MD5s of its parts, and their number.
pub(super) fn etag_of_parts(etags: &[Vec<u8>]) -> String {
    format!("{}-{}", hex(&md5(&etags.concat())), etags.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tagging_header_is_decoded_like_a_query() {
        let tags = tags_of_header("a=1&b%20c=x%2By+z&empty=");
        let expected = [("a", "1"), ("b c", "x+y z"), ("empty", "")];
        assert_eq!(tags, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }
}
