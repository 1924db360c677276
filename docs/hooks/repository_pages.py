"""A hook of mkdocs: guides that lie beside what they are about become pages, and links into the repository hold.

A link is written as it works in the repository. On the site it leads to the page of the same text, if there is one; a
link to source leads to where the reference tells of it, and is left as its words where nothing does. A link to what
does not exist ends the build.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reference_pages

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

PAGES = {
    "README.md": "start.md",
    "agents/README.md": "guides/agents.md",
    "envs/tasks/README.md": "guides/tasks.md",
    "seqil/metrics/README.md": "guides/metrics.md",
    "seqil/decoding/README.md": "guides/decoding.md",
    "benchmarks/compounding_error/studies/README.md": "guides/studies.md",
    "CONTRIBUTING.md": "guides/contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LOG.md": "log.md",
    "docs/SECURITY.md": "guides/security.md",
}
"""Where a text of the repository stands on the site."""

FIGURES = "benchmarks/compounding_error/results"

_UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n"
_LINK = re.compile(r"```.*?```|(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)|`[^`\n]*`", re.DOTALL)
"""A link, whose words may be code; or code, in which there is none."""

_ROW, _CODE = re.compile(r"^\|.*$", re.MULTILINE), re.compile(r"`[^`\n]*`")
"""Code in the row of a table: GitHub wants its bars escaped, the builder of the site shows the escapes."""


def rewritten(text: str, place: str, root: Path) -> str:
    """The text of one page with its links as the site has them.

    Args:
        text: Markdown.
        place: of the text in the repository, `docs/index.md` say.
        root: of the repository.

    Raises:
        ValueError: a link leads to nothing.
    """
    return _ROW.sub(lambda row: _CODE.sub(_with_bars, row[0]), _LINK.sub(_turned(place, root), text))


def _with_bars(code: re.Match[str]) -> str:
    return code[0].replace(r"\|", "|")


def _turned(place: str, root: Path) -> Callable[[re.Match[str]], str]:
    own = site_path(place)

    def turned(link: re.Match[str]) -> str:
        picture, words, target = link.groups()
        path, _, anchor = (target or "").partition("#")
        if not path or re.match(r"[a-z]+:", target):
            return link[0]
        there = posixpath.normpath(posixpath.join(posixpath.dirname(place), path))
        if not (root / there).exists() and not _made(there, root):
            raise ValueError(f"{place}: [{words}]({target}) leads to nothing")
        found = site_path(there)
        if found is None:
            return words
        page, _, told = found.partition("#")
        relative = posixpath.relpath(page, posixpath.dirname(own or "") or ".")
        return f"{picture}[{words}]({'#'.join(filter(None, (relative, anchor or told)))})"

    return turned


def _made(place: str, root: Path) -> bool:
    """Whether the build makes it: the notebook of a script, a page of the reference."""
    script = place.endswith(".ipynb") and (root / place).with_suffix(".py").exists()
    return script or place.removeprefix("docs/") in reference_pages.pages()


def site_path(place: str) -> str | None:
    """Path below the site's root, as source, of a file of the repository; None where the site tells nothing of it."""
    if place in PAGES:
        return PAGES[place]
    if place.startswith("docs/tutorials/") and place.endswith(".py"):
        return place.removeprefix("docs/").removesuffix(".py") + ".md"
    if place.startswith("docs/"):
        return place.removeprefix("docs/")
    if place.startswith(FIGURES) and place.endswith((".png", "/table.md")):
        return place
    return reference_pages.sources().get(place)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the guides, the figures of the studies and the tables of all their numbers."""
    from mkdocs.structure.files import File

    root = Path(config.config_file_path).parent
    for figure in sorted((root / FIGURES).glob("*/*.png")):
        files.append(File.generated(config, figure.relative_to(root).as_posix(), abs_src_path=str(figure)))
    for table in sorted((root / FIGURES).glob("*/table.md")):
        text = _UNSEARCHED + table.read_text(encoding="utf-8")
        files.append(File.generated(config, table.relative_to(root).as_posix(), content=text))
    for place, path in PAGES.items():
        files.append(File.generated(config, path, content=(root / place).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Turn the links of a page."""
    uri = page.file.src_uri
    places = {path: place for place, path in PAGES.items()}
    place = uri if uri.startswith(FIGURES) else places.get(uri, f"docs/{uri}")
    return rewritten(markdown, place, Path(config.config_file_path).parent)
