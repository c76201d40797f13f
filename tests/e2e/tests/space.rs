//! The commands over history and space with the real binary, each on a folder and on a bucket, each with `--json`.

#![allow(clippy::indexing_slicing, reason = "three states are three")]

use anyhow::{Context, Result, ensure};
use credenza_e2e::store::Home;
use credenza_e2e::{Outcome, Report, Setup, number, snapshot_of, tree};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// A scenario for either kind of repository.
type Scenario = fn(&mut Home) -> Result<()>;

fn on_both(scenarios: &[(&str, Scenario)]) {
    let mut report = Report::default();
    type Build = fn() -> Result<Home>;
    let homes: [(&str, Build); 2] = [("a folder", Home::folder), ("a bucket", Home::bucket)];
    for (place, home) in homes {
        for (name, run) in scenarios {
            report.scenario(&format!("{name}, in {place}"), || run(&mut home()?));
        }
    }
    report.finish();
}

/// Runs with `--json`, without anything that an earlier run left in the cache, and demands exit code 0.
fn json(setup: &Setup, words: &[&str]) -> Result<Outcome> {
    setup.credenza.forget_cache()?;
    setup.credenza.ok([&["--json"], words].concat())
}

/// Three snapshots of a folder that changes, and copies of what each saw.
struct History {
    ids: [String; 3],
    copies: [PathBuf; 3],
}

impl History {
    /// First `a`, `b.bin`, `keep`; then another `a` and `b.bin`, and `c`; then no `c`.
    fn make(setup: &Setup) -> Result<Self> {
        let source = setup.path("source");
        let states: [&[(&str, Vec<u8>)]; 3] = [
            &[("a", b"first".to_vec()), ("b.bin", tree::noise(1, 3_000_000)), ("keep", tree::noise(2, 100_000))],
            &[("a", b"second".to_vec()), ("b.bin", tree::noise(3, 3_000_000)), ("c", b"here".to_vec())],
            &[],
        ];
        let (mut ids, mut copies) = (Vec::new(), Vec::new());
        for (number, files) in states.iter().enumerate() {
            fs::create_dir_all(&source)?;
            files.iter().try_for_each(|(name, bytes)| fs::write(source.join(name), bytes))?;
            if number == 2 {
                fs::remove_file(source.join("c"))?;
            }
            ids.push(snapshot_of(&setup.backup(&source.to_string_lossy())?)?);
            let copy = setup.path(&format!("copy-{number}"));
            fs::create_dir(&copy)?;
            fs::read_dir(&source)?.try_for_each(|entry| {
                let path = entry?.path();
                fs::copy(&path, copy.join(path.file_name().unwrap_or_default())).map(drop)
            })?;
            copies.push(copy);
        }
        let whole = |_| anyhow::anyhow!("three states");
        Ok(Self { ids: ids.try_into().map_err(|_| whole(()))?, copies: copies.try_into().map_err(|_| whole(()))? })
    }

    /// Demands that these snapshots are all there are, that each restores as it was, and that nothing is damaged.
    fn expect(&self, setup: &Setup, numbers: &[usize]) -> Result<()> {
        let listed = json(setup, &["ls"])?.lines_of("snapshot")?;
        ensure!(listed.len() == numbers.len(), "{listed:?}");
        for &number in numbers {
            let target = setup.path("restored");
            if target.exists() {
                fs::remove_dir_all(&target)?;
            }
            let (id, copy) = (&self.ids[number], &self.copies[number]);
            setup.restore(id, "restored")?;
            tree::compare_bytes(copy, &target)?;
        }
        setup.check()?.expect_code(0).map(drop)
    }
}

/// The lines of one type that have this text in a field.
fn with<'a>(lines: &'a [Value], field: &str, text: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line[field] == text).collect()
}

fn differences(home: &mut Home) -> Result<()> {
    let history = History::make(&home.setup)?;
    let [first, second, third] = &history.ids;
    let changes = json(&home.setup, &["diff", first, second])?;
    let lines = changes.lines_of("change")?;
    ensure!(with(&lines, "change", "content").len() == 2 && with(&lines, "change", "added").len() == 1, "{lines:?}");
    ensure!(with(&lines, "key", "c").len() == 1 && with(&lines, "key", "keep").is_empty(), "{lines:?}");
    let summary = json(&home.setup, &["diff", second, third])?.summary()?;
    ensure!(number(&summary, &["removed"])? == 1 && number(&summary, &["added"])? == 0, "{summary}");
    json(&home.setup, &["diff", first, "abcdef"]).map_or(Ok(()), |_| anyhow::bail!("an unknown snapshot was found"))
}

fn finding(home: &mut Home) -> Result<()> {
    let history = History::make(&home.setup)?;
    let [first, second, third] = &history.ids;
    // An older word for it is understood.
    for word in ["find", "locate"] {
        let found = json(&home.setup, &[word, "*.bin"])?;
        let snapshots: Vec<Value> = found.lines_of("match")?.iter().map(|line| line["snapshots"].clone()).collect();
        ensure!(
            snapshots == [serde_json::json!([third, second]), serde_json::json!([first])],
            "newest first: {snapshots:?}"
        );
    }
    let summary = json(&home.setup, &["find", "c"])?.summary()?;
    ensure!(number(&summary, &["matches"])? == 1 && number(&summary, &["snapshots"])? == 3, "{summary}");
    home.setup.credenza.run(["--json", "find", "nowhere"])?.expect_code(1)?.expect_message(&["matches"])?;
    Ok(())
}

fn digests(home: &mut Home) -> Result<()> {
    let history = History::make(&home.setup)?;
    let [first, second, _] = &history.ids;
    let of = |snapshot: &str| json(&home.setup, &["digest", "--algorithm", "sha256", snapshot]);
    let (one, two) = (of(first)?, of(second)?);
    // SHA-256 of `first`, as `sha256sum` prints it.
    let known = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e";
    let lines = one.lines_of("digest")?;
    ensure!(with(&lines, "key", "a").first().is_some_and(|line| line["digest"] == known), "{}", one.whole());
    ensure!(one.summary()?["digest"] != two.summary()?["digest"], "other contents, other digests");
    let keep = |snapshot: &str| Ok::<_, anyhow::Error>(of(&format!("{snapshot}:keep"))?.summary()?["digest"].clone());
    ensure!(keep(first)? == keep(second)?, "the same content, the same digest");
    Ok(())
}

#[test]
fn history_is_compared_searched_and_digested() {
    on_both(&[("diff", differences), ("find", finding), ("digest", digests)]);
}

fn removing(home: &mut Home) -> Result<()> {
    let history = History::make(&home.setup)?;
    let [first, _, third] = &history.ids;
    let would = json(&home.setup, &["rm", "--dry-run", first])?.lines_of("removed")?;
    ensure!(would.len() == 1 && would.iter().all(|line| line["dry_run"] == true), "{would:?}");
    history.expect(&home.setup, &[0, 1, 2])?;
    home.setup.credenza.run(["rm", &format!("{third}:a")])?.expect_code(2)?;
    home.setup.credenza.run(["rm", first, "0123456789ab"])?.expect_code(1)?;
    history.expect(&home.setup, &[0, 1, 2])?;
    let removed = json(&home.setup, &["rm", first])?.lines_of("removed")?;
    ensure!(with(&removed, "id", first).len() == 1, "{removed:?}");
    history.expect(&home.setup, &[1, 2])
}

fn reclaiming(home: &mut Home) -> Result<()> {
    let history = History::make(&home.setup)?;
    json(&home.setup, &["rm", &history.ids[0]])?;
    let before = home.objects()?;
    let would = json(&home.setup, &["maintain", "--dry-run"])?.summary()?;
    ensure!(would["dry_run"] == true && number(&would, &["packs"])? > 0, "{would}");
    ensure!(home.objects()? == before, "a dry run changed the store");
    let done = json(&home.setup, &["maintain"])?.summary()?;
    ensure!(number(&done, &["bytes_freed"])? > 3_000_000 && number(&done, &["deleted"])? > 0, "{done}");
    ensure!(number(&done, &["repacked"])? > 0 && number(&done, &["bytes_repacked"])? > 0, "`keep` is copied: {done}");
    ensure!(number(&done, &["segments_merged"])? > 0, "{done}");
    let again = json(&home.setup, &["maintain"])?.summary()?;
    ensure!(number(&again, &["deleted"])? == 0 && number(&again, &["repacked"])? == 0, "{again}");
    history.expect(&home.setup, &[1, 2])
}

fn pruning(home: &mut Home) -> Result<()> {
    let history = History::make(&home.setup)?;
    home.setup.credenza.run(["--json", "prune"])?.expect_code(2)?.expect_message(&["--keep-daily"])?;
    json(&home.setup, &["policy", "set", "--keep-last", "2"])?;
    let shown = json(&home.setup, &["policy", "show"])?.lines_of("policy")?;
    ensure!(shown.first().is_some_and(|line| line["policy"]["last"] == 2), "{shown:?}");
    let plan = json(&home.setup, &["prune"])?;
    let decisions = plan.lines_of("decision")?;
    let (kept, gone) = (with(&decisions, "action", "keep"), with(&decisions, "action", "remove"));
    let has_reason = |line: &&Value| line["reasons"].as_array().is_some_and(|reasons| !reasons.is_empty());
    ensure!(kept.len() == 2 && kept.iter().all(has_reason), "{}", plan.whole());
    ensure!(gone.len() == 1 && gone.iter().all(|line| line["id"] == history.ids[0].as_str()), "{}", plan.whole());
    ensure!(plan.summary()?["applied"] == false, "{}", plan.whole());
    history.expect(&home.setup, &[0, 1, 2])?;
    home.setup
        .credenza
        .run(["prune", "--keep-tag", "none", "--apply"])?
        .expect_code(1)?
        .expect_message(&["--force"])?;
    history.expect(&home.setup, &[0, 1, 2])?;
    let done = json(&home.setup, &["prune", "--apply"])?;
    ensure!(done.lines_of("removed")?.len() == 1 && done.summary()?["applied"] == true, "{}", done.whole());
    history.expect(&home.setup, &[1, 2])?;
    json(&home.setup, &["policy", "clear"])?;
    home.setup.credenza.run(["prune"])?.expect_code(2)?;
    Ok(())
}

#[test]
fn snapshots_are_removed_and_their_space_comes_back() {
    on_both(&[("rm", removing), ("maintain", reclaiming), ("policy and prune", pruning)]);
}

fn auditing(home: &mut Home) -> Result<()> {
    History::make(&home.setup)?;
    home.setup.credenza.unset("CREDENZA_KEY_FILE");
    let healthy = json(&home.setup, &["audit"])?;
    ensure!(healthy.lines_of("head")?.len() == 1, "{}", healthy.whole());
    ensure!(number(&healthy.summary()?, &["snapshots"])? == 3, "{}", healthy.whole());
    let objects = home.objects()?;
    for (key, body) in &objects {
        let mut changed = body.clone();
        let middle = changed.len() / 2;
        *changed.get_mut(middle).context("an object is not empty")? ^= 1;
        home.write(key, &changed)?;
        let audit = home.setup.credenza.run(["--json", "audit"])?.expect_code(20)?;
        ensure!(!with(&audit.lines_of("damage")?, "object", key).is_empty(), "{key} is not named\n{}", audit.whole());
        home.write(key, body)?;
    }
    json(&home.setup, &["audit"])?;
    let snapshot = objects.keys().find(|key| key.starts_with("snapshot/")).context("a snapshot is stored")?;
    let mut fewer = objects.clone();
    fewer.remove(snapshot);
    home.put_back(&fewer)?;
    let audit = home.setup.credenza.run(["--json", "audit"])?;
    let newest =
        healthy.lines_of("head")?.iter().any(|head| snapshot.ends_with(head["snapshot"].as_str().unwrap_or("?")));
    // The newest of a chain leaves no gap: that is what a remembered head is for.
    audit.expect_code(if newest { 0 } else { 20 }).map(drop)
}

fn rolled_back(home: &mut Home) -> Result<()> {
    let source = home.setup.path("source");
    tree::build_odd(&source)?;
    home.setup.backup(&source.to_string_lossy())?;
    let earlier = home.objects()?;
    home.setup.backup(&source.to_string_lossy())?;
    let remembered = home.setup.path("heads");
    fs::write(&remembered, json(&home.setup, &["audit"])?.stdout)?;
    let head = remembered.to_string_lossy().into_owned();
    json(&home.setup, &["audit", "--head", &head])?;
    home.put_back(&earlier)?;
    json(&home.setup, &["audit"])?;
    let audit = home.setup.credenza.run(["--json", "audit", "--head", &head])?.expect_code(20)?;
    ensure!(!audit.lines_of("damage")?.is_empty(), "{}", audit.whole());
    Ok(())
}

#[test]
fn an_audit_needs_no_key_and_finds_what_the_owner_of_the_store_did() {
    on_both(&[("every object", auditing), ("the whole store put back", rolled_back)]);
}

fn without_a_home(home: &mut Home) -> Result<()> {
    let history = History::make(&home.setup)?;
    let [first, second, third] = &history.ids;
    home.setup.credenza.unset("HOME");
    home.setup.credenza.unset("CREDENZA_CACHE");
    let commands: [&[&str]; 13] = [
        &["ls"],
        &["diff", first, second],
        &["find", "keep"],
        &["digest", third],
        &["info"],
        &["policy", "set", "--keep-last", "2"],
        &["policy", "show"],
        &["prune"],
        &["prune", "--apply"],
        &["rm", second],
        &["maintain"],
        &["audit"],
        &["check"],
    ];
    for words in commands {
        let outcome = home.setup.credenza.ok([&["--json"], words].concat())?;
        ensure!(!outcome.lines()?.is_empty(), "{words:?} says nothing");
    }
    Ok(())
}

#[test]
fn every_command_works_without_a_home() {
    on_both(&[("all", without_a_home)]);
}
