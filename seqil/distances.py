"""Distances between the laws of whole texts, from texts of both; `step_errors` has those of one step."""

from __future__ import annotations

import numpy as np

from .statistics import Estimate, mean, over_runs
from .survival import Floats


def sequence_distances(of_teacher: tuple[Floats, Floats], of_student: tuple[Floats, Floats]) -> dict[str, Estimate]:
    """Distances between the laws of whole texts, from texts of both and their log-probabilities.

    Args:
        of_teacher: log-probability of texts of the teacher under the teacher and under the student, float64 [B] each.
        of_student: the same of texts of the student.

    Returns:
        `kl`, KL(teacher || student), and `reverse_kl`, infinite on a support violation and never NaN;
        `total_variation`, `squared_hellinger` and `jensen_shannon`, means of terms of bounded variance. A sample knows
        only what it saw: a support violation rarer than one text in B goes unnoticed.
    """
    p_of_p, q_of_p = (np.asarray(x, dtype=np.float64) for x in of_teacher)
    p_of_q, q_of_q = (np.asarray(x, dtype=np.float64) for x in of_student)
    ratio, back = np.exp(q_of_p - p_of_p), np.exp(p_of_q - q_of_q)
    halves = [mean(np.log(2) - np.log1p(r), "sequences") for r in (ratio, back)]
    return {
        "kl": mean(p_of_p - q_of_p, "sequences"),
        "reverse_kl": mean(q_of_q - p_of_q, "sequences"),
        "total_variation": mean(np.maximum(1 - ratio, 0), "sequences"),
        "squared_hellinger": mean(1 - np.sqrt(ratio), "sequences"),
        "jensen_shannon": over_runs(halves),
    }


def text_log_probs(surprisals: Floats) -> Floats:
    """Log-probability of every text, float64 [B], from `surprisal` or `teacher_surprisal` along it."""
    return -np.where(np.isnan(surprisals), 0.0, surprisals).sum(1)
