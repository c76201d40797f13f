#!/bin/bash
# Builds the guests in JavaScript for the tests: target/guests/template-javascript.wasm and inert.wasm. Needs Node 20 or later and npm; what comes from npm is
# held against the digests of package-lock.json.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/javascript

mkdir -p "$work" "$root/target/guests"
cp "$here/package.json" "$here/package-lock.json" "$work/"
if ! cmp --silent "$here/package-lock.json" "$work/node_modules/.installed"; then
    (cd "$work" && npm ci --no-fund --no-audit --silent)
    cp "$here/package-lock.json" "$work/node_modules/.installed"
fi

# build FOLDER NAME: the source and the manifest of that folder, with the SDK of this one.
build() {
    local folder=$work/$2
    mkdir -p "$folder"
    cp -r "$here"/{build.mjs,sdk} "$1"/{connector.toml,source.js} "$folder/"
    CREDENZA_WIT=$root/wit node "$folder/build.mjs" "$root/target/guests/$2.wasm"
}

build "$here" template-javascript
build "$root/tests/guests/javascript" inert
