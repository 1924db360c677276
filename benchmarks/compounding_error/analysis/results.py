"""The records of a study, sorted into rows: the runs of every arm and decoding on every place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from seqil.runs.settings import Settings
from seqil.statistics import Estimate, over_runs

from ..running import asked_metrics
from ..running.cells import budget_of, rows_of
from ..running.records import Record
from ..study import Place, Study


class Results:
    """The records of a study, sorted: the runs of every row on every place.

    Args:
        study: whose; records of other arms, places and seeds are left out.
        records: in the order of the file; of two with the same arm, place and seed the later one counts.
    """

    def __init__(self, study: Study, records: Sequence[Record]) -> None:
        arms = {arm.name: arm for arm in study.arms}
        latest = {(r["task"], r["arm"], r["seed"]): r for r in records if belongs(study, r)}
        self.study = study
        self.records = list(latest.values())
        self._rows: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            for row in rows_of(record, arms[record["arm"]]):
                self._rows.setdefault((row["task"], row["arm"]), []).append(row)

    @property
    def places(self) -> list[Place]:
        """Those that have been run."""
        return [place for place in self.study.places if any(r["task"] == place.name for r in self.records)]

    @property
    def seeds(self) -> tuple[int, int]:
        """Fewest and most runs that a row has on a task."""
        counts = [len(runs) for place in self.places for runs in self.runs(place).values()]
        return min(counts), max(counts)

    def runs(self, place: Place) -> dict[str, list[Record]]:
        """Row name -> its runs, in the study's order; rows without runs are left out."""
        found = {name: self._rows.get((place.name, name), []) for name in self.study.rows}
        return {name: list(runs) for name, runs in found.items() if runs}

    def budgets(self, place: Place) -> list[int]:
        """Most actions of a sampled text, those of all rows in order; older records do not say it, their task does."""
        runs = [run for found in self.runs(place).values() for run in found]
        return sorted({run.get("max_actions") or budget_of(place, Settings.of(run["settings"]))[0] for run in runs})

    def plain(self, place: Place) -> dict[str, list[Record]]:
        """Those rows that are not a decoding of another one."""
        names = {arm.name for arm in self.study.arms}
        return {row: runs for row, runs in self.runs(place).items() if row in names}


def belongs(study: Study, record: Record) -> bool:
    """Whether a record has the names of one of a study's runs; its settings may be others."""
    arms, places = {arm.name for arm in study.arms}, {place.name for place in study.places}
    return record["task"] in places and record["arm"] in arms and record["seed"] < study.seeds


def estimate(runs: Sequence[Record], metric: str) -> Estimate | None:
    """Over the runs; None where one of them has no such metric."""
    if any(metric not in r["estimates"] for r in runs):
        return None
    entry = asked_metrics.metric(metric)
    return over_runs([Estimate.of(r["estimates"][metric]) for r in runs], entry.scale if entry else None)


def next_run(values: Sequence[float]) -> tuple[float, float]:
    """Where one run more would lie with 95 % chance (Student's t), within the range of a share where all are shares."""
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 3 or not np.isfinite(x).all():
        return math.nan, math.nan
    half = float(t_quantile(len(x) - 1)) * float(x.std(ddof=1)) * math.sqrt(1 + 1 / len(x))
    low, high = float(x.mean()) - half, float(x.mean()) + half
    return (max(low, 0.0), min(high, 1.0)) if ((x >= 0) & (x <= 1)).all() else (low, high)


def t_quantile(freedom: int) -> float:
    """Of Student's t at 97.5 %."""
    from scipy import stats

    return float(stats.t.ppf(0.975, freedom))
