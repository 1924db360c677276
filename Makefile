PYTHON ?= python3

.PHONY: study test test-slow test-gpu install

study: install  ## train and compare MLE, behavior cloning with a backspace and SequenceMatch; writes runs/study
	.venv/bin/python -m benchmarks.compounding_error --out runs/study

test: install  ## format, lint, types and the test suite
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/python -m pytest -q

test-slow: install  ## tests of minutes
	.venv/bin/python -m pytest -q -m slow

test-gpu: install  ## tests that need CUDA
	.venv/bin/python -m pytest -q -m gpu

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -c constraints.txt torch
	.venv/bin/pip install -q -c constraints.txt -e ".[dev]"
	touch $@
