//! Answers to S3 operations out of [`Buckets`]: the part of the server behind the wire protocol.
//!
//! This file only joins the operations to the `s3s` trait; what they do is in [`read`], [`write`], [`list`],
//! [`lock`], [`multipart`] and [`bucket`]. A lock over all buckets makes each operation atomic, conditions included.

mod acl;
mod bucket;
mod list;
mod lock;
mod multipart;
mod paging;
mod read;
mod write;

use crate::Buckets;
use crate::faults::Quirks;
pub(crate) use paging::Paging;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

/// The `s3s` back end.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    buckets: Buckets,
    paging: Paging,
}

impl Storage {
    pub(crate) fn new(buckets: Buckets, paging: Paging) -> Self {
        Self { buckets, paging }
    }

    /// Runs `work` on a bucket while no other request touches any.
    fn with<T>(&self, name: &str, work: impl FnOnce(&mut crate::buckets::Bucket) -> S3Result<T>) -> S3Result<T> {
        let mut all = self.buckets.lock();
        work(all.get_mut(name).ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))?)
    }
}

fn quirks<T>(request: &S3Request<T>) -> Quirks {
    request.extensions.get::<Quirks>().copied().unwrap_or_default()
}

/// Joins trait methods that need nothing but their input to a method of [`Storage`] with the same name.
macro_rules! join {
    ($(async fn $name:ident($input:ty) -> $output:ty;)*) => {
        #[async_trait::async_trait]
        impl S3 for Storage {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                Storage::$name(self, request).await.map(S3Response::new)
            })*

            async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
                let status = request.input.range.filter(|_| !quirks(&request).range_ignored);
                let output = Storage::get_object(self, request)?;
                Ok(match status {
                    Some(_) => S3Response::with_status(output, http::StatusCode::PARTIAL_CONTENT),
                    None => S3Response::new(output),
                })
            }
        }
    };
}

join! {
    async fn abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    async fn complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    async fn copy_object(CopyObjectInput) -> CopyObjectOutput;
    async fn create_bucket(CreateBucketInput) -> CreateBucketOutput;
    async fn create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    async fn delete_bucket(DeleteBucketInput) -> DeleteBucketOutput;
    async fn delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    async fn delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    async fn get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
    async fn get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput;
    async fn get_object_acl(GetObjectAclInput) -> GetObjectAclOutput;
    async fn get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput;
    async fn get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput;
    async fn get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput;
    async fn head_bucket(HeadBucketInput) -> HeadBucketOutput;
    async fn head_object(HeadObjectInput) -> HeadObjectOutput;
    async fn list_buckets(ListBucketsInput) -> ListBucketsOutput;
    async fn list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput;
    async fn list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput;
    async fn list_objects(ListObjectsInput) -> ListObjectsOutput;
    async fn list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    async fn list_parts(ListPartsInput) -> ListPartsOutput;
    async fn put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput;
    async fn put_object(PutObjectInput) -> PutObjectOutput;
    async fn put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput;
    async fn put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput;
    async fn restore_object(RestoreObjectInput) -> RestoreObjectOutput;
    async fn upload_part(UploadPartInput) -> UploadPartOutput;
}
