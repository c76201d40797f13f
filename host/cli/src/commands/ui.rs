//! `ui`: the page for a browser on this machine.

use std::fmt::{self, Display};
use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use credenza_web::{Given, Limits, Links, Options, Server};
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::report::Reporter;

/// Show the repositories of the configuration in a browser on this machine.
///
/// It prints a link that lets one browser in, once, within 60 seconds; each Enter in the terminal prints another. It ends when it is interrupted, and
/// with it all sessions and keys. To look from another machine, forward the port: ssh -L 8080:127.0.0.1:8080 HOST credenza ui --listen 127.0.0.1:8080
#[derive(Debug, Args)]
pub(crate) struct Ui {
    /// Listen there, an address of this machine alone; with port 0 the system chooses one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Where a browser enters.
#[derive(Serialize)]
#[serde(tag = "type", rename = "link")]
struct LinkLine {
    link: String,
}

impl Display for LinkLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.link)
    }
}

impl Ui {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        // To be asked to end is how this ends.
        let _heeding = session.stop.heeding();
        let given = session.repository_if_named()?;
        let given = given.map(|place| Given { place, sources: session.secret_sources() });
        let options = Options { listen: self.listen, given, limits: Limits::default() };
        let server = Server::bind(session.app.clone(), options, session.stop.clone()).await?;
        let links = server.links();
        session
            .reporter
            .note("open this in a browser; it can be used once, within 60 s. Enter prints another, Ctrl-C ends");
        tell(&links, session.reporter)?;
        let reporter = Arc::clone(session.reporter);
        // Nobody waits for it: it ends with the input, or the program.
        std::thread::spawn(move || {
            let asked = std::io::stdin().lock().lines().map_while(Result::ok);
            asked.map_while(|_| tell(&links, &reporter).ok()).for_each(drop);
        });
        server.run().await;
        Ok(Exit::Done)
    }
}

fn tell(links: &Links, reporter: &Reporter) -> Result<(), Failure> {
    Ok(reporter.at_once(&LinkLine { link: links.make()? })?)
}
