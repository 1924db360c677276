"""Ways to a text of a high attribute, trained at one cost, and what they reach (`potentials`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch

from agents.behavior_cloning import BehaviorCloning
from agents.revising.ice import ICE
from envs.tasks import Potentials
from seqil import Agent, TokenPolicy, rollout
from seqil.learning.training import Training
from seqil.mdp.edits import begin_with
from seqil.mdp.prefix import Prefixes
from seqil.models.from_scratch import small_gpt2
from seqil.revision import EditPolicy
from seqil.revision.edit_policy import Guide, Scorer, Worth, scorer
from seqil.revision.making import small_bert

TASK, TOLD = Potentials(), Potentials(told=True)
EDITS = (0, 5, 10, 20, 40)
ASKED = (1.0, 2.0, 3.0, 4.0)
SAMPLES = (50, 200)
CANDIDATES = 5
_SIZES = 2, 48, 4
_DEMONSTRATIONS, _BATCH, _RATE = 8000, 256, 3e-3
_ROWS = 2000  # of one rollout


@dataclass(frozen=True)
class Reached:
    """What the texts of one way have in the mean.

    Attributes:
        way: its name.
        dial: edits per text, the score that the prompt asks for, or samples of which the best is taken.
        attribute: mean standard score.
        right: share of texts that are beyond the data by two standard deviations.
        cells: fed to models per text, the ones of training left out.
    """

    way: str
    dial: float
    attribute: float
    right: float
    cells: float


def of_seed(seed: int, updates: int, texts: int, progress: Callable[[str], None]) -> Iterator[Reached]:
    """What every way reaches.

    Args:
        seed: of weights, data and draws.
        updates: of the editor; the rival is trained at their cost.
        texts: of each way.
        progress: told of what is under way.
    """
    editor, untrained = _editor(seed), _editor(seed)
    agent = ICE(editor, attribute=scorer(TASK), worth=True, steps=updates, learning_rate=_RATE)
    cost = _trained(agent, TASK, seed, lambda done: progress(f"the editor, update {done} of {updates}"))
    for name, policy, guide, temperature in _ways(editor, untrained):
        progress(name)
        yield from _edited(name, policy, guide, temperature, seed, texts)
    direct, rival = _rival(seed, cost)
    _trained(
        rival, TOLD, seed, lambda done: progress(f"texts that are told their score, update {done} of {rival.steps}")
    )
    for z in ASKED:
        progress(f"texts that are asked for {z:g}")
        score, cells = _written(direct, z, texts, seed)
        yield _reached("asked for a score", z, score, cells)
    few = max(1, texts // 5)
    for z in ASKED:
        progress(f"the best of {max(SAMPLES)} that are asked for {z:g}")
        score, cells = _written(direct, z, few * max(SAMPLES), seed)
        for number in SAMPLES:
            best = score.reshape(few, -1)[:, :number].max(1).values
            yield _reached(f"asked for {z:g}, the best of several", number, best, cells * number)


def _ways(editor: EditPolicy, untrained: EditPolicy) -> Iterator[tuple[str, EditPolicy, Guide, float]]:
    """Name, policy, how one edit is chosen, and the temperature."""
    exact: Scorer = scorer(TASK)
    yield "the likeliest edit", editor, Guide(1), 0.0
    yield "not trained, the likeliest edit", untrained, Guide(1), 0.0
    yield "a drawn edit", editor, Guide(1), 1.0
    for name, policy in (("", editor), ("not trained, ", untrained)):
        yield f"{name}best of {CANDIDATES}", policy, Guide(1, CANDIDATES, exact), 1.0
        yield f"{name}best of {CANDIDATES} or none", policy, Guide(1, CANDIDATES, exact, stay=True), 1.0
    yield f"best of {CANDIDATES} by the estimate", editor, Guide(1, CANDIDATES, Worth(editor)), 1.0
    yield f"best of {CANDIDATES} by the estimate or none", editor, Guide(1, CANDIDATES, Worth(editor), stay=True), 1.0


def _editor(seed: int) -> EditPolicy:
    return EditPolicy(small_bert(TASK.vocabulary, 2 + TASK.max_length, *_SIZES, seed), TASK.vocabulary, worth=True)


def _rival(seed: int, cost: float) -> tuple[TokenPolicy, Agent]:
    """Maximum likelihood of texts whose prompts tell their score, with as many updates as that cost allows."""
    v, cells = TOLD.vocabulary, TOLD.prompt_tokens + TOLD.max_length + 1
    policy = TokenPolicy(small_gpt2(v.size, v.eos, cells, *_SIZES, seed), v, backspace=False)
    batch = policy.positions(TOLD.demonstrations(_BATCH, "train", seed))
    return policy, BehaviorCloning(policy, steps=max(1, round(cost / (3 * batch))), learning_rate=_RATE)


def _trained(agent: Agent, task: Potentials, seed: int, progress: Callable[[int], None]) -> float:
    """Run all steps; what they cost in forward positions."""
    data, generator = task.demonstrations(_DEMONSTRATIONS, "train", seed), torch.Generator().manual_seed(seed)
    training = Training(agent, data, generator=generator, batch_size=_BATCH)
    for step, _ in training.run():
        progress(step)
    return training.costs()["cost"]


def _edited(
    name: str, policy: EditPolicy, guide: Guide, temperature: float, seed: int, texts: int
) -> Iterator[Reached]:
    """Texts of tokens at random, as they stand after each number of edits."""
    v, n, generator = TASK.vocabulary, TASK.max_length, torch.Generator().manual_seed(seed)
    drawn = torch.randint(v.size - 1, (texts, n), generator=generator).tolist()
    states: Prefixes = begin_with(v, [[v.eos]] * texts, drawn, n, n)
    fed = torch.zeros(texts)
    yield _reached(name, 0, TASK.attribute(states), 0.0)
    for before, after in pairwise(EDITS):
        more = Guide(after - before, guide.candidates, guide.scorer, guide.stay)
        states, cells, _ = policy.improve(states, more, generator, temperature)
        fed += cells
        yield _reached(name, after, TASK.attribute(states), float(fed.mean()))


def _written(policy: TokenPolicy, z: float, texts: int, seed: int) -> tuple[torch.Tensor, float]:
    """Scores of texts that were asked for, and the cells that one of them takes."""
    generator, found, prompt = torch.Generator().manual_seed(seed), [], TOLD.asking(z)
    for first in range(0, texts, _ROWS):
        number = min(_ROWS, texts - first)
        length = TOLD.max_length
        written = rollout(policy, [prompt] * number, max_length=length, min_length=length, generator=generator)
        found.append(TOLD.attribute(written.replay()))
    return torch.cat(found), float(len(prompt) + TOLD.max_length)


def _reached(way: str, dial: float, score: torch.Tensor, cells: float) -> Reached:
    right = (score > TASK.edge + 2).double().mean()
    return Reached(way, float(dial), float(score.mean()), float(right), cells)
