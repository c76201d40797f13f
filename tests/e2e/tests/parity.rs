//! A repository with parity and the real binary: its packs rot, and nothing is lost.

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Setup, number, tree};
use std::fs;
use std::path::{Path, PathBuf};

/// Every pack of content in a folder.
fn data_packs(repository: &Path) -> Result<Vec<PathBuf>> {
    let mut packs = Vec::new();
    for folder in fs::read_dir(repository.join("data"))? {
        packs.extend(fs::read_dir(folder?.path())?.map(|pack| Ok(pack?.path())).collect::<Result<Vec<_>>>()?);
    }
    Ok(packs)
}

/// Changes a file that is read-only.
fn rewrite(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::remove_file(path)?;
    fs::write(path, bytes).context("cannot hurt a pack")
}

#[test]
fn a_pack_that_rots_in_a_repository_with_parity_costs_nothing_and_is_mended() -> Result<()> {
    let mut setup = Setup::new()?;
    let repository = setup.path("repository");
    setup.credenza.set("CREDENZA_REPOSITORY", &repository.to_string_lossy());
    setup.credenza.run(["create", "--parity", "51%"])?.expect_code(2)?;
    let created = setup.credenza.ok(["create", "--parity", "5%"])?;
    ensure!(created.stdout.contains("5%"), "{}", created.stdout);
    ensure!(setup.credenza.ok(["info"])?.stdout.contains("parity       5% of each pack"), "info is silent");
    let source = setup.path("source");
    fs::create_dir(&source)?;
    let text: String = tree::noise(2, 1_500_000).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(source.join("text"), &text)?;
    setup.backup(&source.to_string_lossy())?;
    setup.check()?.expect_code(0)?;

    for pack in data_packs(&repository)? {
        let mut bytes = fs::read(&pack)?;
        let middle = bytes.len() / 2;
        bytes.iter_mut().skip(middle).take(5000).for_each(|byte| *byte = 0);
        rewrite(&pack, &bytes)?;
    }
    let restored = setup.path("restored").to_string_lossy().into_owned();
    let restore = setup.credenza.run(["restore", "latest", "--to", &restored])?.expect_code(20)?;
    tree::compare_bytes(&source, Path::new(&restored))?;
    ensure!(restore.stdout.contains("read by their parity"), "{}", restore.stdout);
    ensure!(restore.stderr.contains("repair --read-data --apply"), "{}", restore.stderr);
    let cat = setup.credenza.run(["cat", "latest:text"])?.expect_code(20)?;
    ensure!(cat.stdout == text, "cat prints something else");
    let check = setup.credenza.run(["--json", "check", "--read-data"])?.expect_code(20)?;
    let summary = check.summary()?;
    let (healed, damages) = (number(&summary, &["packs_healed"])?, number(&summary, &["damages"])?);
    ensure!(healed == damages && healed > 0, "{summary}");
    setup.credenza.run(["audit"])?.expect_code(20)?;

    setup.credenza.ok(["repair", "--read-data", "--apply"])?;
    setup.credenza.ok(["check", "--read-data"])?;
    fs::remove_dir_all(&restored)?;
    setup.credenza.ok(["restore", "latest", "--to", &restored])?;
    tree::compare_bytes(&source, Path::new(&restored))?;
    setup.credenza.ok(["maintain"])?;
    setup.credenza.ok(["check", "--read-data"])?;
    setup.credenza.ok(["audit"])?;

    // Parity that is lost is made again.
    fs::remove_dir_all(repository.join("parity"))?;
    let missing = setup.credenza.run(["check"])?.expect_code(20)?;
    ensure!(missing.stdout.contains("damage in parity/"), "{}", missing.stdout);
    setup.credenza.ok(["repair", "--apply"])?;
    setup.credenza.ok(["check", "--read-data"])?;
    Ok(())
}
