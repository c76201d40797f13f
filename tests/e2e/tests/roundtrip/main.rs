//! Buckets come back as they were: hard keys and every attribute, on each server. What a server does not hold by itself is
//! told apart from what the round trip loses, and all that is lost must be in the fidelity report, and nothing else.
//! What is found is a table in the README, which this test keeps true.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what fails here is a failed test"
)]

mod fill;
mod keys;
mod observed;
mod samples;
mod table;
mod trip;
mod verdict;

use anyhow::Result;
use credenza_e2e::memory_server;
use credenza_e2e::s3::S3;
use credenza_e2e::servers::{Kind, RealServer};
use table::Column;
use trip::{Buckets, round_trip};

/// The round trips on one server.
type Run = fn() -> Result<Column>;

#[test]
fn what_is_not_equal_after_a_round_trip_is_reported() {
    let runs: [(&'static str, Run); 4] = [
        ("in-memory server", in_memory),
        ("SeaweedFS", || on_real(Kind::SeaweedFs)),
        ("MiniStack", || on_real(Kind::MiniStack)),
        ("rclone serve s3", || on_real(Kind::Rclone)),
    ];
    let columns = std::thread::scope(|scope| {
        let threads = runs.map(|(server, run)| {
            scope.spawn(move || run().map(|column| Column { server, ..column }).map_err(|e| format!("{server}: {e:#}")))
        });
        threads.map(|thread| thread.join().unwrap())
    });
    let failures: Vec<&str> = columns.iter().filter_map(|column| column.as_ref().err()).map(String::as_str).collect();
    columns.iter().filter_map(|column| column.as_ref().ok()).for_each(|column| println!("{}", column.text()));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    table::expect_in_readme(&table::markdown(&columns.map(Result::unwrap)));
}

fn in_memory() -> Result<Column> {
    let (_server, endpoint) = memory_server()?;
    column(&S3::new(endpoint)?)
}

fn on_real(kind: Kind) -> Result<Column> {
    column(&RealServer::start(kind)?.s3)
}

fn column(s3: &S3) -> Result<Column> {
    let mut column = Column::default();
    let mut failures = Vec::new();
    for buckets in [Buckets::Plain, Buckets::Versioned, Buckets::Locking] {
        let trip = round_trip(s3, buckets)?;
        failures.extend(trip.failures().into_iter().map(|failure| format!("{buckets:?}: {failure}")));
        column.add(&trip);
    }
    anyhow::ensure!(failures.is_empty(), "{}\n{}", column.text(), failures.join("\n"));
    Ok(column)
}
