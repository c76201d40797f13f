//! What `connector record` puts onto a tape, and what it keeps off it. That the SDK plays it, the guide for authors shows.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::fs;

use credenza_e2e::{Outcome, Setup, memory_server};
use credenza_s3_server::Attributes;

#[test]
fn a_tape_has_what_passed_and_no_secret() {
    let (server, endpoint) = memory_server().unwrap();
    server.buckets.create("photos");
    server.buckets.put_object("photos", "2026/garden.txt", b"roses\nand more".to_vec(), Attributes::default());
    server.buckets.put_object("photos", "2026/raw", vec![0, 159, 146, 150], Attributes::default());
    server.buckets.put_object("photos", "large", vec![7; 3 * 1024 * 1024], Attributes::default());
    let setup = Setup::new().unwrap();
    setup.add("source", "photos", &endpoint, "photos").unwrap();
    let path = setup.path("x.tape");
    let record = |words: &[&str]| -> Outcome {
        let before = ["connector", "record", "@photos", "--to", path.to_str().unwrap()];
        setup.credenza.run([&before, words].concat()).unwrap()
    };
    let tape = || fs::read_to_string(&path).unwrap();

    record(&["scan"]).expect_code(0).unwrap();
    let listing = tape();
    assert!(listing.contains("\n> GET bucket ") && listing.contains("\n< 200\n"), "{listing}");
    assert!(listing.contains("2026/garden.txt") && listing.contains("large"), "{listing}");
    for secret in [endpoint.secret_key.as_str(), &endpoint.access_key] {
        assert!(!listing.contains(secret), "{listing}");
    }
    for header in ["authorization", "x-amz-request-id", "cookie", "x-amz-date"] {
        assert!(!listing.to_lowercase().contains(&format!("\n: {header}")), "{header}: {listing}");
    }

    record(&["read", "2026/garden.txt"]).expect_code(0).unwrap();
    assert!(tape().contains("\n| roses\n| and more\n"), "{}", tape());
    record(&["read", "2026/raw"]).expect_code(0).unwrap();
    assert!(tape().contains("\n= AJ+Slg==\n"), "{}", tape());

    // What does not fit is reported, and what was recorded before is kept.
    let reported = record(&["read", "large"]).expect_code(3).unwrap();
    assert!(reported.stdout.contains("too long to be recorded"), "{}", reported.whole());
    assert!(tape().contains("large") && !tape().contains("\n> GET bucket /large"), "{}", tape());
    let reported = record(&["read", "absent"]).expect_code(3).unwrap();
    assert!(reported.stdout.contains("there is no absent"), "{}", reported.whole());

    // Without an answer there is nothing to keep.
    fs::remove_file(&path).unwrap();
    let words = [
        "connector",
        "record",
        "s3://127.0.0.1:1/photos",
        "--to",
        path.to_str().unwrap(),
        "-o",
        "use_tls=false",
        "-o",
        "anonymous=true",
        "scan",
    ];
    setup.credenza.run(words).unwrap().expect_code(1).unwrap();
    assert!(!path.exists());
}
