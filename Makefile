# SPDX-License-Identifier: Apache-2.0
# A thin front to meson and the scripts. Every target installs what it needs first (Debian 12).
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BUILD := build
SSIHV := $(BUILD)/cli/ssihv
JOBS  := $(shell nproc)

# For run-vmm, test and its kin, demo, bench: further arguments.
ARGS :=
TIMES := 100
ROUNDS := 10
CLUSTER := docs/cluster.example.yaml
OUT := $(BUILD)/acpi

.PHONY: help build test test-long test-repeat fuzz demo bench bench-guest soak run-vmm run-acpi-gen \
	integration-test check-kvm explore sim-long dev-setup lint format install clean

help: ## this list
	@echo "SSI-HV: one Linux guest on several hosts. Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-17s %s\n", $$1, $$2 }' Makefile

build: ## compile everything into build/
	@tools/setup.sh build
	@test -e $(BUILD)/build.ninja || meson setup $(BUILD) >/dev/null
	@ninja -C $(BUILD) --quiet -j $(JOBS)

test: build ## all tests, one line each; ARGS="--help" tells how to choose
	@tools/setup.sh lab test
	@tools/setup.sh intel || true
	@tests/run --build $(BUILD) $(ARGS)

test-long: build ## what is too long for every day
	@tools/setup.sh lab test
	@tools/setup.sh intel || true
	@tests/run --build $(BUILD) --class long $(ARGS)

test-repeat: build ## each program TIMES=100 beside a load, then everything ROUNDS=10 times
	@tools/setup.sh lab test
	@tools/setup.sh intel || true
	@tests/run --build $(BUILD) --class plain --repeat $(TIMES) $(ARGS)
	@for round in $$(seq $(ROUNDS)); do \
		echo "round $$round of $(ROUNDS)"; tests/run --build $(BUILD) $(ARGS) || exit; done

fuzz: build ## libFuzzer on each parser: make fuzz ARGS="--seconds 600 --only fuzz-proto"
	@tools/setup.sh test
	@tests/run --build $(BUILD) --class fuzz --seconds 300 $(ARGS)

demo: build ## boot one guest on two hosts and let it prove that they are one machine
	@tools/setup.sh lab
	@tools/demo.py $(SSIHV) $(ARGS)

bench: build ## what a fault costs, against raw TCP; ARGS="--quick" takes less than a minute
	@tools/bench.py $(BUILD)/bench/measure $(ARGS)

bench-guest: build ## loads in a guest on two emulated hosts, against one: an hour; ARGS="--quick"
	@tools/setup.sh lab
	@tools/setup.sh load
	@tools/bench_guest.py $(SSIHV) $(ARGS)

soak: build ## an hour of random loads, every value checked; ARGS="--seconds 60 --seed 2"
	@$(BUILD)/tests/dsm/soak $(ARGS)

run-vmm: build ## ssihv run: make run-vmm ARGS="--local 2 --kernel BZIMAGE"
	$(if $(findstring --lab,$(ARGS)),@tools/setup.sh lab)
	@$(SSIHV) run $(ARGS)

run-acpi-gen: build ## the ACPI tables of CLUSTER=FILE.yaml into OUT=DIR
	@$(SSIHV) acpi $(CLUSTER) -o $(OUT)

integration-test: build ## only the tests that start emulated hosts and guests
	@tools/setup.sh lab test
	@tools/setup.sh intel || true
	@tests/run --build $(BUILD) --only lab --only system $(ARGS)

explore: build ## the protocol core's states for longer than the tests do: minutes, up to 2 GiB
	@tests/dsm/explore.py $(BUILD)/tests/dsm/explore $(or $(CC),cc) --long

sim-long: build ## a million schedules of the simulator: minutes; ARGS="--schedules 10000 --seed 1"
	@tests/dsm/sim_long.py $(BUILD)/tests/dsm/sim $(ARGS)

check-kvm: build ## does /dev/kvm here run real 64-bit code?
	@$(SSIHV) check-kvm

dev-setup: ## install all that building, testing and linting need
	@tools/setup.sh build lab test lint
	@tools/setup.sh intel || true # Bochs cannot be had everywhere

lint: build ## formatting, both compilers, layering, scripts, manual pages, length of files
	@tools/setup.sh lint
	@tools/lint.sh

format: ## format all C files
	@tools/setup.sh lint
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: build ## into the system; DESTDIR is honoured
	@meson install -C $(BUILD)

clean: ## remove all build directories; the lab's kernels in build/lab-cache stay
	@test ! -d $(BUILD) || find $(BUILD) -mindepth 1 -maxdepth 1 ! -name lab-cache -exec rm -r {} +
	@rm -rf build-clang build-sanitize build-tsan build-fuzz
