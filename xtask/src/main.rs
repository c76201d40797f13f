//! Tasks of the project that cargo alone cannot do: `cargo xtask TASK`.
//!
//! Owned here: the list of tasks, one module each. Refused here: anything that the product does at run time.
//! Called by developers and by CI.

mod audit;
mod bench;
mod bindings;
mod demo;
mod docs;
mod fuzz;
mod guests;
mod package;
mod step;
mod test;
mod toolchain;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "usage: cargo xtask TASK
  audit               hold the licences, duplicates and sources of all code of others against deny.toml
  bench [start|overhead|ready|folder|parity|copy|mount|serve|shards|scale]...
                      what a start, the sandbox, daily work, the copy of a bucket, looking into snapshots and sharing a backup cost, and how that grows
  bench peers         what borg, bupstash and restic take for the same: writes docs/peers.md and docs/peers.svg
  demo [--ui]         the main job, end to end, against an S3 server in memory; with --ui its page is served at the end
  dist                pack the program for release: an archive, a .deb, an SBOM and their digests in target/dist
  dist --prove        pack the development build, install it into a fresh Debian and use it there
  docs                make the book of docs/ in target/docs
  fuzz [TIMES]        try every decoder with bytes that a fuzzer makes up
  test                install what the tests need and run all of them
  guests              build the connectors into target/connectors and the test guests into target/guests
  bindings [--check]  write the SDK's generated bindings from wit/, or only compare them";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["bench", measurements @ ..] => bench::run_all(measurements),
        ["demo", words @ ..] if matches!(words, [] | ["--ui"]) => demo::run_all(words),
        ["audit"] => audit::run_all(),
        ["docs"] => docs::build(),
        ["dist"] => package::release(),
        ["dist", "--prove"] => package::prove(),
        ["test"] => test::run_all(),
        ["fuzz"] => fuzz::run_all(1),
        ["fuzz", times] => fuzz::run_all(times.parse().with_context(|| format!("`{times}` is no number"))?),
        ["guests"] => guests::build(&step::workspace()),
        ["bindings"] => bindings::settle(&step::workspace(), &[]),
        ["bindings", "--check"] => bindings::settle(&step::workspace(), &["--check"]),
        _ => bail!("{USAGE}"),
    }
}

/// A line for the developer, beside what the tools that run print.
#[allow(clippy::print_stderr)]
fn report(line: &str) {
    eprintln!("{line}");
}
