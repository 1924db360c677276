"""A few rollouts step by step, for the viewer of the page."""

from __future__ import annotations

from typing import Any

import torch

from seqil import Task, TokenPolicy, Trajectories
from seqil.metrics import Judge, error_depth, prompt_lists
from seqil.policy import evaluating

_DIGITS = 4


@torch.no_grad()
def stepped(
    task: Task, policy: TokenPolicy, rollouts: Trajectories, judge: Judge | None, gamma: float
) -> list[dict[str, Any]]:
    """Each rollout as JSON values, one list entry per action.

    Returns:
        Per rollout `prompt`; `written`, the token as text or None for a deletion; `backspace`, its probability before
        the action; `value`, V before it; `reward`, `q - gamma V'`; `depth`, the
        tokens held from the first error on, after the action (0: there is none); `ended`, whether by `eos`.
    """
    v, there = task.vocabulary, rollouts.to(policy.weight.device)
    with evaluating(policy):
        values = policy.step_values(there)
        pop = policy.step_log_probs(there)[..., v.backspace].exp()
    reward = values.q - gamma * values.v_next
    depth = error_depth(rollouts, judge)[:, 1:] if judge is not None else torch.zeros_like(rollouts.actions).numpy()
    rows = zip(prompt_lists(rollouts), rollouts.actions.tolist(), rollouts.lengths.tolist(), strict=True)
    return [
        {
            "prompt": task.decode(prompt),
            "written": [None if a == v.backspace else task.decode([a]) for a in actions[:n]],
            "backspace": rounded(pop[row, :n], _DIGITS),
            "value": rounded(values.v[row, :n], _DIGITS),
            "reward": rounded(reward[row, :n], _DIGITS),
            "depth": depth[row, :n].tolist(),
            "ended": bool(rollouts.ended[row]),
        }
        for row, (prompt, actions, n) in enumerate(rows)
    ]


def rounded(values: Any, digits: int) -> list[float]:
    """The numbers of a tensor or array to so many significant digits, to save space."""
    return [float(f"{x:.{digits}g}") for x in values.tolist()]
