//! `serve`: snapshots for programs that speak S3, HTTP or WebDAV.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use credenza_app::StoreUse;
use credenza_serve::{Certificate, HTTP_USER, HttpFront, Others, Reach, S3Front, S3Keys, Speech};
use serde::Serialize;

use super::Session;
use super::background::Background;
use super::shown::{Shelved, ShownOptions};
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;

/// Where a front listens unless it is told.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The fronts.
#[derive(Debug, Subcommand)]
pub(crate) enum ServeCommand {
    /// Serve snapshots as buckets of an S3 server, for the AWS CLI, rclone, s5cmd and whatever else speaks S3; nothing can be changed there.
    ///
    /// Without a snapshot there is a bucket for each one, by its time and the first digits of its id; one for each source, whose versions of objects are
    /// its history over all snapshots; and `latest`, the bucket of the source that was backed up last. The keys that let in are made anew for each run,
    /// and end with it. It ends when the program is interrupted.
    S3(ServeOptions),
    /// Serve snapshots as plain pages for a browser or curl, folders also as zip and tar; nothing can be changed there.
    ///
    /// Without a snapshot all of them are in folders, by time, host, source, id and tag, with `latest`. The password that lets in is made anew for each
    /// run, and ends with it. `?link=SECONDS` behind a path makes a link that lets in without it, to that path alone, until it ends;
    /// a link to a folder gives all below it as well, as an archive.
    Http(ServeOptions),
    /// Serve snapshots by WebDAV, for the file managers of macOS, Windows and Linux, rclone and davfs2; nothing can be changed there.
    ///
    /// The folders are those of `serve http`, and the password is made anew for each run.
    Webdav(ServeOptions),
}

/// What is served, and where.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    #[command(flatten)]
    shown: ShownOptions,

    /// Where to listen: an address of this machine and a port; 0 takes one that is free. An address that other machines reach needs TLS and a name.
    #[arg(long, value_name = "ADDRESS", default_value_t = ANY_PORT)]
    listen: SocketAddr,

    #[command(flatten)]
    others: OthersOptions,

    #[command(flatten)]
    background: Background,
}

/// How other machines reach what is served.
#[derive(Debug, Clone, Args)]
struct OthersOptions {
    /// The name under which other machines ask for it, with its port where that is not the one of the address.
    #[arg(long, value_name = "NAME", requires = "tls_cert")]
    name: Option<String>,

    /// Speak TLS, with the chain of certificates in this PEM file, that of the server first.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "name"], value_parser = path_parser())]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate, a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_parser = path_parser())]
    tls_key: Option<PathBuf>,
}

impl OthersOptions {
    fn others(&self) -> Option<Others> {
        let Self { name: Some(name), tls_cert: Some(chain), tls_key: Some(key) } = self.clone() else { return None };
        Some(Others { name, certificate: Certificate { chain, key } })
    }
}

/// Where snapshots are served by S3, and the keys.
#[derive(Serialize)]
#[serde(tag = "type", rename = "serving")]
struct S3Line {
    endpoint: String,
    bucket: String,
    access_key: String,
    secret_access_key: String,
}

impl Display for S3Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, bucket, access_key, secret_access_key } = self;
        writeln!(f, "serving by S3 on {endpoint}; end: Ctrl-C; in another terminal:")?;
        writeln!(
            f,
            "  export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_access_key} AWS_REGION=us-east-1"
        )?;
        writeln!(f, "  aws --endpoint-url {endpoint} s3 ls s3://{bucket}/")?;
        write!(f, "  rclone lsf ':s3,provider=Other,env_auth,endpoint=\"{endpoint}\":{bucket}'")
    }
}

/// Where snapshots are served by HTTP or WebDAV, and who is let in.
#[derive(Serialize)]
#[serde(tag = "type", rename = "serving")]
struct HttpLine {
    endpoint: String,
    user: &'static str,
    password: String,
    #[serde(skip)]
    speech: Speech,
}

impl Display for HttpLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, user, password, speech } = self;
        let by = if *speech == Speech::Http { "HTTP" } else { "WebDAV" };
        writeln!(f, "serving by {by} on {endpoint}; end: Ctrl-C; user {user}, password {password}")?;
        match speech {
            Speech::Http => write!(f, "  curl --user {user}:{password} {endpoint}"),
            Speech::WebDav => {
                write!(f, "  rclone lsf \":webdav,url='{endpoint}',user={user},pass=$(rclone obscure {password}):\"")
            }
        }
    }
}

impl ServeCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let (Self::S3(options) | Self::Http(options) | Self::Webdav(options)) = &self;
        if options.background.is_asked_for() {
            return Background::start();
        }
        // To be asked to end is how this ends.
        let _heeding = session.stop.heeding();
        match self {
            Self::S3(options) => options.by_s3(session).await,
            Self::Http(options) => options.by_http(Speech::Http, session).await,
            Self::Webdav(options) => options.by_http(Speech::WebDav, session).await,
        }
    }
}

impl ServeOptions {
    fn reach(&self) -> Reach {
        Reach { address: self.listen, others: self.others.others() }
    }

    async fn by_s3(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = session.open_healthy(StoreUse::Write).await?;
        let Shelved { shelf, kept, .. } = self.shown.shelf(&open, session).await?;
        let keys = S3Keys::random()?;
        let front = S3Front::bind(&self.reach(), shelf, &keys, kept.trouble(session.reporter)).await?;
        session.reporter.at_once(&S3Line {
            endpoint: front.url(),
            bucket: front.bucket().to_owned(),
            access_key: keys.id,
            secret_access_key: keys.secret,
        })?;
        self.background.leave(session)?;
        front.run(&session.stop).await;
        kept.end(session).await;
        Ok(Exit::Done)
    }

    async fn by_http(self, speech: Speech, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = session.open_healthy(StoreUse::Write).await?;
        let Shelved { shelf, kept, .. } = self.shown.shelf(&open, session).await?;
        let trouble = kept.trouble(session.reporter);
        let front = HttpFront::bind(&self.reach(), speech, shelf, trouble, session.stop.clone()).await?;
        session.reporter.at_once(&HttpLine {
            endpoint: format!("{}/", front.url()),
            user: HTTP_USER,
            password: front.password().to_owned(),
            speech,
        })?;
        self.background.leave(session)?;
        front.run().await;
        kept.end(session).await;
        Ok(Exit::Done)
    }
}
