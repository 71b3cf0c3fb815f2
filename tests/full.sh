#!/usr/bin/env bash
# The tests that need more than Rust: `tests/full.sh [oracle] [control_plane] [chart] [browser] [shells] [packets]`, all six by default.
# What is missing on this machine is said first, and nothing is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- oracle control_plane chart browser shells packets

missing=() programs=()
needs() { command -v "$1" >/dev/null || missing+=("$2"); }

needs cargo "Rust 1.95"
needs go "Go 1.26"
for program in "$@"; do
    programs+=(--test "$program")
    if [ "$program" = browser ]; then
        needs chromium Chromium
        needs node "Node.js 18"
        needs npm npm
    fi
    if [ "$program" = shells ]; then
        needs bash bash
        needs zsh zsh
        needs fish fish
    fi
    if [ "$program" = packets ]; then
        [ "$(id -u)" = 0 ] || missing+=(root)
        needs unshare util-linux
        needs ip iproute2
        needs nft nftables
        needs haproxy haproxy
    fi
done
if [ ${#missing[@]} -gt 0 ]; then
    list=$(printf ', %s' "${missing[@]}")
    echo "missing for the tests $*: ${list:2}" >&2
    exit 1
fi

exec cargo test --locked --no-fail-fast --features full-tests "${programs[@]}"
