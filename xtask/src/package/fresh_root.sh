# Runs as root in a fresh Debian; the packages are in /packages. Each command must succeed.
mount -t proc proc /proc
cd /packages
sha256sum --check SHA256SUMS

use_program() {
    work=$(mktemp -d)
    mkdir "$work/letters"
    echo "dear reader" > "$work/letters/first"
    ln -s first "$work/letters/link"
    printf 'a passphrase for a system that lives a minute' > "$work/passphrase"
    export CREDENZA_CONFIG="$work/config" CREDENZA_CACHE="$work/cache" CREDENZA_REPOSITORY="$work/repository"
    "$1" --version
    # The component of S3 is part of the program.
    "$1" connector list | grep -w s3
    "$1" --passphrase-file "$work/passphrase" create
    "$1" --passphrase-file "$work/passphrase" backup "$work/letters"
    "$1" --passphrase-file "$work/passphrase" check --read-data
    "$1" --passphrase-file "$work/passphrase" restore latest --to "$work/restored"
    diff --recursive --no-dereference "$work/letters" "$work/restored"
    rm -r "$work"
}

dpkg --install ./*.deb
use_program credenza
test -s /usr/share/man/man1/credenza-restore.1.gz
test -s /usr/share/bash-completion/completions/credenza
test -s /usr/share/zsh/vendor-completions/_credenza
test -s /usr/share/fish/vendor_completions.d/credenza.fish
test -s /usr/share/doc/credenza/copyright
dpkg --verify credenza
dpkg --purge credenza
test ! -e /usr/bin/credenza

tar -xf ./*.tar.gz
test -s credenza-*/share/man/man1/credenza.1
use_program "$PWD"/credenza-*/bin/credenza
