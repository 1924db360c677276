"""Is the better density the better generator? Families of generators on laws that can be enumerated.

The density is that of the text that is finally written, exact for every family: of one that appends its likelihood, of
one that deletes what is left of it, of one shot a product, of a masked model the law of its filling and its sweeps. A
family is a ladder of budgets of training. Lee et al. (2020, arXiv 2002.07233) found the two to go together within a
family of translation models, and not across families.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch

from envs.tasks.base import counters
from envs.tasks.base.markov import MarkovTask
from envs.tasks.base.sampled import CHUNK, Chunk, Ints, with_splits
from seqil import Vocabulary
from seqil.metrics.reported import METRICS
from seqil.statistics.ranks import spearman

from ..analysis.correlation import point
from ..analysis.results import Results
from ..hypotheses.claims import Claim
from ..page import figures
from ..page.markup import Drawings, captioned, heading, note
from ..page.training_curve import curves, look
from ..running.records import Record
from ..study import Arm, Hypothesis, Place, Questions, Section, Study
from .base.parts import MASKED, MLE, SEQUENCE_MATCH

_TOKENS, _HORIZON = 4, 5
SHARES = (0.0625, 0.25, 1.0)
DENSITY = "final_nll_per_token"
_QUALITY = next(one for one in METRICS if one.name == "success")


class SmallAutomaton(MarkovTask):
    """Texts of five tokens from a Markov law with partial support, few enough to be enumerated.

    - **Tokens**: 4 and `eos` (id 4), V = 5. **Prompt**: `order` tokens, uniform. **Text**: 5 tokens, then `eos`.
    - **Law**: each context allows 3 of the tokens, with weights from 1 to 9. Drawn once and for all.
    - **Teacher**, **first error**, **success**: as of every Markov task.
    - **Items**: split by the hash of the text; with `order` 2 there are 3,888 texts, one in twenty of them held out.

    Args:
        order: tokens that the next one depends on.
    """

    name = "small_automaton"
    vocabulary = Vocabulary(size=_TOKENS + 1, eos=_TOKENS)

    def __init__(self, order: int = 2) -> None:
        self.weights = _weights(order)
        super().__init__(torch.from_numpy(self.weights / np.maximum(self.weights.sum(-1, keepdims=True), 1)), _HORIZON)

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 texts."""
        return _chunk(self.order, seed, number)


@lru_cache(maxsize=4)
def _weights(order: int) -> Ints:
    found = np.zeros((_TOKENS + 1,) * (order + 1), dtype=np.int64)
    for context in product(range(_TOKENS), repeat=order):
        allowed = counters.shuffled(_TOKENS, "small_automaton", "allowed", context)[:3]
        found[context][allowed] = 1 + counters.below(9, "small_automaton", "weights", context, shape=(3,))
    return found


@lru_cache(maxsize=64)
def _chunk(order: int, seed: int, number: int) -> Chunk:
    weights = _weights(order)
    draws = counters.words("small_automaton", order, seed, number, shape=(CHUNK, order + _HORIZON))
    texts = np.empty((CHUNK, order + _HORIZON), dtype=np.int64)
    texts[:, :order] = draws[:, :order] % np.uint64(_TOKENS)
    for t in range(order, texts.shape[1]):
        texts[:, t] = counters.choices(weights[tuple(texts[:, t - order : t].T)], draws[:, t])
    return with_splits("small_automaton", texts, eos=_TOKENS)


def _place(order: int, budget: float) -> Place:
    settings = {
        **{"task": SmallAutomaton, "task_options": {"order": order}, "learning_rate": 6e-3, "width": 32},
        "demonstrations": 8000,
    }
    return Place(
        *(f"order-{order}", settings, budget, 1000, "a token that the law forbids"),
        max_actions=400,
        metrics=(DENSITY,),
    )


PLACES = (_place(2, 6e5), _place(3, 1.2e6))


def _ladder(arm: Arm) -> tuple[Arm, ...]:
    return tuple(replace(arm, name=f"{arm.name}, x {share:g}", share=share, decodings=()) for share in SHARES)


_WHOLE: dict[str, Any] = {"backspace": False, "learning_rate": 3e-3}
FAMILIES = (
    MLE,
    *(Arm(f"BC, {memory}", {**MASKED.settings, "memory": memory}) for memory in ("prefix", "tried")),
    SEQUENCE_MATCH,
    *(
        Arm(name, {"agent": agent, **_WHOLE})
        for name, agent in (("one shot", "parallel"), ("one shot, EM", "parallel_em"), ("masked", "masked"))
    ),
)


def _points(runs: Sequence[Record]) -> list[tuple[float, float]]:
    return [point(record, DENSITY, _QUALITY) for record in runs]


def _claim(place: Place, of: str, points: Sequence[tuple[float, float]], seeds: int) -> list[Claim]:
    if len(points) < 4:
        return []
    rho, low, high, p = spearman(*zip(*points, strict=True))
    one_sided = p / 2 if rho > 0 else 1 - p / 2
    return [Claim(place.name, f"{of}: ρ {rho:.2f} [{low:.2f}, {high:.2f}], p {p:.3f}", seeds, one_sided, 1 - one_sided)]


def _within(results: Results, place: Place) -> list[Claim]:
    """Of the runs of each family."""
    found = []
    for name, shares in curves(results, place).items():
        found += _claim(place, name, [p for runs in shares for p in _points(runs)], min(map(len, shares)))
    return found


def _across(results: Results, place: Place) -> list[Claim]:
    """Of the means of the families at their whole training."""
    last = [shares[-1] for shares in curves(results, place).values()]
    means = [tuple(np.mean(_points(runs), axis=0)) for runs in last]
    return _claim(place, "families", means, min(map(len, last), default=0))


def density_against_success(results: Results, drawings: Drawings) -> str:
    """A line per family, from the least training to the most; runs one by one."""
    parts = [
        note(
            "Right texts against nats per token of held-out texts, under the exact law of what each family finally "
            "writes. A line joins the means of a family from the shortest training to the longest; dots are runs."
        )
    ]
    for place in results.places:
        whole = figures.canvas(figsize=(6.5, 3.4))
        axes = whole.subplots()
        for number, (name, shares) in enumerate(curves(results, place).items()):
            style = look(number)
            means = np.array([np.mean(_points(runs), axis=0) for runs in shares])
            options = {"color": style.colour, "ls": style.dashes, "marker": style.marker}
            axes.plot(means[:, 0], -means[:, 1], label=name, ms=5, lw=1.5, **options)
            one = np.array([p for runs in shares for p in _points(runs)])
            axes.plot(one[:, 0], -one[:, 1], ".", color=style.colour, ms=3)
        axes.set(xscale="log", xlabel="nats per token of what is finally written", ylabel="right texts")
        figures.plain(axes)
        axes.legend(frameon=False, fontsize=8)
        drawing = figures.inlined(f"density-{place.name}", whole)
        parts += [heading(place.name), captioned(drawing, f"Right texts against density on {place.name}, by family")]
    return "".join(parts)


DENSITY_STUDY = Study(
    "density",
    "Is the better density the better generator, within a family and across families?",
    tuple(one for arm in FAMILIES for one in _ladder(arm)),
    PLACES,
    3,
    Questions(
        (
            Hypothesis(
                "Within a family, from a sixteenth of its training to all, the better density is the better text.",
                "four runs of a family with success and density",
                _within,
            ),
            Hypothesis(
                "Across families, each at its whole training, the better density is the better text.",
                "four families with success and density",
                _across,
            ),
        ),
        "Written down before any of its runs.",
        (Section("density", "Right texts against density", density_against_success),),
    ),
)
