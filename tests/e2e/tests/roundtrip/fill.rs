//! Fills a bucket, and keeps what the server refuses.

use crate::samples::{Sample, Step};
use anyhow::Result;
use credenza_e2e::s3::xml::element;
use credenza_e2e::s3::{Answer, S3};
use http::Method;
use std::collections::BTreeMap;
use std::time::Duration;

/// The keys whose samples the server did not take, and what it said.
pub(crate) type Refused = BTreeMap<String, String>;

pub(crate) fn fill(s3: &S3, bucket: &str, samples: &[Sample]) -> Result<Refused> {
    let mut refused = Refused::new();
    let rounds = samples.iter().map(|sample| sample.steps.len()).max().unwrap_or(0);
    for round in 0..rounds {
        // Versions of one second are in no order that a client could see.
        std::thread::sleep(if round > 0 { Duration::from_millis(1100) } else { Duration::ZERO });
        for sample in samples.iter().filter(|sample| sample.steps.len() > round) {
            if refused.contains_key(&sample.key) {
                continue;
            }
            if let Err(cause) = take(s3, bucket, sample.key.as_bytes(), &sample.steps[round]) {
                refused.insert(sample.key.clone(), cause.to_string());
            }
        }
    }
    Ok(refused)
}

fn take(s3: &S3, bucket: &str, key: &[u8], step: &Step) -> Result<()> {
    let send = |method, headers: &[(&str, &str)], body| accepted(s3.send(method, (bucket, key), &[], headers, body)?);
    match step {
        Step::Delete => send(Method::DELETE, &[], bytes::Bytes::new()),
        Step::Put { parts, headers } => {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            match parts.as_slice() {
                [whole] => send(Method::PUT, &headers, whole.clone()),
                parts => s3.put_parts(bucket, key, parts, &headers),
            }
        }
    }
}

/// A refusal by its status and its code, without what differs from run to run.
pub(crate) fn accepted(answer: Answer) -> Result<()> {
    let code = element(&String::from_utf8_lossy(&answer.body), "Code").unwrap_or_default();
    anyhow::ensure!(answer.status.is_success(), "{} {code}", answer.status.as_u16());
    Ok(())
}
