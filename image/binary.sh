#!/usr/bin/env bash
# Builds the static binary of the image, the same from the same source wherever the source lies, and prints its path. The binary is
# for this machine, or for the target in LOCKSTEP_TARGET, which needs that target's standard library and C compiler. Arguments go to
# cargo. The list of dependencies is in the binary, for `cargo audit bin` and scanners of images.
set -euo pipefail
cd "$(dirname "$0")/.."

auditable_version=0.7.7
tools=$PWD/target/image/cargo-auditable
if ! cargo install --list --root "$tools" | grep -qxF "cargo-auditable v$auditable_version:"; then
    cargo install --locked --quiet --root "$tools" cargo-auditable --version "$auditable_version" >&2
fi

host=$(rustc -vV | sed -n 's/^host: //p')
target=${LOCKSTEP_TARGET:-$host}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
# Folders of this machine stand in panic messages otherwise. The flags apply to the target alone, so `--target` is needed
# even where it is the host: procedural macros cannot be static.
export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$PWD=/lockstep --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$sysroot=/rust"
export CFLAGS="-ffile-prefix-map=$PWD=/lockstep -ffile-prefix-map=$cargo_home=/cargo"
"$tools/bin/cargo-auditable" auditable build --release --locked --target "$target" --target-dir target/image "$@" >&2

echo "$PWD/target/image/$target/release/lockstep"
