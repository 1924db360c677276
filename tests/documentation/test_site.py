"""The site without its builder: tutorials are one text, pages are in the navigation, links hold."""

import ast
import inspect
import json
import posixpath
import re
from pathlib import Path
from types import SimpleNamespace

import metric_pages
import percent_scripts
import pytest
import reference_pages
import repository_pages
import yaml

from seqil.metrics.reported import METRICS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.py"))


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


@pytest.fixture(scope="module")
def settings():
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def test_every_page_is_in_the_navigation(settings):
    reference_pages.on_config(config := SimpleNamespace(nav=settings["nav"]))
    listed = list(navigation(config.nav))
    assert len(listed) == len(set(listed))
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"SECURITY.md"}
    made = {f"tutorials/{path.stem}.md" for path in TUTORIALS} | set(repository_pages.PAGES.values())
    assert {*listed, "guides/security.md"} == there | made | set(reference_pages.pages())


def test_nothing_of_the_site_is_loaded_from_elsewhere(settings):
    """The plug-in `offline` loads a script from elsewhere unless there is one of this name."""
    assert "offline" in settings["plugins"]
    assert [path for path in settings["extra"]["polyfills"] if "iframe-worker" in path]
    for path in (*settings["extra"]["polyfills"], *settings["extra_css"]):
        assert "http" not in (DOCS / path).read_text(encoding="utf-8")


PAGES = [
    *(path.relative_to(ROOT).as_posix() for path in sorted(DOCS.rglob("*.md"))),
    *repository_pages.PAGES,
    *(path.relative_to(ROOT).as_posix() for path in TUTORIALS),
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / repository_pages.FIGURES).glob("*/table.md"))),
]


def source_of(place):
    text = (ROOT / place).read_text(encoding="utf-8")
    return percent_scripts.page(text, Path(place).stem) if place.endswith(".py") else text


@pytest.fixture(scope="module")
def site():
    """Every file of the site that a page may lead to."""
    pages = {repository_pages.site_path(place) for place in PAGES} | set(reference_pages.pages())
    figures = {path.relative_to(ROOT).as_posix() for path in (ROOT / repository_pages.FIGURES).glob("*/*.png")}
    notebooks = {f"tutorials/{path.stem}.ipynb" for path in TUTORIALS}
    return pages | figures | notebooks | {path.relative_to(DOCS).as_posix() for path in DOCS.glob("*.svg")}


def targets(text):
    """Where the links of a text lead; their words may be code, and code alone has none."""
    prose = re.sub(r"`[^`\n]*`", "code", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if not re.match("[a-z]+:|#", target)]


def dead(text, place, site):
    """Links of a page that lead to no file of the site."""
    folder = posixpath.dirname(repository_pages.site_path(place))
    turned = repository_pages.rewritten(text, place, ROOT)
    return [
        one
        for one in targets(turned)
        if posixpath.normpath(f"{folder}/{one.partition('#')[0]}").lstrip("/") not in site
    ]


@pytest.mark.parametrize("place", PAGES)
def test_links_of_a_page_lead_to_pages_of_the_site(place, site):
    assert not dead(source_of(place), place, site)


def test_links_of_the_reference_lead_to_pages_of_the_site(site):
    for path, page in reference_pages.pages().items():
        assert not dead(page, f"docs/{path}", site), path
        assert not targets("".join(inspect.getdoc(one) or "" for one in objects_of(path))), path


def objects_of(path):
    page = reference_pages.contents().get(path)
    return [] if page is None else list(page.objects())


def test_a_link_to_nothing_ends_the_build_and_one_to_source_is_left_as_its_words():
    turned = repository_pages.rewritten("See [this](../seqil/capacity.py), [that](speed.md#x).", "docs/index.md", ROOT)
    assert turned == "See this, [that](speed.md#x)."
    turned = repository_pages.rewritten("[`own_study.py`](../examples/own_study.py)", "docs/index.md", ROOT)
    assert turned == "`own_study.py`"
    turned = repository_pages.rewritten("[a](tutorials/101_first_run.py) `[b](c)`", "docs/index.md", ROOT)
    assert turned == "[a](tutorials/101_first_run.md) `[b](c)`"
    assert repository_pages.rewritten("[a](../../agents/README.md)", "docs/concepts/memory.md", ROOT) == (
        "[a](../guides/agents.md)"
    )
    assert repository_pages.rewritten("[`dagger.py`](dagger.py)", "agents/README.md", ROOT) == (
        "[`dagger.py`](../reference/agents.md#agents.dagger.DAgger)"
    )
    assert repository_pages.rewritten("[it](../seqil/decoding/__init__.py)", "docs/index.md", ROOT) == (
        "[it](reference/decoding.md)"
    )
    with pytest.raises(ValueError, match="leads to nothing"):
        repository_pages.rewritten("[gone](nowhere.md)", "docs/index.md", ROOT)


def test_bars_of_code_in_tables_are_bars():
    row = repository_pages.rewritten("| `<\\|x\\|>` | a \\| b |\n\n`\\|`", "docs/index.md", ROOT)
    assert row == "| `<|x|>` | a \\| b |\n\n`\\|`"


def test_every_metric_has_its_unit_its_direction_and_its_pitfall():
    text = (DOCS / "concepts" / "metrics.md").read_text(encoding="utf-8")
    table = metric_pages.table()
    assert metric_pages.PLACE in text
    pitfalls = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE))
    assert list(pitfalls) == [metric.name for metric in METRICS]
    for metric in METRICS:
        assert f"| `{metric.name}` |" in table
        assert metric.unit in table


@pytest.mark.parametrize("page", sorted(DOCS.glob("concepts/*.md")), ids=lambda path: path.stem)
def test_the_python_of_a_page_of_concepts_runs(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, page.name, "exec"), {})
