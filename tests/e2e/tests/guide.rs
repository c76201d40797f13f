//! The commands of the user's guide, run as they stand: each page of `docs/guide` by a user of its own, in the order of the page.
//!
//! Every block marked `sh` is run by `sh -eu`; blocks with another mark are not. What a page needs and a reader does not, stands in comments
//! of the form `<!-- run: … -->`. `s3.example.com` is a server in memory that knows the access key AKIAIOSFODNN7EXAMPLE and has the
//! buckets photos, backups and copy; where a command asks for a secret, it gets the one that goes with that key. `rclone` is the one that
//! `tests/servers/install.sh` installs, and its ports are free ones. `shelf.example.com` is the imaginary
//! service of the pages for authors, which wants the same secret, and `registry.example.com` a registry of containers, whose login is in
//! `~/registry-login`. These pages run on a machine with compilers.

use anyhow::{Context, Result, ensure};
use credenza_e2e::servers::{self, RegistryServer};
use credenza_e2e::{PASSPHRASE, author, binary, can_mount, memory_server, shelf, workspace};
use credenza_s3_server::Attributes;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The host and the access key that the pages name.
const HOST: &str = "s3.example.com";
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";

/// Where the pages start servers.
const BRIDGES: [&str; 2] = ["127.0.0.1:8801", "127.0.0.1:8802"];

/// The variables in `host` that only tests read.
const FOR_TESTS: [&str; 2] = ["CREDENZA_FREE_SUITE", "CREDENZA_WRITE_REFERENCE"];

/// The pages of the guide; each has a test below.
const PAGES: [&str; 23] = [
    "bucket-as-repository",
    "bucket-as-source",
    "configuration",
    "connector-in-an-afternoon",
    "connector-in-javascript",
    "connector-in-python",
    "copies",
    "exit-codes",
    "first-steps",
    "install",
    "keys",
    "many-machines",
    "mirror",
    "mount",
    "other-providers",
    "page-in-pictures",
    "page",
    "restore",
    "retention",
    "run-by-itself",
    "verification",
    "what-is-backed-up",
    "what-it-costs",
];

#[test]
fn every_page_of_the_guide_has_a_test() -> Result<()> {
    let found = pages(&workspace().join("docs/guide"))?;
    ensure!(found == PAGES.map(page), "pages and tests differ: {found:?}");
    Ok(())
}

#[test]
fn the_commands_of_bucket_as_repository_work() -> Result<()> {
    run(&page("bucket-as-repository"))
}

#[test]
fn the_commands_of_bucket_as_source_work() -> Result<()> {
    run(&page("bucket-as-source"))
}

#[test]
fn the_commands_of_configuration_work() -> Result<()> {
    run(&page("configuration"))
}

#[test]
fn the_commands_of_connector_in_an_afternoon_work() -> Result<()> {
    let registry = RegistryServer::start()?;
    let login = format!("{}:{}\n", registry.user.0, registry.user.1);
    run_as_author(&page("connector-in-an-afternoon"), &[("registry.example.com", &registry.host)], &login)
}

#[test]
fn the_commands_of_connector_in_javascript_work() -> Result<()> {
    run_as_author(&page("connector-in-javascript"), &[], "")
}

#[test]
fn the_commands_of_connector_in_python_work() -> Result<()> {
    run_as_author(&page("connector-in-python"), &[], "")
}

#[test]
fn the_commands_of_copies_work() -> Result<()> {
    run(&page("copies"))
}

#[test]
fn the_commands_of_exit_codes_work() -> Result<()> {
    run(&page("exit-codes"))
}

#[test]
fn the_commands_of_first_steps_work() -> Result<()> {
    run(&page("first-steps"))
}

#[test]
fn the_commands_of_install_work() -> Result<()> {
    run(&page("install"))
}

#[test]
fn the_commands_of_keys_work() -> Result<()> {
    run(&page("keys"))
}

#[test]
fn the_commands_of_many_machines_work() -> Result<()> {
    run(&page("many-machines"))
}

#[test]
fn the_commands_of_mirror_work() -> Result<()> {
    run(&page("mirror"))
}

#[test]
fn the_commands_of_mount_work() -> Result<()> {
    // A machine where nothing can be mounted runs none of them.
    if can_mount() { run(&page("mount")) } else { Ok(()) }
}

#[test]
fn the_commands_of_other_providers_work() -> Result<()> {
    run(&page("other-providers"))
}

#[test]
fn the_commands_of_page_work() -> Result<()> {
    run(&page("page"))
}

#[test]
fn the_commands_of_page_in_pictures_work() -> Result<()> {
    run(&page("page-in-pictures"))
}

#[test]
fn the_commands_of_restore_work() -> Result<()> {
    run(&page("restore"))
}

#[test]
fn the_commands_of_run_by_itself_work() -> Result<()> {
    run(&page("run-by-itself"))
}

#[test]
fn the_commands_of_retention_work() -> Result<()> {
    run(&page("retention"))
}

#[test]
fn the_commands_of_verification_work() -> Result<()> {
    run(&page("verification"))
}

#[test]
fn the_commands_of_what_is_backed_up_work() -> Result<()> {
    run(&page("what-is-backed-up"))
}

#[test]
fn the_commands_of_what_it_costs_work() -> Result<()> {
    run(&page("what-it-costs"))
}

#[test]
fn the_readme_begins_with_commands_that_work() -> Result<()> {
    run(&workspace().join("README.md"))
}

#[test]
fn every_variable_of_ours_is_in_the_guide() -> Result<()> {
    let mut named = BTreeSet::new();
    for member in fs::read_dir(workspace().join("host"))? {
        let sources = member?.path().join("src");
        if sources.is_dir() {
            collect_variables(&sources, &mut named)?;
        }
    }
    let path = workspace().join("docs/guide/configuration.md");
    let page = fs::read_to_string(&path)?;
    named.retain(|name| !FOR_TESTS.contains(&name.as_str()));
    let missing: Vec<_> = named.iter().filter(|name| !page.contains(name.as_str())).collect();
    ensure!(named.len() > 5, "no variables were found: {named:?}");
    ensure!(missing.is_empty(), "{} does not mention {missing:?}", path.display());
    Ok(())
}

#[test]
fn every_link_of_the_documents_leads_somewhere() -> Result<()> {
    let mut broken = Vec::new();
    let own = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(|name| workspace().join(name));
    let docs = workspace().join("docs");
    let folders = [docs.clone(), docs.join("guide"), docs.join("decisions")];
    let listed = folders.iter().map(|folder| pages(folder)).collect::<Result<Vec<_>>>()?;
    for page in own.into_iter().chain(listed.into_iter().flatten()) {
        let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let files = links.map(|(link, _)| link.split('#').next().unwrap_or_default());
        let local = files.filter(|file| !file.is_empty() && !file.contains("://"));
        let folder = page.parent().unwrap_or(&page);
        broken
            .extend(local.filter(|file| !folder.join(file).exists()).map(|file| format!("{}: {file}", page.display())));
    }
    ensure!(broken.is_empty(), "these lead nowhere:\n{}", broken.join("\n"));
    Ok(())
}

fn run(page: &Path) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let (server, endpoint) = memory_server()?;
    ["photos", "backups", "copy"].iter().for_each(|bucket| server.buckets.create(bucket));
    server.buckets.put_object("photos", "2026/garden.jpg", vec![7; 1000], Attributes::default());
    let host = endpoint.url.trim_start_matches("http://");
    let mut script = script(&text).replace(HOST, host).replace(ACCESS_KEY, &endpoint.access_key);
    for bridge in BRIDGES {
        script = script.replace(bridge, &format!("127.0.0.1:{}", servers::free_port()?));
    }
    ensure!(!script.is_empty(), "no command in {}", page.display());

    let folder = tempfile::TempDir::with_prefix("credenza-guide-")?;
    let machine = [("PATH", "/usr/bin:/bin".to_owned())];
    execute(&script, folder.path(), &endpoint.secret_key, &machine).with_context(|| page.display().to_string())
}

/// The same on a machine with compilers. `hosts` are in the place of others; what a registry wants to see is in `~/registry-login`.
fn run_as_author(page: &Path, hosts: &[(&str, &str)], login: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let key = "a-key-of-the-shelf-4711";
    let mut script = script(&text).replace("shelf.example.com", &shelf::start(key)?);
    for (named, host) in hosts {
        script = script.replace(named, host);
    }
    let folder = tempfile::TempDir::with_prefix("credenza-guide-")?;
    fs::write(folder.path().join("login"), login)?;
    let script = format!("cp ../login ~/registry-login\n{script}");
    execute(&script, folder.path(), key, &author::environment()?).with_context(|| page.display().to_string())
}

/// Runs a script for a user at home in a folder, on a machine with these variables.
fn execute(script: &str, folder: &Path, secret: &str, machine: &[(&str, String)]) -> Result<()> {
    ensure!(!script.is_empty(), "there is no command");
    let home = folder.join("home");
    fs::create_dir(&home)?;
    let programs = programs(folder, secret)?;
    let path = machine.iter().find(|(name, _)| *name == "PATH").map_or("", |(_, path)| path);
    let output = Command::new("sh")
        .args(["-eux", "-c", script])
        .current_dir(&home)
        .env_clear()
        .envs(machine.iter().map(|(name, value)| (name, value)))
        .env("HOME", &home)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("LANG", "C.UTF-8")
        // Where a person would be asked.
        .env("CREDENZA_PASSPHRASE", PASSPHRASE)
        .stdin(Stdio::null())
        .output()
        .context("cannot run sh")?;
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    ensure!(output.status.success(), "{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status);
    Ok(())
}

/// A folder with the program under its name: one that is answered with the secret whenever it asks for a line, unless a pipe feeds it.
fn programs(folder: &Path, secret: &str) -> Result<PathBuf> {
    let (programs, answer) = (folder.join("bin"), folder.join("answer"));
    fs::create_dir(&programs)?;
    fs::write(&answer, format!("{secret}\n"))?;
    let program = programs.join("credenza");
    let (answer, binary) = (answer.display(), binary());
    let call = format!("#!/bin/sh\n[ -p /dev/stdin ] || exec < '{answer}'\nexec '{}' \"$@\"\n", binary.display());
    fs::write(&program, call)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    symlink(servers::program("rclone", "rclone"), programs.join("rclone"))?;
    Ok(programs)
}

fn page(name: &str) -> PathBuf {
    workspace().join("docs/guide").join(name).with_extension("md")
}

/// The commands of a page, one after the other.
fn script(page: &str) -> String {
    let mut lines = page.lines();
    let mut script = Vec::new();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            script.extend(lines.by_ref().take_while(|line| *line != "```"));
        } else if let Some(hidden) = line.strip_prefix("<!-- run: ").and_then(|rest| rest.strip_suffix(" -->")) {
            script.push(hidden);
        }
    }
    script.join("\n")
}

fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut pages = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    Ok(pages)
}

/// Names in quotes, as constants of names are: names in messages are among them.
fn collect_variables(folder: &Path, named: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_variables(&path, named)?;
        } else {
            let text = fs::read_to_string(&path)?;
            let quoted = text.split('"').filter(|word| word.starts_with("CREDENZA_"));
            let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            named.extend(quoted.filter(is_name).filter(|word| !word.ends_with('_')).map(str::to_owned));
        }
    }
    Ok(())
}
