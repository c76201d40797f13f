//! A repository in a bucket of the in-memory server: configuration word for word, round trips, damage.

use anyhow::ensure;
use credenza_e2e::{PASSPHRASE, Precious, Report, Setup, memory_server_of_pages, tree};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_repository_lives_in_a_bucket() {
    let mut report = Report::default();
    report.scenario("the commands of the product page work word for word", || {
        let (server, endpoint) = memory_server_of_pages(100)?;
        server.buckets.create("bucket");
        let mut setup = Setup::new()?;
        setup.credenza.unset("CREDENZA_PASSPHRASE");
        let location = endpoint.location("bucket");
        let set = |name: &str, value: &str| setup.credenza.ok(["config", "repository", "set", "s3", name, value]);
        setup.credenza.ok(["config", "repository", "create", "s3"])?;
        set("location", &location)?;
        set("passphrase", PASSPHRASE)?;
        set("access_key", &endpoint.access_key)?;
        set("secret_access_key", &endpoint.secret_key)?;
        set("use_tls", "false")?;
        setup.credenza.ok(["at", "@s3", "create"])?;
        ensure!(server.buckets.get("bucket", "config").is_some(), "{:?}", server.buckets.keys("bucket"));
        let source = setup.path("source");
        tree::build_odd(&source)?;
        setup.credenza.ok(["at", "@s3", "backup", &source.to_string_lossy()])?;
        let target = setup.path("target");
        setup.credenza.ok(["at", "@s3", "restore", "latest", "--to", &target.to_string_lossy()])?;
        tree::compare(&source, &target)
    });
    report.scenario("secrets are kept in a private file and never shown", || {
        let (server, endpoint) = memory_server_of_pages(101)?;
        server.buckets.create("bucket");
        let setup = Setup::with_s3_repository(&endpoint, "bucket")?;
        for words in [vec!["config", "repository", "show", "store"], vec!["--json", "repository", "show", "store"]] {
            let shown = setup.credenza.ok(&words)?;
            ensure!(!shown.whole().contains(&endpoint.secret_key), "{words:?} shows the secret");
        }
        let file = setup.path("user/config/config.toml");
        let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{mode:o}");
        Ok(())
    });
    report.scenario("what is in the bucket tells nothing about what was backed up", || {
        let (server, endpoint) = memory_server_of_pages(102)?;
        server.buckets.create("bucket");
        let precious = Precious::new(Setup::with_s3_repository(&endpoint, "bucket")?)?;
        for key in server.buckets.keys("bucket") {
            let body = server.buckets.get("bucket", &key).map(|stored| stored.body()).unwrap_or_default();
            let leaks = |text: &[u8]| body.windows(text.len()).any(|window| window == text);
            ensure!(!leaks(b"for nobody else") && !leaks(b"script.sh") && !leaks(b"precious"), "{key} leaks");
        }
        precious.expect_intact()
    });
    report.finish();
}

#[test]
fn what_is_changed_in_a_bucket_is_found() {
    let mut report = Report::default();
    report.scenario("a flipped byte of any object is found, and an older state of one too", || {
        let (server, endpoint) = memory_server_of_pages(103)?;
        server.buckets.create("bucket");
        let precious = Precious::new(Setup::with_s3_repository(&endpoint, "bucket")?)?;
        for key in server.buckets.keys("bucket") {
            if key == "config" || key.starts_with("key/") {
                continue;
            }
            let healthy = server.buckets.get("bucket", &key).expect("just listed");
            server.buckets.flip("bucket", &key, usize::try_from(healthy.bytes() / 2)?);
            precious.setup.credenza.forget_cache()?;
            let check = precious.setup.check()?.expect_code(20)?;
            let named = check.lines_of("damage")?.iter().any(|line| line["object"] == key.as_str());
            ensure!(named, "damage does not name {key}\n{}", check.whole());
            server.buckets.replace("bucket", &key, healthy);
        }
        precious.setup.check()?.expect_code(0)?;
        precious.expect_intact()
    });
    report.scenario("packs swapped with one another are found", || {
        let (server, endpoint) = memory_server_of_pages(104)?;
        server.buckets.create("bucket");
        let precious = Precious::new(Setup::with_s3_repository(&endpoint, "bucket")?)?;
        precious.setup.backup(&precious.setup.path("precious/deep").to_string_lossy())?;
        let snapshots: Vec<String> =
            server.buckets.keys("bucket").into_iter().filter(|key| key.starts_with("snapshot/")).collect();
        let [first, second] = snapshots.as_slice() else { anyhow::bail!("{snapshots:?}") };
        let stored = server.buckets.get("bucket", first).expect("just listed");
        server.buckets.replace("bucket", second, stored);
        precious.setup.credenza.forget_cache()?;
        precious.setup.check()?.expect_code(20)?;
        Ok(())
    });
    report.finish();
}

#[test]
fn wrong_use_has_its_own_exit_code() {
    let mut report = Report::default();
    report.scenario("a folder without a repository is 10", || {
        let setup = Setup::new()?;
        let outcome = setup.credenza.run(["at", &setup.path("nothing").to_string_lossy(), "ls"])?;
        outcome.expect_code(10)?.expect_message(&["no repository", "create"])?;
        Ok(())
    });
    report.scenario("a bucket without a repository is 10", || {
        let (server, endpoint) = memory_server_of_pages(105)?;
        server.buckets.create("bucket");
        let setup = Setup::new()?;
        setup.add("repository", "store", &endpoint, "bucket")?;
        setup.credenza.run(["at", "@store", "ls"])?.expect_code(10)?;
        Ok(())
    });
    report.scenario("a wrong passphrase is 12", || {
        let mut setup = Setup::with_local_repository()?;
        setup.credenza.set("CREDENZA_PASSPHRASE", "not the passphrase at all");
        setup.credenza.run(["ls"])?.expect_code(12)?.expect_message(&["passphrase"])?;
        Ok(())
    });
    report.scenario("an unknown command, name or snapshot is refused", || {
        let setup = Setup::with_local_repository()?;
        setup.credenza.run(["frobnicate"])?.expect_code(2)?;
        let unknown = setup.credenza.run(["at", "@nobody", "ls"])?;
        ensure!(matches!(unknown.code, Some(1 | 2)), "{}", unknown.whole());
        let missing = setup.credenza.run(["ls", "0123456789abcdef"])?;
        ensure!(missing.code != Some(0), "{}", missing.whole());
        Ok(())
    });
    report.scenario("a second create keeps the first repository", || {
        let precious = Precious::new(Setup::with_local_repository()?)?;
        let again = precious.setup.credenza.run(["create"])?;
        ensure!(again.code != Some(0), "{}", again.whole());
        precious.expect_intact()
    });
    report.finish();
}
