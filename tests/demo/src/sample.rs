//! The small bucket that the demonstration is about, and how it changes.
//!
//! Called by `main`; the keys are such that a folder can hold them under the same names.

use credenza_e2e::bucket::{TAME_KEYS, full_attributes};
use credenza_e2e::tree::noise;
use credenza_s3_server::{Attributes, Buckets};
use std::collections::BTreeMap;

/// Keys with their bodies.
pub(crate) type Objects = BTreeMap<String, Vec<u8>>;

/// Fills `bucket` and hands back what it put there.
pub(crate) fn fill(buckets: &Buckets, bucket: &str) -> Objects {
    let mut objects = Objects::new();
    for (seed, key) in (0..).zip(TAME_KEYS) {
        objects.insert(key.to_owned(), noise(seed, 1000 + seed));
    }
    for number in 0..200 {
        objects.insert(format!("orders/2026/{number:04}.json"), order(number));
    }
    objects.insert("catalogue.tar".to_owned(), noise(1000, 12 * 1024 * 1024));
    for (key, body) in &objects {
        let attributes = if key == "plain" { full_attributes() } else { Attributes::default() };
        buckets.put_object(bucket, key, body.clone(), attributes);
    }
    objects
}

/// One object changes, one appears, one is deleted.
pub(crate) fn change(buckets: &Buckets, bucket: &str) {
    buckets.put_object(bucket, "orders/2026/0007.json", order(7007), Attributes::default());
    buckets.put_object(bucket, "orders/2026/0200.json", order(200), full_attributes());
    buckets.remove(bucket, "orders/2026/0013.json");
}

fn order(number: u64) -> Vec<u8> {
    let lines: Vec<String> = (0..30).map(|line| format!("{{\"article\":{line},\"pieces\":{}}}", number % 9)).collect();
    format!("{{\"order\":{number},\"lines\":[{}]}}\n", lines.join(",")).into_bytes()
}
