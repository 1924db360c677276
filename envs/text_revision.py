"""Edits of a whole text as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqil import Task, Vocabulary
from seqil.errors import InvalidInputError, visible
from seqil.mdp.edits import KINDS
from seqil.mdp.rendering import legible, revised, runs, struck

from .episodes import Reward, known_options
from .revisions import Revision, RevisionEpisodes
from .text_generation import TextGenerationEnv, make_spaces


class TextRevisionEnv(TextGenerationEnv):
    """Revise a text by single edits, anywhere in it; the last action stops.

    Observation, info, rewards and ends are those of `TextGenerationEnv`; actions are those of `seqil.Edits`, W (2 V +
    1) + 1 of them, and what is legal is `seqil.legal_edits`. Where V exceeds 1,000 an action is three numbers, a kind
    (3 stops), a place and a token, and `action_mask` says of each of the 4 + W + V values whether some legal edit has
    it, in the form that sb3-contrib's MaskablePPO reads; an edit that is illegal all the same changes nothing.

    With `positions="end"` and the kinds `insert` and `delete` it is `TextGenerationEnv` under other names of actions.

    Args:
        vocabulary, max_length, min_length, max_actions, prompts, task, max_prompt_length, reward, fixed_horizon: as
            of `TextGenerationEnv`.
        start: `empty`, `draft` (a text for each prompt) or `noise` (tokens at random, of a random legal length).
        kinds: of the edits, of `insert`, `delete` and `substitute`.
        positions: `any`, or `end`: at the end of the text alone.
        drafts: of the prompts, without `eos`; None: the task's demonstrations.
        render_mode: `ansi`: `render()` returns the text with what was deleted or replaced struck out.

    Raises:
        InvalidInputError: bad settings, an unknown option, or an action that is no edit.
        ResetNeeded: a step before `reset` or after the end.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012

    @known_options
    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, int] | None = None,
        *,
        max_length: int | None = None,
        min_length: int | None = None,
        max_actions: int | None = None,
        start: str = "empty",
        prompts: Sequence[Sequence[int]] | None = None,
        task: Task | str | None = None,
        max_prompt_length: int | None = None,
        reward: Reward | None = None,
        kinds: Sequence[str] = KINDS,
        positions: str = "any",
        drafts: Sequence[Sequence[int]] | None = None,
        fixed_horizon: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "ansi"):
            raise InvalidInputError(f"render_mode={render_mode!r}; known: None, 'ansi'")
        self.render_mode = render_mode
        self._streamer = None
        self._revisions = RevisionEpisodes(
            *(1, Revision(start, kinds, positions, drafts), vocabulary, max_length, min_length, max_actions),
            *(prompts, task, max_prompt_length, reward, fixed_horizon),
        )
        self._episodes = self._revisions
        self._episodes.alone = True
        self._written: list[tuple[int, bool]] = []
        self._history = []
        self.observation_space, self.action_space = make_spaces(self._episodes)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """Start at a drawn prompt, or at `options={"prompt": [ids]}`."""
        found = super().reset(seed=seed, options=options)
        self._written = [(token, False) for token in self._episodes.text(0)[1]]
        return found

    def render(self) -> str | None:
        """Prompt and text, with what was deleted or replaced struck out where it stood."""
        if self.render_mode != "ansi":
            return None
        prompt = self._episodes.text(0)[0]
        return visible(self._decode(prompt)) + struck(legible(runs(self._written, self._decode, prompt)))

    def _note(self, action: Any) -> None:
        self._written = revised(self._written, *self._revisions.parts(action))
        if self._episodes.ended[0]:
            self._written.append((self._episodes.vocabulary.eos, False))
