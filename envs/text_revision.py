"""Edits of a whole text as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqil import Task, Vocabulary
from seqil.mdp.edits import KINDS
from seqil.mdp.rendering import Span, revised, runs

from .constructors import checked_arguments
from .episodes import Reward
from .revisions import Revision, RevisionEpisodes, WithEdits
from .text_generation import TextGenerationEnv, make_spaces


class TextRevisionEnv(WithEdits, TextGenerationEnv):
    """Revise a text by single edits, anywhere in it; the last action stops.

    Observation, info, rewards and ends are those of `TextGenerationEnv`; actions are those of `seqil.Edits`, W (2 V +
    1) + 1 of them, and what is legal is `seqil.legal_edits`. Where V exceeds 1,000 an action is three numbers, a kind
    (3 stops), a place and a token, and `action_mask` says of each of the 4 + W + V values whether some legal edit has
    it, in the form that sb3-contrib's MaskablePPO reads; an edit that is illegal all the same changes nothing.

    With `positions="end"` and the kinds `insert` and `delete` it is `TextGenerationEnv` under other names of actions.

    Args:
        vocabulary, max_length, min_length, max_actions, prompts, task, max_prompt_length, reward, fixed_horizon: as
            of `TextGenerationEnv`.
        start: `empty`, `draft` (a text for each prompt, with mistakes in it) or `noise` (tokens at random, of a random
            legal length).
        kinds: of the edits, of `insert`, `delete` and `substitute`.
        positions: `any`, or `end`: at the end of the text alone.
        drafts: of the prompts, without `eos`; None: the task's demonstrations, which `mistakes` are made in.
        mistakes: share of a draft's tokens, in [0, 1], that is edited at random at every reset, rounded, and one edit
            at least; each is taken back by one of `kinds`, and what the task calls right all the same is drawn anew.
            None: 0.1 of demonstrations, 0 of drafts of one's own and of a task that asks for more than its
            demonstrations show (`Task.beyond_data`). With 0 an episode begins with the draft itself.
        render_mode: `ansi` or `rgb_array`, as of `TextGenerationEnv`, with what was deleted or replaced struck out
            where it stood.

    Raises:
        InvalidInputError: bad settings, an unknown option, or an action that is no edit.
        ResetNeeded: a step before `reset` or after the end.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    @checked_arguments
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
        kinds: Sequence[str] | str = KINDS,
        positions: str = "any",
        drafts: Sequence[Sequence[int]] | None = None,
        mistakes: float | None = None,
        fixed_horizon: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = self._known_mode(render_mode)
        self._streamer = None
        self._episodes = RevisionEpisodes(
            *(1, Revision(start, kinds, positions, drafts, mistakes), vocabulary, max_length, min_length, max_actions),
            *(prompts, task, max_prompt_length, reward, fixed_horizon),
        )
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

    def _spans(self, prompt: Sequence[int]) -> list[Span]:
        return runs(self._written, self.decode, prompt)

    def _note(self, action: Any) -> None:
        self._written = revised(self._written, *self._episodes.parts(action))
        if self._episodes.ended[0]:
            self._written.append((self._episodes.vocabulary.eos, False))
