#!/usr/bin/env bash
# Runs all fuzz targets, or the named ones, for some seconds each: fuzz/run.sh [SECONDS [TARGET…]]
#
# Needs `cargo install --locked cargo-fuzz`. The instrumentation is an unstable compiler option, which `RUSTC_BOOTSTRAP=1`
# enables on a stable compiler. New inputs go to a temporary folder, so that the corpus stays small.
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
