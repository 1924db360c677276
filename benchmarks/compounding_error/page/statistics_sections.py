"""Sections of the page that are tables of tests and fits."""

from __future__ import annotations

import math

from seqil.statistics import Estimate

from ..analysis.contrasts import BETTER, FEWEST, WORSE, Contrast, with_the_first
from ..analysis.correlation import likelihood_against_quality
from ..analysis.fits import Fit, fit
from ..analysis.results import Results
from ..analysis.tables import interval
from ..hypotheses.claims import times
from . import markup
from .markup import Drawings, note


def comparisons(results: Results, drawings: Drawings) -> str:
    """Every row with the first one, seed by seed; empty where there are too few seeds."""
    parts = []
    for place in results.places:
        found = with_the_first(results, place)
        if found:
            rows = [["", "metric", "effect", "p (Holm)", "P(better)", "middle", f"of {results.study.rows[0]}"]]
            marks = [c.mark for c in found]
            count = f"{marks.count(BETTER)} better, {marks.count(WORSE)} worse, {marks.count('')} undecided"
            parts.append(markup.folded(f"{place.name}: {count}", markup.table(rows + list(map(_compared, found)))))
    text = (
        f"Runs of a seed share data, prompts and random numbers with those of {results.study.rows[0]}. Effects are "
        "ratios (×), geometric means over seeds, or differences of shares, with 95 % t intervals, uncorrected; p is "
        "two-sided, with Holm's correction over the rows of a task for each metric. "
        "P(better) is the share of all pairs of runs in which the row is the better one; middle is the interquartile "
        f"mean over seeds. Rows with at least {FEWEST} seeds in common."
    )
    return note(text) + "".join(parts) if parts else ""


def _compared(c: Contrast) -> list[str]:
    shown = times(c.comparison) if c.comparison.neutral else interval(c.comparison.effect)
    middles = (f"{value:.4f}" if math.isfinite(value) else "∞" for value in (c.middle, c.theirs))
    return [c.row, c.metric.title, f"{shown} {c.mark}".strip(), markup.p_value(c.p), f"{c.improvement:.2f}", *middles]


def fits(results: Results) -> str:
    """Shape and rates of every row's first errors; empty where records hold no counts."""
    parts = []
    for place in results.places:
        found = {row: one for row, runs in results.plain(place).items() if (one := fit(runs)) is not None}
        if any(one.shape.n for one in found.values()):
            rows = [["", "Weibull shape", "leak (per 1,000 tokens)", "recover", "residual"]]
            parts += [markup.heading(place.name), markup.table(rows + [_fitted(*item) for item in found.items()])]
    text = (
        "Fits within the horizon of the training, one per run; intervals over seeds. A Weibull shape of 1 is a "
        "constant hazard, below 1 it falls along the text, above 1 it grows. The two rates are of a chain whose bad "
        "tokens grow as the regret does. The regret counts every token after the first error and so knows no recovery "
        "of a text: a rate above 0 says that the hazard falls, as where some prompts are easier than others. The "
        "residual is the root mean square of log regret less its fit."
    )
    return markup.heading("Shape and rates") + note(text) + "".join(parts) if parts else ""


def _fitted(row: str, one: Fit) -> list[str]:
    cells = [interval(e) if e else "–" for e in (one.shape, one.leak and _thousand(one.leak), one.recover)]
    return [row, *cells, "–" if math.isnan(one.residual) else f"{one.residual:.3f}"]


def _thousand(e: Estimate) -> Estimate:
    return Estimate(1000 * e.value, 1000 * e.low, 1000 * e.high, e.n, e.unit)


def likelihood(results: Results) -> str:
    """Rank correlations; empty where there are too few runs."""
    found = [c for place in results.places for c in likelihood_against_quality(results, place)]
    if not found:
        return ""
    rows = [["", "nats per token", "quality", "among", "points", "Spearman ρ", "95 %", "p", "Kendall τ"]]
    rows[0] += ["95 %", "p"]
    for c in found:
        ranks = (
            *_ranked(c.spearman, c.spearman_low, c.spearman_high, c.spearman_p),
            *_ranked(c.kendall, c.kendall_low, c.kendall_high, c.kendall_p),
        )
        density = "as finally written" if c.density == "final_nll_per_token" else "nothing deleted"
        what = (c.task, density, c.quality.replace("_", " "), c.among, str(c.n))
        rows.append([*what, *ranks])
    text = (
        "Rank correlation of nats per token of held-out texts, given that nothing is deleted or (if computed) "
        "under the law of what is finally written, with how bad the texts are (success counted negatively): positive "
        "where the better likelihood is the better text. “agents” has one point per family, an agent with its memory; "
        "below it the runs of one family. Spearman's p is exact, by permutation, up to nine points; intervals are of "
        "resampled points. p-values are not corrected for their number."
    )
    return note(text) + markup.table(rows)


def _ranked(value: float, low: float, high: float, p: float) -> tuple[str, str, str]:
    return markup.signed(value), f"{markup.signed(low)} … {markup.signed(high)}", markup.p_value(p)
