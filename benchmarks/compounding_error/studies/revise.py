"""Generators that revise: families of moves and of memory at equal cost of training, against the cells that they feed.

A move appends, deletes, edits a place, draws cells anew, or writes all of them at once. What a final token costs to
sample is counted in cells fed to the model, prompts and readings of whole texts included; that is the axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from envs.tasks import Automaton, Dyck, Potentials, Sudoku4
from seqil.metrics.reported import METRICS
from seqil.statistics import Estimate

from ..analysis import ceilings
from ..analysis.contrasts import compared
from ..analysis.results import Results, estimate
from ..analysis.tables import interval
from ..hypotheses.over_controls import is_no_better, wins
from ..page import figures
from ..page.markup import Drawings, captioned, heading, note, table
from ..page.panels import INK, interval_points
from ..study import Arm, Decoding, Place, Questions, Section, Study
from .base.parts import FORBIDDEN, MASKED, MIN_P, MLE, NOT_THE_ANSWER, with_backspace
from .search import OWN_BURSTS

_SHORT, _ACTIONS, _SWEEPS, _ALL = 16, 800, 4, 1000
_ANSWERED = {"demonstrations": 8000, "batch_size": 64, "sampling_rows": 64, **OWN_BURSTS}
_BY_NAME = {metric.name: metric for metric in METRICS}
_PAID, _RIGHT, _OTHERS = "forwards_per_net_token", "success", ["hazard", "regret", "rare_tokens"]
_SCAN = {"task": "scan", "learning_rate": 3e-3, **_ANSWERED}
PLACES = (
    Place(
        "automaton-16",
        {"task": "automaton", "task_options": {"horizon": _SHORT}, "learning_rate": 1.2e-2, "demonstrations": 8000},
        1.5e6,
        300,
        FORBIDDEN,
        max_actions=_ACTIONS,
    ),
    Place("automaton-64", {"task": "automaton", "learning_rate": 1.2e-2, "demonstrations": 8000}, 3e6, 100, FORBIDDEN),
    Place("chain", {"task": "chain", "learning_rate": 6e-3, **_ANSWERED}, 1.5e6, 300, NOT_THE_ANSWER, max_actions=200),
    Place("sudoku4", {"task": "sudoku4", "learning_rate": 3e-3, **_ANSWERED}, 2e6, 200, "a digit that leaves no grid"),
    Place(
        "add_in_base",
        {"task": "add_in_base", "task_options": {"low": 1, "high": 2}, "learning_rate": 3e-3, **_ANSWERED},
        2e6,
        300,
        NOT_THE_ANSWER,
    ),
    Place("scan", {**_SCAN, "task_options": {"split": "jump"}}, 2e6, 300, NOT_THE_ANSWER),
    Place("scan-simple", {**_SCAN, "task_options": {"split": "simple"}}, 2e6, 300, NOT_THE_ANSWER),
    Place(
        "dyck",
        {"task": "dyck", "task_options": {"length": _SHORT}, "learning_rate": 6e-3, "demonstrations": 8000},
        1.5e6,
        300,
        "a bracket that does not match or cannot be closed in time",
        max_actions=_ACTIONS,
    ),
    Place(
        "potentials",
        {"task": "potentials", "learning_rate": 3e-3, "demonstrations": 8000},
        3e6,
        300,
        "not defined",
        metrics=("attribute",),
    ),
)
_EVERY = tuple(place.name for place in PLACES)
_JUDGED = tuple(name for name in _EVERY if name != "potentials")
_ONE_ANSWER = ("chain", "add_in_base", "scan", "scan-simple")
_ANSWERS_ALONE = ("add_in_base", "scan", "scan-simple")  # where nobody else spends as much
_WALKED = ("automaton-16", "dyck")
GREEDY = Decoding("greedy", temperature=0.0, places=_ONE_ANSWER)
BEST = (
    *(Decoding(f"best of {k}", best_of=k, places=_JUDGED) for k in (4, 16)),
    Decoding("best of 64", best_of=64, places=tuple(name for name in _JUDGED if name not in _ANSWERS_ALONE)),
)
WALK = Decoding("judged walk", ("judged_walk",), places=_WALKED)
BY_ATTRIBUTE = tuple(
    Decoding(f"best of {k} by the attribute", best_of=k, verifier="attribute", places=("potentials",)) for k in (16, 64)
)
BLOCKS = tuple(Decoding(f"blocks of {k}", writing={"at_once": _ALL, "block": k, "sweeps": _SWEEPS}) for k in (1, 2, 4))
"""Gibbs sampling from a draw in one shot on."""
MASK_PREDICT = Decoding("mask-predict", writing={"at_once": 4, "sweeps": 0})
EDITS = (
    Decoding("40 edits", writing={"steps": 40}),
    Decoding("20 edits, best of 5", writing={"steps": 20, "candidates": 5, "attribute": True}),
)
_WHOLE = {"backspace": False, "learning_rate": 3e-3, "batch_size": 128}
_NOTHING = 1e-12
"""A rate at which nothing is learned, whatever a run costs."""
_MATCHING = {"divergence": "jensen_shannon", "alpha": 0.01, "gamma": 0.995}


def _cloned(memory: str, places: tuple[str, ...], *others: Decoding, **more: Any) -> Arm:
    return Arm(f"BC, {memory}", {**MASKED.settings, "memory": memory, **more}, (MIN_P, *others), places=places)


def _whole(name: str, agent: str, places: tuple[str, ...], *others: Decoding, **options: Any) -> Arm:
    """A policy of whole texts, with a learning rate and batches of its own: a look at training losses, see the log."""
    return Arm(name, {"agent": agent, "agent_options": options, **_WHOLE}, others, places=places)


ARMS = (
    replace(MLE, decodings=(MIN_P, GREEDY, *BEST, *BY_ATTRIBUTE)),
    _cloned("prefix", _JUDGED, WALK),
    _cloned("tried", _JUDGED),
    _cloned("history", ("automaton-16", "chain", "sudoku4", "add_in_base", "dyck"), sampling_actions=_ACTIONS),
    Arm("SequenceMatch", {"agent": "sequence_match", "agent_options": _MATCHING}, (MIN_P,), places=_JUDGED),
    replace(
        with_backspace("DAgger", "dagger", expert="teacher", warm_up=0.5),
        decodings=(MIN_P,),
        places=("automaton-16", "chain", "sudoku4", "add_in_base", "dyck"),
    ),
    _whole(
        "masked",
        "masked",
        ("automaton-16", "chain", "sudoku4", "add_in_base", "scan-simple", "dyck"),
        *(*BLOCKS, MASK_PREDICT, replace(GREEDY, places=("chain",))),
    ),
    _whole("one shot", "parallel", ("automaton-16", "chain", "sudoku4", "add_in_base", "dyck"), GREEDY),
    _whole("one shot, CTC", "parallel", ("add_in_base",), GREEDY, queries=2),
    _whole("one shot, EM", "parallel_em", ("automaton-16", "chain", "add_in_base", "dyck")),
    Arm("edits, DAgger", {"agent": "edit_dagger", **_WHOLE, "batch_size": 16}, places=("chain", "add_in_base")),
    _whole("edits", "ice", ("potentials",), *EDITS),
    Arm("untrained edits", {"agent": "ice", **_WHOLE, "learning_rate": _NOTHING}, EDITS, places=("potentials",)),
)


@dataclass(frozen=True)
class Ceiling:
    """What an exact law reaches where a learned one may come near.

    Attributes:
        place: name of the task.
        name: of the law and how it is drawn from.
        right: share of right texts.
        cells: fed per final token.
    """

    place: str
    name: str
    right: Estimate
    cells: float


def _known(value: float) -> Estimate:
    return Estimate(value, value, value, 1, "exact")


@lru_cache(maxsize=1)
def exact_ceilings() -> tuple[Ceiling, ...]:
    """All of them, from the laws of the tasks; those of blocks are of a sample, the others exact."""
    return (*_chains(), *_one_shots(), *_walks(), *_beyond())


def _chains() -> Iterator[Ceiling]:
    task = Automaton(_SHORT)
    cells = _SHORT + task.prompt_tokens
    for block in (1, 2, 4):
        for sweeps, right in zip(ceilings.SWEEPS, ceilings.exact_blocks(task, block), strict=True):
            readings = 1 + sweeps * -(-_SHORT // block)
            name = f"exact conditionals, blocks of {block}, {sweeps} sweep{'s' * (sweeps > 1)}"
            yield Ceiling("automaton-16", name, right, readings * cells / (_SHORT + 1))


def _one_shots() -> Iterator[Ceiling]:
    tasks = {"automaton-16": Automaton(_SHORT), "automaton-64": Automaton(), "sudoku4": Sudoku4()}
    for place, task in (tasks | {"dyck": Dyck(length=_SHORT)}).items():
        prompt, W = len(task.prompts(1, "test", 0)[0]), task.max_length
        right = _known(ceilings.factorised_success(task))
        yield Ceiling(place, "exact marginals, one shot", right, (prompt + W) / (W + 1))


def _walks() -> Iterator[Ceiling]:
    for place, task in {"automaton-16": Automaton(_SHORT), "dyck": Dyck(length=_SHORT)}.items():
        n, prompt = task.max_length, len(task.prompts(1, "test", 0)[0])
        right, actions = ceilings.walked(n, _ACTIONS)
        name = f"exact values, a walk of {_ACTIONS} actions at most"
        yield Ceiling(place, name, _known(right), (prompt - 1 + actions) / (n + 1))


def _beyond() -> Iterator[Ceiling]:
    for draws in (1, 16, 64):
        right = _known(ceilings.beyond(Potentials(), draws))
        yield Ceiling("potentials", f"uniform texts, best of {draws} by the attribute", right, float(draws))
    for keep, name in ((False, ""), (True, ", or the text as it was")):
        right = ceilings.climbed(Potentials(), 20, 5, keep)
        yield Ceiling(
            "potentials", f"20 substitutions, each the best of 5 at random by the attribute{name}", right, 0.0
        )


def against_cells(results: Results, drawings: Drawings) -> str:
    """Success against cells fed, place by place, with the exact ceilings; the latter need no record."""
    law, product = ceilings.nats(Automaton(_SHORT))
    text = (
        "Cells fed to the model per final token, prompts and all readings of a whole text counted, and right texts. "
        "Crosses are of exact laws, numbered as in the table: draws of the exact marginals (what one shot learns, cell "
        "by cell), chains on texts by exact conditionals from there on (a sample of 200, whose interval is drawn; the "
        "cells of a block each on their own), and walks with exact values; lines are of what feeds no model. Where "
        "there is one right answer for a prompt, one shot loses nothing and the ceiling is 1. On "
        f"automaton-16 the law has {law:.3f} nats per token and the best product of laws of cells {product:.3f}: "
        f"one shot loses {product - law:.3f}."
    )
    known = exact_ceilings()
    rows = [["", "task", "exact law", "cells per token", "right texts"]]
    rows += [[str(n), c.place, c.name, f"{c.cells:.1f}", _share(c.right)] for n, c in enumerate(known, 1)]
    numbered = list(enumerate(known, 1))
    drawn = [_drawn(results, place, [(n, c) for n, c in numbered if c.place == place.name]) for place in results.places]
    return note(text) + table(rows) + "".join(drawn)


def _share(right: Estimate) -> str:
    return f"{right.value:.2g}" if right.low == right.high else interval(right)


def _drawn(results: Results, place: Place, known: list[tuple[int, Ceiling]]) -> str:
    looks, whole = figures.styles(results), figures.canvas(figsize=(9, 6.5))
    axes, *others = whole.subplot_mosaic([["right"] * len(_OTHERS), _OTHERS], height_ratios=(3, 2)).values()
    shown = []
    for row, runs in results.runs(place).items():
        paid, right = estimate(runs, _PAID), estimate(runs, _RIGHT)
        if paid and right:
            interval_points(axes, [paid.value], [right], looks[row], ms=5)
            shown.append((row, paid.value, right.value))
    for number, one in known:
        e, at = one.right, {"textcoords": "offset points", "color": INK, "fontsize": 7}
        if one.cells:
            axes.errorbar(one.cells, e.value, [[e.value - e.low], [e.high - e.value]], fmt="x", color=INK, ms=6, lw=0.8)
            axes.annotate(str(number), (one.cells, e.value), (-9, 3), **at)
        else:
            axes.axhline(e.value, color=INK, ls=":", lw=0.8)
            axes.annotate(str(number), (1, e.value), (-9, 2), xycoords=("axes fraction", "data"), **at)
    axes.set(xscale="log", xlabel="cells fed per final token", ylabel="right texts", ylim=(-0.08, 1.05))
    figures.plain(axes)
    figures.label(axes, shown, [(one.cells, one.right.value) for _, one in known if one.cells])
    for beside, metric in zip(others, _OTHERS, strict=True):
        _of_another(beside, results, place, metric)
    label = f"Right texts against cells fed on {place.name}" + "; crosses are exact laws, see the table" * bool(known)
    label += ". Below, of the same rows, " + ", ".join(_BY_NAME[name].title for name in _OTHERS)
    return heading(place.name) + captioned(figures.inlined(f"cells-{place.name}", whole), label)


def _of_another(axes: Any, results: Results, place: Place, metric: str) -> None:
    """Another measure of the same rows, without names; nothing where it is not defined."""
    looks, some = figures.styles(results), False
    for row, runs in results.runs(place).items():
        paid, found = estimate(runs, _PAID), estimate(runs, metric)
        if paid and found:
            interval_points(axes, [paid.value], [found], looks[row], ms=4)
            some = True
    axes.set(
        xscale="log", xlabel="cells per token", ylabel=f"{_BY_NAME[metric].title} {_BY_NAME[metric].arrow}".strip()
    )
    figures.plain(axes)
    if not some:
        axes.annotate("not defined here", (0.5, 0.5), xycoords="axes fraction", color=INK, ha="center", fontsize=8)


def at_equal_cells(results: Results, drawings: Drawings) -> str:
    """Every row beside that sample of maximum likelihood, best of several included, that spends most of its cells."""
    rows = [["task", "row", "cells per token", "right texts", "maximum likelihood with no more", "difference"]]
    for place in results.places:
        runs = results.runs(place)
        spent = {row: paid.value for row, found in runs.items() if (paid := estimate(found, _PAID))}
        plain = {row: cells for row, cells in spent.items() if row.split(", ")[0] == MLE.name}
        for row in spent.keys() - plain.keys():
            rivals = [rival for rival, cells in plain.items() if cells <= spent[row]]
            rival = max(rivals, key=plain.__getitem__, default=None)
            gain = compared(runs[row], runs[rival], _RIGHT) if rival else None
            right = estimate(runs[row], _RIGHT)
            if gain and right:
                rows.append([place.name, row, f"{spent[row]:.1f}", interval(right), str(rival), interval(gain.effect)])
    text = "The rival of each is the dearest sample of maximum likelihood that feeds no more cells per final token."
    return note(text) + table([rows[0], *sorted(rows[1:])]) if len(rows) > 1 else ""


_SYSTEMATIC = "the error is systematic: what was never shown is misread each time"
HYPOTHESES = (
    *(
        is_no_better(f"BC, {memory}", "MLE", metric, _SYSTEMATIC, ("scan",))
        for memory in ("prefix", "tried")
        for metric in ("success", "hazard")
    ),
    wins("BC, tried", "MLE", "success", "no backspace, commands of every kind shown", ("scan-simple",)),
    *(wins("BC, tried", rival, "success", "no backspace", ("chain",)) for rival in ("MLE", "MLE, best of 16")),
    wins("BC, prefix", "MLE", "success", "no backspace", ("automaton-16", "automaton-64")),
    wins("MLE, best of 16", "masked, blocks of 4", "success", "as many cells, one after another", ("automaton-16",)),
    wins("masked, blocks of 1", "masked, blocks of 4", "success", "cells of a block each on their own", ("dyck",)),
    wins("masked", "masked, blocks of 1", "success", "as many sweeps and more, from one shot", ("automaton-16",)),
    wins("one shot, EM", "one shot", "success", "the whole law, not what one shot can say", ("automaton-16",)),
    is_no_better("MLE, greedy", "one shot, CTC, greedy", "success", "its cells do not depend", ("add_in_base",)),
    wins("MLE, best of 16", "BC, prefix, judged walk", "success", "as many cells, without a judge", _WALKED),
    wins("edits, 20 edits, best of 5", "MLE, best of 64 by the attribute", "success", "whole texts", ("potentials",)),
    wins(
        "edits, 20 edits, best of 5",
        "untrained edits, 20 edits, best of 5",
        "success",
        "the same choice by the attribute, of edits that nobody learned",
        ("potentials",),
    ),
)
REVISE = Study(
    "revise",
    "What does a generator that revises gain for the cells that it feeds?",
    ARMS,
    PLACES,
    3,
    Questions(
        HYPOTHESES,
        "Written down before any of its runs, all but the last, which is a control of the one before.",
        (
            Section("cells", "Right texts against cells fed, and exact ceilings", against_cells),
            Section("equal-cells", "At equal cells", at_equal_cells),
        ),
    ),
)
