#!/usr/bin/env bash
# Runs a program beside a Redis server of its own, and gives it the server's socket:  redis.sh <program>
set -euo pipefail

if ! type -P redis-server >/dev/null; then
    echo "no Redis server on this machine: nothing is shown"
    exit 77 # to CTest: skipped
fi
folder=$(mktemp -d /tmp/greenback-redis.XXXXXX) # short: the name of a socket has little room
redis-server --port 0 --unixsocket "$folder/socket" --dir "$folder" --save '' >"$folder/log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" || true; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
until [[ -S $folder/socket ]]; do
    kill -0 "$server" || exit
    sleep 0.05
done
"$1" "$folder/socket"
