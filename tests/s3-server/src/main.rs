//! The in-memory S3 server as a process: prints endpoint and keys, serves until it is ended.
//!
//! `credenza-s3-server [--port N] [--bucket NAME] [--seed-objects N] [--seed-bytes N] [--page-seed N]`

use credenza_s3_server::{Attributes, Content, Options, Server};
use std::io::{self, Write};
use std::process::ExitCode;

const USAGE: &str =
    "usage: credenza-s3-server [--port N] [--bucket NAME] [--seed-objects N] [--seed-bytes N] [--page-seed N]";

struct Arguments {
    port: u16,
    bucket: String,
    seed_objects: u64,
    seed_bytes: u64,
    page_seed: Option<u64>,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(arguments) => match run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("cannot serve on 127.0.0.1:{}: {error}", arguments.port), 1),
        },
        Err(message) => complain(&format!("{message}\n{USAGE}"), 2),
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments =
        Arguments { port: 0, bucket: "bucket".to_owned(), seed_objects: 0, seed_bytes: 4096, page_seed: None };
    while let Some(name) = words.next() {
        let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} needs a number, not {value}"));
        match name.as_str() {
            "--port" => arguments.port = value.parse().map_err(|_| format!("{value} is not a port"))?,
            "--bucket" => arguments.bucket = value,
            "--seed-objects" => arguments.seed_objects = number()?,
            "--seed-bytes" => arguments.seed_bytes = number()?,
            "--page-seed" => arguments.page_seed = Some(number()?),
            _ => return Err(format!("{name} is not an option")),
        }
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let server = Server::start(Options { port: arguments.port, page_seed: arguments.page_seed, ..Options::default() })?;
    server.buckets.create(&arguments.bucket);
    for seed in 0..arguments.seed_objects {
        let content = Content::Synthetic { seed, bytes: arguments.seed_bytes };
        let key = format!("object-{seed:08}");
        server.buckets.put_object(&arguments.bucket, &key, content, Attributes::default());
    }
    let mut out = io::stdout();
    writeln!(out, "endpoint={}", server.endpoint)?;
    writeln!(out, "access_key={}", server.access_key)?;
    writeln!(out, "secret_key={}", server.secret_key)?;
    writeln!(out, "bucket={}", arguments.bucket)?;
    out.flush()?;
    loop {
        std::thread::park();
    }
}

fn complain(message: &str, code: u8) -> ExitCode {
    // Nothing is left to do when even the complaint cannot be written.
    let _ = writeln!(io::stderr(), "credenza-s3-server: {message}");
    ExitCode::from(code)
}
