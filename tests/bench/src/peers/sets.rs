//! What is backed up: the sources that this project depends on, a mix of contents, and the image of a disk.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use credenza_e2e::{tree, workspace};

use crate::files::files_below;

/// One in so many files of the sources, and of the mix, is changed.
const CHANGED_OF: usize = 100;
const PAGE: u64 = 4096;
const IMAGE_BYTES: u64 = 1 << 30;
/// One in so many pages of the image is changed.
const PAGES_CHANGED_OF: u64 = 50;
const MIXED_FILE_BYTES: u64 = 16 << 20;
/// Files of each kind in the mix.
const MIXED_FILES: u64 = 16;

pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

/// Makes all of them in `room`.
///
/// # Errors
/// When they cannot be made.
pub(crate) fn all(room: &Path) -> Result<Vec<Set>> {
    let sources = room.join("set-sources");
    let mut vendor = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    vendor.current_dir(workspace()).args(["vendor", "--locked", "--quiet"]).arg(&sources).stdout(Stdio::null());
    ensure!(vendor.status().context("cargo cannot be started")?.success(), "{vendor:?} failed");
    let text = text_of(&sources)?;
    let (mixed, image) = (room.join("set-mixed"), room.join("set-image"));
    build_mixed(&mixed, &text)?;
    build_image(&image, &text)?;
    [("sources", sources), ("mixed", mixed), ("image", image)]
        .into_iter()
        .map(|(name, folder)| Set::of(name, folder))
        .collect()
}

impl Set {
    fn of(name: &str, folder: PathBuf) -> Result<Self> {
        let files = files_below(&folder)?;
        let bytes = files.iter().map(|file| Ok(fs::metadata(file)?.len())).sum::<Result<u64>>()?;
        Ok(Self { name: name.to_owned(), folder, files: files.len(), bytes })
    }

    /// Changes a little of it, the same at each call.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn change(&self) -> Result<()> {
        let files = files_below(&self.folder)?;
        if let [image] = files.as_slice() {
            let file = File::options().write(true).open(image)?;
            return (0..IMAGE_BYTES / PAGE / PAGES_CHANGED_OF).try_for_each(|number| {
                // Pages far from each other, in no order, each once: the factor has no divisor in common with the number of pages.
                let page = number.wrapping_mul(7919) % (IMAGE_BYTES / PAGE);
                Ok(file.write_all_at(&tree::noise(number, PAGE), page * PAGE)?)
            });
        }
        files.iter().step_by(CHANGED_OF).try_for_each(|file| {
            let mut file = File::options().append(true).open(file)?;
            Ok(file.write_all(b"one line more\n")?)
        })
    }
}

/// Sources, one after the other, as much as a piece of the other sets needs.
fn text_of(sources: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for file in files_below(sources)? {
        if text.len() as u64 >= MIXED_FILE_BYTES * 4 {
            break;
        }
        File::open(file)?.read_to_end(&mut text)?;
    }
    Ok(text)
}

/// Files of four kinds: text, records with a little that repeats, what does not shrink, and text with that between.
fn build_mixed(folder: &Path, text: &[u8]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for number in 0..MIXED_FILES {
        let at = (number as usize).wrapping_mul(3_000_017) % (text.len() / 2).max(1);
        let text: Vec<u8> = text.iter().copied().cycle().skip(at).take(MIXED_FILE_BYTES as usize).collect();
        let noise = tree::noise(number, MIXED_FILE_BYTES);
        let records = noise.chunks(8).flat_map(|piece| [piece, b" 2027-01"].concat()).take(MIXED_FILE_BYTES as usize);
        let between = text.chunks(4096).zip(noise.chunks(4096)).flat_map(|(text, noise)| [text, noise].concat());
        fs::write(folder.join(format!("records-{number}")), records.collect::<Vec<u8>>())?;
        fs::write(
            folder.join(format!("between-{number}")),
            between.take(MIXED_FILE_BYTES as usize).collect::<Vec<u8>>(),
        )?;
        fs::write(folder.join(format!("text-{number}")), text)?;
        fs::write(folder.join(format!("noise-{number}")), noise)?;
    }
    Ok(())
}

/// An image of which a third is text, a third is noise, and a third was never written.
fn build_image(folder: &Path, text: &[u8]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = File::create(folder.join("disk.img"))?;
    file.set_len(IMAGE_BYTES)?;
    let extent = 64 * PAGE;
    let mut pieces = text.chunks(extent as usize).cycle();
    for number in 0..IMAGE_BYTES / extent {
        file.seek(SeekFrom::Start(number * extent))?;
        match number % 3 {
            0 => file.write_all(pieces.next().unwrap_or_default())?,
            1 => file.write_all(&tree::noise(number, extent))?,
            _ => {}
        }
    }
    Ok(())
}
