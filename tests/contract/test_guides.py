"""The guides run: all Python in them, each in a process of its own names, and what they point to is there."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks.compounding_error.running.cells import cells_of

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [
    *("agents", "envs/tasks", "seqil/metrics", "seqil/decoding", "benchmarks/compounding_error/studies"),
]
DOCUMENTS = [f"{folder}/README.md" for folder in GUIDES] + ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]


def run(guide):
    names = {"__name__": "guide"}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / guide).read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, guide, "exec"), names)
    return names


@pytest.mark.parametrize("folder", GUIDES)
def test_a_guide_runs(folder):
    torch.manual_seed(0)
    names = run(f"{folder}/README.md")
    if "STUDY" in names:
        assert len(list(cells_of(names["STUDY"]))) == 6


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_points_to_is_there(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)", text):
        if not link.startswith(("http", "mailto:")):
            assert ((ROOT / document).parent / link).exists(), link
    for path in re.findall(r"`((?:tests|seqil|envs|agents|benchmarks|examples|docs)/[\w./]+)`", text):
        if document != "CHANGELOG.md":
            assert (ROOT / path.rstrip("/")).exists(), path


def test_contributing_names_every_guide():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"({folder}/README.md)" in text for folder in GUIDES)


def test_the_commands_of_contributing_are_targets_of_the_makefile():
    text, makefile = ((ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "Makefile"))
    targets = {shlex.split(line)[1] for line in re.findall(r"^make .*$", text, re.MULTILINE)}
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_modules_that_have_moved_are_where_the_changelog_says():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+`) \| `(.+)` \|$", text, re.MULTILINE)
    assert len(rows) > 50
    for before, now in rows:
        assert (ROOT / now).is_file(), now
        assert not [old for old in re.findall(r"`(.+?)`", before) if (ROOT / old).exists()]


def test_the_citation_is_of_this_version():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (found["version"], found["license"]) == (project["version"], project["license"])
    assert {"cff-version", "message", "title", "authors"} <= set(found)


def test_the_index_of_the_log_points_to_entries():
    index, *entries = re.split(r"^## (?=\d{4})", (ROOT / "LOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    titles = {tuple(entry.splitlines()[0].split(": ", 1)) for entry in entries}
    named = re.findall(r"\| (\d{4}-\d{2}-\d{2}), ([^|]+?) \|$", index, re.MULTILINE)
    assert len(named) > 20
    assert set(named) <= titles
