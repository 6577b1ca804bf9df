# The few commands to know. Everything longer than a line is in scripts/.
SHELL := /bin/bash

# What the quickstart's experiment reads: the `path: NAME` of model and data (no path: neither / nor dot first).
EXPERIMENT ?= experiments/quickstart.yaml
ASSETS ?= $(shell sed -nE 's/^(model|data): *\{ *path: *"?([a-z0-9][A-Za-z0-9._-]*).*/\2/p' '$(EXPERIMENT)' 2> /dev/null)
# The tests read two models, so that each family is checked.
TEST_ASSETS ?= 20newsgroups.minilm-l6 20newsgroups.smollm2-135m
RANKS ?= 2
export EXPERIMENT RANKS

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-long bench figures collect build assets setup format lint clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

quickstart:  ## set up what is missing, then a first run on two ranks (RANKS=, EXPERIMENT=)
	@scripts/quickstart $(ASSETS)

test:  ## every check but the long ones; last line: N passed, N failed, N skipped
	@ASSETS='$(TEST_ASSETS)' scripts/test

test-long:  ## the same and Tests/Long
	@ASSETS='$(TEST_ASSETS)' scripts/test --long

bench: setup  ## our training step against PyTorch's, in turn (MODEL=, SHAPES=, ROUNDS=)
	@scripts/bench

figures:  ## figures and tables of the runs in RUNS (default runs), into RUNS/figures (OPTIONS="--format pdf")
	@scripts/figures $(or $(RUNS),runs) $(OPTIONS)

collect:  ## what figures need of the runs in RUNS, a few kB per run, into OUTPUT (default results)
	@scripts/collect $(or $(RUNS),runs) --output $(or $(OUTPUT),results)

build: setup  ## the release binary, .build/release/cellm-mpi
	@scripts/build --product cellm-mpi

assets: setup  ## model and corpus of the quickstart (ASSETS="20newsgroups.minilm-l6 ...")
	@scripts/assets $(ASSETS)

setup:  ## system packages (installed when root) and the Swift toolchain
	@scripts/setup

format:  ## lay out the Swift sources
	@swift format -i -r Package.swift Sources $(wildcard Tests)

lint:  ## check the layout of the Swift sources
	@swift format lint --strict -r Package.swift Sources $(wildcard Tests)

clean:  ## remove build outputs (what is prepared stays)
	rm -rf .build .build-*
