//! What each stage of the work costs on one core over the files of a folder: the least that a backup, a restore or a check can take.
//!
//! Owned here: each stage over all bytes, with the codecs of the format and nothing between them. Refused here: what an engine adds.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Result;
use credenza_format::{
    BlobKind, Chunker, ChunkerParams, Compressor, Encoding, Frame, Inflater, Keyring, PackBuilder, PackKind,
};
use credenza_model::RepositoryId;
use credenza_model::limits::BLOB_BYTES_MAX;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Of a pack, when it is closed.
const PACK_BYTES: u64 = 32 << 20;

/// CPU seconds of each stage.
#[derive(Default)]
struct Seconds {
    read: f64,
    cut: f64,
    hash: f64,
    compress: f64,
    seal: f64,
    inflate: f64,
}

/// CPU seconds of each stage, by its name.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn measure(folder: &Path) -> Result<Value> {
    let keys = Keyring::generate()?.keys(RepositoryId::new([1; 16]));
    let chunker = Chunker::new(&keys.gear(), ChunkerParams::default());
    let (mut compressor, mut inflater) = (Compressor::new(1)?, Inflater::new()?);
    let mut pack = PackBuilder::new(&keys, PackKind::Data)?;
    let (mut seconds, mut inflated) = (Seconds::default(), Vec::new());
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let items = took(&mut seconds.read, || fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>())?;
        for item in items {
            let kind = item.file_type()?;
            if kind.is_dir() {
                folders.push(item.path());
            }
            if !kind.is_file() {
                continue;
            }
            let content = took(&mut seconds.read, || fs::read(item.path()))?;
            let mut rest = content.as_slice();
            while let Some(length) = took(&mut seconds.cut, || chunker.cut(rest, true)) {
                let Some((plain, behind)) = rest.split_at_checked(length.min(BLOB_BYTES_MAX as usize)) else { break };
                rest = behind;
                let id = took(&mut seconds.hash, || keys.blob_id(BlobKind::Data, plain));
                let (encoding, stored) = took(&mut seconds.compress, || compressor.compress(plain))?;
                let plain_length = u32::try_from(plain.len())?;
                let frame = Frame { id, kind: BlobKind::Data, encoding, stored, plain_length };
                took(&mut seconds.seal, || pack.push(frame))?;
                if encoding == Encoding::Zstd {
                    took(&mut seconds.inflate, || {
                        inflater.inflate(encoding, stored, plain_length, &mut inflated).map(drop)
                    })?;
                }
                if pack.stored_bytes() > PACK_BYTES {
                    let full = std::mem::replace(&mut pack, PackBuilder::new(&keys, PackKind::Data)?);
                    took(&mut seconds.seal, || full.finish().map(drop))?;
                }
            }
        }
    }
    let Seconds { read, cut, hash, compress, seal, inflate } = seconds;
    Ok(json!({ "read": read, "cut": cut, "hash": hash, "compress": compress, "seal": seal, "inflate": inflate }))
}

/// Adds the CPU time that this thread takes for `work`.
fn took<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let before = thread_seconds();
    let done = work();
    *seconds += thread_seconds() - before;
    done
}

fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
