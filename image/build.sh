#!/usr/bin/env bash
# Builds and checks the image that the Dockerfile describes, without a container engine. It needs Rust, Go and GNU tar.
# The image is left in target/image/oci; `crane push target/image/oci REGISTRY/lockstep:TAG` publishes it.
#
# The image is for this machine's platform. Each argument PLATFORM=BINARY, such as linux/arm64=lockstep-arm64, adds the image of another
# platform with a binary that was built elsewhere (image/binary.sh); the result is an index of all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

crane_version=v0.22.1
work=$PWD/target/image
crane=$work/tools/crane
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
case $(uname -m) in
    x86_64) platform=linux/amd64 ;;
    aarch64) platform=linux/arm64 ;;
    *) echo "there is no platform for $(uname -m); add it to image/build.sh" >&2; exit 1 ;;
esac
tunables=$(sed -n 's/^ENV \(GLIBC_TUNABLES=.*\)$/\1/p' Dockerfile)
# The time of the commit, so that the same commit is the same image.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

fail() { echo "image: $*" >&2; exit 1; }

if [ "$("$crane" version 2>/dev/null)" != "$crane_version" ]; then
    GOWORK=off GOBIN=$work/tools CGO_ENABLED=0 go install -ldflags "-X github.com/google/go-containerregistry/cmd/crane/cmd.Version=$crane_version" \
        "github.com/google/go-containerregistry/cmd/crane@$crane_version"
fi

[ -n "$tunables" ] || fail "the Dockerfile sets no GLIBC_TUNABLES"

# The platforms in this order, and their binaries.
platforms=("$platform")
binaries=("$(image/binary.sh)")
for argument in "$@"; do
    case $argument in
        linux/*=?*) platforms+=("${argument%%=*}"); binaries+=("${argument#*=}") ;;
        *) fail "\`$argument\` is not PLATFORM=BINARY, such as linux/arm64=lockstep-arm64" ;;
    esac
done

# Whether a binary runs in an image without any other file, on its platform.
check_binary() {
    local machine
    case $1 in
        linux/amd64) machine=X86-64 ;;
        linux/arm64) machine=AArch64 ;;
        *) fail "the platform $1 is not known here; add it to image/build.sh" ;;
    esac
    readelf --file-header "$2" | grep -q "Machine:.*$machine" || fail "$2 is not for $1"
    if readelf --program-headers "$2" | grep -q INTERP; then
        fail "$2 is not static"
    fi
}
for number in "${!platforms[@]}"; do
    check_binary "${platforms[$number]}" "${binaries[$number]}"
done

# A registry on a port of its own, for as long as this runs: crane changes images in registries only.
log=$work/registry.log
"$crane" registry serve --address 127.0.0.1:0 >"$log" 2>&1 &
registry=$!
trap 'kill $registry 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    port=$(sed -n 's/.*serving on .*[^0-9]\([0-9][0-9]*\)$/\1/p' "$log" | head -1)
    [ -n "$port" ] && break
    sleep 0.1
done
[ -n "$port" ] || fail "crane's registry does not start: $(cat "$log")"

# Packs the binary $3 for platform $2 as $1, and prints the digest.
pack() {
    local image=127.0.0.1:$port/lockstep:$1
    rm -rf "$work/root" && mkdir -p "$work/root"
    cp "$3" "$work/root/lockstep"
    tar --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=0555 \
        --directory "$work/root" --create --file "$work/layer.tar" lockstep
    "$crane" append --oci-empty-base --new_layer "$work/layer.tar" --new_tag "$image" >/dev/null 2>>"$log"
    "$crane" mutate "$image" --tag "$image" --set-platform "$2" --entrypoint /lockstep --user 65532:65532 \
        --exposed-ports 8443/tcp,8080/tcp,8081/tcp --env "$tunables" \
        --label "org.opencontainers.image.title=lockstep" \
        --label "org.opencontainers.image.version=$version" \
        --label "org.opencontainers.image.licenses=Apache-2.0" \
        --label "org.opencontainers.image.source=https://github.com/lockstep-dev/lockstep" >/dev/null 2>>"$log"
    "$crane" digest "$image"
}

# Packs every platform as $1 and prints the digest: that of the only image, or of the index.
pack_all() {
    local number digest manifests=()
    for number in "${!platforms[@]}"; do
        digest=$(pack "$1-$number" "${platforms[$number]}" "${binaries[$number]}")
        manifests+=(--manifest "127.0.0.1:$port/lockstep@$digest")
    done
    if [ ${#platforms[@]} -eq 1 ]; then
        echo "$digest"
    else
        "$crane" index append "${manifests[@]}" --tag "127.0.0.1:$port/lockstep:$1" >/dev/null 2>>"$log"
        "$crane" digest "127.0.0.1:$port/lockstep:$1"
    fi
}

digest=$(pack_all first)
again=$(pack_all again)
[ "$digest" = "$again" ] || fail "packed twice, the image has two digests: $digest and $again"
image=127.0.0.1:$port/lockstep@$digest
"$crane" validate --remote "$image" >&2
rm -rf "$work/oci" && "$crane" pull --format=oci "$image" "$work/oci"

echo "digest: $digest"
for number in "${!platforms[@]}"; do
    platform=${platforms[$number]} binary=${binaries[$number]}
    listed=$("$crane" export --platform "$platform" "$image" - | tar --list --verbose --numeric-owner | tr --squeeze-repeats ' ')
    if [ "${listed##* }" != lockstep ] || [ "$(wc -l <<<"$listed")" != 1 ]; then
        fail "the image of $platform holds more than the binary: $listed"
    fi
    # OpenShift runs it as a user that the image does not know, of the group 0.
    [ "$(cut -d' ' -f1,2 <<<"$listed")" = "-r-xr-xr-x 0/0" ] || fail "not every user can run the binary in the image of $platform: $listed"
    size=$("$crane" manifest --platform "$platform" "$image" | sed -n 's/.*"layers":\[{[^}]*"size":\([0-9]*\).*/\1/p')
    echo "$platform:"
    echo "  binary: $(stat --format=%s "$binary") bytes, sha256:$(sha256sum "$binary" | cut -d' ' -f1)"
    echo "  layer:  ${size:-?} bytes"
done
