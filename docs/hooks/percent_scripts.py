"""A hook of mkdocs: tutorials, which are scripts with prose in cells, as pages and as notebooks.

A cell begins with `# %%`, one of prose with `# %% [markdown]`. Editors that know the format run it cell by cell, Python
runs it as it is, and so do the tests: there is no second text that could differ.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PROSE, CODE = "# %% [markdown]", "# %%"


def cells(script: str) -> list[tuple[str, str]]:
    """Kind (`markdown` or `code`) and text of every cell.

    Raises:
        ValueError: something stands before the first cell, or a line of prose is no comment.
    """
    found: list[tuple[str, list[str]]] = []
    for number, line in enumerate(script.splitlines(), 1):
        if line.rstrip() in (PROSE, CODE):
            found.append(("markdown" if line.rstrip() == PROSE else "code", []))
        elif not found:
            raise ValueError(f"line {number}: a script begins with a cell, {PROSE}")
        elif found[-1][0] == "code" or not line:
            found[-1][1].append(line)
        elif line == "#" or line.startswith("# "):
            found[-1][1].append(line[2:])
        else:
            raise ValueError(f"line {number}: prose is written as comments")
    return [(kind, "\n".join(lines).strip("\n")) for kind, lines in found if any(lines)]


def page(script: str, name: str) -> str:
    """As Markdown, with a line that says where the script and the notebook are."""
    (_, first), *others = cells(script)
    title, _, opening = first.partition("\n")
    origin = f"*Run it: `python docs/tutorials/{name}.py`, or open it [as a notebook]({name}.ipynb).*"
    parts = [title, origin, opening.strip("\n")]
    return "\n\n".join([*parts, *(f"```python\n{text}\n```" if kind == "code" else text for kind, text in others)])


def notebook(script: str) -> str:
    """As JSON of nbformat 4.5."""
    made: list[dict[str, Any]] = []
    for number, (kind, text) in enumerate(cells(script)):
        cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page and a notebook for every script."""
    from mkdocs.structure.files import File

    for path in sorted((Path(config.docs_dir) / "tutorials").glob("*.py")):
        script = path.read_text(encoding="utf-8")
        files.append(File.generated(config, f"tutorials/{path.stem}.md", content=page(script, path.stem)))
        files.append(File.generated(config, f"tutorials/{path.stem}.ipynb", content=notebook(script)))
    return files
