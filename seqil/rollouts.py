"""Batched sampling from a policy that may delete, and the slow reference that it must agree with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .cache import SlotCache, additive, slot_mask
from .errors import InvalidInputError
from .policy import TokenPolicy, evaluating
from .prefix import Prefixes, Prompts, legal_actions, legal_kinds, start, transition
from .sampling import Sampler
from .trajectory import Trajectories
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from .decoding import Rule, Warp

_EXTENT = 16  # slots are read in multiples of this


@torch.no_grad()
def rollout(
    policy: TokenPolicy,
    prompts: Prompts,
    *,
    max_length: int,
    max_actions: int | None = None,
    min_length: int = 0,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    rules: Sequence[Rule] = (),
    streams: Tensor | None = None,
) -> Trajectories:
    """Sample one trajectory per prompt, with the key-value cache; a deletion is one smaller length.

    Args:
        policy: the policy; put into evaluation mode meanwhile.
        prompts: id lists, or int64 [B, P] right-padded with `vocabulary.size`.
        max_length: most generated tokens.
        max_actions: budget of actions, deletions and `eos` included; None: `4 * max_length`. A row that spends it is
            truncated.
        min_length: fewest generated tokens before `eos` is legal.
        generator: one number is drawn from it; it keys one stream of uniforms per row and step, so that a row's
            sample depends neither on its batch mates nor on the order of steps. None: a fixed key.
        temperature: of the softmax; 0 takes the most probable action.
        rules: of `seqil.decoding`, applied in this order after the temperature.
        streams: int64 [B], names of the rows' streams; None: 0 … B-1. Rows of one name, prompt and key are equal.

    Returns:
        Trajectories with `log_prob`, the log-probabilities under the law that was sampled from.

    Raises:
        InvalidInputError: bad prompts or limits, or more positions than the model has.
        NonFiniteError: NaN or infinity in the logits.
    """
    max_actions = _budget(max_actions, max_length)
    v, device = policy.vocabulary, policy.weight.device
    initial = start(v, prompts, max_length, min_length).to(device)
    policy.check_positions(initial.tokens.shape[1])
    B = len(initial)
    sampler = Sampler(generator, temperature, _named(streams, B, device))
    warps = [rule.begin(policy) for rule in rules]
    actions = torch.full((B, max_actions), v.size, device=device)
    log_prob = torch.zeros(B, max_actions, device=device)
    lengths = torch.zeros(B, dtype=torch.int64, device=device)
    with evaluating(policy):
        for step, rows, taken, logp in _decode(policy, initial, sampler, warps):
            actions[rows, step] = taken
            log_prob[rows, step] = logp.to(log_prob.dtype)
            lengths[rows] = step + 1
            if step + 1 == max_actions:
                break
    return _finish(initial, v, actions, lengths, log_prob)


def _decode(
    policy: TokenPolicy, initial: Prefixes, sampler: Sampler, warps: Sequence[Warp]
) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Yield (step, rows, actions, log-probabilities) until every row has ended; `rows` are those still running."""
    v, dtype = policy.vocabulary, policy.weight.dtype
    cells, length, prompt_length = initial.tokens.clone(), initial.length.clone(), initial.prompt_length
    device = cells.device
    capacity = -(-cells.shape[1] // _EXTENT) * _EXTENT
    cache = SlotCache(policy.model.config.get_text_config().num_hidden_layers, capacity)
    prefix = int(prompt_length.max()) - 1  # the last prompt token is fed by the first step
    if prefix > 0:
        cache.prefill(prefix)
        position = torch.arange(prefix, device=device)
        causal = additive(position[None, :] <= position[:, None], dtype).expand(len(cells), 1, -1, -1)
        policy.hidden(cells[:, :prefix], position.expand(len(cells), -1), causal, cache)
    rows = torch.arange(len(cells), device=device)  # of the batch that was asked for
    running = torch.ones(len(cells), dtype=torch.bool, device=device)
    states = torch.empty(0)  # last hidden state of every slot: a deletion leads back to one that is known
    revisited = False
    step = 0
    while True:
        top = length - 1
        extent = min(capacity, -(-int(length.max()) // _EXTENT) * _EXTENT)
        cache.step(top, extent)
        if revisited:
            hidden = states[torch.arange(len(rows), device=device), top]
        else:
            mask = slot_mask(length, extent, dtype)
            hidden = policy.hidden(cells.gather(1, top[:, None]), top[:, None], mask, cache)[:, 0]
            states = hidden.new_zeros(len(rows), capacity, hidden.shape[1]) if not len(states) else states
            states.scatter_(1, top[:, None, None].expand(-1, 1, hidden.shape[1]), hidden[:, None])
        logits = policy.head(hidden)
        token, eos, pop = legal_kinds(length - prompt_length, ~running, initial.max_length, initial.min_length)
        eos_logit, pop_logit = logits[:, v.eos].clone(), logits[:, v.backspace].clone()
        logits.masked_fill_(~token[:, None], -torch.inf)
        logits[:, v.eos] = eos_logit.masked_fill(~eos, -torch.inf)
        logits[:, v.backspace] = pop_logit.masked_fill(~pop, -torch.inf)
        reshape = None
        if warps:  # cells of deleted tokens are left as they are until they are written again
            tokens = torch.where(torch.arange(cells.shape[1], device=device) < length[:, None], cells, v.size)
            state = Prefixes(tokens, length, prompt_length, ~running, initial.max_length, initial.min_length)
            reshape = partial(_reshape, warps, state, rows)
        action, logp = sampler(logits, rows, step, reshape)
        yield step, rows[running], action[running], logp[running]
        deleting = action == v.backspace
        running &= action != v.eos
        if not running.any():
            return
        cells.scatter_(1, length[:, None], torch.where(deleting, v.size, action)[:, None])
        length = length + torch.where(deleting, -1, 1) * running
        revisited = bool((deleting | ~running).all())
        step += 1
        if 2 * int(running.sum()) <= len(rows):
            keep = running.nonzero()[:, 0]
            cache.keep(keep)
            cells, length, prompt_length = cells[keep], length[keep], prompt_length[keep]
            rows, running, states = rows[keep], running[keep], states[keep]


@torch.no_grad()
def rollout_reference(
    policy: TokenPolicy,
    prompts: Prompts,
    *,
    max_length: int,
    max_actions: int | None = None,
    min_length: int = 0,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    rules: Sequence[Rule] = (),
    streams: Tensor | None = None,
) -> Trajectories:
    """What `rollout` computes, one plain forward per prefix and `transition` for every step: slow and simple.

    Needs of the policy only `vocabulary`, `backspace` and `log_probs(prefixes)`: a table serves as well as a model.
    """
    max_actions = _budget(max_actions, max_length)
    v = policy.vocabulary
    initial = state = start(v, prompts, max_length, min_length)
    sampler = Sampler(generator, temperature, _named(streams, len(state), state.tokens.device))
    warps = [rule.begin(policy) for rule in rules]
    rows = torch.arange(len(state))
    actions = torch.full((len(state), max_actions), v.size)
    log_prob = torch.zeros(len(state), max_actions)
    lengths = torch.zeros(len(state), dtype=torch.int64)
    with evaluating(policy):
        for step in range(max_actions):
            if bool(state.ended.all()):
                break
            legal = legal_actions(v, state, policy.backspace)
            logits = policy.log_probs(state).masked_fill(~legal, -torch.inf)
            action, logp = sampler(logits, rows, step, partial(_reshape, warps, state, rows) if warps else None)
            running = ~state.ended
            actions[running, step], log_prob[running, step] = action[running], logp[running].to(log_prob.dtype)
            lengths += running.long()
            state = transition(v, state, action)
    return _finish(initial, v, actions, lengths, log_prob)


def _reshape(warps: Sequence[Warp], state: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
    """Apply every warp to the rows that run: what is at -inf stays there, and no row loses its last action."""
    running = ~state.ended
    state, rows, law = state.select(running), rows[running], logits[running]
    for warp in warps:
        warped = warp(state, rows, law).masked_fill(law == -torch.inf, -torch.inf)
        law = torch.where((warped == -torch.inf).all(-1, keepdim=True), law, warped)
    return logits.index_put((running,), law)


def _budget(max_actions: int | None, max_length: int) -> int:
    if max_actions is None:
        return 4 * max_length
    if max_actions < 1:
        raise InvalidInputError(f"max_actions={max_actions}: allow at least one action")
    return max_actions


def _named(streams: Tensor | None, rows: int, device: torch.device) -> Tensor | None:
    if streams is not None and (streams.shape != (rows,) or streams.dtype != torch.int64):
        raise InvalidInputError(f"streams must be int64 [{rows}], got {streams.dtype} {tuple(streams.shape)}")
    return None if streams is None else streams.to(device)


def _finish(state: Prefixes, v: Vocabulary, actions: Tensor, lengths: Tensor, log_prob: Tensor) -> Trajectories:
    T = int(lengths.max())
    return Trajectories.from_actions(
        v,
        state.tokens[:, : int(state.prompt_length.max())],
        actions[:, :T],
        max_length=state.max_length,
        min_length=state.min_length,
        lengths=lengths,
        log_prob=log_prob[:, :T],
    )
