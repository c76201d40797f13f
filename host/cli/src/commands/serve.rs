//! `serve`: snapshots for programs that speak S3.

use std::fmt::{self, Display};
use std::net::{Ipv4Addr, SocketAddr};

use clap::{Args, Subcommand};
use credenza_serve::{S3Front, S3Keys};
use serde::Serialize;

use super::Session;
use super::shown::{self, ShownOptions};
use crate::failure::{Exit, Failure};

/// Where a front listens unless it is told.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The fronts.
#[derive(Debug, Subcommand)]
pub(crate) enum ServeCommand {
    /// As buckets of an S3 server, for the AWS CLI, rclone, s5cmd and whatever else speaks S3; nothing can be changed there.
    S3(ServeS3),
}

/// Serve snapshots as buckets of an S3 server, for the AWS CLI, rclone, s5cmd and whatever else speaks S3; nothing can be changed there.
///
/// Without a snapshot there is a bucket for each one, by its time and the first digits of its id; one for each source, whose versions of objects are
/// its history over all snapshots; and `latest`, the bucket of the source that was backed up last. The keys that let in are made anew for each run, and
/// end with it. It ends when the program is interrupted.
#[derive(Debug, Args)]
pub(crate) struct ServeS3 {
    #[command(flatten)]
    shown: ShownOptions,

    /// Where to listen: an address of this machine and a port; 0 takes one that is free.
    #[arg(long, value_name = "ADDRESS", default_value_t = ANY_PORT)]
    listen: SocketAddr,
}

/// Where snapshots are served, and the keys.
#[derive(Serialize)]
#[serde(tag = "type", rename = "serving")]
struct ServingLine {
    endpoint: String,
    bucket: String,
    access_key: String,
    secret_access_key: String,
}

impl Display for ServingLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, bucket, access_key, secret_access_key } = self;
        writeln!(f, "serving on {endpoint} for reading; end: Ctrl-C; in another terminal:")?;
        writeln!(
            f,
            "  export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_access_key} AWS_REGION=us-east-1"
        )?;
        writeln!(f, "  aws --endpoint-url {endpoint} s3 ls s3://{bucket}/")?;
        write!(f, "  rclone lsf ':s3,provider=Other,env_auth,endpoint=\"{endpoint}\":{bucket}'")
    }
}

impl ServeCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::S3(command) => command.run(session).await,
        }
    }
}

impl ServeS3 {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        // To be asked to end is how this ends.
        let _heeding = session.stop.heeding();
        let open = session.open_for_reading().await?;
        let (shelf, _) = self.shown.shelf(&open, session).await?;
        let keys = S3Keys::random()?;
        let front = S3Front::bind(self.listen, shelf, &keys, shown::trouble(session.reporter)).await?;
        session.reporter.at_once(&ServingLine {
            endpoint: format!("http://{}", front.address()),
            bucket: front.bucket().to_owned(),
            access_key: keys.id,
            secret_access_key: keys.secret,
        })?;
        front.run(&session.stop).await;
        Ok(Exit::Done)
    }
}
