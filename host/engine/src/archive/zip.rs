//! Zip as a stream: the sizes of a file stand behind it, and in the directory at the end.
//!
//! Written here and not by a library: the one that could keeps the directory in memory, some hundred bytes an entry.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};

use crc_fast::{CrcAlgorithm, Digest};
use credenza_model::Timestamp;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::Format;
use super::member::{Member, MemberKind};

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

/// Sizes follow the data, and names are UTF-8.
const SIZES_FOLLOW: u16 = 1 << 3;
const IS_UTF_8: u16 = 1 << 11;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const VERSION: u16 = 20;
const VERSION_64: u16 = 45;
const MADE_ON_UNIX: u16 = 3 << 8;
/// Stands for a size, an offset or a count that the 64-bit field has.
const ELSEWHERE: u32 = u32::MAX;
const COUNT_ELSEWHERE: u16 = u16::MAX;
/// Content from which on sizes are given in 64 bits: what does not shrink grows by less than the rest.
const LARGE_BYTES: u64 = (u32::MAX as u64) - 64 * 1024 * 1024;

const FOLDER_MODE: u32 = 0o040_000;
const FILE_MODE: u32 = 0o100_000;
const LINK_MODE: u32 = 0o120_000;
const IS_FOLDER: u32 = 0x10;

/// A zip that is being written.
pub(super) struct Zip {
    /// Bytes that went out.
    offset: u64,
    /// The directory, as it will stand at the end.
    directory: BufWriter<File>,
    directory_bytes: u64,
    members: u64,
    current: Option<Current>,
}

/// The member under way.
struct Current {
    place: Place,
    crc: Digest,
    size: u64,
    /// Where its data begins.
    begin: u64,
    deflate: Option<DeflateEncoder<Vec<u8>>>,
}

/// What both headers of a member say.
struct Place {
    path: Vec<u8>,
    offset: u64,
    flags: u16,
    method: u16,
    mode: u32,
    time: Timestamp,
    owner: Option<(u32, u32)>,
    is_large: bool,
}

impl Zip {
    pub(super) fn new() -> io::Result<Self> {
        let directory = BufWriter::new(tempfile::tempfile()?);
        Ok(Self { offset: 0, directory, directory_bytes: 0, members: 0, current: None })
    }

    fn put(&mut self, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        self.offset += bytes.len() as u64;
        out.write_all(bytes)
    }
}

impl Format for Zip {
    fn begin(&mut self, member: &Member<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mode = member.mode();
        let (mode, is_streamed, is_large) = match &member.kind {
            MemberKind::Folder => (FOLDER_MODE | mode, false, false),
            MemberKind::Symlink(_) => (LINK_MODE | 0o777, false, false),
            MemberKind::File(bytes) => (FILE_MODE | mode, true, *bytes >= LARGE_BYTES),
            MemberKind::HardLink(_) | MemberKind::Fifo | MemberKind::Device { .. } => (FILE_MODE | mode, true, false),
        };
        let place = Place {
            path: member.path.clone(),
            offset: self.offset,
            flags: IS_UTF_8 | if is_streamed { SIZES_FOLLOW } else { 0 },
            method: if is_streamed { DEFLATED } else { STORED },
            mode,
            time: member.entry.modified.unwrap_or_default(),
            owner: member.owner(),
            is_large,
        };
        let target = match &member.kind {
            MemberKind::Symlink(target) => target.as_slice(),
            _ => &[],
        };
        let mut crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
        crc.update(target);
        let header = place.local_header(checksum(&crc), target.len() as u64);
        self.put(&header, out)?;
        let begin = self.offset;
        self.put(target, out)?;
        let deflate = is_streamed.then(|| DeflateEncoder::new(Vec::new(), Compression::default()));
        self.current = Some(Current { place, crc, size: target.len() as u64, begin, deflate });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        let Some(Current { crc, size, deflate: Some(deflate), .. }) = &mut self.current else { return Ok(()) };
        crc.update(bytes);
        *size += bytes.len() as u64;
        deflate.write_all(bytes)?;
        let deflated = std::mem::take(deflate.get_mut());
        self.put(&deflated, out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(Current { place, crc, size, begin, deflate }) = self.current.take() else { return Ok(()) };
        let is_streamed = deflate.is_some();
        if let Some(deflate) = deflate {
            let rest = deflate.finish()?;
            self.put(&rest, out)?;
        }
        let (crc, stored) = (checksum(&crc), self.offset - begin);
        if is_streamed {
            let mut descriptor = Fields::default();
            descriptor.u32(DESCRIPTOR).u32(crc);
            match place.is_large {
                true => descriptor.u64(stored).u64(size),
                false => descriptor.u32(low(stored)).u32(low(size)),
            };
            self.put(&descriptor.0, out)?;
        }
        let header = place.central_header(crc, stored, size);
        self.members += 1;
        self.directory_bytes += header.len() as u64;
        self.directory.write_all(&header)
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.directory.flush()?;
        let mut directory = self.directory.get_ref();
        directory.rewind()?;
        io::copy(&mut BufReader::new(directory), out)?;
        let (begin, length, members) = (self.offset, self.directory_bytes, self.members);
        let is_large = members >= u64::from(COUNT_ELSEWHERE) || begin + length >= u64::from(ELSEWHERE);
        let mut end = Fields::default();
        if is_large {
            end.u32(END_64).u64(44).u16(MADE_ON_UNIX | VERSION_64).u16(VERSION_64).u32(0).u32(0);
            end.u64(members).u64(members).u64(length).u64(begin);
            end.u32(LOCATOR_64).u32(0).u64(begin + length).u32(1);
        }
        let count = u16::try_from(members).ok().filter(|_| !is_large).unwrap_or(COUNT_ELSEWHERE);
        let short = |value: u64| u32::try_from(value).ok().filter(|_| !is_large).unwrap_or(ELSEWHERE);
        end.u32(END).u16(0).u16(0).u16(count).u16(count).u32(short(length)).u32(short(begin)).u16(0);
        out.write_all(&end.0)
    }

    fn break_off(&mut self, _: &mut dyn Write) -> io::Result<()> {
        // Without its directory no reader takes it for whole.
        Ok(())
    }

    fn keeps(&self, attribute: &str) -> bool {
        matches!(attribute, "posix.mode" | "posix.uid" | "posix.gid" | "posix.user" | "posix.group" | "posix.sparse")
    }
}

impl Place {
    fn local_header(&self, crc: u32, size: u64) -> Vec<u8> {
        let mut extra = self.extra();
        if self.is_large {
            extra.u16(1).u16(16).u64(0).u64(0);
        }
        let mut header = Fields::default();
        let size = if self.is_large { ELSEWHERE } else { low(size) };
        header.u32(LOCAL).u16(self.version()).u16(self.flags).u16(self.method).dos_time(self.time);
        header.u32(crc_or_none(crc, self.flags)).u32(size).u32(size);
        header.u16(length(&self.path)).u16(length(&extra.0));
        [header.0, self.path.clone(), extra.0].concat()
    }

    fn central_header(&self, crc: u32, stored: u64, size: u64) -> Vec<u8> {
        let mut extra = self.extra();
        let mut large = Fields::default();
        let short = |value: u64, large: &mut Fields| match value < u64::from(ELSEWHERE) {
            true => low(value),
            false => {
                large.u64(value);
                ELSEWHERE
            }
        };
        let (size, stored, offset) =
            (short(size, &mut large), short(stored, &mut large), short(self.offset, &mut large));
        if !large.0.is_empty() {
            extra.u16(1).u16(length(&large.0));
            extra.0.extend(large.0);
        }
        let mut header = Fields::default();
        header.u32(CENTRAL).u16(MADE_ON_UNIX | VERSION_64).u16(self.version()).u16(self.flags).u16(self.method);
        header.dos_time(self.time).u32(crc).u32(stored).u32(size).u16(length(&self.path)).u16(length(&extra.0));
        let folder = if self.mode & FOLDER_MODE != 0 { IS_FOLDER } else { 0 };
        header.u16(0).u16(0).u16(0).u32(self.mode << 16 | folder).u32(offset);
        [header.0, self.path.clone(), extra.0].concat()
    }

    const fn version(&self) -> u16 {
        if self.is_large { VERSION_64 } else { VERSION }
    }

    /// The time in seconds since 1970 and the owner, as Info-ZIP writes them.
    fn extra(&self) -> Fields {
        let mut extra = Fields::default();
        if let Ok(seconds) = i32::try_from(self.time.seconds) {
            extra.u16(0x5455).u16(5).u8(1).u32(seconds.cast_unsigned());
        }
        if let Some((uid, gid)) = self.owner {
            extra.u16(0x7875).u16(11).u8(1).u8(4).u32(uid).u8(4).u32(gid);
        }
        extra
    }
}

/// Fields in little endian.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// In steps of two seconds, in UTC, from 1980 to 2107.
    fn dos_time(&mut self, time: Timestamp) -> &mut Self {
        let (year, month, day) = time.date();
        let second = time.seconds.rem_euclid(86_400);
        let (date, clock) = match year {
            1980..=2107 => {
                let clock = ((second / 3600) << 11) | ((second / 60 % 60) << 5) | (second % 60 / 2);
                (((year - 1980) << 9) | (month << 5) | day, clock)
            }
            _ => ((1 << 5) | 1, 0),
        };
        let field = |value: i64| u16::try_from(value).unwrap_or(0);
        self.u16(field(clock)).u16(field(date))
    }
}

fn checksum(crc: &Digest) -> u32 {
    low(crc.finalize())
}

/// Behind the data stands what is not known before it.
const fn crc_or_none(crc: u32, flags: u16) -> u32 {
    if flags & SIZES_FOLLOW == 0 { crc } else { 0 }
}

/// A number that is known to fit.
fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(ELSEWHERE)
}

/// Paths are no longer than that, and extra fields far shorter.
fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::SeekFrom;
    use std::process::Command;

    use credenza_model::{Entry, EntryKind, Key};

    use super::*;

    #[test]
    fn members_that_lie_behind_4_gib_are_found_by_others() {
        const HOLE: u64 = (1 << 32) + 12_345;
        // Others take what stands before an archive for no part of it: here a hole.
        let mut out = tempfile::NamedTempFile::new().unwrap();
        out.seek(SeekFrom::Start(HOLE)).unwrap();
        let mut zip = Zip { offset: HOLE, ..Zip::new().unwrap() };
        for path in ["first", "second"] {
            let entry = Entry::new(Key::from(path), EntryKind::File);
            let kind = MemberKind::File(path.len() as u64);
            let member = Member { path: path.as_bytes().to_vec(), kind, entry: &entry, is_renamed: false };
            zip.begin(&member, &mut out).unwrap();
            zip.data(path.as_bytes(), &mut out).unwrap();
            zip.end(&mut out).unwrap();
        }
        zip.finish(&mut out).unwrap();
        let read = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.testzip(), [(i.filename, z.read(i), i.header_offset) for i in z.infolist()])";
        let read = Command::new("python3").args(["-c", read]).arg(out.path()).output().unwrap();
        let said = String::from_utf8_lossy(&read.stdout);
        assert!(
            said.starts_with(&format!("None [('first', b'first', {HOLE}), ('second', b'second', ")),
            "{said}{}",
            String::from_utf8_lossy(&read.stderr)
        );
    }
}
