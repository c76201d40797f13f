//! Which S3 operation a request asks for, told from its method, path and query alone.
//!
//! Called by [`crate::door`] before the signature is looked at, so that faults and counts cover refused
//! requests too.

use http::Method;

/// An S3 operation, as far as counts and faults tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the operation of the same name in the Amazon S3 API reference")]
pub enum Operation {
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CreateBucket,
    CreateMultipartUpload,
    DeleteObject,
    DeleteObjects,
    /// Reads a sub-resource of a bucket: its policy, its versioning …
    GetBucketConfiguration,
    GetObject,
    GetObjectRetention,
    GetObjectTagging,
    HeadBucket,
    HeadObject,
    ListObjectVersions,
    ListObjects,
    ListObjectsV2,
    ListParts,
    PutObject,
    PutObjectRetention,
    PutObjectTagging,
    RestoreObject,
    UploadPart,
    /// Everything else.
    Other,
}

impl Operation {
    /// Whether this reads the list of a bucket's objects.
    pub fn is_list(self) -> bool {
        matches!(self, Self::ListObjects | Self::ListObjectsV2 | Self::ListObjectVersions)
    }

    pub(crate) fn of(method: &Method, has_key: bool, query: &str, copies: bool) -> Self {
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        match (method.as_str(), has_key) {
            ("GET", false) if has("versions") => Self::ListObjectVersions,
            ("GET", false) if query.split('&').any(|pair| pair == "list-type=2") => Self::ListObjectsV2,
            ("GET", false) if !has_sub_resource(query) => Self::ListObjects,
            ("GET", false) => Self::GetBucketConfiguration,
            ("GET", true) if has("tagging") => Self::GetObjectTagging,
            ("GET", true) if has("retention") => Self::GetObjectRetention,
            ("GET", true) if has("uploadId") => Self::ListParts,
            ("GET", true) if !has_sub_resource(query) => Self::GetObject,
            ("HEAD", false) => Self::HeadBucket,
            ("HEAD", true) => Self::HeadObject,
            ("PUT", false) if query.is_empty() => Self::CreateBucket,
            ("PUT", true) if has("partNumber") => Self::UploadPart,
            ("PUT", true) if has("tagging") => Self::PutObjectTagging,
            ("PUT", true) if has("retention") => Self::PutObjectRetention,
            ("PUT", true) if copies => Self::CopyObject,
            ("PUT", true) if !has_sub_resource(query) => Self::PutObject,
            ("POST", false) if has("delete") => Self::DeleteObjects,
            ("POST", true) if has("restore") => Self::RestoreObject,
            ("POST", true) if has("uploads") => Self::CreateMultipartUpload,
            ("POST", true) if has("uploadId") => Self::CompleteMultipartUpload,
            ("DELETE", true) if has("uploadId") => Self::AbortMultipartUpload,
            ("DELETE", true) if !has_sub_resource(query) => Self::DeleteObject,
            _ => Self::Other,
        }
    }
}

/// Sub-resources that turn a request on a bucket or an object into a question about its configuration.
fn has_sub_resource(query: &str) -> bool {
    const NAMES: [&str; 24] = [
        "accelerate",
        "acl",
        "attributes",
        "cors",
        "encryption",
        "intelligent-tiering",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "retention",
        "tagging",
        "uploads",
        "versioning",
        "website",
    ];
    query.split('&').any(|pair| pair.split('=').next().is_some_and(|name| NAMES.contains(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_told_apart() {
        let of = |method: Method, has_key, query| Operation::of(&method, has_key, query, false);
        assert_eq!(of(Method::GET, false, "list-type=2&prefix=a"), Operation::ListObjectsV2);
        assert_eq!(of(Method::GET, false, "prefix=a"), Operation::ListObjects);
        assert_eq!(of(Method::GET, false, "location"), Operation::GetBucketConfiguration);
        assert_eq!(of(Method::PUT, false, "versioning"), Operation::Other);
        assert_eq!(of(Method::GET, true, "versionId=1"), Operation::GetObject);
        assert_eq!(of(Method::PUT, true, "x-id=PutObject"), Operation::PutObject);
        assert_eq!(of(Method::PUT, true, "partNumber=1&uploadId=u"), Operation::UploadPart);
        assert_eq!(of(Method::POST, true, "uploads"), Operation::CreateMultipartUpload);
        assert_eq!(of(Method::DELETE, true, ""), Operation::DeleteObject);
    }
}
