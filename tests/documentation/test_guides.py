"""The guides run: all Python in them, each in a process of its own names, and what they point to is there."""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import torch
import typer
import yaml

from benchmarks.compounding_error.running.cells import cells_of
from seqil.cli.options import app

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [
    *("agents", "envs/tasks", "seqil/metrics", "seqil/decoding", "benchmarks/compounding_error/studies"),
]
FOLDERS = ["agents", "benchmarks", "docs", "envs", "examples", "seqil", "tests"]
DOCUMENTS = [
    str(file.relative_to(ROOT))
    for file in [*ROOT.glob("*.md"), *(file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.md")))]
]


def read(document):
    return (ROOT / document).read_text(encoding="utf-8")


def run(guide, text=None):
    names = {"__name__": "guide"}
    for block in re.findall(r"```python\n(.*?)```", text or read(guide), re.DOTALL):
        exec(compile(block, guide, "exec"), names)
    return names


@pytest.mark.parametrize("folder", GUIDES)
def test_a_guide_runs(folder):
    torch.manual_seed(0)
    names = run(f"{folder}/README.md")
    if "STUDY" in names:
        assert len(list(cells_of(names["STUDY"]))) == 6


def test_the_python_of_the_readme_runs(capsys):
    text = read("README.md")
    assert "steps=300" in text
    names = run("README.md", text.replace("steps=300", "steps=3"))
    *steps, written = capsys.readouterr().out.splitlines()
    assert len(steps) == 3
    assert len(written.split()) > 8
    assert names["observation"].shape == names["env"].observation_space.shape


def test_the_python_of_the_page_of_the_environment_runs(capsys):
    names = run("docs/environment.md")
    assert names["rows"].action_space.contains(names["actions"])
    assert "\u0336" in capsys.readouterr().out  # what was written over


def test_every_task_stands_in_its_guide_with_its_class():
    points = tomllib.loads(read("pyproject.toml"))["project"]["entry-points"]["seqil.tasks"]
    rows = [re.findall(r"`(\w+)`", cell) for line in read("envs/tasks/README.md").splitlines() if line.startswith("| `")
            for cell in line.split("|")[1:3]]  # fmt: skip
    listed = {name: cls for ids, classes in zip(rows[::2], rows[1::2], strict=True)
              for name, cls in zip(ids, classes, strict=False)}  # fmt: skip
    assert {name: value.partition(":")[2] for name, value in points.items()}.items() <= listed.items()


def test_the_readme_fits_on_a_screen():
    assert len(read("README.md").encode()) <= 9_000


def anchors(document):
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", document, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_points_to_is_there(document):
    text = read(document)
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)):
        if not link.startswith(("http", "mailto:")):
            path, _, anchor = link.partition("#")
            target = (ROOT / document).parent / path if path else ROOT / document
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link
    if document not in ("CHANGELOG.md", "LOG.md"):  # of what has moved or gone
        for path in re.findall(r"`((?:tests|seqil|envs|agents|benchmarks|examples|docs)/[\w./]+)`", text):
            assert (ROOT / path.rstrip("/")).exists(), path


def test_contributing_names_every_guide():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"({folder}/README.md)" in text for folder in GUIDES)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/results.md", "docs/speed.md"])
def test_the_commands_of_a_document_are_targets_of_the_makefile(document):
    text, makefile = read(document), read("Makefile")
    targets = {shlex.split(line)[1] for line in re.findall(r"(?:^|`)(make [\w-]+)", text, re.MULTILINE)}
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_help_says_what_every_target_does():
    phony = re.findall(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE)
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    shown, plain = (
        subprocess.run(["make", *asked], cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout
        for asked in (["help"], [])
    )
    listed = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert set(listed) == set(" ".join(phony).split())
    assert shown == plain


def test_make_docs_hides_no_warning():
    """Of `mkdocs build --strict -q` a warning is neither shown nor counted."""
    (line,) = re.findall(r"mkdocs (build .+)$", read("Makefile"), re.MULTILINE)
    assert {"--strict"} == set(line.split()) - {"build"}


@pytest.mark.parametrize("document", ["README.md", "docs/results.md"])
def test_the_commands_of_a_document_have_the_options_that_it_gives(document):
    commands = typer.main.get_command(app).commands
    lines = re.findall(r"^seqil .*$", read(document).replace("\\\n", ""), re.MULTILINE)
    assert lines
    for _, name, *arguments in (shlex.split(line, comments=True) for line in lines):
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("-")} <= known, name


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
