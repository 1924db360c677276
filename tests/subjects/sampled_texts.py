"""Texts of tasks that are drawn from a law, and what the law says of them."""

import torch

from seqil import Trajectories


def trajectories(task, prompts, texts):
    return Trajectories.from_actions(task.vocabulary, prompts, texts, max_length=task.max_length)


def laws(task, t):
    """The teacher's law before every action: float64 [actions, V]."""
    return task.next_distribution(t.before(*t.inside.nonzero(as_tuple=True)))


def taken(task, t):
    """Probability of every action: float64 [B, T], 1 in padding."""
    p = torch.ones(t.actions.shape, dtype=torch.float64)
    p[t.inside] = laws(task, t).gather(1, t.actions[t.inside][:, None])[:, 0]
    return p


def probabilities(task, prompt, texts):
    return taken(task, trajectories(task, [prompt] * len(texts), texts)).prod(1)


def every_text(task, prompt):
    """All texts of positive probability with it, found by following the law."""
    v = task.vocabulary
    found, texts, share = {}, [[]], torch.ones(1, dtype=torch.float64)
    while texts:
        law = task.next_distribution(trajectories(task, [prompt] * len(texts), texts).replay()) * share[:, None]
        for row, token in (law > 0).nonzero().tolist():
            if token == v.eos:
                found[tuple(texts[row])] = float(law[row, token])
        law[:, v.eos] = 0
        where = (law > 0).nonzero(as_tuple=True)
        texts = [[*texts[row], token] for row, token in zip(*(x.tolist() for x in where), strict=True)]
        share = law[where]
    return found


def altered(task, n, seed):
    """Demonstrations of which about half of the rows have wrong tokens, cut anywhere, some with a premature eos."""
    g, v = torch.Generator().manual_seed(seed), task.vocabulary
    t = task.demonstrations(n, "train", seed)
    actions = t.actions.clone()
    typos = (torch.rand(actions.shape, generator=g) < 0.02) & (actions < v.eos)
    actions[typos] = torch.randint(0, v.eos, (int(typos.sum()),), generator=g)
    texts = []
    for i, (row, k) in enumerate(zip(actions.tolist(), t.lengths.tolist(), strict=True)):
        cut = k if i % 5 == 0 else 1 + (i * 7) % k
        texts.append(row[:cut] + [v.eos] * (i % 7 == 0 and row[cut - 1] != v.eos))
    return trajectories(task, task.prompts(n, "train", seed), texts)
