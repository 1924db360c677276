"""Batched episodes in numpy, shared by the Gymnasium faces: `seqil.transition` row by row, with budget and reward."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from seqil import Task, Vocabulary
from seqil.capacity import present_memory
from seqil.errors import InvalidInputError, counted, first_line
from seqil.errors.arguments import check_count, check_function
from seqil.errors.limits import check_room, within_budget
from seqil.mdp.memory import PREFIX, Memory
from seqil.mdp.prefix import pad_prompts
from seqil.rollouts.tried_stacks import TriedStacks, choices_within

from .constructors import check_memory, check_options, lengths_of, prompts_of, task_of, vocabulary_of

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Reward = Callable[[Sequence[int], Sequence[int]], float]
StepReward = Callable[[Sequence[int], Sequence[int], Sequence[int]], float]
"""(prompt, text before an action, text after it) -> what the action is paid."""

_CELL, _ACTION = 36, 4  # bytes that one takes at least, with the bounds of its space, and while masks are made
_POOL = 1000  # training prompts that are drawn from a task, if it has so many


class Episodes:
    """The states of `rows` episodes; arguments are those of `TextGenerationEnv`."""

    alone = False
    """Whether the environment has one row, and knows of no others."""
    factors: tuple[int, ...] | None = None
    """Numbers of values of an action of several parts; None: it is one number."""

    def __init__(
        self,
        rows: int,
        vocabulary: Vocabulary | Mapping[str, int] | None = None,
        max_length: int | None = None,
        min_length: int | None = None,
        max_actions: int | None = None,
        prompts: Sequence[Sequence[int]] | None = None,
        task: Task | str | None = None,
        max_prompt_length: int | None = None,
        reward: Reward | None = None,
        backspace: bool = True,
        fixed_horizon: bool = False,
        memory: Memory | str = PREFIX,
        step_reward: StepReward | None = None,
    ) -> None:
        if reward is not None:
            check_function("the environment", "reward", reward, "prompt", "text")
        if step_reward is not None:
            check_function("the environment", "step_reward", step_reward, "prompt", "before", "after")
        self.task = task_of(task)
        self.memory = memory = Memory.of(memory)
        check_memory(memory, backspace)
        prompts = self._pool() if prompts is None else prompts
        self.vocabulary = v = vocabulary_of(vocabulary, self.task)
        max_length, min_length = lengths_of(max_length, min_length, self.task)
        self.prompts = prompts_of(v, prompts)
        longest = max(map(len, self.prompts))
        self.width = (longest if max_prompt_length is None else max_prompt_length) + max_length + 1
        if max_prompt_length is not None and max_prompt_length < longest:
            raise InvalidInputError(f"max_prompt_length={max_prompt_length}: a prompt has {counted(longest, 'token')}")
        self.max_actions = (self.task.budget if self.task else within_budget)(max_actions, max_length)
        self.max_length, self.min_length = max_length, min_length
        self.backspace, self.fixed_horizon = backspace, fixed_horizon
        self.num_actions = v.num_actions if backspace else v.size
        self.reward, self.step_reward = reward, step_reward
        self.check_ends()
        self.check_room(rows)
        self.tokens = _cells(rows, self.width, v.size)
        self.length, self.prompt_length, self.taken, self.illegal = (np.zeros(rows, dtype=np.int64) for _ in range(4))
        self.observed = self.tokens
        if not memory.rewinds:
            cells = self.width - max_length - 1 + self.max_actions
            self.observed = _cells(rows, cells, memory.empty(v.size))
        self.tried = None
        if memory.forbids:
            self.tried = TriedStacks(rows, self.max_actions, choices_within(v.size, min_length, self.max_actions))
        self.done = np.zeros(rows, dtype=np.int64)  # actions that changed something
        self.ended = np.zeros(rows, dtype=bool)
        self.success = np.zeros(rows, dtype=np.int8)
        self.running = np.zeros(rows, dtype=bool)
        self._rows = np.arange(rows)

    def _pool(self) -> list[list[int]]:
        if self.task is None:
            raise InvalidInputError("the environment needs prompts=[[…], …] or task=…")
        return self.task.prompts(self.task.at_most(_POOL, "train"), "train", 0)

    def check_ends(self) -> None:
        """Refuse a budget that no text can be ended within."""
        check_room(self.max_actions, self.min_length)

    def check_room(self, rows: int) -> None:
        """Refuse more rows than this machine holds by a MemoryError, which `checked_arguments` puts into words."""
        cells = self.width + (0 if self.memory.rewinds else self.max_actions)
        tried = 24 * self.max_actions if self.memory.forbids else 0
        if rows * (_CELL * cells + tried + _ACTION * self.count_actions()) > present_memory():
            raise MemoryError

    def count_actions(self) -> int:
        """Numbers in the mask of a row."""
        return self.num_actions

    def prompt_of(self, options: Mapping[str, Any] | None) -> list[int] | None:
        """The prompt that the options of a reset ask for, if any; other options are refused."""
        check_options(options)
        if unknown := sorted(set(options or ()) - {"prompt"}):
            raise InvalidInputError(f"unknown reset option {unknown[0]!r}; known: 'prompt'")
        given = (options or {}).get("prompt")
        if given is None:
            return None
        empty = isinstance(given, Sequence) and not given
        cells, _ = pad_prompts(self.vocabulary, [[self.vocabulary.eos] if empty else given])
        most = self.width - self.max_length - 1
        if cells.shape[1] > most:
            raise InvalidInputError(
                f"the prompt has {counted(cells.shape[1], 'token')}, at most {most} fit; raise max_prompt_length"
            )
        return cells[0].tolist()

    def begin(self, row: int, random: np.random.Generator, prompt: list[int] | None) -> None:
        """Put a row at the start of an episode, at a prompt or, without one, at a prompt drawn from the pool."""
        prompt = self.prompts[int(random.integers(len(self.prompts)))] if prompt is None else prompt
        self.tokens[row] = self.vocabulary.size
        self.tokens[row, : len(prompt)] = prompt
        self.length[row] = self.prompt_length[row] = len(prompt)
        self.taken[row] = self.illegal[row] = self.success[row] = 0
        self.ended[row], self.running[row] = False, True
        self.done[row] = 0
        if self.tried is not None:
            self.tried.begin(row)
        if not self.memory.rewinds:
            self.observed[row] = self.memory.empty(self.vocabulary.size)
            self.observed[row, : len(prompt)] = prompt

    def act(self, actions: Any) -> tuple[NDArray[np.float64], Bools, Bools]:
        """One action for every row that runs (others keep still): rewards, terminated, truncated.

        Raises:
            InvalidInputError: not one integer in range per row; nothing has changed then.
        """
        running, actions = self.running, self._checked(actions)
        before = {row: self.text(row)[1] for row in self._paid(running)}
        legal = self._move(actions)
        self.illegal += ~legal & running
        self.taken += running
        terminated = self.ended & running & (not self.fixed_horizon)
        truncated = running & ~terminated & (self.taken >= self.max_actions)
        over = terminated | truncated
        rewards = np.zeros(len(actions))
        for row in np.flatnonzero(over).tolist():
            rewards[row] = self._finish(row)
        rewards += self._shaped(before)
        self.running = running & ~over
        return rewards, terminated, truncated

    def _paid(self, running: Bools) -> list[int]:
        """The rows whose actions are paid one by one."""
        rows: list[int] = np.flatnonzero(running).tolist()
        return rows if self.step_reward is not None else []

    def _shaped(self, before: Mapping[int, list[int]]) -> NDArray[np.float64]:
        """What the rows that ran are paid for their actions, float64 [rows]; `before` are their texts until then."""
        shaped = np.zeros(len(self.running))
        if self.step_reward is not None:
            for row, text in before.items():
                prompt, tokens = self.text(row)
                shaped[row] = paid("step_reward", self.step_reward(prompt, text, tokens))
        return shaped

    def _move(self, actions: Ints) -> Bools:
        """Change the states of the rows that run, and say which actions were legal."""
        v, running = self.vocabulary, self.running
        token, eos, pop = self._kinds()
        is_eos, is_pop = actions == v.eos, actions == v.backspace
        legal = np.where(is_pop, pop, np.where(is_eos, eos, token)) & ~self._was_tried(actions)
        push = legal & ~is_pop & ~self.ended & running
        pop = legal & is_pop & running
        cell = np.minimum(self.length - pop, self.width - 1)
        self._remember(actions, push, pop, self.tokens[self._rows, cell])
        self.tokens[self._rows, cell] = np.where(push, actions, np.where(pop, v.size, self.tokens[self._rows, cell]))
        self.length += push.astype(np.int64) - pop
        self.ended |= push & is_eos
        return legal

    def mask(self) -> NDArray[np.int8]:
        """Legal actions, int8 [rows, actions]."""
        token, eos, pop = self._kinds()
        mask = np.repeat(token[:, None], self.num_actions, 1).astype(np.int8)
        mask[:, self.vocabulary.eos] = eos
        if self.backspace:
            mask[:, self.vocabulary.backspace] = pop
        if self.tried is not None:
            mask[self.tried.here(self._rows, self.length - self.prompt_length)] = 0
        return mask

    def info(self) -> dict[str, NDArray[Any]]:
        """The same keys, dtypes and shapes at every step."""
        return {
            "action_mask": self.mask(),
            "length": self.length.copy(),
            "prompt_length": self.prompt_length.copy(),
            "illegal": self.illegal.copy(),
            "success": self.success.copy(),
        }

    def text(self, row: int) -> tuple[list[int], list[int]]:
        """Prompt and generated tokens of a row."""
        if not 0 <= check_count("text", "row", row) < len(self.running):
            raise InvalidInputError(f"there is no row {row}; rows go from 0 to {len(self.running) - 1}")
        self.check_begun()
        cells, at = self.tokens[row].tolist(), int(self.prompt_length[row])
        return cells[:at], cells[at : int(self.length[row])]

    def check_begun(self) -> None:
        """Refuse to speak of rows that `begin` has put nowhere."""
        if not self.prompt_length.all():
            raise ResetNeeded("no episode has begun; call reset() first")

    def _was_tried(self, actions: Ints) -> Bools:
        """Whether each action writes what was deleted there, where that is forbidden."""
        tried = np.zeros(len(actions), dtype=np.bool_)
        if self.tried is not None:
            at, tokens = self.tried.here(self._rows, self.length - self.prompt_length)
            tried[at[tokens == actions[at]]] = True
        return tried

    def _remember(self, actions: Ints, push: Bools, pop: Bools, deleted: Ints) -> None:
        """What rows are about to do: `deleted` are the tokens that those at `pop` lose."""
        if self.tried is not None:
            popping = np.flatnonzero(pop)
            self.tried.popped(popping, (self.length - self.prompt_length)[popping] - 1, deleted[popping])
        if not self.memory.rewinds:
            acting = np.flatnonzero(push | pop)
            self.observed[acting, self.prompt_length[acting] + self.done[acting]] = actions[acting]
        self.done += push | pop

    def _kinds(self) -> tuple[Bools, Bools, Bools]:
        """`seqil.mdp.prefix.legal_kinds` in numpy."""
        generated = self.length - self.prompt_length
        open_ = ~self.ended
        return (
            open_ & (generated < self.max_length),
            self.ended | (generated >= self.min_length),
            open_ & (generated > 0) & self.backspace,
        )

    def _finish(self, row: int) -> float:
        prompt, tokens = self.text(row)
        judged = self.task.success(prompt, tokens) if self.task is not None else None
        self.success[row] = bool(judged)
        return paid("reward", self.reward(prompt, tokens)) if self.reward is not None else float(bool(judged))

    def _checked(self, actions: Any) -> Ints:
        try:
            found = np.asarray(actions)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"actions are not an array of integers: {first_line(error)}") from None
        if found.shape != self.running.shape or found.dtype.kind not in "iu":
            raise self._other_kind("one integer", actions, found)
        wrong = (found < 0) | (found >= self.num_actions)
        if wrong.any():
            raise InvalidInputError(
                f"action {int(found[wrong][0])} is out of range; actions go from 0 to {self.num_actions - 1}"
            )
        return found.astype(np.int64)

    def _other_kind(self, expected: str, given: Any, found: NDArray[Any]) -> InvalidInputError:
        """What is wrong with something that is no action."""
        if self.alone:
            return InvalidInputError(f"an action is {expected}; got {given[0]!r:.60}")
        rows = counted(len(self.running), "row")
        return InvalidInputError(f"an action is {expected} per row, here for {rows}; got {found.dtype} {found.shape}")


def paid(name: str, value: Any) -> float:
    """What a reward of the user's own returned, as a number."""
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, RuntimeError):  # of no number, a word, a vector
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInputError(f"{name} returned {value!r:.60}; return a finite number")
    return number


def _cells(rows: int, width: int, fill: int) -> Ints:
    try:
        return np.full((rows, width), fill, dtype=np.int64)
    except (ValueError, OverflowError):  # of sizes that numpy cannot even count
        raise MemoryError from None


class SelfDescribing:
    """What an environment says of itself: `env.unwrapped.vocabulary` and so on."""

    _episodes: Episodes

    @property
    def vocabulary(self) -> Vocabulary:
        """The ids: `size`, `eos` and `backspace`."""
        return self._episodes.vocabulary

    @property
    def task(self) -> Task | None:
        """What brings prompts, success and words, if anything does."""
        return self._episodes.task

    @property
    def max_length(self) -> int:
        """Most tokens of a text, `eos` not counted."""
        return self._episodes.max_length

    @property
    def min_length(self) -> int:
        """Fewest tokens before `eos` is legal."""
        return self._episodes.min_length

    @property
    def max_actions(self) -> int:
        """The budget."""
        return self._episodes.max_actions

    def decode(self, ids: Sequence[int]) -> str:
        """Ids as `render` shows them: in the words of the task; without one, as numbers.

        Raises:
            InvalidInputError: what is no list of ids, or an id that is no token, as that of an empty cell.
        """
        task, size = self._episodes.task, self._episodes.vocabulary.size
        found = np.asarray(ids)
        if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
            raise InvalidInputError(f"decode: {ids!r:.60} is not a list of ids")
        wrong = (found < 0) | (found >= size)
        if wrong.any():
            rest = f"; empty cells hold {size}, env.unwrapped.text() leaves them out" if found.max() >= size else ""
            raise InvalidInputError(f"decode: {found[wrong][0]} is no token; ids go from 0 to {size - 1}{rest}")
        return "".join(f" {i}" for i in ids) if task is None else str(task.decode(ids))
