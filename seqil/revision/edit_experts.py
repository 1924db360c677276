"""An expert of edits: what brings a text nearer to its reference, by a dynamic programme."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..errors import InvalidInputError, check_known, counted
from ..errors.arguments import of_arrays, on_one_line
from ..errors.limits import check_memory
from ..mdp.edits import KINDS, Edits, check_edits, legal_edits
from ..mdp.prefix import Prefixes, check_shown, check_states

EditExpert = Callable[[Prefixes, Prefixes], Tensor]
"""(states, references), K rows each -> law over edits, float64 [K, A], zero where an edit is illegal."""
_BYTES = 16  # of an edit: the law and its sum


def edit_towards(edits: Edits) -> EditExpert:
    """All edits that begin a shortest way from the text to its reference, alike; `stop` where the text is it.

    `edit_distances` of beginnings and of ends of the two say which edits are on a shortest way (Levenshtein 1966).
    Where no way leads there, by the kinds that are legal, the row is zero: the expert has nothing to say.

    Args:
        edits: the alphabet; at the end alone, the wrong tokens are deleted and the right ones written.

    Raises:
        InvalidInputError: no alphabet; and by the law states or references that are none, of another vocabulary or
            length, another number of references than of states, a reference that has not ended, and more edits than
            fit into memory.
    """
    check_edits("edit_towards", edits)

    def law(states: Prefixes, references: Prefixes) -> Tensor:
        _check_pairs(edits, states, references)
        if not bool(references.ended.all()):
            raise InvalidInputError("a demonstration was cut before its eos; the expert of edits needs whole ones")
        marks = _at_the_end if edits.positions == "end" else _on_a_way
        towards = marks(edits, *_generated(states), *_generated(references))
        towards[states.ended] = False
        towards[states.ended, edits.stop] = True
        found = (towards & legal_edits(edits, states)).double()
        return found / found.sum(1, keepdim=True).clamp(min=1)

    return law


def _check_pairs(edits: Edits, states: Prefixes, references: Prefixes) -> None:
    for name, given in (("states", states), ("references", references)):
        if not isinstance(given, Prefixes):
            shown = on_one_line(given, 60)
            raise InvalidInputError(f"edit_towards: {name}={shown} is not a seqil.Prefixes; make them by seqil.start")
        check_states("edit_towards", edits.vocabulary, given)
        check_shown("edit_towards", edits.vocabulary, given)
        if given.max_length != edits.max_length:
            raise InvalidInputError(
                f"edit_towards: the {name} have max_length={given.max_length}, the edits {edits.max_length}; make all "
                "with one"
            )
    if len(states) != len(references):
        numbers = counted(len(references), "reference"), counted(len(states), "state")
        raise InvalidInputError(f"edit_towards: {' for '.join(numbers)}; give one for each")
    check_memory(
        _BYTES * len(states) * edits.num_actions,
        f"edit_towards: a law of {edits.num_actions:,} edits for {counted(len(states), 'text')}",
        "give fewer texts or a shorter max_length",
    )


@of_arrays
def edit_distances(kinds: Sequence[str], one: Tensor, other: Tensor) -> Tensor:
    """Fewest edits between all beginnings of two texts: float64 [K, n + 1, m + 1], infinite where none lead there.

    Args:
        kinds: those of `seqil.mdp.edits.KINDS` that may be used.
        one: int64 [K, n], the text.
        other: int64 [K, m], what it is to become.
    """
    for kind in kinds or [""]:
        check_known("edit", kind, KINDS)
    (n, m), free = (one.shape[1], other.shape[1]), torch.inf
    cost = {kind: 1.0 if kind in kinds else free for kind in ("insert", "delete", "substitute")}
    step = torch.arange(m + 1, dtype=torch.float64, device=one.device)
    row = torch.where(step > 0, step * cost["insert"], 0.0).expand(len(one), -1) if m else step.expand(len(one), -1)
    rows = [row]
    for i in range(n):
        matched = row[:, :-1] + torch.where(one[:, i, None] == other, 0.0, cost["substitute"])
        row = torch.minimum(row + cost["delete"], pad(matched, (1, 0), value=free))
        if "insert" in kinds:
            row = (row - step).cummin(1).values + step
        rows.append(row)
    return torch.stack(rows, 1)


def _generated(prefixes: Prefixes) -> tuple[Tensor, Tensor]:
    """Generated tokens without `eos`, int64 [K, L], -1 beyond them; their number, int64 [K]."""
    p = prefixes
    n = p.generated - p.ended.long()
    place = torch.arange(p.max_length, device=n.device)
    cells = pad(p.tokens, (0, p.max_length)).gather(1, p.prompt_length[:, None] + place)
    return torch.where(place < n[:, None], cells, -1), n


def _on_a_way(edits: Edits, text: Tensor, n: Tensor, wanted: Tensor, m: Tensor) -> Tensor:
    """Edits on some shortest way: bool [K, A]."""
    W, V = edits.max_length, edits.vocabulary.size
    first = edit_distances(edits.kinds, text, wanted)
    last = _of_ends(edit_distances(edits.kinds, _backwards(text, n), _backwards(wanted, m)), n, m)
    rows = torch.arange(len(n), device=n.device)
    total = first[rows, n, m][:, None, None]
    inside = (torch.arange(W + 1, device=n.device) <= n[:, None])[:, :, None]
    inside = inside & (torch.arange(wanted.shape[1] + 1, device=n.device) <= m[:, None])[:, None]
    first = first.masked_fill(~inside, torch.inf)
    finite = total < torch.inf
    insert = (first[:, :-1, :-1] + 1 + last[:, :-1, 1:] == total) & finite
    delete = (first[:, :-1] + 1 + last[:, 1:] == total) & finite
    substitute = (first[:, :-1, :-1] + 1 + last[:, 1:, 1:] == total) & finite
    substitute &= text[:, :, None] != wanted[:, None]
    tokens = wanted.clamp(min=0)[:, None].expand(-1, W, -1)
    written = (torch.zeros(len(n), W, V, dtype=torch.int64, device=n.device) for _ in range(2))
    inserts, substitutes = (
        cells.scatter_add(2, tokens, marks.long()) > 0
        for cells, marks in zip(written, (insert, substitute), strict=True)
    )
    return torch.cat([inserts.flatten(1), delete.any(2), substitutes.flatten(1), total[:, :, 0] == 0], 1)


def _at_the_end(edits: Edits, text: Tensor, n: Tensor, wanted: Tensor, m: Tensor) -> Tensor:
    """The one edit at the end, if there is a way: bool [K, A]."""
    width = max(text.shape[1], wanted.shape[1])
    text, wanted = (pad(x, (0, width + 1 - x.shape[1]), value=-1) for x in (text, wanted))
    common = ((text == wanted) & (text >= 0)).long().cumprod(1).sum(1)
    kinds = torch.where(n > common, 1, torch.where(m > common, 0, 3))
    swaps = ("substitute" in edits.kinds) & (n > common) & (m > common)
    kinds = torch.where(swaps & (n == common + 1), 2, kinds)
    reached = ("delete" in edits.kinds) | (n - common <= swaps.long())
    reached &= ("insert" in edits.kinds) | (m - common <= swaps.long())
    place = torch.where(kinds == 0, n, (n - 1).clamp(min=0))
    actions = edits.join(kinds, place, wanted.gather(1, place[:, None])[:, 0].clamp(min=0))
    return torch.nn.functional.one_hot(actions, edits.num_actions).bool() & reached[:, None]


def _backwards(text: Tensor, n: Tensor) -> Tensor:
    """Each text from its last token to its first; -1 beyond."""
    place = n[:, None] - 1 - torch.arange(text.shape[1], device=n.device)
    return torch.where(place >= 0, text.gather(1, place.clamp(min=0)), -1)


def _of_ends(distances: Tensor, n: Tensor, m: Tensor) -> Tensor:
    """Distances between the ends of texts from given places on, by those of the beginnings of the texts backwards."""
    K, N, M = distances.shape
    left, right = ((k[:, None] - torch.arange(size, device=n.device)) for k, size in ((n, N), (m, M)))
    found = distances[torch.arange(K, device=n.device)[:, None, None], left.clamp(min=0)[:, :, None],
                      right.clamp(min=0)[:, None]]  # fmt: skip
    return found.masked_fill((left < 0)[:, :, None] | (right < 0)[:, None], torch.inf)
