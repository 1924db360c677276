"""The site without its builder: tutorials are one text, pages are in the navigation, links hold."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

from seqil.metrics.reported import METRICS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.py"))


def hook(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


percent_scripts, repository_pages = hook("percent_scripts"), hook("repository_pages")


@pytest.mark.parametrize("script", TUTORIALS, ids=lambda path: path.stem)
def test_page_and_notebook_hold_the_script_and_nothing_else(script):
    text = script.read_text(encoding="utf-8")
    page = percent_scripts.page(text, script.stem)
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(text))
    assert page.startswith(f"# {script.stem[:3]}: ")
    cells = json.loads(percent_scripts.notebook(text))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    assert "\n".join(s for c, s in zip(cells, sources, strict=True) if c["cell_type"] == "code").split() == code.split()
    prose = [s for c, s in zip(cells, sources, strict=True) if c["cell_type"] == "markdown"]
    assert all(paragraph in page for s in prose for paragraph in s.split("\n\n"))


def test_what_is_no_script_of_cells_is_refused():
    with pytest.raises(ValueError, match="line 1: a script begins with a cell"):
        percent_scripts.cells("import torch\n")
    with pytest.raises(ValueError, match="line 2: prose is written as comments"):
        percent_scripts.cells("# %% [markdown]\nx = 1\n")


def navigation(entries):
    for entry in entries:
        found = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from navigation(found) if isinstance(found, list) else [found]


def test_every_page_is_in_the_navigation():
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(navigation(yaml.safe_load(settings)["nav"])) - {"reference/"}
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"reference"}
    made = {f"tutorials/{path.stem}.md" for path in TUTORIALS} | set(repository_pages.PAGES.values())
    assert listed | {"guides/security.md"} == (there - {"SECURITY.md"}) | made


PAGES = [
    *(path.relative_to(ROOT).as_posix() for path in sorted(DOCS.rglob("*.md"))),
    *repository_pages.PAGES,
    *(path.relative_to(ROOT).as_posix() for path in TUTORIALS),
]


@pytest.mark.parametrize("place", PAGES)
def test_links_of_a_page_lead_to_what_is_there(place):
    text = (ROOT / place).read_text(encoding="utf-8")
    if place.endswith(".py"):
        text = percent_scripts.page(text, Path(place).stem)
    assert repository_pages.rewritten(text, place, ROOT)


def test_a_link_to_nothing_ends_the_build_and_one_to_source_is_left_as_its_words():
    turned = repository_pages.rewritten("See [this](../seqil/capacity.py), [that](speed.md#x).", "docs/index.md", ROOT)
    assert turned == "See this, [that](speed.md#x)."
    turned = repository_pages.rewritten("[a](tutorials/101_first_run.py) `[b](c)`", "docs/index.md", ROOT)
    assert turned == "[a](tutorials/101_first_run.md) `[b](c)`"
    assert repository_pages.rewritten("[a](../../agents/README.md)", "docs/concepts/memory.md", ROOT) == (
        "[a](../guides/agents.md)"
    )
    with pytest.raises(ValueError, match="leads to nothing"):
        repository_pages.rewritten("[gone](nowhere.md)", "docs/index.md", ROOT)


def test_every_metric_has_its_unit_its_direction_and_its_pitfall():
    text = (DOCS / "concepts" / "metrics.md").read_text(encoding="utf-8")
    table = hook("metric_pages").table()
    assert hook("metric_pages").PLACE in text
    pitfalls = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE))
    assert list(pitfalls) == [metric.name for metric in METRICS]
    for metric in METRICS:
        assert f"| `{metric.name}` |" in table
        assert metric.unit in table


@pytest.mark.parametrize("page", sorted(DOCS.glob("concepts/*.md")), ids=lambda path: path.stem)
def test_the_python_of_a_page_of_concepts_runs(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, page.name, "exec"), {})
