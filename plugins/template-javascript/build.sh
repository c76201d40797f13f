#!/bin/bash
# Builds the connector in JavaScript for the tests: target/guests/template-javascript.wasm. Needs Node 20 or later and npm; what comes from npm is
# held against the digests of package-lock.json.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/javascript
output=$root/target/guests/template-javascript.wasm

mkdir -p "$work" "$root/target/guests"
cp "$here/package.json" "$here/package-lock.json" "$work/"
if ! cmp --silent "$here/package-lock.json" "$work/node_modules/.installed"; then
    (cd "$work" && npm ci --no-fund --no-audit --silent)
    cp "$here/package-lock.json" "$work/node_modules/.installed"
fi
cp -r "$here"/{build.mjs,connector.toml,sdk,source.js} "$work/"

# Tools want one package a folder.
wit=$root/wit
if [ ! -d "$wit/deps" ]; then
    wit=$work/wit
    mkdir -p "$wit/deps/host"
    cp "$root/wit/connector.wit" "$wit/"
    cp "$root/wit/host.wit" "$wit/deps/host/"
fi
CREDENZA_WIT=$wit node "$work/build.mjs" "$output"
