"""The metrics that `seqil evaluate` and the studies report. A further one is one more entry of `METRICS`.

No table, test or page knows a metric by its name. One's own is handed to `evaluation`, or is registered under the entry
point group `seqil.metrics` by the distribution that has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError, on_one_line
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..policy.token_policy import TokenPolicy
from ..statistics.comparison import hazard_ratio, share_difference
from ..statistics.estimates import Estimate, mean, proportion, quotient, ratio
from .costs import Cost
from .deletions import Backspaces, repetition_rate
from .distances import excess_accumulated_error
from .entries import Metric, by_ratio
from .lifetimes import Floats, hazard
from .positions import Steps, along, nats_per_token, rare_tokens
from .samples import Sample
from .text_sets import mauve, repetition

_LAWS = 256
"""Demonstrations whose laws over all tokens are computed."""


def evaluation(
    task: Task,
    policy: TokenPolicy,
    demonstrations: Trajectories,
    rollouts: Trajectories,
    cost: Cost | None = None,
    metrics: Sequence[Metric] | None = None,
) -> dict[str, Estimate]:
    """Everything that the task can tell of a sample, by the names of the metrics and in their order.

    Args:
        task: with or without teacher, judge and success.
        policy: what was sampled.
        demonstrations: held-out ones, for likelihood and off-policy step error.
        rollouts: samples of the policy.
        cost: what these took; None: `metrics.cost(rollouts)`, that of sampling without rules.
        metrics: what is measured; None: `METRICS`.
    """
    if not isinstance(task, Task):
        raise InvalidInputError(f"evaluation: task={on_one_line(task, 60)} is not a Task; give one of envs.tasks, say")
    for one in metrics if isinstance(metrics, Sequence) else [] if metrics is None else [metrics]:
        if not isinstance(one, Metric):
            raise InvalidInputError(f"evaluation: {on_one_line(one, 60)} is not a Metric; see seqil.metrics.METRICS")
    sample = Sample.of(task, policy, demonstrations, rollouts, cost)
    found = {metric.name: metric.of(sample) for metric in (METRICS if metrics is None else metrics)}
    for name, estimate in found.items():
        if not isinstance(estimate, Estimate | None):
            raise InvalidInputError(
                f"metric {name!r} computed {estimate!r:.60}; return a seqil.statistics.Estimate, or None"
            )
    return {name: estimate for name, estimate in found.items() if estimate is not None}


# -- what computes them --------------------------------------------------------------------------------


def _success(s: Sample) -> Estimate | None:
    return None if s.successes is None else proportion(sum(s.successes), len(s.successes), "sequences")


def _nll(s: Sample) -> Estimate | None:
    return None if s.nll is None else mean(s.nll, "sequences")


def _hazard(s: Sample) -> Estimate | None:
    """None where all errors are of one guess, for there it is the share of wrong texts under another name."""
    return None if s.first_errors is None or s.task.one_guess else hazard(*s.first_errors)


def _regret(s: Sample) -> Estimate | None:
    """Step errors over the positions of each text, and `log(size)` nats for every position that it lacks.

    A text that ran out of actions is an error from where it stops. It lacks what a demonstration holds beyond it on
    average, its `eos` at least; there a student that knows nothing, uniform over the vocabulary, would write the
    teacher's token at `log(size)` nats.
    """
    on = s.on_policy_step_errors
    if on is None:
        return None
    written = np.array([len(text) for text in s.texts])
    lacking = np.maximum(np.mean([len(text) for text in s.references]) - written, 1) * ~s.rollouts.ended.numpy()
    return mean(on * written + lacking * math.log(s.task.vocabulary.size), "sequences")


def _excess(s: Sample) -> Estimate | None:
    """The horizon cancels: the regret of finished texts of one length is that many times the on-policy step error."""
    on, off = s.on_policy_step_errors, s.off_policy_step_errors
    if on is None or off is None:
        return None
    q = quotient(on, off, "prefixes")
    value, low, high = (excess_accumulated_error(regret, 1.0, 1) for regret in (q.value, q.low, q.high))
    return Estimate(value, low, high, q.n, q.unit)


def _mauve(s: Sample) -> Estimate | None:
    same = len(s.rollouts) == len(s.demonstrations)
    return mean([mauve(s.texts, s.references)], "samples") if same else None


def _accuracy(s: Sample) -> Estimate | None:
    if not s.autoregressive:
        return None
    right = along(s.demonstrations.select(slice(_LAWS)), _agrees, s.policy)
    return ratio(np.nansum(right, axis=1), (~np.isnan(right)).sum(1), "sequences")


def _agrees(steps: Steps) -> Tensor:
    return (steps.student.argmax(-1) == steps.token).to(torch.float64)


def _step_error(of: Callable[[Sample], Floats | None]) -> Callable[[Sample], Estimate | None]:
    return lambda s: None if (errors := of(s)) is None else mean(errors, "prefixes")


def _taught(of: Callable[[Floats], Floats]) -> Callable[[Sample], Estimate | None]:
    return lambda s: None if s.taught is None else _known(of(s.taught))


def _deleted(of: Callable[[Backspaces], Estimate]) -> Callable[[Sample], Estimate | None]:
    return lambda s: None if s.deletions is None else of(s.deletions)


def _deletes(s: Sample) -> bool:
    return bool((s.rollouts.inside & (s.rollouts.actions == s.rollouts.vocabulary.backspace)).any())


def _known(values: Floats) -> Estimate | None:
    """Over the texts that have a value."""
    known = values[~np.isnan(values)]
    return mean(known, "sequences") if len(known) else None


METRICS: tuple[Metric, ...] = (
    Metric(
        "success",
        "Texts that are right as a whole.",
        _success,
        "share of texts",
        ("success",),
        "higher",
        share_difference,
        "quality",
        scale="counts",
    ),
    Metric(
        "hazard",
        "First errors per token at risk of one; left out where a text holds one guess.",
        _hazard,
        "errors per token",
        ("judge",),
        "lower",
        hazard_ratio,
        "quality",
        scale="counts",
    ),
    Metric(
        "regret",
        "KL(teacher || student) summed over the policy's own texts, from one prefix of each; an unfinished text is an "
        "error from where it stops.",
        _regret,
        "nats per text",
        ("teacher",),
        "lower",
        by_ratio,
        "quality",
    ),
    Metric(
        "nll_per_token",
        "Negative log-likelihood of held-out demonstrations.",
        _nll,
        "nats per token",
        (),
        "lower",
        by_ratio,
        "quality",
    ),
    Metric(
        "actions_per_net_token",
        "Tokens written and deleted, per token of the final text.",
        lambda s: ratio(s.cost.actions, s.cost.net, "sequences"),
        "actions",
        (),
        "lower",
        None,
        "sampling",
    ),
    Metric(
        "forwards_per_net_token",
        "Positions that the model computed, per token of the final text.",
        lambda s: ratio(s.cost.forwards, s.cost.net, "sequences"),
        "positions",
        (),
        "lower",
        None,
        "sampling",
    ),
    Metric(
        "teacher_forced_accuracy",
        f"Demonstrated tokens that are the likeliest after the demonstrated prefix; of at most {_LAWS} texts.",
        _accuracy,
        "share of tokens",
        (),
        "higher",
        scale="share",
    ),
    Metric(
        "off_policy_step_error",
        "KL(teacher || student) of the next token after demonstrations.",
        _step_error(lambda s: s.off_policy_step_errors),
        "nats",
        ("teacher",),
        "lower",
        in_place_of="hazard",
    ),
    Metric(
        "on_policy_step_error",
        "KL(teacher || student) of the next token after the policy's own text.",
        _step_error(lambda s: s.on_policy_step_errors),
        "nats",
        ("teacher",),
        "lower",
        in_place_of="hazard",
    ),
    Metric(
        "excess_accumulated_error",
        "How far on-policy errors exceed the off-policy ones (Arora et al. 2022, equation 6).",
        _excess,
        "%",
        ("teacher",),
        "lower",
        group="",
    ),
    Metric(
        "teacher_nll_per_token",
        "Negative log-likelihood of the policy's texts under the teacher, infinite with a forbidden token.",
        _taught(nats_per_token),
        "nats per token",
        ("teacher",),
        group="",
    ),
    Metric(
        "rare_tokens",
        "Tokens written to which the teacher gives less than 2 %.",
        _taught(rare_tokens),
        "share of tokens",
        ("teacher",),
        scale="share",
    ),
    Metric(
        "rep_4",
        "4-grams that occurred earlier in the same text.",
        lambda s: _known(repetition(s.texts)),
        "share of 4-grams",
        (),
        "lower",
        in_place_of="success",
        scale="share",
    ),
    Metric(
        "mauve",
        "Closeness to the demonstrations by counts of n-grams; one number for the whole sample, without an interval.",
        _mauve,
        "area, 0 to 1, for samples of one size",
        (),
        "higher",
        scale="share",
    ),
    Metric(
        "mended_texts",
        "Texts that ever erred and end right.",
        _deleted(lambda d: d.mended_texts),
        "share of texts",
        ("exact judge", "deletions"),
        "higher",
        scale="counts",
    ),
    Metric(
        "repetition_rate",
        "Deletions after which the next token written there is the one just deleted.",
        lambda s: repetition_rate(s.rollouts) if _deletes(s) else None,
        "share of deletions",
        ("deletions",),
        "lower",
        scale="counts",
    ),
    Metric(
        "backspace_precision",
        "Deletions made while an error stood.",
        _deleted(lambda d: d.precision),
        "share of deletions",
        ("exact judge", "deletions"),
        "higher",
        scale="counts",
    ),
    Metric(
        "backspace_recall",
        "Errors that were ever deleted; one written and deleted ten times counts ten times.",
        _deleted(lambda d: d.recall),
        "share of errors",
        ("exact judge", "deletions"),
        "higher",
        scale="counts",
        heading="error events deleted",
    ),
    Metric(
        "backspace_delay",
        "Tokens written after an error before the first deletion that follows it.",
        _deleted(lambda d: d.delay),
        "tokens",
        ("exact judge", "deletions"),
        "lower",
        group="",
    ),
    Metric(
        "backspace_loops",
        "Deletions that were undone by writing the same again.",
        _deleted(lambda d: d.loops),
        "share of deletions",
        ("exact judge", "deletions"),
        "lower",
        group="",
        scale="counts",
    ),
    Metric(
        "unfinished",
        "Texts that ran out of actions.",
        lambda s: proportion(int((~s.rollouts.ended).sum()), len(s.rollouts), "sequences"),
        "share of texts",
        (),
        "lower",
        scale="counts",
    ),
)
