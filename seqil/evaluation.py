"""The numbers that `seqil evaluate` and the studies print, each with its interval over sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from . import metrics
from .policy import TokenPolicy, evaluating
from .prefix import Prefixes
from .statistics import Estimate, mean, proportion, ratio
from .trajectory import Trajectories


def evaluation(
    task: Any,
    policy: TokenPolicy,
    demonstrations: Trajectories,
    rollouts: Trajectories,
    cost: metrics.Cost | None = None,
) -> dict[str, Estimate]:
    """Everything that the task can tell of a sample.

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
            if deleted.hits + deleted.path + deleted.false:
                found["backspace_precision"], found["backspace_recall"] = deleted.precision, deleted.recall
    if task.next_distribution(demonstrations.replay()) is not None:
        for name, sample in (("off_policy_step_error", demonstrations), ("on_policy_step_error", rollouts)):
            found[name] = mean(step_errors(task, policy, sample), "prefixes")
    repeated = metrics.repetition(texts)
    if not np.isnan(repeated).all():
        found["rep_4"] = mean(repeated[~np.isnan(repeated)], "sequences")
    cost = cost or metrics.cost(rollouts)
    found["actions_per_net_token"] = ratio(cost.actions, cost.net, "sequences")
    found["forwards_per_net_token"] = ratio(cost.forwards, cost.net, "sequences")
    found["unfinished"] = proportion(int((~rollouts.ended).sum()), len(rollouts), "sequences")
    return found


def judge_of(task: Any) -> metrics.Judge | None:
    """The task's judge of first errors, or its proxy; None where it has neither."""
    proxy = getattr(task, "first_unknown_word", None)
    if proxy is not None:
        return proxy
    return task.first_error if task.next_distribution.__qualname__ != "Task.next_distribution" else None


@torch.no_grad()
def step_errors(task: Any, policy: TokenPolicy, trajectories: Trajectories, per_row: int = 1) -> np.ndarray:
    """`KL(teacher || student)` of the next token, in nats, at one or more prefixes of every final text: float64."""
    final = trajectories.replay()
    errors = []
    with evaluating(policy):
        for k in range(per_row):
            # Positions at fixed fractions of the horizon, another one for each row.
            share = (torch.arange(len(final)) * 0.6180339887 + k / per_row) % 1
            length = final.prompt_length + (share * (final.generated - final.ended.long())).long()
            cells = torch.arange(final.tokens.shape[1])
            tokens = torch.where(cells < length[:, None], final.tokens, trajectories.vocabulary.size)
            cut = Prefixes(
                tokens, length, final.prompt_length, torch.zeros_like(final.ended), final.max_length, final.min_length
            )
            student = metrics.token_log_probs(policy.log_probs(cut.to(policy.weight.device))).cpu()
            errors.append(metrics.kl(task.next_distribution(cut), student))
    return torch.cat(errors).numpy()
