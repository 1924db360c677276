"""What an objective needs from a model: q of the taken actions and V of the visited states.

`V(s)` is a logsumexp over the legal actions, so the logits of all nodes would be [B, N, V] numbers. Here they are
computed in chunks of rows and reduced at once. Where all of them fit into `SEQIL_LOGIT_BYTES` (256 MiB) they are kept
for the backward pass, else computed again there, to the same bits: then the peak is one chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..capacity import LOGIT_BYTES, limit
from ..errors import InvalidInputError, on_one_line
from ..errors.arguments import check_fields, of_arrays
from ..mdp.bans import Bans
from ..mdp.prefix import legal_kinds
from ..mdp.trajectory import Trajectories, held
from ..mdp.tree import PrefixTree
from ..models.precision import autocast_dtype
from ..models.products import add_product_over_rows, product

_CHUNK_ELEMENTS = 2**23


@dataclass(frozen=True, eq=False)
class StepValues:
    """Soft Q-values along trajectories; cells outside `mask` are zero.

    Attributes:
        q: [B, T], `l(a_t | s_t)`, the logit of the taken action (or [B, T, K], of the K actions that were asked for).
        v: [B, T], `V(s_t)`, logsumexp of the logits of the legal actions.
        v_next: [B, T], `V(s_{t+1})`; at the last step of a row `V(s_N)`, read at the row's own final node.
        mask: bool [B, T], the step lies within the row.
        imitate: bool [B, T], the step counts; a subset of `mask`.
        ended: bool [B], the row ended with `eos` (else it was truncated).
    """

    q: Tensor
    v: Tensor
    v_next: Tensor
    mask: Tensor
    imitate: Tensor
    ended: Tensor

    def __post_init__(self) -> None:
        check_fields(self, wide=True)
        shape = self.mask.shape
        alike = all(x.shape == shape for x in (self.v, self.v_next, self.imitate)) and self.q.shape[:2] == shape
        if not alike or self.ended.shape != shape[:1]:
            shapes = ", ".join(f"{name} {[*tensor.shape]}" for name, tensor in vars(self).items())
            raise InvalidInputError(f"StepValues: {shapes} do not go together; give [rows, steps], ended [rows]")

    @property
    def log_prob(self) -> Tensor:
        """`log pi(a_t | s_t) = l(a_t | s_t) - V(s_t)`, in the shape of `q`."""
        return self.q - (self.v if self.q.dim() == 2 else self.v[..., None])

    @classmethod
    def unread(cls, trajectories: Trajectories, actions: Tensor, dtype: torch.dtype) -> StepValues:
        """Zeros, with the masks of the trajectories: for those who only count steps."""
        t = trajectories
        q, v = (torch.zeros(x.shape, dtype=dtype, device=x.device) for x in (actions, t.actions))
        return cls(q, v, v, t.inside, t.imitate & t.inside, t.ended)

    @of_arrays
    def of(self, k: int) -> StepValues:
        """Those of the k-th of the actions that were asked for."""
        if self.q.dim() != 3 or not 0 <= k < self.q.shape[-1]:
            raise InvalidInputError(f"StepValues.of: there is no action k={k} of q {[*self.q.shape]}")
        return replace(self, q=self.q[..., k])

    def detach(self) -> StepValues:
        """The same numbers without their graph."""
        return replace(self, q=self.q.detach(), v=self.v.detach(), v_next=self.v_next.detach())


def asked_of(trajectories: Trajectories, actions: Tensor) -> Tensor:
    """Actions whose q is asked for.

    Raises:
        InvalidInputError: another shape than [B, T] or [B, T, K], or no integers.
    """
    if not isinstance(actions, Tensor):
        raise InvalidInputError(f"step_values: actions={on_one_line(actions, 60)} are no tensor of ids")
    rows, found = trajectories.actions.shape, actions.shape
    if found[:2] != rows or len(found) > 3 or actions.is_floating_point() or actions.dtype == torch.bool:
        raise InvalidInputError(
            f"step_values: actions are {actions.dtype} {[*found]}; give int64 {[*rows]}, or {[*rows, 'K']} for several"
        )
    return actions


def step_values(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    tree: PrefixTree,
    trajectories: Trajectories,
    backspace: bool,
    actions: Tensor | None = None,
    bans: Bans | None = None,
    head: Callable[[Tensor], Tensor] | None = None,
    shift: Callable[[Tensor, Tensor, int], Tensor] | None = None,
) -> StepValues:
    """Values of every step of packed trajectories.

    Args:
        hidden: [B, N, D], last hidden state of every node of `tree`.
        weight: [at least A, D] head, row `i` for action `i`; rows beyond the actions are ignored.
        bias: [at least A] or None.
        tree: `pack(vocabulary, trajectories)`, under the memory of the policy.
        trajectories: the walk on the tree.
        backspace: whether the policy may delete; if not, the head needs V rows only.
        actions: int64 [B, T] or [B, T, K], whose logits `q` holds; None: those that were taken.
        bans: what was tried and is not legal again. A state that a deletion leads to then has a value of its own: the
            sum over its legal actions is taken anew, since most of the sum may be what is left out.
        head: last hidden states to logits, [M, D] -> [M, A], for one that is more than `weight` and `bias`.
        shift: of the hidden states that deletions lead to: (state, token) of all that was tried there, int64 [K] each,
            and the number of such states J -> [J, D].

    Returns:
        StepValues in float32 at least.
    """
    t, v = trajectories, trajectories.vocabulary
    actions = t.actions if actions is None else actions
    T = actions.shape[1]
    node = torch.arange(tree.tokens.shape[1], device=hidden.device)
    is_state = (node >= t.prompt_lengths[:, None] - 1) & (node < tree.lengths[:, None])
    flat = (is_state.reshape(-1).cumsum(0) - 1).view_as(is_state)  # position among the states of the batch
    state_at, states = flat.gather(1, tree.node_at), hidden[is_state]
    barred = None
    if bans is not None:
        row, step = (t.inside & (t.actions == v.backspace)).nonzero(as_tuple=True)
        first, again = len(states), hidden[row, tree.node_at[row, step + 1]]
        state_at = state_at.index_put((row, step + 1), first + torch.arange(len(row), device=hidden.device))
        barred = torch.stack([state_at[bans.row, bans.time], bans.token])
        if shift is not None:
            again = again + shift(barred[0] - first, bans.token, len(row)).to(again)
        states = torch.cat([states, again])

    row, step = t.inside.nonzero(as_tuple=True)
    wanted = actions[row, step]
    state = state_at[row, step].view(-1, *[1] * (wanted.dim() - 1)).expand_as(wanted)
    asked = state.reshape(-1), wanted.reshape(-1), v.size, v.eos, backspace, barred
    logsumexp, eos, deletion, taken = (
        head_values(states, weight, bias, *asked) if head is None else module_values(head, states, *asked)
    )
    _, after = held(v, t.actions, t.inside)
    counts = torch.cat([torch.zeros_like(t.lengths)[:, None], after], 1)
    generated = counts.new_zeros(len(states)).index_put((state_at.reshape(-1),), counts.reshape(-1))
    last = state_at[t.ended, -1]
    ended = torch.zeros_like(generated, dtype=torch.bool).index_fill(0, last, True)
    legal = torch.stack(legal_kinds(generated, ended, t.max_length, t.min_length), -1)
    if not backspace:
        legal[:, 2] = False
    values = torch.stack([logsumexp, eos, deletion], -1).masked_fill(~legal, -torch.inf).logsumexp(-1)

    zero = values.new_zeros(t.actions.shape)
    at_step = values[state_at] if T else zero
    return StepValues(
        q=values.new_zeros(actions.shape).index_put((row, step), taken.view(wanted.shape)),
        v=torch.where(t.inside, at_step[:, :T], 0),
        v_next=torch.where(t.inside, at_step[:, 1:], 0) if T else zero,
        mask=t.inside,
        imitate=t.imitate & t.inside,
        ended=t.ended,
    )


def _once_without_autocast(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Below an autocast around all of training; what a second derivative would need is overwritten."""

    @wraps(backward)
    def inside(ctx: Any, *gradients: Tensor) -> Any:
        if torch.is_grad_enabled():
            raise InvalidInputError(
                "create_graph=True: values of steps are differentiated once; for a penalty on gradients compute them "
                "from policy.head(policy.tree_hidden(tree))"
            )
        with torch.autocast(gradients[0].device.type, enabled=False):
            return backward(ctx, *gradients)

    return inside


class _HeadValues(torch.autograd.Function):
    """Per state: logsumexp over the tokens but eos, logit of eos, logit of the backspace; and logits of taken actions.

    hidden [M, D], weight [>= A, D], bias [>= A] or None, state and action int64 [K], barred int64 [2, J] (states, and
    tokens that are left out of their sum) or None -> [M], [M], [M], [K], in float32 at least.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        state: Tensor,
        action: Tensor,
        size: int,
        eos: int,
        backspace: bool,
        barred: Tensor | None = None,
        keep: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dtype = torch.promote_types(hidden.dtype, torch.float32)
        special = torch.tensor([eos, size if backspace else eos], device=hidden.device)
        single = (hidden @ weight[special].T).to(dtype)
        taken = torch.einsum("kd,kd->k", hidden[state].to(dtype), weight[action].to(dtype))
        if bias is not None:
            single = single + bias[special]
            taken = taken + bias[action]
        logsumexp = torch.empty(len(hidden), dtype=dtype, device=hidden.device)
        kept = []
        for rows in _chunks(hidden, size):
            found = product(hidden[rows], weight[:size])
            kept += [found] * keep
            logits = _without(barred, rows, _token_logits(found, bias, eos, dtype, keep))
            top = logits.amax(1, keepdim=True)
            top = torch.where(top.isfinite(), top, 0)  # a vocabulary of eos alone, or numbers that are not finite
            logsumexp[rows] = logits.sub_(top).exp_().sum(1).log_().add_(top[:, 0])
        ctx.save_for_backward(hidden, weight, bias, state, action, special, logsumexp, barred, *kept)
        ctx.size, ctx.eos, ctx.backspace = size, eos, backspace
        return logsumexp, single[:, 0], single[:, 1], taken

    @staticmethod
    @_once_without_autocast
    def backward(ctx: Any, g_lse: Tensor, g_eos: Tensor, g_deletion: Tensor, g_taken: Tensor) -> tuple[Any, ...]:
        hidden, weight, bias, state, action, special, logsumexp, barred, *kept = ctx.saved_tensors
        dtype = logsumexp.dtype
        if barred is not None:  # where every token is left out
            logsumexp = torch.where(logsumexp == -torch.inf, 0, logsumexp)
        d_hidden = torch.empty(hidden.shape, dtype=dtype, device=hidden.device)
        d_weight = torch.zeros(weight.shape, dtype=dtype, device=hidden.device)
        d_bias = None if bias is None else torch.zeros(bias.shape, dtype=dtype, device=hidden.device)
        for i, rows in enumerate(_chunks(hidden, ctx.size)):
            h = hidden[rows]
            found = kept[i] if kept else product(h, weight[: ctx.size])
            p = _without(barred, rows, _token_logits(found, bias, ctx.eos, dtype, bool(kept)))
            p.sub_(logsumexp[rows, None]).exp_().mul_(g_lse[rows, None])
            if d_bias is not None:
                d_bias[: ctx.size] += p.sum(0)
            p = p.to(weight.dtype)
            d_hidden[rows] = product(p, weight[: ctx.size].T).to(dtype)
            _accumulate(d_weight[: ctx.size], p, h)
        # eos, backspace and taken actions are single rows of the head: gather, and scatter-add back.
        g_single = torch.stack([g_eos, g_deletion if ctx.backspace else torch.zeros_like(g_deletion)], 1)
        d_hidden += g_single @ weight[special].to(dtype)
        d_weight.index_add_(0, special, g_single.T @ hidden.to(dtype))
        d_hidden.index_add_(0, state, g_taken[:, None] * weight[action].to(dtype))
        d_weight.index_add_(0, action, g_taken[:, None] * hidden[state].to(dtype))
        if d_bias is not None:
            d_bias.index_add_(0, special, g_single.sum(0)).index_add_(0, action, g_taken)
            d_bias = d_bias.to(bias.dtype)
        return d_hidden.to(hidden.dtype), d_weight.to(weight.dtype), d_bias, *[None] * 7


def _chunks(hidden: Tensor, size: int) -> list[slice]:
    rows = max(1, _CHUNK_ELEMENTS // size)
    return [slice(i, i + rows) for i in range(0, len(hidden), rows)]


def _token_logits(found: Tensor, bias: Tensor | None, eos: int, dtype: torch.dtype, apart: bool) -> Tensor:
    """Logits of the tokens, -inf at eos, made of the product with the head, in its place unless `apart`."""
    logits = found.to(dtype, copy=apart)
    if bias is not None:
        logits += bias[: logits.shape[1]]
    logits[:, eos] = -torch.inf
    return logits


def _without(barred: Tensor | None, rows: slice, logits: Tensor) -> Tensor:
    """The logits of these states, with -inf at what is barred there; in place."""
    if barred is not None:
        state, token = barred[:, (barred[0] >= rows.start) & (barred[0] < rows.stop)]
        logits[state - rows.start, token] = -torch.inf
    return logits


def _accumulate(total: Tensor, p: Tensor, h: Tensor) -> None:
    if p.dtype == total.dtype:
        add_product_over_rows(total, p, h)
    else:
        total += p.T @ h


def head_values(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    state: Tensor,
    action: Tensor,
    size: int,
    eos: int,
    backspace: bool,
    barred: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`_HeadValues`; under an autocast the matrices are cast as a linear layer would cast them, and nothing else."""
    apply: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]] = _HeadValues.apply
    dtype = autocast_dtype(hidden.device) or hidden.dtype
    keep = torch.is_grad_enabled() and len(hidden) * size * dtype.itemsize <= limit(LOGIT_BYTES)
    with torch.autocast(hidden.device.type, enabled=False):
        return apply(
            hidden.to(dtype),
            weight.to(dtype),
            None if bias is None else bias.to(dtype),
            *(state, action, size, eos, backspace, barred, keep),
        )


def module_values(
    head: Callable[[Tensor], Tensor],
    hidden: Tensor,
    state: Tensor,
    action: Tensor,
    size: int,
    eos: int,
    backspace: bool,
    barred: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same four through a head that is called, in chunks that are computed again in the backward pass."""

    def chunk(h: Tensor, rows: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logits = head(h)
        others = logits[:, :size].clone()
        others[:, eos] = -torch.inf
        others = _without(barred, rows, others)
        empty = (others == -torch.inf).all(1)
        total = others.masked_fill(empty[:, None], 0).logsumexp(1).masked_fill(empty, -torch.inf)
        mine = (state >= rows.start) & (state < rows.stop)
        return (
            total,
            logits[:, eos],
            logits[:, size if backspace else eos],
            logits[state[mine] - rows.start, action[mine]],
        )

    found = [checkpoint(chunk, hidden[rows], rows, use_reentrant=False) for rows in _chunks(hidden, size)]
    total, single, deletion, taken = (torch.cat(parts) for parts in zip(*found, strict=True))
    place = torch.cat([((state >= r.start) & (state < r.stop)).nonzero()[:, 0] for r in _chunks(hidden, size)])
    return total, single, deletion, taken.new_zeros(len(state)).index_put((place,), taken)
