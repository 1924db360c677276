"""What our own studies ask, and what is known of it without a record."""

from __future__ import annotations

from typing import Any

from seqil.theory.closed_forms import MisspecifiedCloning

from ...analysis import predicted
from ...analysis.results import Results
from ...hypotheses.written_down import HYPOTHESES, REMARK
from ...page.figures import COLOURS, canvas, plain
from ...page.markup import Drawings, figure, note, table
from ...page.panels import INK
from ...study import Questions, Section


def cloning_is_no_proxy(results: Results, drawings: Drawings) -> str:
    """The closed form of cloning in a class that does not hold the teacher; no records enter."""
    case = MisspecifiedCloning(1)
    rows = [["tokens", "total variation, cloned", "best coin", "ratio"]]
    for T, cloned, best in predicted.coin_distances():
        rows.append([f"{T:,}", f"{cloned:.4f}", f"{best:.4f}", f"{cloned / best:.2f}"])
    text = (
        f"Exact, without training or samples: a teacher tosses a coin of chance {case.common:g} for a whole text, or "
        f"in {100 * case.rare:g} % of the texts one of {case.other:g}. A student that is one coin cannot be right. "
        f"Log-loss gives it the mean, {case.cloned:g}, and the longer the text, the larger is its total variation from "
        "the teacher relative to that of the best coin: what cloning costs is no constant where the class is wrong."
    )
    drawing = figure(drawings, "cloning", "Total variation of the cloned and of the best coin over the horizon")
    return note(text) + table(rows) + drawing


def cloning() -> Any:
    """What cloning costs in a class that does not hold the teacher, in closed form; no records enter."""
    whole = canvas(figsize=(5, 3))
    axes = whole.subplots()
    _coins(axes, INK, COLOURS[1])
    plain(axes)
    return whole


def _coins(axes: Any, ink: str, colour: str) -> None:
    """Both distances over the horizon."""
    T, cloned, best = zip(*predicted.coin_distances(), strict=True)
    axes.plot(T, cloned, "o-", color=colour, ms=4, lw=1.5)
    axes.plot(T, best, "s--", color=ink, ms=4, lw=1.5)
    axes.annotate("cloned", (T[-1], cloned[-1]), (0, -26), textcoords="offset points", color=colour, ha="right")
    axes.annotate("best coin", (T[-1], best[-1]), (0, 8), textcoords="offset points", color=ink, ha="right")
    axes.set(xscale="log", yscale="log", xlabel="tokens per text", ylabel="total variation")


QUESTIONS = Questions(
    HYPOTHESES,
    REMARK,
    (Section("closed", "Where the student cannot be right", cloning_is_no_proxy, {"cloning": cloning}),),
)
