//! Users who are not root, users who share a repository, and a repository whose disk is full.
//!
//! These need a superuser who may become somebody else or mount; without, they say that they were not run.

#![allow(clippy::print_stderr, reason = "what was not run is said")]

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Report, Setup, binary};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GROUP: u32 = 5555;
const KEY_FILE: &str = "key";

/// A user without any right, with a home of their own.
struct User {
    number: u32,
    home: PathBuf,
    binary: PathBuf,
    key: PathBuf,
}

impl User {
    /// The folder of `setup` becomes one that everybody may pass, with the program in it.
    fn new(setup: &Setup, number: u32) -> Result<Self> {
        let (key, program) = (setup.path(KEY_FILE), setup.path("credenza"));
        if !program.exists() {
            fs::set_permissions(setup.path(""), Permissions::from_mode(0o755))?;
            fs::copy(binary(), &program)?;
            fs::write(&key, [7; 32])?;
        }
        let home = setup.path(&format!("home of {number}"));
        fs::create_dir_all(&home)?;
        chown(&home, Some(number), Some(number))?;
        Ok(Self { number, home, binary: program, key })
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let id = self.number;
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={id}"), &format!("--regid={id}"), &format!("--groups={GROUP}")]);
        command.arg(&self.binary).args(arguments).env_clear().current_dir(&self.home);
        command.env("HOME", &self.home).env("CREDENZA_CACHE", self.home.join("cache"));
        command.env("CREDENZA_CONFIG", self.home.join("config")).env("CREDENZA_KEY_FILE", &self.key);
        Ok(command.output()?)
    }

    fn ok(&self, arguments: &[&str]) -> Result<Output> {
        let output = self.run(arguments)?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(output)
    }
}

fn may_become_others() -> bool {
    let able = Command::new("setpriv").args(["--reuid=4001", "--clear-groups", "true"]).status();
    let able = able.is_ok_and(|status| status.success());
    if !able {
        eprintln!("not run: nobody else can be become here");
    }
    able
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the folder of the tests has a name that is text")
}

#[test]
fn users_that_are_not_root() {
    if !may_become_others() {
        return;
    }
    let mut report = Report::default();
    report.scenario("two users of a group share a repository in a folder that hands its group on", || {
        let setup = Setup::new()?;
        let users = [User::new(&setup, 4001)?, User::new(&setup, 4002)?];
        let (repository, source) = (setup.path("repository"), setup.path("source"));
        fs::create_dir_all(&repository)?;
        chown(&repository, None, Some(GROUP))?;
        fs::set_permissions(&repository, Permissions::from_mode(0o2770))?;
        fs::create_dir(&source)?;
        fs::set_permissions(&source, Permissions::from_mode(0o755))?;
        fs::write(source.join("a"), "a")?;
        fs::set_permissions(source.join("a"), Permissions::from_mode(0o644))?;
        let (repository, source) = (text(&repository)?, text(&source)?);
        let created = users[0].ok(&["at", repository, "create"])?;
        ensure!(String::from_utf8_lossy(&created.stdout).contains("the folder is shared"));
        users[0].ok(&["at", repository, "backup", source])?;
        users[1].ok(&["at", repository, "backup", source])?;
        users[1].ok(&["at", repository, "check", "--read-data"])?;
        users[0].ok(&["at", repository, "rm", "latest"])?;
        users[1].ok(&["at", repository, "maintain"])?;
        Ok(())
    });
    report.scenario("folders without write permission are restored twice", || {
        let setup = Setup::new()?;
        let user = User::new(&setup, 4001)?;
        let (repository, source, target) =
            (user.home.join("repository"), user.home.join("source"), user.home.join("target"));
        fs::create_dir_all(source.join("closed/shut/deep"))?;
        fs::write(source.join("closed/shut/deep/a"), "a")?;
        for path in ["", "closed", "closed/shut", "closed/shut/deep", "closed/shut/deep/a"] {
            chown(source.join(path), Some(user.number), Some(user.number))?;
        }
        let (repository, source, target) = (text(&repository)?, text(&source)?, text(&target)?);
        user.ok(&["at", repository, "create"])?;
        user.ok(&["at", repository, "backup", source])?;
        let restore = ["at", repository, "restore", "latest", "--to", target, "--accept-loss", "--overwrite"];
        user.ok(&restore)?;
        // As the folders of a snapshot may be, and one that its owner may not even list.
        let modes = [("closed/shut/deep", 0o555), ("closed/shut", 0o111), ("closed", 0o500)];
        for (path, mode) in modes {
            fs::set_permissions(Path::new(source).join(path), Permissions::from_mode(mode))?;
            fs::set_permissions(Path::new(target).join(path), Permissions::from_mode(mode))?;
        }
        let part =
            ["at", repository, "restore", "latest:closed/shut/deep/a", "--to", target, "--accept-loss", "--overwrite"];
        user.ok(&part)?;
        for (path, mode) in modes {
            let found = fs::metadata(Path::new(target).join(path))?.mode() & 0o7777;
            ensure!(found == mode, "{path} is {found:o} after a part was restored into it");
        }
        // As the folders are backed up now, with something in them that the snapshot has not.
        fs::set_permissions(Path::new(source).join("closed/shut"), Permissions::from_mode(0o500))?;
        user.ok(&["at", repository, "backup", source])?;
        fs::set_permissions(Path::new(target).join("closed/shut"), Permissions::from_mode(0o755))?;
        let extras = ["closed/extra", "closed/shut/deep/extra", "closed/shut/deep/more/extra"];
        for extra in extras {
            let extra = Path::new(target).join(extra);
            fs::create_dir_all(extra.parent().unwrap_or(&extra))?;
            fs::write(&extra, "extra")?;
            chown(&extra, Some(user.number), Some(user.number))?;
        }
        let more = Path::new(target).join("closed/shut/deep/more");
        chown(&more, Some(user.number), Some(user.number))?;
        fs::set_permissions(&more, Permissions::from_mode(0o500))?;
        let exact = [&restore[..], &["--delete", "--force"]].concat();
        user.ok(&exact)?;
        ensure!(!more.exists() && extras.iter().all(|extra| !Path::new(target).join(extra).exists()));
        for (path, mode) in [("closed/shut/deep", 0o555), ("closed/shut", 0o500), ("closed", 0o500)] {
            let found = fs::metadata(Path::new(target).join(path))?.mode() & 0o7777;
            ensure!(found == mode, "{path} is {found:o} after what was extra in it was removed");
        }
        user.ok(&["at", repository, "restore", "latest~1", "--to", target, "--accept-loss", "--overwrite"])?;
        let found = fs::metadata(Path::new(target).join("closed/shut"))?.mode() & 0o7777;
        ensure!(found == 0o755 || found == 0o775, "{found:o}, as it was when it was backed up");
        Ok(())
    });
    report.finish();
}

/// Runs a script with a file system of 12 MiB at `$1`, which is seen by nobody else.
fn on_a_small_disk(setup: &Setup, script: &str) -> Result<Option<Output>> {
    let small = setup.path("small");
    fs::create_dir_all(&small)?;
    let mount = "mount -t tmpfs -o size=12m none \"$1\" || exit 77; ";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("{mount}set -e; {script}"), "sh"]).arg(&small).arg(binary());
    command.env("HOME", setup.path("home")).env("CREDENZA_CACHE", setup.path("cache"));
    command.env("CREDENZA_CONFIG", setup.path("config"));
    let key = setup.path(KEY_FILE);
    fs::write(&key, [7; 32])?;
    let output = command.env("CREDENZA_KEY_FILE", key).output()?;
    let is_run = output.status.code() != Some(77) && output.status.code().is_some();
    if !is_run {
        eprintln!("not run: nothing can be mounted here");
    }
    Ok(is_run.then_some(output))
}

#[test]
fn where_no_file_can_be_made_any_more_a_snapshot_is_removed_on_record() -> Result<()> {
    let setup = Setup::new()?;
    let source = setup.path("source");
    fs::create_dir_all(&source)?;
    let script = format!(
        r#"
        source="{}"; disk=$1; program=$2; c() {{ "$program" --no-progress at "$disk/repository" "$@"; }}
        mount -t tmpfs -o size=12m,nr_inodes=500 none "$disk"
        c create
        for number in 1 2; do echo "$number" > "$source/small"; c backup "$source"; done
        number=0; while true > "$disk/fill-$number"; do number=$((number + 1)); done 2>/dev/null
        test "$(df --output=iavail "$disk" | tail -n 1)" -eq 0
        id=$(c --json ls | sed -n '1s/.*"id":"\([0-9a-f]*\)".*/\1/p')
        c rm "$id"
        test "$(ls "$disk/repository/removed" "$disk/repository/copy/removed" | grep -c '^[0-9a-f]*$')" -ge 2
        c check
        "#,
        text(&source)?
    );
    if let Some(output) = on_a_small_disk(&setup, &script)? {
        let reported = [&output.stdout[..], &output.stderr].concat();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&reported));
    }
    Ok(())
}

#[test]
fn a_part_of_a_repository_may_be_mounted_from_another_disk() -> Result<()> {
    let setup = Setup::new()?;
    let source = setup.path("source");
    fs::create_dir_all(&source)?;
    let script = format!(
        r#"
        source="{}"; disk=$1; program=$2; c() {{ "$program" --no-progress at "$disk/repository" "$@"; }}
        c create
        mkdir -p "$disk/repository/data"; mount -t tmpfs -o size=12m none "$disk/repository/data"
        for number in 1 2; do
            head -c 2000000 /dev/urandom > "$source/large"
            c backup "$source"
        done
        test "$(df --output=used "$disk/repository/data" | tail -n 1)" -gt 3000
        test -z "$(ls -A "$disk/repository/data/~unfinished")"
        touch -d '8 days ago' "$disk/repository/data/~unfinished/left"
        c prune --keep-last 1 --apply; c maintain; c check --read-data
        test ! -e "$disk/repository/data/~unfinished/left"
        c restore latest --to "$disk/target"; cmp "$source/large" "$disk/target/large"
        c audit
        "#,
        text(&source)?
    );
    if let Some(output) = on_a_small_disk(&setup, &script)? {
        let reported = [&output.stdout[..], &output.stderr].concat();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&reported));
    }
    Ok(())
}

#[test]
fn space_can_be_got_from_a_full_disk() -> Result<()> {
    for removal in ["rm \"$id\"", "prune --keep-last 1 --apply"] {
        expect_space_by(removal)?;
    }
    Ok(())
}

fn expect_space_by(removal: &str) -> Result<()> {
    let setup = Setup::new()?;
    let source = setup.path("source");
    fs::create_dir_all(&source)?;
    let script = format!(
        r#"
        source="{}"; disk=$1; program=$2; c() {{ "$program" --no-progress at "$disk/repository" "$@"; }}
        head -c 6000000 /dev/urandom > "$source/large"
        c create; c backup "$source"
        rm "$source/large"; echo small > "$source/small"
        c backup "$source"
        dd if=/dev/zero of="$disk/fill" bs=4k 2>/dev/null || true
        test "$(df --output=avail "$disk" | tail -n 1)" -eq 0
        id=$(c --json ls | sed -n '1s/.*"id":"\([0-9a-f]*\)".*/\1/p')
        c {removal}
        c maintain
        test "$(df --output=avail "$disk" | tail -n 1)" -gt 5000
        c check --read-data
        "#,
        text(&source)?
    );
    if let Some(output) = on_a_small_disk(&setup, &script)? {
        let reported = [&output.stdout[..], &output.stderr].concat();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&reported));
    }
    Ok(())
}
