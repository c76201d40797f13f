#!/bin/bash
# install.sh: installs what the independent reader imports, every file held against its SHA-256, into a Python environment of its own.
# The list is written by `pip-compile --generate-hashes`.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CREDENZA_READER=${CREDENZA_READER:-$HOME/.cache/credenza-reader}

# The list that was installed lies in the environment: a changed one is installed again.
if ! cmp --silent "$HERE/requirements.txt" "$CREDENZA_READER/requirements.txt"; then
    python3 -m venv --clear "$CREDENZA_READER"
    "$CREDENZA_READER/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$HERE/requirements.txt"
    cp "$HERE/requirements.txt" "$CREDENZA_READER/requirements.txt"
fi
