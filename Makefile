# `make help` tells what there is. Every target does its own set-up; those with kernels want root once.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build check test bench stories traces mutants demo coverage fuzz campaign lab clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

build: ## the optimised binary: target/release/governor
	cargo build --locked --release

check: ## format, lints, documentation, dependencies: what CI checks
	.ci/part format cargo fmt --check
	.ci/part lints cargo clippy --all-targets --features bench --locked -- -D warnings
	.ci/part kernel-lints cargo clippy --test kernel --bench noisy --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" .ci/part documentation cargo doc --no-deps --locked
	.ci/part dependencies .ci/deny --log-level error check bans licenses sources

# COVERAGE=PERCENT runs those here as `make coverage` does: CI has not the time to run them twice.
test: ## all tests: here, and on real kernels 6.1 and 6.12 in the lab, with docker and podman (short campaigns, short bench)
	.ci/part tests $(if $(COVERAGE),.ci/coverage $(COVERAGE),cargo test --features bench --locked)
	.ci/part kernels tests/kernel/run --short
	.ci/part full-system tests/kernel/campaign --short
	.ci/part bench tests/bench/run --short
	.ci/part bench-clean tests/bench/clean
	.ci/part page tests/bench/browser

bench: ## scenarios of noisy neighbours under several arms, both kernels, virtual clock: target/bench/report.html
	tests/bench/run

stories: ## tells the stories of tests/traces anew: look at `git diff tests/traces` before you believe them
	STORIES=tell cargo test --locked --test stories

traces: ## records tests/traces anew in the lab, on both kernels, and tells their stories
	tests/traces/record

mutants: ## breaks the policy room in one place at a time: do the stories notice? Goes to tests/mutants/RESULTS.md
	tests/mutants/run

demo: ## the story: a hog starves a redis, and the governor ends it (under four minutes)
	tests/demo/run

coverage: ## lines of the pure rooms that tests reach; fails under 90 %
	.ci/part coverage .ci/coverage 90

fuzz: ## every fuzz target for SECONDS (600) each
	tests/fuzz/run --seconds $(or $(SECONDS),600)

campaign: ## the full campaigns on both kernels; the tables go to tests/kernel/RESULTS.md (hours)
	tests/kernel/run --full --table tests/kernel/RESULTS.md
	tests/kernel/campaign --full --table tests/kernel/RESULTS.md

lab: ## everything that the lab needs, ahead of time
	tests/lab/lab provision full

clean: ## what was built here; the lab's caches stay (tests/lab/lab clean)
	cargo clean
