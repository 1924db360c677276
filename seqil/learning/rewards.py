"""How good a final text is, as one number: what samples are ranked by, and what rollouts are paid for.

A reward is a function of the final texts of K demonstrations and of K texts on the same prompts, both as states with
the prompt in sight, to float64 [K]; more is better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..errors.arguments import check_count, check_function, check_number, typed_widely
from ..mdp.edits import KINDS
from ..mdp.prefix import Prefixes, pad
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..mdp.tree import pack
from ..metrics.positions import taught
from ..models.modes import evaluating
from ..policy.token_policy import TokenPolicy
from ..revision.edit_experts import edit_distances
from .experts import has_teacher

TextReward = Callable[[Prefixes, Prefixes], Tensor]
"""(references, texts), K rows each -> float64 [K]."""
Judge = Callable[[Sequence[int], Sequence[int], Sequence[int]], float]
"""(prompt, reference, text), token ids, a final `eos` included -> how good the text is."""

SPANS = (1, 2, 4, 8)
"""Numbers of neighbouring tokens whose mean state is compared."""
LEAST = 1e-4
"""What a forbidden token counts for in a likelihood, so that a text with one is bad, and with two worse."""


def of_texts(judge: Judge) -> TextReward:
    """The reward that judges one text at a time."""
    check_function("of_texts", "judge", judge, "prompt", "reference", "text")

    def reward(references: Prefixes, texts: Prefixes) -> Tensor:
        found = [judge(*of) for of in zip(prompts(texts), references.texts(), texts.texts(), strict=True)]
        return torch.tensor(found, dtype=torch.float64)

    return reward


@typed_widely
def prompts(states: Prefixes) -> list[list[int]]:
    """Token ids of the prompts."""
    rows = zip(states.tokens.tolist(), states.prompt_length.tolist(), strict=True)
    return [cells[:length] for cells, length in rows]


@typed_widely
def common_blocks(references: Prefixes, texts: Prefixes) -> Tensor:
    """Twice the length of matching blocks over both lengths (Ratcliff & Obershelp), in [0, 1]."""
    pairs = zip(references.texts(), texts.texts(), strict=True)
    found = [SequenceMatcher(None, a, b, autojunk=False).ratio() for a, b in pairs]
    return torch.tensor(found, dtype=torch.float64)


@typed_widely
def edit(references: Prefixes, texts: Prefixes) -> Tensor:
    """One less the edit distance (Levenshtein 1966) over the length of the longer text, in [0, 1]."""
    (one, n), (other, m) = (pad(p.texts(), -1, "text") for p in (texts, references))
    distance = edit_distances(KINDS, one, other)[torch.arange(len(n)), n, m]
    return 1 - distance / torch.maximum(n, m).clamp(min=1)


@typed_widely
def success(task: Task) -> TextReward:
    """1 for a text that the task says is right, else 0.

    Raises:
        InvalidInputError: the task does not say, of its first demonstration or later.
    """

    def judge(prompt: Sequence[int], reference: Sequence[int], text: Sequence[int]) -> float:
        right = task.success(prompt, text)
        if right is None:
            raise InvalidInputError(
                f"the task {task.name!r} does not say which texts are right; choose another reward, common_blocks say"
            )
        return float(right)

    reward, shown = of_texts(judge), task.demonstrations(1, "train", 0).replay()
    reward(shown, shown)
    return reward


@typed_widely
def first_error(task: Task) -> TextReward:
    """1 for a finished text without an error, else its right tokens over the most that a text may have, `eos` included.

    Raises:
        InvalidInputError: the task has no judge.
    """
    if not task.judged:
        raise InvalidInputError(f"the task {task.name!r} has no judge of errors; choose another reward, edit say")

    def reward(references: Prefixes, texts: Prefixes) -> Tensor:
        rows = zip(prompts(texts), texts.texts(), strict=True)
        at = [(task.first_error(prompt, text), len(text)) for prompt, text in rows]
        right = torch.tensor([n if error is None else error for error, n in at], dtype=torch.float64)
        whole = torch.tensor([error is None for error, _ in at]) & texts.ended.cpu()
        return torch.where(whole, 1.0, right / (texts.max_length + 1))

    return reward


@typed_widely
def teacher_likelihood(task: Task, least: float = LEAST) -> TextReward:
    """Mean log-probability of the tokens under the exact teacher, in nats, none below that of `least`.

    A text without its `eos` counts as one that a forbidden token ended.

    Raises:
        InvalidInputError: the task has no teacher.
    """
    v = task.vocabulary
    check_number("teacher_likelihood", "least", least, 1e-300, 1)
    if not has_teacher(task):
        raise InvalidInputError(f"the task {task.name!r} has no exact teacher; choose another reward, edit say")

    def reward(references: Prefixes, texts: Prefixes) -> Tensor:
        written = Trajectories.from_actions(
            v, prompts(texts), texts.texts(), max_length=texts.max_length, min_length=texts.min_length
        )
        log_p = torch.from_numpy(taught(task.next_distribution, written)).clamp(min=least).log()
        cut = (~texts.ended.cpu()).double()
        floor = torch.tensor(least, dtype=torch.float64).log()
        return (log_p.nansum(1) + cut * floor) / (written.lengths + cut)

    return reward


@typed_widely
def latent(policy: TokenPolicy, spans: Sequence[int] = SPANS) -> TextReward:
    """Likeness in the last hidden states of a policy, which reads each text behind its prompt, in [0, 1].

    A span is the mean state of so many neighbouring tokens. Each is matched with the nearest one of the other text by
    the cosine, none below 0; precision and recall are the means over both texts, and the reward is the mean of their F
    over all lengths of span that both texts have, as in the similarity of SLiC (Zhao et al. 2022; its weights, which
    were not read, may be others). Where a text has no token it is 1 for two empty ones, else 0.

    The states are those of the moment: of a policy that is being trained they move. Give a copy for fixed ones. What is
    read for them is not among the positions that an agent counts.
    """

    for span in spans if isinstance(spans, Sequence) and spans else [spans]:
        check_count("latent", "spans", span, 1)

    def reward(references: Prefixes, texts: Prefixes) -> Tensor:
        before, pairs = prompts(texts), (references.texts(), texts.texts())
        one, other = (_states(policy, before, written) for written in pairs)
        return torch.tensor([_likeness(*of, spans) for of in zip(one, other, strict=True)], dtype=torch.float64)

    return reward


@torch.no_grad()
def _states(policy: TokenPolicy, before: Sequence[Sequence[int]], written: list[list[int]]) -> list[Tensor]:
    """Last hidden states at the tokens of each text: [its length, D]."""
    with evaluating(policy):
        t = Trajectories.from_actions(policy.vocabulary, before, written).to(policy.weight.device)
        tree = pack(policy.vocabulary, t)
        own = tree.depth >= t.prompt_lengths[:, None]
        return [states[here].double() for states, here in zip(policy.tree_hidden(tree), own, strict=True)]


def _likeness(one: Tensor, other: Tensor, spans: Sequence[int]) -> float:
    found = []
    for span in spans:
        if min(len(one), len(other)) >= span:
            nearest = _means(one, span) @ _means(other, span).T
            recall, precision = (nearest.amax(dim).clamp(min=0).mean().item() for dim in (1, 0))
            found.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return sum(found) / len(found) if found else float(len(one) == len(other))


def _means(states: Tensor, span: int) -> Tensor:
    return torch.nn.functional.normalize(states.unfold(0, span, 1).mean(-1), dim=-1)


def paid(reward: TextReward, references: Prefixes, texts: Prefixes) -> Tensor:
    """What a reward says of texts, on their device.

    Raises:
        InvalidInputError: it returns anything but K finite numbers.
    """
    found = reward(references, texts)
    name = getattr(reward, "__name__", type(reward).__name__)
    if not isinstance(found, Tensor) or found.shape != (len(texts),):
        what = f"a tensor of shape {list(found.shape)}" if isinstance(found, Tensor) else f"{found!r:.40}"
        raise InvalidInputError(
            f"the reward {name} returned {what}; return a tensor of {len(texts)} numbers, one per text"
        )
    if not bool(found.isfinite().all()):
        raise InvalidInputError(f"the reward {name} is not finite at text {int((~found.isfinite()).nonzero()[0, 0])}")
    return found.double().to(texts.tokens.device)


def by_common_blocks(task: Task, learner: TokenPolicy) -> TextReward:
    """Matching blocks of the text and its reference."""
    return common_blocks


def by_edit(task: Task, learner: TokenPolicy) -> TextReward:
    """Nearness to the reference, by edits."""
    return edit


def by_success(task: Task, learner: TokenPolicy) -> TextReward:
    """1 for a text that the task says is right."""
    return success(task)


def by_first_error(task: Task, learner: TokenPolicy) -> TextReward:
    """How far the text is right."""
    return first_error(task)


def by_teacher_likelihood(task: Task, learner: TokenPolicy) -> TextReward:
    """Mean log-probability under the exact teacher of the task."""
    return teacher_likelihood(task)


def by_latent(task: Task, learner: TokenPolicy) -> TextReward:
    """Likeness to the reference in the learner's own hidden states, which move as it learns."""
    return latent(learner)


REWARDS: dict[str, Callable[[Task, TokenPolicy], TextReward]] = {
    "common_blocks": by_common_blocks,
    "edit": by_edit,
    "latent": by_latent,
    "success": by_success,
    "first_error": by_first_error,
    "teacher_likelihood": by_teacher_likelihood,
}
"""The built-in ones by name, for settings: (task, learner) -> reward. Others register theirs as `seqil.rewards`."""
