//! Operations on a bucket as a whole: create, look at, configure.

use super::Storage;
use crate::buckets::Versioning;
use crate::object::now;
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

impl Storage {
    pub(super) async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<CreateBucketOutput> {
        let name = request.input.bucket;
        let mut all = self.buckets.lock();
        if all.contains_key(&name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        let bucket = all.entry(name.clone()).or_default();
        bucket.lock_enabled = request.input.object_lock_enabled_for_bucket.unwrap_or(false);
        if bucket.lock_enabled {
            bucket.versioning = Versioning::Enabled;
        }
        Ok(CreateBucketOutput { location: Some(format!("/{name}")) })
    }

    pub(super) async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> S3Result<DeleteBucketOutput> {
        self.with(&request.input.bucket, |bucket| match bucket.objects.is_empty() {
            true => Ok(()),
            false => Err(s3_error!(BucketNotEmpty)),
        })?;
        self.buckets.lock().remove(&request.input.bucket);
        Ok(DeleteBucketOutput {})
    }

    pub(super) async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<HeadBucketOutput> {
        self.with(&request.input.bucket, |_| Ok(HeadBucketOutput::default()))
    }

    pub(super) async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<ListBucketsOutput> {
        let all = self.buckets.lock();
        let buckets = all.keys().map(|name| Bucket {
            name: Some(name.clone()),
            creation_date: Some(now()),
            ..Default::default()
        });
        Ok(ListBucketsOutput { buckets: Some(buckets.collect()), ..Default::default() })
    }

    pub(super) async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<GetBucketLocationOutput> {
        self.with(&request.input.bucket, |_| Ok(GetBucketLocationOutput::default()))
    }

    pub(super) async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<GetBucketVersioningOutput> {
        self.with(&request.input.bucket, |bucket| {
            let status = match bucket.versioning {
                Versioning::Off => None,
                Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
                Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
            };
            Ok(GetBucketVersioningOutput { status, ..Default::default() })
        })
    }

    pub(super) async fn put_bucket_versioning(
        &self,
        request: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<PutBucketVersioningOutput> {
        let wanted = request.input.versioning_configuration.status;
        self.with(&request.input.bucket, |bucket| {
            bucket.versioning = match wanted.as_ref().map(BucketVersioningStatus::as_str) {
                Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
                Some(BucketVersioningStatus::SUSPENDED) if !bucket.lock_enabled => Versioning::Suspended,
                _ => return Err(s3_error!(IllegalVersioningConfigurationException)),
            };
            Ok(PutBucketVersioningOutput::default())
        })
    }

    pub(super) async fn get_object_lock_configuration(
        &self,
        request: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<GetObjectLockConfigurationOutput> {
        self.with(&request.input.bucket, |bucket| {
            if !bucket.lock_enabled {
                return Err(s3_error!(ObjectLockConfigurationNotFoundError));
            }
            let enabled = ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED);
            let configuration = ObjectLockConfiguration { object_lock_enabled: Some(enabled), rule: None };
            Ok(GetObjectLockConfigurationOutput { object_lock_configuration: Some(configuration) })
        })
    }
}
