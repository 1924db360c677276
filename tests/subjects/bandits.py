"""One-step rows whose optima are known, and what descends to them."""

import torch

from seqil.policy.values import StepValues


def doubles(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def bandit(logits, actions):
    """Step values of one-step rows `actions` under logits [A] shared by all: every row ends, `V(s_N) = 0`."""
    n = len(actions)
    q, v = logits[actions][:, None], logits.logsumexp(0).expand(n, 1)
    everywhere = torch.ones(n, 1, dtype=torch.bool)
    return StepValues(q, v, torch.zeros_like(q), everywhere, everywhere, everywhere[:, 0])


def descend(loss, parameters, steps=700, rate=0.1):
    optimizer = torch.optim.Adam(parameters, lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
