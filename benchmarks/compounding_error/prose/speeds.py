"""Where a ratio of speeds comes from, `2.00<!-- speed:FILE/NAME -->`: a file of measurements, and its row."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from seqil.errors import InvalidInputError
from seqil.runs import strict_json

RESULTS = Path(__file__).resolve().parents[2] / "throughput" / "results"
SPEED = re.compile(r"(?<![\w.,−])(\d*(?:\.(\d+))?)(<!-- speed:([\w-]+)/([^>]+?) -->)")


def renewed(match: re.Match[str]) -> str:
    """A marked ratio as it was measured, with as many digits as stand there.

    Raises:
        InvalidInputError: there is no such file or row.
    """
    ratios = _measured(match[4])
    if match[5] not in ratios:
        raise InvalidInputError(f"the measurements {match[4]} have no row {match[5]!r}")
    said = f"{ratios[match[5]]:.{len(match[2] or '')}f}"
    return (said.removeprefix("0") if match[1].startswith(".") else said) + match[3]


@lru_cache(maxsize=32)
def _measured(name: str) -> dict[str, float]:
    file = RESULTS / f"{name}.json"
    if not file.exists():
        raise InvalidInputError(f"there are no measurements {name!r} ({file})")
    return {row["name"]: float(row["ratio"]) for row in strict_json.loads(file.read_text(encoding="utf-8"))["rows"]}
