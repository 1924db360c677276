"""Whether conditionals can be those of one law of texts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..errors.arguments import typed
from ..errors.asked import key_generator
from ..errors.limits import check_readings
from ..mdp.prefix import Prefixes, check_states
from ..models.modes import evaluating
from .canvases import canvas, laid
from .resampling import Conditionals, check_conditionals, with_cells


@typed
@torch.no_grad()
def incompatibility(
    policy: Conditionals, prefixes: Prefixes, generator: torch.Generator | None = None, samples: int = 16
) -> float:
    """How far the conditionals of single cells are from those of any one law: nats, 0 where they are compatible.

    Of one law `log p(a | b) - log p(a' | b)` says by how much the text with a and b is likelier than that with a' and
    b, the rest being what it is; so once around the rectangle (a, b), (a', b), (a', b'), (a, b') such steps sum up to
    0 (Besag 1974). Pseudo-likelihood asks for nothing of the kind. This is the mean absolute value of the sum, over
    two cells and two other tokens in each of them, all drawn alike.

    Args:
        policy: says the law of masked cells: a `MaskedPolicy`, or exact conditionals.
        prefixes: B ended texts, which are the rest; each holds two tokens at least. Their ends stay where they are.
        generator: on the CPU; None: a fixed key.
        samples: rectangles per text, of 4 readings each.

    Raises:
        InvalidInputError: what has no conditionals, texts that have not ended or are shorter than that, fewer than
            three tokens, no samples, or a token of probability 0 given the rest.
    """
    check_conditionals("incompatibility", policy)
    v = check_states("incompatibility", policy.vocabulary, prefixes)
    generator = key_generator("incompatibility", generator)
    if samples < 1:
        raise InvalidInputError(f"incompatibility: samples={samples}: give 1 or more")
    check_readings(4 * samples, f"{samples:,} samples", "lower samples")
    if v.size < 3:
        raise InvalidInputError("incompatibility: there is one token beside eos and no other; give a larger vocabulary")
    if not bool(prefixes.ended.all()):
        raise InvalidInputError("incompatibility: a text has not ended; fill it first, or end it")
    length = prefixes.generated - 1
    if bool((short := length < 2).any()):
        row = int(short.nonzero()[0])
        raise InvalidInputError(f"incompatibility: text {row} has no two tokens; give longer ones")
    cells, sums = laid(v, prefixes, canvas(prefixes)), []
    with evaluating(policy):
        for _ in range(samples):
            pair = _others(length, generator)
            tokens = torch.stack([_others(torch.full_like(length, v.size - 1), generator) for _ in range(2)], 1)
            sums.append(_around(policy, prefixes, cells, pair, tokens + (tokens >= v.eos)))
    found = float(torch.stack(sums).abs().mean())
    if not math.isfinite(found):
        raise InvalidInputError(
            "incompatibility: a token has no probability above 0 given the rest, so that a sum is not defined; give "
            "conditionals that are positive"
        )
    return found


def _others(below: Tensor, generator: torch.Generator) -> Tensor:
    """Two different numbers below each of these, drawn alike: int64 [B, 2]."""
    chance = torch.rand(2, len(below), generator=generator, dtype=torch.float64).to(below.device)
    first = (chance[0] * below).long()
    second = (chance[1] * (below - 1)).long()
    return torch.stack([first, second + (second >= first)], 1)


def _around(policy: Conditionals, prefixes: Prefixes, cells: Tensor, pair: Tensor, tokens: Tensor) -> Tensor:
    """The sums around rectangles: float64 [B].

    Args:
        policy: says the conditionals.
        prefixes: the texts.
        cells: int64 [B, W], what stands in them.
        pair: int64 [B, 2], two cells of each text.
        tokens: int64 [B, 2, 2], two tokens for each of the two.
    """
    total = torch.zeros(len(cells), dtype=torch.float64, device=cells.device)
    for cell in range(2):  # the one that is asked for; the other holds its first token, or its second
        masked = torch.zeros_like(cells, dtype=torch.bool).scatter(1, pair[:, cell, None], True)
        for held, sign in ((0, 1.0), (1, -1.0)):
            shown = cells.scatter(1, pair[:, 1 - cell, None], tokens[:, 1 - cell, held, None])
            laws = policy.conditionals(with_cells(prefixes, shown), masked).double()
            law = laws.gather(1, pair[:, cell, None, None].expand(-1, -1, laws.shape[2]))[:, 0]
            first, second = law.gather(1, tokens[:, cell]).unbind(1)
            total += sign * (first - second) * (1.0 if cell == 0 else -1.0)
    return total
