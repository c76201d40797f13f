//! Every place that the tools of AWS take credentials from, each against a stand-in; the S3 server lets in one key alone and verifies
//! signatures, so that a listing that comes was signed with the right key.

use anyhow::{Context, Result, ensure};
use credenza_e2e::metadata::{CONTAINER_TOKEN, IDENTITY_TOKEN, Keys, Metadata};
use credenza_e2e::s3::Endpoint;
use credenza_e2e::{Outcome, Report, Setup, bucket, memory_server};
use credenza_s3_server::Server;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A bucket of three objects, a user without keys, and a machine that could hand them out.
struct Scene {
    server: Server,
    endpoint: Endpoint,
    setup: Setup,
    metadata: Metadata,
}

impl Scene {
    fn new() -> Result<Self> {
        let (server, endpoint) = memory_server()?;
        bucket::fill_many(&server.buckets, "source", 3);
        let keys = Keys { access_key: server.access_key.clone(), secret_key: server.secret_key.clone() };
        let mut scene = Self { metadata: Metadata::start(keys)?, setup: Setup::new()?, server, endpoint };
        scene.set("AWS_EC2_METADATA_DISABLED", "true");
        Ok(scene)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.setup.credenza.set(name, value);
    }

    /// A file of AWS's tools, with the right keys in the place of `KEY` and `SECRET`.
    fn write(&mut self, variable: &str, content: &str) -> Result<()> {
        let path = self.setup.path(variable);
        let content = content.replace("KEY", &self.server.access_key).replace("SECRET", &self.server.secret_key);
        fs::write(&path, content)?;
        self.set(variable, &path.to_string_lossy());
        Ok(())
    }

    fn browse(&self, settings: &[&str]) -> Result<Outcome> {
        let location = self.endpoint.location("source");
        let settings = settings.iter().flat_map(|setting| ["-o", *setting]);
        let words = ["--json", "browse", &location, "-o", "use_tls=false"].into_iter().chain(settings);
        self.setup.credenza.run(words.map(str::to_owned))
    }

    fn expect_listing(&self, settings: &[&str]) -> Result<()> {
        let outcome = self.browse(settings)?.expect_code(0)?;
        ensure!(!outcome.lines_of("entry")?.is_empty(), "{}", outcome.whole());
        Ok(())
    }
}

const PROFILES: &str = "[default]\naws_access_key_id=WRONG\naws_secret_access_key=WRONG\n\
    [good]\naws_access_key_id=KEY\naws_secret_access_key=SECRET\n";

#[test]
fn credentials_are_found_where_the_tools_of_aws_find_them() {
    let mut report = Report::default();
    report.scenario("variables, with the token of a session", || {
        let mut scene = Scene::new()?;
        let (key, secret) = (scene.server.access_key.clone(), scene.server.secret_key.clone());
        scene.set("AWS_ACCESS_KEY_ID", &key);
        scene.set("AWS_SECRET_ACCESS_KEY", &secret);
        scene.set("AWS_SESSION_TOKEN", "token");
        scene.expect_listing(&[])
    });
    report.scenario("the profile of AWS_PROFILE in the credentials file", || {
        let mut scene = Scene::new()?;
        scene.write("AWS_SHARED_CREDENTIALS_FILE", PROFILES)?;
        scene.set("AWS_PROFILE", "good");
        scene.expect_listing(&[])
    });
    report.scenario("the profile of the settings goes before AWS_PROFILE and variables", || {
        let mut scene = Scene::new()?;
        scene.write("AWS_SHARED_CREDENTIALS_FILE", PROFILES)?;
        scene.set("AWS_PROFILE", "default");
        scene.set("AWS_ACCESS_KEY_ID", "WRONG");
        scene.set("AWS_SECRET_ACCESS_KEY", "WRONG");
        scene.expect_listing(&["profile=good"])
    });
    report.scenario("a profile of the config file whose keys a process prints", || {
        let mut scene = Scene::new()?;
        let script = scene.setup.path("keys.sh");
        let (key, secret) = (&scene.server.access_key, &scene.server.secret_key);
        let json = format!(r#"{{"Version":1,"AccessKeyId":"{key}","SecretAccessKey":"{secret}"}}"#);
        let seen = scene.setup.path("seen");
        fs::write(&script, format!("#!/bin/sh\nenv > {}\necho '{json}'\n", seen.display()))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        scene.write("AWS_CONFIG_FILE", &format!("[profile run]\ncredential_process={}\n", script.display()))?;
        scene.expect_listing(&["profile=run"])?;
        let seen = fs::read_to_string(seen)?;
        ensure!(
            seen.contains("CREDENZA_CONFIG") && !seen.contains("CREDENZA_PASSPHRASE"),
            "it inherited a secret: {seen}"
        );
        Ok(())
    });
    report.scenario("a web identity, from the token service", || {
        let mut scene = Scene::new()?;
        let sts = scene.metadata.endpoint.clone();
        scene.write("AWS_WEB_IDENTITY_TOKEN_FILE", IDENTITY_TOKEN)?;
        scene.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/backup");
        scene.set("AWS_ENDPOINT_URL_STS", &sts);
        scene.expect_listing(&[])
    });
    report.scenario("a container, with its token", || {
        let mut scene = Scene::new()?;
        let address = format!("{}/container", scene.metadata.endpoint);
        scene.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &address);
        scene.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", CONTAINER_TOKEN);
        scene.expect_listing(&[])
    });
    report.scenario("an instance, by version 2 of its metadata, asked once in a run", || {
        let mut scene = Scene::new()?;
        let address = scene.metadata.endpoint.clone();
        scene.setup.credenza.unset("AWS_EC2_METADATA_DISABLED");
        scene.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address);
        scene.expect_listing(&[])?;
        let tokens = scene.metadata.asked().iter().filter(|line| line.contains("/api/token")).count();
        ensure!(tokens == 1, "{:?}", scene.metadata.asked());
        Ok(())
    });
    report.finish();
}

#[test]
fn nothing_is_looked_up_that_is_not_needed() {
    let mut report = Report::default();
    let with_instance = || -> Result<Scene> {
        let mut scene = Scene::new()?;
        let address = scene.metadata.endpoint.clone();
        scene.setup.credenza.unset("AWS_EC2_METADATA_DISABLED");
        scene.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address);
        Ok(scene)
    };
    report.scenario("keys in the settings ask no instance", || {
        let scene = with_instance()?;
        let (key, secret) = (&scene.server.access_key, &scene.server.secret_key);
        scene.expect_listing(&[&format!("access_key={key}"), &format!("secret_access_key={secret}")])?;
        ensure!(scene.metadata.asked().is_empty(), "{:?}", scene.metadata.asked());
        Ok(())
    });
    report.scenario("anonymous requests ask no instance and are not signed", || {
        let scene = with_instance()?;
        scene.browse(&["anonymous=true"])?.expect_code(1)?.expect_message(&["denied", "refuses"])?;
        ensure!(scene.metadata.asked().is_empty(), "{:?}", scene.metadata.asked());
        Ok(())
    });
    report.finish();
}

#[test]
fn missing_credentials_are_told_with_what_was_tried() {
    let mut report = Report::default();
    report.scenario("nowhere", || {
        let scene = Scene::new()?;
        let outcome = scene.browse(&[])?.expect_code(2)?;
        for tried in ["AWS_ACCESS_KEY_ID", "profile", "AWS_WEB_IDENTITY", "AWS_CONTAINER", "instance", "anonymous=true"]
        {
            ensure!(outcome.stderr.contains(tried), "{tried}: {}", outcome.whole());
        }
        ensure!(scene.server.log().requests("source") == 0, "a request went out without credentials");
        Ok(())
    });
    let names_what_there_is = |outcome: Outcome, named_by: &str| -> Result<()> {
        let outcome = outcome.expect_code(2)?;
        for words in ["`godo`", named_by, "`default`, `good`", "did you mean `good`", "AWS_SHARED_CREDENTIALS_FILE"] {
            ensure!(outcome.stderr.contains(words), "{words}: {}", outcome.whole());
        }
        Ok(())
    };
    report.scenario("a profile that there is not, by the settings", || {
        let mut scene = Scene::new()?;
        scene.write("AWS_SHARED_CREDENTIALS_FILE", PROFILES)?;
        names_what_there_is(scene.browse(&["profile=godo"])?, "the setting `profile`")
    });
    report.scenario("a profile that there is not, by the environment", || {
        let mut scene = Scene::new()?;
        scene.write("AWS_SHARED_CREDENTIALS_FILE", PROFILES)?;
        scene.set("AWS_PROFILE", "godo");
        names_what_there_is(scene.browse(&[])?, "AWS_PROFILE")?;
        // Whoever writes keys of their own does not need it.
        let (key, secret) = (&scene.server.access_key, &scene.server.secret_key);
        scene.expect_listing(&[&format!("access_key={key}"), &format!("secret_access_key={secret}")])
    });
    report.scenario("a file that cannot be read", || {
        let mut scene = Scene::new()?;
        let folder = scene.setup.path("folder");
        fs::create_dir(&folder)?;
        scene.set("AWS_CONFIG_FILE", &folder.to_string_lossy());
        let unreadable = format!("{} cannot be read", folder.display());
        scene.browse(&[])?.expect_code(2)?.expect_message(&[&unreadable])?;
        scene.browse(&["profile=good"])?.expect_code(2)?.expect_message(&["(cannot be read"]).map(drop)
    });
    report.scenario("a process that fails", || {
        let mut scene = Scene::new()?;
        scene.write("AWS_CONFIG_FILE", "[profile run]\ncredential_process=/bin/false\n")?;
        scene.browse(&["profile=run"])?.expect_code(2)?.expect_message(&["`run`"]).map(drop)
    });
    report.finish();
}

#[test]
fn the_server_is_that_of_the_environment_or_the_profile_when_none_is_named() {
    let elsewhere = "http://127.0.0.1:1";
    let scene = || -> Result<(Scene, String)> {
        let mut scene = Scene::new()?;
        scene.write("AWS_SHARED_CREDENTIALS_FILE", PROFILES)?;
        let url = scene.endpoint.url.clone();
        Ok((scene, url))
    };
    let listed = |scene: &Scene, named_by: &str| -> Result<()> {
        let outcome = scene.setup.credenza.run(["--json", "browse", "s3://source", "-o", "profile=good"])?;
        let outcome = outcome.expect_code(0)?.expect_message(&[&format!("which {named_by} names")])?;
        ensure!(!outcome.lines_of("entry")?.is_empty(), "{}", outcome.whole());
        Ok(())
    };
    let mut report = Report::default();
    report.scenario("AWS_ENDPOINT_URL", || {
        let (mut scene, url) = scene()?;
        scene.set("AWS_ENDPOINT_URL", &url);
        listed(&scene, "AWS_ENDPOINT_URL")
    });
    report.scenario("AWS_ENDPOINT_URL_S3 goes before it", || {
        let (mut scene, url) = scene()?;
        scene.set("AWS_ENDPOINT_URL", elsewhere);
        scene.set("AWS_ENDPOINT_URL_S3", &url);
        listed(&scene, "AWS_ENDPOINT_URL_S3")
    });
    report.scenario("the profile", || {
        let (mut scene, url) = scene()?;
        scene.write("AWS_CONFIG_FILE", &format!("[profile good]\nendpoint_url={url}\n"))?;
        listed(&scene, "the profile `good` of AWS's files")
    });
    report.scenario("the services of the profile", || {
        let (mut scene, url) = scene()?;
        let services = format!("[services here]\ns3 =\n  endpoint_url = {url}\n");
        scene.write(
            "AWS_CONFIG_FILE",
            &format!("[profile good]\nendpoint_url={elsewhere}\nservices=here\n{services}"),
        )?;
        listed(&scene, "the profile `good` of AWS's files")
    });
    report.scenario("a location that names a server goes before all of them", || {
        let (mut scene, _) = scene()?;
        scene.set("AWS_ENDPOINT_URL", elsewhere);
        scene.expect_listing(&["profile=good"])
    });
    report.scenario("one that cannot be used is refused by its name", || {
        let (mut scene, url) = scene()?;
        scene.set("AWS_ENDPOINT_URL", &format!("{url}/minio"));
        let outcome = scene.setup.credenza.run(["browse", "s3://source", "-o", "profile=good"])?;
        outcome.expect_code(2)?.expect_message(&["AWS_ENDPOINT_URL names cannot be used: it has a path"]).map(drop)
    });
    report.finish();
}

#[test]
fn the_region_is_that_of_the_profile_when_neither_settings_nor_host_name_one() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.write("AWS_SHARED_CREDENTIALS_FILE", PROFILES)?;
    scene.write("AWS_CONFIG_FILE", "[profile good]\nregion=eu-north-9\n")?;
    scene.set("AWS_PROFILE", "good");
    let asked = |settings: &[&str]| -> Result<String> {
        scene.server.log().clear();
        scene.expect_listing(settings)?;
        scene.server.log().regions("source").into_iter().next().context("no signed request")
    };
    assert_eq!(asked(&[])?, "eu-north-9");
    assert_eq!(asked(&["region=eu-west-1"])?, "eu-west-1");
    assert_eq!(asked(&["preset=garage", &format!("host=127.0.0.1:{}", scene.server.port)])?, "garage");
    Ok(())
}
