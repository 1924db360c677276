"""Hypotheses that were written down before the runs of our studies.

The tests of them are younger than some of the records; `LOG.md` says what was changed when.

A further one is one more entry of `HYPOTHESES`.
"""

from __future__ import annotations

from ..study import Hypothesis
from . import arm_claims, theory_claims

REMARK = "The statements were written down before the runs, their tests were not."
HYPOTHESES = (
    Hypothesis(
        "A local detector lowers the hazard and leaves the exponent alone.",
        "MLE and cloning with a backspace and masked noise",
        arm_claims.constant_not_exponent,
    ),
    Hypothesis(
        "The detection profile predicts the share of errors that are ever deleted.",
        f"an agent with a backspace on a task with an exact judge, and {theory_claims.FEW} errors of it",
        theory_claims.predicted_is_measured,
    ),
    Hypothesis(
        "Where deletion stays likelier than not down to depth 16, the hazard vanishes.",
        "an agent whose profile is seen to stay above ½ down to depth 16, or a planted one",
        theory_claims.deep_detection,
    ),
    Hypothesis(
        "On realizable tasks MLE with averaged weights has a hazard at most 10 % above any imitation agent's.",
        "MLE with averaged weights beside imitation agents",
        arm_claims.average_is_as_good,
    ),
    Hypothesis(
        "Where the student cannot be right, that gap opens.",
        "a task whose law the student cannot express, with MLE with averaged weights beside imitation agents",
        arm_claims.gap_opens,
    ),
    Hypothesis(
        "On star graphs a deep backspace turns failure into success.",
        "the task star and an agent trained on bursts of mistakes",
        arm_claims.deep_backspace_succeeds,
    ),
    Hypothesis(
        "At equal cost of training, the hazard of min-p is at most 10 % above that of a one-token backspace.",
        "MLE sampled with min-p beside cloning with a backspace",
        arm_claims.min_p_is_as_good,
    ),
    Hypothesis(
        "Masked noise under-produces rare tokens, by the predicted amount.",
        "the task ngram and cloning with a backspace and masked noise, with rare tokens counted",
        theory_claims.rare_tokens_are_lost,
    ),
)
