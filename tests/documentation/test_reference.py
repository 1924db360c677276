"""The reference holds what is public: every name, made from the docstrings as they stand."""

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest
import reference_pages

import envs
import envs.tasks
import seqil

ROOT = Path(__file__).resolve().parents[2]


OURS = ("seqil.", "envs.", "agents.")
BLOCK = re.compile(r"^::: (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def pages():
    return reference_pages.pages()


def found_at(place):
    """The object that a path names."""
    parts = place.split(".")
    for n in range(len(parts) - 1, 0, -1):
        if importlib.util.find_spec(".".join(parts[:n])) is not None:
            found = importlib.import_module(".".join(parts[:n]))
            for part in parts[n:]:
                found = getattr(found, part)
            return found
    raise AssertionError(place)


def told_of(page):
    return [found_at(place) for place in BLOCK.findall(page)]


def test_every_public_name_has_its_place(pages):
    told = {id(one) for page in pages.values() for one in told_of(page)}
    for name in seqil.__all__:
        value = getattr(seqil, name)
        if isinstance(value, ModuleType):
            assert f"reference/{name}.md" in pages
        else:
            assert id(value) in told, name
            assert f"[`{name}`](" in pages["reference/index.md"]


def test_a_name_stands_on_one_page(pages):
    places = Counter(place for page in pages.values() for place in BLOCK.findall(page))
    assert not [place for place, times in places.items() if times > 1]


@pytest.mark.parametrize("package", [envs, envs.tasks], ids=lambda one: one.__name__)
def test_every_environment_and_every_task_has_its_place(pages, package):
    page = pages["reference/envs.md" if package is envs else "reference/tasks.md"]
    for name in package.__all__:
        assert any(getattr(package, name) is one for one in told_of(page)), name
        assert f"heading: {package.__name__}.{name}\n" in page


@pytest.mark.parametrize("kind", ["agents", "tasks"])
def test_ids_have_their_classes_in_a_table(pages, kind):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = pages[f"reference/{kind}.md"]
    rows = dict(re.findall(r"^\| `(\w+)` \| \[`(\w+)`\]", page, re.MULTILINE))
    assert rows == {key: value.split(":")[1] for key, value in project["entry-points"][f"seqil.{kind}"].items()}
    assert {one.__name__ for one in told_of(page)} >= set(rows.values())
    if kind == "agents":
        assert {"DAggerLoss", "GAILLoss", "fairl", "rank"} <= {one.__name__ for one in told_of(page)}


def test_every_page_says_something_that_is_there(pages):
    for path, page in pages.items():
        assert told_of(page) or path == "reference/index.md", path
        assert all(one.__doc__ for one in told_of(page)), path
    assert "::: seqil.learning.divergences.forward_kl" in pages["reference/divergences.md"]
    assert "numpy" not in pages["reference/exact.md"]


def test_parameters_that_share_a_line_are_spelled_out():
    pytest.importorskip("griffe")
    from shared_parameters import spelled_out

    text, after = "Sums.\n\nArgs:\n", "\nReturns:\n    a, b: no parameters.\n"
    shared, others = "    p, q: laws,\n        by row.\n", "    settings: of `f`.\n"
    assert spelled_out(text + shared + others + after, ["self", "p", "q", "r", "s"]) == (
        text + "    p: laws,\n        by row.\n    q: laws,\n        by row.\n    r: of `f`.\n    s: of `f`.\n" + after
    )
    assert spelled_out("Args:\n    settings: a mapping.\n", ["settings"]) == "Args:\n    settings: a mapping.\n"


def documented(value):
    """An object and its public methods, each with the names of its parameters."""
    methods = inspect.getmembers(value, inspect.isfunction) if inspect.isclass(value) else []
    ours = [method for name, method in methods if name[0] != "_" and method.__module__.startswith(OURS)]
    for one in (value, *ours):
        makes = getattr(one, "__init__", None) if inspect.isclass(one) else None
        called = makes if inspect.isfunction(makes) else one  # a metaclass may hide what a class takes
        if not (inspect.isclass(one) and issubclass(one, Exception)):
            yield one, list(inspect.signature(called).parameters)


def test_docstrings_name_parameters_that_there_are(pages):
    pytest.importorskip("griffe")
    from shared_parameters import ENTRY, SECTION, spelled_out

    seen = 0
    for value in (one for page in pages.values() for one in told_of(page)):
        for one, signature in documented(value):
            for section in SECTION.findall(spelled_out(inspect.getdoc(one) or "", signature)):
                named = [entry[1] for entry in ENTRY.finditer(section)]
                assert set(named) <= set(signature), one.__qualname__
                seen += len(named)
    assert seen > 300


class Links(HTMLParser):
    """Where the links of a page lead, and what they may lead to on it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [found[key] for key in ("href", "src") if found.get(key)]
        self.anchors |= {found.get("id"), found.get("name")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert build.returncode == 0, build.stderr.decode()
    assert b"WARNING" not in build.stderr
    return folder


@pytest.mark.slow
def test_the_site_is_built_from_the_docstrings(built):
    index = (built / "reference" / "index.html").read_text(encoding="utf-8")
    whole = "".join(page.read_text(encoding="utf-8") for page in sorted((built / "reference").glob("*.html")))
    for name in seqil.__all__:
        if not isinstance(getattr(seqil, name), ModuleType):
            assert f'.{name}"' in index, name
            assert re.search(rf'id="seqil[\w.]*\.{name}"', whole), name
    assert "\\|" not in "".join(re.findall(r"<td><code>[^<]*", index))
    for path in (built / "reference").glob("*.html"):
        assert f'href="reference/{path.name}"' in (built / "index.html").read_text(encoding="utf-8"), path.name


@pytest.mark.slow
def test_every_link_of_the_built_site_leads_to_what_is_there(built):
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in built.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"(https?|mailto|data|javascript):", target) or path.name == "404.html":
                continue
            there = (path.parent / target).resolve() if target else path
            assert there.is_file(), f"{path.relative_to(built)}: {link}"
            assert not anchor or there not in pages or anchor in pages[there].anchors, (
                f"{path.relative_to(built)}: {link}"
            )


@pytest.mark.slow
def test_nothing_of_the_built_site_is_loaded_from_elsewhere(built):
    for path in built.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(
            r'<(?:script|img|iframe)[^>]* src="([^"]+)|<link[^>]* rel="stylesheet"[^>]* href="([^"]+)', text
        )
        assert not [one for one in map("".join, loaded) if re.match("https?:", one)], path.name


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_search_of_the_built_site_finds_a_name_from_the_disk(built, tmp_path):
    line = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--virtual-time-budget=10000", "--dump-dom", f"--user-data-dir={tmp_path}"),
        f"file://{built}/index.html?q=TextRevisionEnv",
    ]
    page = subprocess.run(line, capture_output=True, text=True, timeout=120).stdout
    assert re.search(r"[1-9]\d* matching document", page)
    assert "reference/envs.html" in page.partition("md-search-result__list")[2]
