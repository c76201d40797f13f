//! Tar as POSIX has it (pax), with the records of GNU and BSD for extended attributes.

use std::io::{self, Write};

use credenza_model::{AttributeValue, Timestamp};
use tar::{EntryType, Header};

use super::Format;
use super::member::{Member, MemberKind};

const BLOCK_BYTES: u64 = 512;
/// Longest name, target or owner's name that a plain header holds.
const NAME_BYTES_MAX: usize = 100;
const OWNER_BYTES_MAX: usize = 31;
/// A member that is begun and never ends, where the archive breaks off between two.
const BROKEN: &str = "ARCHIVE-IS-BROKEN";
const BROKEN_BYTES: u64 = 1024 * 1024;
/// What the name of an attribute that is kept begins with in the archive.
const EXTENDED: &str = "SCHILY.xattr.";

/// A tar that is being written.
#[derive(Default)]
pub(super) struct Tar {
    /// Bytes of the member under way.
    written: u64,
    is_within: bool,
}

impl Format for Tar {
    fn begin(&mut self, member: &Member<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (kind, size, target) = match &member.kind {
            MemberKind::File(bytes) => (EntryType::Regular, *bytes, None),
            MemberKind::Folder => (EntryType::Directory, 0, None),
            MemberKind::Symlink(target) => (EntryType::Symlink, 0, Some(target)),
            MemberKind::HardLink(path) => (EntryType::Link, 0, Some(path)),
            MemberKind::Fifo => (EntryType::Fifo, 0, None),
            MemberKind::Device { is_block: true, .. } => (EntryType::Block, 0, None),
            MemberKind::Device { is_block: false, .. } => (EntryType::Char, 0, None),
        };
        let modified = member.entry.modified.unwrap_or_default();
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(member.mode());
        let (uid, gid) = member.owner().unwrap_or_default();
        header.set_uid(u64::from(uid));
        header.set_gid(u64::from(gid));
        header.set_mtime(u64::try_from(modified.seconds).unwrap_or(0));
        if let MemberKind::Device { number: (major, minor), .. } = member.kind {
            header.set_device_major(major)?;
            header.set_device_minor(minor)?;
        }
        let mut further = Vec::new();
        if let Some(fields) = header.as_ustar_mut() {
            put(&mut fields.name, &member.path);
            target.iter().for_each(|target| put(&mut fields.linkname, target));
            for (field, name, record) in
                [(&mut fields.uname, "posix.user", "uname"), (&mut fields.gname, "posix.group", "gname")]
            {
                let Some(owner) = member.text(name) else { continue };
                put(field, owner.as_bytes());
                if owner.len() > OWNER_BYTES_MAX {
                    push_record(&mut further, record, owner.as_bytes());
                }
            }
        }
        if member.path.len() > NAME_BYTES_MAX {
            push_record(&mut further, "path", &member.path);
        }
        if let Some(target) = target.filter(|target| target.len() > NAME_BYTES_MAX) {
            push_record(&mut further, "linkpath", target);
        }
        if modified.nanoseconds > 0 || modified.seconds < 0 {
            push_record(&mut further, "mtime", decimal(modified).as_bytes());
        }
        for (name, value) in &member.entry.attributes {
            if let (Some(name), AttributeValue::Blob(value)) = (name.strip_prefix("xattr."), value) {
                // As GNU tar writes names that hold what ends a name here.
                let name = name.replace('%', "%25").replace('=', "%3D");
                push_record(&mut further, &format!("{EXTENDED}{name}"), value);
            }
        }
        if !further.is_empty() {
            write_further(&further, out)?;
        }
        header.set_cksum();
        out.write_all(header.as_bytes())?;
        (self.written, self.is_within) = (0, true);
        Ok(())
    }

    fn data(&mut self, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        self.written += bytes.len() as u64;
        out.write_all(bytes)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.is_within = false;
        pad(self.written, out)
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&[0; 2 * BLOCK_BYTES as usize])
    }

    fn break_off(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.is_within {
            // A reader misses the rest of the member.
            return Ok(());
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(BROKEN_BYTES);
        header.set_mode(0o644);
        if let Some(fields) = header.as_ustar_mut() {
            put(&mut fields.name, BROKEN.as_bytes());
        }
        header.set_cksum();
        out.write_all(header.as_bytes())
    }

    fn keeps(&self, attribute: &str) -> bool {
        attribute.starts_with("posix.") || attribute.starts_with("xattr.")
    }
}

/// The records of a member that its header has no room for, as a member before it.
fn write_further(records: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_mode(0o644);
    if let Some(fields) = header.as_ustar_mut() {
        put(&mut fields.name, b"PaxHeaders/member");
    }
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    out.write_all(records)?;
    pad(records.len() as u64, out)
}

/// As much as fits; the whole is in a record then.
fn put(field: &mut [u8], bytes: &[u8]) {
    field.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
}

/// `LENGTH NAME=VALUE\n`, where the length counts its own digits.
fn push_record(records: &mut Vec<u8>, name: &str, value: &[u8]) {
    let rest = name.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {name}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Seconds with their fraction; a time before 1970 lies a fraction after its whole second, too.
fn decimal(time: Timestamp) -> String {
    match time.seconds {
        seconds if seconds < 0 && time.nanoseconds > 0 => {
            format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - time.nanoseconds)
        }
        seconds => format!("{seconds}.{:09}", time.nanoseconds),
    }
}

fn pad(written: u64, out: &mut dyn Write) -> io::Result<()> {
    let over = usize::try_from(written.next_multiple_of(BLOCK_BYTES) - written).unwrap_or(0);
    out.write_all([0; BLOCK_BYTES as usize].get(..over).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length_and_a_time_its_fraction() {
        for length in [1, 90, 91, 92, 93, 94, 95, 990, 991, 992, 993] {
            let mut records = Vec::new();
            push_record(&mut records, "path", &vec![b'x'; length]);
            let text = String::from_utf8(records.clone()).unwrap();
            assert_eq!(text.split_once(' ').unwrap().0, records.len().to_string(), "{length}");
        }
        let time = |seconds, nanoseconds| decimal(Timestamp { seconds, nanoseconds });
        assert_eq!([time(5, 7), time(-1, 500_000_000), time(-3, 0)], ["5.000000007", "-0.500000000", "-3.000000000"]);
    }
}
