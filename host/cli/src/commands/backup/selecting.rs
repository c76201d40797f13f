//! What of a source is backed up, and what is left out.
//!
//! Owned here: the options for that, and for which sources each of them means something. Refused here: what patterns and lists mean (`connect`).
//! Called by `backup`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use credenza_app::PathList;
use credenza_app::patterns::PatternList;
use credenza_connect::Marker;
use credenza_engine::backup::BackupOptions;

use super::super::sizes::parse_size;
use super::Target;
use crate::failure::Failure;
use crate::globals::path_parser;
use crate::report::{Reporter, printable};

/// What is wanted.
#[derive(Debug, Args)]
pub(super) struct Selecting {
    /// Leave out what matches this pattern (gitignore syntax); may be given several times. What matches nothing is named at the end.
    ///
    /// With a / at its begin or in its middle it begins at the source: `/target` is what lies there in the source, whatever lies there on the machine.
    /// One that begins with the absolute path of the source goes on from there: `/home/me/src/target` is `/target` where /home/me/src is backed up.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<OsString>,

    /// Leave out what matches the patterns in this file, one a line, as in a .gitignore in the root of the source.
    #[arg(long, value_name = "FILE", value_parser = path_parser())]
    exclude_file: Vec<PathBuf>,

    /// Leave out what is in folders that programs mark as caches, with a CACHEDIR.TAG; the tag itself is kept.
    #[arg(long)]
    exclude_caches: bool,

    /// Leave out what is in folders that hold such a file, or one that begins with CONTENT; the file itself is kept. May be given several times.
    #[arg(long, value_name = "FILE[:CONTENT]", value_parser = OsStringValueParser::new().try_map(parse_marker))]
    exclude_if_present: Vec<Marker>,

    /// Leave out files that are larger, such as 500MB or 2GiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    exclude_larger_than: Option<u64>,

    /// Stay on the file system of the source: what is mounted below it is kept as an empty folder.
    #[arg(short = 'x', long)]
    one_file_system: bool,

    /// Back up only what this file lists, or standard input with `-`: one path a line, or between NUL bytes as `find -print0` writes them.
    ///
    /// A path is absolute or goes on from the source; a folder comes with all that is in it. Nothing in the list is a pattern or a comment. What is
    /// not there is named, and the command ends with 3. The snapshot is one of the source, in its history: --as gives it one of its own.
    #[arg(long, value_name = "FILE", value_parser = path_parser())]
    files_from: Option<PathBuf>,
}

/// A marker as `FILE` or `FILE:CONTENT`.
fn parse_marker(text: OsString) -> Result<Marker, &'static str> {
    let text = text.as_bytes();
    let (name, content) = match text.iter().position(|byte| *byte == b':') {
        None => (text, None),
        Some(colon) => (text.get(..colon).unwrap_or_default(), text.get(colon + 1..)),
    };
    match name {
        b"" | b"." | b".." => Err("name a file"),
        name if name.contains(&b'/') => Err("a file in the folder is meant, so its name has no slash"),
        name => Ok(Marker { name: name.to_vec(), content: content.map(<[u8]>::to_vec) }),
    }
}

/// What is wanted, understood.
pub(super) struct Selected {
    excludes: PatternList,
    only: Option<PathList>,
    markers: Vec<Marker>,
    size_max: Option<u64>,
    one_file_system: bool,
    /// Options that were given and mean something for folders alone.
    of_folders: Vec<&'static str>,
    /// Those that mean something wherever there is more than one file.
    of_listings: Vec<&'static str>,
}

impl Selecting {
    /// Reads what the options name.
    pub(super) fn read(&self) -> Result<Selected, Failure> {
        let of_folders = [
            (self.exclude_caches, "--exclude-caches"),
            (!self.exclude_if_present.is_empty(), "--exclude-if-present"),
            (self.one_file_system, "--one-file-system"),
        ];
        let of_listings = [
            (!self.exclude.is_empty(), "--exclude"),
            (!self.exclude_file.is_empty(), "--exclude-file"),
            (self.exclude_larger_than.is_some(), "--exclude-larger-than"),
        ];
        let caches = self.exclude_caches.then(Marker::of_caches);
        Ok(Selected {
            excludes: PatternList::gather(&self.exclude, &self.exclude_file)?,
            only: self.files_from.as_deref().map(PathList::read).transpose()?,
            markers: caches.into_iter().chain(self.exclude_if_present.iter().cloned()).collect(),
            size_max: self.exclude_larger_than,
            one_file_system: self.one_file_system,
            of_folders: given(of_folders),
            of_listings: given(of_listings),
        })
    }
}

/// The names of options that were given.
fn given<const N: usize>(options: [(bool, &'static str); N]) -> Vec<&'static str> {
    options.into_iter().filter(|(is_given, _)| *is_given).map(|(_, name)| name).collect()
}

impl Selected {
    /// Refuses what cannot be meant of these sources, and says what does nothing there.
    pub(super) fn fit(&self, targets: &[Target], reporter: &Reporter) -> Result<(), Failure> {
        if self.only.is_some() && targets.len() > 1 {
            return Err(Failure::usage("--files-from lists the paths of one source, and there are more")
                .hint("back them up one by one, each with a list of its own"));
        }
        for target in targets {
            let (idle, why) = match target {
                Target::Place(place) if place.is_folder() => continue,
                Target::Place(_) => (self.of_folders.clone(), "is for folders"),
                Target::Stream(_) => {
                    ([self.of_folders.as_slice(), &self.of_listings].concat(), "is for more than one file")
                }
            };
            let place = target.location();
            for option in idle {
                reporter.note(format!("note: {option} {why} and does nothing at {}", printable(&place)));
            }
        }
        Ok(())
    }

    /// The options of one source, with what of it is wanted.
    pub(super) fn options(&self, target: &Target, options: BackupOptions) -> Result<BackupOptions, Failure> {
        let Target::Place(place) = target else { return Ok(options) };
        Ok(BackupOptions {
            excludes: self.excludes.of(&place.location)?,
            only: self.only.as_ref().map(|only| only.of(&place.location)).unwrap_or_default(),
            markers: self.markers.clone(),
            size_max: self.size_max,
            one_file_system: self.one_file_system,
            ..options
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_a_name_and_perhaps_how_its_content_begins() {
        let marker = |name: &str, content: Option<&str>| Marker {
            name: name.into(),
            content: content.map(|content| content.as_bytes().to_vec()),
        };
        assert_eq!(parse_marker(".nobackup".into()), Ok(marker(".nobackup", None)));
        assert_eq!(parse_marker("tag:a:b".into()), Ok(marker("tag", Some("a:b"))));
        assert_eq!(parse_marker("tag:".into()), Ok(marker("tag", Some(""))));
        for none in ["", ":x", "a/b", "..", "/tag"] {
            assert!(parse_marker(none.into()).is_err(), "{none}");
        }
    }
}
