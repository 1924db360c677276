"""Batched episodes on a device as a TorchRL environment, shared by its faces: budget, reward, resets and state."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.nn.functional import pad
from torchrl.data import Binary, Bounded, Categorical, Composite, MultiCategorical, Unbounded
from torchrl.envs import EnvBase

from seqil import Prefixes, legal_actions, start, transition
from seqil.errors import InvalidInputError, first_line
from seqil.mdp.memory import History, Tried
from seqil.mdp.prefix import check_actions

from .constructors import seed_of
from .episodes import Episodes, SelfDescribing, paid

OF_STATE = ("tokens", "length", "prompt_length", "ended")
_OF_EPISODE = ("taken", "illegal", "success")


class TorchEpisodes(SelfDescribing, EnvBase):  # type: ignore[misc]  # torchrl is untyped
    """What `TorchTextGenerationEnv` and `TorchTextRevisionEnv` are.

    Args:
        rules: episodes of one row, whose settings are those of all.
        batch_size: rows, `[B]` or an integer.
        device: of all tensors.
        seed: of the prompts.
    """

    def __init__(self, rules: Episodes, batch_size: int | Sequence[int], device: torch.device | str, seed: int) -> None:
        size = _size(batch_size)
        super().__init__(device=_device(device), batch_size=size)
        self._episodes, rows = rules, size.numel()
        rules.check_room(rows)
        v = rules.vocabulary
        P = rules.width - rules.max_length - 1
        padded = [p + [v.size] * (P - len(p)) for p in rules.prompts]
        self._prompts = torch.tensor(padded, device=self.device)
        self._generator = torch.Generator()
        self._set_seed(seed)
        first = torch.zeros(rows, dtype=torch.int64)
        self._state = self._prepared(self._start(self._prompts[:1].expand(rows, -1)), first)
        self._taken, self._illegal = (torch.zeros(rows, dtype=torch.int64, device=self.device) for _ in range(2))
        self._success = torch.zeros(rows, dtype=torch.bool, device=self.device)
        shape = (*size, 1)
        self.observation_spec = Composite(
            observation=Bounded(
                0, rules.memory.empty(v.size), (*size, rules.observed.shape[1]), self.device, torch.int64
            ),
            action_mask=Binary(rules.num_actions, (*size, rules.num_actions), self.device, torch.bool),
            illegal=Unbounded(shape, self.device, torch.int64),
            success=Binary(1, shape, self.device, torch.bool),
            shape=size,
            device=self.device,
        )
        if rules.factors is None:
            self.action_spec = Categorical(rules.num_actions, size, self.device, torch.int64)
        else:
            shape_of = (*size, len(rules.factors))
            self.action_spec = MultiCategorical(rules.factors, shape_of, self.device, torch.int64)
        self.reward_spec = Unbounded(shape, self.device, torch.float32)
        done = Binary(1, shape, self.device, torch.bool)
        self.done_spec = Composite(
            done=done, terminated=done.clone(), truncated=done.clone(), shape=size, device=self.device
        )

    def _reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase:
        if options:
            raise InvalidInputError(f"unknown reset option {next(iter(options))!r}; give TensorDict(prompt=…) instead")
        rows = len(self._state)
        mask, prompt = (None if tensordict is None else tensordict.get(key, None) for key in ("_reset", "prompt"))
        again = torch.ones(rows, dtype=torch.bool, device=self.device) if mask is None else mask.reshape(rows)
        items = None
        if prompt is None:
            items = torch.randint(len(self._prompts), (rows,), generator=self._generator)
            prompt = self._prompts[items.to(self.device)]
        begun = self._prepared(self._start(prompt.reshape(rows, -1).to(self.device)), items)
        self._state = _chosen(again, begun, self._state)
        self._taken, self._illegal, self._success = (x * ~again for x in (self._taken, self._illegal, self._success))
        return self._observed()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        actions = self._checked(tensordict["action"])
        running = ~torch.logical_or(*self._ends())
        legal, moved = self._moved(actions)
        before = self._texts() if self._episodes.step_reward is not None else None
        self._state = _chosen(running, moved, self._state)
        self._taken = self._taken + running.long()
        self._illegal = self._illegal + (~legal & running).long()
        reward, success = self._judged(torch.logical_or(*self._ends()) & running)
        self._success = self._success | success
        if before is not None:
            reward = reward + self._shaped(running, before)
        return self._observed().set("reward", reward.reshape(*self.batch_size, 1))

    def _checked(self, actions: Tensor) -> Tensor:
        """One number in range per row: int64 [rows]."""
        rows = len(self._state)
        return check_actions(actions.reshape(rows), rows, self._episodes.num_actions)

    def _moved(self, actions: Tensor) -> tuple[Tensor, Prefixes]:
        """Which actions are legal, bool [rows], and the states after them."""
        legal = self._legal().gather(1, actions[:, None])[:, 0]
        return legal, transition(self.vocabulary, self._state, actions)

    def _prepared(self, state: Prefixes, items: Tensor | None) -> Prefixes:
        """States at prompts, with what else an episode begins with; `items` are the prompts' places, if drawn."""
        return state

    def get_extra_state(self) -> dict[str, Any]:
        """What `state_dict` holds: where every row is, and the generator of the prompts."""
        state = self._state
        return {
            **{name: part.clone() for name, part in tensors(state).items()},
            **{name: getattr(self, f"_{name}").clone() for name in _OF_EPISODE},
            "generator": self._generator.get_state(),
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on from there: `observation` is that of the saved state at the next step."""
        own = tensors(self._state)
        for name, part in own.items():
            shape = state[name].shape if name in state else None
            if shape != part.shape:
                raise InvalidInputError(
                    f"the state has {name} of shape {shape and tuple(shape)}, the environment {tuple(part.shape)}; "
                    "make both with the same settings and rows"
                )
        self._state = with_tensors(self._state, {name: state[name].to(self.device) for name in own})
        for name in _OF_EPISODE:
            setattr(self, f"_{name}", state[name].to(self.device))
        self._generator.set_state(state["generator"])

    def set_seed(self, seed: int | None = None, static_seed: bool = False) -> int | None:
        """Draw the next prompts from a seed, and return another one."""
        following: int | None = super().set_seed(seed_of(seed), static_seed)
        return following

    def _set_seed(self, seed: int | None) -> None:
        found = seed_of(seed) or 0
        try:
            self._generator.manual_seed(found)
        except (ValueError, RuntimeError, TypeError):
            raise InvalidInputError(f"seed={seed!r:.60} is not an int of 64 bits") from None

    def _start(self, prompts: Tensor) -> Prefixes:
        room = self._prompts.shape[1] - prompts.shape[1]
        if room < 0:
            raise InvalidInputError(
                f"the prompts have {prompts.shape[1]} cells, at most {self._prompts.shape[1]} fit; "
                "raise max_prompt_length"
            )
        cells = pad(prompts, (0, room), value=self.vocabulary.size)
        cells[:, 0] = torch.where(cells[:, 0] == self.vocabulary.size, self.vocabulary.eos, cells[:, 0])
        rules = self._episodes
        begun = start(self.vocabulary, cells, rules.max_length, rules.min_length, rules.memory)
        # With room for all that a row can do, so that shapes stay as they are.
        if begun.tried is not None:
            begun = replace(begun, tried=Tried.nothing(len(cells), rules.max_actions // 2 + 1, self.device))
        if begun.history is not None:
            width = rules.observed.shape[1] + 1
            history = pad(begun.tokens[:, : cells.shape[1]], (0, width - cells.shape[1]), value=self.vocabulary.size)
            begun = replace(begun, history=History(history, begun.history.length))
        return begun

    def _ends(self) -> tuple[Tensor, Tensor]:
        """Which rows have terminated and which were truncated: bool [rows] each."""
        terminated = self._state.ended & (not self._episodes.fixed_horizon)
        return terminated, ~terminated & (self._taken >= self._episodes.max_actions)

    def _legal(self) -> Tensor:
        return legal_actions(self.vocabulary, self._state, self._episodes.backspace)[:, : self._episodes.num_actions]

    def _judged(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Reward and success of the states of some rows (bool [all rows]), 0 elsewhere: float32 and bool [all rows]."""
        reward, success = torch.zeros(len(rows), device=self.device), torch.zeros_like(rows)
        if self._episodes.task is not None or self._episodes.reward is not None:
            for row in rows.nonzero()[:, 0].tolist():
                reward[row], success[row] = self._judge(row)
        return reward, success

    def _judge(self, row: int) -> tuple[float, bool]:
        cells, at = self._state.tokens[row].tolist(), int(self._state.prompt_length[row])
        prompt, tokens = cells[:at], cells[at : int(self._state.length[row])]
        task, reward = self._episodes.task, self._episodes.reward
        success = task is not None and bool(task.success(prompt, tokens))
        return (float(success) if reward is None else paid("reward", reward(prompt, tokens))), success

    def _texts(self) -> list[tuple[list[int], list[int]]]:
        """Prompt and text of every row."""
        state = self._state
        cells, lengths = state.tokens.tolist(), zip(state.prompt_length.tolist(), state.length.tolist(), strict=True)
        return [(row[:at], row[at:end]) for row, (at, end) in zip(cells, lengths, strict=True)]

    def _shaped(self, rows: Tensor, before: Sequence[tuple[list[int], list[int]]]) -> Tensor:
        """What some rows (bool [all rows]) are paid for their actions, 0 elsewhere: float32 [all rows]."""
        shaped, after = torch.zeros(len(rows), device=self.device), self._texts()
        if self._episodes.step_reward is not None:
            for row in rows.nonzero()[:, 0].tolist():
                found = self._episodes.step_reward(before[row][0], before[row][1], after[row][1])
                shaped[row] = paid("step_reward", found)
        return shaped

    def _seen(self) -> Tensor:
        """What is observed of the states: int64 [rows, cells], fresh."""
        history = self._state.history
        if history is None:
            return self._state.tokens.clone()
        cells = history.cells[:, :-1]
        beyond = torch.arange(cells.shape[1], device=self.device) >= history.length[:, None]
        return cells.masked_fill(beyond, self._episodes.memory.empty(self.vocabulary.size))

    def _observed(self) -> TensorDict:
        size, (terminated, truncated) = self.batch_size, self._ends()
        columns = {
            "illegal": self._illegal,
            "success": self._success,
            "done": terminated | truncated,
            "terminated": terminated,
            "truncated": truncated,
        }
        return TensorDict(
            {
                "observation": self._seen().reshape(*size, -1),
                "action_mask": self._legal().reshape(*size, -1),
                **{key: column.reshape(*size, 1).clone() for key, column in columns.items()},
            },
            batch_size=size,
            device=self.device,
        )


def _size(given: int | Sequence[int]) -> torch.Size:
    """Rows as a shape."""
    try:
        size = torch.Size(given if isinstance(given, Sequence) else [operator.index(given)])
        size.numel()  # of more rows than int64 can count
    except (TypeError, ValueError, RuntimeError, OverflowError):
        size = None
    if size is None or min(size, default=1) < 1 or isinstance(given, str | bool):
        raise InvalidInputError(f"batch_size={given!r:.60} is not a number of rows, 8 or [4, 2] say")
    return size


def _device(given: torch.device | str) -> torch.device:
    """A device that is there."""
    try:
        return torch.empty(0, device=given).device
    except (RuntimeError, TypeError, AssertionError) as error:
        raise InvalidInputError(f"device={str(given)!r:.60} cannot be used: {first_line(error)}") from None


def tensors(state: Prefixes) -> dict[str, Tensor]:
    """All of a state, by name."""
    parts = {name: getattr(state, name) for name in OF_STATE}
    if state.tried is not None:
        parts |= {"tried_tokens": state.tried.tokens, "tried_places": state.tried.places}
    if state.history is not None:
        parts |= {"history_cells": state.history.cells, "history_length": state.history.length}
    return parts


def with_tensors(state: Prefixes, parts: Mapping[str, Tensor]) -> Prefixes:
    """A state that holds these tensors."""
    tokens, length, prompt_length, ended = (parts[name] for name in OF_STATE)
    state = replace(state, tokens=tokens, length=length, prompt_length=prompt_length, ended=ended)
    if state.tried is not None:
        state = replace(state, tried=Tried(parts["tried_tokens"], parts["tried_places"]))
    if state.history is not None:
        state = replace(state, history=History(parts["history_cells"], parts["history_length"]))
    return state


def _chosen(rows: Tensor, these: Prefixes, others: Prefixes) -> Prefixes:
    """These states where `rows` is true, the others elsewhere."""
    there = tensors(others)
    return with_tensors(
        these,
        {
            name: torch.where(rows if part.dim() == 1 else rows[:, None], part, there[name])
            for name, part in tensors(these).items()
        },
    )
