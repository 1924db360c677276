"""Trajectories: what was done, and nothing that can be rebuilt from it.

Only prompts, actions and lengths are stored. The text after any number of actions, the prefix tree and the
states themselves follow by replay, vectorised over rows and steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from ..errors import InvalidInputError, on_one_line
from ..errors.arguments import check_count, check_switch, typed
from ..errors.indices import check_cells, counts_of, device_of, marks_of, per_step, rows_of
from ..errors.limits import check_lengths, check_memory
from .data_sets import as_dataset
from .plain_rows import as_rows
from .prefix import (
    Prefixes,
    Prompts,
    check_ids,
    check_legal,
    legal_mask,
    pad,
    pad_prompts,
    start,
)
from .vocabulary import Vocabulary

FIELDS = ("prompts", "actions", "lengths", "imitate", "ended", "max_length", "min_length")
"""Keys of `Trajectories.to_tensordict` that are always there."""
_OPTIONAL = ("log_prob", "labels")


@dataclass(frozen=True, eq=False)
class Trajectories:
    """A batch of legal action sequences. Build it with `Trajectories.from_actions`.

    Attributes:
        vocabulary: the ids.
        prompts: int64 [B, P], right-padded with `vocabulary.size`.
        actions: int64 [B, T], padded with `vocabulary.size` from `lengths` on.
        lengths: int64 [B], the number of actions (a backspace is an action).
        imitate: bool [B, T], whether a step counts in an objective; False beyond `lengths`.
        ended: bool [B], whether the last action was `eos`; a row that is not ended was truncated.
        max_length: most generated tokens of the MDP that the actions were taken in.
        min_length: fewest generated tokens before `eos` is legal there.
        log_prob: float32 [B, T] or None, log-probability of each action under the law that sampled it.
        labels: int64 [B, T] or None, the action to imitate at each state where it is not the one that was taken
            (an expert's correction, say); see `labelled`.
    """

    vocabulary: Vocabulary
    prompts: Tensor
    actions: Tensor
    lengths: Tensor
    imitate: Tensor
    ended: Tensor
    max_length: int
    min_length: int = 0
    log_prob: Tensor | None = None
    labels: Tensor | None = None

    @classmethod
    @typed
    def from_actions(
        cls,
        vocabulary: Vocabulary,
        prompts: Prompts,
        actions: Sequence[Sequence[int]] | Tensor,
        *,
        max_length: int | None = None,
        min_length: int = 0,
        lengths: Tensor | Sequence[int] | None = None,
        imitate: Tensor | Sequence[Sequence[bool]] | None = None,
        log_prob: Tensor | Sequence[Sequence[float]] | None = None,
    ) -> Trajectories:
        """Check and store copies of what is given.

        Args:
            vocabulary: the ids.
            prompts: id lists, or int64 [B, P] right-padded with `vocabulary.size`.
            actions: id lists, or int64 [B, T] whose cells from `lengths` on are ignored.
            max_length: most generated tokens; None: the most that any row holds at any time (at least 1).
            min_length: fewest generated tokens before `eos` is legal.
            lengths: int64 [B], actions per row; None: all of them (of a list: its length).
            imitate: bool [B, T], steps that count; None: all.
            log_prob: float [B, T].

        Raises:
            InvalidInputError: shapes that differ, an id out of range, or an illegal action (names row and step).
        """
        prompt_cells, _ = pad_prompts(vocabulary, prompts)
        device = prompt_cells.device
        if isinstance(actions, Tensor):
            check_ids(actions, "actions")
            cells = actions.long().to(device).clone()
            listed = torch.full((cells.shape[0],), cells.shape[1])
        else:
            cells, listed = pad(actions, -1, "action list")
            cells = cells.to(device)
        try:
            (B, T), lengths = cells.shape, torch.as_tensor(listed if lengths is None else lengths, device=device)
        except (TypeError, ValueError, RuntimeError):
            raise InvalidInputError(f"lengths={on_one_line(lengths, 60)} are no integers, one for each row") from None
        if prompt_cells.shape[0] != B or lengths.shape != (B,):
            raise InvalidInputError(
                f"{prompt_cells.shape[0]} prompts, {B} rows of actions and lengths of shape {tuple(lengths.shape)} "
                "do not belong together"
            )
        if lengths.is_floating_point() or lengths.dtype == torch.bool:
            raise InvalidInputError(f"lengths must be integers, got {lengths.dtype}")
        lengths = lengths.long().clone()
        if ((lengths < 0) | (lengths > T)).any():
            raise InvalidInputError(f"lengths must lie in 0..{T}, the number of actions given")
        inside = torch.arange(T, device=device) < lengths[:, None]
        cells = torch.where(inside, cells, vocabulary.size)
        marks = inside.clone() if imitate is None else marks_of(per_step("imitate", imitate, cells)) & inside
        logs = None if log_prob is None else per_step("log_prob", log_prob, cells)
        before, after = held(vocabulary, cells, inside)
        if max_length is None:
            ended_by = ((cells == vocabulary.eos) & inside).long().cumsum(1)
            max_length = max(1, int((after - ended_by).max()) if T else 1)
        check_lengths(max_length, min_length)
        check_legal(vocabulary, cells, inside, before, max_length, min_length)
        ended = ((cells == vocabulary.eos) & inside).any(1)
        return cls(vocabulary, prompt_cells, cells, lengths, marks, ended, max_length, min_length, logs)

    def __len__(self) -> int:
        return self.actions.shape[0]

    @typed
    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Refuse to be read with other ids than one's own, or where these are none."""
        self._checked  # noqa: B018
        if self.vocabulary != vocabulary:
            raise InvalidInputError(
                f"the trajectories are over {self.vocabulary}, not over {vocabulary}; "
                "make model and data with one vocabulary"
            )

    @cached_property
    def _checked(self) -> None:
        check_cells("Trajectories", vars(self), self.vocabulary.size)

    @cached_property
    def inside(self) -> Tensor:
        """Whether a step lies within its row: bool [B, T]."""
        return torch.arange(self.actions.shape[1], device=self.actions.device) < self.lengths[:, None]

    @cached_property
    def prompt_lengths(self) -> Tensor:
        """Tokens per prompt: int64 [B]."""
        return (self.prompts != self.vocabulary.size).sum(1)

    @property
    def pushes(self) -> Tensor:
        """Actions of a row that wrote a token, `eos` included: int64 [B]."""
        return (self.inside & (self.actions != self.vocabulary.backspace)).sum(1)

    @property
    def positions(self) -> int:
        """Cells of the prefix trees of all rows: prompt tokens and pushes."""
        return int(self.prompt_lengths.sum() + self.pushes.sum())

    @cached_property
    def kept(self) -> Tensor:
        """Whether a step wrote a token that the final text still has: bool [B, T]."""
        _, after = held(self.vocabulary, self.actions, self.inside)
        # A push survives iff the row never again holds fewer tokens than right after it.
        lowest_later = after.flip(1).cummin(1).values.flip(1)
        return self.inside & (self.actions != self.vocabulary.backspace) & (lowest_later >= after)

    def replay(self) -> Prefixes:
        """The states after the last action of each row."""
        v = self.vocabulary
        final = start(v, self.prompts, self.max_length, self.min_length)
        kept, (_, after) = self.kept, held(v, self.actions, self.inside)
        spare = final.tokens.shape[1]
        cell = torch.where(kept, self.prompt_lengths[:, None] + after - 1, spare)
        tokens = torch.cat([final.tokens, final.tokens.new_full((len(self), 1), v.size)], 1)
        tokens = tokens.scatter(1, cell, torch.where(kept, self.actions, v.size))[:, :spare]
        length = self.prompt_lengths + (after[:, -1] if after.shape[1] else 0)
        return replace(final, tokens=tokens, length=length, ended=self.ended)

    def before(self, rows: Tensor, steps: Tensor) -> Prefixes:
        """The states before given steps of given rows (int64 [K] each): K rows."""
        return self.until(rows, steps).replay()

    def until(self, rows: Tensor, steps: Tensor) -> Trajectories:
        """The first `steps` actions of given rows (int64 [K] each, at most their lengths): K rows."""
        chosen = rows_of("Trajectories.until", rows, len(self))
        steps = counts_of("Trajectories.until", "steps", steps, self.lengths[chosen])
        inside = torch.arange(self.actions.shape[1], device=steps.device) < steps[:, None]
        cut = torch.where(inside, self.actions[chosen], self.vocabulary.size)
        ended = self.ended[chosen] & (steps == self.lengths[chosen])
        limits = (self.max_length, self.min_length)
        return Trajectories(self.vocabulary, self.prompts[chosen], cut, steps, inside, ended, *limits)

    def legal_actions(self, backspace: bool = True) -> Tensor:
        """Which actions are legal at the state before each step: bool [B, T, A]; in padding, at the final state."""
        check_switch("Trajectories.legal_actions", "backspace", backspace)
        before, _ = held(self.vocabulary, self.actions, self.inside)
        ended = self.ended[:, None] & ~self.inside
        return legal_mask(self.vocabulary, before, ended, self.max_length, self.min_length, backspace)

    def labelled(self, labels: Tensor, imitate: Tensor | None = None) -> Trajectories:
        """The same trajectories with an action to imitate at each state.

        Args:
            labels: int64 [B, T]; cells beyond `lengths` are ignored.
            imitate: bool [B, T], which of them count; None: those that counted.

        Raises:
            InvalidInputError: a label that is illegal at its state (names row and step).
        """
        check_ids(labels, "labels")
        labels = torch.where(self.inside, per_step("labels", labels, self.actions).long(), self.vocabulary.size)
        before, _ = held(self.vocabulary, self.actions, self.inside)
        check_legal(self.vocabulary, labels, self.inside, before, self.max_length, self.min_length, once=False)
        marks = self.imitate if imitate is None else marks_of(per_step("imitate", imitate, self.actions)) & self.inside
        return replace(self, labels=labels, imitate=marks)

    def select(self, rows: Tensor | Sequence[int] | slice) -> Trajectories:
        """Some rows (row numbers, a bool for each row, or a slice), without columns that became pure padding."""
        rows = rows_of("Trajectories.select", rows, len(self))
        lengths, prompt_lengths = self.lengths[rows], self.prompt_lengths[rows]
        T, P = (int(n.max()) if len(n) else 0 for n in (lengths, prompt_lengths))
        return replace(
            self,
            prompts=self.prompts[rows, :P],
            actions=self.actions[rows, :T],
            lengths=lengths,
            imitate=self.imitate[rows, :T],
            ended=self.ended[rows],
            **{name: value[rows, :T] for name, value in self._optional().items()},
        )

    def repeat(self, times: int) -> Trajectories:
        """Every row that many times, copies side by side."""
        times = check_count("Trajectories.repeat", "times", times)
        check_memory(24 * times * self.actions.numel(), f"{times:,} copies of {len(self):,} texts", "ask for fewer")
        return self if times == 1 else self.select(torch.arange(len(self)).repeat_interleave(times))

    def to(self, device: torch.device | str) -> Trajectories:
        """The same trajectories on another device."""
        device = device_of("Trajectories.to", device)
        fields = {name: getattr(self, name) for name in _TENSORS} | self._optional()
        return replace(self, **{name: value.to(device) for name, value in fields.items()})

    @typed
    def to_tensordict(self, prompt_cells: int | None = None, steps: int | None = None) -> TensorDict:
        """A TensorDict of batch size [B] with the keys `prompts`, `actions`, `lengths`, `imitate`, `ended`,
        `max_length`, `min_length` and, if present, `log_prob` and `labels`; padded to `prompt_cells` and `steps`
        columns.
        """
        P, T = prompt_cells or self.prompts.shape[1], steps or self.actions.shape[1]
        check_memory(24 * len(self) * (P + T), f"{len(self):,} rows of {P + T:,} columns", "ask for fewer")
        data = {
            "prompts": _widen(self.prompts, P, self.vocabulary.size),
            "actions": _widen(self.actions, T, self.vocabulary.size),
            "lengths": self.lengths,
            "imitate": _widen(self.imitate, T, False),
            "ended": self.ended,
            "max_length": self.lengths.new_full((len(self),), self.max_length),
            "min_length": self.lengths.new_full((len(self),), self.min_length),
        }
        for name, value in self._optional().items():
            data[name] = _widen(value, T, self.vocabulary.size if name == "labels" else 0.0)
        return TensorDict(data, batch_size=[len(self)])

    @typed
    def to_rows(self, log_probs: bool = False) -> list[dict[str, list[Any]]]:
        """Rows of `input_ids` and `labels` of the same likelihood, for plain trainers: see `as_rows`."""
        logs = self.log_prob if log_probs else None
        if log_probs and logs is None:
            raise InvalidInputError("to_rows: log_probs=True, and nobody has noted them; rollouts have them")
        return as_rows(self.vocabulary, self.prompts, self.actions, self.lengths, self.imitate, logs)

    def to_dataset(self, form: Any = "rows", reader: Any = None) -> Any:
        """A `datasets.Dataset` of rows, prompts and completions, or messages: see `as_dataset`."""
        return as_dataset(partial(self.to_rows, self.log_prob is not None), self.replay(), form, reader)

    @classmethod
    @typed
    def from_tensordict(cls, vocabulary: Vocabulary, data: TensorDictBase) -> Trajectories:
        """The trajectories that `to_tensordict` stored; rows are trusted to be legal, limits must be equal.

        Where there are no rows nobody says what the limits are: 1 and 0 then.
        """
        stored = isinstance(data, TensorDictBase | Mapping)
        if lacking := {*_TENSORS, "max_length", "min_length"} - (set(data.keys()) if stored else set()):
            what = "is no TensorDict" if not stored else f"lacks {', '.join(sorted(lacking))}"
            raise InvalidInputError(f"Trajectories.from_tensordict: data {what}; give what to_tensordict returned")
        limits: dict[str, Any] = {}
        for name, of_nothing in {"max_length": 1, "min_length": 0}.items():
            values = data[name].unique().tolist() or [of_nothing]
            if len(values) != 1:
                raise InvalidInputError(f"{name} differs between rows ({values}); batch only rows of one task")
            limits[name] = int(values[0])
        fields: dict[str, Any] = {name: data[name] for name in _TENSORS}
        fields |= {name: data.get(name, None) for name in _OPTIONAL}
        check_cells("Trajectories.from_tensordict", fields, vocabulary.size)
        return cls(vocabulary, **fields, **limits).select(slice(None))

    @classmethod
    def cat(cls, parts: Sequence[Trajectories]) -> Trajectories:
        """All rows of several batches of one vocabulary and one pair of length limits."""
        if not isinstance(parts, Sequence) or not parts or not all(isinstance(part, cls) for part in parts):
            raise InvalidInputError(f"Trajectories.cat joins a list of at least one, not {parts!r:.60}")
        first = parts[0]
        for part in parts[1:]:
            if part.vocabulary != first.vocabulary:
                raise InvalidInputError(f"cannot join trajectories over {first.vocabulary} and {part.vocabulary}")
        P, T = max(p.prompts.shape[1] for p in parts), max(p.actions.shape[1] for p in parts)
        keys = set.intersection(*(set(p.to_tensordict().keys()) for p in parts))
        joined = torch.cat([p.to_tensordict(P, T).select(*sorted(keys)) for p in parts])
        return cls.from_tensordict(first.vocabulary, joined)

    def _optional(self) -> dict[str, Any]:
        return {name: value for name in _OPTIONAL if (value := getattr(self, name)) is not None}


_TENSORS = ("prompts", "actions", "lengths", "imitate", "ended")


def held(vocabulary: Vocabulary, actions: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Generated tokens held before and after each step: two int64 [B, T]; padding changes nothing."""
    change = torch.where(actions == vocabulary.backspace, -1, 1) * inside.long()
    after = change.cumsum(1)
    return after - change, after


def _widen(cells: Tensor, width: int, fill: float) -> Tensor:
    missing = width - cells.shape[1]
    if missing < 0:
        raise InvalidInputError(f"{cells.shape[1]} columns do not fit into {width}")
    return torch.nn.functional.pad(cells, (0, missing), value=fill)
