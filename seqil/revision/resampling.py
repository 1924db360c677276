"""Chains on texts: blocks of cells drawn anew given the rest, sweep after sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from ..errors import InvalidInputError, check_known, counted
from ..errors.arguments import check_temperature, on_one_line, typed
from ..errors.asked import key_generator
from ..errors.limits import check_readings
from ..mdp.edits import SUBSTITUTE
from ..mdp.prefix import Prefixes, check_states
from ..mdp.vocabulary import Vocabulary
from .canvases import canvas, laid, put

Order = Literal["random", "random_scan", "confidence", "quality"]
ORDERS = ("random", "random_scan", "confidence", "quality")


class Conditionals(Protocol):
    """What is resampled by: a `MaskedPolicy`, or exact conditionals."""

    vocabulary: Vocabulary

    def conditionals(self, prefixes: Prefixes, masked: Tensor, /) -> Tensor:
        """Log-probabilities of every cell's token, given all cells that are not masked: float [B, W, V]."""


@dataclass(frozen=True, eq=False)
class Resampled:
    """Texts after some sweeps.

    Attributes:
        prefixes: the texts, ended.
        forwards: int64 [B], cells that were fed, the prompt's among them.
        revisions: per row the substitutions that changed something, in order: (kind, place, token), as of `Written`.
    """

    prefixes: Prefixes
    forwards: Tensor
    revisions: list[list[tuple[int, int, int]]]


@typed
@torch.no_grad()
def resample(
    policy: Conditionals,
    prefixes: Prefixes,
    block: int,
    sweeps: int,
    order: Order = "random",
    *,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    exact: bool = False,
    span: bool = False,
) -> Resampled:
    """Draw the cells of a text anew, block by block, `sweeps` times.

    A block that holds the end of a text holds all cells behind it.

    Args:
        policy: says the law of masked cells.
        prefixes: ended texts.
        block: cells that are drawn at once.
        sweeps: over all cells.
        order: `random`, every cell once per sweep; `random_scan`, as many blocks as fill a text, each anywhere, so that
            a sweep leaves some cells and draws others twice; or first the cells that the model doubts most: by the
            probability that it gives to what stands there given all else (`confidence`, W more readings per sweep), or
            by the head that was trained for it (`quality`, one more).
        generator: on the CPU; None: a fixed key.
        temperature: of the conditionals.
        exact: whether the cells of a block are drawn from left to right, each given those before it, as their joint law
            asks; else each on its own, which is one reading per block, and not the joint law.
        span: whether a block is one of neighbours.

    Raises:
        InvalidInputError: what has no conditionals, or no head for the order that asks for one; texts that have not
            ended, an unknown order, or a block of no cells.
    """
    check_conditionals("resample", policy)
    if block < 1 or sweeps < 0:
        raise InvalidInputError(f"block={block}, sweeps={sweeps}: give a block of 1 cell or more, and 0 sweeps or more")
    check_known("order", order, ORDERS)
    if order == "quality" and not hasattr(policy, "quality"):
        raise InvalidInputError(
            f"resample: {_named(policy)} has no head for quality; take another order, or give a MaskedPolicy with "
            "quality=True"
        )
    check_states("resample", policy.vocabulary, prefixes)
    generator = key_generator("resample", generator)
    if not bool(prefixes.ended.all()):
        raise InvalidInputError("a text has not ended; fill it first, or end it")
    state, W = prefixes, canvas(prefixes)
    check_readings(sweeps * -(-W // block), f"{sweeps:,} sweeps", "lower sweeps")
    forwards = torch.zeros_like(state.length)
    done: list[list[tuple[int, int, int]]] = [[] for _ in range(len(state))]
    for _ in range(sweeps):
        ranked, read = _ranked(policy, state, order, generator, span, block)
        forwards += read * (state.prompt_length + W)
        for masked in _blocks(ranked, block, W):
            before = laid(policy.vocabulary, state, W)
            state, fed = _redrawn(policy, state, masked, generator, temperature, exact)
            forwards += fed * (state.prompt_length + W)
            _note(done, before, laid(policy.vocabulary, state, W))
    return Resampled(state, forwards, done)


@typed
@torch.no_grad()
def filled(
    policy: Conditionals,
    prefixes: Prefixes,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    at_once: int = 1,
) -> tuple[Prefixes, Tensor]:
    """Texts written into empty cells, the surest of them first (mask-predict without going back).

    Args:
        policy: says the law of masked cells.
        prefixes: prompts, with nothing behind them.
        generator: on the CPU; None: a fixed key.
        temperature: of the conditionals.
        at_once: cells that are kept of one reading.

    Returns:
        The texts, ended, and the cells that were fed: int64 [B].

    Raises:
        InvalidInputError: what has no conditionals, prompts with something behind them, or `at_once` below 1.
    """
    check_conditionals("filled", policy)
    if at_once < 1:
        raise InvalidInputError(f"at_once={at_once}: keep at least one cell of a reading")
    check_states("filled", policy.vocabulary, prefixes)
    if bool((written := prefixes.generated > 0).any()):
        row = int(written.nonzero()[0])
        raise InvalidInputError(
            f"filled: prompt {row} has {counted(int(prefixes.generated[row]), 'token')} behind it, to be lost; "
            "give prompts alone, as of seqil.start, or resample the text"
        )
    generator, W = key_generator("filled", generator), canvas(prefixes)
    tokens = torch.full((len(prefixes), W), policy.vocabulary.size, device=prefixes.length.device)
    forwards = torch.zeros_like(prefixes.length)
    while bool((missing := tokens == policy.vocabulary.size).any()):
        shown = with_cells(prefixes, tokens)
        laws = policy.conditionals(shown, missing)
        drawn = sampled(laws, generator, temperature)
        sure = laws.gather(2, drawn[..., None])[..., 0].masked_fill(~missing, -torch.inf)
        kept = torch.zeros_like(missing).scatter(1, sure.topk(min(at_once, W)).indices, True) & missing
        tokens = torch.where(kept, drawn, tokens)
        forwards += prefixes.prompt_length + W
    return put(policy.vocabulary, prefixes, tokens), forwards


def check_conditionals(where: str, policy: Any) -> None:
    """Refuse what has no law of masked cells.

    Raises:
        InvalidInputError: it names what is wanted.
    """
    if not callable(getattr(policy, "conditionals", None)) or not hasattr(policy, "vocabulary"):
        raise InvalidInputError(
            f"{where}: policy={_named(policy)} has no conditionals of cells; give a MaskedPolicy, or the "
            "MarkovConditionals of a law"
        )


def _named(policy: Any) -> str:
    """What is given, by its class where it is a policy, whose own text has many lines."""
    return type(policy).__name__ if hasattr(policy, "vocabulary") else on_one_line(policy, 60)


def sampled(laws: Tensor, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
    """A token per cell of log-probabilities [B, W, V]: int64 [B, W]; at temperature 0 the likeliest."""
    check_temperature(temperature)
    if temperature == 0:
        return laws.argmax(-1)
    weights = (laws / temperature).double().softmax(-1).flatten(0, 1).cpu()
    return torch.multinomial(weights, 1, generator=generator).reshape(laws.shape[:2]).to(laws.device)


def with_cells(prefixes: Prefixes, tokens: Tensor) -> Prefixes:
    """Prompts with cells behind them, some of them empty: what `conditionals` is shown while a text is being filled."""
    p, W = prefixes, tokens.shape[1]
    cells = torch.nn.functional.pad(p.tokens, (0, max(0, int(p.prompt_length.max()) + W - p.tokens.shape[1])))
    at = p.prompt_length[:, None] + torch.arange(W, device=tokens.device)
    return replace(p, tokens=cells.scatter(1, at, tokens), length=p.prompt_length + W)


def _ranked(
    policy: Conditionals, state: Prefixes, order: Order, generator: torch.Generator, span: bool, block: int
) -> tuple[Tensor, int]:
    """Cells in the order of their drawing, int64 [B, n], and the readings that it took to say so."""
    B, W = len(state), canvas(state)
    if order == "random_scan":
        return _anywhere(B, W, generator, span, block).to(state.length.device), 0
    chance = torch.rand(B, W, generator=generator, dtype=torch.float64).to(state.length.device)
    if order == "quality":
        return policy.quality(state).argsort(1), 1  # type: ignore[attr-defined]  # a MaskedPolicy has it
    if order == "confidence":
        return _given_others(policy, state, W).argsort(1), W
    if not span:
        return chance.argsort(1), 0
    offset = (chance[:, :1] * W).long()  # spans begin somewhere else in each sweep, and go on at the beginning
    group = torch.arange(W, device=chance.device) // block
    key = chance[:, group].masked_fill(group == W // block, 2.0)  # the last may be shorter
    return (key.argsort(dim=1, stable=True) + offset) % W, 0


def _anywhere(B: int, W: int, generator: torch.Generator, span: bool, block: int) -> Tensor:
    """Cells of blocks that know nothing of each other, as many as fill a text: int64 [B, blocks * block]."""
    block, blocks = min(block, W), -(-W // block)
    if span:
        first = torch.randint(W - block + 1, (B, blocks, 1), generator=generator)
        return (first + torch.arange(block)).flatten(1)
    return torch.rand(B, blocks, W, generator=generator).topk(block).indices.flatten(1)


def _given_others(policy: Conditionals, state: Prefixes, W: int) -> Tensor:
    """Log-probability of what stands in each cell, given all others, one reading per cell: [B, W]."""
    standing = laid(policy.vocabulary, state, W)
    found = []
    for cell in range(W):
        masked = torch.zeros(len(state), W, dtype=torch.bool, device=standing.device)
        masked[:, cell] = True
        law = policy.conditionals(state, masked)[:, cell]
        found.append(law.gather(1, standing[:, cell, None])[:, 0])
    return torch.stack(found, 1)


def _blocks(ranked: Tensor, block: int, W: int) -> Iterator[Tensor]:
    """Masks of the blocks, one after another: bool [B, W] each."""
    for at in range(0, ranked.shape[1], block):
        none = torch.zeros(len(ranked), W, dtype=torch.bool, device=ranked.device)
        yield none.scatter(1, ranked[:, at : at + block], True)


def _redrawn(
    policy: Conditionals,
    state: Prefixes,
    masked: Tensor,
    generator: torch.Generator,
    temperature: float,
    exact: bool,
) -> tuple[Prefixes, int]:
    """The texts with a block drawn anew, and how often they were read for it."""
    v, W = policy.vocabulary, masked.shape[1]
    tokens, place = laid(v, state, W), torch.arange(W, device=masked.device)
    end = state.generated[:, None] - 1
    if state.max_length < W:  # else the end is where it is
        masked = masked | ((place >= end) & masked.gather(1, end.clamp(max=W - 1)))
    if not exact:
        drawn = sampled(policy.conditionals(state, masked), generator, temperature)
        return put(v, state, torch.where(masked, drawn, tokens)), 1
    left, reads = masked.clone(), 0
    while bool(left.any()):
        first = left & (left.long().cumsum(1) == 1)
        drawn = sampled(policy.conditionals(with_cells(state, tokens), left), generator, temperature)
        tokens, left, reads = torch.where(first, drawn, tokens), left & ~first, reads + 1
    return put(v, state, tokens), reads


def _note(done: list[list[tuple[int, int, int]]], before: Tensor, after: Tensor) -> None:
    for row, place in (before != after).nonzero().tolist():
        done[row].append((SUBSTITUTE, place, int(after[row, place])))
