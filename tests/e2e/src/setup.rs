//! What most scenarios begin with: a folder of their own, a user, a repository, perhaps an in-memory server.

use crate::s3::Endpoint;
use crate::{Credenza, Outcome, credenza, tree};
use anyhow::{Result, ensure};
use credenza_s3_server::{Options, Server};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder of its own with a user, gone at the end.
#[derive(Debug)]
pub struct Setup {
    folder: TempDir,
    /// The user whose repository is named in the environment.
    pub credenza: Credenza,
}

impl Setup {
    /// A user who knows no repository yet.
    ///
    /// # Errors
    /// When the folder cannot be made, or there is no binary to run.
    pub fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("credenza-e2e-")?;
        let credenza = Credenza::new(&folder.path().join("user"))?;
        Ok(Self { folder, credenza })
    }

    /// A user with a fresh repository in the folder `repository`, which is the default of every command.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn with_local_repository() -> Result<Self> {
        let mut setup = Self::new()?;
        let repository = setup.path("repository");
        setup.credenza.set("CREDENZA_REPOSITORY", &repository.to_string_lossy());
        setup.credenza.ok(["create"])?;
        Ok(setup)
    }

    /// A user with a fresh repository `@store` in `bucket` of an S3 server.
    ///
    /// # Errors
    /// When it cannot be configured or created.
    pub fn with_s3_repository(endpoint: &Endpoint, bucket_and_prefix: &str) -> Result<Self> {
        let mut setup = Self::new()?;
        setup.add("repository", "store", endpoint, bucket_and_prefix)?;
        setup.credenza.set("CREDENZA_REPOSITORY", "@store");
        setup.credenza.ok(["create"])?;
        Ok(setup)
    }

    /// Configures `@name` for a bucket; `role` is `repository`, `source` or `destination`.
    ///
    /// # Errors
    /// When the command fails.
    pub fn add(&self, role: &str, name: &str, endpoint: &Endpoint, bucket_and_prefix: &str) -> Result<()> {
        let mut words = vec![
            role.to_owned(),
            "add".to_owned(),
            name.to_owned(),
            endpoint.location(bucket_and_prefix),
            format!("access_key={}", endpoint.access_key),
            format!("secret_access_key={}", endpoint.secret_key),
            format!("region={}", endpoint.region),
            format!("use_tls={}", endpoint.url.starts_with("https")),
        ];
        words.extend(endpoint.ca_file.as_ref().map(|file| format!("ca_file={file}")));
        self.credenza.ok(words).map(drop)
    }

    /// A path in the folder of this scenario; nothing is created.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Backs up `source` and hands back the summary.
    ///
    /// # Errors
    /// When the backup does not end with 0.
    pub fn backup(&self, source: &str) -> Result<Value> {
        self.credenza.ok(["--json", "backup", source])?.summary()
    }

    /// Restores `snapshot` into the folder `name` and hands back its path.
    ///
    /// # Errors
    /// When the restore does not end with 0.
    pub fn restore(&self, snapshot: &str, name: &str) -> Result<PathBuf> {
        let target = self.path(name);
        // Where the tests run, files may hold no extended attributes.
        self.credenza.ok(["restore", snapshot, "--accept-loss", "--to", &target.to_string_lossy()])?;
        Ok(target)
    }

    /// Checks the repository and reads all of it.
    ///
    /// # Errors
    /// When the check cannot be run; damage is an outcome.
    pub fn check(&self) -> Result<Outcome> {
        self.credenza.run(["--json", "check", "--read-data"])
    }
}

/// A repository that holds one good snapshot of a small folder, to see that later trouble loses nothing.
#[derive(Debug)]
pub struct Precious {
    /// The user, and the repository of the environment.
    pub setup: Setup,
    source: PathBuf,
    snapshot: String,
}

impl Precious {
    /// Backs up a folder with one of everything into the repository of `setup`.
    ///
    /// # Errors
    /// When the backup fails.
    pub fn new(setup: Setup) -> Result<Self> {
        let source = setup.path("precious");
        tree::build_odd(&source)?;
        let summary = setup.backup(&source.to_string_lossy())?;
        let snapshot = snapshot_of(&summary)?;
        Ok(Self { setup, source, snapshot })
    }

    /// The folder that was backed up.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The id of the good snapshot.
    pub fn snapshot(&self) -> &str {
        &self.snapshot
    }

    /// Demands that the good snapshot still restores, without the help of the cache.
    ///
    /// # Errors
    /// When anything differs.
    pub fn expect_intact(&self) -> Result<()> {
        self.setup.credenza.forget_cache()?;
        let target = self.setup.path("intact?");
        if target.exists() {
            std::fs::remove_dir_all(&target)?;
        }
        self.setup.restore(&self.snapshot, "intact?")?;
        tree::compare(&self.source, &target)
    }

    /// Demands that the good snapshot is still the only one.
    ///
    /// # Errors
    /// When another snapshot was written.
    pub fn expect_only_snapshot(&self) -> Result<()> {
        let outcome = self.setup.credenza.ok(["--json", "ls"])?;
        let snapshots = outcome.lines_of("snapshot")?;
        ensure!(snapshots.len() == 1, "{} snapshots\n{}", snapshots.len(), outcome.whole());
        Ok(())
    }
}

/// An in-memory server, and its endpoint as the client wants it.
///
/// # Errors
/// When no port is free.
pub fn memory_server() -> Result<(Server, Endpoint)> {
    started(Options::default())
}

/// One whose listings come in pages of random sizes, as AWS may answer them.
///
/// # Errors
/// When no port is free.
pub fn memory_server_of_pages(seed: u64) -> Result<(Server, Endpoint)> {
    started(Options { page_seed: Some(seed), ..Options::default() })
}

fn started(options: Options) -> Result<(Server, Endpoint)> {
    let server = Server::start(options)?;
    let endpoint = Endpoint {
        url: server.endpoint.clone(),
        access_key: server.access_key.clone(),
        secret_key: server.secret_key.clone(),
        region: "us-east-1".to_owned(),
        ca_file: None,
    };
    Ok((server, endpoint))
}

/// The id of the snapshot in a backup's summary.
///
/// # Errors
/// When the summary has none.
pub fn snapshot_of(summary: &Value) -> Result<String> {
    let id = summary.get("snapshot").and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no snapshot in {summary}"))
}

/// Whether requests were counted by the command itself: (source, store).
///
/// # Errors
/// When the summary has no counts.
pub fn requests_of(summary: &Value) -> Result<(u64, u64)> {
    Ok((credenza::number(summary, &["requests", "source"])?, credenza::number(summary, &["requests", "store"])?))
}
