//! Damage that one machine found is known to every other, by the exit codes of the real binary.

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Credenza, Setup, number, tree};
use std::fs;
use std::path::{Path, PathBuf};

/// The only pack of content in a folder.
fn data_pack(repository: &Path) -> Result<PathBuf> {
    let folder = fs::read_dir(repository.join("data"))?.next().context("there is no pack")??;
    Ok(fs::read_dir(folder.path())?.next().context("there is no pack")??.path())
}

/// Changes a file that is read-only.
fn rewrite(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::remove_file(path)?;
    fs::write(path, bytes).context("cannot hurt a pack")
}

#[test]
fn damage_that_one_machine_found_is_named_on_the_other_until_it_is_mended() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let (repository, source) = (setup.path("repository"), setup.path("source"));
    fs::create_dir(&source)?;
    fs::write(source.join("large"), tree::noise(1, 400_000))?;
    setup.backup(&source.to_string_lossy())?;
    let mut other = Credenza::new(&setup.path("other"))?;
    other.set("CREDENZA_REPOSITORY", &repository.to_string_lossy());

    let pack = data_pack(&repository)?;
    let whole = fs::read(&pack)?;
    let mut rotten = whole.clone();
    *rotten.get_mut(5000).context("the pack is small")? ^= 1;
    rewrite(&pack, &rotten)?;
    other.run(["check"])?.expect_code(0)?;
    let found = setup.credenza.run(["--json", "check", "--read-data"])?.expect_code(20)?;
    ensure!(found.summary()?.get("recorded") == Some(&true.into()), "{}", found.stdout);

    let name = pack.file_name().context("a pack has a name")?.to_string_lossy().into_owned();
    for machine in [&other, &setup.credenza] {
        for command in [
            &["check"] as &[&str],
            &["check", "--read-data=older-than:30d"],
            &["repair"],
            &["maintain", "--dry-run"],
            &["maintain"],
        ] {
            let named = machine.run(command)?.expect_code(20)?;
            ensure!(named.stdout.contains(&name), "{command:?} names something else: {}", named.stdout);
        }
    }
    ensure!(fs::read(&pack)? == rotten, "the pack was touched");

    // The store was at fault, and gives the right bytes again: known once somebody has read them.
    rewrite(&pack, &whole)?;
    other.run(["check"])?.expect_code(20)?;
    let read = other.ok(["--json", "check", "--read-data=1B"])?.summary()?;
    ensure!(number(&read, &["packs_never_read"])? == 0, "{read}");
    for command in ["check", "repair", "maintain"] {
        setup.credenza.ok([command])?;
    }

    // What cannot be mended is named until a backup has brought it back.
    rewrite(&pack, &rotten)?;
    setup.credenza.run(["repair", "--read-data"])?.expect_code(20)?;
    other.run(["repair", "--apply"])?.expect_code(20)?;
    setup.credenza.run(["check"])?.expect_code(20)?;
    other.run(["maintain"])?.expect_code(20)?;
    setup.backup(&source.to_string_lossy())?;
    for command in ["check", "repair", "maintain"] {
        other.ok([command])?;
    }
    setup.check()?.expect_code(0)?;
    Ok(())
}

#[test]
fn what_an_interrupted_run_left_is_counted_with_the_day_on_which_it_is_freed() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let (repository, source) = (setup.path("repository"), setup.path("source"));
    fs::create_dir(&source)?;
    fs::write(source.join("large"), tree::noise(1, 400_000))?;
    setup.backup(&source.to_string_lossy())?;
    // A run that ended after its packs and before its index: nothing but the pack is left of it.
    for folder in ["index", "snapshot", "usage"] {
        for object in fs::read_dir(repository.join(folder))? {
            fs::remove_file(object?.path())?;
        }
    }
    let check = setup.credenza.run(["--json", "check"])?.expect_code(0)?;
    let summary = check.summary()?;
    ensure!(number(&summary, &["unreferenced_packs"])? == 2, "{summary}");
    ensure!(number(&summary, &["unreferenced_bytes"])? > 400_000, "{summary}");
    ensure!(summary.get("freed_from").is_some(), "{summary}");
    let reported = setup.credenza.ok(["check"])?.stdout;
    ensure!(reported.contains("`maintain` frees them from 20"), "{reported}");
    Ok(())
}
