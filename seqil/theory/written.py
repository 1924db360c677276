"""The probability that a policy finally writes a given text, exactly, whatever its moves are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..errors import InvalidInputError, UnsupportedModelError
from ..mdp.trajectory import Trajectories
from ..revision.masked_policy import SWEEPS, MaskedPolicy
from ..revision.parallel_policy import ParallelPolicy
from .enumeration import prefix_table
from .exact import Floats
from .filling import filled_law

Law = Callable[[list[int]], Callable[[tuple[int, ...]], float]]
"""Of a prompt: the probability of each text, `eos` included."""


def final_log_probs(policy: Any, texts: Trajectories, limit: int = 100_000) -> Floats:
    """Log-probability of each text as what the policy finally writes after its prompt, by enumeration: float64 [B].

    Plain samples without a budget of actions are meant: of a `TokenPolicy` whatever it deletes on the way, of a
    `ParallelPolicy` in one shot, of a `MaskedPolicy` by its `write` without options. Where nothing is deleted it is the
    likelihood; a policy that deletes has another law of its final texts than of what it would write without.

    Args:
        policy: any of these.
        texts: B of them, ended and without deletions.
        limit: of prefixes per prompt, or of texts with empty cells.

    Raises:
        InvalidInputError: a text with deletions or without an end, texts of several lengths for a `MaskedPolicy`, or
            more prefixes than the limit.
        UnsupportedModelError: a policy whose final law is not known here: one with the memory `history`, whose states
            are not prefixes, one that has learned from what it tried, one with a head for quality, or one that edits.
    """
    final = texts.replay()
    if not bool(final.ended.all()) or bool((texts.actions == texts.vocabulary.backspace)[texts.inside].any()):
        raise InvalidInputError("give ended texts without deletions, such as demonstrations")
    if isinstance(policy, ParallelPolicy):
        with torch.no_grad():
            return policy.log_prob(final.to(policy.device)).double().cpu().numpy()
    law = _law(policy, texts, limit)
    prompts = [
        tuple(row[:length]) for row, length in zip(texts.prompts.tolist(), texts.prompt_lengths.tolist(), strict=True)
    ]
    of = {prompt: law(list(prompt)) for prompt in set(prompts)}
    found = [of[prompt](tuple(text)) for prompt, text in zip(prompts, final.texts(), strict=True)]
    with np.errstate(divide="ignore"):
        return np.log(np.array(found, dtype=np.float64))


def _law(policy: Any, texts: Trajectories, limit: int) -> Law:
    lengths = {"max_length": texts.max_length, "min_length": texts.min_length}
    if isinstance(policy, MaskedPolicy) and policy.quality_head is None:
        if texts.min_length != texts.max_length:
            raise InvalidInputError("the law of a masked policy is known here of texts of one length alone")
        return lambda prompt: _cells(filled_law(policy, prompt, texts.max_length, sweeps=SWEEPS, limit=limit))
    rewinds = getattr(policy, "autoregressive", False) and policy.memory.rewinds
    if rewinds and getattr(policy, "tried_term", None) is None:
        return lambda prompt: _tree(prefix_table(policy, prompt, limit=limit, **lengths), policy.memory.forbids)
    raise UnsupportedModelError(
        f"the law of the final text of this {type(policy).__name__} is not known here; give a TokenPolicy with the "
        "memory prefix or tried and no learned term, a ParallelPolicy, or a MaskedPolicy without a head for quality"
    )


def _cells(law: Floats) -> Callable[[tuple[int, ...]], float]:
    return lambda text: float(law[text[:-1]])


def _tree(table: Any, forbids: bool) -> Callable[[tuple[int, ...]], float]:
    final = table.tried().final() if forbids else table.final()
    number = {text: i for i, text in enumerate(table.texts)}
    return lambda text: float(final[number[text]]) if text in number else 0.0
