#!/bin/bash
# install.sh: installs what the independent reader imports, pinned, into a Python environment of its own.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CREDENZA_READER=${CREDENZA_READER:-$HOME/.cache/credenza-reader}

# The list that was installed lies in the environment: a changed one is installed anew.
if ! cmp --silent "$HERE/requirements.txt" "$CREDENZA_READER/requirements.txt"; then
    python3 -m venv --clear "$CREDENZA_READER"
    "$CREDENZA_READER/bin/pip" install --quiet --disable-pip-version-check --requirement "$HERE/requirements.txt"
    cp "$HERE/requirements.txt" "$CREDENZA_READER/requirements.txt"
fi
