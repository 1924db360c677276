"""What a way to revise can reach at best, from the law of a task: no record enters, and no model.

Factorised laws are draws of the exact marginals of every cell given the prompt, which is where maximum likelihood of
each cell on its own ends; chains on texts draw from the exact conditionals; walks have exact values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from envs.tasks import Dyck, Potentials, Sudoku4
from envs.tasks.answers.sudoku4 import BLANK, DIGITS
from envs.tasks.base.markov import MarkovTask
from envs.tasks.grammars.potentials import ABOVE
from seqil import Task
from seqil.mdp.prefix import start
from seqil.metrics import Floats
from seqil.revision.resampling import filled, resample
from seqil.statistics import Estimate, proportion
from seqil.theory.conditionals import MarkovConditionals

_PROMPTS, _TEXTS = 200, 200
SWEEPS = (1, 2, 4)


def factorised(task: Task, prompts: Sequence[Sequence[int]]) -> Floats:
    """Chance that a draw of the exact marginals is right, for each prompt: float64 [B].

    Of Markov texts by sums over the last tokens, of `dyck` by sums over matched pairs, of `sudoku4` over its grids.
    """
    if isinstance(task, MarkovTask):
        return _markov(task, prompts)
    if isinstance(task, Sudoku4):
        return np.array([_of_texts(_fitting(task, prompt)) for prompt in prompts])
    if isinstance(task, Dyck):
        return np.array([_brackets(task, prompt[0]) for prompt in prompts])
    raise TypeError(f"the marginals of {task.name} are not known here")


def _markov(task: MarkovTask, prompts: Sequence[Sequence[int]]) -> Floats:
    V, order, W = task.vocabulary.size, task.order, task.max_length
    begun = start(task.vocabulary, prompts, W, W)
    law = _conditionals(task).conditionals(begun, torch.ones(len(begun), W, dtype=torch.bool)).exp()
    last = torch.tensor([list(prompt[-order:]) for prompt in prompts]) @ V ** torch.arange(order - 1, -1, -1)
    state = torch.nn.functional.one_hot(last, V**order).double().reshape(len(begun), V, -1)
    allowed = (task.law > 0).double().reshape(V, V ** (order - 1), V)
    for t in range(W):
        state = (torch.einsum("bxc,xcd->bcd", state, allowed) * law[:, t, None]).reshape(state.shape)
    found: Floats = state.sum((1, 2)).numpy()
    return found


def _conditionals(task: MarkovTask) -> MarkovConditionals:
    return MarkovConditionals(task.vocabulary, task.law)


def _fitting(task: Sudoku4, prompt: Sequence[int]) -> Floats:
    """The grids with the clues of a prompt, as one-hot digits: [grids, cells, digits]."""
    grids, shown = task.grids.numpy(), np.array(prompt)
    clues = shown != BLANK
    fitting: Floats = np.eye(DIGITS)[grids[(grids[:, clues] == shown[clues]).all(1)]]
    return fitting


def _of_texts(texts: Floats) -> float:
    """Of texts alike, one-hot [N, W, V]: the mass that the product of their marginals leaves on them."""
    return float(np.prod((texts * texts.mean(0)).sum(-1), axis=1).sum())


def _brackets(task: Dyck, first: int) -> float:
    weights = torch.ones(task.length, 2 * task.kinds, dtype=torch.float64)
    weights[0] = torch.nn.functional.one_hot(torch.tensor(first), 2 * task.kinds)
    weights.requires_grad_()
    log_z = _matched(weights, task.kinds).log()
    (marginals,) = torch.autograd.grad(log_z, weights)  # of weights of 1
    return float(_matched(marginals * weights.detach(), task.kinds))


def _matched(weights: Tensor, kinds: int) -> Tensor:
    """Sum over balanced words of the product of the weights of their brackets, [n, 2 kinds], by inner pairs."""
    n = len(weights)
    pair = weights[:, :kinds] @ weights[:, kinds:].T
    inside: dict[tuple[int, int], Tensor] = {(i, i): weights.new_ones(()) for i in range(n + 1)}
    for width in range(2, n + 1, 2):
        for i in range(n - width + 1):
            ends = range(i + 1, i + width, 2)
            parts = [pair[i, j] * inside[i + 1, j] * inside[j + 1, i + width] for j in ends]
            inside[i, i + width] = torch.stack(parts).sum()
    return inside[0, n]


def factorised_success(task: Task) -> float:
    """The mean of `factorised` over test prompts."""
    return float(factorised(task, task.prompts(_PROMPTS, "test", 0)).mean())


def nats(task: MarkovTask) -> tuple[float, float]:
    """Per token, of the law and of the best product of laws of cells: what one shot loses is their difference."""
    W = task.max_length
    begun = start(task.vocabulary, task.prompts(_PROMPTS, "test", 0), W, W)
    joint, cells = _conditionals(task).entropies(begun)
    return float(joint.mean() / W), float(cells.sum(1).mean() / W)


def exact_blocks(task: MarkovTask, block: int, sweeps: Sequence[int] = SWEEPS, texts: int = _TEXTS) -> list[Estimate]:
    """Right texts after so many sweeps of blocks at random, from a draw of the exact marginals, by exact conditionals.

    The cells of a block are drawn on their own, as by a masked model. Of a sample of `texts`, with its interval.
    """
    g = torch.Generator().manual_seed(0)
    v, W, prompts = task.vocabulary, task.max_length, task.prompts(texts, "test", 0)
    law = _conditionals(task)
    states, _ = filled(law, start(v, prompts, W, W), g, at_once=W)
    found, done = [], 0
    for number in sweeps:
        states = resample(law, states, block, number - done, generator=g).prefixes
        done = number
        right = sum(task.success(p, t) is True for p, t in zip(prompts, states.texts(), strict=True))
        found.append(proportion(right, texts, "sequences"))
    return found


def walked(length: int, actions: int) -> tuple[float, float]:
    """Walks with exact values that may take so many actions to write `length` tokens and `eos`.

    Where whatever stands can still be right, a walk goes on or back with even odds, and on from the prompt; without a
    budget it takes (length + 1)^2 actions on average.

    Returns:
        The share that ends, and the mean number of actions.
    """
    depth, spent = np.zeros(length + 2), 0.0
    depth[0] = 1
    for _ in range(actions):
        spent += 1 - depth[-1]
        on, after = depth[:-1] / 2, np.zeros_like(depth)
        on[0] = depth[0]
        after[1:] = on
        after[:length] += on[1:]
        after[-1] += depth[-1]
        depth = after
    return float(depth[-1]), float(spent)


def climbed(task: Potentials, edits: int, candidates: int, keep: bool, texts: int = 10 * _TEXTS) -> Estimate:
    """Right texts where nobody learned anything: substitutions at random, each the best of some by the attribute.

    Args:
        task: says what a text is worth.
        edits: per text, which begins at random.
        candidates: drawn for each edit, alike among all that change something.
        keep: whether a text stays as it is where none of them is better.
        texts: of the sample.
    """
    g = np.random.default_rng(0)
    size, n, rows = len(task.weights), task.max_length, np.arange(texts)
    text, W = g.integers(size, size=(texts, n)), task.weights
    worth = W[text[:, :-1], text[:, 1:]].sum(1)
    for _ in range(edits):
        place = g.integers(n, size=(candidates, texts))
        token = (text[rows, place] + g.integers(1, size, size=(candidates, texts))) % size
        tried = np.repeat(text[None], candidates, 0)
        np.put_along_axis(tried, place[..., None], token[..., None], 2)
        values = W[tried[..., :-1], tried[..., 1:]].sum(-1)
        best = values.argmax(0)
        better = values[best, rows] > worth if keep else np.ones(texts, dtype=bool)
        text = np.where(better[:, None], tried[best, rows], text)
        worth = np.where(better, values[best, rows], worth)
    right = int(((worth - task.mean) / task.deviation > task.edge + ABOVE).sum())
    return proportion(right, texts, "sequences")


def beyond(task: Potentials, draws: int) -> float:
    """Chance that the best of so many uniform texts is a success."""
    z, p = task.law()
    return float(1 - (1 - p[z > task.edge + ABOVE].sum()) ** draws)
