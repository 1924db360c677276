PYTHON ?= python3

.PHONY: study test test-slow test-gpu test-clients install

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

test-clients: .venv-clients/.installed  ## Stable-Baselines3, sb3-contrib, skrl, d3rlpy, Minari and imitation
	.venv-clients/bin/python -m pytest -q -m clients

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -c constraints.txt torch
	.venv/bin/pip install -q -c constraints.txt -e ".[dev]"
	touch $@

# imitation asks for gymnasium 0.29 and Stable-Baselines3 2.2, and works with those of the extra.
.venv-clients/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/pip install -q -c constraints.txt torch
	.venv-clients/bin/pip install -q -c constraints.txt -e ".[dev,clients]"
	.venv-clients/bin/pip install -q -c constraints.txt --no-deps imitation
	touch $@
