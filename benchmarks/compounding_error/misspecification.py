"""What log-loss cloning costs where the student cannot be right, in closed form: no training, no samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from seqil.closed_forms import MisspecifiedCloning

HORIZONS = (10, 100, 1000, 10_000, 30_000)


@lru_cache(maxsize=1)
def distances(horizons: Sequence[int] = HORIZONS) -> list[tuple[int, float, float]]:
    """Tokens, total variation of the cloned coin from the teacher, and the least of any coin."""
    cases = [MisspecifiedCloning(T) for T in horizons]
    return [(case.T, case.total_variation(case.cloned), case.best()[1]) for case in cases]


def draw(axes: Any, ink: str, colour: str) -> None:
    """Both distances over the horizon."""
    T, cloned, best = zip(*distances(), strict=True)
    axes.plot(T, cloned, "o-", color=colour, ms=4, lw=1.5)
    axes.plot(T, best, "s--", color=ink, ms=4, lw=1.5)
    axes.annotate("cloned", (T[-1], cloned[-1]), (0, -26), textcoords="offset points", color=colour, ha="right")
    axes.annotate("best coin", (T[-1], best[-1]), (0, 8), textcoords="offset points", color=ink, ha="right")
    axes.set(xscale="log", yscale="log", xlabel="tokens per text", ylabel="total variation")
