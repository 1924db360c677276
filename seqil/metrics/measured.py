"""The numbers that `seqil evaluate` and the studies print, each with its interval over sequences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from .. import metrics
from ..mdp.trajectory import Trajectories
from ..policy.modes import evaluating
from ..policy.token_policy import TokenPolicy
from ..statistics.estimates import Estimate, mean, proportion, quotient, ratio


def evaluation(
    task: Any,
    policy: TokenPolicy,
    demonstrations: Trajectories,
    rollouts: Trajectories,
    cost: metrics.Cost | None = None,
) -> dict[str, Estimate]:
    """Everything that the task can tell of a sample.

    With a teacher: `regret`, the step errors of a text summed, in nats, and `excess_accumulated_error` in % (see
    `metrics`), both estimated from one prefix per text, the teacher's likelihood of the samples, infinite where one
    holds a token that the teacher never writes, and the share of tokens that the teacher writes rarely. `mauve` has
    counts of n-grams as features, and no interval: it is one number for the whole sample.

    Args:
        task: with or without teacher, judge and success.
        policy: what was sampled.
        demonstrations: held-out ones, for likelihood and off-policy step error.
        rollouts: samples of the policy.
        cost: what these took; None: `metrics.cost(rollouts)`, that of sampling without rules.
    """
    texts = rollouts.replay().texts(eos=False)
    found = {"nll_per_token": mean(metrics.negative_log_likelihood(policy, demonstrations), "sequences")}
    prompts, whole = metrics.prompt_lists(rollouts), rollouts.replay().texts()
    successes = [task.success(p, t) for p, t in zip(prompts, whole, strict=True)]
    if None not in successes:
        found["success"] = proportion(sum(successes), len(successes), "sequences")
    judge = judge_of(task)
    if judge is not None:
        first, survived = metrics.first_errors(rollouts, judge)
        found["hazard"] = metrics.hazard(first, survived)
        if judge == task.first_error:  # deletions are judged by exact errors only, not by a proxy
            deleted = metrics.backspaces(rollouts, judge)
            if deleted.deletions:
                found["backspace_precision"], found["backspace_recall"] = deleted.precision, deleted.recall
                found["backspace_delay"], found["backspace_loops"] = deleted.delay, deleted.loops
    if task.next_distribution(demonstrations.replay()) is not None:
        off, on = (step_errors(task, policy, sample) for sample in (demonstrations, rollouts))
        found["off_policy_step_error"], found["on_policy_step_error"] = mean(off, "prefixes"), mean(on, "prefixes")
        found["regret"] = mean(on * [len(text) for text in texts], "sequences")
        # The horizon cancels: the regret of texts of one length is that many times the on-policy step error.
        q = quotient(on, off, "prefixes")
        value, low, high = (metrics.excess_accumulated_error(regret, 1.0, 1) for regret in (q.value, q.low, q.high))
        found["excess_accumulated_error"] = Estimate(value, low, high, q.n, q.unit)
        taught = metrics.taught(task.next_distribution, metrics.final_texts(rollouts))
        found |= _mean(teacher_nll_per_token=metrics.nats_per_token(taught), rare_tokens=metrics.rare_tokens(taught))
    found |= _mean(rep_4=metrics.repetition(texts))
    if len(rollouts) == len(demonstrations):
        found["mauve"] = mean([metrics.mauve(texts, demonstrations.replay().texts(eos=False))], "samples")
    cost = cost or metrics.cost(rollouts)
    found["actions_per_net_token"] = ratio(cost.actions, cost.net, "sequences")
    found["forwards_per_net_token"] = ratio(cost.forwards, cost.net, "sequences")
    found["unfinished"] = proportion(int((~rollouts.ended).sum()), len(rollouts), "sequences")
    return found


def _mean(**values: np.ndarray) -> dict[str, Estimate]:
    """Over the texts that have a value; nothing where none has."""
    known = {name: value[~np.isnan(value)] for name, value in values.items()}
    return {name: mean(value, "sequences") for name, value in known.items() if len(value)}


def judge_of(task: Any) -> metrics.Judge | None:
    """The task's judge of first errors, unless it says that it is not `judged`; else its proxy; None without either."""
    if getattr(task, "judged", True):
        return cast("metrics.Judge", task.first_error)
    return cast("metrics.Judge | None", getattr(task, "first_unknown_word", None))


@torch.no_grad()
def step_errors(task: Any, policy: TokenPolicy, trajectories: Trajectories) -> np.ndarray:
    """`KL(teacher || student)` of the next token, in nats, at one prefix of every final text: float64 [B]."""
    final = trajectories.replay()
    # Positions at fixed fractions of the horizon, another one for each row.
    share = (torch.arange(len(final)) * 0.6180339887) % 1
    length = final.prompt_length + (share * (final.generated - final.ended.long())).long()
    cells = torch.arange(final.tokens.shape[1])
    tokens = torch.where(cells < length[:, None], final.tokens, trajectories.vocabulary.size)
    cut = replace(final, tokens=tokens, length=length, ended=torch.zeros_like(final.ended))
    with evaluating(policy):
        student = metrics.token_log_probs(policy.log_probs(cut.to(policy.weight.device))).cpu()
    return metrics.kl(task.next_distribution(cut), student).numpy()
