# tandem's commands; `make` alone lists them. Each one installs what is missing, builds and runs.

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
CTEST_ARGS ?=
# WERROR=ON: warnings are errors, as in CI. Off by default: a compiler that came out later may warn of more.
WERROR ?= OFF
DEMO_ARGS ?=
DEMO_COMMAND ?= build/release/examples/dcl_demo
VENV := .venv-bench

.PHONY: help
help: ## List the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | \
	  awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

.PHONY: deps
deps: ## Install the packages that building and testing need (Debian, Ubuntu)
	@bash scripts/install-deps.sh

# $(call build,PRESET,CMAKE OPTIONS): configuring is cheap when nothing changed, and silent.
define build
	@mkdir -p build
	@cmake --preset $(1) -DTANDEM_WERROR=$(WERROR) $(2) > build/$(1).log 2>&1 || { cat build/$(1).log; exit 1; }
	cmake --build --preset $(1) --parallel $(JOBS)
endef

.PHONY: build
build: deps ## Build the examples to build/release/examples
	$(call build,release,-DTANDEM_TESTS=OFF -DTANDEM_CUDA=AUTO -DTANDEM_COMPILED=ON)

# $(call build_programs,NAMES): these of the examples only. Header-only: the library would take longer than a few programs.
define build_programs
	@mkdir -p build
	@cmake --preset release -DTANDEM_WERROR=$(WERROR) -DTANDEM_TESTS=OFF -DTANDEM_CUDA=OFF -DTANDEM_COMPILED=OFF > build/release.log 2>&1 || \
	  { cat build/release.log; exit 1; }
	cmake --build --preset release --parallel $(JOBS) --target $(1)
endef

.PHONY: demo
demo: deps ## The experiment in miniature: videos, features, DCL, and a page of it all (4 minutes)
	$(call build_programs,render_world extract_features train_dcl report)
	scripts/miniature.sh $(DEMO_ARGS)

.PHONY: demo-simulated
demo-simulated: deps ## Train every variant of DCL on simulated rows and print the table of mAP
	$(call build_programs,$(notdir $(firstword $(DEMO_COMMAND))))
	$(DEMO_COMMAND)

PREFIX ?= /usr/local
.PHONY: install-evaluate
install-evaluate: ## Build the evaluator alone and install it to PREFIX/bin (needs no stb, no FFmpeg, no CUDA)
	cmake -S . -B build/evaluate -DCMAKE_BUILD_TYPE=Release -DTANDEM_EXAMPLES=evaluate -DTANDEM_TESTS=OFF -DTANDEM_CUDA=OFF
	cmake --build build/evaluate --target evaluate
	cmake --install build/evaluate --component evaluate --prefix $(PREFIX)

.PHONY: check
check: deps ## What can be checked without building: generated pages, style, format, which room uses which (seconds)
	@mkdir -p build
	@cmake --preset release > build/release.log 2>&1 || { cat build/release.log; exit 1; }
	ctest --preset release --parallel $(JOBS) -L '^static$$'

.PHONY: test
test: deps ## Build everything and run the whole test suite
	$(call build,release,-DTANDEM_TESTS=ON -DTANDEM_CUDA=AUTO -DTANDEM_COMPILED=ON)
	ctest --preset release --parallel $(JOBS) $(CTEST_ARGS)

.PHONY: test-long
test-long: deps ## The tests that take too long for every change; docs/testing.md has the last run
	$(call build,release,-DTANDEM_TESTS=ON -DTANDEM_LONG_TESTS=ON -DTANDEM_CUDA=AUTO -DTANDEM_COMPILED=ON)
	ctest --preset release --parallel $(JOBS) -L long $(CTEST_ARGS)

# LABELS="cpu optim" builds and runs these folders of tests/ only, for the two sanitizers.
LABELS ?=
empty :=
space := $(empty) $(empty)
sanitizer_targets = $(if $(LABELS),--target $(addprefix tandem_test_,$(LABELS)))
sanitizer_tests = $(if $(LABELS),-L '^($(subst $(space),|,$(strip $(LABELS))))$$')

# Stack use after return is looked for in a second run, on AVX2: GCC 12 puts locals on a stack of its own
# for it, aligned to 32 bytes, and stores 64-byte vectors there with an instruction that needs 64. Only
# folders whose tests choose no instruction set above TANDEM_ISA, and only on CPUs that have AVX2.
has_avx2 := $(shell grep -qw avx2 /proc/cpuinfo 2>/dev/null && echo yes)
use_after_return = $(if $(has_avx2),$(filter tensor autograd nn io,$(or $(LABELS),tensor autograd nn io)))

.PHONY: asan
asan: deps ## Run the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@mkdir -p build
	@cmake --preset asan-ubsan -DTANDEM_WERROR=$(WERROR) > build/asan-ubsan.log 2>&1 || { cat build/asan-ubsan.log; exit 1; }
	cmake --build --preset asan-ubsan --parallel $(JOBS) $(sanitizer_targets)
	ctest --preset asan-ubsan --parallel $(JOBS) $(sanitizer_tests) $(CTEST_ARGS)
	@for program in $(addprefix build/asan-ubsan/tests/tandem_test_,$(use_after_return)); do \
	  echo "$$program, stack use after return"; \
	  TANDEM_ISA=avx2 ASAN_OPTIONS=detect_stack_use_after_return=1 $$program || exit 1; \
	done

# ThreadSanitizer cannot map its shadow when the kernel randomizes addresses widely; setarch turns
# that off where the system allows it.
.PHONY: tsan
tsan: deps ## Run the tests under ThreadSanitizer
	@mkdir -p build
	@cmake --preset tsan -DTANDEM_WERROR=$(WERROR) > build/tsan.log 2>&1 || { cat build/tsan.log; exit 1; }
	cmake --build --preset tsan --parallel $(JOBS) $(sanitizer_targets)
	@if setarch --addr-no-randomize true 2>/dev/null; then run="setarch --addr-no-randomize"; fi; \
	  $$run ctest --preset tsan --parallel $(JOBS) $(sanitizer_tests) $(CTEST_ARGS)

.PHONY: mutate
mutate: deps ## Plant small faults in the CUDA kernels, one by one; fails when the tests miss one (takes an hour or more)
	@python3 scripts/mutate_kernels.py --jobs $(JOBS) $(MUTATE_ARGS)

.PHONY: ptxas
ptxas: deps ## Check what nvcc made of the CUDA kernels (registers, spills, doubles); writes docs/ptxas.md, kernels.md
	@mkdir -p build
	@cmake --preset release -DTANDEM_WERROR=$(WERROR) -DTANDEM_CUDA=ON > build/release.log 2>&1 || { cat build/release.log; exit 1; }
	cmake --build --preset release --parallel $(JOBS) --target tandem_cuda_kernels
	python3 scripts/ptxas_table.py --write docs/ptxas.md build/release/ptxas
	python3 docs/make_kernels.py

.PHONY: bench
bench: ## Time everything against its peers; writes benchmarks/results/
	@bash scripts/bench.sh $(BENCH_ARGS)

.PHONY: format
format: ## Format the C++ sources with clang-format
	@command -v clang-format >/dev/null || { echo "make format needs clang-format"; exit 1; }
	find include src examples tests benchmarks kernels -name '*.hpp' -o -name '*.cpp' -o -name '*.cu' \
	  -o -name '*.cuh' | xargs clang-format -i

.PHONY: index
index: ## Write what is made from the headers and kernels anew: lists of ops, docs/api, docs/kernels.md, tables of docs/cuda.md
	@python3 docs/make_math_index.py && python3 docs/make_api.py && python3 docs/make_kernels.py

.PHONY: docs
docs: ## Write the API reference anew, from the headers: docs/api, and as a site with a search: build/docs/index.html
	@python3 docs/make_api.py --site build/docs && echo build/docs/index.html

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf build $(VENV)
