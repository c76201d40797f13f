//! Mirrors between different providers, each a real server: what is there is the cut, what differs alone is written, and what a target cannot hold is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use credenza_e2e::azure::Azure;
use credenza_e2e::s3::S3;
use credenza_e2e::servers::{AzureServer, DavKind, DavServer, GcsServer, Kind, RealServer};
use credenza_e2e::{Report, Setup, bucket, number, tree};
use http::Method;
use serde_json::Value;

use super::{DONE, MARKER, figures, mirror, policy, run};

/// What a place holds, by key.
type Held = BTreeMap<String, Vec<u8>>;

/// A place at a provider, as another client than ours sees it.
trait Place {
    /// Configures it under a name, and says the word for it in a policy.
    fn add(&self, setup: &Setup, role: &str, name: &str) -> Result<String>;
    fn put(&self, key: &str, body: Vec<u8>) -> Result<()>;
    fn remove(&self, key: &str) -> Result<()>;
    fn held(&self) -> Result<Held>;
}

struct OfS3<'a>(&'a S3, &'a str);

impl Place for OfS3<'_> {
    fn add(&self, setup: &Setup, role: &str, name: &str) -> Result<String> {
        setup.add(role, name, self.0.endpoint(), self.1)?;
        Ok(format!("@{name}"))
    }

    fn put(&self, key: &str, body: Vec<u8>) -> Result<()> {
        self.0.put(self.1, key, body, &[("content-type", "text/x-credenza"), ("x-amz-meta-colour", "green")])
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.0.delete(self.1, key)
    }

    fn held(&self) -> Result<Held> {
        let all = bucket::read_all(self.0, self.1, "")?;
        Ok(all.into_iter().map(|(key, body)| (key, body.to_vec())).collect())
    }
}

struct OfAzure<'a>(&'a Azure, &'a str);

impl Place for OfAzure<'_> {
    fn add(&self, setup: &Setup, role: &str, name: &str) -> Result<String> {
        self.0.account().add(setup, role, name, self.1)?;
        Ok(format!("@{name}"))
    }

    fn put(&self, key: &str, body: Vec<u8>) -> Result<()> {
        self.0.put(self.1, key, body, &[])
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.0.send(Method::DELETE, (self.1, key), "", &[], "")?.success().map(drop)
    }

    fn held(&self) -> Result<Held> {
        let all = self.0.read_all(self.1, "")?;
        Ok(all.into_iter().map(|(key, body)| (key, body.to_vec())).collect())
    }
}

struct OfGcs<'a>(&'a GcsServer, &'a str);

impl Place for OfGcs<'_> {
    fn add(&self, setup: &Setup, role: &str, name: &str) -> Result<String> {
        self.0.add(setup, role, name, self.1)?;
        Ok(format!("@{name}"))
    }

    fn put(&self, key: &str, body: Vec<u8>) -> Result<()> {
        self.0.put(&format!("{}/{key}", self.1), &serde_json::json!({}), &body)
    }

    fn remove(&self, key: &str) -> Result<()> {
        anyhow::bail!("nobody removes {key} there but the mirror")
    }

    fn held(&self) -> Result<Held> {
        let prefix = format!("{}/", self.1);
        let mut all = Held::new();
        for name in self.0.names(&prefix)? {
            let body = self.0.get(&name, "media")?.with_context(|| format!("{name} is listed and not there"))?;
            all.insert(name.strip_prefix(&prefix).unwrap_or(&name).to_owned(), body);
        }
        Ok(all)
    }
}

/// A folder on this machine, or one that a WebDAV server serves.
struct Folder<'a> {
    path: PathBuf,
    server: Option<(&'a DavServer, &'a str)>,
}

impl<'a> Folder<'a> {
    fn served(server: &'a DavServer, name: &'a str) -> Result<Self> {
        let path = server.data().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self { path, server: Some((server, name)) })
    }
}

impl Place for Folder<'_> {
    fn add(&self, setup: &Setup, role: &str, name: &str) -> Result<String> {
        match self.server {
            Some((server, folder)) => server.add(setup, role, name, folder).map(|()| format!("@{name}")),
            None => Ok(self.path.display().to_string()),
        }
    }

    fn put(&self, key: &str, body: Vec<u8>) -> Result<()> {
        let path = self.path.join(key);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        Ok(fs::write(path, body)?)
    }

    fn remove(&self, key: &str) -> Result<()> {
        Ok(fs::remove_file(self.path.join(key))?)
    }

    fn held(&self) -> Result<Held> {
        let (mut all, mut left) = (Held::new(), vec![self.path.clone()]);
        while let Some(folder) = left.pop() {
            for found in fs::read_dir(folder)? {
                let path = found?.path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let key = path.strip_prefix(&self.path)?.to_string_lossy().into_owned();
                    all.insert(key, fs::read(&path)?);
                }
            }
        }
        Ok(all)
    }
}

fn without_marker(place: &dyn Place) -> Result<Held> {
    let mut held = place.held()?;
    ensure!(held.remove(MARKER).is_some(), "there is no marker: {:?}", held.keys());
    Ok(held)
}

fn expect_same(from: &dyn Place, to: &dyn Place) -> Result<()> {
    let (wanted, there) = (from.held()?, without_marker(to)?);
    let differs = |key: &&String| wanted.get(*key) != there.get(*key);
    let all: Vec<&String> = wanted.keys().chain(there.keys()).filter(differs).collect();
    ensure!(all.is_empty(), "these differ: {all:?}");
    Ok(())
}

/// A life of a mirror: all, nothing, what differs, a stranger, what stays and what goes, and the way back.
fn life(from: &dyn Place, to: &dyn Place) -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let (source, target) = (from.add(&setup, "source", "a")?, to.add(&setup, "destination", "b")?);
    let deletes = |how: &str| policy(&setup, &source, &target, &format!("deletes = \"{how}\""));
    deletes("now")?;
    let keys = ["plain", "folder/one", "folder/two", "folder/deep/three", "sp ace/and+plus", "per%cent", "gone/a/b"];
    for (seed, key) in (0..).zip(keys) {
        from.put(key, tree::noise(seed, 1000 + seed))?;
    }
    from.put("large", tree::noise(99, 9 << 20))?;
    let first = run(&setup, &[], 0)?;
    ensure!(figures(&first, DONE)? == [8, 0, 0, 0] && number(&first, &["bytes"])? > 9 << 20, "{first}");
    expect_same(from, to)?;
    let second = run(&setup, &[], 0)?;
    ensure!(figures(&second, DONE)? == [0, 0, 0, 8] && second["bytes"] == 0, "{second}");
    let good = without_marker(to)?;
    from.put("folder/one", tree::noise(50, 2000))?;
    from.put("folder/new", tree::noise(51, 300))?;
    from.remove("gone/a/b")?;
    let third = run(&setup, &[], 0)?;
    ensure!(figures(&third, DONE)? == [1, 1, 1, 6] && third["bytes"] == 2300, "{third}");
    expect_same(from, to)?;
    // What somebody else has written there is not overwritten, until that is wished.
    to.put("folder/two", b"somebody was here".to_vec())?;
    from.put("folder/two", tree::noise(52, 500))?;
    let held = mirror(&setup, &["run", "a"])?.expect_code(3)?;
    ensure!(held.lines_of("step")?.iter().any(|step| step["held"] == "foreign"), "{}", held.whole());
    ensure!(to.held()?.get("folder/two").is_some_and(|body| body == b"somebody was here"), "it was overwritten");
    run(&setup, &["--overwrite"], 0)?;
    expect_same(from, to)?;
    for how in ["keep", "after:7d"] {
        deletes(how)?;
        let key = format!("folder/{}", how.len());
        from.put(&key, b"for a while".to_vec())?;
        run(&setup, &[], 0)?;
        from.remove(&key)?;
        let step = run(&setup, &[], 0)?;
        ensure!(step["removed"] == 0 && to.held()?.contains_key(&key), "{how}: {step}");
    }
    deletes("now")?;
    let step = run(&setup, &[], 0)?;
    ensure!(step["removed"] == 2, "{step}");
    expect_same(from, to)?;
    let cuts = mirror(&setup, &["cuts", "a"])?.expect_code(0)?.lines_of("cut")?;
    let oldest = cuts[0]["id"].as_str().context("no id")?.to_owned();
    run(&setup, &["--to", &oldest[..10]], 0)?;
    ensure!(without_marker(to)? == good, "it is not what the first cut was");
    run(&setup, &[], 0)?;
    expect_same(from, to)
}

/// The attributes that were lost, by how many.
fn lost(step: &Value) -> Result<BTreeMap<String, u64>> {
    Ok(serde_json::from_value(step["lost"].clone())?)
}

/// A server of S3 with an empty bucket.
fn seaweedfs() -> Result<RealServer> {
    let server = RealServer::start(Kind::SeaweedFs)?;
    server.s3.create_bucket("objects")?;
    Ok(server)
}

#[test]
fn a_bucket_is_mirrored_to_azure() -> Result<()> {
    let (weed, azure) = (seaweedfs()?, AzureServer::start()?);
    azure.azure.create_container("copy")?;
    life(&OfS3(&weed.s3, "objects"), &OfAzure(&azure.azure, "copy"))
}

#[test]
fn a_container_of_azure_is_mirrored_to_a_bucket() -> Result<()> {
    let (weed, azure) = (seaweedfs()?, AzureServer::start()?);
    azure.azure.create_container("live")?;
    life(&OfAzure(&azure.azure, "live"), &OfS3(&weed.s3, "objects"))
}

#[test]
fn a_bucket_is_mirrored_to_google_cloud_storage() -> Result<()> {
    let (weed, gcs) = (seaweedfs()?, GcsServer::start()?);
    life(&OfS3(&weed.s3, "objects"), &OfGcs(&gcs, "copy"))
}

#[test]
fn a_bucket_is_mirrored_to_webdav_servers_in_which_emptied_folders_go() -> Result<()> {
    for kind in [DavKind::Rclone, DavKind::WsgiDav] {
        let (weed, server) = (seaweedfs()?, DavServer::start(kind)?);
        let to = Folder::served(&server, "copy")?;
        life(&OfS3(&weed.s3, "objects"), &to).with_context(|| format!("{kind:?}"))?;
        ensure!(!to.path.join("gone").exists(), "{kind:?}: the folder that keys implied is still there");
    }
    Ok(())
}

#[test]
fn a_bucket_is_mirrored_to_a_folder_in_which_emptied_folders_go() -> Result<()> {
    let (weed, setup) = (seaweedfs()?, Setup::new()?);
    let path = setup.path("to");
    fs::create_dir_all(&path)?;
    let to = Folder { path, server: None };
    life(&OfS3(&weed.s3, "objects"), &to)?;
    ensure!(!to.path.join("gone").exists(), "the folder that keys implied is still there");
    Ok(())
}

#[test]
fn the_files_of_a_folder_are_mirrored_to_a_bucket() -> Result<()> {
    let (weed, setup) = (seaweedfs()?, Setup::with_local_repository()?);
    let path = setup.path("from");
    fs::create_dir_all(&path)?;
    let (from, to) = (Folder { path, server: None }, OfS3(&weed.s3, "objects"));
    for (seed, key) in (0..).zip(["plain", "folder/one", "folder/two", "sp ace/and+plus"]) {
        from.put(key, tree::noise(seed, 1000 + seed))?;
    }
    let (source, target) = (from.add(&setup, "source", "a")?, to.add(&setup, "destination", "b")?);
    policy(&setup, &source, &target, "deletes = \"now\"")?;
    // Folders are objects there, of which each server keeps what it keeps.
    let expect_files = || -> Result<()> {
        let mut there = without_marker(&to)?;
        there.retain(|key, _| !key.ends_with('/'));
        ensure!(there == from.held()?, "{:?}", there.keys());
        Ok(())
    };
    run(&setup, &[], 0)?;
    expect_files()?;
    let again = run(&setup, &[], 0)?;
    ensure!(again["bytes"] == 0 && again["removed"] == 0, "{again}");
    from.put("folder/one", tree::noise(50, 2000))?;
    from.put("folder/new", tree::noise(51, 300))?;
    from.remove("folder/two")?;
    let step = run(&setup, &[], 0)?;
    ensure!(step["bytes"] == 2300 && step["removed"] == 1, "{step}");
    expect_files()
}

#[test]
fn what_a_target_cannot_hold_is_said_and_the_rest_is_mirrored() -> Result<()> {
    let mut report = Report::default();
    let ministack = RealServer::start(Kind::MiniStack)?;
    let s3 = &ministack.s3;
    report.scenario("names and attributes of a bucket that Azure cannot have", || {
        let azure = AzureServer::start()?;
        azure.azure.create_container("copy")?;
        s3.create_bucket("odd")?;
        let from = OfS3(s3, "odd");
        for key in ["plain", "a/../b", "..", "bell\u{7}", "back\\slash"] {
            from.put(key, key.into())?;
        }
        let headers = [
            ("x-amz-website-redirect-location", "/elsewhere"),
            ("x-amz-meta-with-dash", "a b"),
            ("x-amz-tagging", "team=blue"),
            ("x-amz-meta-plain", "kept"),
        ];
        s3.put("odd", "attributes", "with all", &headers)?;
        let to = OfAzure(&azure.azure, "copy");
        let setup = Setup::with_local_repository()?;
        let (source, target) = (from.add(&setup, "source", "a")?, to.add(&setup, "destination", "b")?);
        policy(&setup, &source, &target, "deletes = \"now\"")?;
        for round in 0..2 {
            let step = run(&setup, &[], 3)?;
            ensure!(step["lacking"] == 4, "{round}: {step}");
            ensure!(without_marker(&to)?.keys().eq(["attributes", "plain"]), "{round}: {:?}", to.held()?.keys());
            let lost = if round == 0 { lost(&step)? } else { BTreeMap::new() };
            let names: Vec<&str> = lost.keys().map(String::as_str).collect();
            let expected = ["s3.tag.team", "s3.website-redirect"];
            ensure!(round > 0 || expected.iter().all(|name| names.contains(name)), "{lost:?}");
            let bytes = if round == 0 { "plain".len() + "with all".len() } else { 0 };
            ensure!(step["bytes"] == bytes, "{round}: {step}");
        }
        let marker: Value = serde_json::from_slice(to.held()?.get(MARKER).context("no marker")?)?;
        ensure!(marker["lacking"] == 4, "{marker}");
        Ok(())
    });
    report.scenario("keys that are no paths lie under other names in a folder, and go from there", || {
        s3.create_bucket("paths")?;
        let from = OfS3(s3, "paths");
        for key in ["a", "a/b", "c//d", "x/../y", "/lead", "e/./f"] {
            from.put(key, key.into())?;
        }
        let setup = Setup::with_local_repository()?;
        let (source, to) = (from.add(&setup, "source", "a")?, setup.path("to"));
        policy(&setup, &source, &to.to_string_lossy(), "deletes = \"now\"")?;
        let step = run(&setup, &[], 0)?;
        ensure!(figures(&step, DONE)?[0] == 6, "{step}");
        ensure!(figures(&run(&setup, &[], 0)?, DONE)? == [0, 0, 0, 6]);
        for key in ["c//d", "x/../y", "/lead"] {
            from.remove(key)?;
        }
        let step = run(&setup, &[], 0)?;
        ensure!(figures(&step, DONE)? == [0, 0, 3, 3], "{step}");
        let left = Folder { path: to, server: None };
        ensure!(without_marker(&left)?.len() == 3, "{:?}", left.held()?.keys());
        Ok(())
    });
    report.finish();
    Ok(())
}
