//! The decoders, and what each may take.

mod documents;
mod object;
mod pack;
mod parity;
mod s3;
mod text;
mod tree;

use credenza_format::Result;

/// A kind of bytes from outside.
pub(crate) struct Decoder {
    /// Its name, and that of the folder of its inputs.
    pub(crate) name: &'static str,
    /// Inputs to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Decodes, and panics when something does not hold.
    pub(crate) run: fn(&[u8]),
    /// Bytes that it may take whatever the input is: what its format limits.
    limit: usize,
}

/// Bytes that it may take for each byte of the input: records in memory are larger than in their shortest form, and JSON is a tree.
const BYTES_PER_BYTE: usize = 256;
/// For messages and small buffers.
const BYTES_FREE: usize = 1 << 16;
/// For the limits below.
const MIB: usize = 1 << 20;

impl Decoder {
    pub(crate) fn bytes_max(&self, input: usize) -> usize {
        BYTES_FREE + BYTES_PER_BYTE * input + self.limit
    }
}

/// All of them.
pub(crate) const DECODERS: [Decoder; 20] = [
    Decoder { name: "object", seeds: object::seeds, run: object::run, limit: 0 },
    Decoder { name: "plaintext", seeds: object::plaintext_seeds, run: object::run_plaintext, limit: 3 * 64 * MIB },
    Decoder { name: "pack", seeds: pack::seeds, run: pack::run, limit: 8 * MIB },
    Decoder { name: "footer", seeds: pack::footer_seeds, run: pack::run_footer, limit: 0 },
    Decoder { name: "parity", seeds: parity::seeds, run: parity::run, limit: 2 * MIB },
    Decoder { name: "index", seeds: documents::index_seeds, run: documents::run_index, limit: 0 },
    Decoder { name: "usage", seeds: documents::usage_seeds, run: documents::run_usage, limit: 0 },
    Decoder { name: "intent", seeds: documents::intent_seeds, run: documents::run_intent, limit: 0 },
    Decoder { name: "condemned", seeds: documents::condemned_seeds, run: documents::run_condemned, limit: 0 },
    Decoder { name: "note", seeds: documents::note_seeds, run: documents::run_note, limit: 0 },
    Decoder { name: "escrow", seeds: documents::connector_seeds, run: documents::run_connector, limit: 0 },
    Decoder { name: "snapshot", seeds: documents::snapshot_seeds, run: documents::run_snapshot, limit: 0 },
    Decoder { name: "keyring", seeds: documents::keyring_seeds, run: documents::run_keyring, limit: 0 },
    Decoder { name: "node", seeds: tree::node_seeds, run: tree::run_node, limit: 32 * MIB },
    Decoder { name: "list", seeds: tree::list_seeds, run: tree::run_list, limit: 0 },
    Decoder { name: "config", seeds: text::config_seeds, run: text::run_config, limit: 0 },
    Decoder { name: "slot", seeds: text::slot_seeds, run: text::run_slot, limit: 0 },
    Decoder { name: "removal", seeds: text::removal_seeds, run: text::run_removal, limit: 0 },
    Decoder { name: "keys", seeds: text::key_seeds, run: text::run_keys, limit: 0 },
    Decoder { name: "s3", seeds: s3::seeds, run: s3::run, limit: 0 },
];

/// What was decoded must come back from its own encoding, which must be stable.
fn comes_back<T: PartialEq + std::fmt::Debug>(
    input: &[u8],
    decode: impl Fn(&[u8]) -> Result<T>,
    encode: impl Fn(&T) -> Result<Vec<u8>>,
) {
    let Ok(decoded) = decode(input) else { return };
    let encoded = encode(&decoded).expect("what was decoded can be encoded");
    assert_eq!(decode(&encoded).expect("what was encoded can be decoded"), decoded);
    assert_eq!(encode(&decoded).expect("it can be encoded again"), encoded);
}

/// As [`comes_back`], where one value has one encoding.
fn comes_back_exactly<T: PartialEq + std::fmt::Debug>(
    input: &[u8],
    decode: impl Fn(&[u8]) -> Result<T>,
    encode: impl Fn(&T) -> Result<Vec<u8>>,
) {
    if let Ok(decoded) = decode(input) {
        assert_eq!(encode(&decoded).expect("what was decoded can be encoded"), input);
    }
}

/// The frozen vectors of the format.
fn frozen() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../host/format/tests/vectors/v1.json")).expect("the vectors are JSON")
}

/// A frozen vector that is written in hexadecimal.
fn frozen_bytes(pointer: &str) -> Vec<u8> {
    hex::decode(frozen_text(pointer)).expect("the vector is hexadecimal")
}

/// A frozen vector that is a text.
fn frozen_text(pointer: &str) -> String {
    frozen().pointer(pointer).and_then(|value| value.as_str()).expect("the vector is there").to_owned()
}
