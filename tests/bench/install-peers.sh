#!/bin/bash
# install-peers.sh FOLDER: the programs that `cargo xtask bench peers` compares with: borg and restic of the distribution, bupstash of crates.io, which is
# built into FOLDER. As root of a Debian it installs what is missing; elsewhere it leaves that to you, and what is not there is not compared.
set -euo pipefail
folder=$1
if [ "$(id --user)" = 0 ] && command -v apt-get >/dev/null; then
    missing=()
    command -v borg >/dev/null || missing+=(borgbackup)
    command -v restic >/dev/null || missing+=(restic)
    [ -x "$folder/bin/bupstash" ] || missing+=(libsodium-dev pkg-config)
    if [ ${#missing[@]} -gt 0 ]; then
        apt-get update --quiet
        apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
    fi
fi
[ -x "$folder/bin/bupstash" ] || cargo install bupstash --version 0.12.0 --locked --root "$folder" ||
    echo "bupstash cannot be built here: it is not compared" >&2
