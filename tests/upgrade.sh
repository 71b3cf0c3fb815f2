#!/usr/bin/env bash
# An upgrade under load: the chart and the program of an earlier commit, upgraded by Helm to those of this one: `tests/upgrade.sh` for the
# last commit before the program became a workspace, `tests/upgrade.sh COMMIT` for another one. The earlier program is built once, with its
# own lockfile, which takes about 4 minutes on 2 cores. Needs Go, and the history of git.
set -euo pipefail
cd "$(dirname "$0")/.."

previous=${1:-5c3fc03ba716}
if ! commit=$(git rev-parse --quiet --verify "$previous^{commit}"); then
    echo "commit \`$previous\` is not in this clone: run \`git fetch --unshallow\` if it is shallow, or name a commit that \`git log\` shows" >&2
    exit 1
fi
cache=${LOCKSTEP_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lockstep}/previous/$commit
if [ ! -e "$cache/lockstep" ]; then
    echo "building lockstep of $(git log -1 --format='%h, %as, %s' "$commit"), once" >&2
    # Not below this folder: the earlier package would count as a part of this workspace.
    source=$(mktemp -d)
    trap 'rm -rf "$source"' EXIT
    git archive "$commit" | tar -x -C "$source"
    (cd "$source" && CARGO_TARGET_DIR=$source/target CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 cargo build --locked --quiet --bin lockstep)
    mkdir -p "$cache"
    cp -r "$source/charts" "$cache"
    cp "$source/target/debug/lockstep" "$cache/lockstep.$$.partial"
    mv "$cache/lockstep.$$.partial" "$cache/lockstep"
fi

LOCKSTEP_PREVIOUS=$cache exec cargo test --locked --features full-tests --test upgrade -- --nocapture
