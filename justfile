# Every command that a developer or CI runs. `just` lists them.

default:
    @just --list

# Everything that CI runs.
ci: format lint docs deny workflows test full-test matrix-ends image bench-smoke

# Is everything formatted?
format:
    cargo fmt --all --check

# Clippy, with warnings as errors.
lint:
    cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

# The API documentation, with warnings as errors.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

# Licences, bans and sources of the dependencies.
deny:
    cargo deny --locked check bans licenses sources

# Known vulnerabilities of the dependencies; fetches the advisory database.
advisories:
    cargo deny --locked check advisories

# The workflows and the manifest of the kubectl plugin. Needs Go.
workflows:
    .github/check.sh

# The tests that need Rust alone.
test:
    cargo test --locked --no-fail-fast

# Mutated manifests through every output format of `check`: ten million. Another SEED gives other inputs; THREADS is the number of
# processors to use.
fuzz-check COUNT="10000000" SEED="0" THREADS="1":
    LOCKSTEP_MUTATIONS={{COUNT}} LOCKSTEP_SEED={{SEED}} LOCKSTEP_THREADS={{THREADS}} cargo test --locked --profile optimized --test offline -- --nocapture no_mutated

# The tests that also need Go, Chromium and Node.js, zsh and fish, or root with iproute2, nftables and haproxy: oracle, control_plane,
# chart, browser, shells, packets.
full-test *PROGRAMS:
    tests/full.sh {{PROGRAMS}}

# The smoke tests of the control plane on every release of Kubernetes and MetalLB that is supported, or on the named releases of
# Kubernetes; prints a table. Needs Go, which builds each kube-apiserver once.
matrix *RELEASES:
    tests/matrix.sh {{RELEASES}}

# A few of these tests on the oldest releases and on the newest ones.
matrix-ends:
    tests/matrix.sh --ends

# The fuzz targets, guided by coverage: each until ten million executions or so many seconds, or the named ones. Needs cargo-fuzz and a C++
# compiler. fuzz/README.md lists the targets.
fuzz SECONDS="3600" *TARGETS:
    fuzz/run.sh {{SECONDS}} {{TARGETS}}

# The fuzz targets without libFuzzer: so many mutations of each, repeatable by the SEED.
fuzz-all COUNT="100000" SEED="0":
    LOCKSTEP_EXECUTIONS={{COUNT}} LOCKSTEP_SEED={{SEED}} cargo test --locked --profile optimized --test offline -- --nocapture fuzz::

# The models, searched further than in CI: all states of a CA rotation with three replicas, and longer schedules of an API server's failures.
model LENGTH="2" SCHEDULES="5000" SEED="0":
    LOCKSTEP_MODEL=full LOCKSTEP_SCHEDULE_LENGTH={{LENGTH}} LOCKSTEP_SCHEDULES={{SCHEDULES}} LOCKSTEP_SEED={{SEED}} \
        cargo test --locked --profile optimized --lib -- --nocapture --test-threads 1 model

# Changes what decides, one place at a time, and names the changes that no test notices (.cargo/mutants.toml). Hours; needs cargo-mutants.
mutants *ARGS:
    cargo mutants --workspace {{ARGS}}

# Line coverage of the pure core, the codec and the CA rotation by the tests that need no server; fails below 95 %. Needs cargo-llvm-cov
# and LLVM's own tools, of rustup's component llvm-tools, or named in LLVM_COV and LLVM_PROFDATA.
coverage:
    cargo llvm-cov --locked --fail-under-lines 95 \
        --ignore-filename-regex 'src/(audit|tls\.rs|tls/([abd-z]|c[el])|cli|cluster|batch_queue|main|manifests|server|telemetry|trace|webhook)' \
        --lib --test offline \
        -- --skip by_check --skip check:: --skip docs::

# The picture in docs/explain.md, as the browser test takes it.
picture:
    LOCKSTEP_BLESS=1 cargo test --locked --features full-tests --test browser -- every_page

# The chart's copy of the definition of topologies.
crd:
    cargo run --locked --quiet -- crd > charts/lockstep/crds/gatewaytopologies.yaml

# The published schema of the decision log.
audit-schema:
    cargo run --locked --quiet -- audit schema > docs/audit.schema.json

# The reference of the command line, and the page of codes.
cli-docs:
    LOCKSTEP_BLESS=1 cargo test --locked --test offline -- docs::reference

# What is made of the chart and kept beside it: the table in its README, and the snapshots. Read what git shows.
chart-docs:
    LOCKSTEP_BLESS=1 cargo test --locked --test offline -- the_readmes_table
    LOCKSTEP_BLESS=1 cargo test --locked --features full-tests --test chart -- the_rendered_chart

# What kube-score and checkov find in the chart, compared with the table in its README. kube-score needs Go, checkov Python 3.
chart-audit *TOOLS:
    tests/chart_audit.sh {{TOOLS}}

# The image, built and checked without a container engine; PLATFORM=BINARY, such as linux/arm64=lockstep-arm64, adds another platform.
image *PLATFORMS:
    image/build.sh {{PLATFORMS}}

# The image of this machine's platform and of linux/arm64, whose binary is built here too. Needs Debian's gcc-aarch64-linux-gnu, and
# libc6-dev-arm64-cross.
image-arm64:
    rustup target add aarch64-unknown-linux-gnu
    LOCKSTEP_TARGET=aarch64-unknown-linux-gnu CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc image/binary.sh
    image/build.sh linux/arm64=target/image/aarch64-unknown-linux-gnu/release/lockstep

# All attacks at once on the release build in a control group of 256 MiB: no review of the API server over 1s, no failed probe. Needs root.
# ONLY is the name of the only attack, such as heavy.
attack SECONDS="600" ONLY="":
    cargo build --locked --release
    LOCKSTEP_PROGRAM=$PWD/target/release/lockstep cargo test --locked --features full-tests --test attack -- --seconds {{SECONDS}} {{ if ONLY == "" { "" } else { "--only " + ONLY } }}

# An upgrade by Helm under load, a rollback and another upgrade: from the chart and the program of an earlier COMMIT, the last one before
# the program became a workspace by default, to those of this one. Builds the earlier program once, which takes 4 minutes. Needs Go, and
# the history of git.
upgrade COMMIT="":
    tests/upgrade.sh {{COMMIT}}

# An hour of load on three replicas and a real API server, while replicas, certificates, the API server and etcd change and fail; prints what
# failed, and the slope of memory and descriptors.
soak SECONDS="3600":
    cargo build --locked --release
    LOCKSTEP_PROGRAM=$PWD/target/release/lockstep LOCKSTEP_SOAK_SECONDS={{SECONDS}} \
        cargo test --locked --features full-tests --test control_plane -- --nocapture soak

# CA rotations of three replicas under load. 20 s each.
rotations COUNT="20":
    LOCKSTEP_ROTATIONS={{COUNT}} cargo test --locked --features full-tests --test control_plane -- --nocapture rotation::

# Instruction counts of the engine, and the webhook against a no-op webhook.
bench:
    cargo bench --locked

# The benchmarks, just long enough to see that they work.
bench-smoke:
    cargo bench --bench check --locked --profile dev -- --smoke
    cargo bench --bench engine --locked --profile dev -- --smoke
    cargo bench --bench state --locked --profile dev -- --smoke
    cargo bench --bench webhook --locked --profile dev -- --smoke

# The search for ways to lose an address unseen: on the core alone, and on a real API server. Another SEED takes other steps.
search CORE="1000000" API="10000" SEED="0":
    LOCKSTEP_STEPS={{CORE}} LOCKSTEP_SEED={{SEED}} cargo test --locked --profile optimized --test offline -- --nocapture search
    LOCKSTEP_STEPS={{API}} LOCKSTEP_SEED={{SEED}} cargo test --locked --features full-tests --test chart -- --nocapture search

# Random worlds, decided by the code of MetalLB 0.13.5, 0.15.2 and 0.16.2 and by ours, a million of each; then selectors, pods, Services
# and patches by Kubernetes' own code. Another SEED gives others.
oracle WORLDS="1000000" SEED="0":
    LOCKSTEP_WORLDS={{WORLDS}} LOCKSTEP_SEED={{SEED}} LOCKSTEP_THREADS=2 \
        cargo test --locked --profile optimized --features full-tests --test oracle -- --nocapture --test-threads 1

# All long runs, or the named ones, and their results in docs/evidence.md. All take a night on 2 cores.
evidence *RUNS:
    tests/evidence.sh {{RUNS}}
