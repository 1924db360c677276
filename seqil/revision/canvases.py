"""A text as a row of cells of one width behind its prompt."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ..errors.limits import check_lengths
from ..mdp.prefix import Prefixes
from ..mdp.vocabulary import Vocabulary


def canvas(prefixes: Prefixes) -> int:
    """W: cells that a text is laid out on."""
    check_lengths(prefixes.max_length, prefixes.min_length)
    return prefixes.max_length + (prefixes.min_length < prefixes.max_length)


def put(vocabulary: Vocabulary, prefixes: Prefixes, tokens: Tensor) -> Prefixes:
    """The ended texts of cells, int64 [B, W]: up to the first `eos`, which is added where there is none."""
    p, v, W = prefixes, vocabulary, tokens.shape[1]
    is_eos = tokens == v.eos
    n = torch.where(is_eos.any(1), is_eos.int().argmax(1), W)
    C = p.tokens.shape[1]
    cell = torch.arange(C, device=tokens.device) - p.prompt_length[:, None]
    padded = nn.functional.pad(tokens, (0, 1), value=v.eos)
    text = padded.gather(1, cell.clamp(0, W))
    written = torch.where(cell == n[:, None], v.eos, text)
    cells = torch.where(cell < 0, p.tokens, torch.where(cell <= n[:, None], written, v.size))
    return replace(p, tokens=cells, length=p.prompt_length + n + 1, ended=torch.ones_like(p.ended))


def laid(vocabulary: Vocabulary, prefixes: Prefixes, W: int) -> Tensor:
    """The W cells behind the prompt of ended texts, `eos` behind their end: int64 [B, W]."""
    p = prefixes
    at = p.prompt_length[:, None] + torch.arange(W, device=p.length.device)
    cells = torch.nn.functional.pad(p.tokens, (0, W), value=vocabulary.size).gather(1, at)
    return torch.where(cells == vocabulary.size, vocabulary.eos, cells)


def only_legal(vocabulary: Vocabulary, prefixes: Prefixes, logits: Tensor) -> Tensor:
    """Logits of cells, [B, W, V], without `eos` where no text may end, and with nothing else in the last cell of one
    that must."""
    p, v, W = prefixes, vocabulary, logits.shape[1]
    place = torch.arange(W, device=logits.device)
    eos = torch.arange(v.size, device=logits.device) == v.eos
    wrong = (place < p.min_length)[:, None] & eos
    wrong = wrong | ((place >= p.max_length)[:, None] & ~eos)
    return logits.masked_fill(wrong, -torch.inf)
