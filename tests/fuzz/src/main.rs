//! Fuzzing of everything that takes bytes from a store or a server apart: libFuzzer, on stable Rust.
//!
//! `credenza-fuzz FOLDER [libFuzzer's options]`: the name of the folder says which decoder (`decoders`), and the folder keeps inputs. A
//! run begins with the decoder's own seeds, made of the frozen vectors and of what the encoders make. A file in such a folder is run alone.
//!
//! What must hold: no panic; no more memory than a decoder states, so that nothing is allocated because bytes claim a length
//! (`memory`); and what was decoded comes back when it is encoded. Built and run by `cargo xtask fuzz`, which knows the flags.

#![no_main]

mod decoders;
mod memory;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use decoders::{DECODERS, Decoder};

static CHOSEN: OnceLock<&Decoder> = OnceLock::new();

libfuzzer_sys::fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(decoder) = CHOSEN.get() {
        memory::within(decoder.bytes_max(input.len()), || (decoder.run)(input));
    }
});

/// Chooses the decoder that the first path among the arguments names, and writes its seeds there.
fn choose() {
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let path = path.unwrap_or_else(|| panic!("usage: credenza-fuzz FOLDER [libFuzzer's options]"));
    let folder = if path.is_file() { path.parent().unwrap_or(Path::new("")) } else { &path };
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let decoder = DECODERS.iter().find(|decoder| decoder.name == name);
    let decoder = decoder.unwrap_or_else(|| {
        let names: Vec<&str> = DECODERS.iter().map(|decoder| decoder.name).collect();
        panic!("`{name}` is none of {}", names.join(", "))
    });
    std::fs::create_dir_all(folder).expect("the folder can be made");
    for (number, seed) in (decoder.seeds)().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("seeds can be written");
    }
    CHOSEN.set(decoder).unwrap_or_else(|_| panic!("chosen twice"));
}
