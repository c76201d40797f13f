//! Tags that change after a snapshot was made: who sees them, what they keep, and where they go.

use std::fs;

use anyhow::{Result, ensure};
use credenza_e2e::{Report, Setup, snapshot_of};

/// A user with snapshots of one folder, by their ids.
fn history(setup: &Setup, count: usize) -> Result<Vec<String>> {
    let source = setup.path("source");
    fs::create_dir_all(&source)?;
    let mut ids = Vec::new();
    for number in 0..count {
        fs::write(source.join("a"), number.to_string())?;
        ids.push(snapshot_of(&setup.backup(&source.to_string_lossy())?)?);
    }
    Ok(ids)
}

/// The tags of each snapshot, as `ls` shows them.
fn tags(setup: &Setup, at: &str) -> Result<Vec<Vec<String>>> {
    let lines = setup.credenza.ok(["--json", "at", at, "ls"])?.lines_of("snapshot")?;
    Ok(lines.iter().map(|line| serde_json::from_value(line["tags"].clone())).collect::<Result<_, _>>()?)
}

#[test]
fn tags_are_edited_later() {
    let mut report = Report::default();
    report.scenario("ls, info and filters go by the tags of now", || {
        let setup = Setup::with_local_repository()?;
        let ids = history(&setup, 2)?;
        let repository = setup.path("repository").to_string_lossy().into_owned();
        let short = &ids[0][..8];
        let added = setup.credenza.ok(["tag", "add", "keep", short, &ids[1]])?;
        ensure!(added.stdout.contains(&format!("snapshot {short} has the tags keep\n")), "{}", added.whole());
        setup.credenza.ok(["tag", "remove", "keep", "latest"])?;
        ensure!(tags(&setup, &repository)? == [vec!["keep".to_owned()], Vec::new()]);
        let shown = setup.credenza.ok(["info", short])?;
        ensure!(shown.stdout.contains("tags       keep"), "{}", shown.whole());
        let listed = setup.credenza.ok(["--json", "ls", "--tag", "keep"])?.lines_of("snapshot")?;
        ensure!(listed.len() == 1 && listed[0]["id"] == ids[0].as_str(), "{listed:?}");
        let same = setup.credenza.ok(["tag", "add", "keep", short])?;
        ensure!(same.stdout.contains("as before"), "{}", same.whole());
        setup.credenza.run(["tag", "add", "", short])?.expect_code(2)?;
        setup.credenza.run(["tag", "add", "keep", "nonsense!"])?.expect_code(2)?;
        ensure!(setup.check()?.code == Some(0));
        Ok(())
    });
    report.scenario("prune keeps what was tagged later", || {
        let setup = Setup::with_local_repository()?;
        let ids = history(&setup, 4)?;
        setup.credenza.ok(["tag", "add", "keep", &ids[0]])?;
        let pruned = ["prune", "--keep-last", "1", "--keep-tag", "keep", "--apply", "--force"];
        let said = setup.credenza.ok(pruned)?;
        ensure!(said.stdout.contains(&ids[0][..8]) && !said.stdout.contains(&ids[0]), "{}", said.whole());
        let left = setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
        let left: Vec<&str> = left.iter().filter_map(|line| line["id"].as_str()).collect();
        ensure!(left == [&ids[0], &ids[3]], "{left:?}");
        setup.credenza.ok(["maintain"])?;
        ensure!(tags(&setup, &setup.path("repository").to_string_lossy())? == [vec!["keep".to_owned()], Vec::new()]);
        Ok(())
    });
    report.scenario("sync carries them", || {
        let setup = Setup::with_local_repository()?;
        history(&setup, 1)?;
        let other = setup.path("other").to_string_lossy().into_owned();
        setup.credenza.ok(["at", &other, "create"])?;
        setup.credenza.ok(["sync", "to", &other])?;
        setup.credenza.ok(["tag", "add", "keep", "latest"])?;
        let shown = setup.credenza.ok(["sync", "to", &other])?.stdout;
        ensure!(shown.contains("tags changed"), "{shown}");
        ensure!(tags(&setup, &other)? == [vec!["keep".to_owned()]]);
        Ok(())
    });
    report.finish();
}

#[test]
fn ids_are_short_for_a_person_and_whole_for_a_program() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let ids = history(&setup, 3)?;
    let commands: [&[&str]; 3] =
        [&["info", &ids[1]], &["rm", "--dry-run", &ids[0][..8]], &["prune", "--keep-last", "1"]];
    for words in commands {
        let shown = setup.credenza.ok(words)?.stdout;
        ensure!(!ids.iter().any(|id| shown.contains(id)), "{words:?}: {shown}");
        for more in ["-v", "--json"] {
            let shown = setup.credenza.ok([words, &[more]].concat())?.stdout;
            ensure!(ids.iter().any(|id| shown.contains(id)), "{words:?} {more}: {shown}");
        }
    }
    let shown = setup.credenza.ok(["info", "latest"])?.stdout;
    ensure!(shown.contains(" UTC by "), "{shown}");
    Ok(())
}
