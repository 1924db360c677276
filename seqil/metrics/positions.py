"""The student's and the teacher's law before every token of a text, and what is measured of them by position.

Texts are trajectories without deletions, `eos` included; `final_texts` makes them of any. Values come as float64
[B, T], NaN beyond the end of a text. A policy with a backspace enters with the law of its next token given that none
is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..errors.arguments import check_count, check_fields, check_number, of_arrays, typed_widely
from ..mdp.prefix import Prefixes
from ..mdp.trajectory import Trajectories
from ..models.modes import evaluating
from ..policy.token_policy import TokenPolicy
from ..statistics.estimates import Estimate, difference, mean
from .distances import kl, token_log_probs
from .lifetimes import Floats

Teacher = Callable[[Prefixes], Tensor | None]
"""Law of the next token, float64 [B, V], such as `Task.next_distribution`; None where there is none."""


@dataclass(frozen=True)
class Steps:
    """K steps of some texts.

    Attributes:
        token: int64 [K], what was written.
        student: float64 [K, V], log-probabilities.
        teacher: float64 [K, V], probabilities; None if no teacher was asked.
    """

    token: Tensor
    student: Tensor
    teacher: Tensor | None = None

    def __post_init__(self) -> None:
        check_fields(self, wide=True)

    @property
    def taught(self) -> Tensor:
        """The teacher's probabilities, or an error that names what is missing."""
        if self.teacher is None:
            raise InvalidInputError("this is measured against a teacher; pass one, such as task.next_distribution")
        return self.teacher


Measure = Callable[[Steps], Tensor]
RARE = 0.02


@typed_widely
def final_texts(trajectories: Trajectories) -> Trajectories:
    """What was finally written, as trajectories without deletions."""
    t = trajectories
    texts = t.replay().texts()
    return Trajectories.from_actions(t.vocabulary, t.prompts, texts, max_length=t.max_length, min_length=t.min_length)


@typed_widely
@torch.no_grad()
def along(
    texts: Trajectories, measure: Measure, policy: TokenPolicy, teacher: Teacher | None = None, batch_size: int = 64
) -> Floats:
    """A measure of every step: float64 [B, T], NaN beyond the end.

    Args:
        texts: without deletions.
        measure: from K steps to float [K]; see the functions below.
        policy: the student.
        teacher: asked once for each of the T positions of a batch.
        batch_size: texts at a time.

    Raises:
        InvalidInputError: texts with deletions, or a measure that needs the teacher without one.
    """
    if bool((texts.inside & (texts.actions == texts.vocabulary.backspace)).any()):
        raise InvalidInputError("the texts hold deletions; measure final_texts(trajectories)")
    found = np.full(tuple(texts.actions.shape), np.nan)
    with evaluating(policy):
        for at, part in _batches(texts, batch_size):
            log_probs = policy.step_log_probs(part.to(policy.weight.device)).cpu()
            inside = part.inside
            laws = None if teacher is None else _laws(teacher, part)[inside]
            steps = Steps(part.actions[inside], token_log_probs(log_probs[inside]), laws)
            rows, columns = inside.nonzero(as_tuple=True)
            found[at + rows.numpy(), columns.numpy()] = measure(steps).double().numpy()
    return found


# -- measures ------------------------------------------------------------------------------------------


@typed_widely
def step_error(steps: Steps) -> Tensor:
    """`KL(teacher || student)`: off policy on demonstrations, on policy on the student's own texts."""
    return kl(steps.taught, steps.student)


@typed_widely
def reverse_step_error(steps: Steps) -> Tensor:
    """`KL(student || teacher)`, infinite where the student may write what the teacher never does."""
    return kl(steps.student.exp(), steps.taught.double().log())


@typed_widely
def entropy(steps: Steps) -> Tensor:
    """Entropy of the student's law."""
    p = steps.student.exp()
    return -torch.where(p > 0, p * steps.student, 0).sum(-1)


@typed_widely
def surprisal(steps: Steps) -> Tensor:
    """`-log student(token)`."""
    return -steps.student.gather(-1, steps.token[:, None])[:, 0]


@typed_widely
def teacher_surprisal(steps: Steps) -> Tensor:
    """`-log teacher(token)`, infinite where the teacher never writes it."""
    return -steps.taught.double().gather(-1, steps.token[:, None])[:, 0].log()


@typed_widely
def forbidden(steps: Steps) -> Tensor:
    """1 where the teacher never writes the token after this prefix, whatever went wrong before; else 0."""
    return (steps.taught.gather(-1, steps.token[:, None])[:, 0] == 0).double()


# -- over the horizon ----------------------------------------------------------------------------------


@of_arrays
def by_position(values: Floats) -> list[Estimate]:
    """Mean at each position over the texts that reach it."""
    _check_table("by_position", values)
    return [mean(column[~np.isnan(column)], "sequences") for column in values.T if not np.isnan(column).all()]


@of_arrays
def regret(values: Floats) -> Floats:
    """`R(T)`: mean over texts of the values summed over the first T positions, float64 [T]; nothing after the end.

    Of `step_error` on the student's own texts it is the on-policy regret (Arora et al. 2022); on demonstrations its
    last entry is `KL(teacher || student)` of whole texts, as that of `reverse_step_error` on own texts is the reverse
    one. Of `forbidden` it is the local regret: errors written by T, each judged by what stood before it.
    """
    _check_table("regret", values)
    summed: Floats = np.where(np.isnan(values), 0.0, values).mean(0).cumsum()
    return summed


@of_arrays
def entropy_drift(own: Floats, data: Floats) -> list[Estimate]:
    """Entropy along generations minus log-loss on data, by position: 0 for a calibrated law (Braverman et al. 2020).

    Its mean over positions is the entropy calibration error of Cao et al. (2025).

    Args:
        own: `along(own texts, entropy, …)`.
        data: `along(demonstrations, surprisal, …)`.
    """
    return [difference(a, b) for a, b in zip(by_position(own), by_position(data), strict=False)]


@typed_widely
@torch.no_grad()
def negative_log_likelihood(policy: TokenPolicy, trajectories: Trajectories, batch_size: int = 64) -> Floats:
    """Nats per action of clean demonstrations, given that none is deleted: float64 [B].

    Of a policy with a backspace this is the likelihood of its tokens, renormalised without the backspace. It computes
    no law over the whole vocabulary, as `along` does.
    """
    rows: list[Floats] = []
    with evaluating(policy):
        for _, part in _batches(trajectories, batch_size):
            values = policy.step_values(part.to(policy.weight.device), backspace=False)
            rows.append(-(values.log_prob * values.mask).sum(1).double().cpu().numpy() / part.lengths.numpy())
    return np.concatenate(rows)


@typed_widely
def teacher_negative_log_likelihood(teacher: Teacher, texts: Trajectories) -> Floats:
    """Nats per token, `eos` included, that the teacher gives to texts: float64 [B]; infinite for a forbidden token."""
    return nats_per_token(taught(teacher, texts))


@typed_widely
def taught(teacher: Teacher, texts: Trajectories) -> Floats:
    """The teacher's probability of every token of texts without deletions: float64 [B, T], NaN beyond the end."""
    token = texts.actions.clamp(max=texts.vocabulary.size - 1)
    return _laws(teacher, texts).gather(-1, token[..., None])[..., 0].numpy()


@of_arrays
def nats_per_token(probabilities: Floats) -> Floats:
    """Mean of `-log` over the tokens of each text, NaN where it has none: float64 [B]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        per_token: Floats = np.nansum(-np.log(probabilities), axis=1) / (~np.isnan(probabilities)).sum(1)
    return per_token


@of_arrays
def rare_tokens(probabilities: Floats, below: float = RARE) -> Floats:
    """Share of the tokens of each text to which the teacher gives little, NaN where it has none: float64 [B].

    Args:
        probabilities: `taught(…)`; forbidden tokens, at 0, are errors and do not count as rare ones.
        below: what little is.
    """
    check_number("rare_tokens", "below", below, 0, 1)
    with np.errstate(invalid="ignore"):
        rare = (probabilities > 0) & (probabilities < below)
        share: Floats = rare.sum(1) / (~np.isnan(probabilities)).sum(1)
    return share


def _check_table(where: str, values: Floats) -> None:
    if values.ndim != 2:
        raise InvalidInputError(f"{where}: values have shape {[*values.shape]}; give [texts, positions], as of `along`")


def _batches(texts: Trajectories, batch_size: int) -> Iterator[tuple[int, Trajectories]]:
    for at in range(0, len(texts), check_count("over texts", "batch_size", batch_size, 1)):
        yield at, texts.select(slice(at, at + batch_size))


def _laws(teacher: Teacher, texts: Trajectories) -> Tensor:
    """The teacher's law before every step: float64 [B, T, V], NaN beyond the end."""
    B, T = texts.actions.shape
    laws = torch.full((B, T, texts.vocabulary.size), torch.nan, dtype=torch.float64)
    for step in range(T):
        rows = (texts.lengths > step).nonzero()[:, 0]
        law = teacher(texts.before(rows, torch.full_like(rows, step)))
        if law is None:
            raise InvalidInputError("the teacher has no law (it is None); this is measured against one")
        laws[rows, step] = law.double()
    return laws
