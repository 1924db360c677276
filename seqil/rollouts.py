"""Batched sampling from a policy that may delete, and the slow reference that it must agree with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .cache import SlotCache, additive, slot_mask
from .errors import InvalidInputError, NonFiniteError
from .policy import TokenPolicy
from .prefix import Prefixes, Prompts, legal_actions, legal_kinds, start, transition
from .trajectory import Trajectories
from .vocabulary import Vocabulary

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

    Returns:
        Trajectories with `log_prob`, the log-probabilities under the law that was sampled from.

    Raises:
        InvalidInputError: bad prompts or limits, or more positions than the model has.
        NonFiniteError: NaN or infinity in the logits.
    """
    sampler = Sampler(generator, temperature)
    max_actions = _budget(max_actions, max_length)
    v, device = policy.vocabulary, policy.weight.device
    initial = start(v, prompts, max_length, min_length).to(device)
    policy.check_positions(initial.tokens.shape[1])
    B = len(initial)
    actions = torch.full((B, max_actions), v.size, device=device)
    log_prob = torch.zeros(B, max_actions, device=device)
    lengths = torch.zeros(B, dtype=torch.int64, device=device)
    with evaluating(policy):
        for step, rows, taken, logp in _decode(policy, initial, sampler):
            actions[rows, step] = taken
            log_prob[rows, step] = logp.to(log_prob.dtype)
            lengths[rows] = step + 1
            if step + 1 == max_actions:
                break
    return _finish(initial, v, actions, lengths, log_prob)


def _decode(policy: TokenPolicy, initial: Prefixes, sampler: Sampler) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
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
        action, logp = sampler(logits, rows, step)
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
) -> Trajectories:
    """What `rollout` computes, one plain forward per prefix and `transition` for every step: slow and simple.

    Needs of the policy only `vocabulary`, `backspace` and `log_probs(prefixes)`: a table serves as well as a model.
    """
    sampler = Sampler(generator, temperature)
    max_actions = _budget(max_actions, max_length)
    v = policy.vocabulary
    initial = state = start(v, prompts, max_length, min_length)
    rows = torch.arange(len(state))
    actions = torch.full((len(state), max_actions), v.size)
    log_prob = torch.zeros(len(state), max_actions)
    lengths = torch.zeros(len(state), dtype=torch.int64)
    with evaluating(policy):
        for step in range(max_actions):
            if bool(state.ended.all()):
                break
            legal = legal_actions(v, state, policy.backspace)
            action, logp = sampler(policy.log_probs(state).masked_fill(~legal, -torch.inf), rows, step)
            running = ~state.ended
            actions[running, step], log_prob[running, step] = action[running], logp[running].to(log_prob.dtype)
            lengths += running.long()
            state = transition(v, state, action)
    return _finish(initial, v, actions, lengths, log_prob)


class Sampler:
    """Inverse-CDF sampling with a counter-based uniform per row and step.

    Args:
        generator: one draw from it keys all streams; None: key 0.
        temperature: of the softmax; 0 is the argmax.
    """

    def __init__(self, generator: torch.Generator | None, temperature: float) -> None:
        if not 0 <= temperature < float("inf"):
            raise InvalidInputError(f"temperature={temperature} must be 0 (greedy) or a positive number")
        device = "cpu" if generator is None else generator.device
        self.key = 0 if generator is None else int(torch.randint(2**62, (), generator=generator, device=device))
        self.temperature = temperature

    def __call__(self, logits: Tensor, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """One action per row: int64 [B] and its log-probability [B]; overwrites nothing.

        Args:
            logits: [B, A], -inf where illegal.
            rows: int64 [B], names of the rows' streams.
            step: position in the streams.
        """
        if not torch.isfinite(logits.amax(-1)).all():
            row = int(rows[~torch.isfinite(logits.amax(-1))][0])
            raise NonFiniteError(
                f"logits of row {row} at action {step} are not finite; the model is broken or has diverged"
            )
        if self.temperature == 0:
            action = logits.argmax(-1)
            return action, torch.zeros_like(logits[:, 0])
        log_p = (logits / self.temperature).log_softmax(-1)
        cdf = log_p.exp().cumsum(-1, dtype=torch.float64)
        total = cdf[:, -1:]
        # Strictly below the total, so that the first larger entry has a positive probability.
        point = torch.minimum(
            uniforms(self.key, rows, step)[:, None] * total, torch.nextafter(total, total.new_zeros(()))
        )
        action = torch.searchsorted(cdf, point, right=True)
        return action[:, 0], log_p.gather(1, action)[:, 0]


def uniforms(key: int, rows: Tensor, step: int) -> Tensor:
    """Counter-based uniforms in [0, 1): float64, one per row; the same bits on every device (splitmix64 finaliser)."""
    x = _mix(rows * _signed(0x9E3779B97F4A7C15) + key)
    x = _mix(x + _signed(0xD1B54A32D192ED03 * (step + 1)))
    return _shift(x, 11).double() * 2.0**-53


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number


@contextmanager
def evaluating(policy: nn.Module) -> Iterator[None]:
    """Without dropout, and back again."""
    if not isinstance(policy, nn.Module) or not policy.training:
        yield
        return
    policy.eval()
    try:
        yield
    finally:
        policy.train()


def _budget(max_actions: int | None, max_length: int) -> int:
    if max_actions is None:
        return 4 * max_length
    if max_actions < 1:
        raise InvalidInputError(f"max_actions={max_actions}: allow at least one action")
    return max_actions


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
