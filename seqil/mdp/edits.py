"""Edits anywhere in a text: pure, batched, on any device.

A state is that of `seqil.transition`, a prompt and a text; an action inserts, deletes or substitutes one token of the
text, or stops, which writes `eos`. Edits at the end alone are `transition` under other names: to insert is to write,
to stop is to write `eos`, to delete is the backspace.

Letters: B rows, W = `max_length` places, V tokens, A = W (2 V + 1) + 1 actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import InvalidInputError, check_known, counted
from ..errors.arguments import check_fields, on_one_line, typed
from ..errors.indices import check_inside, whole_of
from ..errors.limits import check_lengths, check_memory
from .prefix import Prefixes, Prompts, actions_of, check_states, ids_of, start
from .vocabulary import Vocabulary

KINDS = ("insert", "delete", "substitute")
INSERT, DELETE, SUBSTITUTE, STOP = range(4)
POSITIONS = ("any", "end")
_MOST_ACTIONS = 2**63 - 1


@dataclass(frozen=True)
class Edits:
    """The alphabet of single edits: which there are, and the number of each.

    Inserts come first, place by place and token by token, then deletions, then substitutions, then `stop`. The token of
    an insert at place `i` comes to stand there, before what stood there; all places are counted from the prompt.

    Args:
        vocabulary: the ids.
        max_length: most tokens of a text, W, `eos` not counted.
        kinds: those of `KINDS` that are legal; to stop always is, in its time.
        positions: `any`, or `end`: at the end of the text alone.

    Raises:
        InvalidInputError: no vocabulary, an unknown kind or position, no kind at all or one of them twice, a length
            below 1, or one whose edits int64 cannot number.
    """

    vocabulary: Vocabulary
    max_length: int
    kinds: tuple[str, ...] = KINDS
    positions: str = "any"

    def __post_init__(self) -> None:
        check_known("positions", self.positions, POSITIONS)
        check_fields(self)
        object.__setattr__(self, "vocabulary", Vocabulary.of(self.vocabulary))
        object.__setattr__(self, "max_length", int(self.max_length))
        check_lengths(self.max_length, 0)
        if self.num_actions > _MOST_ACTIONS:
            raise InvalidInputError(f"max_length={self.max_length}: int64 cannot number so many edits; lower it")
        kinds: Any = (self.kinds,) if isinstance(self.kinds, str) else self.kinds
        if not isinstance(kinds, Iterable):
            raise InvalidInputError(f"kinds={kinds!r} must be a list of some of {', '.join(KINDS)}")
        object.__setattr__(self, "kinds", tuple(kinds))
        for kind in self.kinds:
            check_known("kind of edit", kind, KINDS)
        if not self.kinds:
            raise InvalidInputError(f"no kind of edit was given; give some of {', '.join(KINDS)}")
        twice = next((kind for kind in self.kinds if self.kinds.count(kind) > 1), None)
        if twice is not None:
            raise InvalidInputError(f"kinds={self.kinds} name {twice!r} more than once; name each kind once")

    @property
    def num_actions(self) -> int:
        """A."""
        return self.max_length * (2 * self.vocabulary.size + 1) + 1

    @property
    def stop(self) -> int:
        """The action that ends the text."""
        return self.num_actions - 1

    @property
    def factors(self) -> tuple[int, int, int]:
        """Kinds (`stop` is the fourth), places and tokens: an action as three numbers, where A is too many."""
        return len(KINDS) + 1, self.max_length, self.vocabulary.size

    @typed
    def insert(self, place: int, token: int) -> int:
        """The action that inserts a token other than `eos` at a place."""
        return self._number(INSERT, place, token)

    @typed
    def delete(self, place: int) -> int:
        """The action that deletes what stands at a place."""
        return self._number(DELETE, place, 0)

    @typed
    def substitute(self, place: int, token: int) -> int:
        """The action that writes a token other than `eos` over what stands at a place."""
        return self._number(SUBSTITUTE, place, token)

    def join(self, kinds: Tensor, places: Tensor, tokens: Tensor) -> Tensor:
        """Actions of their three parts, int64 of any one shape; parts that a kind does not have are not read.

        Raises:
            InvalidInputError: what are no integers of one shape, or (but on CUDA) a part out of range.
        """
        kinds, places, tokens = parts = [
            whole_of("Edits.join", name, x) for name, x in zip(_PARTS, (kinds, places, tokens), strict=True)
        ]
        if not kinds.shape == places.shape == tokens.shape:
            shapes = ", ".join(str(tuple(x.shape)) for x in parts)
            raise InvalidInputError(f"Edits.join: kinds, places and tokens have shapes {shapes}; give all one shape")
        read = [torch.ones_like(kinds, dtype=torch.bool), kinds != STOP, (kinds == INSERT) | (kinds == SUBSTITUTE)]
        for name, part, most, inside in zip(_PARTS, parts, self.factors, read, strict=True):
            check_inside("Edits.join", name, torch.where(inside, part, 0), most)
        return self._joined(kinds, places, tokens)

    def _joined(self, kinds: Tensor, places: Tensor, tokens: Tensor) -> Tensor:
        V, W = self.vocabulary.size, self.max_length
        cell = places * V + tokens
        deletion, last = W * V + places, torch.full_like(places, self.stop)
        found = torch.where(kinds == INSERT, cell, torch.where(kinds == DELETE, deletion, W * V + W + cell))
        return torch.where(kinds == STOP, last, found)

    def split(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Kind, place and token of actions, int64 of their shape; parts that a kind does not have are 0.

        Raises:
            InvalidInputError: what are no integers, or (but on CUDA) an action out of range.
        """
        actions = whole_of("Edits.split", "actions", actions)
        check_inside("Edits.split", "actions", actions, self.num_actions)
        return self._parts(actions)

    def _parts(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        V, W = self.vocabulary.size, self.max_length
        bounds = torch.tensor([W * V, W * V + W, self.stop], device=actions.device)
        kinds = torch.bucketize(actions, bounds, right=True)
        rest = actions - torch.where(kinds == SUBSTITUTE, W * V + W, torch.where(kinds == DELETE, W * V, 0))
        writes = (kinds == INSERT) | (kinds == SUBSTITUTE)
        places = torch.where(writes, rest // V, torch.where(kinds == DELETE, rest, 0))
        return kinds, places, torch.where(writes, rest % V, 0)

    def _number(self, kind: int, place: int, token: int) -> int:
        _, W, V = self.factors
        if not (0 <= place < W and 0 <= token < V):
            raise InvalidInputError(f"place {place} and token {token} must lie below {W} and {V}")
        if token == self.vocabulary.eos and kind != DELETE:
            raise InvalidInputError(f"token {token} is eos, which no edit but stop writes; use edits.stop")
        return int(self._joined(*(torch.tensor(x) for x in (kind, place, token))))


_PARTS = ("kinds", "places", "tokens")


class LegalPlaces(NamedTuple):
    """Where something can be done.

    Attributes:
        insert, delete, substitute: bool [B, W].
        stop: bool [B].
        standing: int64 [B, W], the token that stands at each place; V where none does.
    """

    insert: Tensor
    delete: Tensor
    substitute: Tensor
    stop: Tensor
    standing: Tensor


def begin_with(
    vocabulary: Vocabulary, prompts: Prompts, texts: Sequence[Sequence[int]], max_length: int, min_length: int = 0
) -> Prefixes:
    """States that hold a text each behind their prompt, for revision.

    Args:
        vocabulary: the ids.
        prompts: as for `seqil.start`.
        texts: B of them, without `eos`, of at most `max_length` tokens.
        max_length, min_length: as for `seqil.start`.

    Raises:
        InvalidInputError: another number of texts than of prompts, a text too long, or one with `eos`, a foreign id or
            what is no integer.
    """
    v = Vocabulary.of(vocabulary)
    begun, texts = start(v, prompts, max_length, min_length), _texts(texts)
    if len(texts) != len(begun):
        raise InvalidInputError(f"{counted(len(texts), 'text')} for {counted(len(begun), 'prompt')}; give one for each")
    tokens, length = begun.tokens.clone(), begun.length.clone()
    for row, text in enumerate(texts):
        wrong = next((t for t in text if not 0 <= t < v.size or t == v.eos), None)
        if wrong is not None:
            raise InvalidInputError(f"text {row} holds {wrong}, which is no token of a text that is being written")
        if len(text) > max_length:
            raise InvalidInputError(
                f"text {row} has {counted(len(text), 'token')}, at most max_length={max_length} fit"
            )
        at = int(length[row])
        tokens[row, at : at + len(text)] = torch.tensor(text, dtype=torch.int64)
        length[row] += len(text)
    return replace(begun, tokens=tokens, length=length)


def _texts(given: Any) -> list[list[int]]:
    """Lists of ids."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        shown = on_one_line(given, 60)
        raise InvalidInputError(f"begin_with: texts={shown} are no lists of ids; give one for each prompt, [[0]] say")
    found: list[list[int]] = []
    for row, text in enumerate(given):
        try:
            found.append(ids_of(text))
        except (TypeError, ValueError, RuntimeError):
            shown = on_one_line(text, 60)
            raise InvalidInputError(
                f"begin_with: text {row}, {shown}, is no list of integer ids; give [0] say"
            ) from None
    return found


def revise(edits: Edits, prefixes: Prefixes, actions: Tensor) -> Prefixes:
    """The next states; `prefixes` is unchanged. An illegal edit leaves its row as it is.

    Args:
        edits: the alphabet.
        prefixes: the states, B rows, without a memory of what was deleted.
        actions: int64 [B], each in `0 … A - 1`.

    Raises:
        InvalidInputError: an action out of range, or that is no integer; states of another length or vocabulary, or of
            a memory.
    """
    p, v = prefixes, _check("revise", edits, prefixes)
    actions = actions_of("revise", actions, p, edits.num_actions)
    kinds, places, tokens = edits._parts(actions)
    legal = _are_legal(edits, p, actions)
    stop, delete = legal & (kinds == STOP) & ~p.ended, legal & (kinds == DELETE)
    insert, write = stop | (legal & (kinds == INSERT)), legal & (kinds <= SUBSTITUTE) & (kinds != DELETE)
    at = torch.where(stop, p.length, p.prompt_length + places)[:, None]
    cell = torch.arange(p.tokens.shape[1], device=at.device)
    source = cell - (insert[:, None] & (cell > at)).long() + (delete[:, None] & (cell >= at)).long()
    moved = torch.nn.functional.pad(p.tokens, (0, 1), value=v.size).gather(1, source)
    written = torch.where(stop, v.eos, tokens)[:, None]
    here = (write | stop)[:, None] & (cell == at)
    return replace(
        p,
        tokens=torch.where(here, written, moved),
        length=p.length + insert.long() - delete.long(),
        ended=p.ended | stop,
    )


def are_legal(edits: Edits, prefixes: Prefixes, actions: Tensor) -> Tensor:
    """Whether one edit per row, int64 [B], is legal there: bool [B], without the mask of all of them."""
    _check("are_legal", edits, prefixes)
    return _are_legal(edits, prefixes, actions_of("are_legal", actions, prefixes, edits.num_actions))


def _are_legal(edits: Edits, prefixes: Prefixes, actions: Tensor) -> Tensor:
    places, (kinds, at, tokens) = _legal_places(edits, prefixes), edits._parts(actions)
    insert, delete, substitute, standing = (x.gather(1, at[:, None])[:, 0] for x in (*places[:3], places.standing))
    genuine = tokens != edits.vocabulary.eos
    found = torch.stack([insert & genuine, delete, substitute & genuine & (tokens != standing), places.stop])
    return found.gather(0, kinds[None])[0]


def legal_edits(edits: Edits, prefixes: Prefixes) -> Tensor:
    """Which edits are legal: bool [B, A]; no row is ever empty.

    After the end only `stop` is, a self-loop. Cells of the prompt are no places. `eos` is written by `stop` alone,
    which is legal from `min_length` tokens on, and where nothing else is. An insert into a text of `max_length`
    tokens is not legal, nor is a token in its own place.

    Raises:
        InvalidInputError: states of another length or vocabulary, or of a memory; more edits than fit into memory.
    """
    v = _check("legal_edits", edits, prefixes)
    check_memory(
        2 * len(prefixes) * edits.num_actions,  # the blocks, and all of them in one
        f"legal_edits: a mask of {edits.num_actions:,} edits for {counted(len(prefixes), 'text')}",
        "give fewer texts or a shorter max_length, or take legal_factors, which have no mask of all edits",
    )
    places = _legal_places(edits, prefixes)
    token = torch.arange(v.size, device=places.stop.device)
    genuine = token != v.eos
    inserts = places.insert[..., None] & genuine
    substitutes = places.substitute[..., None] & genuine & (token != places.standing[..., None])
    blocks = (inserts.flatten(1), places.delete, substitutes.flatten(1), places.stop[:, None])
    return torch.cat(blocks, 1)


def legal_factors(edits: Edits, prefixes: Prefixes) -> Tensor:
    """Which kinds, places and tokens some legal edit has: bool [B, 4 + W + V]; no factor of a row is ever empty.

    A place or a token that no kind has now is marked all the same where a row can only stop.
    """
    places, v = legal_places(edits, prefixes), edits.vocabulary
    kinds = torch.stack([places.insert.any(1), places.delete.any(1), places.substitute.any(1), places.stop], 1)
    somewhere = places.insert | places.delete | places.substitute
    tokens = torch.arange(v.size, device=kinds.device) != v.eos
    only_stop = ~somewhere.any(1, keepdim=True)
    return torch.cat([kinds, somewhere | only_stop, tokens.expand(len(kinds), -1)], 1)


def legal_places(edits: Edits, prefixes: Prefixes) -> LegalPlaces:
    """Where what is legal, without the tokens."""
    _check("legal_edits", edits, prefixes)
    return _legal_places(edits, prefixes)


def check_edits(where: str, edits: Any) -> None:
    """Refuse what is no alphabet of edits."""
    if not isinstance(edits, Edits):
        shown = on_one_line(edits, 60)
        raise InvalidInputError(f"{where}: edits={shown} is not a seqil.Edits; give Edits(vocabulary, max_length)")


def _check(where: str, edits: Edits, p: Prefixes) -> Vocabulary:
    """The vocabulary of edits, and of states that they can be made in."""
    check_edits(where, edits)
    v = check_states(where, edits.vocabulary, p)
    if p.max_length != edits.max_length:
        raise InvalidInputError(
            f"the states have max_length={p.max_length}, the edits {edits.max_length}; make both with one"
        )
    if p.tried is not None or p.history is not None:
        raise InvalidInputError("the states have a memory of what was deleted, edits have none; use memory='prefix'")
    return v


def _legal_places(edits: Edits, prefixes: Prefixes) -> LegalPlaces:
    p, v, W = prefixes, edits.vocabulary, edits.max_length
    place = torch.arange(W, device=p.length.device)
    n, open_ = p.generated[:, None], ~p.ended[:, None]
    stands = open_ & ((place < n) if edits.positions == "any" else (place == n - 1))
    room = open_ & (n < W) & ((place <= n) if edits.positions == "any" else (place == n))
    allowed = {kind: kind in edits.kinds for kind in KINDS}
    standing = torch.nn.functional.pad(p.tokens, (0, W), value=v.size).gather(1, p.prompt_length[:, None] + place)
    other = v.size > 2  # else a token has no other to be replaced by, since eos is none
    insert, delete = room & allowed["insert"], stands & allowed["delete"]
    substitute = stands & (allowed["substitute"] and other)
    stuck = ~(insert | delete | substitute).any(1)
    return LegalPlaces(insert, delete, substitute, stuck | p.ended | (p.generated >= p.min_length), standing)
