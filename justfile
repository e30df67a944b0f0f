# Common tasks. `just` lists them.

_list:
    @just --list --unsorted

# Everything that CI runs
check:
    .ci/run

# Format the code, then lint it as CI does
lint:
    cargo fmt
    cargo clippy --locked --all-targets -- -D warnings

# Tests of one room: domain, store, http, cli or house; a filter selects tests by name
test ROOM *FILTER:
    cargo test --locked --test {{ROOM}} {{FILTER}}

# Unit tests beside the code, selected by name
unit *FILTER:
    cargo test --locked --lib {{FILTER}}

# Rewrite golden files, snapshots, schemas and THIRD-PARTY.md; review the difference before you commit it
bless:
    TENURE_BLESS=1 cargo test --locked --test domain
    TENURE_BLESS=1 cargo test --locked --test house

# A guided tour on a temporary server
demo *ARGS:
    cargo run --locked --release -- demo {{ARGS}}

# The program for packages and published figures: target/dist/tenure
dist:
    cargo build --locked --profile dist

# Each fuzz target, or the named ones, for some seconds
fuzz SECONDS="60" *TARGETS:
    fuzz/run.sh {{SECONDS}} {{TARGETS}}

# Figures in process; parts: small, large, cold, start
bench *PART:
    cargo bench --locked --bench workspace -- {{PART}}

# Figures under load; parts are listed in benches/README.md
load *ARGS:
    benches/load/run.sh {{ARGS}}

# Figures beside other systems
peers *ARGS:
    benches/peers/run.sh {{ARGS}}
