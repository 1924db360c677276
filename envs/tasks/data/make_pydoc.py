"""Write the snapshot of the standard library's docstrings that the task `pydoc` reads.

    python envs/tasks/data/make_pydoc.py

Reads the sources of the running Python without importing them. Docstrings that are not printable ASCII, shorter than
a window or seen before are left out.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import lzma
import platform
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
SKIPPED = {"test", "tests", "idlelib", "site-packages", "lib2to3", "turtledemo", "ensurepip", "__pycache__"}
SHORTEST = 128


def docstrings(source: str) -> list[str]:
    """All docstrings of a module, cleaned, in the order of the source."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    nodes.sort(key=lambda node: getattr(node, "lineno", 0))
    return [inspect.cleandoc(text) for node in nodes if (text := ast.get_docstring(node, clean=False))]


def main() -> None:
    """Collect, write the data and its manifest, print the manifest."""
    root = Path(sysconfig.get_paths()["stdlib"])
    seen: set[str] = set()
    modules = []
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if SKIPPED & set(relative.parts):
            continue
        texts = []
        for text in docstrings(path.read_text(encoding="utf-8")):
            text = text.expandtabs()
            plain = all(c == "\n" or " " <= c <= "~" for c in text)
            if plain and len(text) >= SHORTEST and text not in seen:
                seen.add(text)
                texts.append(text)
        if texts:
            modules.append([".".join(relative.with_suffix("").parts), texts])
    raw = json.dumps(modules).encode()
    packed = lzma.compress(raw, preset=9)
    (HERE / "pydoc.json.xz").write_bytes(packed)
    manifest = {
        "source": f"docstrings of the standard library of CPython {platform.python_version()}",
        "licence": "PSF-2.0, see PSF-LICENSE.txt",
        "sha256": hashlib.sha256(packed).hexdigest(),
        "bytes": len(packed),
        "modules": len(modules),
        "docstrings": len(seen),
        "characters": sum(map(len, seen)),
    }
    (HERE / "pydoc.manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(manifest, indent=1))


if __name__ == "__main__":
    main()
