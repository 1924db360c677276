"""The reference holds what is public: every name, made from the docstrings as they stand."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import seqil

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "docs" / "hooks" / "reference_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


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


def test_every_public_name_has_its_place(pages):
    named = [found_at(place) for place in re.findall(r"^::: (.+)$", pages["reference/names.md"], re.MULTILINE)]
    for name in seqil.__all__:
        value = getattr(seqil, name)
        if isinstance(value, ModuleType):
            assert f"reference/{name}.md" in pages
        else:
            assert any(value is other for other in named), name


def test_every_page_says_something_that_is_there(pages):
    for path, page in pages.items():
        places = re.findall(r"^::: (.+)$", page, re.MULTILINE)
        assert places, path
        assert len(set(places)) == len(places), path
        assert all(found_at(place).__doc__ for place in places), path
    assert "::: seqil.learning.divergences.forward_kl" in pages["reference/divergences.md"]
    assert "numpy" not in pages["reference/exact.md"]


@pytest.mark.slow
def test_the_site_is_built_from_the_docstrings(tmp_path):
    pytest.importorskip("mkdocs")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path], cwd=ROOT, capture_output=True
    )
    assert build.returncode == 0, build.stderr.decode()
    page = (tmp_path / "reference" / "names.html").read_text(encoding="utf-8")
    for name in seqil.__all__:
        if not isinstance(getattr(seqil, name), ModuleType):
            assert f'.{name}"' in page, name
