"""Batched sampling from a policy that may delete, and the slow reference that it must agree with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..capacity import check_memory
from ..decoding.constrained.constraints import Constrained, split
from ..decoding.interface import begun, naming_broken
from ..errors import InvalidInputError
from ..errors.arguments import check_function, typed
from ..errors.asked import check_rules
from ..errors.limits import check_lengths, within_budget
from ..mdp.memory import PREFIX, Memory
from ..mdp.prefix import (
    Prefixes,
    Prompts,
    legal_actions,
    pad_prompts,
    start,
    transition,
)
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary
from ..models.modes import evaluating
from ..models.precision import computing, where_loaded
from ..policy.token_policy import TokenPolicy
from .lanes import Lanes, reshaped
from .lockstep import Lockstep
from .sampler import Sampler, SamplerAhead

if TYPE_CHECKING:
    from ..decoding.interface import Rule, Warp


@typed
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
    batch_size: int | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Trajectories:
    """Sample one trajectory per prompt, with the key-value cache; a deletion is one smaller length.

    What a state is, is the policy's to say (`TokenPolicy.memory`). Under `tried` a deletion takes one token out of the
    law that it leads back to; under `history` it is one more token that is fed.

    On CUDA, without rules or a `tried_term`, all rows act in lockstep, by CUDA graphs, and the host waits for the
    device only every 16 actions. Rules look at their rows on the host: with them, as on a CPU, it waits at every one.

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
        rules: of `seqil.decoding`, applied in this order after the temperature, those about the standing text first.
        streams: int64 [B], names of the rows' streams; None: 0 … B-1. Rows of one name, prompt and key are equal.
        batch_size: rows that are decoded at once, the others begin where rows have ended; None: all. The sample of a
            row does not depend on it.
        watch: called with row and action as soon as an action is drawn: a stream of text, say. As with rules, the host
            waits at every action then.

    Returns:
        Trajectories with `log_prob`, the log-probabilities under the law that was sampled from.

    Raises:
        InvalidInputError: bad prompts or limits, or more positions than the model has.
        NonFiniteError: NaN or infinity in the logits.
    """
    check_rules("rollout", rules)
    if watch is not None:
        check_function("rollout", "watch", watch, "row", "action")
    max_actions, memory = within_budget(max_actions, max_length), _memory(policy, rules)
    check_lengths(max_length, min_length)
    cells, _ = pad_prompts(policy.vocabulary, prompts)
    policy.check_positions(cells.shape[1] + (max_length if memory.rewinds else max_actions - 1))
    check_memory(24 * len(cells) * max_actions, f"a rollout of {max_actions:,} actions", "lower max_actions")
    initial = start(policy.vocabulary, cells, max_length, min_length, memory).to(where_loaded(policy))
    names, lanes = _named(streams, initial), _rows_at_once(batch_size, initial)
    warps = _warps(policy, rules)
    with evaluating(policy), computing(policy), naming_broken(warps):
        if initial.tokens.is_cuda and not warps and watch is None and policy.tried_term is None:
            sampler = Sampler(generator, temperature, names)
            decoding: Lockstep | Lanes = Lockstep(policy, initial, sampler, max_actions, lanes)
        else:
            sampler = SamplerAhead(generator, temperature, names, once=memory.forbids)
            decoding = Lanes(policy, initial, sampler, warps, max_actions, lanes)
            decoding.watch = watch
        actions, log_prob, lengths = decoding.run()
    return _finish(initial, policy.vocabulary, actions, lengths, log_prob)


@typed
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

    Needs of the policy only `vocabulary`, `backspace` and `log_probs(prefixes)`: a table serves as well as a model. It
    may have a `memory`.
    """
    check_rules("rollout_reference", rules)
    max_actions = within_budget(max_actions, max_length)
    v = policy.vocabulary
    initial = state = start(v, prompts, max_length, min_length, _memory(policy, rules))
    check_memory(24 * len(state) * max_actions, f"a rollout of {max_actions:,} actions", "lower max_actions")
    sampler = Sampler(generator, temperature, _named(streams, initial))
    warps = _warps(policy, rules)
    rows = torch.arange(len(state))
    actions = torch.full((len(state), max_actions), v.size)
    log_prob = torch.zeros(len(state), max_actions)
    lengths = torch.zeros(len(state), dtype=torch.int64)
    with evaluating(policy), naming_broken(warps):
        for step in range(max_actions):
            if bool(state.ended.all()):
                break
            legal = legal_actions(v, state, policy.backspace)
            logits = policy.log_probs(state).masked_fill(~legal, -torch.inf)
            action, logp = sampler(logits, rows, lengths, partial(reshaped, warps, state, rows) if warps else None)
            running = ~state.ended
            actions[running, step], log_prob[running, step] = action[running], logp[running].to(log_prob.dtype)
            lengths += running.long()
            state = transition(v, state, action)
    return _finish(initial, v, actions, lengths, log_prob)


def _memory(policy: TokenPolicy, rules: Sequence[Rule]) -> Memory:
    """What is legal is the policy's to say, and the rules' (`tabu`)."""
    memory: Memory = getattr(policy, "memory", PREFIX)
    return replace(memory, forbids=True) if any(getattr(rule, "forbids", False) for rule in rules) else memory


def _warps(policy: TokenPolicy, rules: Sequence[Rule]) -> list[Warp]:
    """Of the rules in order; what they constrain comes before what they choose."""
    constraining, others = split([rule for rule in rules if not getattr(rule, "forbids", False)])
    first: list[Warp] = [Constrained(policy, constraining)] if constraining else []
    return first + [begun(rule, policy) for rule in others]


def _named(streams: Tensor | None, initial: Prefixes) -> Tensor:
    B, device = len(initial), initial.tokens.device
    if streams is None:
        return torch.arange(B, device=device)
    if not isinstance(streams, Tensor):
        raise InvalidInputError(f"streams={streams!r:.60} is not a tensor, int64 [{B}]")
    if streams.shape != (B,) or streams.dtype != torch.int64:
        raise InvalidInputError(f"streams must be int64 [{B}], got {streams.dtype} {tuple(streams.shape)}")
    return streams.to(device)


def _rows_at_once(batch_size: int | None, initial: Prefixes) -> int:
    if batch_size is not None and batch_size < 1:
        raise InvalidInputError(f"batch_size={batch_size}: decode at least one row at once")
    return min(batch_size or len(initial), len(initial))


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
