"""What the records of a study say for its hypotheses and against them, and what that decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from seqil.statistics import holm
from seqil.statistics.comparison import Comparison

from ..analysis.contrasts import FEWEST
from ..analysis.results import Results
from ..analysis.tables import interval

HOLDS, FAILS, UNDECIDED, MIXED, OPEN = "holds", "fails", "undecided", "mixed", "open"
LEVEL = 0.05
MARGIN = 0.1
"""What counts as equal: 10 %, or 0.1 of a slope or of a success."""


@dataclass(frozen=True)
class Claim:
    """A hypothesis on one task, of one row or one pair of rows.

    Attributes:
        place: name of the task.
        numbers: what was measured, in words.
        seeds: behind it.
        holds, fails: one-sided p-values for either.
    """

    place: str
    numbers: str
    seeds: int
    holds: float
    fails: float


@dataclass(frozen=True)
class Finding:
    """A claim and its outcome: `holds`, `fails`, or `undecided` where the interval is too wide."""

    place: str
    numbers: str
    outcome: str


@dataclass(frozen=True)
class Verdict:
    """What the records say of a hypothesis: its status (see `status`), and the findings or what is lacking."""

    statement: str
    status: str
    findings: list[Finding]
    lacking: str


def verdicts(results: Results) -> list[Verdict]:
    """Of all hypotheses of the study, in order."""
    found = []
    for h in results.study.questions.hypotheses:
        findings = judged([claim for place in results.places for claim in h.claims(results, place)])
        found.append(Verdict(h.statement, status(findings), findings, "" if findings else h.needs))
    return found


def judged(claims: Sequence[Claim]) -> list[Finding]:
    """Outcomes at 5 %, each direction with Holm's correction over all claims of the hypothesis that have seeds enough.

    No more than one study in twenty says anywhere that it holds where it does not, and no more says that it fails.
    """
    tested = [claim.seeds >= FEWEST for claim in claims]
    fails = holm([claim.fails if known else math.nan for claim, known in zip(claims, tested, strict=True)])
    holds = holm([claim.holds if known else math.nan for claim, known in zip(claims, tested, strict=True)])
    outcomes = [
        FAILS if against < LEVEL else HOLDS if for_it < LEVEL else UNDECIDED
        for against, for_it in zip(fails, holds, strict=True)
    ]
    return [Finding(c.place, c.numbers, outcome) for c, outcome in zip(claims, outcomes, strict=True)]


def status(findings: Sequence[Finding]) -> str:
    """Of the whole hypothesis, which is about all tasks.

    `mixed` where it holds here and fails there, `fails` where it fails and holds nowhere, `holds` where it does
    everywhere, `open` without a finding, else `undecided`.
    """
    outcomes = {finding.outcome for finding in findings}
    if {HOLDS, FAILS} <= outcomes:
        return MIXED
    if FAILS in outcomes:
        return FAILS
    return OPEN if not outcomes else HOLDS if outcomes == {HOLDS} else UNDECIDED


def both(*p_values: float) -> float:
    """That all of several claims are true, each at the full level (Berger 1982); NaN without one of the tests."""
    return math.nan if any(map(math.isnan, p_values)) else max(p_values)


def either(*p_values: float) -> float:
    """That one of several claims is true (Bonferroni); NaN without one of the tests."""
    return math.nan if any(map(math.isnan, p_values)) else min(len(p_values) * min(p_values), 1.0)


def times(comparison: Comparison) -> str:
    """`× 0.512 [0.480, 0.544]`, a ratio."""
    return f"× {interval(comparison.effect)}"
