#!/bin/bash
# install.sh: installs axe-core for the tests in a browser into target/tools/axe, held against the digest of package-lock.json. Chromium and its driver
# are packages of Debian, which `cargo xtask test` installs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$here/../../target/tools/axe

mkdir -p "$home"
# The list that was installed lies beside it: a changed one is installed again.
if ! cmp --silent "$here/package-lock.json" "$home/installed.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$home/"
    (cd "$home" && npm ci --no-fund --no-audit --silent --ignore-scripts)
    cp "$here/package-lock.json" "$home/installed.json"
fi
