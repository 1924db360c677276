"""Many prefix MDPs at once, in numpy arrays and one process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from seqil import Task, Vocabulary
from seqil.errors import InvalidInputError, counted, suggested
from seqil.mdp.edits import KINDS
from seqil.mdp.memory import PREFIX, Memory

from .constructors import check_options, checked_arguments, seed_of
from .episodes import Episodes, Reward, SelfDescribing, StepReward
from .revisions import Revision, RevisionEpisodes, WithEdits
from .text_generation import make_spaces

Observations = NDArray[np.int64]


class TextGenerationVectorEnv(SelfDescribing, VectorEnv[Observations, NDArray[np.int64], NDArray[Any]]):
    """Equal, row by row and bit by bit, to `SyncVectorEnv` over `TextGenerationEnv`.

    Args:
        vocabulary: the ids, or `{"size": …, "eos": …}`; None: the task's.
        num_envs: rows.
        autoreset_mode: `NEXT_STEP`, as of Gymnasium's own (a row that ends starts anew at the next step, whose action
            is ignored), `SAME_STEP` (it starts anew at once; its last observation and info are in `final_obs` and
            `final_info`) or `DISABLED` (call `reset(options={"reset_mask": …})`).
        render_mode: None.
        settings: of `TextGenerationEnv`.
    """

    @checked_arguments
    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, int] | None = None,
        *,
        num_envs: int,
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
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        _check_rows(num_envs, render_mode)
        episodes = Episodes(
            *(num_envs, vocabulary, max_length, min_length, max_actions, prompts, task),
            *(max_prompt_length, reward, backspace, fixed_horizon, memory, step_reward),
        )
        self._adopt(episodes, num_envs, autoreset_mode)

    def _adopt(self, episodes: Episodes, num_envs: int, autoreset_mode: AutoresetMode | str) -> None:
        self._episodes, self.num_envs = episodes, num_envs
        self.autoreset_mode = _mode(autoreset_mode)
        self.metadata = {"autoreset_mode": self.autoreset_mode}
        self.single_observation_space, self.single_action_space = make_spaces(self._episodes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._random = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self._over = np.zeros(num_envs, dtype=bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | Observations | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start all rows, or those of `options["reset_mask"]` (bool [num_envs]), at `options["prompt"]` if given.

        Row i is seeded with `seed + i`, or with its own of several seeds.
        """
        check_options(options)
        options = dict(options or {})
        mask = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, dtype=bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise InvalidInputError(f"reset_mask must be a boolean array of {self.num_envs} rows with some true")
        seeds, prompt = self._seeds(seed), self._episodes.prompt_of(options)
        for row in np.flatnonzero(mask).tolist():
            if seeds[row] is not None:
                self._random[row] = seeding.np_random(seeds[row])[0]
        self._begin(mask, prompt)
        self._over &= ~mask
        return self._episodes.observed.copy(), _masked(self._episodes.info(), mask)

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Observations, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One action per row."""
        e, everything = self._episodes, np.ones(self.num_envs, dtype=bool)
        again = self._over if self.autoreset_mode is AutoresetMode.NEXT_STEP else ~everything
        if not (e.running | again).all():
            row = int(np.flatnonzero(~(e.running | again))[0])
            raise ResetNeeded(f"row {row} is over or has not begun; call reset() with a reset_mask before step()")
        rewards, terminated, truncated = e.act(actions)
        if again.any():
            self._begin(again)
        over = terminated | truncated
        infos: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            if over.any():
                infos["final_obs"], infos["_final_obs"] = _objects(e.observed, over), over.copy()
                infos["final_info"], infos["_final_info"] = _masked(e.info(), over), over.copy()
                self._begin(over)
        else:
            self._over = over
        infos |= _masked(e.info(), everything)
        return e.observed.copy(), rewards, terminated, truncated, infos

    def action_masks(self) -> NDArray[np.bool_]:
        """Legal actions of every row: bool [num_envs, actions]."""
        self._episodes.check_begun()
        return self._episodes.mask().astype(bool)

    def text(self, row: int) -> tuple[list[int], list[int]]:
        """Ids of the prompt and of the text that stands in a row."""
        return self._episodes.text(row)

    def _seeds(self, seed: int | Sequence[int | None] | Observations | None) -> list[int | None]:
        """One seed or none for each row, as Python integers, which is what Gymnasium takes."""
        if seed is None:
            return [None] * self.num_envs
        if not isinstance(seed, Iterable) or isinstance(seed, str | bytes) or not getattr(seed, "ndim", 1):
            first = seed_of(seed, "neither an int nor a list of them")
            return [None if first is None else first + row for row in range(self.num_envs)]
        seeds = [seed_of(one) for one in seed]
        if len(seeds) != self.num_envs:
            raise InvalidInputError(f"{counted(self.num_envs, 'row')} need as many seeds, not {len(seeds)}")
        return seeds

    def _begin(self, mask: NDArray[np.bool_], prompt: list[int] | None = None) -> None:
        for row in np.flatnonzero(mask).tolist():
            self._episodes.begin(row, self._random[row], prompt)


class TextRevisionVectorEnv(WithEdits, TextGenerationVectorEnv):
    """Equal, row by row and bit by bit, to `SyncVectorEnv` over `TextRevisionEnv`.

    Args:
        vocabulary: the ids, or `{"size": …, "eos": …}`; None: the task's.
        num_envs, autoreset_mode, render_mode: as of `TextGenerationVectorEnv`.
        settings: of `TextRevisionEnv`.
    """

    @checked_arguments
    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, int] | None = None,
        *,
        num_envs: int,
        max_length: int | None = None,
        min_length: int | None = None,
        max_actions: int | None = None,
        start: str = "empty",
        prompts: Sequence[Sequence[int]] | None = None,
        task: Task | str | None = None,
        max_prompt_length: int | None = None,
        reward: Reward | None = None,
        kinds: Sequence[str] | str = KINDS,
        positions: str = "any",
        drafts: Sequence[Sequence[int]] | None = None,
        mistakes: float | None = None,
        fixed_horizon: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        _check_rows(num_envs, render_mode)
        episodes = RevisionEpisodes(
            *(
                num_envs,
                Revision(start, kinds, positions, drafts, mistakes),
                vocabulary,
                max_length,
                min_length,
                max_actions,
            ),
            *(prompts, task, max_prompt_length, reward, fixed_horizon),
        )
        self._adopt(episodes, num_envs, autoreset_mode)


def _mode(asked: AutoresetMode | str) -> AutoresetMode:
    """By itself, its name or its value."""
    known = {name: mode for mode in AutoresetMode for name in (mode, mode.name, mode.value)}
    if not isinstance(asked, str | AutoresetMode) or asked not in known:
        names = [mode.name for mode in AutoresetMode]
        raise InvalidInputError(
            f"unknown autoreset_mode {asked!r:.60}; known: {', '.join(names)}{suggested(str(asked).upper(), names)}"
        )
    return known[asked]


def _check_rows(num_envs: int, render_mode: Any) -> None:
    if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
        raise InvalidInputError(f"num_envs={num_envs!r:.60} is not an int of at least 1")
    if render_mode is not None:
        raise InvalidInputError(f"render_mode={render_mode!r}: render one environment instead")


def _objects(tokens: Observations, rows: NDArray[np.bool_]) -> NDArray[np.object_]:
    found = np.full(len(tokens), None, dtype=object)
    for row in np.flatnonzero(rows).tolist():
        found[row] = tokens[row].copy()
    return found


def _masked(info: dict[str, NDArray[Any]], rows: NDArray[np.bool_]) -> dict[str, Any]:
    """Gymnasium's form: every key with a mask of the rows that have it, the others zero."""
    masked: dict[str, Any] = {}
    for key, value in info.items():
        if not rows.all():
            value[~rows] = 0
        masked[key], masked[f"_{key}"] = value, rows.copy()
    return masked
