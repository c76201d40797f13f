#!/bin/bash
# Fetches what builds connectors in Python, for the tests: into target/tools/python/wheels, each file held against the digests of requirements.txt.
# Needs Python with venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$here/../../target/tools/python

# The list that was fetched lies beside the wheels: a changed one is fetched again.
if ! cmp --silent "$here/requirements.txt" "$home/requirements.txt"; then
    python3 -m venv --clear "$home"
    "$home/bin/pip" download --quiet --disable-pip-version-check --require-hashes --requirement "$here/requirements.txt" --dest "$home/wheels"
    cp "$here/requirements.txt" "$home/requirements.txt"
fi
