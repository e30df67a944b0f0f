#!/usr/bin/env bash
# Runs each fuzz target, or those that are named, for so many seconds: fuzz/run.sh [SECONDS [TARGET…]]
#
# Needs `cargo install --locked cargo-fuzz`. The instrumentation is an unstable option of the compiler, which
# `RUSTC_BOOTSTRAP=1` permits on a stable one. New inputs go to a folder of their own, so that the corpus stays small.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
export RUSTC_BOOTSTRAP=1
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
for target in "${targets[@]}"; do
  printf '\n== %s\n' "$target"
  mkdir -p "$found/$target"
  cargo fuzz run --sanitizer none "$target" "$found/$target" "corpus/$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=16384 -print_final_stats=1 -verbosity=0
done
