"""The prefix MDP as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from seqil import Task, Vocabulary
from seqil.errors import InvalidInputError, visible
from seqil.mdp.memory import PREFIX, Memory
from seqil.mdp.rendering import Decode, Span, legible, spans, struck

from .constructors import checked_arguments, seed_of
from .episodes import Episodes, Reward, SelfDescribing, StepReward
from .frames import Frame, frame


class TextGenerationEnv(SelfDescribing, gym.Env[NDArray[np.int64], np.int64]):
    """Write a text token by token; the last action deletes the last token.

    Observation: int64 cells `[P + L + 1]`, prompt and text, empty cells hold `vocabulary.size`. Info: `action_mask`
    int8 [actions], `length`, `prompt_length`, `illegal` (illegal actions so far) and `success` (0 until the end).
    An illegal action changes nothing and spends budget. A generated `eos` terminates, the budget truncates.

    Args:
        vocabulary: the ids, or `{"size": …, "eos": …}`; None: the task's.
        max_length: most generated tokens, L; None: the task's, and so is `min_length` then.
        min_length: fewest before `eos` is legal; None: 0.
        max_actions: budget; None: the task's (`Task.budget`), `4 * max_length` without one.
        prompts: id lists to start from, drawn uniformly; an empty one stands for the start token `[eos]`, which is
            what models such as GPT-2 begin a text with.
        task: a task, or the id of one: prompts (its first 1,000 of training), success and rendering come from it.
        max_prompt_length: P; None: the longest prompt.
        reward: `(prompt, tokens) -> float`, paid once at the end; None: the task's success, else 0.
        step_reward: `(prompt, before, after) -> float`, paid for every action, what makes `after` of the text `before`,
            beside the reward of the end; of an illegal action both are the same.
        backspace: whether there is a deletion; if not, actions are the tokens.
        memory: `prefix`, `tried` or `history` (see `seqil.mdp.memory`). Under `tried` the mask lacks what was deleted
            there. Under `history` the observation is the prompt and all that was done, the backspace too (as
            `vocabulary.size`), in `P + max_actions` cells, of which empty ones hold `vocabulary.size + 1`.
        fixed_horizon: after `eos` the episode goes on, with `eos` as the only legal action, until the budget is spent.
        render_mode: `ansi`: `render()` returns the text with deletions struck out; `human`: text is printed as it is
            written, as `seqil.DeletionStreamer` does (where the output is no terminal, with a `⌫` for each character
            that a deletion takes away); `rgb_array`: `render()` returns it as a picture, uint8
            [240, 640, 3], for videos (extra `render`).

    Raises:
        InvalidInputError: bad settings, an unknown option (a `TypeError`, too), or an action that is not an integer in
            range.
        ResetNeeded: a step before `reset` or after the end.
    """

    metadata = {"render_modes": ["ansi", "human", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    @checked_arguments
    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, int] | None = None,
        *,
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
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = self._known_mode(render_mode)
        self._episodes = Episodes(
            *(1, vocabulary, max_length, min_length, max_actions, prompts, task),
            *(max_prompt_length, reward, backspace, fixed_horizon, memory, step_reward),
        )
        self._episodes.alone = True
        self._history: list[int] = []
        self._streamer: Any = None
        self.observation_space, self.action_space = make_spaces(self._episodes)

    def _known_mode(self, asked: str | None) -> str | None:
        known = [None, *self.metadata["render_modes"]]
        if asked not in known:
            raise InvalidInputError(f"render_mode={asked!r}; known: {', '.join(map(repr, known))}")
        return asked

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """Start at a drawn prompt, or at `options={"prompt": [ids]}`."""
        prompt = self._episodes.prompt_of(options)
        super().reset(seed=seed_of(seed))
        self._episodes.begin(0, self.np_random, prompt)
        self._history = []
        if self.render_mode == "human":
            self._show_prompt()
        return self._episodes.observed[0].copy(), self._info()

    def step(self, action: Any) -> tuple[NDArray[np.int64], float, bool, bool, dict[str, Any]]:
        """Write or delete one token."""
        e = self._episodes
        if not e.running[0]:
            raise ResetNeeded("the episode is over or has not begun; call reset() before step()")
        illegal, ended = int(e.illegal[0]), bool(e.ended[0])
        rewards, terminated, truncated = e.act([action])
        if e.illegal[0] == illegal and not ended:
            self._note(action)
        if not e.running[0]:
            self.close()
        return e.observed[0].copy(), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), self._info()

    def action_masks(self) -> NDArray[np.bool_]:
        """Legal actions, bool [actions], as sb3-contrib's MaskablePPO asks for them."""
        self._episodes.check_begun()
        legal: NDArray[np.bool_] = self._episodes.mask()[0].astype(bool)
        return legal

    def render(self) -> str | Frame | None:
        """Prompt and text in the order of writing, deleted tokens struck out: a string, or a picture [H, W, 3]."""
        if self.render_mode not in ("ansi", "rgb_array"):
            return None
        prompt = self.text()[0]
        shown, runs = visible(self.decode(prompt)), legible(self._spans(prompt))
        return shown + struck(runs) if self.render_mode == "ansi" else frame(shown, runs)

    def text(self) -> tuple[list[int], list[int]]:
        """Ids of the prompt and of the text that stands."""
        return self._episodes.text(0)

    def close(self) -> None:
        """End the line of a text that is being shown."""
        if self._streamer is not None:
            self._streamer.end()
            self._streamer = None

    def _spans(self, prompt: Sequence[int]) -> list[Span]:
        """What was written behind the prompt, and what of it was deleted."""
        return spans(self.vocabulary, self._history, self.decode, prompt)

    def _show_prompt(self) -> None:
        from seqil import DeletionStreamer

        self.close()
        v = self._episodes.vocabulary
        self._streamer = DeletionStreamer(_Reader(self.decode), v.backspace, v.eos)
        self._streamer.put(self._episodes.text(0)[0])

    def _note(self, action: Any) -> None:
        """An action that has changed the text."""
        self._history.append(int(action))
        if self._streamer is not None:
            self._streamer.put([int(action)])

    def _info(self) -> dict[str, Any]:
        return {key: value[0] for key, value in self._episodes.info().items()}


class _Reader:
    """What a streamer takes for a tokenizer."""

    def __init__(self, decode: Decode) -> None:
        self.decode = decode


def make_spaces(episodes: Episodes) -> tuple[spaces.Box[np.int64], spaces.Space[Any]]:
    """Observation and action space of one row."""
    empty = episodes.memory.empty(episodes.vocabulary.size)
    box = spaces.Box(0, empty, episodes.observed.shape[1:], np.int64)
    if episodes.factors is not None:
        return box, spaces.MultiDiscrete(list(episodes.factors))
    return box, spaces.Discrete(episodes.num_actions)
