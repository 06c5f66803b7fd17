#!/usr/bin/env bash
# Runs postgres_server three times beside a PostgreSQL server of its own, and asks it:
#     postgres.sh <folder of the programs> [<requests at once> [<requests that wait for each other>]]
# PostgreSQL keeps its files in a temporary folder, listens on a socket there, and is gone at the end.
set -euo pipefail

programs=$(realpath "$1") at_once=${2:-200} in_turn=${3:-5}

# The newest PostgreSQL server of this machine: Debian has it beside the path.
server_folder() {
    local postgres
    postgres=$({ ls -d /usr/lib/postgresql/*/bin/postgres; type -P postgres; } 2>/dev/null | sort -V | tail -n 1)
    [[ -n $postgres ]] && dirname "$(readlink -f "$postgres")"
}
if ! server=$(server_folder); then
    echo "no PostgreSQL server on this machine: nothing is shown"
    exit 77 # to CTest: skipped
fi

# PostgreSQL refuses to be run by root.
as_user=()
if ((EUID == 0)); then
    as_user=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
fi

folder=$(mktemp -d /tmp/greenback-postgres.XXXXXX) # short: the name of a socket has little room
database= http_server=
finish() {
    local status=$?
    [[ -z $http_server ]] || kill -KILL "$http_server" 2>/dev/null || true
    [[ -z $database ]] || kill -QUIT "$database" 2>/dev/null || true # at once: nothing is worth keeping
    wait
    ((status == 0)) || tail -n 20 "$folder/log" >&2 || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

unset "${!PG@}" # whatever the caller's programs are told of a server
((EUID != 0)) || chown postgres:postgres "$folder"
cd "$folder"
export PGHOST=$folder PGUSER=demo PGDATABASE=postgres
"${as_user[@]}" "$server/initdb" -D data -U demo -A trust -N --locale=C --encoding=UTF8 >initdb
# Both servers end with this script, also if it is killed.
"${as_user[@]}" setpriv --pdeathsig INT "$server/postgres" -D data -c listen_addresses='' \
    -c unix_socket_directories="$folder" -c max_connections=$((at_once + 20)) -c shared_buffers=16MB \
    -c fsync=off -c jit=off >log 2>&1 &
database=$!
until "$server/pg_isready" -q; do
    kill -0 "$database" || exit
    sleep 0.05
done

# show <text> <requests> <seconds that will do> <program> [<argument>...]
show() {
    local text=$1 requests=$2 seconds=$3 port status=0
    shift 3
    echo
    echo "$text"
    : >http # here, not by the program below: it must not be read as it was
    setpriv --pdeathsig KILL "$programs/$1" "${@:2}" >>http &
    http_server=$!
    until port=$(sed -n 's/^port //p' http) && [[ -n $port ]]; do
        kill -0 "$http_server" || return
        sleep 0.05
    done
    if "$programs/http_clients" "$port" "$requests" "$seconds"; then
        kill "$http_server"
    else
        status=1
        kill -KILL "$http_server" # it may be blocked
    fi
    wait "$http_server" || status=$?
    http_server=
    sed '/^port /d' http
    return "$status"
}

echo "$("$server/postgres" --version), which each request has sleep for a second"
show "One thread, linked with greenback::blocking_calls: $at_once requests at once" \
    "$at_once" $((at_once / 4 + 10)) postgres_server
show "The same source without it, a thread per request: $at_once requests at once" \
    "$at_once" $((at_once + 60)) postgres_server_blocking --threads
show "The same source without it, one thread: $in_turn requests at once ($at_once would take $at_once s)" \
    "$in_turn" $((in_turn + 60)) postgres_server_blocking
