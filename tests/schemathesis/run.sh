#!/usr/bin/env bash
# Tries every operation of /openapi.json, with generated requests, against a really running server: once as the operator, once
# as an owner. Fails on an answer that the document does not describe, and on any 5xx. Arguments go to `schemathesis run`,
# such as `--max-examples 100`.
#
# The server is TENURE_BIN, or built here. Python's packages are installed into a virtual environment under target/; where
# there is no Python or no PyPI, it says so and skips.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
venv=${SCHEMATHESIS_VENV:-$PWD/target/schemathesis}

if ! [ -x "$venv/bin/schemathesis" ]; then
  python3 -m venv "$venv" && "$venv/bin/pip" install --quiet -r "$here/requirements.txt" || {
    rm -rf "$venv"
    echo "SKIPPED: needs python3 with venv, and PyPI" >&2
    exit 0
  }
fi
[ -n "${TENURE_BIN:-}" ] || cargo build --locked
bin=${TENURE_BIN:-target/debug/tenure}

data=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } || true
  rm -rf "$data"
}
trap stop EXIT
unset "${!TENURE_@}"
export TENURE_LOG=warn TENURE_TOKEN_ID=operator

# A server with a staged workspace, tried with one credential.
try() {
  local who=$1
  shift
  rm -rf "$data/$who" && mkdir "$data/$who"
  "$bin" serve --data "$data/$who" --listen 127.0.0.1:0 --trusted-proxies 127.0.0.1 > "$data/$who.out" &
  server=$!
  until grep -qs '^listening' "$data/$who.out"; do
    kill -0 "$server"
    sleep 0.1
  done
  TENURE_URL=$(sed -n 's/^listening on //p' "$data/$who.out")
  TENURE_TOKEN_SECRET=$(cat "$data/$who/operator.secret")
  export TENURE_URL TENURE_TOKEN_SECRET
  set -a
  eval "$(python3 "$here/stage.py")"
  set +a
  if [ "$who" = owner ]; then
    export BASIC_ID=$OWNER_ID BASIC_SECRET=$OWNER_SECRET
  else
    export BASIC_ID=operator BASIC_SECRET=$TENURE_TOKEN_SECRET
  fi
  python3 -c 'import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())' \
    "$TENURE_URL/openapi.json" > "$data/openapi.json"
  "$venv/bin/python" -m openapi_spec_validator "$data/openapi.json"
  # It writes where it stands.
  (cd "$data" && PYTHONPATH="$here" SCHEMATHESIS_HOOKS=hooks "$venv/bin/schemathesis" \
    --config-file "$here/schemathesis.toml" run "$TENURE_URL/openapi.json" --continue-on-failure "$@")
  kill "$server" && wait "$server"
  server=
}

try operator "$@"
try owner "$@"
