"""An extension of griffe: `p, q: …` in a docstring is two parameters, each with its own type and default.

`settings: …` is all parameters that no other line names.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(r"^Args:\n(?:[ ]+.*\n?|\n)+", re.MULTILINE)
ENTRY = re.compile(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*):(.*(?:\n {5,}.*)*)", re.MULTILINE)
OTHERS = "settings"


def spelled_out(text: str, signature: list[str]) -> str:
    """A docstring, cleaned of its indent, in which every parameter has a line of its own.

    Args:
        text: the docstring.
        signature: names of all parameters.
    """
    return SECTION.sub(lambda section: _section(section[0], signature), text)


def _section(text: str, signature: list[str]) -> str:
    named = {name for entry in ENTRY.finditer(text) for name in entry[1].split(", ")} | {"self"}
    others = [name for name in signature if name not in named] if OTHERS not in signature else [OTHERS]

    def each(entry: re.Match[str]) -> str:
        names = others if entry[1] == OTHERS else entry[1].split(", ")
        return "\n".join(f"    {name}:{entry[2]}" for name in names)

    return ENTRY.sub(each, text)


class SharedParameters(griffe.Extension):
    """Spells out every docstring that griffe has read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """One of them."""
        if obj.docstring is not None:
            signature = [one.name for one in getattr(obj, "parameters", ())]
            obj.docstring.value = spelled_out(obj.docstring.value, signature)
