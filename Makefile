PYTHON ?= python3

.PHONY: test install

test: install  ## the test suite
	.venv/bin/python -m pytest -q

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -c constraints.txt torch
	.venv/bin/pip install -q -c constraints.txt -e ".[dev]"
	touch $@
