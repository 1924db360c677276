"""What a discriminator is good for after training: texts ranked by the learned reward, and a value to walk by."""

from __future__ import annotations

import torch
from torch import Tensor

from seqil import Prefixes, TokenPolicy, Trajectories
from seqil.errors import InvalidInputError
from seqil.metrics import Floats
from seqil.metrics.positions import final_texts
from seqil.selection import Ranking

from .discriminator import Discriminator, LogitReward, TreeHead, airl


def by_reward(discriminator: Discriminator, reward: LogitReward = airl, gamma: float = 1.0) -> Ranking:
    """Rank finished texts by their return, `sum_t gamma^t reward(h(s_t, a_t))`, for `seqil.selection.best_of`.

    Args:
        discriminator: of a trained `GAIL`, `agent.loss.discriminator`.
        reward: of its logits.
        gamma: discount per token.
    """

    @torch.no_grad()
    def scores(policy: TokenPolicy, trajectories: Trajectories) -> Floats:
        texts = final_texts(trajectories).to(policy.weight.device)
        paid = torch.where(texts.inside, reward(discriminator(texts)).double(), 0)
        time = torch.arange(paid.shape[1], device=paid.device, dtype=torch.float64)
        returned: Floats = (paid * gamma**time).sum(1).cpu().numpy()
        return returned

    return Ranking(f"learned reward ({getattr(reward, '__name__', 'own')})", scores)


class DensityRatios:
    """Values for `seqil.decoding.value_walk`: how much likelier the data are to begin with a prefix than the policy is.

    On a tree of prefixes, without deletions, a step is taken as often as the prefix that it makes is written. So at the
    optimum `e^h(s, x) = P_data(s x) / P_policy(s x)`, which is the value at `s x` of a walk whose target is the data:
    `V(s) = sum_x pi(x|s) V(s x)`. A discriminator that was trained on rollouts with deletions says something else.

    Args:
        discriminator: of a trained `GAIL`; one forward over a prefix gives the values of all that may follow.
        most: logits are cut at plus and minus this, so that one extreme step does not decide everything.
    """

    def __init__(self, discriminator: Discriminator, most: float = 10.0) -> None:
        if not most > 0:
            raise InvalidInputError(f"DensityRatios: most={most} must be positive")
        self.discriminator, self.most = discriminator, most

    def forwards(self, length: Tensor) -> Tensor:
        """Positions that it feeds at prefixes of these lengths."""
        return length

    @torch.no_grad()
    def __call__(self, prefixes: Prefixes) -> tuple[Tensor, Tensor]:
        """Values of states, 1 at a prompt, and of what follows them: [K] and [K, V]."""
        own, after = (x.clamp(-self.most, self.most).exp() for x in step_outputs(self.discriminator, prefixes))
        return torch.where(prefixes.generated > 0, own, 1.0), after


def step_outputs(head: TreeHead, prefixes: Prefixes) -> tuple[Tensor, Tensor]:
    """What a head with an output for each token says of the last step and of every next one: [K] and [K, V].

    At a prompt, where there was no step, the former is of no meaning.
    """
    p, v = prefixes, head.trunk.vocabulary
    prompts = torch.where(_places(p.tokens) < p.prompt_length[:, None], p.tokens, v.size)
    texts = Trajectories.from_actions(
        v, prompts, _shifted(p), lengths=p.generated, max_length=p.max_length, min_length=p.min_length
    )
    outputs, rows = head.head(head.hidden(texts)), torch.arange(len(p), device=p.tokens.device)
    last = (p.generated - 1).clamp(min=0)
    token = p.tokens.gather(1, p.length[:, None] - 1)[:, 0]
    return outputs[rows, last, token], outputs[rows, p.generated, : v.size]


def _places(cells: Tensor) -> Tensor:
    return torch.arange(cells.shape[1], device=cells.device)


def _shifted(prefixes: Prefixes) -> Tensor:
    """The generated tokens from the left: int64 [K, T]."""
    p, width = prefixes, int(prefixes.generated.max())
    at = p.prompt_length[:, None] + torch.arange(width, device=p.tokens.device)
    return p.tokens.gather(1, at.clamp(max=p.tokens.shape[1] - 1))
