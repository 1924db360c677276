"""A number and its interval; nothing here knows of language."""

from .estimates import (
    Estimate,
    difference,
    geometric_mean,
    holm,
    interquartile_mean,
    mean,
    over_runs,
    probability_of_improvement,
    proportion,
    quotient,
    ratio,
)

__all__ = [
    "Estimate",
    "difference",
    "geometric_mean",
    "holm",
    "interquartile_mean",
    "mean",
    "over_runs",
    "probability_of_improvement",
    "proportion",
    "quotient",
    "ratio",
]
