#!/usr/bin/env bash
# What scanners of manifests find in the chart with its default values and with those for high availability, compared with the table in
# charts/lockstep/README.md, which gives the reason for each finding that stays: `tests/chart_audit.sh` for all scanners,
# `tests/chart_audit.sh kube-score` for one. kube-score needs Go, checkov Python 3. Helm is the one in HELM, that of the tests, or the one in
# PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

kube_score_version=v1.20.0
checkov_version=3.3.30
[ $# -gt 0 ] || set -- kube-score checkov
tools=$PWD/target/tools work=$PWD/target/chart-audit
mkdir -p "$work"

cache=${LOCKSTEP_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lockstep}
helm=${HELM:-$(ls -d "$cache"/control-plane/helm-*/helm 2>/dev/null | tail -1)}
helm=${helm:-$(command -v helm || true)}
if [ -z "$helm" ]; then
    echo "there is no Helm: run \`tests/full.sh chart\` once, which builds it, or set HELM to its path" >&2
    exit 1
fi
manifests=()
for values in default ha; do
    "$helm" template lockstep charts/lockstep --namespace lockstep-system --values "charts/lockstep/ci/$values-values.yaml" >"$work/$values.yaml"
    manifests+=("$work/$values.yaml")
done

# Prints a line for each finding: the kind of the object, a tab, and the finding.
kube-score() {
    if ! "$tools/kube-score" version 2>/dev/null | grep -qF "${kube_score_version#v}"; then
        GOWORK=off GOBIN=$tools CGO_ENABLED=0 go install -ldflags "-X main.version=${kube_score_version#v}" \
            "github.com/zegl/kube-score/cmd/kube-score@$kube_score_version"
    fi
    for manifest in "${manifests[@]}"; do
        # It fails if it finds something.
        { "$tools/kube-score" score --output-format ci --kubernetes-version v1.33 "$manifest" || true; } \
            | sed -nE 's/^\[(CRITICAL|WARNING)\] [^ ]+ [^ ]*\/([A-Za-z]+): (\([a-z]+\) )?(.*)$/\2\t\4/p'
    done
}
checkov() {
    if [ "$("$tools/checkov/bin/checkov" --version 2>/dev/null)" != "$checkov_version" ]; then
        python3 -m venv "$tools/checkov" && "$tools/checkov/bin/pip" install --quiet "checkov==$checkov_version"
    fi
    for manifest in "${manifests[@]}"; do
        { "$tools/checkov/bin/checkov" --file "$manifest" --framework kubernetes --compact --quiet --output cli 2>"$work/checkov.log" || true; } \
            | sed -nE -e 's/^Check: ([A-Z0-9_]+): "(.*)"$/\1: \2/;T other;h;d;:other' -e 's/^\tFAILED for resource: ([A-Za-z]+)\..*$/\1/;T' -e 'G;s/\n/\t/p'
    done
}

failed=0
for tool in "$@"; do
    "$tool" >"$work/$tool"
    [ -s "$work/$tool" ] || { echo "$tool printed no finding, which is unlikely: $work" >&2; exit 1; }
    sort -u "$work/$tool" | awk -F '\t' -v tool="$tool" '
        { kinds[$2] = kinds[$2] (kinds[$2] == "" ? "" : ", ") $1 }
        END { for (finding in kinds) print "| " tool " | " finding " | " kinds[finding] " |" }' | sort >"$work/$tool.found"
    sed -nE "s/^(\| $tool \| [^|]* \| [^|]* \|).*$/\1/p" charts/lockstep/README.md | sort >"$work/$tool.listed"
    if diff --unified --label charts/lockstep/README.md --label "$tool" "$work/$tool.listed" "$work/$tool.found"; then
        echo "$tool: $(wc -l <"$work/$tool.found") findings, as listed in charts/lockstep/README.md"
    else
        failed=1
    fi
done
exit $failed
