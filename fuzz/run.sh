#!/usr/bin/env bash
# The fuzz targets, guided by coverage: `fuzz/run.sh SECONDS [TARGET...]`, as many at once as there are processors. Each ends after ten
# million executions or so many seconds, and goes on from what earlier runs have found.
set -euo pipefail
cd "$(dirname "$0")/.."

export seconds=$1
shift
[ $# -gt 0 ] || set -- $(basename -s .rs fuzz/fuzz_targets/*.rs)
export logs=target/fuzz
mkdir -p "$logs"

fuzz() {
    local log=$logs/$1.log status=0 count
    export TIMEFORMAT="%U + %S"
    { time cargo fuzz run --sanitizer none "$1" -- -runs=10000000 "-max_total_time=$seconds" -timeout=20 \
        -print_final_stats=1 >"$log" 2>&1; } 2>"$logs/$1.time" || status=$?
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "evidence: $1: ${count:-no} executions in $(cat "$logs/$1.time") s of processor time"
    [ $status -eq 0 ] || { echo "\`$1\` failed, see $log and fuzz/artifacts/$1" >&2 && return 1; }
}
export -f fuzz

cargo run --quiet --manifest-path fuzz/Cargo.toml --bin seeds
for target in "$@"; do
    cargo fuzz build --sanitizer none "$target"
done
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'fuzz {}'
