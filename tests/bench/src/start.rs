//! What a command costs before it does anything: CPU per run, the mean of many, with warm caches.

use anyhow::{Context, Result};
use credenza_e2e::{Credenza, Setup};

use crate::cpu::cost_of;
use crate::report::{verdict, write};
use crate::server::Server;

const RUNS: u32 = 20;

/// Measures, prints, and says whether all starts are as cheap as they must be.
pub(crate) fn measure() -> Result<bool> {
    write(&format!("Start of a command: mean of {RUNS} runs"))?;
    let server = Server::start(1, 1)?;
    let mut setup = Setup::new()?;
    setup.credenza.set("CREDENZA_REPOSITORY", &setup.path("repository").to_string_lossy());
    setup.credenza.ok(["create"])?;
    let mut bucket = vec!["source".to_owned(), "add".to_owned(), "bucket".to_owned()];
    bucket.extend(server.settings().into_iter().map(|setting| setting.trim_start_matches("location=").to_owned()));
    setup.credenza.ok(bucket)?;
    let commands: [(&[&str], f64, &str); 4] = [
        (&["--version"], 10.0, "nothing but the program"),
        (&["connector", "inspect", "s3"], 60.0, "reads a component"),
        (&["browse", "@bucket"], 60.0, "runs a component from the cache of compiled code"),
        (&["ls"], 150.0, "opens an encrypted repository: most of it is Argon2id at its least parameters"),
    ];
    let mut all_hold = true;
    for (words, max, what) in commands {
        all_hold &=
            verdict(&format!("credenza {} ({what})", words.join(" ")), mean_ms(&setup.credenza, words)?, max, " ms")?;
    }
    Ok(all_hold)
}

fn mean_ms(credenza: &Credenza, words: &[&str]) -> Result<f64> {
    credenza.ok(words).context("the warm-up failed")?;
    let (_, cost) = cost_of(|| (0..RUNS).try_for_each(|_| credenza.ok(words).map(drop)))?;
    Ok(cost.cpu.as_secs_f64() * 1000.0 / f64::from(RUNS))
}
