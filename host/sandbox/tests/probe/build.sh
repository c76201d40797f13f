#!/bin/sh
# Builds the probe as a core module where the tests of the sandbox look for it: target/guests/probe.core.wasm.
# With the target installed by rustup a plain build is enough; else Debian's compiler builds its standard library from source
# (packages rustc-web, rust-web-src and lld-22).
set -eu
cd "$(dirname "$0")"
root=$(cd ../../../.. && pwd)
# The folder of the connectors, whose standard library is the same.
build=$root/plugins/target
triple=wasm32-unknown-unknown
if [ -d "$(rustc --print target-libdir --target $triple)" ]; then
    cargo build --release --locked --target $triple --target-dir "$build"
else
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22 \
        cargo build --release --locked -Zbuild-std=std,panic_abort --target $triple --target-dir "$build"
fi
mkdir -p "$root/target/guests"
cp "$build/$triple/release/probe.wasm" "$root/target/guests/probe.core.wasm"
