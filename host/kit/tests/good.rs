//! The kit over connectors that are good: it demands nothing that they need not do.

#![allow(clippy::unwrap_used, reason = "a component that cannot be loaded is a failed test")]

use std::path::Path;

use credenza_kit::{Candidate, CaseOutcome, CaseResult, Plan};

async fn tested(component: &str, plan: &str) -> Vec<CaseResult> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("target").join(component);
    let bytes =
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run cargo xtask guests", path.display()));
    let plan = Plan::parse(&std::fs::read_to_string(root.join(plan)).unwrap()).unwrap();
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    let results = Candidate::load(&bytes, Some(compiled)).unwrap().test(&plan, seed).await.unwrap();
    let failed: Vec<&CaseResult> = results.iter().filter(|result| result.is_failed()).collect();
    assert!(failed.is_empty(), "{component}, seed {seed}: {failed:#?}");
    results
}

fn passed(results: &[CaseResult]) -> usize {
    results.iter().filter(|result| result.outcome == CaseOutcome::Passed).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_passes_every_check_of_what_it_claims() {
    let results = tested("guests/template.wasm", "plugins/template/kit.toml").await;
    assert!(passed(&results) >= 120, "{} of {} checks passed", passed(&results), results.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webdav_connector_passes_every_check_of_what_it_claims() {
    let results = tested("connectors/webdav.wasm", "plugins/webdav/kit.toml").await;
    assert!(passed(&results) >= 120, "{} of {} checks passed", passed(&results), results.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_s3_connector_passes_every_check_of_what_it_claims() {
    let results = tested("connectors/s3.wasm", "plugins/s3/kit.toml").await;
    assert!(passed(&results) >= 120, "{} of {} checks passed", passed(&results), results.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_in_javascript_passes_every_check_of_what_it_claims() {
    let results = tested("guests/template-javascript.wasm", "plugins/template-javascript/kit.toml").await;
    assert!(passed(&results) >= 60, "{} of {} checks passed", passed(&results), results.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gcs_connector_passes_every_check_of_what_it_claims() {
    let results = tested("connectors/gcs.wasm", "plugins/gcs/kit.toml").await;
    assert!(passed(&results) >= 120, "{} of {} checks passed", passed(&results), results.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_azure_connector_passes_every_check_of_what_it_claims() {
    let results = tested("connectors/azure.wasm", "plugins/azure/kit.toml").await;
    assert!(passed(&results) >= 120, "{} of {} checks passed", passed(&results), results.len());
}
