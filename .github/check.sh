#!/usr/bin/env bash
# Checks the workflows and the manifest of the kubectl plugin by the tools that read them. It needs Go.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/tools
GOWORK=off GOBIN=$tools go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOWORK=off GOBIN=$tools go install sigs.k8s.io/krew/cmd/validate-krew-manifest@v0.4.3

"$tools/actionlint" -color=false

# Every action is pinned by the digest of its commit.
if grep --line-number --extended-regexp 'uses: ' .github/workflows/*.yml | grep --invert-match --extended-regexp '@[0-9a-f]{40} # v[0-9]'; then
    echo "pin these actions by the digest of a commit, with its version in a comment" >&2
    exit 1
fi

# The manifest as a release fills it in.
manifest=target/tools/lockstep.yaml
digest=$(sha256sum LICENSE | cut -d' ' -f1)
sed -e 's/VERSION/v0.1.0/' -e "s/SHA256_[A-Z0-9]*/$digest/" .github/krew.yaml >"$manifest"
"$tools/validate-krew-manifest" -manifest "$manifest" -skip-install 2>&1 | sed 's/^.*\] //'
