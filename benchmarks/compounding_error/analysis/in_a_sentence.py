"""Is B better than A? The paired comparison of a study's arms, in a sentence per task."""

from __future__ import annotations

from ..study import Place
from .contrasts import BETTER, FEWEST, WORSE, Contrast, compared, tested_metrics, with_the_first
from .results import Results, estimate


def answers(results: Results) -> list[str]:
    """A sentence per task; none where there is no second row, or no metric that says which is better."""
    return [said for place in results.places if (said := answer(results, place))]


def answer(results: Results, place: Place) -> str:
    """What the first tested metric that the rows share says of them: success, hazard, regret, likelihood.

    Of two arms it is about these alone, however they are sampled beside.
    """
    first, *others = results.study.rows
    runs = results.runs(place)
    arms = results.plain(place)
    rivals = [row for row in others if row in (arms if len(arms) == 2 else runs)]
    metrics = [metric.name for metric in tested_metrics()]
    shared = [metric for metric in metrics if any(compared(runs[r], runs.get(first, []), metric) for r in rivals)]
    if not shared:
        return ""
    metric = shared[0]
    found = [c for c in with_the_first(results, place) if c.metric.name == metric and c.row in rivals]
    if not found:
        seeds = max(len(runs[row]) for row in rivals)
        return (
            f"On {place.name} nobody can say whether {_either(rivals)} is better than {first}: a test takes {FEWEST} "
            f"seeds, there {'is' if seeds == 1 else 'are'} {seeds} ({_values(results, place, metric, first, rivals)})."
        )
    return f"On {place.name} {_one(found[0], first) if len(rivals) == 1 else _many(found, first)}."


def _one(contrast: Contrast, first: str) -> str:
    verdict = {BETTER: "is better than", WORSE: "is worse than", "": "is not shown to differ from"}[contrast.mark]
    effect, seeds = contrast.comparison.effect, len(contrast.comparison.gaps)
    kind = "ratio" if contrast.comparison.neutral else "difference"
    p = "< .001" if contrast.p < 1e-3 else f"= {contrast.p:.3f}"
    return (
        f"{contrast.row} {verdict} {first}: {contrast.metric.title} {contrast.middle:.4g} against "
        f"{contrast.theirs:.4g}, {kind} {effect.value:.3g} [{effect.low:.3g}, {effect.high:.3g}], p {p}, "
        f"{seeds} seeds, paired"
    )


def _many(found: list[Contrast], first: str) -> str:
    better, worse, open_ = ([c.row for c in found if c.mark == mark] for mark in (BETTER, WORSE, ""))
    parts = [
        f"{len(rows)} {'is' if len(rows) == 1 else 'are'} {what} ({'; '.join(rows)})"
        for rows, what in ((better, "better"), (worse, "worse"), (open_, "not shown to differ"))
        if rows
    ]
    side = f"{found[0].metric.better} is better"
    return (
        f"of {len(found)} rows beside {first}, {', '.join(parts)}: {found[0].metric.title}, {side}, "
        "paired by seed, at 5 % with Holm's correction"
    )


def _values(results: Results, place: Place, metric: str, first: str, rivals: list[str]) -> str:
    runs = results.runs(place)
    shown = [(row, estimate(runs[row], metric)) for row in (first, *rivals[:2])]
    return f"{metric.replace('_', ' ')}: " + ", ".join(f"{row} {e.value:.4g}" for row, e in shown if e is not None)


def _either(rivals: list[str]) -> str:
    return rivals[0] if len(rivals) == 1 else f"one of {len(rivals)} rows"
