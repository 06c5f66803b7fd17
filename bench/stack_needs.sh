#!/usr/bin/env bash
# How much of a stack libraries need: runs bench_stack_needs, with a PostgreSQL server of its own for libpq.
#
#     bench/stack_needs.sh [<folder of the programs>]
#
# The server (on Debian: the package postgresql) lives in a temporary folder, listens on a Unix socket there and on
# 127.0.0.1, with TLS and a password, and is gone afterwards. It refuses to be run by root: root runs it as the user
# "postgres". Without a server, libpq is left out.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=${1:-$here/../build/bench/bench}

connections=()
postgres=$(command -v pg_ctl || find /usr/lib/postgresql -name pg_ctl 2>/dev/null | sort -V | tail -n 1 || true)
if [[ -n $postgres ]]; then
    bin=$(dirname "$postgres")
    as_user=()
    folder=$(mktemp -d)
    if ((EUID == 0)); then
        as_user=(setpriv --reuid postgres --regid postgres --clear-groups)
        chown postgres "$folder"
    fi
    in_folder() { (cd "$folder" && "${as_user[@]}" "$@"); }
    stop() {
        in_folder "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
        rm -rf "$folder"
    }
    trap stop EXIT

    # A port that nobody listens on.
    port=$((20000 + RANDOM % 10000))
    while (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done

    echo secret | in_folder tee password >/dev/null
    in_folder "$bin/initdb" -D data -U bench --pwfile=password --auth=scram-sha-256 --no-sync >/dev/null
    in_folder openssl req -new -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1 \
        -out data/server.crt -keyout data/server.key 2>/dev/null
    in_folder chmod 600 data/server.key
    in_folder "$bin/pg_ctl" -D data -w -l log \
        -o "-c ssl=on -c fsync=off -c port=$port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder" \
        start >/dev/null
    # No files from the home folder, whoever runs this.
    common="port=$port user=bench password=secret dbname=postgres sslcert= sslkey= gssencmode=disable"
    connections=("host=$folder $common" "host=127.0.0.1 sslmode=require $common")
fi

echo "PostgreSQL: $([[ -n $postgres ]] && "$bin/postgres" --version || echo none)"
"$programs/bench_stack_needs" ${connections[@]+"${connections[@]}"}
if [[ -x $programs/bench_stack_needs_lua_as_cxx ]]; then
    "$programs/bench_stack_needs_lua_as_cxx"
fi
