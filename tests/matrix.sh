#!/usr/bin/env bash
# Tests of the control plane on each release of Kubernetes with the CRDs of each release of MetalLB: `tests/matrix.sh` for all,
# `tests/matrix.sh 1.33.13 1.37.2` for some releases of Kubernetes. Prints a table of Markdown with its date. `tests/matrix.sh --ends` runs
# the fewest tests on the oldest releases and on the newest ones. What is missing of a kube-apiserver is built once, which takes about
# 6 minutes each on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."

logs=target/matrix
mkdir -p "$logs"

# Runs tests on a release of Kubernetes and one of MetalLB.
run() {
    local kubernetes=$1 metallb=$2
    shift 2
    LOCKSTEP_KUBERNETES=$kubernetes LOCKSTEP_METALLB=$metallb cargo test --locked --quiet --features full-tests --test control_plane \
        -- "$@" --skip with_metallb_0_13_5
}

if [ "${1:-}" = --ends ]; then
    for pair in "1.33.13 0.13.5" "1.37.2 0.16.2"; do
        echo "Kubernetes ${pair% *}, MetalLB ${pair#* }" >&2
        run $pair cases::every_case_by_the_api_server certificates::repair:: status::
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

cargo test --locked --quiet --no-run --features full-tests --test control_plane
failed=0
table="| Kubernetes |"
for metallb in "${releases[@]}"; do table+=" MetalLB $metallb |"; done
table+=$'\n|---|---|---|---|'
for kubernetes in "$@"; do
    table+=$'\n'"| $kubernetes |"
    for metallb in "${releases[@]}"; do
        log="$logs/$kubernetes-$metallb.log"
        if run "$kubernetes" "$metallb" "${tests[@]}" >"$log" 2>&1; then
            table+=" $(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1 passed/p' "$log") |"
        else
            table+=" failed, see \`$log\` |"
            failed=1
        fi
        echo "Kubernetes $kubernetes, MetalLB $metallb: done" >&2
    done
done
printf '%s, commit %s:\n\n%s\n' "$(date -u +%Y-%m-%d)" "$(git rev-parse --short HEAD)" "$table"
exit $failed
