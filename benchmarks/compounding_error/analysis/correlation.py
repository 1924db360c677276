"""Is the better likelihood the better text? Rank correlations of held-out NLL with quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from seqil.metrics.entries import Metric
from seqil.runs import known_metrics
from seqil.statistics.ranks import kendall, spearman

from ..running.records import Record
from ..study import Place
from .results import Results

_FEWEST = 4
DENSITIES = ("nll_per_token", "final_nll_per_token")


@dataclass(frozen=True)
class RankCorrelation:
    """Of a density with badness: positive where a better likelihood goes with better texts.

    Attributes:
        task: name of the place.
        density: the metric, nats per token of held-out texts, given that nothing is deleted or as finally written.
        quality: the metric.
        among: an agent family with its memory, or `agents` (one point per family), or `all runs`.
        n: points.
        spearman, spearman_low, spearman_high, spearman_p: see `statistics.ranks.spearman`.
        kendall, kendall_low, kendall_high, kendall_p: see `statistics.ranks.kendall`.
    """

    task: str
    density: str
    quality: str
    among: str
    n: int
    spearman: float
    spearman_low: float
    spearman_high: float
    spearman_p: float
    kendall: float
    kendall_low: float
    kendall_high: float
    kendall_p: float


def family(record: Record) -> str:
    """What kind of agent made it; cloning without a backspace is maximum likelihood."""
    settings = record["settings"]
    return "MLE" if settings["agent"] == "bc" and not settings["backspace"] else str(settings["agent"])


def with_memory(record: Record) -> str:
    """Its family, and its memory if that is not the prefix."""
    memory = record["settings"].get("memory", "prefix")
    return family(record) if memory == "prefix" else f"{family(record)}, {memory}"


def likelihood_against_quality(results: Results, place: Place) -> list[RankCorrelation]:
    """Every quality that all runs of the place have, of plain samples: a decoding rule leaves the likelihood alone."""
    plain = {arm.name for arm in results.study.arms}
    runs = [r for name, found in results.runs(place).items() if name in plain for r in found]
    found = []
    for density, quality in product(DENSITIES, qualities()):
        known = [r for r in runs if quality.name in r["estimates"] and density in r["estimates"]]
        if len(known) < _FEWEST:
            continue
        groups: dict[str, list[tuple[float, float]]] = {}
        for record in known:
            groups.setdefault(with_memory(record), []).append(point(record, density, quality))
        centres = [(float(np.mean([x for x, _ in g])), float(np.mean([y for _, y in g]))) for g in groups.values()]
        everyone = [point for group in groups.values() for point in group]
        for among, points in {"all runs": everyone, "agents": centres, **groups}.items():
            if len(points) >= _FEWEST:
                found.append(RankCorrelation(place.name, density, quality.name, among, len(points), *_ranks(points)))
    return found


def qualities() -> list[Metric]:
    """What is said of texts: the metrics that tables show first, and those in their place."""
    known = [metric for metric in known_metrics.metrics() if metric.better and metric.name not in DENSITIES]
    first = {metric.name for metric in known if metric.group == "quality"}
    return [metric for metric in known if metric.name in first or metric.in_place_of in first]


def point(record: Record, density: str, quality: Metric) -> tuple[float, float]:
    """Nats, and how bad the texts are."""
    x, y = (float(record["estimates"][name]["value"]) for name in (density, quality.name))
    return x, -y if quality.better == "higher" else y


def _ranks(points: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    x, y = np.array(points, dtype=np.float64).T
    return *spearman(x, y), *kendall(x, y)
