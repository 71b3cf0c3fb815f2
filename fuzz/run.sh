#!/usr/bin/env bash
# The fuzz targets, guided by coverage: `fuzz/run.sh SECONDS [TARGET...]`. Each ends after ten million executions or so many seconds, and
# goes on from what earlier runs have found.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
shift
[ $# -gt 0 ] || set -- $(basename -s .rs fuzz/fuzz_targets/*.rs)
logs=target/fuzz
TIMEFORMAT=%U
mkdir -p "$logs"
cargo run --quiet --manifest-path fuzz/Cargo.toml --bin seeds
failed=()
for target in "$@"; do
    log=$logs/$target.log
    cargo fuzz build --sanitizer none "$target"
    if ! { time cargo fuzz run --sanitizer none "$target" -- -runs=10000000 "-max_total_time=$seconds" -timeout=20 \
        -print_final_stats=1 >"$log" 2>&1; } 2>"$logs/time"; then
        failed+=("$target")
    fi
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "evidence: $target: ${count:-no} executions in $(cat "$logs/time") s of processor time"
done
[ ${#failed[@]} -eq 0 ] || { echo "failed, see $logs and fuzz/artifacts: ${failed[*]}" >&2 && exit 1; }
