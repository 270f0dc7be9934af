# Baton. `make demo` shows what it does, `make test` checks that it does.

SHELL := /bin/bash
# Rust installed by rustup may not be on the path of a shell that was open before.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help demo test lint doc build fmt setup clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    schedule a real kernel in a VM: EEVDF against fifo and edf"
	@echo "make test    every check and test, in VMs too"
	@echo "make lint    formatting, clippy, clang-format, licences, fuzz targets"
	@echo "make doc     the documentation of the crates, in target/doc"
	@echo "make build   target/release/baton"
	@echo "make fmt     format the sources"
	@echo "The first two install what they need on Debian and Ubuntu."

demo: build
	@target="$${CARGO_TARGET_DIR:-target}"; "$$target/release/baton" lab run demo

test:
	@scripts/setup --tests
	@scripts/test

lint:
	@scripts/test lint

doc:
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

build: setup
	@echo "building (a first build takes a few minutes) ..." >&2
	@cargo build --quiet --release -p baton-cli

fmt:
	@cargo fmt --all

setup:
	@scripts/setup

clean:
	@cargo clean
