#!/usr/bin/env bash
# Tests of the control plane on each release of Kubernetes with the CRDs of each release of MetalLB, and what the chart renders in every state
# of its values on each release of Kubernetes: `tests/matrix.sh` for all, `tests/matrix.sh 1.33.13 1.37.2` for some releases of Kubernetes. Prints a table of Markdown with its date. `tests/matrix.sh --ends` runs
# the fewest tests on the oldest releases and on the newest ones. What is missing of a kube-apiserver is built once, which takes about
# 4 minutes each on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."

logs=target/matrix
mkdir -p "$logs"

# Runs tests of the program $1 on release $2 of Kubernetes and $3 of MetalLB.
run() {
    local program=$1 kubernetes=$2 metallb=$3
    shift 3
    LOCKSTEP_KUBERNETES=$kubernetes LOCKSTEP_METALLB=$metallb cargo test --locked --quiet --features full-tests --test "$program" \
        -- "$@" --skip with_metallb_0_13_5
}

if [ "${1:-}" = --ends ]; then
    for pair in "1.33.13 0.13.5" "1.37.2 0.16.2"; do
        echo "Kubernetes ${pair% *}, MetalLB ${pair#* }" >&2
        run control_plane $pair cases::every_case_by_the_api_server status::
        run chart $pair strict::
    done
    exit
fi

[ $# -gt 0 ] || set -- 1.33.13 1.34.4 1.35.4 1.36.3 1.37.2
releases=(0.13.5 0.15.2 0.16.2)
tests=(
    audit::
    cases::every_case_by_the_api_server
    certificates::repair::
    cluster::
    serve::cluster::
    serve::sync::
    status::
    topologies::
)

cargo test --locked --quiet --no-run --features full-tests --test control_plane --test chart
failed=0
table="| Kubernetes |"
for metallb in "${releases[@]}"; do table+=" MetalLB $metallb |"; done
table+=$' chart |\n|---|---|---|---|---|'
# Adds a cell: how many tests pass. The arguments are those of `run`.
cell() {
    local log=$logs/$2-$3-$1.log
    if run "$@" >"$log" 2>&1; then
        table+=" $(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1 passed/p' "$log") |"
    else
        table+=" failed, see \`$log\` |"
        failed=1
    fi
    echo "Kubernetes $2, MetalLB $3, $1: done" >&2
}

for kubernetes in "$@"; do
    table+=$'\n'"| $kubernetes |"
    for metallb in "${releases[@]}"; do
        cell control_plane "$kubernetes" "$metallb" "${tests[@]}"
    done
    cell chart "$kubernetes" 0.16.2 strict::
done
printf '%s, commit %s:\n\n%s\n' "$(date -u +%Y-%m-%d)" "$(git rev-parse --short HEAD)" "$table"
exit $failed
