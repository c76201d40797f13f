//! Uploads in parts: create, upload, list, complete, abort.

use super::write::{Claimed, compute, etag_of_parts, hold_write_conditions, receive, stated, tags_of_header};
use super::{Storage, quirks};
use crate::Content;
use crate::buckets::{Bucket, Upload, etag_of, md5};
use crate::object::{Attributes, Lock, Version, now};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BytesMut;
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

impl Storage {
    pub(super) async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let input = request.input;
        let draft = Version {
            attributes: Attributes {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_language: input.content_language,
                content_disposition: input.content_disposition,
                cache_control: input.cache_control,
                expires: input.expires,
                website_redirect: input.website_redirect_location,
                storage_class: input.storage_class.map(|class| class.as_str().to_owned()),
                metadata: input.metadata.unwrap_or_default().into_iter().collect(),
                tags: input.tagging.map(|header| tags_of_header(&header)).unwrap_or_default(),
                acl: input.acl.map(|acl| acl.as_str().to_owned()),
            },
            lock: Lock {
                mode: input.object_lock_mode.map(|mode| mode.as_str().to_owned()),
                until: input.object_lock_retain_until_date,
                legal_hold: input.object_lock_legal_hold_status.is_some_and(|status| status.as_str() == "ON"),
            },
            ..Version::delete_marker()
        };
        let is_of_whole = input.checksum_type.is_some_and(|kind| kind.as_str() == ChecksumType::FULL_OBJECT);
        let algorithm = input.checksum_algorithm;
        let upload = Upload { key: input.key.clone(), draft, parts: Default::default(), algorithm, is_of_whole };
        let id = self.with(&input.bucket, |bucket| {
            let id = format!("upload-{}", bucket.fresh_id());
            bucket.uploads.insert(id.clone(), upload);
            Ok(id)
        })?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        })
    }

    pub(super) async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
        let input = request.input;
        let claimed = Claimed {
            md5: input.content_md5,
            algorithm: input.checksum_algorithm,
            checksum: Checksum {
                checksum_crc32: input.checksum_crc32,
                checksum_crc32c: input.checksum_crc32c,
                checksum_crc64nvme: input.checksum_crc64nvme,
                checksum_sha1: input.checksum_sha1,
                checksum_sha256: input.checksum_sha256,
                checksum_type: None,
            },
        };
        let (body, checksum) = receive(input.body, claimed, request.trailing_headers).await?;
        let content = Content::from(body);
        let etag = etag_of(&content);
        let part = Version { checksum: checksum.clone(), ..Version::new(content, etag.clone()) };
        self.with(&input.bucket, |bucket| {
            upload_of(bucket, &input.upload_id, &input.key)?.parts.insert(input.part_number, part);
            Ok(UploadPartOutput {
                e_tag: Some(ETag::Strong(etag)),
                checksum_crc32: checksum.checksum_crc32,
                checksum_crc32c: checksum.checksum_crc32c,
                checksum_crc64nvme: checksum.checksum_crc64nvme,
                checksum_sha1: checksum.checksum_sha1,
                checksum_sha256: checksum.checksum_sha256,
                ..Default::default()
            })
        })
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let quirks = quirks(&request);
        let input = request.input;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        self.with(&input.bucket, |bucket| {
            if !quirks.conditions_ignored {
                hold_write_conditions(bucket, &input.key, input.if_match.as_ref(), input.if_none_match.as_ref())?;
            }
            let upload = upload_of(bucket, &input.upload_id, &input.key)?;
            let version = assemble(upload, &named)?;
            let (etag, checksum) = (version.etag.clone(), version.checksum.clone());
            bucket.uploads.remove(&input.upload_id);
            let version_id = bucket.push(&input.key, version);
            Ok(CompleteMultipartUploadOutput {
                bucket: Some(input.bucket.clone()),
                key: Some(input.key.clone()),
                e_tag: Some(ETag::Strong(etag)),
                version_id,
                checksum_crc32: checksum.checksum_crc32,
                checksum_crc32c: checksum.checksum_crc32c,
                checksum_crc64nvme: checksum.checksum_crc64nvme,
                checksum_sha1: checksum.checksum_sha1,
                checksum_sha256: checksum.checksum_sha256,
                ..Default::default()
            })
        })
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<AbortMultipartUploadOutput> {
        let input = request.input;
        self.with(&input.bucket, |bucket| {
            upload_of(bucket, &input.upload_id, &input.key)?;
            bucket.uploads.remove(&input.upload_id);
            Ok(AbortMultipartUploadOutput::default())
        })
    }

    pub(super) async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<ListPartsOutput> {
        let input = request.input;
        self.with(&input.bucket, |bucket| {
            let after = input.part_number_marker.unwrap_or(0);
            let left = upload_of(bucket, &input.upload_id, &input.key)?.parts.range(after.saturating_add(1)..);
            let mut parts: Vec<Part> = left
                .map(|(number, part)| Part {
                    part_number: Some(*number),
                    e_tag: Some(ETag::Strong(part.etag.clone())),
                    size: i64::try_from(part.bytes()).ok(),
                    last_modified: Some(part.last_modified.clone()),
                    ..Default::default()
                })
                .collect();
            let is_cut = self.cut(&mut parts);
            Ok(ListPartsOutput {
                next_part_number_marker: parts.last().filter(|_| is_cut).and_then(|part| part.part_number),
                parts: Some(parts),
                bucket: Some(input.bucket.clone()),
                key: Some(input.key.clone()),
                upload_id: Some(input.upload_id.clone()),
                is_truncated: Some(is_cut),
                ..Default::default()
            })
        })
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<ListMultipartUploadsOutput> {
        let input = request.input;
        let prefix = input.prefix.unwrap_or_default();
        self.with(&input.bucket, |bucket| {
            let uploads = bucket.uploads.iter().filter(|(_, upload)| upload.key.starts_with(&prefix));
            let mut uploads: Vec<MultipartUpload> = uploads
                .map(|(id, upload)| MultipartUpload {
                    key: Some(upload.key.clone()),
                    upload_id: Some(id.clone()),
                    initiated: Some(upload.draft.last_modified.clone()),
                    ..Default::default()
                })
                .collect();
            let place = |upload: &MultipartUpload| (upload.key.clone(), upload.upload_id.clone());
            let marker = (input.key_marker.clone(), input.upload_id_marker.clone());
            uploads.sort_by_key(place);
            // Without an upload, all of the key were reported.
            uploads.retain(|upload| place(upload) > marker && (marker.1.is_some() || upload.key != marker.0));
            let is_cut = self.cut(&mut uploads);
            let (next_key_marker, next_upload_id_marker) =
                uploads.last().filter(|_| is_cut).map(place).unwrap_or_default();
            Ok(ListMultipartUploadsOutput {
                uploads: Some(uploads),
                is_truncated: Some(is_cut),
                next_key_marker,
                next_upload_id_marker,
                ..Default::default()
            })
        })
    }

    /// Leaves a page of what there is, and says whether there is more.
    fn cut<T>(&self, all: &mut Vec<T>) -> bool {
        let size = self.paging.entries(PAGE_ENTRIES_MAX, false);
        let is_cut = all.len() > size;
        all.truncate(size);
        is_cut
    }
}

/// The most parts or uploads of a page, as AWS has it.
const PAGE_ENTRIES_MAX: usize = 1000;

fn upload_of<'a>(bucket: &'a mut Bucket, id: &str, key: &str) -> S3Result<&'a mut Upload> {
    let upload = bucket.uploads.get_mut(id).filter(|upload| upload.key == key);
    upload.ok_or_else(|| s3_error!(NoSuchUpload, "The specified upload does not exist."))
}

/// Joins the named parts, which must ascend and carry the ETags that were answered.
fn assemble(upload: &Upload, named: &[CompletedPart]) -> S3Result<Version> {
    let (mut body, mut etags, mut lengths) = (BytesMut::new(), Vec::new(), Vec::new());
    let mut previous = 0;
    for part in named {
        let number = part.part_number.unwrap_or(0);
        if number <= previous {
            return Err(s3_error!(InvalidPartOrder));
        }
        previous = number;
        let stored = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
        if part.e_tag.as_ref().is_some_and(|etag| etag.value() != stored.etag) {
            return Err(s3_error!(InvalidPart));
        }
        let bytes = stored.content.as_ref().map(Content::to_bytes).unwrap_or_default();
        etags.push(md5(&bytes));
        lengths.push(bytes.len() as u64);
        body.extend_from_slice(&bytes);
    }
    let checksum = checksum_of_upload(upload, named, &body)?;
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    Ok(Version {
        content: Some(body.freeze().into()),
        etag: etag_of_parts(&etags),
        last_modified: now(),
        parts: lengths,
        checksum,
        ..upload.draft.clone()
    })
}

/// The checksum that an upload was begun with: of its bytes, or of the checksums of its parts, which the completion must state then
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>).
fn checksum_of_upload(upload: &Upload, named: &[CompletedPart], body: &[u8]) -> S3Result<Checksum> {
    let Some(algorithm) = upload.algorithm.as_ref().map(ChecksumAlgorithm::as_str) else {
        return Ok(Checksum::default());
    };
    if upload.is_of_whole {
        return Ok(compute(body, |name| name == algorithm));
    }
    let mut sums = Vec::new();
    for part in named {
        let stored = part.part_number.and_then(|number| upload.parts.get(&number));
        let stored =
            stored.and_then(|stored| stated(&stored.checksum, algorithm)).ok_or_else(|| s3_error!(InvalidPart))?;
        if stated(&sums_of(part), algorithm) != Some(stored) {
            return Err(s3_error!(InvalidRequest, "The complete request must include the checksum for each part."));
        }
        sums.extend(BASE64.decode(stored).map_err(|_| s3_error!(InvalidPart))?);
    }
    let of_sums = compute(&sums, |name| name == algorithm);
    let with_count = |value: String| format!("{value}-{}", named.len());
    Ok(Checksum {
        checksum_crc32: of_sums.checksum_crc32.map(with_count),
        checksum_crc32c: of_sums.checksum_crc32c.map(with_count),
        checksum_crc64nvme: of_sums.checksum_crc64nvme.map(with_count),
        checksum_sha1: of_sums.checksum_sha1.map(with_count),
        checksum_sha256: of_sums.checksum_sha256.map(with_count),
        checksum_type: Some(ChecksumType::from_static(ChecksumType::COMPOSITE)),
    })
}

fn sums_of(part: &CompletedPart) -> Checksum {
    Checksum {
        checksum_crc32: part.checksum_crc32.clone(),
        checksum_crc32c: part.checksum_crc32c.clone(),
        checksum_crc64nvme: part.checksum_crc64nvme.clone(),
        checksum_sha1: part.checksum_sha1.clone(),
        checksum_sha256: part.checksum_sha256.clone(),
        checksum_type: None,
    }
}
