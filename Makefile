# Two commands: "make book" and "make test". The environment in .venv is made when it is missing and brought up to
# date when pyproject.toml or constraints.txt has changed.
SHELL := bash
VENV := .venv
READY := $(VENV)/.ready
PROFILE ?=
ONLY ?=
PYTHON ?= python3
CHECK_PYTHON := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
CHECK_TORCH := import torch, torchvision; torchvision.ops.nms(torch.rand(1, 4), torch.rand(1), 0.5)

.PHONY: help env book test rehearsal lint sync bench clean

help:  ## say what can be made
	@awk -F ':.*##' '/^[a-z]+:.*##/ {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(READY)  ## run the chapters and render the book, e.g. make book PROFILE=tiny ONLY="01 03"
	$(VENV)/bin/in9 book $(if $(PROFILE),--profile $(PROFILE) --measure) $(foreach chapter,$(ONLY),--only $(chapter))

test: lint  ## lint, check types, run the tests
	$(VENV)/bin/python -m mypy
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

rehearsal: $(READY)  ## take a miniature ImageNet through profile paper, in minutes
	$(VENV)/bin/python -m pytest -m rehearsal

lint: $(READY)  ## check style, formatting and which room imports which
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/lint-imports --no-logo --no-cache

sync: $(READY)  ## write anew what is derived: each .ipynb from its .py, README's numbers from records/
	$(VENV)/bin/in9 sync
	$(VENV)/bin/python -m in9.book.readme

bench: $(READY)  ## measure the promises of speed, in minutes
	$(VENV)/bin/python benchmarks/run.py

clean:  ## remove what was built; the environment, the data and the results in runs/ stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

env: $(READY)  ## make the environment in .venv

$(READY): pyproject.toml constraints.txt
	@set -eu; \
	if [ ! -x $(VENV)/bin/python ]; then \
	    found=""; \
	    for candidate in "$(PYTHON)" python3.13 python3.12 python3.11; do \
	        if "$$candidate" -c '$(CHECK_PYTHON)' 2>/dev/null; then found="$$candidate"; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "in9 needs Python 3.11, 3.12 or 3.13: install one, or name it with 'make PYTHON=/path/to/python3'." >&2; \
	        exit 1; \
	    fi; \
	    if command -v uv >/dev/null; then uv venv --quiet --python "$$(command -v "$$found")" $(VENV); \
	    elif ! "$$found" -m venv $(VENV); then \
	        rm -rf $(VENV); \
	        echo "$$found cannot make an environment: install its venv module (on Debian: python3-venv) and run make again." >&2; \
	        exit 1; \
	    fi; \
	fi; \
	if ! $(VENV)/bin/python -c '$(CHECK_PYTHON)'; then \
	    echo "The Python in $(VENV) is not 3.11, 3.12 or 3.13: remove it with 'rm -rf $(VENV)' and run make again." >&2; \
	    exit 1; \
	fi; \
	echo "Installing the requirements into $(VENV) (once; minutes, about 6 GB on Linux) ..."; \
	if command -v uv >/dev/null; then uv pip install --quiet --compile-bytecode --python $(VENV)/bin/python -e '.[dev]' -c constraints.txt; \
	else $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt; fi; \
	if ! trouble=$$($(VENV)/bin/python -c '$(CHECK_TORCH)' 2>&1); then \
	    reason=$$(printf '%s' "$$trouble" | tail -n 1); \
	    echo "torch and torchvision do not work together ($$reason): remove them with 'rm -rf $(VENV)', see that no other torch wheel is offered to pip (pip config list), and run make again." >&2; \
	    exit 1; \
	fi; \
	touch $(READY)
