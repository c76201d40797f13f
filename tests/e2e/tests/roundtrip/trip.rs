//! A round trip: a bucket is filled, read, backed up, restored to an empty one, and read there.

use crate::fill::{Refused, accepted, fill};
use crate::observed::{Facts, Observed, observe, observe_versions};
use crate::samples::{self, Sample};
use crate::verdict::{Losses, Trip};
use anyhow::{Context, Result};
use credenza_e2e::s3::S3;
use credenza_e2e::{Outcome, Setup};
use http::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What kind of buckets a round trip goes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buckets {
    Plain,
    Versioned,
    Locking,
}

impl Buckets {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Versioned => "versioned",
            Self::Locking => "locking",
        }
    }

    fn samples(self) -> Vec<Sample> {
        match self {
            Self::Plain => samples::flat(),
            Self::Versioned => samples::versioned(),
            Self::Locking => samples::locked(),
        }
    }

    /// Makes a bucket; `Err` when the server has none of the kind.
    fn create(self, s3: &S3, bucket: &str) -> Result<()> {
        let lock = [("x-amz-bucket-object-lock-enabled", "true")];
        let headers = if self == Self::Locking { &lock[..] } else { &[] };
        accepted(s3.send(Method::PUT, (bucket, b""), &[], headers, "")?)?;
        if self == Self::Versioned {
            let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
            accepted(s3.send(Method::PUT, (bucket, b""), &[("versioning", "")], &[], enabled)?)?;
        }
        Ok(())
    }

    fn observe(self, s3: &S3, bucket: &str) -> Result<Observed> {
        match self {
            Self::Plain => observe(s3, bucket),
            Self::Versioned => observe_versions(s3, bucket),
            // Some take the wish for locks and have no versions.
            Self::Locking => observe_versions(s3, bucket).or_else(|_| observe(s3, bucket)),
        }
    }
}

/// Goes there and back.
pub(crate) fn round_trip(s3: &S3, buckets: Buckets) -> Result<Trip> {
    let samples = buckets.samples();
    let [source, copy] = ["source", "copy"].map(|role| format!("{}-{role}", buckets.name()));
    if let Err(cause) = buckets.create(s3, &source).and_then(|()| buckets.create(s3, &copy)) {
        return Ok(no_bucket(samples, &cause));
    }
    let refused = fill(s3, &source, &samples)?;
    let held = buckets.observe(s3, &source).context("reading what was put")?;
    let setup = Setup::with_local_repository()?;
    setup.add("source", "live", s3.endpoint(), &source)?;
    setup.add("destination", "copy", s3.endpoint(), &copy)?;
    let versions = format!("versions={}", buckets == Buckets::Versioned);
    let backup = setup.credenza.run(["--json", "backup", "-o", &versions, "-o", "acl=true", "@live"])?;
    let named = failed_keys(&backup)?;
    backup.expect_code(if named.is_empty() { 0 } else { 3 })?;
    let entries = setup.credenza.ok(["--json", "ls", "-lR", "latest"])?.lines_of("entry")?;
    let mut words =
        vec!["--json", "restore", "latest", "--overwrite", "--accept-loss", "-o", "acl=true", "-o", "locks=true"];
    words.extend((buckets == Buckets::Versioned).then_some("--versions"));
    words.extend(["--to", "@copy"]);
    let restored = setup.credenza.run(&words)?;
    let summary = restored.summary()?;
    anyhow::ensure!(summary["damaged"] == 0, "{}", restored.whole());
    let failed = failed_keys(&restored)?;
    let copy = buckets.observe(s3, &copy).context("reading the copy")?;
    Ok(Trip { samples, refused, held, kept: kept(&entries), named, copy, failed, reported: reported(&summary)? })
}

/// A server that has no such buckets holds nothing of what goes into them.
fn no_bucket(samples: Vec<Sample>, cause: &anyhow::Error) -> Trip {
    let why = cause.to_string();
    let refused: Refused = samples.iter().map(|sample| (sample.key.clone(), why.clone())).collect();
    Trip {
        samples,
        refused,
        held: Observed::new(),
        kept: BTreeMap::new(),
        named: BTreeSet::new(),
        copy: Observed::new(),
        failed: BTreeSet::new(),
        reported: Losses::new(),
    }
}

/// Keys that a command named with a reason.
fn failed_keys(outcome: &Outcome) -> Result<BTreeSet<String>> {
    let lines = outcome.lines_of("entry_failed")?;
    Ok(lines.iter().filter_map(|line| line["key"].as_str().map(str::to_owned)).collect())
}

fn kept(entries: &[Value]) -> BTreeMap<String, Facts> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let facts = |entry: &Value| {
        let attributes = entry["attributes"].as_object().into_iter().flatten();
        attributes.map(|(name, value)| (name.clone(), text(value))).collect::<Facts>()
    };
    entries.iter().filter_map(|entry| Some((entry["key"].as_str()?.to_owned(), facts(entry)))).collect()
}

fn reported(summary: &Value) -> Result<Losses> {
    serde_json::from_value(summary["unrestored"].clone()).context("the summary has no fidelity report")
}
