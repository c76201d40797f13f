//! How what work costs grows with the number of keys, in process: one chunk a key, of a source that is made up as it is read.
//!
//! `credenza-bench-scale step FOLDER KEYS STEP` does one step in the folder and prints what it cost as one line of JSON. `credenza-bench-scale grow [--svg FILE] KEYS...` does all
//! steps for each number of keys, each in a process of its own so that its peak of memory is its own, and prints the figures and how they grow.
//!
//! Owned here: the steps, and what they cost. Refused here: limits, which the test `scale` beside this program has. Called by that and by `cargo xtask bench scale`.

mod chart;
mod cost;
mod growth;
mod keys;
mod step;

use anyhow::{Context, Result, bail};

const USAGE: &str = "usage: credenza-bench-scale grow [--svg FILE] KEYS... | step FOLDER KEYS STEP";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["step", folder, keys, step] => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let spent = runtime.block_on(step::run(folder.as_ref(), number(keys)?, step))?;
            write(&cost::line(spent, folder.as_ref())?)
        }
        ["grow", "--svg", file, sizes @ ..] => growth::measure(&numbers(sizes)?, Some(file.as_ref())),
        ["grow", sizes @ ..] => growth::measure(&numbers(sizes)?, None),
        _ => bail!(USAGE),
    }
}

fn numbers(words: &[&str]) -> Result<Vec<u64>> {
    words.iter().map(|word| number(word)).collect()
}

fn number(word: &str) -> Result<u64> {
    word.parse().with_context(|| format!("`{word}` is no number of keys; {USAGE}"))
}

/// A line for the person who measures.
#[allow(clippy::print_stdout)]
fn write(line: &str) -> Result<()> {
    println!("{line}");
    Ok(())
}
