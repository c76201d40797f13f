//! The repository of a scenario as its owner sees it: a folder or a bucket whose objects can be read, changed and put back.

use crate::{Setup, memory_server};
use anyhow::{Context, Result};
use credenza_s3_server::{Attributes, Server};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every object by its key.
pub type Objects = BTreeMap<String, Vec<u8>>;

const BUCKET: &str = "bucket";

/// Where a repository is, with a user whose default it is.
#[derive(Debug)]
pub struct Home {
    /// The user.
    pub setup: Setup,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Folder(PathBuf),
    Bucket(Server),
}

impl Home {
    /// A fresh repository in a folder.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn folder() -> Result<Self> {
        let mut setup = user()?;
        let root = setup.path("repository");
        setup.credenza.set("CREDENZA_REPOSITORY", &root.to_string_lossy());
        setup.credenza.ok(["create"])?;
        Ok(Self { setup, kind: Kind::Folder(root) })
    }

    /// A fresh repository in a bucket of an in-memory server.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn bucket() -> Result<Self> {
        let (server, endpoint) = memory_server()?;
        server.buckets.create(BUCKET);
        let mut setup = user()?;
        setup.add("repository", "store", &endpoint, BUCKET)?;
        setup.credenza.set("CREDENZA_REPOSITORY", "@store");
        setup.credenza.ok(["create"])?;
        Ok(Self { setup, kind: Kind::Bucket(server) })
    }

    /// All that is stored now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn objects(&self) -> Result<Objects> {
        match &self.kind {
            Kind::Folder(root) => {
                let mut objects = Objects::new();
                read_folder(root, root, &mut objects)?;
                Ok(objects)
            }
            Kind::Bucket(server) => {
                let keys = server.buckets.keys(BUCKET).into_iter();
                Ok(keys
                    .filter_map(|key| Some((key.clone(), server.buckets.get(BUCKET, &key)?.body().to_vec())))
                    .collect())
            }
        }
    }

    /// Makes this all that is stored.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_back(&self, objects: &Objects) -> Result<()> {
        for key in self.objects()?.into_keys().filter(|key| !objects.contains_key(key)) {
            match &self.kind {
                Kind::Folder(root) => fs::remove_file(root.join(&key))?,
                Kind::Bucket(server) => drop(server.buckets.remove(BUCKET, &key)),
            }
        }
        objects.iter().try_for_each(|(key, body)| self.write(key, body))
    }

    /// Replaces an object, behind the back of everybody.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, key: &str, body: &[u8]) -> Result<()> {
        match &self.kind {
            Kind::Folder(root) => {
                let path = root.join(key);
                fs::create_dir_all(path.parent().unwrap_or(root))?;
                // Objects may be read-only.
                let _ = fs::remove_file(&path);
                fs::write(path, body).with_context(|| format!("cannot write {key}"))
            }
            Kind::Bucket(server) => {
                server.buckets.put_object(BUCKET, key, body.to_vec(), Attributes::default());
                Ok(())
            }
        }
    }
}

/// A user with a key file: unlike a passphrase it costs no time, of which scenarios of many commands would take much.
fn user() -> Result<Setup> {
    let mut setup = Setup::new()?;
    let key = setup.path("key");
    fs::write(&key, [7; 32])?;
    setup.credenza.unset("CREDENZA_PASSPHRASE");
    setup.credenza.set("CREDENZA_KEY_FILE", &key.to_string_lossy());
    Ok(setup)
}

fn read_folder(root: &Path, folder: &Path, objects: &mut Objects) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('~') {
            // No object: an unfinished one, or the reserve.
            continue;
        }
        if path.is_dir() {
            read_folder(root, &path, objects)?;
        } else {
            objects.insert(path.strip_prefix(root)?.to_string_lossy().into_owned(), fs::read(&path)?);
        }
    }
    Ok(())
}
