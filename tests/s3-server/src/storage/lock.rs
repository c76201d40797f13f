//! The retention of an object: told, and extended.

use super::Storage;
use super::read::find;
use crate::object::{Lock, now};
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

impl Storage {
    pub(super) async fn get_object_retention(
        &self,
        request: S3Request<GetObjectRetentionInput>,
    ) -> S3Result<GetObjectRetentionOutput> {
        let input = request.input;
        self.with(&input.bucket, |bucket| {
            let lock = &find(bucket, &input.key, input.version_id.as_deref())?.lock;
            let Some(mode) = lock.mode.clone() else {
                return Err(s3_error!(NoSuchObjectLockConfiguration));
            };
            let retention = ObjectLockRetention { mode: Some(mode.into()), retain_until_date: lock.until.clone() };
            Ok(GetObjectRetentionOutput { retention: Some(retention) })
        })
    }

    pub(super) async fn put_object_retention(
        &self,
        request: S3Request<PutObjectRetentionInput>,
    ) -> S3Result<PutObjectRetentionOutput> {
        let input = request.input;
        let wanted = input.retention.unwrap_or_default();
        let bypass = input.bypass_governance_retention.unwrap_or(false);
        self.with(&input.bucket, |bucket| {
            if !bucket.lock_enabled {
                return Err(s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration"));
            }
            let id = find(bucket, &input.key, input.version_id.as_deref())?.id.clone();
            let versions = bucket.objects.get_mut(&input.key).into_iter().flatten();
            for version in versions.filter(|version| version.id == id) {
                let shortens = wanted.retain_until_date < version.lock.until;
                if shortens && version.lock.holds(now(), bypass) {
                    return Err(s3_error!(AccessDenied, "Access Denied because object protected by object lock."));
                }
                let mode = wanted.mode.as_ref().map(|mode| mode.as_str().to_owned());
                version.lock =
                    Lock { mode, until: wanted.retain_until_date.clone(), legal_hold: version.lock.legal_hold };
            }
            Ok(PutObjectRetentionOutput::default())
        })
    }
}
