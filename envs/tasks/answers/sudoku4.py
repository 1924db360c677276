"""Sudoku on a grid of 4 by 4: a wrong cell leaves no grid long before a rule is broken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from seqil import Prefixes, Vocabulary
from seqil.errors import InvalidInputError

from ..base import counters
from ..base.requests import foreign_prompt, split_of
from ..base.sampled import CHUNK, Chunk, Ints, SampledTask

CELLS, DIGITS, BLANK, _EOS = 16, 4, 4, 5
_GRIDS = 288
_SCATTERED = (0, 6, 9, 15, 1, 7, 8, 14, 2, 4, 11, 13, 3, 5, 10, 12)
_ALL = (1 << _GRIDS) - 1
_PROMPT = "16 cells, digits and blanks, that some grid agrees with"


class Sudoku4(SampledTask):
    """`3..4.........2..`, clues and blanks, answered by the 16 digits of a grid that has the clues.

    - **Tokens**: the digits 1 … 4 (ids 0 … 3), `.` for a blank (id 4) and `eos` (id 5), V = 6. Written without
      separators: the position says which cell is meant, in the prompt as in the text.
    - **Grids**: the 288 whose rows, columns and 2 x 2 blocks hold each digit once. A grid is uniform, the number of
      clues is uniform on `low` … `high`, and so are the cells that show them.
    - **Prompt**: 16 cells, clue or blank. **Text**: 16 digits, clues repeated, then `eos`.
    - **Order of writing**: `scattered`, four cells that share no row, column or block, then four more, and so on; or
      row by row. It decides how late an error becomes visible.
    - **Teacher**: uniform over the grids that have all clues and the text so far, by enumeration: the exact posterior.
      After an error: uniform over those that have all clues and as many digits of the text as any of them.
    - **First error**: the first digit after which no grid is left. `first_violation` is the first one that a clue or a
      rule shows to be wrong, never earlier. Some digit leaves no grid and breaks no rule at 28 % of the prefixes of
      demonstrations; where the teacher goes on after it, the violation comes 4.5 tokens later on average and up to 12
      (row by row: 7 %, 1.5 and 3).
    - **Success**: a whole grid that has the clues, and `eos`.
    - **Confusions**: the digits that leave no grid and break no rule; where there are none, all that leave no grid.
    - **Items** are split by the hash of the prompt, so that no two splits share one, and each prompt has the whole law
      of its answers. Grids cannot be held out, as there are only 288: 5,000 training items hold every grid of every
      test item under other clues, and what is tested is to find those that fit unseen clues. Structural split: other
      numbers of clues.

    Args:
        low: fewest clues, at least 0.
        high: most clues, 2 to 15.
        scattered: the order of writing; False: row by row.
    """

    name = "sudoku4"
    vocabulary = Vocabulary(size=_EOS + 1, eos=_EOS)
    max_length = min_length = prompt_tokens = CELLS
    max_actions = 200

    def __init__(self, low: int = 0, high: int = 6, scattered: bool = True) -> None:
        if not 0 <= low <= high or not 2 <= high < CELLS:
            raise InvalidInputError(
                f"sudoku4: low={low}, high={high} must satisfy 0 <= low <= high and 2 <= high <= 15"
            )
        self.low, self.high, self.scattered = low, high, scattered
        self.grids = torch.from_numpy(_grids(scattered))
        """Int64 [288, 16]: every grid, its cells in the order of writing."""
        self.peers = torch.from_numpy(_peers(scattered))
        """Bool [16, 16]: whether two cells share a row, a column or a block, in the order of writing."""
        self._held = _digits(self.grids).flatten(1)
        # The same as bits, and as lists, for one text at a time.
        self._holders = _holders(scattered)
        self._around = [row.nonzero()[:, 0].tolist() for row in self.peers]

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 grids with clues."""
        return _chunk(self.low, self.high, self.scattered, seed, number)

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """Share of the fitting grids that have each digit in the next cell; `eos` after the last."""
        score, held = self._agreement(prefixes), self._held.to(prefixes.tokens.device)
        counts = ((score == score.amax(1, keepdim=True)).float() @ held).unflatten(1, (CELLS, DIGITS))
        row = counts.double()[torch.arange(len(counts), device=counts.device), _next_cell(prefixes)]
        law = torch.nn.functional.pad(row / row.sum(1, keepdim=True), (0, 2))
        return self.ended(law, prefixes)

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first digit that no grid with the clues and the digits before it has; what is no digit is an error."""
        left = self._with_clues(prompt)
        for cell, token in enumerate(tokens):
            if cell == CELLS and token == _EOS:
                return None
            left &= self._holders.get((cell, token), 0)
            if not left:
                return cell
        return None

    def first_violation(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first digit that its clue contradicts, or that its row, column or block has already.

        A judge as `first_error` is, of who knows the rules and does not look ahead.
        """
        self._with_clues(prompt)
        known = dict(enumerate(prompt))
        for cell, token in enumerate(tokens):
            if cell == CELLS and token == _EOS:
                return None
            if cell == CELLS or token >= DIGITS or known[cell] not in (BLANK, token):
                return cell
            if token in {known[other] for other in self._around[cell]}:
                return cell
            known[cell] = token
        return None

    def has_error(self, prefixes: Prefixes) -> Tensor:
        """Whether no grid with the clues has all of the text."""
        return self._agreement(prefixes).amax(1) < prefixes.generated.clamp(max=CELLS)

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """A whole grid that has the clues, and `eos`."""
        whole = len(tokens) == CELLS + 1 and tokens[-1] == _EOS
        return self.first_error(prompt, tokens) is None and whole

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the digits that the law forbids and the rules do not, or else on all that the law forbids."""
        forbidden = self.next_distribution(prefixes)[:, :DIGITS] == 0
        rows, cell = torch.arange(len(forbidden), device=forbidden.device), _next_cell(prefixes)
        clues = _digits(prefixes.tokens[:, :CELLS])
        around = self.peers.to(clues)[cell]
        taken = torch.einsum("bc,bcd->bd", around, clues + _digits(_text(prefixes))) > 0
        clue = clues[rows, cell]
        hidden = forbidden & ~taken & ((clue > 0) | (clue.sum(1, keepdim=True) == 0))
        weights = torch.where(hidden.any(1, keepdim=True), hidden, forbidden).float()
        weights[prefixes.ended | (prefixes.generated >= CELLS)] = 0
        return torch.nn.functional.pad(weights, (0, 2))

    def decode(self, tokens: Sequence[int]) -> str:
        """Digits and points; `eos` is not shown."""
        return "".join("1234."[t] for t in tokens if t != _EOS)

    def _agreement(self, prefixes: Prefixes) -> Tensor:
        """Digits of the text that each grid has, float32 [B, 288]; -1 for a grid that lacks a clue."""
        clues, held = _digits(prefixes.tokens[:, :CELLS]).flatten(1), self._held.to(prefixes.tokens.device)
        fits = clues @ held.T == clues.sum(1, keepdim=True)
        known = (prefixes.prompt_length == CELLS) & (prefixes.tokens[:, :CELLS] <= BLANK).all(1) & fits.any(1)
        self.check_prompts(prefixes, known, _PROMPT)
        return (_digits(_text(prefixes)).flatten(1) @ held.T).masked_fill(~fits, -1)

    def _with_clues(self, prompt: Sequence[int]) -> int:
        """The grids that have all clues, as bits."""
        left = _ALL if len(prompt) == CELLS and max(prompt) <= BLANK else 0
        for cell, clue in enumerate(prompt):
            left &= _ALL if clue == BLANK else self._holders.get((cell, clue), 0)
        if not left:
            raise foreign_prompt(self.name, prompt, _PROMPT)
        return left


def _digits(cells: Tensor) -> Tensor:
    """Which digit a cell holds, if it holds one: float32 [..., 4], exact in products."""
    return one_hot(cells.clamp(max=BLANK), DIGITS + 1)[..., :DIGITS].float()


def _text(prefixes: Prefixes) -> Tensor:
    """The generated digits, [B, 16]; blanks in cells that are not written yet."""
    at = torch.arange(CELLS, device=prefixes.tokens.device)
    cells = (prefixes.prompt_length[:, None] + at).clamp(max=prefixes.tokens.shape[1] - 1)
    return torch.where(at < prefixes.generated[:, None], prefixes.tokens.gather(1, cells), BLANK)


def _next_cell(prefixes: Prefixes) -> Tensor:
    return prefixes.generated.clamp(max=CELLS - 1)


@lru_cache(maxsize=2)
def _peers(scattered: bool) -> NDArray[np.bool_]:
    """Whether two cells share a row, a column or a block and are not the same, [16, 16]."""
    row, column = np.divmod(np.array(_SCATTERED) if scattered else np.arange(CELLS), 4)
    units = (row, column, row // 2 * 2 + column // 2)
    shared: NDArray[np.bool_] = np.any([np.equal.outer(unit, unit) for unit in units], 0)
    return shared & ~np.eye(CELLS, dtype=bool)


@lru_cache(maxsize=2)
def _grids(scattered: bool) -> Ints:
    """All grids, int64 [288, 16], by going through the cells in the order of writing."""
    grids: list[tuple[int, ...]] = [()]
    for cell in range(CELLS):
        earlier = np.flatnonzero(_peers(scattered)[cell, :cell])
        grids = [(*grid, d) for grid in grids for d in range(DIGITS) if d not in {grid[other] for other in earlier}]
    return np.array(grids, dtype=np.int64)


@lru_cache(maxsize=2)
def _holders(scattered: bool) -> dict[tuple[int, int], int]:
    """The grids that have a digit in a cell, as bits."""
    grids = _grids(scattered).tolist()
    return {
        (cell, digit): sum(1 << i for i, grid in enumerate(grids) if grid[cell] == digit)
        for cell, digit in product(range(CELLS), range(DIGITS))
    }


@lru_cache(maxsize=64)
def _chunk(low: int, high: int, scattered: bool, seed: int, number: int) -> Chunk:
    key = ("sudoku4", low, high, seed, number)
    grids = _grids(scattered)[counters.below(_GRIDS, "grid", *key, shape=(CHUNK,))]
    clues = counters.below(high - low + 1, "clues", *key, shape=(CHUNK, 1)) + low
    ranks = counters.words("cells", *key, shape=(CHUNK, CELLS)).argsort(axis=1, kind="stable")
    prompts = np.where(ranks < clues, grids, BLANK)
    splits = np.array([split_of("sudoku4", "".join("1234."[t] for t in prompt)) for prompt in prompts.tolist()])
    return Chunk(np.concatenate([prompts, grids], 1), splits)
