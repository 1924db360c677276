"""Several samples per prompt, one of which is kept: best-of-k, majority vote, rejection.

What is kept comes with the cost of everything that was drawn, so that ways to decode can be compared at equal cost.
Callables are handed texts as id lists with their final `eos`, if they have one, as a task's `success` is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import InvalidInputError, counted
from .errors.arguments import check_function, typed
from .errors.limits import check_memory, check_readings, within_budget
from .mdp.prefix import Prompts, pad_prompts
from .mdp.trajectory import Trajectories
from .metrics import Cost, Floats, Ints, cost, negative_log_likelihood, prompt_lists
from .metrics.positions import final_texts
from .models.modes import evaluating
from .policy.token_policy import TokenPolicy
from .revision import WholeTextPolicy
from .rollouts.rollouts import rollout

Score = Callable[[Sequence[int], Sequence[int]], float]
Answer = Callable[[Sequence[int]], Hashable]
Sample = Callable[..., Trajectories]

_SURE = 1 - 1e-12  # a probability of deletion above it counts as this
_ROUNDS = 1000  # after which it is asked whether there is room for more
_APART = 2**32  # between the streams of two samples of a prompt


@dataclass(frozen=True)
class Ranking:
    """A score of all samples at once, by a model that reads each final text.

    Attributes:
        name: for tables.
        scores: `(policy, trajectories)` -> float64 [B].
    """

    name: str
    scores: Callable[[TokenPolicy, Trajectories], Floats]


@dataclass(frozen=True, eq=False)
class Selection:
    """One sample per prompt.

    Attributes:
        trajectories: what was kept, on the CPU.
        value: float64 [B], why: its score, its share of the votes, or 1 for accepted and 0 for not.
        draws: int64 [B], samples drawn per prompt.
        cost: actions and forward positions of all samples drawn per prompt, net tokens of the one kept.
    """

    trajectories: Trajectories
    value: Floats
    draws: Ints
    cost: Cost


@typed
def best_of(
    policy: TokenPolicy,
    prompts: Prompts,
    k: int,
    score: Score | Ranking | None = None,
    *,
    generator: torch.Generator,
    sample: Sample = rollout,
    **options: Any,
) -> Selection:
    """Draw `k` samples per prompt and keep the one with the highest score, of equals the first.

    Args:
        policy: what is sampled.
        prompts: B of them, as for `rollout`.
        k: samples per prompt; all `k B` rows are drawn in one batch.
        score: (prompt, text) -> number; or a `Ranking`, such as `OWN_BACKSPACE`; None: `mean_log_prob`. A ranking reads
            every text once more, and that is part of the cost; so does `mean_log_prob` where the texts were sampled by
            another law, because of a backspace, rules or a temperature.
        generator: one number is drawn from it. The j-th sample of a prompt depends neither on `k` nor on the other
            prompts.
        sample: `rollout`, or `rollout_reference` for a policy that is a table.
        options: of `sample`: max_length, temperature, rules …

    Raises:
        InvalidInputError: `k` below 1, or a score that is not a number.
    """
    if not (score is None or isinstance(score, Ranking) or callable(score)):
        raise InvalidInputError(
            f"best_of: score={score!r:.60} is no function of prompt and text and no Ranking, LIKELIHOOD say"
        )
    if score is not None and not isinstance(score, Ranking):
        check_function("best_of", "score", score, "prompt", "text")
    pool = _draw(policy, prompts, k, generator, sample, options)
    known = score is None and _is_known(policy, pool, options)
    if known:
        scores = _sampled_log_prob(pool)
    elif score is None or isinstance(score, Ranking):
        scores = (LIKELIHOOD if score is None else score).scores(policy, pool)
    else:
        scores = _judged(score, pool)
    scores = scores.reshape(k, -1)
    reads = not known and (score is None or isinstance(score, Ranking))
    read = (pool.prompt_lengths - 1 + pool.replay().generated).numpy() if reads else 0
    return _selection(pool, _owners(pool, k), _rows(scores.argmax(0)), scores.max(0), options, read)


@typed
def majority_vote(
    policy: TokenPolicy,
    prompts: Prompts,
    k: int,
    answer: Answer | None = None,
    *,
    generator: torch.Generator,
    sample: Sample = rollout,
    **options: Any,
) -> Selection:
    """Draw `k` samples per prompt and keep the first with the most frequent answer (Wang et al. 2023).

    Of equally frequent answers the one that was drawn first wins.

    Args:
        policy, prompts, k, generator, sample, options: as for `best_of`.
        answer: text -> what it votes for, hashable, or None for no vote; None: the text itself.
    """
    if answer is not None:
        check_function("majority_vote", "answer", answer, "text")
    pool = _draw(policy, prompts, k, generator, sample, options)
    votes = [tuple(text) if answer is None else answer(text) for text in pool.replay().texts()]
    B = len(pool) // k
    best, share = np.zeros(B, dtype=np.int64), np.zeros(B)
    for b in range(B):
        cast = votes[b::B]
        for winner, number in Counter(vote for vote in cast if vote is not None).most_common(1):
            best[b], share[b] = cast.index(winner), number / k
    return _selection(pool, _owners(pool, k), _rows(best), share, options)


@typed
def rejection(
    policy: TokenPolicy,
    prompts: Prompts,
    accept: Score,
    most: int,
    *,
    generator: torch.Generator,
    sample: Sample = rollout,
    **options: Any,
) -> Selection:
    """Draw until a verifier accepts, at most `most` times; only prompts whose sample was refused are drawn again.

    A prompt whose samples were all refused keeps the last of them.

    Args:
        policy, prompts, sample, options: as for `best_of`.
        accept: (prompt, text) -> whether it will do.
        most: rounds.
        generator: one number per round is drawn from it. A prompt's samples do not depend on the other prompts.
    """
    _check_positive("most", most)
    check_function("rejection", "accept", accept, "prompt", "text")
    cells, _ = pad_prompts(policy.vocabulary, prompts)
    check_readings(most, f"{most:,} rounds", "lower most")
    value, last = np.zeros(len(cells)), np.zeros(len(cells), dtype=np.int64)
    drawn: list[Trajectories] = []
    owners: list[Ints] = []
    refused = np.arange(len(cells))
    while len(refused) and len(drawn) < most:
        streams = torch.from_numpy(refused)
        drawn.append(sample(policy, cells[streams], generator=generator, streams=streams, **options).to("cpu"))
        last[refused] = sum(map(len, owners)) + np.arange(len(refused))
        owners.append(refused)
        value[refused] = _judged(accept, drawn[-1]) != 0
        refused = refused[value[refused] == 0]
        if len(drawn) % _ROUNDS == 0:
            _check_room(sum(map(len, owners)), options, f"what {len(drawn):,} rounds drew", "lower most")
    return _selection(Trajectories.cat(drawn), np.concatenate(owners), last, value, options)


@typed
def mean_log_prob(policy: TokenPolicy, trajectories: Trajectories) -> Floats:
    """Mean log-probability of the tokens of each final text, given that none is deleted: float64 [B].

    At temperature 1 and without rules, whatever the text was sampled with; -inf for an empty text.
    """
    final = trajectories.replay()
    rows = final.generated.nonzero()[:, 0]
    scores = np.full(len(final), -math.inf)
    if len(rows):
        texts = Trajectories.from_actions(
            trajectories.vocabulary,
            trajectories.prompts[rows],
            final.select(rows).texts(),
            max_length=trajectories.max_length,
            min_length=trajectories.min_length,
        )
        scores[rows.numpy()] = -negative_log_likelihood(policy, texts)
    return scores


@typed
@torch.no_grad()
def standing_log_prob(policy: TokenPolicy, trajectories: Trajectories) -> Floats:
    """How sure a policy is that a text can stand: `sum_t log(1 - pi(backspace | s_t))` over its states: float64 [B].

    The log-probability that, of one look at each of its prefixes behind the prompt, none leads to a deletion; `eos` has
    no look behind it. A verifier that costs no training: the policy was taught to delete what is wrong.

    Raises:
        InvalidInputError: a policy that cannot delete.
    """
    if not policy.backspace:
        raise InvalidInputError("a policy without a backspace has no doubt of its own to rank texts by")
    texts = final_texts(trajectories).to(policy.weight.device)
    with evaluating(policy):
        pop = policy.step_log_probs(texts)[..., texts.vocabulary.backspace].double().exp()
    return torch.where(texts.inside, torch.log1p(-pop.clamp(max=_SURE)), 0).sum(1).cpu().numpy()


LIKELIHOOD = Ranking("likelihood", mean_log_prob)
OWN_BACKSPACE = Ranking("own_backspace", standing_log_prob)
RANKINGS = {ranking.name: ranking for ranking in (LIKELIHOOD, OWN_BACKSPACE)}
"""By name, for settings."""


def _is_known(policy: TokenPolicy, pool: Trajectories, options: dict[str, Any]) -> bool:
    """Whether the law that the texts were sampled by is that of `mean_log_prob`."""
    plain = not options.get("rules") and options.get("temperature", 1.0) == 1
    return pool.log_prob is not None and not policy.backspace and plain


def _sampled_log_prob(pool: Trajectories) -> Floats:
    assert pool.log_prob is not None
    total = torch.where(pool.inside, pool.log_prob, 0).sum(1).double()
    return torch.where(pool.lengths > 0, total / pool.lengths.clamp(min=1), -math.inf).numpy()


def _draw(
    policy: TokenPolicy, prompts: Prompts, k: int, generator: torch.Generator, sample: Sample, options: dict[str, Any]
) -> Trajectories:
    """`k` samples of every prompt, [k B] rows: first the first sample of each."""
    _check_positive("k", k)
    if isinstance(policy, WholeTextPolicy):
        raise InvalidInputError("several texts are compared by the law of the next token, which this policy has not")
    cells, _ = pad_prompts(policy.vocabulary, prompts)
    _check_room(k * len(cells), options, f"{k:,} samples of {counted(len(cells), 'prompt')}", "lower k")
    streams: Tensor = torch.arange(k)[:, None] * _APART + torch.arange(len(cells))
    return sample(policy, cells.repeat(k, 1), generator=generator, streams=streams.flatten(), **options).to("cpu")


def _owners(pool: Trajectories, k: int) -> Ints:
    """The prompts of what `_draw` drew."""
    return np.tile(np.arange(len(pool) // k), k)


def _rows(samples: Ints) -> Ints:
    """Where `_draw` put these samples, one per prompt."""
    return samples * len(samples) + np.arange(len(samples))


def _selection(
    pool: Trajectories, owners: Ints, rows: Ints, value: Floats, options: dict[str, Any], read: Ints | int = 0
) -> Selection:
    """Keep some rows of the pool; `owners` are the prompts of all rows, `read` positions that judging them took."""
    kept, total = pool.select(torch.from_numpy(rows)), cost(pool, options.get("rules", ()))
    actions, forwards = np.zeros_like(rows), np.zeros_like(rows)
    np.add.at(actions, owners, total.actions)
    np.add.at(forwards, owners, total.forwards + read)
    return Selection(kept, value, np.bincount(owners), Cost(actions, forwards, cost(kept).net))


def _judged(judge: Score, trajectories: Trajectories) -> Floats:
    found = []
    for prompt, text in zip(prompt_lists(trajectories), trajectories.replay().texts(), strict=True):
        value = judge(prompt, text)
        try:
            found.append(float(value))
        except (TypeError, ValueError):
            found.append(math.nan)
        if math.isnan(found[-1]):
            raise InvalidInputError(
                f"the verdict on the text {text} is {value!r}; it must be a number or a truth value"
            )
    return np.array(found)


def _check_room(rows: int, options: dict[str, Any], what: str, remedy: str) -> None:
    """What is no length is refused by whatever samples."""
    length = options.get("max_length")
    budget = within_budget(options.get("max_actions"), length) if isinstance(length, int) else 1
    check_memory(24 * rows * (budget if isinstance(budget, int) else 1), what, remedy)


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise InvalidInputError(f"{name}={value}: draw at least one sample per prompt")
