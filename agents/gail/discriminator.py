"""Who wrote this step, the data or the policy? A discriminator of steps, and the rewards that its logits make.

Sign convention. `h(s, a)` is the logit of `D(s, a) = sigma(h)`, the probability that a step comes from the
demonstrations. The cross-entropy of steps drawn from `rho_D` and `rho_pi` in equal parts is

    -(1/2) sum over (s, a) of [rho_D log sigma(h) + rho_pi log sigma(-h)]

with slope `(rho_pi sigma(h) - rho_D sigma(-h)) / 2` in `h(s, a)`. It vanishes where `e^h = rho_D / rho_pi`: at the
optimum **`h = log rho_D - log rho_pi`**, positive where the policy does too seldom what the data do. Everything below
follows from it; Ho & Ermon (2016) call the policy's side `D`, so their `log D` is our `log(1 - D)`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import binary_cross_entropy_with_logits, embedding, softplus
from torch.nn.utils import skip_init
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import ParametrizationList

from seqil import TokenPolicy, Trajectories
from seqil.learning.whole_batch import mean, total
from seqil.randomness import seeded

LogitReward = Callable[[Tensor], Tensor]
"""Logits of the discriminator -> rewards, elementwise. At its optimum, what the policy then descends is named."""


def gail(h: Tensor) -> Tensor:
    """`-log(1 - D)`, towards the Jensen-Shannon divergence (Ho & Ermon 2016, algorithm 1). Never negative."""
    return softplus(h)


def airl(h: Tensor) -> Tensor:
    """`log D - log(1 - D)`, towards `KL(pi || D)` (Fu, Luo & Levine 2018, algorithm 1)."""
    return h


def fairl(h: Tensor) -> Tensor:
    """`-h e^h`, towards `KL(D || pi)` (Ghasemipour, Zemel & Gu 2019, FAIRL); `h` is cut at 3, where it is -60."""
    return -h.clamp(max=3) * h.clamp(max=3).exp()


_POWER_ITERATIONS = 15
REWARDS: dict[str, LogitReward] = {f.__name__: f for f in (gail, airl, fairl)}


class TreeHead(nn.Module):
    """A copy of a policy's transformer with another linear head: outputs at every state, one forward per trajectory.

    The head starts at zero. Dropout is never on: a reward or a value should not be noisy.

    Args:
        policy: whose transformer is copied.
        outputs: per state.
    """

    def __init__(self, policy: TokenPolicy, outputs: int) -> None:
        super().__init__()
        self.trunk = copy.deepcopy(policy)
        like = {"device": policy.weight.device, "dtype": policy.weight.dtype}
        self.head = skip_init(nn.Linear, policy.weight.shape[1], outputs, **like)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.train()

    def hidden(self, trajectories: Trajectories) -> Tensor:
        """Last hidden state before each step and after the last one: [B, T + 1, D]."""
        tree = self.trunk.pack(trajectories)
        rows = torch.arange(len(trajectories), device=tree.tokens.device)[:, None]
        return self.trunk.tree_hidden(tree)[rows, tree.node_at]

    def train(self, mode: bool = True) -> TreeHead:
        """Only the power iteration of spectral norms is different in training."""
        super().train(False)
        for norm in self._norms:
            norm.train(mode)
        return self

    @property
    def _norms(self) -> list[ParametrizationList]:
        return [module for module in self.modules() if isinstance(module, ParametrizationList)]

    @torch.no_grad()
    def start_from(self, policy: TokenPolicy) -> None:
        """Take the weights of a policy of the same shape."""
        theirs = dict(policy.named_parameters())
        for name, parameter in self.trunk.named_parameters():
            parameter.copy_(theirs[name.replace(".parametrizations.weight.original", ".weight")])
        for norm in self._norms:
            training = norm.training
            norm.train()
            for _ in range(_POWER_ITERATIONS):
                norm()
            norm.train(training)


class Discriminator(TreeHead):
    """Logits `h(s, a)` along trajectories; see the module for their sign.

    Args:
        policy: whose transformer is copied.
        smoothing: targets are `1 - smoothing` and `smoothing`, on both sides alike (Salimans et al. 2016 smooth the
            data's). The optimum becomes `log((1-e) rho_D + e rho_pi) - log(e rho_D + (1-e) rho_pi)`: bounded by
            `log((1-e)/e)` where only one of the two has been, which is everywhere on a tree of prefixes.
        penalty: half of it is the weight of the squared gradient of `h` of the data with respect to the embedded
            tokens: zero-centred, on data only (R1: Mescheder, Geiger & Nowozin 2018). Tokens have no
            interpolations, which the one-centred penalty would need. Per row, over its counted steps: ours.
        spectral: divide every matrix of the transformer by its largest singular value (Miyato et al. 2018), but not
            embeddings and head: the scale of the logits is to be learned.
        relativistic: judge every step of the data against every step of rollouts, by `sigma(h - h')`
            (Jolicoeur-Martineau 2019, of pairs; there for images). Its optimum is the same `h` but for a constant,
            which no pair can see: `loss` returns logits whose mean of `e^h` over the rollouts is 1, as at the optimum.
    """

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        smoothing: float = 0.0,
        penalty: float = 0.0,
        spectral: bool = False,
        relativistic: bool = False,
    ) -> None:
        super().__init__(policy, policy.vocabulary.num_actions)
        self.smoothing, self.penalty, self.relativistic = smoothing, penalty, relativistic
        if spectral:
            for module in [*self.trunk.model.base_model.modules()]:
                weight = getattr(module, "weight", None)
                if isinstance(weight, Tensor) and weight.dim() == 2 and not isinstance(module, nn.Embedding):
                    with seeded(0, weight.device):  # it starts from random vectors
                        spectral_norm(module)
            self.train()

    def forward(self, trajectories: Trajectories) -> Tensor:
        """Logits of the actions (of the labels, where there are some): [B, T]; padding is arbitrary but finite."""
        t = trajectories
        actions = torch.where(t.inside, t.actions if t.labels is None else t.labels, 0)
        hidden, bias = self.hidden(t)[:, :-1], self.head.bias[actions]
        logits: Tensor = (hidden * embedding(actions, self.head.weight)).sum(-1) + bias
        return logits

    def loss(self, demonstrations: Trajectories, rollouts: Trajectories) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-entropy of the counted steps of the data and all steps of rollouts, in equal parts, and the penalty.

        Every step weighs the same, whatever its time: as in PPO, the discount is a matter of the returns.

        Returns:
            The loss, a scalar, and the logits of both, detached: [B, T] and [B', T'].
        """
        own = self(rollouts)
        if self.penalty:
            with _embedded(self.trunk) as found:
                data = self(demonstrations)
            slope = _slope(data[demonstrations.imitate].sum(), found[0], demonstrations)
        else:
            data, slope = self(demonstrations), own.new_zeros(())
        shown, played = data[demonstrations.imitate], own[rollouts.inside]
        if self.relativistic:
            entropy = _cross_entropy(shown[:, None] - played, 1 - self.smoothing)
            offset = (played.detach().logsumexp(0) - math.log(max(1, len(played)))) if len(played) else 0.0
        else:
            entropy = (_cross_entropy(shown, 1 - self.smoothing) + _cross_entropy(played, self.smoothing)) / 2
            offset = 0.0
        return entropy + self.penalty / 2 * slope, data.detach() - offset, own.detach() - offset


def _cross_entropy(h: Tensor, target: float) -> Tensor:
    return mean(binary_cross_entropy_with_logits(h, torch.full_like(h, target), reduction="none"))


def _slope(outputs: Tensor, embedded: Tensor, trajectories: Trajectories) -> Tensor:
    """Squared gradient of a sum over steps with respect to embedded nodes, per counted step."""
    (gradient,) = torch.autograd.grad(outputs, embedded, create_graph=True)
    return gradient.square().sum() / total(trajectories.imitate.sum()).clamp(min=1)


@contextmanager
def _embedded(policy: TokenPolicy) -> Iterator[list[Tensor]]:
    """Collect what the input embedding returns; attention runs on the kernel that can be differentiated twice."""
    found: list[Tensor] = []
    hook = policy.model.get_input_embeddings().register_forward_hook(lambda _, inputs, output: found.append(output))
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield found
    finally:
        hook.remove()
