"""The token MDP on prefixes: pure, batched, on any device.

A state is a prompt followed by generated tokens. A token is appended, a backspace removes the last
generated token, and a generated `eos` ends the sequence: it is absorbing and can never be deleted.
An `eos` inside a prompt is an ordinary cell. Everything else in the library (environments, rollouts with
a cache, tree packing, noise) is tested to be equal to `transition`.

Letters: B rows, P prompt cells, L = `max_length`, C = P + L + 1 cells, V tokens, A = V + 1 actions.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..errors.arguments import check_switch, on_one_line, typed
from ..errors.indices import check_inside, device_of, is_whole, rows_of
from ..errors.limits import check_lengths, check_memory
from .memory import PREFIX, History, Memory, Tried, choices_at_prompt
from .vocabulary import Vocabulary

Prompts = Sequence[Sequence[int]] | Tensor


@dataclass(frozen=True, eq=False)
class Prefixes:
    """A batch of states.

    Attributes:
        tokens: int64 [B, C]; cells from `length` on hold `vocabulary.size` (empty).
        length: int64 [B], prompt and final `eos` included.
        prompt_length: int64 [B], at least 1.
        ended: bool [B], whether an `eos` was generated.
        max_length: most generated tokens, `eos` not counted.
        min_length: fewest generated tokens before `eos` is legal.
        tried: what was deleted on the way, where the memory forbids it; else None.
        history: all that was done, where the memory does not rewind; else None.
    """

    tokens: Tensor
    length: Tensor
    prompt_length: Tensor
    ended: Tensor
    max_length: int
    min_length: int
    tried: Tried | None = None
    history: History | None = None

    def __len__(self) -> int:
        return self.tokens.shape[0]

    @property
    def cells(self) -> Tensor:
        """What a model that rewinds is fed: `tokens`."""
        return self.tokens

    @property
    def generated(self) -> Tensor:
        """Generated tokens per row, a final `eos` included: int64 [B]."""
        return self.length - self.prompt_length

    def to(self, device: torch.device | str) -> Prefixes:
        """The same states on another device."""
        device = device_of("Prefixes.to", device)
        return self._each(lambda tensor: tensor.to(device))

    def select(self, rows: Tensor | Sequence[int] | slice) -> Prefixes:
        """The states of some rows (row numbers, a bool for each row, or a slice)."""
        rows = rows_of("Prefixes.select", rows, len(self))
        return self._each(lambda tensor: tensor[rows])

    def _each(self, function: Callable[[Tensor], Tensor]) -> Prefixes:
        """With the function applied to every tensor."""
        changed: Prefixes = _each(self, function)
        return changed

    @typed
    def texts(self, *, prompt: bool = False, eos: bool = True) -> list[list[int]]:
        """Token ids per row: the generated part; with the prompt before it or without the final `eos` if asked for."""
        first = torch.zeros_like(self.length) if prompt else self.prompt_length
        last = self.length if eos else self.length - self.ended.long()
        return [row[a:b] for row, a, b in zip(self.tokens.tolist(), first.tolist(), last.tolist(), strict=True)]


def _each(record: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The record with the function applied to every tensor of it."""
    parts = {field.name: getattr(record, field.name) for field in fields(record)}
    changed = {
        name: function(part) if isinstance(part, Tensor) else _each(part, function)
        for name, part in parts.items()
        if isinstance(part, Tensor | Tried | History)
    }
    return replace(record, **changed)


_LARGE = 2**28  # bytes


@typed
def start(
    vocabulary: Vocabulary, prompts: Prompts, max_length: int, min_length: int = 0, memory: Memory | str = PREFIX
) -> Prefixes:
    """States that hold a prompt and nothing else.

    Args:
        vocabulary: the ids.
        prompts: id lists of at least one token each, or an int64 tensor [B, P] right-padded with `vocabulary.size`.
        max_length: most generated tokens (then only `eos` and backspace are legal).
        min_length: `eos` is legal from this many generated tokens on.
        memory: what later states are to hold beside the text.

    Raises:
        InvalidInputError: an empty prompt, an id out of range, or lengths that contradict each other.
    """
    check_lengths(max_length, min_length)
    max_length, min_length = int(max_length), int(min_length)  # of numpy or torch they may be, too
    cells, prompt_length = pad_prompts(vocabulary, prompts)
    if (needed := 32 * len(cells) * (max_length + 1)) > _LARGE:
        check_memory(needed, f"states of max_length={max_length:,} tokens", "lower it")
    room = cells.new_full((cells.shape[0], max_length + 1), vocabulary.size)
    ended = torch.zeros_like(prompt_length, dtype=torch.bool)
    begun = Prefixes(torch.cat([cells, room], 1), prompt_length.clone(), prompt_length, ended, max_length, min_length)
    return remembering(begun, Memory.of(memory))


def remembering(prefixes: Prefixes, memory: Memory) -> Prefixes:
    """The same texts as states of a memory, as if they had been written without a deletion."""
    p, device = prefixes, prefixes.tokens.device
    tried = Tried.nothing(len(p), 0, device) if memory.forbids else None
    history = None if memory.rewinds else History(p.tokens, p.length)
    return replace(p, tried=tried, history=history)


def transition(vocabulary: Vocabulary, prefixes: Prefixes, actions: Tensor) -> Prefixes:
    """The next states; `prefixes` is unchanged. An illegal action leaves its row as it is.

    Args:
        vocabulary: the ids.
        prefixes: the states, B rows.
        actions: int64 [B], each in `0 … V` (V is the backspace).

    Raises:
        InvalidInputError: an action out of range, or that is no integer; states of another vocabulary.
    """
    p, vocabulary = prefixes, check_states("transition", vocabulary, prefixes)
    actions = actions_of("transition", actions, p, vocabulary.num_actions)
    legal = _legal(vocabulary, p, True).gather(1, actions[:, None])[:, 0]
    push = legal & ~p.ended & (actions != vocabulary.backspace)
    pop = legal & (actions == vocabulary.backspace)
    tokens = p.tokens.clone()
    cell = torch.where(pop, p.length - 1, p.length).clamp(max=tokens.shape[1] - 1)[:, None]
    written = torch.where(push, actions, torch.where(pop, vocabulary.size, tokens.gather(1, cell)[:, 0]))
    tokens.scatter_(1, cell, written[:, None])
    ended = p.ended | (push & (actions == vocabulary.eos))
    next_ = replace(p, tokens=tokens, length=p.length + push.long() - pop.long(), ended=ended)
    return _remembered(vocabulary, p, next_, push | pop, actions) if p.tried or p.history else next_


def _remembered(v: Vocabulary, p: Prefixes, next_: Prefixes, acting: Tensor, actions: Tensor) -> Prefixes:
    """`next_`, the texts after `actions` of the rows of `p` that are `acting`, with what is remembered."""
    tried, history = p.tried, p.history
    if tried is not None:
        deleted = p.tokens.gather(1, p.length[:, None] - 1)[:, 0]
        deleting, choices = acting & (actions == v.backspace), choices_at_prompt(v.size, p.min_length)
        tried = tried.with_room().after(deleting, deleted, next_.generated, choices)
    if history is not None:
        history = history.after(acting, actions, v.backspace)
    return replace(next_, tried=tried, history=history)


def legal_actions(vocabulary: Vocabulary, prefixes: Prefixes, backspace: bool = True) -> Tensor:
    """Which actions are legal: bool [B, A]; no row is ever empty.

    After the end only `eos` is legal (a self-loop). Otherwise tokens are legal below `max_length`, `eos` from
    `min_length` on, and the backspace, if `backspace` is true, after at least one generated token. What was tried and
    forbidden is not.

    Raises:
        InvalidInputError: what are no states, or states of another vocabulary.
    """
    check_switch("legal_actions", "backspace", backspace)
    return _legal(check_states("legal_actions", vocabulary, prefixes), prefixes, backspace)


def _legal(vocabulary: Vocabulary, p: Prefixes, backspace: bool) -> Tensor:
    legal = legal_mask(vocabulary, p.generated, p.ended, p.max_length, p.min_length, backspace)
    return legal if p.tried is None else p.tried.barred(legal, p.generated)


def legal_mask(
    vocabulary: Vocabulary, generated: Tensor, ended: Tensor, max_length: int, min_length: int, backspace: bool
) -> Tensor:
    """`legal_actions` after `generated` tokens: bool [..., A] for `generated` and `ended` of any shape."""
    token, eos, pop = legal_kinds(generated, ended, max_length, min_length)
    legal = token[..., None].repeat(*[1] * token.dim(), vocabulary.num_actions)
    legal[..., vocabulary.eos] = eos
    legal[..., vocabulary.backspace] = pop if backspace else False
    return legal


def legal_kinds(generated: Tensor, ended: Tensor, max_length: int, min_length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Whether (a token other than eos, eos, backspace) is legal after `generated` tokens; any shape."""
    return (~ended & (generated < max_length), ended | (generated >= min_length), ~ended & (generated > 0))


def check_legal(
    v: Vocabulary, actions: Tensor, inside: Tensor, before: Tensor, max_length: int, min_length: int, once: bool = True
) -> None:
    """Each action is legal where `before` tokens are held; `once`: and nothing follows an eos."""
    is_eos = (actions == v.eos) & inside
    ended = (is_eos.long().cumsum(1) - is_eos.long()) > 0 if once else torch.zeros_like(is_eos)
    in_range = (actions >= 0) & (actions <= v.size)
    token, eos, pop = legal_kinds(before, ended, max_length, min_length)
    legal = torch.where(actions == v.backspace, pop, torch.where(is_eos, eos & ~ended, token)) & in_range
    if (wrong := inside & ~legal).any():
        row, step = wrong.nonzero()[0].tolist()
        action, n = int(actions[row, step]), int(before[row, step])
        if not in_range[row, step]:
            why = f"ids go from 0 to {v.size}"
        elif ended[row, step]:
            why = "the row has already ended with eos"
        elif action == v.backspace:
            why = "no generated token is left to delete"
        elif action == v.eos:
            why = f"eos needs min_length={min_length} generated tokens, there are {n}"
        else:
            why = f"max_length={max_length} tokens are already there"
        raise InvalidInputError(f"row {row}, step {step}: action {action} is illegal: {why}")


def check_states(where: str, vocabulary: Vocabulary | Mapping[str, int], prefixes: Prefixes) -> Vocabulary:
    """The vocabulary of states, which must fit to the first of them; nothing is read on CUDA.

    Raises:
        InvalidInputError: no vocabulary, no states, or states that are not over it.
    """
    v = Vocabulary.of(vocabulary)
    if not isinstance(prefixes, Prefixes):
        shown = on_one_line(prefixes, 60)
        raise InvalidInputError(f"{where}: prefixes={shown} is not a seqil.Prefixes; make them by seqil.start")
    cells = prefixes.tokens
    check_ids(cells, f"{where}: tokens")
    if cells.device.type != "cpu" or not len(cells):
        return v
    last, ended = cells[0, -1].item(), prefixes.ended[0].item()
    fits = last == v.size or (ended and last == v.eos)
    if not fits or (ended and cells[0, int(prefixes.length[0]) - 1].item() != v.eos):
        raise InvalidInputError(f"{where}: the states are not over {v}; give the vocabulary that they were made with")
    return v


def check_shown(where: str, vocabulary: Vocabulary, prefixes: Prefixes) -> None:
    """Refuse what are no states, and tokens of no row of the model; cells may stand behind the end of a text.

    Raises:
        InvalidInputError: either, the second but on CUDA.
    """
    if not isinstance(prefixes, Prefixes):
        check_states(where, vocabulary, prefixes)
    check_inside(where, "the cells of the states", prefixes.tokens, vocabulary.size + 1)


def pad_prompts(vocabulary: Vocabulary, prompts: Prompts) -> tuple[Tensor, Tensor]:
    """Prompts as cells int64 [B, P], right-padded with `vocabulary.size`, and their lengths int64 [B]; validated."""
    cells, lengths = pad(prompts, vocabulary.size, "prompt")
    empty = lengths == 0
    if empty.any():
        raise InvalidInputError(f"prompt {int(empty.nonzero()[0, 0])} is empty; give at least one token (a BOS, say)")
    inside = torch.arange(cells.shape[1], device=cells.device) < lengths[:, None]
    _check_range(torch.where(inside, cells, 0), vocabulary.size, "prompt token")
    return cells, lengths


def ids_of(row: Any) -> list[int]:
    """Integers as those of Python.

    Raises:
        TypeError: one is none; True and False are none.
    """
    row = list(row)
    if bool in map(type, row):
        raise TypeError("a bool is no id")
    return [operator.index(i) for i in row]


def pad(sequences: Prompts, fill: int, name: str) -> tuple[Tensor, Tensor]:
    """Ragged id lists, or a tensor right-padded with `fill`, as a fresh int64 [B, N] and lengths [B]."""
    if isinstance(sequences, Tensor):
        check_ids(sequences, f"{name}s")
        cells = sequences.long().clone()
        lengths = (cells != fill).long().cumprod(1).sum(1)
    else:
        try:
            rows = [ids_of(row) for row in sequences]
            lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
            width = max((len(row) for row in rows), default=0)
            cells = torch.tensor([row + [fill] * (width - len(row)) for row in rows], dtype=torch.int64)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise InvalidInputError(f"{name}s must be lists of integer ids") from None
    if cells.shape[0] == 0:
        raise InvalidInputError(f"no {name}s were given; give at least one")
    late = (torch.arange(cells.shape[1], device=cells.device) >= lengths[:, None]) & (cells != fill)
    if late.any():
        row = int(late.any(1).nonzero()[0, 0])
        raise InvalidInputError(f"{name} {row} has tokens after its padding (id {fill}); pad on the right only")
    return cells, lengths


def actions_of(where: str, actions: Any, prefixes: Prefixes, num_actions: int) -> Tensor:
    """One action per row, int64 [B]; what is no tensor of them, nor a list, is refused."""
    try:
        found = torch.as_tensor(actions, device=prefixes.tokens.device)
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInputError(
            f"{where}: actions={on_one_line(actions, 60)} are no ids; give {len(prefixes)} integers, one for each row"
        ) from None
    return check_actions(found, len(prefixes), num_actions)


def check_actions(actions: Tensor, rows: int, num_actions: int) -> Tensor:
    """Actions as int64 [rows]; another shape, what is no integer, or an id out of range is refused."""
    if actions.shape != (rows,):
        raise InvalidInputError(f"actions have shape {tuple(actions.shape)}; {rows} rows need shape ({rows},)")
    if not is_whole(actions):
        raise InvalidInputError(f"actions must be integers, got {actions.dtype}")
    _check_range(actions, num_actions, "action")
    return actions.long()


def check_ids(cells: Tensor, name: str) -> None:
    """Refuse a tensor that is not [rows, cells] of integers."""
    if not isinstance(cells, Tensor) or cells.dim() != 2 or not is_whole(cells):
        got = f"{cells.dtype} {tuple(cells.shape)}" if isinstance(cells, Tensor) else on_one_line(cells, 60)
        raise InvalidInputError(f"{name}: a tensor must be int64 [rows, cells], got {got}")


def _check_range(ids: Tensor, size: int, name: str) -> None:
    wrong = (ids < 0) | (ids >= size)
    if wrong.any():
        row, value = int(wrong.nonzero()[0, 0]), int(ids[wrong][0])
        raise InvalidInputError(f"{name} {value} in row {row} is out of range; ids go from 0 to {size - 1}")
