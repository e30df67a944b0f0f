#!/bin/sh
# Builds the program, measures it under load, and prints Markdown. Passes its arguments to the bench, for example
# `decisions --rounds 7` or `soak --soak 60`. Needs `wrk` (the Debian package `wrk`).
set -eu
cd "$(dirname "$0")/../.."
command -v wrk >/dev/null || { echo "install wrk first: apt-get install wrk" >&2; exit 1; }
# Each of 10,000 connections is an open file, in the bench and in the server.
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt 12000 ]; then
  ulimit -n 12000 || echo "only $(ulimit -n) files can be open: the part \`open\` will fail" >&2
fi
exec cargo bench --quiet --bench load -- "$@"
