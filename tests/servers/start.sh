#!/bin/bash
# start.sh SERVER WORKDIR PORT: starts a server on 127.0.0.1:PORT and prints how to reach it.
#
# With CREDENZA_SERVER_TLS=1 SeaweedFS speaks TLS with a certificate of a throw-away authority; its PEM file is
# printed as ca_file. SeaweedFS takes PORT to PORT+3 and each of them + 10000, so PORT must be below 45000.
source "$(dirname "$0")/lib.sh"

[ $# -eq 3 ] || fail "usage: start.sh SERVER WORKDIR PORT"
server=$1 port=$3 access=$ACCESS_KEY secret=$SECRET_KEY
mkdir -p "$2/data"
work=$(cd "$2" && pwd)
scheme=http

# Makes ca.pem and a server certificate for localhost, its buckets and 127.0.0.1.
make_certificates() {
    local folder=$1 names='DNS:localhost,DNS:*.s3.localhost,IP:127.0.0.1'
    mkdir -p "$folder"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=throw-away test CA' \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' \
        -keyout "$folder/ca.key" -out "$folder/ca.pem" 2>/dev/null
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=localhost' \
        -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -addext "subjectAltName=$names" \
        -addext 'basicConstraints=critical,CA:FALSE' -addext 'extendedKeyUsage=serverAuth' \
        -keyout "$folder/server.key" -out "$folder/server.pem" 2>/dev/null
}

# Master, volumes, filer and S3 in one process. A bucket is a collection that grows volumes of its own, hence
# their number; two at a time keep the start fast.
start_seaweedfs() {
    local weed tls=()
    weed=$(program_of seaweedfs weed)
    if [ "${CREDENZA_SERVER_TLS:-}" = 1 ]; then
        make_certificates "$work/tls"
        tls=(-s3.cert.file="$work/tls/server.pem" -s3.key.file="$work/tls/server.key")
        scheme=https
    fi
    cat >"$work/identities.json" <<JSON
{"identities": [{
    "name": "tests",
    "credentials": [{"accessKey": "$ACCESS_KEY", "secretKey": "$SECRET_KEY"}],
    "actions": ["Admin", "Read", "List", "Tagging", "Write"]
}]}
JSON
    launch "$work" env WEED_MASTER_VOLUME_GROWTH_COPY_1=2 "$weed" server -dir="$work/data" \
        -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false \
        -master.port=$((port + 1)) -master.volumeSizeLimitMB=1024 \
        -volume.port=$((port + 2)) -volume.max=20000 -volume.preStopSeconds=1 \
        -filer=true -filer.port=$((port + 3)) -filer.localSocket="$work/filer.sock" \
        -s3=true -s3.port="$port" -s3.config="$work/identities.json" -s3.iam=false -s3.autoCreateBucket=false \
        -s3.port.iceberg=0 -s3.port.lance=0 -s3.domainName=s3.localhost -s3.localSocket="$work/s3.sock" "${tls[@]}"
    # It answers before its parts have found each other; then an unsigned request is refused.
    await "$work" "$scheme://127.0.0.1:$port/" 403
}

start_ministack() {
    local ministack
    ministack=$(program_of ministack ministack)
    mkdir -p "$work/home"
    launch "$work" env HOME="$work/home" TMPDIR="$work/home" STATE_DIR="$work/data" \
        BIND_HOST=127.0.0.1 MINISTACK_HOST=localhost GATEWAY_PORT="$port" LOG_LEVEL=WARNING AUTH=true \
        AWS_ACCESS_KEY_ID="$ACCESS_KEY" AWS_SECRET_ACCESS_KEY="$SECRET_KEY" AWS_DEFAULT_REGION="$REGION" "$ministack"
    await "$work" "http://127.0.0.1:$port/_ministack/health"
}

start_rclone() {
    local rclone
    rclone=$(program_of rclone rclone)
    launch "$work" env RCLONE_CONFIG=/dev/null "$rclone" serve s3 --addr "127.0.0.1:$port" \
        --auth-key "$ACCESS_KEY,$SECRET_KEY" --cache-dir "$work/cache" --dir-cache-time 1s "$work/data"
    await "$work" "http://127.0.0.1:$port/"
}

# Go's WebDAV over files: renames after it has looked, tells times to the nanosecond in its ETags.
start_rclone_webdav() {
    local rclone
    rclone=$(program_of rclone rclone)
    launch "$work" env RCLONE_CONFIG=/dev/null "$rclone" serve webdav --addr "127.0.0.1:$port" \
        --user "$ACCESS_KEY" --pass "$SECRET_KEY" --cache-dir "$work/cache" --dir-cache-time 1ms "$work/data"
    await "$work" "http://127.0.0.1:$port/" 401
}

# WebDAV in Python: another status for everything that RFC 4918 leaves open, and no times but in whole seconds.
start_wsgidav() {
    local wsgidav
    wsgidav=$(program_of wsgidav wsgidav)
    cat >"$work/wsgidav.json" <<JSON
{
    "host": "127.0.0.1", "port": $port, "provider_mapping": {"/": "$work/data"},
    "http_authenticator": {"accept_basic": true, "accept_digest": false, "default_to_digest": false},
    "simple_dc": {"user_mapping": {"*": {"$ACCESS_KEY": {"password": "$SECRET_KEY"}}}},
    "property_manager": true, "lock_storage": true, "logging": {"enable": true}, "verbose": 1
}
JSON
    launch "$work" "$wsgidav" --config "$work/wsgidav.json"
    await "$work" "http://127.0.0.1:$port/" 401
}

# The emulator of Azure's blobs, with an account of its own beside none; each account is in the path.
start_azurite() {
    local azurite
    azurite=$(program_of azurite azurite-blob)
    access=$ACCOUNT secret=$ACCOUNT_KEY
    launch "$work" env AZURITE_ACCOUNTS="$access:$secret" "$azurite" --blobHost 127.0.0.1 --blobPort "$port" \
        --location "$work/data" --disableTelemetry
    await "$work" "http://127.0.0.1:$port/"
}

# The JSON API of Google Cloud Storage in Python, in memory: it asks for no credentials, and has one bucket, "bucket".
start_gcp_storage_emulator() {
    local emulator
    emulator=$(program_of gcp-storage-emulator gcp-storage-emulator)
    launch "$work" "$emulator" start --host 127.0.0.1 --port "$port" --in-memory --quiet --default-bucket bucket
    await "$work" "http://127.0.0.1:$port/" 200
}

# A registry of containers that lets nobody in without name and password: ACCESS_KEY, and SECRET_KEY as bcrypt has it.
start_docker_registry() {
    local registry
    registry=$(program_of docker-registry docker-registry)
    echo "$ACCESS_KEY:\$2a\$05\$VPYJ9iocBq9LwHF3AkpnCOgFM9EY9vKl3xDZpZ420egOx8qcHZmUK" >"$work/htpasswd"
    cat >"$work/registry.yml" <<YAML
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: "$work/data"}}
http: {addr: "127.0.0.1:$port", secret: "$SECRET_KEY"}
auth: {htpasswd: {realm: tests, path: "$work/htpasswd"}}
YAML
    launch "$work" env OTEL_TRACES_EXPORTER=none "$registry" serve "$work/registry.yml"
    await "$work" "http://127.0.0.1:$port/v2/" 401
}

# A server of mail that lets nobody in without STARTTLS, name and password.
start_aiosmtpd() {
    local python
    python=$(program_of aiosmtpd python)
    make_certificates "$work/tls"
    scheme=smtp
    launch "$work" "$python" "$HERE/mail.py" "$port" "$work/tls/server.pem" "$work/tls/server.key" "$work/data" "$ACCESS_KEY" "$SECRET_KEY"
    await_word "$work" ready
}

# Debian's, on a socket in the work folder and no port. It does not run as root, and then has a user of its own, whose the data are.
start_postgresql() {
    local programs as=()
    programs=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)")
    [ -x "$programs/initdb" ] || fail "postgresql is not installed: apt-get install --no-install-recommends postgresql"
    socket=$work/socket
    mkdir -p "$socket"
    if [ "$(id -u)" = 0 ]; then
        as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
        chmod 711 "$work"
        chown postgres:postgres "$work/data" "$socket"
    fi
    (cd / && "${as[@]}" "$programs/initdb" --pgdata="$work/data" --username=postgres --auth=trust --encoding=UTF8 \
        --locale=C --no-sync >"$work/initdb.log" 2>&1) || fail "initdb failed: $(cat "$work/initdb.log")"
    cd /
    launch "$work" "${as[@]}" "$programs/postgres" -D "$work/data" -c listen_addresses= \
        -c unix_socket_directories="$socket" -c fsync=off -c shared_buffers=16MB -c max_connections=10
    for _ in $(seq 3000); do
        if "$programs/pg_isready" --quiet --host="$socket"; then
            return
        fi
        kill -0 "$(cat "$work/pid")" 2>/dev/null || fail "the server ended: $(tail -n 20 "$work/log")"
        sleep 0.1
    done
    fail "postgresql does not answer within five minutes: $(tail -n 20 "$work/log")"
}

packages_of "$server" >/dev/null
"start_${server//-/_}"
{
    echo "endpoint=$scheme://127.0.0.1:$port"
    echo "access_key=$access"
    echo "secret_key=$secret"
    echo "region=$REGION"
    [ -z "${socket:-}" ] || echo "socket=$socket"
    [ $scheme = http ] || echo "ca_file=$work/tls/ca.pem"
} | tee "$work/env"
