#!/bin/bash
# stop.sh WORKDIR: ends the server that start.sh recorded there, by its process id and no other.
source "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || fail "usage: stop.sh WORKDIR"
[ -e "$1/pid" ] || exit 0
pid=$(cat "$1/pid")
kill -TERM "$pid" 2>/dev/null || true
for _ in $(seq 30); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
done
kill -KILL "$pid" 2>/dev/null || true
rm -f "$1/pid"
