//! `ui`: the page for a browser, on this machine or on others.

mod user;

use std::fmt::{self, Display};
use std::io::BufRead;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use credenza_app::passphrase;
use credenza_web::{
    Certificate, Given, HeaderName, Limits, Links, Options, Others, Provider, Reach, Server, TrustedProxy, Way,
};
use serde::Serialize;

use super::Session;
use super::jobs::JobsAt;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::report::Reporter;

/// Show the repositories of the configuration in a browser.
///
/// On this machine it prints a link that lets one browser in, once, within 60 seconds; each Enter in the terminal prints another. It ends when it is
/// interrupted, and with it all sessions and keys. To look from another machine, forward the port: ssh -L 8080:127.0.0.1:8080 HOST credenza ui --listen
/// 127.0.0.1:8080. Or serve others: they ask for it by the names of --host, by TLS or through a proxy, and log in as users, whom `credenza ui user add`
/// makes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Ui {
    #[command(subcommand)]
    command: Option<UiCommand>,

    #[command(flatten)]
    serving: Serving,
}

#[derive(Debug, Subcommand)]
enum UiCommand {
    /// Who may use the page from other machines.
    #[command(subcommand)]
    User(user::UserCommand),
}

#[derive(Debug, Args)]
struct Serving {
    /// Listen there; with port 0 the system chooses one. An address that other machines reach needs TLS or a proxy, a name and users.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    #[command(flatten)]
    jobs: JobsAt,

    #[command(flatten)]
    reaching: Reaching,
}

/// Who can reach the page, and by which way.
#[derive(Debug, Args)]
pub(super) struct Reaching {
    /// A name by which browsers on other machines ask for the page, with its port unless that is the usual one; may be given several times. Any other name is
    /// refused.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,

    /// Speak TLS, with the chain of certificates in this PEM file, that of the server first.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "host"], value_parser = path_parser())]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate, a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_parser = path_parser())]
    tls_key: Option<PathBuf>,

    /// A proxy in front of it speaks TLS with browsers, and nobody else reaches the address.
    #[arg(long, requires = "host", conflicts_with = "tls_cert")]
    behind_proxy: bool,

    /// Answer only to the proxy: to requests that carry the secret in this file in the header X-Credenza-Proxy-Secret.
    #[arg(long, value_name = "FILE", requires = "behind_proxy", value_parser = path_parser())]
    proxy_secret_file: Option<PathBuf>,

    /// Let this identity provider vouch for users too (OpenID Connect); it sends browsers back to https://NAME/login/oidc/callback.
    #[arg(long, value_name = "URL", requires_all = ["host", "oidc_client_id"])]
    oidc_issuer: Option<String>,

    /// What the page is called at the identity provider.
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,

    /// What the page proves itself with at the identity provider.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer", value_parser = path_parser())]
    oidc_client_secret_file: Option<PathBuf>,

    /// The claim of the identity provider that is the name of the user; an email counts where it is verified.
    #[arg(long, value_name = "CLAIM", default_value = "email", requires = "oidc_issuer")]
    oidc_claim: String,

    /// The header in which the proxy names the user whom it has let through, such as Remote-User. The user is one of `credenza ui user list`.
    #[arg(long, value_name = "HEADER", requires = "proxy_secret_file")]
    proxy_user_header: Option<HeaderName>,
}

/// Where a browser enters.
#[derive(Serialize)]
#[serde(tag = "type", rename = "link")]
pub(super) struct LinkLine {
    pub(super) link: String,
}

impl Display for LinkLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.link)
    }
}

impl Ui {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self.command {
            Some(UiCommand::User(command)) => command.run(session).await,
            None => self.serving.run(session).await,
        }
    }
}

impl Serving {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        // To be asked to end is how this ends.
        let _heeding = session.stop.heeding();
        let server = self.reaching.serve(self.listen, self.jobs.given(), session).await?;
        if let Some(links) = server.links() {
            let note = "open this in a browser; it can be used once, within 60 s. Enter prints another, Ctrl-C ends";
            tell_links(links, note, session.reporter)?;
        } else {
            session.reporter.note("users log in there; Ctrl-C ends");
            session.reporter.at_once(&LinkLine { link: server.url() })?;
        }
        server.run().await;
        Ok(Exit::Done)
    }
}

impl Reaching {
    /// Whether any of it is given.
    pub(super) fn is_given(&self) -> bool {
        !self.host.is_empty() || self.behind_proxy || self.tls_key.is_some()
    }

    /// A page that listens, and shows the jobs of a file where it is not the usual one.
    pub(super) async fn serve(
        self,
        listen: SocketAddr,
        jobs: Option<PathBuf>,
        session: &Session<'_>,
    ) -> Result<Server, Failure> {
        let given = session.repository_if_named()?;
        let given = given.map(|place| Given { place, sources: session.secret_sources() });
        let options = Options { listen, reach: self.reach()?, given, jobs, limits: Limits::default() };
        Ok(Server::bind(session.app.clone(), options, session.stop.clone()).await?)
    }

    fn provider(&self) -> Result<Option<Provider>, Failure> {
        let (Some(issuer), Some(client_id)) = (self.oidc_issuer.clone(), self.oidc_client_id.clone()) else {
            return Ok(None);
        };
        let client_secret = self.oidc_client_secret_file.as_deref().map(passphrase::from_file).transpose()?;
        Ok(Some(Provider { issuer, client_id, client_secret, claim: self.oidc_claim.clone() }))
    }

    fn reach(self) -> Result<Reach, Failure> {
        let provider = self.provider()?;
        let way = match (self.tls_cert, self.tls_key, self.behind_proxy) {
            (Some(chain), Some(key), _) => Way::Tls(Certificate { chain, key }),
            (_, _, true) => {
                let user_header = self.proxy_user_header;
                let secret = self.proxy_secret_file.as_deref().map(passphrase::from_file).transpose()?;
                Way::Proxy(secret.map(|secret| TrustedProxy { secret, user_header }))
            }
            _ if self.host.is_empty() => return Ok(Reach::Machine),
            _ => {
                return Err(Failure::usage(
                    "--host is for others than this machine, and nothing says how they reach it",
                )
                .hint("add --tls-cert FILE --tls-key FILE, or --behind-proxy"));
            }
        };
        Ok(Reach::Others(Others { hosts: self.host, way, provider }))
    }
}

/// Prints a link, and another for each line of input.
fn tell_links(links: Links, note: &str, reporter: &Arc<Reporter>) -> Result<(), Failure> {
    reporter.note(note);
    tell(&links, reporter)?;
    let reporter = Arc::clone(reporter);
    // Nobody waits for it: it ends with the input, or the program.
    std::thread::spawn(move || {
        let asked = std::io::stdin().lock().lines().map_while(Result::ok);
        asked.map_while(|_| tell(&links, &reporter).ok()).for_each(drop);
    });
    Ok(())
}

pub(super) fn tell(links: &Links, reporter: &Reporter) -> Result<(), Failure> {
    Ok(reporter.at_once(&LinkLine { link: links.make()? })?)
}
