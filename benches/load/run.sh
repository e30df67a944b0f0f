#!/bin/sh
# Builds the program, and measures it under load; prints Markdown. Arguments go to the bench, such as
# `decisions --rounds 7`, or `soak --soak 60`. Needs `wrk` (Debian's package of that name).
set -eu
cd "$(dirname "$0")/../.."
command -v wrk >/dev/null || { echo "install wrk first: it is in Debian's package of that name" >&2; exit 1; }
# Each of 10,000 connections is an open file, here and in the server.
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt 12000 ]; then
  ulimit -n 12000 || echo "only $(ulimit -n) files can be open: the part \`open\` will fail" >&2
fi
exec cargo bench --quiet --bench load -- "$@"
