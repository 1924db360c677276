"""What sampling took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from ..errors import InvalidInputError, on_one_line
from ..errors.arguments import check_fields, of_arrays, typed
from ..mdp.trajectory import Trajectories, held
from ..policy.token_policy import TokenPolicy
from .lifetimes import Floats, Ints

if TYPE_CHECKING:
    from ..decoding.interface import Rule


@dataclass(frozen=True)
class Cost:
    """What sampling took, per row: int64 [B] each.

    Attributes:
        actions: tokens, deletions and `eos`.
        forwards: positions that the model computed: the prompt's but one, one per action, and what rules took.
        net: tokens of the final text, `eos` included.
    """

    actions: Ints
    forwards: Ints
    net: Ints

    def __post_init__(self) -> None:
        check_fields(self, wide=True)


@typed
def cost(trajectories: Trajectories, rules: Sequence[Rule] = ()) -> Cost:
    """Count actions, forward positions (those of the rules that were sampled with included) and net tokens."""
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        raise InvalidInputError(f"cost: rules={on_one_line(rules, 60)} are no rules; give a list of them")
    actions = trajectories.lengths
    forwards = trajectories.prompt_lengths - 1 + actions
    before, _ = held(trajectories.vocabulary, trajectories.actions, trajectories.inside)
    for fed in filter(None, (getattr(rule, "forwards", None) for rule in rules)):
        forwards = forwards + (fed(trajectories.prompt_lengths[:, None] + before) * trajectories.inside).sum(1)
    net = trajectories.replay().generated
    return Cost(*(x.cpu().numpy() for x in (actions, forwards, net)))


@of_arrays
def forward_flops(policy: TokenPolicy, context: Floats | Ints) -> Floats:
    """Floating-point operations of the matrix products of one position that sees `context` cells, itself included.

    `2 N + 4 layers * context * heads * head size`, with `N` the weights that a position passes through, head included
    and look-up tables excluded (Kaplan et al. 2020, table 1, with both products of attention counted).
    """
    config = policy.model.config.get_text_config()
    weights = sum(matrix.numel() for matrix in _matrices(policy))
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = 4 * config.num_hidden_layers * config.num_attention_heads * head_size
    operations: Floats = 2.0 * weights + attention * np.asarray(context, dtype=np.float64)
    return operations


@typed
def flops(policy: TokenPolicy, trajectories: Trajectories) -> Floats:
    """Floating-point operations that sampling each row took: float64 [B]; what rules feed by themselves is left out.

    A deletion is counted like any action, because the other rows of its batch compute theirs.
    """
    prompt = trajectories.prompt_lengths.cpu().numpy()
    seen, _ = held(trajectories.vocabulary, trajectories.actions, trajectories.inside)
    if not policy.memory.rewinds:
        seen = trajectories.inside.long().cumsum(1) - 1
    context = (trajectories.prompt_lengths[:, None] + seen).cpu().numpy()
    per_action = forward_flops(policy, context) * trajectories.inside.cpu().numpy()
    cells = np.arange(1, int(prompt.max()) + 1)
    of_prompt = forward_flops(policy, cells) * (cells < prompt[:, None])
    operations: Floats = of_prompt.sum(1) + per_action.sum(1)
    return operations


def _matrices(policy: TokenPolicy) -> Iterator[Tensor]:
    """Every weight matrix that a position is multiplied with: those of the trunk, and the head."""
    tables = {id(m.weight) for m in policy.model.base_model.modules() if isinstance(m, nn.Embedding)}
    for parameter in policy.model.base_model.parameters():
        if parameter.dim() == 2 and id(parameter) not in tables:
            yield parameter
    yield policy.weight[: policy.vocabulary.num_actions if policy.backspace else policy.vocabulary.size]
