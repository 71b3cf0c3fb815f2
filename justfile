# Every command that a developer or CI runs. `just` lists them.

default:
    @just --list

# Everything that CI runs.
ci: format lint docs deny test image bench-smoke

# Is everything formatted?
format:
    cargo fmt --check

# Clippy, with warnings as errors.
lint:
    cargo clippy --locked --all-targets -- -D warnings

# The API documentation, with warnings as errors.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Licences, bans and sources of the dependencies.
deny:
    cargo deny --locked check bans licenses sources

# Known vulnerabilities of the dependencies; fetches the advisory database.
advisories:
    cargo deny --locked check advisories

# All tests, the real API server and Helm included. They are built on the first run, which needs Go.
test:
    cargo test --locked

# The client's address through real packets, with and without Lockstep: as root, with iproute2, nftables and haproxy.
e2e:
    LOCKSTEP_E2E=require cargo test --locked --test e2e

# The tests that need no server: seconds.
quick:
    cargo test --locked --lib --test selector_reasoning --test docs
    cargo test --locked --test cases by_the_rules

# Changes what decides, one place at a time, and names the changes that no test notices (.cargo/mutants.toml). Hours; needs cargo-mutants.
mutants *ARGS:
    CARGO_INCREMENTAL=1 cargo mutants {{ARGS}}

# Line coverage of the pure core by the tests that need no server; fails below 95 %. Needs cargo-llvm-cov and LLVM's own tools,
# of rustup's component llvm-tools, or named in LLVM_COV and LLVM_PROFDATA.
coverage:
    cargo llvm-cov --locked --fail-under-lines 95 \
        --ignore-filename-regex 'src/(audit|certs|cli|cluster|gathering|main|manifests|server|telemetry|webhook)' \
        --lib --test admission --test cases --test remedies --test selector_reasoning \
        -- --skip over_https --skip by_the_api_server --skip by_check

# The chart's copy of the definition of topologies.
crd:
    cargo run --locked --quiet -- crd > charts/lockstep/crds/gatewaytopologies.yaml

# The published schema of the decision log.
audit-schema:
    cargo run --locked --quiet -- audit schema > docs/audit.schema.json

# The reference of the command line.
cli-docs:
    LOCKSTEP_BLESS=1 cargo test --locked --test docs -- the_reference_is

# What is made of the chart and kept beside it: the table in its README, and the snapshots. Read what git shows.
chart-docs:
    LOCKSTEP_BLESS=1 cargo test --locked --test chart -- the_readmes_table what_is_rendered

# The image, built and checked without a container engine.
image:
    image/build.sh

# Instruction counts of the engine, and the webhook against a no-op webhook.
bench:
    cargo bench --locked

# The benchmarks, just long enough to see that they work.
bench-smoke:
    cargo bench --locked --bench engine -- --smoke
    cargo bench --locked --bench webhook -- --smoke
