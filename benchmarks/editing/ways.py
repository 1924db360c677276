"""Ways to a text of a high attribute, trained at one cost, and what they reach (`potentials`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from agents.behavior_cloning import BehaviorCloning
from agents.revising.ice import ICE
from envs.tasks import Potentials
from seqil import Agent, Edits, TokenPolicy, legal_edits, revise, rollout
from seqil.learning.training import Training
from seqil.mdp.edits import begin_with
from seqil.mdp.prefix import Prefixes
from seqil.models.from_scratch import small_gpt2
from seqil.revision import EditPolicy
from seqil.revision.edit_policy import Guide, Scorer, Worth, scorer
from seqil.revision.making import small_bert

TASK, TOLD = Potentials(), Potentials(told=True)
EDITS = (0, 5, 10, 20, 40)
ASKED = (-1.0, 0.5, 1.0, 2.0, 4.0)
"""Scores; 0.5 is the highest that a prompt of the data tells."""
SAMPLES = (50, 200)
COOL = 0.2
CANDIDATES = 5
_SIZES = 2, 48, 4
_DEMONSTRATIONS, _FRESH, _BATCH, _RATE = 8000, 200_000, 256, 3e-3
_ROWS = 2000  # of one rollout


@dataclass(frozen=True)
class Reached:
    """What the texts of one way have in the mean.

    Attributes:
        way: its name.
        dial: edits per text, the score that the prompt asks for, or samples of which the best is taken.
        attribute: mean standard score.
        right: share of texts that are beyond the data by two standard deviations.
        cells: fed to models per text, the ones of training left out; a prompt is fed once for all of its samples.
        calls: of the exact attribute per text, likewise.
    """

    way: str
    dial: float
    attribute: float
    right: float
    cells: float
    calls: float


def of_seed(seed: int, updates: int, texts: int, progress: Callable[[str], None]) -> Iterator[Reached]:
    """What every way reaches.

    Args:
        seed: of weights, data and draws.
        updates: of the editor; the rival is trained at their cost.
        texts: of each way.
        progress: told of what is under way.
    """
    editor, alone, untrained = _editor(seed), _editor(seed, worth=False), _editor(seed)
    agent = ICE(editor, attribute=scorer(TASK), worth=True, steps=updates, learning_rate=_RATE)
    cost = _trained(agent, TASK, _DEMONSTRATIONS, seed, lambda n: progress(f"the editor, update {n} of {updates}"))
    other = ICE(alone, attribute=scorer(TASK), steps=updates, learning_rate=_RATE)
    _trained(other, TASK, _DEMONSTRATIONS, seed, lambda n: progress(f"without the estimate, update {n} of {updates}"))
    for name, policy, guide, temperature in _ways(editor, alone, untrained):
        progress(name)
        yield from _edited(name, policy, guide, temperature, seed, texts)
    progress("without a model")
    yield from _climbed(seed, texts)
    direct, rival = _rival(seed, cost)
    _trained(rival, TOLD, _FRESH, seed, lambda n: progress(f"texts that are told, update {n} of {rival.steps}"))
    few = max(1, texts // 5)
    for z in ASKED:
        progress(f"texts that are asked for {z:g}")
        likeliest = _written(direct, z, 1, seed, 0.0)
        yield _reached("asked for a score, the likeliest text", z, likeliest, _fed(1), 0)
        for temperature in (1.0, COOL):
            way = f"asked for a score, temperature {temperature:g}"
            score = _written(direct, z, few * max(SAMPLES), seed, temperature)
            yield _reached(way, z, score[:texts], _fed(1), 0)
            for number in SAMPLES:
                best = score.reshape(few, -1)[:, :number].max(1).values
                yield _reached(f"{way}, the best of {number}", z, best, _fed(number), number)


def _ways(
    editor: EditPolicy, alone: EditPolicy, untrained: EditPolicy
) -> Iterator[tuple[str, EditPolicy, Guide, float]]:
    """Name, policy, how one edit is chosen, and the temperature."""
    exact: Scorer = scorer(TASK)
    yield "the likeliest edit", editor, Guide(1), 0.0
    yield "the likeliest edit, no estimate learned", alone, Guide(1), 0.0
    yield "not trained, the likeliest edit", untrained, Guide(1), 0.0
    yield f"a drawn edit, temperature {COOL:g}", editor, Guide(1), COOL
    yield "a drawn edit", editor, Guide(1), 1.0
    for name, policy in (("", editor), ("not trained, ", untrained)):
        yield f"{name}best of {CANDIDATES}", policy, Guide(1, CANDIDATES, exact), 1.0
        yield f"{name}best of {CANDIDATES} or none", policy, Guide(1, CANDIDATES, exact, stay=True), 1.0
    yield f"best of {CANDIDATES} by the estimate", editor, Guide(1, CANDIDATES, Worth(editor)), 1.0
    yield f"best of {CANDIDATES} by the estimate or none", editor, Guide(1, CANDIDATES, Worth(editor), stay=True), 1.0


def _editor(seed: int, worth: bool = True) -> EditPolicy:
    return EditPolicy(small_bert(TASK.vocabulary, 2 + TASK.max_length, *_SIZES, seed), TASK.vocabulary, worth=worth)


def _rival(seed: int, cost: float) -> tuple[TokenPolicy, Agent]:
    """Maximum likelihood of texts whose prompts tell their score, fresh ones so that none is learned by heart, with as
    many updates as that cost allows."""
    v, cells = TOLD.vocabulary, TOLD.prompt_tokens + TOLD.max_length + 1
    policy = TokenPolicy(small_gpt2(v.size, v.eos, cells, *_SIZES, seed), v, backspace=False)
    batch = policy.positions(TOLD.demonstrations(_BATCH, "train", seed))
    return policy, BehaviorCloning(policy, steps=max(1, round(cost / (3 * batch))), learning_rate=_RATE)


def _trained(agent: Agent, task: Potentials, texts: int, seed: int, progress: Callable[[int], None]) -> float:
    """Run all steps on so many texts; what they cost in forward positions."""
    data, generator = task.demonstrations(texts, "train", seed), torch.Generator().manual_seed(seed)
    training = Training(agent, data, generator=generator, batch_size=_BATCH)
    for step, _ in training.run():
        progress(step)
    return training.costs()["cost"]


def _edited(
    name: str, policy: EditPolicy, guide: Guide, temperature: float, seed: int, texts: int
) -> Iterator[Reached]:
    """Texts of tokens at random, as they stand after each number of edits."""
    states, generator = _at_random(seed, texts)
    asked = guide.candidates + guide.stay if guide.scorer is not None and not isinstance(guide.scorer, Worth) else 0
    fed, calls = torch.zeros(texts), torch.zeros(texts)
    yield _reached(name, 0, TASK.attribute(states), 0.0, 0.0)
    for before, after in pairwise(EDITS):
        for _ in range(after - before):
            calls += asked * ~states.ended
            states, cells, _ = policy.improve(states, guide, generator, temperature)
            fed += cells
        yield _reached(name, after, TASK.attribute(states), float(fed.mean()), float(calls.mean()))


def _climbed(seed: int, texts: int) -> Iterator[Reached]:
    """Substitutions at random, each kept if it is better: as many as the best of several, or none, asks for."""
    states, generator = _at_random(seed, texts)
    edits = Edits(TASK.vocabulary, TASK.max_length, ("substitute",))
    score, calls = TASK.attribute(states), 0
    for before, after in pairwise(EDITS):
        for _ in range((after - before) * (CANDIDATES + 1)):
            drawn = torch.multinomial(legal_edits(edits, states)[:, :-1].float(), 1, generator=generator)[:, 0]
            other = revise(edits, states, drawn)
            better = TASK.attribute(other) > score
            states = replace(states, tokens=torch.where(better[:, None], other.tokens, states.tokens))
            score, calls = TASK.attribute(states), calls + 1
        yield _reached("no model, a substitution at random if it is better", after, score, 0.0, calls)


def _at_random(seed: int, texts: int) -> tuple[Prefixes, torch.Generator]:
    v, n, generator = TASK.vocabulary, TASK.max_length, torch.Generator().manual_seed(seed)
    drawn = torch.randint(v.size - 1, (texts, n), generator=generator).tolist()
    return begin_with(v, [[v.eos]] * texts, drawn, n, n), generator


def _written(policy: TokenPolicy, z: float, texts: int, seed: int, temperature: float) -> torch.Tensor:
    """Scores of texts that were asked for."""
    generator, found, length = torch.Generator().manual_seed(seed), [], TOLD.max_length
    for first in range(0, texts, _ROWS):
        prompts = [TOLD.asking(z)] * min(_ROWS, texts - first)
        written = rollout(
            policy, prompts, max_length=length, min_length=length, generator=generator, temperature=temperature
        )
        found.append(TOLD.attribute(written.replay()))
    return torch.cat(found)


def _fed(samples: int) -> float:
    return float(TOLD.prompt_tokens + samples * TOLD.max_length)


def _reached(way: str, dial: float, score: torch.Tensor, cells: float, calls: float) -> Reached:
    right = (score > TASK.edge + 2).double().mean()
    return Reached(way, float(dial), float(score.mean()), float(right), cells, float(calls))
