//! What the access key may do, by a policy document as IAM reads it: the part of its language that the policies of this repository use.
//!
//! `Statement`s with `Effect`, `Action`, `Resource` (`*` stands for anything) and the condition `Null` on
//! `s3:if-none-match` are understood; everything else is an error, so that no policy is taken for stricter than it is. Batches of
//! deletions need the right to delete any key, because they are judged before their body is read.

use crate::Operation;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A policy that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the policy is not understood: {0}")]
pub struct PolicyError(#[from] serde_json::Error);

/// A policy document.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Policy {
    #[allow(dead_code, reason = "a document without it is none")]
    version: String,
    statement: Vec<Statement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[allow(dead_code, reason = "a name for people")]
    sid: Option<String>,
    effect: Effect,
    action: Vec<String>,
    resource: Vec<String>,
    #[serde(default)]
    condition: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Condition {
    null: Option<BTreeMap<NullKey, Truth>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum NullKey {
    #[serde(rename = "s3:if-none-match")]
    IfNoneMatch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Truth {
    #[serde(rename = "true")]
    True,
    #[serde(rename = "false")]
    False,
}

/// A request as a policy sees it.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) actions: Vec<&'static str>,
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// It carries `If-None-Match`.
    pub(crate) creates_only: bool,
}

/// The policy in force; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CurrentPolicy(Arc<Mutex<Option<Policy>>>);

impl CurrentPolicy {
    pub(crate) fn set(&self, policy: Option<Policy>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    pub(crate) fn allows(&self, asking: &Asking) -> bool {
        let policy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        policy.as_ref().is_none_or(|policy| policy.allows(asking))
    }
}

impl Policy {
    /// Reads a policy document.
    ///
    /// # Errors
    /// When it is none, or says anything that is not understood here.
    pub fn parse(json: &str) -> Result<Self, PolicyError> {
        Ok(serde_json::from_str(json)?)
    }

    /// Each action must be allowed by a statement and denied by none.
    fn allows(&self, asking: &Asking) -> bool {
        let says = |effect: Effect, action: &str| {
            self.statement.iter().any(|one| one.effect == effect && one.covers(action, asking))
        };
        asking.actions.iter().all(|action| says(Effect::Allow, action) && !says(Effect::Deny, action))
    }
}

impl Statement {
    fn covers(&self, action: &str, asking: &Asking) -> bool {
        let resource = match asking.key.is_empty() && action != "s3:DeleteObject" {
            true => format!("arn:aws:s3:::{}", asking.bucket),
            // A batch: any key.
            false if asking.key.is_empty() => format!("arn:aws:s3:::{}/*", asking.bucket),
            false => format!("arn:aws:s3:::{}/{}", asking.bucket, asking.key),
        };
        self.action.iter().any(|pattern| matches(pattern, action))
            && self.resource.iter().any(|pattern| matches(pattern, &resource))
            && self.condition.holds(asking)
    }
}

impl Condition {
    fn holds(&self, asking: &Asking) -> bool {
        let is_null = |key: &NullKey| match key {
            NullKey::IfNoneMatch => !asking.creates_only,
        };
        self.null.iter().flatten().all(|(key, wanted)| is_null(key) == (*wanted == Truth::True))
    }
}

/// Whether a pattern, in which `*` stands for any text, covers a text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text
            .strip_prefix(head)
            .is_some_and(|rest| (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| matches(tail, rest))),
    }
}

/// The rights that a request needs (docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html).
pub(crate) fn actions(operation: Operation, query: &str, locks: bool) -> Vec<&'static str> {
    let versioned = query.split('&').any(|pair| pair.starts_with("versionId="));
    match operation {
        Operation::GetObject | Operation::HeadObject if versioned => vec!["s3:GetObjectVersion"],
        Operation::GetObject | Operation::HeadObject => vec!["s3:GetObject"],
        Operation::GetBucketConfiguration => vec![action_of_configuration(query)],
        Operation::GetObjectRetention => vec!["s3:GetObjectRetention"],
        Operation::GetObjectTagging => vec!["s3:GetObjectTagging"],
        Operation::ListObjects | Operation::ListObjectsV2 | Operation::HeadBucket => vec!["s3:ListBucket"],
        Operation::ListObjectVersions => vec!["s3:ListBucketVersions"],
        Operation::PutObject if locks => vec!["s3:PutObject", "s3:PutObjectRetention"],
        Operation::PutObject
        | Operation::CreateMultipartUpload
        | Operation::UploadPart
        | Operation::CompleteMultipartUpload => vec!["s3:PutObject"],
        Operation::PutObjectRetention => vec!["s3:PutObjectRetention"],
        Operation::DeleteObject if versioned => vec!["s3:DeleteObjectVersion"],
        Operation::DeleteObject | Operation::DeleteObjects => vec!["s3:DeleteObject"],
        Operation::AbortMultipartUpload => vec!["s3:AbortMultipartUpload"],
        _ => vec!["s3:Other"],
    }
}

/// The right to read what the first word of a query names.
fn action_of_configuration(query: &str) -> &'static str {
    match query.split(['&', '=']).next().unwrap_or_default() {
        "acl" => "s3:GetBucketAcl",
        "cors" => "s3:GetBucketCORS",
        "encryption" => "s3:GetEncryptionConfiguration",
        "lifecycle" => "s3:GetLifecycleConfiguration",
        "logging" => "s3:GetBucketLogging",
        "notification" => "s3:GetBucketNotification",
        "object-lock" => "s3:GetBucketObjectLockConfiguration",
        "ownershipControls" => "s3:GetBucketOwnershipControls",
        "policy" => "s3:GetBucketPolicy",
        "publicAccessBlock" => "s3:GetBucketPublicAccessBlock",
        "replication" => "s3:GetReplicationConfiguration",
        "tagging" => "s3:GetBucketTagging",
        "versioning" => "s3:GetBucketVersioning",
        "website" => "s3:GetBucketWebsite",
        _ => "s3:Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(action: &'static str, key: &str, creates_only: bool) -> Asking {
        Asking { actions: vec![action], bucket: "b".to_owned(), key: key.to_owned(), creates_only }
    }

    #[test]
    fn a_policy_grants_what_it_says_and_nothing_else() {
        let policy = Policy::parse(
            r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::b/data/*"],
                 "Condition": {"Null": {"s3:if-none-match": "false"}}},
                {"Effect": "Allow", "Action": ["s3:Get*", "s3:ListBucket"], "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]},
                {"Effect": "Deny", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/secret"]}]}"#,
        )
        .unwrap();
        for (action, key, creates_only, allowed) in [
            ("s3:PutObject", "data/x", true, true),
            ("s3:PutObject", "data/x", false, false),
            ("s3:PutObject", "key/x", true, false),
            ("s3:GetObject", "data/x", false, true),
            ("s3:GetObject", "secret", false, false),
            ("s3:ListBucket", "", false, true),
            ("s3:DeleteObject", "data/x", false, false),
            ("s3:DeleteObject", "", false, false),
        ] {
            assert_eq!(policy.allows(&asking(action, key, creates_only)), allowed, "{action} {key}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in [
            "{}",
            r#"{"Version": "x", "Statement": [{"Effect": "Allow", "Action": [], "Resource": [], "NotAction": []}]}"#,
            r#"{"Version": "x", "Statement": [{"Effect": "Allow", "Action": [], "Resource": [], "Condition": {"Bool": {}}}]}"#,
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
    }
}
